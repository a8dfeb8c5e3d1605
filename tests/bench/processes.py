"""Servers as child processes: started on free ports, looked at through /proc, and always ended."""

import atexit
import collections
import contextlib
import http.client
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

STOP_TIMEOUT_S = 5
running = []


class NotUsable(Exception):
    """A contender cannot be measured here; the text says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(scratch, **settings):
    """What programs need to be found and no more, so that a user's settings do not count."""
    passed_on = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**passed_on, "HOME": str(scratch), "TMPDIR": str(scratch), **settings}


class Process:
    """A server with all its children. stop() ends them; so does the end of the bench."""

    def __init__(self, command, environment, scratch, name, stdin=subprocess.DEVNULL):
        self.name = name
        self.log = pathlib.Path(scratch) / f"{name}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                env=environment,
                cwd=scratch,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # its own group, so that its workers end with it
            )
        self.pid = self.child.pid
        self.stopped = False
        running.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def is_alive(self):
        return self.child.poll() is None

    def stop(self):
        if self.stopped:
            return
        self.stopped = True  # first of all: a signal's handler may call this again meanwhile
        running.remove(self)
        if self.is_alive():
            self.child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(STOP_TIMEOUT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # the group is ours: whoever is left of it
        self.child.wait()

    def last_words(self):
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        return " / ".join(lines[-3:])[-300:]

    def _tree(self):
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    todo += map(int, task.read_text().split())
        return found

    def thread_cpu_ns(self):
        """{thread: CPU time, user and system, it has used} of all threads of all its processes."""
        used = collections.Counter()
        for pid in self._tree():
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    used[int(task.parent.name)] = int(task.read_text().split()[0])
        return used

    def cpu_ns(self):
        return sum(self.thread_cpu_ns().values())

    def rss_bytes(self):
        return sum(_memory_bytes(pid, "VmRSS") for pid in self._tree())

    def peak_rss_bytes(self):
        return sum(_memory_bytes(pid, "VmHWM") for pid in self._tree())

    def library(self, pattern):
        """The path of a shared library it has loaded, None when there is none of that name."""
        maps = pathlib.Path(f"/proc/{self.pid}/maps").read_text()
        match = re.search(rf"(/\S*{pattern}\S*)$", maps, re.M)
        return match and match.group(1)


def _memory_bytes(pid, field):
    with contextlib.suppress(OSError):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        match = re.search(rf"^{field}:\s+(\d+) kB", status, re.M)
        return int(match.group(1)) * 1024 if match else 0
    return 0


def ended_children_cpu_s():
    """CPU time of all children that have ended: before and after a load generator, its own."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def stop_all():
    for process in list(running):
        process.stop()


atexit.register(stop_all)


def sum_metrics(text):
    """{name: sum over its series} of the Prometheus text format."""
    sums = collections.Counter()
    for line in text.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            sums[series.partition("{")[0]] += float(value)
    return sums


class Server:
    """A contender that answers: where it listens, what to send, and its process."""

    def __init__(self, process, port, path, body, content_type="application/json", name=None):
        self.process = process
        self.name = name or process.name  # one a body: files of the load generator are named by it
        self.port = port
        self.path = path
        self.body = body
        self.content_type = content_type

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def post(self, body=None, timeout_s=10):
        """(status, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        with contextlib.closing(connection):
            connection.request("POST", self.path, body or self.body, {"Content-Type": self.content_type})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def metrics(self):
        """{name: value} of onnxd's metrics; a name's series are added up, also its buckets."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return sum_metrics(connection.getresponse().read().decode())

    def wait_until_ready(self, timeout_s=60):
        """Until a prediction is answered with 200; NotUsable when that does not come."""
        deadline = time.monotonic() + timeout_s
        problem = "no answer"
        while time.monotonic() < deadline and self.process.is_alive():
            try:
                status, body = self.post()
                if status == 200:
                    return self
                problem = f"status {status}: {body[:200]!r}"
            except (OSError, http.client.HTTPException) as error:
                problem = repr(error)
            time.sleep(0.05)
        words = self.process.last_words()
        self.process.stop()
        raise NotUsable(f"{self.name} did not get ready: {problem}; {words}")
