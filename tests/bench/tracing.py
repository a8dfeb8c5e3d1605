"""What tracing costs: the small model without it, with one request in a hundred recorded, and with all."""

import contextlib
import http.server
import threading

import contenders
import models
import wrk
from results import Row

MANY = 64
WORK = f"4-feature classifier, one JSON row a request, {MANY} connections"


class _Collector(http.server.BaseHTTPRequestHandler):
    """Takes everything and looks at nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def _collector():
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_address[1]}"
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def measure_tracing(lab):
    """By turns. Rows."""
    rows = {
        "0.01": Row("cpu_traced_1_percent", WORK,
                    "server CPU a request with 1 % of them recorded ÷ without tracing", "x", at_most=1.05),
        "1": Row("cpu_traced_all", WORK, "server CPU a request with all of them recorded ÷ without tracing",
                 "x", at_most=1.25),
    }
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(_collector())
        plain = stack.enter_context(contenders.start_onnxd(lab.scratch, models.SMALL))
        traced = {
            ratio: stack.enter_context(contenders.start_onnxd(
                lab.scratch, models.SMALL, OTEL_ENABLED="true", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
                OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG=ratio))
            for ratio in rows
        }
        for server in (plain, *traced.values()):
            wrk.measure(server, lab.scratch, MANY, 1)  # warm
        for _ in lab.repeat():
            base = wrk.measure(plain, lab.scratch, MANY, lab.seconds)
            for ratio, server in traced.items():
                ours = wrk.measure(server, lab.scratch, MANY, lab.seconds)
                rows[ratio].samples.append(ours.cpu_us / base.cpu_us)
        for ratio, server in traced.items():
            metrics = server.metrics()
            exported = metrics["onnxd_spans_exported_total"]
            all_spans = exported + metrics["onnxd_spans_dropped_total"]
            rows[ratio].note = f"{exported / all_spans:.0%} of the spans were delivered under this load"
    return list(rows.values())
