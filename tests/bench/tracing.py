"""What tracing costs: the small model without it, with one request in a hundred recorded, and with all;
and what becomes of requests when the collector does not do its part."""

import contextlib
import math
import pathlib
import time

import collectors
import contenders
import models
import wrk
from results import Row

MANY = 64
WORK = f"4-feature classifier, one JSON row a request, {MANY} connections"
ROUNDS = 16  # of a second each: what is looked for is less than what the machine's other work does to one
DELIVERED_PER_S = 8000  # what the collector, in Python, can take
DELIVERED_MS = 800
TAIL_MS = 150
DELIVERED_WORK = f"4-feature classifier, one JSON row a request, {DELIVERED_PER_S} a second"
PACE_PER_S = 4000
PACED_ROUNDS = 16
PACED_MS = 500
NOISE_ALLOWED = 1.1
PACED_CONNECTIONS = 1000  # most of them wait for a stall that needs them
PACED_WORK = f"4-feature classifier, one JSON row a request, {PACE_PER_S} a second"


def measure_tracing(lab):
    """By turns, each round between two of the server without tracing, whose mean it is compared with. Rows."""
    some = Row("cpu_traced_1_percent", WORK, "server CPU a request with 1 % of them recorded ÷ without tracing",
               "x", at_most=1.05)
    all_of_them = Row("cpu_traced_all", DELIVERED_WORK, "server CPU a request with all of them recorded, and their "
                      "spans delivered ÷ without tracing", "x", at_most=1.25)
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(collectors.working())

        def start(ratio, **settings):
            return stack.enter_context(contenders.start_onnxd(
                lab.scratch, models.SMALL, OTEL_ENABLED="true", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
                OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG=ratio, **settings))

        plain = stack.enter_context(contenders.start_onnxd(lab.scratch, models.SMALL))
        _compare(lab, some, plain, start("0.01"), _cpu_us)
        # No span waits long, or is dropped: what is delivered after a round would be in no figure.
        everything = start("1", OTEL_BSP_SCHEDULE_DELAY=TAIL_MS // 3, OTEL_BSP_MAX_QUEUE_SIZE=65536)
        _compare(lab, all_of_them, plain, everything, _paced_cpu_us)
        found = everything.metrics()
    if found["onnxd_spans_dropped_total"] > 0:
        raise wrk.BadRound(f"{found['onnxd_spans_dropped_total']:.0f} spans were dropped, their cost is unknown")
    all_of_them.note = f"{found['onnxd_spans_exported_total']:.0f} spans delivered, none dropped"
    return [some, all_of_them]


def _compare(lab, row, plain, traced, measure_us):
    measure_us(lab, traced)  # warm
    measure_us(lab, plain)
    before_us = measure_us(lab, plain)
    for _ in lab.repeat(ROUNDS):
        found_us = measure_us(lab, traced)
        after_us = measure_us(lab, plain)
        row.samples.append(found_us / math.sqrt(before_us * after_us))
        before_us = after_us


def _cpu_us(lab, server):
    return wrk.measure(server, lab.scratch, MANY, 1).cpu_us


def _paced_cpu_us(lab, server):
    before_ns = server.process.cpu_ns()
    found = _paced(lab, server, DELIVERED_PER_S, DELIVERED_MS)
    time.sleep(TAIL_MS / 1000)
    return (server.process.cpu_ns() - before_ns) / 1e3 / found["sent"]


def measure_broken_collectors(lab):
    """All requests are recorded. They come at a pace that leaves time, since a queue of the load's own
    would hide what the exporter does. Many short rounds: a moment in which the machine had other work
    is in one of them. A second server without tracing says what the noise is: its median may be passed
    by nobody, and a tenth is allowed where there is less noise than that."""
    rows = {kind: Row(f"collector_{kind.replace(' ', '_')}", f"{PACED_WORK}, all recorded; collector {kind}",
                      "p99 ÷ without tracing", "x") for kind in collectors.BROKEN}
    noise = Row("collector_noise", f"{PACED_WORK}, without tracing", "p99 ÷ another such server's", "x")
    with contextlib.ExitStack() as stack:
        def start(**settings):
            return stack.enter_context(contenders.start_onnxd(lab.scratch, models.SMALL, **settings))

        plain, other = start(), start()
        traced = {kind: start(OTEL_ENABLED="true",
                              OTEL_EXPORTER_OTLP_ENDPOINT=stack.enter_context(collectors.broken(kind)))
                  for kind in rows}
        for server in (plain, other, *traced.values()):
            _paced_p99_us(lab, server)  # warm, and the queues are full
        before_us = _paced_p99_us(lab, plain)
        for _ in lab.repeat(PACED_ROUNDS):
            found_us = {kind: _paced_p99_us(lab, server) for kind, server in traced.items()}
            beside_us = _paced_p99_us(lab, other)
            after_us = _paced_p99_us(lab, plain)
            base_us = math.sqrt(before_us * after_us)
            before_us = after_us
            noise.samples.append(beside_us / base_us)
            for kind, row in rows.items():
                row.samples.append(found_us[kind] / base_us)
        noise.note = f"p99 without tracing {base_us:.0f} µs in the last round"
        for kind, server in traced.items():
            metrics = server.metrics()
            rows[kind].at_most = max(NOISE_ALLOWED, noise.median, 1 / noise.median)
            rows[kind].note = (f"{metrics['onnxd_spans_dropped_total']:.0f} spans dropped and counted, "
                               f"{metrics['onnxd_spans_exported_total']:.0f} delivered")
    return [*rows.values(), noise]


def _paced_p99_us(lab, server):
    return _paced(lab, server, PACE_PER_S, PACED_MS)["ok_p99_ms"] * 1e3


def _paced(lab, server, per_second, load_ms):
    request = pathlib.Path(lab.scratch) / "paced.request"
    request.write_bytes(contenders.request_of(server.body))
    found = lab.run_open_loop(server.port, request, per_second, 100, load_ms, PACED_CONNECTIONS)
    if found["rejected"] or found["late"] or found["failed"] or found["not_sent"]:
        raise wrk.BadRound(f"requests were refused or lost: {found}")
    return found
