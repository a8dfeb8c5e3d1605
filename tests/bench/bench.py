#!/usr/bin/env python3
"""bench.py [--quick] [--publish]: onnxd beside nginx, other servers, and the bare runtime.

Contenders take turns in short rounds; what is judged are ratios of one round. Writes
build/bench/bench.json and prints a Markdown table; --publish also puts the table into
docs/performance.md and the plot into docs/bench.svg. Needs only the standard library; what is not
installed is left out and named. Ends by itself: in 10 minutes at most, --quick in 2.
"""

import argparse
import datetime
import os
import pathlib
import platform
import signal
import sys
import tempfile
import time

import contenders
import lab
import large
import native
import overload
import plot
import report
import resources
import rpc
import small
import tracing
import wrk
from processes import NotUsable, stop_all

TIME_LIMIT_S = {False: 590, True: 120}
TIME_FOR_ROUNDS_S = {False: 545, True: 95}  # shared out: see share_time
DOCUMENT = contenders.ROOT / "docs/performance.md"
PICTURE = contenders.ROOT / "docs/bench.svg"

# (what it says when it cannot be done, function, seconds it takes where all rounds fit); a function
# returns rows and perhaps contenders
STEPS = [
    ("the rows beside nginx", small.measure_beside_nginx, 54),
    ("the rows beside other servers", small.measure_beside_peers, 80),
    ("the rows over gRPC", rpc.measure_grpc, 37),
    ("the native model", native.measure_native, 35),
    ("the worker's own time", native.measure_worker_overhead, 34),
    ("the slow model", large.measure_slow_model, 35),
    ("the wide body", large.measure_wide_body, 25),
    ("the overload", overload.measure_overload, 25),
    ("tracing", tracing.measure_tracing, 75),
    ("broken collectors", tracing.measure_broken_collectors, 80),
    ("idle memory", resources.measure_memory, 5),
    ("large beside small requests", resources.measure_patience, 20),
    ("idle connections", resources.measure_idle_connections, 25),
    ("the start", resources.measure_start, 5),
    ("the backend layer", small.measure_backend, 5),
    ("the codecs", large.measure_codecs, 15),
    ("memory after a burst", resources.measure_burst_memory, 15),
    ("connections on two loops", resources.measure_spread, 5),
]


def share_time(planned_s, left_s):
    """Seconds that the first of the measurements to come may take. Each gives up the same share of its rounds
    on a machine that is too slow for all, and what one does not use is for those after it."""
    return left_s * planned_s[0] / sum(planned_s)


def measure(the_lab, steps, end):
    """(rows, contenders) of all steps, whose rounds have time until `end`."""
    rows, found = [], []
    for number, (what, step, _) in enumerate(steps):
        started = time.monotonic()
        the_lab.deadline = started + share_time([planned for *_, planned in steps[number:]], end - started)
        the_lab.cut_short = False
        try:
            result = step(the_lab)
        except (NotUsable, wrk.BadRound, OSError) as problem:
            the_lab.leave_out(what, problem)
            continue
        if the_lab.cut_short:
            the_lab.leave_out(f"rounds of {what}", "time ran short")
        more, others = result if isinstance(result, tuple) else (result, [])
        rows += more
        found += others
        print(f"bench: {what}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return rows, found


def run_all(the_lab):
    started = time.monotonic()
    load_before = os.getloadavg()[0]
    rows, found = measure(the_lab, STEPS, started + TIME_FOR_ROUNDS_S[the_lab.quick])
    judged = [row for row in rows if row.target]
    return {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpus": the_lab.cpus, "processor": processor(), "kernel": platform.release()},
        "load_average": [load_before, os.getloadavg()[0]],
        "rounds": the_lab.rounds,
        "round_seconds": the_lab.seconds,
        "took_s": time.monotonic() - started,
        "versions": contenders.versions(),
        "rows": judged,
        "extra_rows": [row for row in rows if not row.target],
        "contenders": found,
        "left_out": the_lab.left_out,
    }


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def end_in_time(limit_s):
    """Whatever hangs, the bench and what it started end."""
    def stop(number, _):
        stop_all()
        sys.exit(f"bench: stopped by signal {number}" if number != signal.SIGALRM
                 else f"bench: stopped: it took longer than {limit_s} s")

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.alarm(limit_s)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute and a half, fewer and shorter rounds")
    parser.add_argument("--publish", action="store_true", help="write docs/performance.md and docs/bench.svg")
    options = parser.parse_args()
    lab.build()
    end_in_time(TIME_LIMIT_S[options.quick])
    keep = contenders.ROOT / "build/bench"
    with tempfile.TemporaryDirectory(prefix="onnxd-bench-") as scratch:
        found = run_all(lab.Lab(
            scratch=scratch, keep=keep, rounds=2 if options.quick else 8,
            seconds=1 if options.quick else 2, quick=options.quick,
        ))
    (keep / "bench.json").write_text(report.as_json(found))
    markdown = report.as_markdown(found)
    print(markdown)
    if found["contenders"]:
        caption = (f"4-feature classifier, one JSON row a request, 64 connections; nginx answers a "
                   f"constant. {found['date']}")
        picture = plot.draw(sorted(found["contenders"], key=lambda one: one.cpu_us), caption)
        (keep / "bench.svg").write_text(picture)
        if options.publish:
            PICTURE.write_text(picture)
    if options.publish:
        report.publish(DOCUMENT, markdown)


if __name__ == "__main__":
    main()
