"""The small model over gRPC: beside nghttpd with a file of ten bytes, and beside grpc.aio.

h2load counts whatever comes with status 200; that a Predict is answered with `grpc-status: 0` is
tried once before each load.
"""

import contextlib
import statistics
import time

import contenders
import h2load
import models
from processes import NotUsable
from results import Row

WORK = (f"4-feature classifier, one Predict a request, {h2load.CONNECTIONS} connections × "
        f"{h2load.STREAMS} streams")
READY_TIMEOUT_S = 20


def measure_grpc(lab):
    """onnxd, nghttpd and grpc.aio by turns; what is not there is left out."""
    beside = {"nghttpd": (contenders.start_nghttpd, "server", 0.5),
              "grpc.aio": (contenders.start_grpc_aio, "grpc-status", 40)}
    rows = []
    with contextlib.ExitStack() as stack:
        onnxd = stack.enter_context(contenders.start_onnxd_grpc(lab.scratch, models.SMALL))
        wait_until_answered(onnxd, lab.scratch, "grpc-status", "0", timeout_s=2)  # it is ready already
        for name, (start, header, target) in beside.items():
            rate = Row(f"grpc_vs_{name.replace('.', '_')}", WORK, f"requests/s ÷ {name}'s", "x", at_least=target)
            cpu = Row(f"grpc_cpu_{name.replace('.', '_')}", WORK, f"server CPU a request, {name}'s ÷ onnxd's", "x")
            try:
                with start(lab.scratch, models.SMALL) as peer:
                    wait_until_answered(peer, lab.scratch, header, "0" if header == "grpc-status" else None)
                    _alternate(lab, onnxd, peer, rate, cpu)
            except (NotUsable, h2load.BadRound) as problem:
                lab.leave_out(f"{name} over HTTP/2", problem)
                continue
            rows += [rate, cpu]
    return rows


def _alternate(lab, onnxd, peer, rate, cpu):
    rounds = []
    for server in (onnxd, peer):
        h2load.measure(server, lab.scratch, 1)
    for _ in lab.repeat(4):
        rounds.append([h2load.measure(server, lab.scratch, lab.seconds) for server in (onnxd, peer)])
        ours, theirs = rounds[-1]
        rate.samples.append(ours.requests_per_s / theirs.requests_per_s)
        cpu.samples.append(theirs.cpu_us / ours.cpu_us)
    middle = [statistics.median(one.requests_per_s for one in some) for some in zip(*rounds)]
    busy = statistics.median(ours.client_busy for ours, _ in rounds)
    rate.note = f"{middle[0]:.0f}/s and {middle[1]:.0f}/s; h2load's thread was busy {busy:.0%} of onnxd's time"


def wait_until_answered(server, scratch, header, value=None, timeout_s=READY_TIMEOUT_S):
    """Until an answer has the header (with that value); NotUsable when that does not come."""
    deadline = time.monotonic() + timeout_s
    found = {}
    while time.monotonic() < deadline and server.process.is_alive():
        found = h2load.headers_of_answer(server, scratch)
        if header in found and value in (None, found[header]):
            return
        if found:
            break  # it answers, and otherwise
        time.sleep(0.1)
    if found:
        raise NotUsable(f"{server.name} answers with {found}")
    ended = "" if server.process.is_alive() else f": {server.process.last_words()}"
    raise NotUsable(f"{server.name} does not answer on its port for gRPC{ended}")
