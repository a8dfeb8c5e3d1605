#!/usr/bin/env python3
"""soak_workers.py [--seconds 60] [--clients 16]: kill -9 of a random worker every second, under load.

Serves a random forest natively with two workers. Every request has to be answered, and rightly: with its
labels, or with a 500 where it was in the killed worker. Afterwards no descriptor, memfd, zombie or process
may be left. Prints the figures and PASS or FAIL. `make soak-workers` is the front door.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

from load import Load
from native_models import PYTHON, iris, save, train_forest
from onnxd_server import Server, post_bytes, wait_for

WORKERS = 2


def children(pid):
    """{pid: state} of all processes the server has started and not waited for."""
    found = {}
    for file in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in file.read_text().split():
            try:
                found[int(child)] = pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")")[1].split()[0]
            except FileNotFoundError:
                pass
    return found


def descriptors(pid):
    """How many of each kind: "memfd:onnxd-input", "socket", ..."""
    kinds = collections.Counter()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            kinds[os.readlink(entry.path).split("[")[0].removesuffix(" (deleted)").rstrip(":")] += 1
        except FileNotFoundError:
            pass
    return kinds


def memfd_maps(pid):
    return sum("memfd:" in line for line in open(f"/proc/{pid}/maps"))


def settle(server):
    wait_for(lambda: server.metric("onnxd_workers") == WORKERS, "all workers")
    server.get("/live")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    model = train_forest()
    rows, _ = iris()
    body = rows[::10].tolist()
    right = model.predict(rows[::10]).tolist()
    choose = random.Random(7)
    with tempfile.TemporaryDirectory() as directory:
        env = {"WORKER_PYTHON": PYTHON, "WORKERS": WORKERS}
        with Server(save(model, directory), env=env) as server:
            pid = server.pid()
            settle(server)
            kinds, maps = descriptors(pid), memfd_maps(pid)
            kills = 0
            end = time.monotonic() + options.seconds
            with Load(server, post_bytes(json.dumps(body)), clients=options.clients) as load:
                while time.monotonic() < end:
                    load.wait_for_answers(1)
                    os.kill(choose.choice(sorted(children(pid))), signal.SIGKILL)
                    kills += 1
                    time.sleep(1)
            settle(server)
            statuses = collections.Counter(status for status, _ in load.answers)
            wrong = sum(status == 200 and json.loads(answer) != right for status, answer in load.answers)
            idle = options.clients  # connections of the load, closed by now
            wait_for(lambda: descriptors(pid)["socket"] <= kinds["socket"], f"the end of {idle} connections")
            left = descriptors(pid) - kinds
            problems = [
                *(f"lost: {lost}" for lost in load.lost),
                *(f"status {status}" for status in statuses if status not in (200, 500)),
                *([f"{wrong} wrong answers"] if wrong else []),
                *([f"descriptors left: {dict(left)}"] if left else []),
                *([f"{memfd_maps(pid) - maps} mappings left"] if memfd_maps(pid) > maps else []),
                *([f"processes left: {children(pid)}"]
                  if len(children(pid)) != WORKERS or "Z" in children(pid).values() else []),
                *([f"{statuses[500]} requests failed, {kills} workers were killed"]
                  if statuses[500] > kills * options.clients else []),
            ]
            print(f"{kills} workers killed in {options.seconds:g} s; {len(load.answers)} answers: "
                  f"{statuses[200]} good, {statuses[500]} 500s, {len(load.lost)} lost, {wrong} wrong")
    for problem in problems:
        print(problem)
    print("FAIL" if problems else "PASS")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
