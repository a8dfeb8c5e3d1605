"""One round of load over HTTP/2: h2load with one thread, and the server's CPU time beside it."""

import dataclasses
import pathlib
import re
import shutil
import subprocess

from processes import NotUsable, clean_environment, ended_children_cpu_s
from wrk import BadRound

CONNECTIONS = 16
STREAMS = 16  # of each connection, in work at once

FINISHED = re.compile(r"^finished in ([\d.]+)(ms|s), ([\d.]+) req/s", re.M)
REQUESTS = re.compile(r"^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", re.M)
SENT_AS_GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


@dataclasses.dataclass
class Round:
    requests_per_s: float
    cpu_us: float  # of the server, a request
    client_busy: float  # how much of its thread's time h2load computed


def parse(text):
    """(requests done, requests a second) of h2load's output. BadRound unless all succeeded."""
    finished, requests = FINISHED.search(text), REQUESTS.search(text)
    if finished is None or requests is None:
        raise BadRound(f"h2load says: {text.strip()[-200:]}")
    done, succeeded, *bad = map(int, requests.groups())
    if done == 0 or succeeded != done or any(bad):
        raise BadRound(f"h2load says: {requests.group()}")
    return done, float(finished.group(3))


def _tool(name):
    program = shutil.which(name)
    if program is None:
        raise NotUsable(f"{name} is not installed")
    return program


def _url(server):
    return f"http://127.0.0.1:{server.port}{server.path}"


def measure(server, scratch, seconds):
    command = [_tool("h2load"), "-t1", f"-c{CONNECTIONS}", f"-m{STREAMS}", f"-D{seconds}", "-d", _body(server, scratch),
               *SENT_AS_GRPC, _url(server)]
    before, client_before = server.process.cpu_ns(), ended_children_cpu_s()
    done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, timeout=60,
                          env=clean_environment(scratch), stdin=subprocess.DEVNULL)
    cpu_ns = server.process.cpu_ns() - before
    client_cpu_s = ended_children_cpu_s() - client_before
    if done.returncode != 0:
        raise BadRound(f"h2load failed: {done.stderr.strip()[-200:]}")
    requests, per_s = parse(done.stdout)
    return Round(per_s, cpu_ns / 1e3 / requests, client_cpu_s / seconds)


def headers_of_answer(server, scratch):
    """{name: value} of the headers and trailers of one answer; empty while nobody answers."""
    command = [_tool("nghttp"), "-v", "-n", "--no-dep", "-d", _body(server, scratch), *SENT_AS_GRPC, _url(server)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, timeout=20,
                          env=clean_environment(scratch), stdin=subprocess.DEVNULL)
    return dict(re.findall(r"recv \(stream_id=\d+\) (:?[\w-]+): (.*)$", done.stdout, re.M))


def _body(server, scratch):
    file = pathlib.Path(scratch) / f"{server.name}-{server.port}.frame"
    if not file.exists():
        file.write_bytes(server.body)
    return file
