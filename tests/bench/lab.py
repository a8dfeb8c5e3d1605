"""What every measurement needs: how long it may take, where things are, and the time that is left."""

import dataclasses
import json
import os
import pathlib
import subprocess
import time

import models
from contenders import ROOT
from processes import NotUsable, Process, clean_environment


@dataclasses.dataclass
class Lab:
    scratch: str
    keep: pathlib.Path  # build/bench/: models, bench.json
    rounds: int
    seconds: int  # of one round of load
    quick: bool
    deadline: float = float("inf")  # of the measurement's rounds
    left_out: list = dataclasses.field(default_factory=list)
    cut_short: bool = False  # the measurement took fewer rounds than it wanted
    runtime: str = ""  # the shared library that onnxd itself has loaded
    constant_per_s: float = 0  # what nginx answers a second with a constant, to the same client
    cpus: int = len(os.sched_getaffinity(0))

    def repeat(self, wanted=None):
        """Numbers of rounds, as many as are wanted, else the lab's own, which no quick bench passes; ends
        early, but not before one, when time is running out."""
        wanted = wanted or self.rounds
        for number in range(min(wanted, self.rounds) if self.quick else wanted):
            if number > 0 and time.monotonic() > self.deadline:
                self.cut_short = True
                return
            yield number

    def leave_out(self, what, why):
        print(f"bench: LEFT OUT: {what}: {why}", flush=True)
        self.left_out.append({"what": what, "why": str(why)})

    def slow_model(self):
        return models.make_network(self.keep, "slow", models.SLOW_LAYERS)

    def wide_model(self):
        return models.make_network(self.keep, "wide", models.WIDE_LAYERS)

    def deep_model(self):
        return models.make_network(self.keep, "deep", models.DEEP_LAYERS, models.DEEP_REPEATS)

    def _program(self, name, *arguments):
        done = subprocess.run([self.keep / name, *map(str, arguments)], capture_output=True, text=True,
                              cwd=self.scratch, timeout=60)
        if done.returncode != 0:
            raise NotUsable(f"{name}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def run_bare(self, model, rows, milliseconds, threads=1):
        """The runtime's own Run in a loop: a measurement of tests/bench/measure.h."""
        return self._program("bare_ort", "run", self.runtime, model, threads, rows, milliseconds)

    def run_backend(self, model, rows, milliseconds, threads=1, runtime=None):
        """`runtime`: the Python of a scikit-learn model, else the shared library."""
        return self._program("bare_backend", runtime or self.runtime, model, threads, rows, milliseconds)

    def run_bare_sklearn(self, python, model, rows, milliseconds):
        script = pathlib.Path(__file__).with_name("bare_sklearn.py")
        return self._program(python, script, model, rows, milliseconds)

    def run_codec(self, case, file, features, milliseconds):
        return self._program("bench_codec", case, file, features, milliseconds)

    def run_open_loop(self, port, request_file, per_second, warm_up_ms, load_ms, connections):
        return self._program("open_loop", port, request_file, per_second, warm_up_ms, load_ms, connections)

    def load_bare(self, model, threads):
        """(process that has loaded a model and waits, nanoseconds the loading took)."""
        command = [self.keep / "bare_ort", "load", self.runtime, model, threads]
        process = Process(command, clean_environment(self.scratch), self.scratch, "bare",
                          stdin=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.is_alive():
            line = process.log.read_text()
            if line.endswith("\n"):
                return process, json.loads(line)["load_ns"]
            time.sleep(0.002)
        raise NotUsable(f"bare_ort did not load the model: {process.last_words()}")


def build():
    """The programs of the bench and the server itself, in build/."""
    configure = ["cmake", "--preset", "release"]
    if not (ROOT / "build/build.ninja").exists():
        configure.append("-DONNXD_TESTS=OFF")
    for command in (configure, ["cmake", "--build", "--preset", "release", "--target", "onnxd",
                                "bench_programs"]):
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
