"""What becomes of a server that is asked for three times as much as it can do.

The model computes some milliseconds a request on one core; there is one runner, requests are not
batched, and the client has the other core. The peak is what wrk, which waits for answers, gets; then
requests come at three times that rate, whether or not earlier ones have been answered.
"""

import pathlib
import socket
import statistics

import contenders
import models
import wrk
from resources import loop_of
from results import Row

TIME_LIMIT_S = 1
FACTOR = 3
CLOSED_CONNECTIONS = 16
OPEN_CONNECTIONS = 4000  # more than may ever wait within the time limit


def measure_overload(lab):
    work = f"{FACTOR} times the capacity, open loop, one runner, no batching, REQUEST_TIMEOUT_S={TIME_LIMIT_S}"
    goodput = Row("overload_goodput", work, "200s a second ÷ their peak", "x", at_least=0.9)
    late = Row("overload_p99", work, "p99 of what was not rejected ÷ the time limit", "x", at_most=1.0)
    body = models.matrix_json(models.make_rows(1, models.DEEP_LAYERS[0]))
    seconds = 3 if lab.quick else 5
    found = []
    with contenders.start_onnxd(lab.scratch, lab.deep_model(), body, EXECUTION="pooled", BATCHING="off",
                                MODEL_INSTANCES=1, ONNX_INTRA_OP_THREADS=1,
                                REQUEST_TIMEOUT_S=TIME_LIMIT_S) as onnxd:
        request = pathlib.Path(lab.scratch) / "overload.request"
        request.write_bytes(contenders.request_of(body))
        wrk.measure(onnxd, lab.scratch, CLOSED_CONNECTIONS, 1)
        with socket.create_connection(("127.0.0.1", onnxd.port)) as connection:
            loop = loop_of(onnxd.process, connection)
        for _ in lab.repeat(1 if lab.quick else 3):
            started = onnxd.process.thread_cpu_ns()[loop]
            peak = wrk.measure(onnxd, lab.scratch, CLOSED_CONNECTIONS, 2)
            between = onnxd.process.thread_cpu_ns()[loop]
            over = lab.run_open_loop(onnxd.port, request, round(FACTOR * peak.requests_per_s), 1000,
                                     1000 * (seconds - 1), OPEN_CONNECTIONS)
            ended = onnxd.process.thread_cpu_ns()[loop]
            found.append(summarise(peak, over, (between - started) / 1e3, (ended - between) / 1e3, seconds))
            goodput.samples.append(over["goodput_per_s"] / peak.requests_per_s)
            late.samples.append(over["accepted_p99_ms"] / 1e3 / TIME_LIMIT_S)
    goodput.note, late.note = describe(found)
    return [goodput, late]


def summarise(peak, over, peak_cpu_us, over_cpu_us, seconds):
    """Figures of one round. The CPU times are those of the I/O loop, which refuses; the runner's
    would drown them. A refusal costs what is left when each 200 cost what it cost at the peak."""
    answered = sum(over[name] for name in ("ok", "rejected", "late", "failed"))
    served = over["goodput_per_s"] * seconds
    rest_us = over_cpu_us - served * peak_cpu_us / peak.requests
    return {
        "peak": peak.requests_per_s,
        "goodput": over["goodput_per_s"],
        "rejected": over["rejected"] / max(answered, 1),
        "late": over["late"] / max(answered, 1),
        "failed": over["failed"] / max(answered, 1),
        "not_sent": over["not_sent"],
        "rejected_p99_ms": over["rejected_p99_ms"],
        "ok_p99_ms": over["ok_p99_ms"],
        "refusal_cpu_us": rest_us / max(over["sent"] - served, 1),
    }


def describe(found):
    """The notes of both rows."""
    middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
    text = ("peak {peak:.0f}/s, at {factor} times that {goodput:.0f}/s; {rejected:.0%} rejected (429 or 503; p99 of "
            "their answers {rejected_p99_ms:.0f} ms), {late:.0%} answered past their time (504)")
    if middle["failed"] or middle["not_sent"]:
        text += ", {failed:.1%} lost, {not_sent:.0f} not sent for want of connections"
    return (text.format(factor=FACTOR, **middle),
            "p99 of the 200s {ok_p99_ms:.0f} ms; a request that got no 200 cost the loop "
            "{refusal_cpu_us:.0f} µs of CPU time".format(**middle))
