"""One round of load: wrk with one thread, keep-alive, and the server's CPU time beside it."""

import dataclasses
import json
import pathlib
import shutil
import subprocess

from processes import NotUsable, clean_environment, ended_children_cpu_s

SCRIPT = """
local file = io.open("%(body)s", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "%(content_type)s"
file:close()
function done(summary, latency, requests)
    local errors = summary.errors
    io.stderr:write(string.format(
        '{"requests": %%d, "seconds": %%.6f, "p50_us": %%.1f, "p99_us": %%.1f, "bad_status": %%d, "lost": %%d}',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclasses.dataclass
class Round:
    requests: int
    requests_per_s: float
    p50_us: float
    p99_us: float
    cpu_us: float  # of the server, a request
    client_cpu_us: float  # of wrk, a request

    @property
    def client_busy(self):
        """How much of its one thread's time the client computed; at 1 the figure is the client's."""
        return self.client_cpu_us * self.requests_per_s / 1e6


class BadRound(Exception):
    """A round whose answers were not all 200: its figures would mean nothing."""


def _command(server, scratch, connections, seconds):
    program = shutil.which("wrk")
    if program is None:
        raise NotUsable("wrk is not installed")
    body = pathlib.Path(scratch) / f"{server.name}-{server.port}.body"
    script = body.with_suffix(".lua")
    if not script.exists():
        body.write_bytes(server.body if isinstance(server.body, bytes) else server.body.encode())
        script.write_text(SCRIPT % {"body": body, "content_type": server.content_type})
    return [program, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script,
            f"http://127.0.0.1:{server.port}{server.path}"]


def start(server, scratch, connections, seconds):
    """Load that runs while something else is measured; wait for it with finish()."""
    return subprocess.Popen(_command(server, scratch, connections, seconds), cwd=scratch,
                            env=clean_environment(scratch), stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process, timeout_s=60):
    try:
        _, errors = process.communicate(timeout=timeout_s)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode != 0 or "{" not in errors:
        raise BadRound(f"wrk failed: {errors.strip()}")
    return json.loads(errors[errors.index("{"):])


def measure(server, scratch, connections, seconds):
    """One round. wrk counts what was answered within the time; so does the CPU time, to a request
    a connection."""
    before, client_before = server.process.cpu_ns(), ended_children_cpu_s()
    result = finish(start(server, scratch, connections, seconds))
    cpu_ns = server.process.cpu_ns() - before
    client_cpu_s = ended_children_cpu_s() - client_before
    if result["bad_status"] or result["lost"] or not result["requests"]:
        raise BadRound(f"{server.name}: {result}")
    return Round(
        requests=result["requests"],
        requests_per_s=result["requests"] / result["seconds"],
        p50_us=result["p50_us"],
        p99_us=result["p99_us"],
        cpu_us=cpu_ns / 1e3 / result["requests"],
        client_cpu_us=client_cpu_s * 1e6 / result["requests"],
    )
