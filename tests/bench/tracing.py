"""What tracing costs: the small model without it, with one request in a hundred recorded, and with all;
and what becomes of requests when the collector does not do its part."""

import contextlib
import math
import pathlib

import collectors
import contenders
import models
import wrk
from results import Row

MANY = 64
WORK = f"4-feature classifier, one JSON row a request, {MANY} connections"
ROUNDS = 16  # of a second each: what is looked for is less than what the machine's other work does to one
PACE_PER_S = 4000
PACED_ROUNDS = 16
PACED_MS = 500
NOISE_ALLOWED = 1.1
PACED_CONNECTIONS = 1000  # most of them wait for a stall that needs them
PACED_WORK = f"4-feature classifier, one JSON row a request, {PACE_PER_S} a second"


def measure_tracing(lab):
    """By turns, each round between two of the server without tracing, whose mean it is compared with. Rows."""
    rows = {
        "0.01": Row("cpu_traced_1_percent", WORK,
                    "server CPU a request with 1 % of them recorded ÷ without tracing", "x", at_most=1.05),
        "1": Row("cpu_traced_all", WORK, "server CPU a request with all of them recorded ÷ without tracing",
                 "x", at_most=1.25),
    }
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(collectors.working())
        plain = stack.enter_context(contenders.start_onnxd(lab.scratch, models.SMALL))
        traced = {
            ratio: stack.enter_context(contenders.start_onnxd(
                lab.scratch, models.SMALL, OTEL_ENABLED="true", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
                OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG=ratio))
            for ratio in rows
        }
        for server in (plain, *traced.values()):
            wrk.measure(server, lab.scratch, MANY, 1)  # warm
        before_us = _cpu_us(lab, plain)
        for _ in lab.repeat(ROUNDS):
            found_us = {ratio: _cpu_us(lab, server) for ratio, server in traced.items()}
            after_us = _cpu_us(lab, plain)
            for ratio, row in rows.items():
                row.samples.append(found_us[ratio] / math.sqrt(before_us * after_us))
            before_us = after_us
        for ratio, server in traced.items():
            metrics = server.metrics()
            exported = metrics["onnxd_spans_exported_total"]
            all_spans = exported + metrics["onnxd_spans_dropped_total"]
            rows[ratio].note = f"{exported / all_spans:.0%} of the spans were delivered under this load"
    return list(rows.values())


def _cpu_us(lab, server):
    return wrk.measure(server, lab.scratch, MANY, 1).cpu_us


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
    request = pathlib.Path(lab.scratch) / "paced.request"
    request.write_bytes(contenders.request_of(server.body))
    found = lab.run_open_loop(server.port, request, PACE_PER_S, 100, PACED_MS, PACED_CONNECTIONS)
    if found["rejected"] or found["late"] or found["failed"] or found["not_sent"]:
        raise wrk.BadRound(f"requests were refused or lost: {found}")
    return found["ok_p99_ms"] * 1e3
