"""The small model: what a prediction costs beside a constant, the bare run and other servers."""

import contextlib
import statistics

import contenders
import models
import wrk
from processes import NotUsable
from results import Contender, Row

MANY = 64
CLASSIFIER = "4-feature classifier, one JSON row a request"


def measure_beside_nginx(lab):
    """64 connections and one, onnxd and nginx by turns. Rows, and contenders at 64 connections."""
    cpu = Row("cpu_vs_nginx", f"{CLASSIFIER}, {MANY} connections", "server CPU a request ÷ nginx's",
              "x", at_most=1.0)
    rate = Row("rate_vs_nginx", f"{CLASSIFIER}, {MANY} connections", "requests/s ÷ nginx's", "x",
               at_least=1.0)
    wait = Row("latency_vs_nginx", f"{CLASSIFIER}, 1 connection",
               "p50 − nginx's p50 − run time of the model", "us", at_most=10)
    rounds = {"onnxd": [], "nginx": []}
    runs_ns = []
    with contextlib.ExitStack() as stack:
        onnxd = stack.enter_context(contenders.start_onnxd(lab.scratch, models.SMALL))
        lab.runtime = onnxd.process.library("libonnxruntime")
        answer = onnxd.post()[1].decode()
        nginx = stack.enter_context(contenders.start_nginx(lab.scratch, answer))
        for server in (onnxd, nginx):
            wrk.measure(server, lab.scratch, MANY, 1)  # warm
        for _ in lab.repeat():
            ours, theirs = (wrk.measure(server, lab.scratch, MANY, lab.seconds)
                            for server in (onnxd, nginx))
            rounds["onnxd"].append(ours)
            rounds["nginx"].append(theirs)
            cpu.samples.append(ours.cpu_us / theirs.cpu_us)
            rate.samples.append(ours.requests_per_s / theirs.requests_per_s)
        for _ in lab.repeat():
            ours, theirs = (wrk.measure(server, lab.scratch, 1, 1) for server in (onnxd, nginx))
            run = lab.run_bare(models.SMALL, 1, 200)
            runs_ns.append(run["p50_ns"])
            wait.samples.append(ours.p50_us - theirs.p50_us - run["p50_ns"] / 1e3)
    wait.note = f"run time of the model: {sorted(runs_ns)[len(runs_ns) // 2] / 1e3:.1f} µs"
    table = [Contender.of(name, MANY, some) for name, some in rounds.items()]
    lab.constant_per_s = table[1].requests_per_s
    return [cpu, rate, wait], table


def measure_beside_peers(lab):
    """Other servers with the same model, each by turns with onnxd. Rows, contenders."""
    rows, table = [], []
    for number, (name, start) in enumerate(contenders.PEER_STARTERS.items()):
        is_reference = number == 0
        if lab.quick and not is_reference:
            lab.leave_out(name, "the quick bench compares with nginx and the reference's stack only")
            continue
        work = f"{CLASSIFIER}, {MANY} connections"
        rate = Row(f"rate_vs_{name.lower().replace(' ', '_')}", work, f"requests/s ÷ {name}'s", "x",
                   at_least=30 if is_reference else None)
        cpu = Row("reference_cpu", work, f"server CPU a request, {name}'s ÷ onnxd's", "x")
        try:
            theirs = _alternate(lab, start, rate, cpu)
            table.append(Contender.of(name, MANY, theirs))
        except (NotUsable, wrk.BadRound) as problem:
            lab.leave_out(name, problem)
            for row in (rate, cpu):
                row.samples.clear()
                row.note = "left out: see below"
        rows += [rate, cpu] if is_reference else [rate]
    return rows, table


def _alternate(lab, start, rate, cpu):
    rounds, busy = [], []
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(start(lab.scratch, models.SMALL))
        onnxd = stack.enter_context(contenders.start_onnxd(lab.scratch, models.SMALL))
        wrk.measure(peer, lab.scratch, MANY, 1)
        wrk.measure(onnxd, lab.scratch, MANY, 1)
        for _ in lab.repeat(4):
            ours = wrk.measure(onnxd, lab.scratch, MANY, 1)
            theirs = wrk.measure(peer, lab.scratch, MANY, lab.seconds)
            rounds.append(theirs)
            busy.append(ours.client_busy)
            rate.samples.append(ours.requests_per_s / theirs.requests_per_s)
            cpu.samples.append(theirs.cpu_us / ours.cpu_us)
    rate.note = f"wrk's thread was busy {statistics.median(busy):.0%} of onnxd's time"
    if lab.constant_per_s:
        theirs_per_s = statistics.median(one.requests_per_s for one in rounds)
        rate.note += f"; nginx with its constant: {lab.constant_per_s / theirs_per_s:.1f}"
    return rounds


def measure_backend(lab):
    """What onnxd's backend layer costs around the runtime's Run. No target of its own."""
    row = Row("backend_vs_run", "4-feature classifier, 1 row, no server",
              "CPU of a run through onnxd's backend layer ÷ the runtime's own Run", "x")
    for _ in lab.repeat():
        ours = lab.run_backend(models.SMALL, 1, 200)
        bare = lab.run_bare(models.SMALL, 1, 200)
        row.samples.append((ours["cpu_ns"] / ours["calls"]) / (bare["cpu_ns"] / bare["calls"]))
    return [row]
