"""Runs the server under test and talks to it: Server, RawConnection and a few helpers.

The binary comes from $ONNXD_BUILD_DIR (default: build/). Nothing here sleeps for a fixed time or
listens on a fixed port: conditions are polled, and the kernel chooses ports.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import httpx

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "tests/data/models"
BAD_MODELS = ROOT / "tests/data/bad_models"
EXAMPLES = ROOT / "examples/models"

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60

# Text that a sanitizer, or an assertion of ours, writes when it has found something.
REPORTS = re.compile(
    r"ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error: |"
    r": check failed: "
)
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "ONNX_RUNTIME_LIBRARY", "ASAN_OPTIONS", "LSAN_OPTIONS",
             "UBSAN_OPTIONS", "TSAN_OPTIONS", "LLVM_PROFILE_FILE", "GCOV_PREFIX")

running = []  # servers now up, for reports of failed tests


def build_dir():
    path = pathlib.Path(os.environ.get("ONNXD_BUILD_DIR", "build"))
    return path if path.is_absolute() else ROOT / path


def binary(fake=False):
    return build_dir() / ("onnxd-fake" if fake else "onnxd")


def is_sanitized():
    """Whether the binaries carry a sanitizer: their memory and their speed say little then."""
    cache = build_dir() / "CMakeCache.txt"
    return cache.exists() and re.search(r"^ONNXD_SANITIZE:\w+=.+", cache.read_text(), re.M) is not None


def environment(extra, home):
    """A clean environment: nothing of the caller's but what finds programs and sanitizers."""
    result = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    result["HOME"] = str(home)
    result["OTEL_ENABLED"] = "false"
    result["HOST"] = result["GRPC_HOST"] = "127.0.0.1"
    result["GRPC_PORT"] = "0"
    result.update({name: str(value) for name, value in extra.items() if value is not None})
    return result


def wait_for(condition, what, timeout_s=START_TIMEOUT_S):
    """The first true value of condition(); polls, and fails naming `what` after the timeout."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.005)


def run_onnxd(*args, env=None, fake=False, input=None, cwd=None, timeout_s=60):
    """One run of a subcommand to its end. Output is text, or bytes where `input` is bytes."""
    with tempfile.TemporaryDirectory(prefix="onnxd-home-") as home:
        done = subprocess.run(
            [binary(fake), *map(str, args)],
            env=environment(env or {}, home),
            input=input,
            capture_output=True,
            text=not isinstance(input, bytes),
            cwd=cwd,
            timeout=timeout_s,
        )
    errors = done.stderr if isinstance(done.stderr, str) else done.stderr.decode("utf-8", "replace")
    assert not REPORTS.search(errors), errors
    assert done.returncode >= 0, f"killed by signal {-done.returncode}: {errors}"
    return done


class Server:
    """One server process. Use as a context manager, or start() and stop().

    model: a directory or a file; its name alone means one of tests/data/models. It goes into
    SM_MODEL_DIR (and MODEL_FILENAME). expect_ready=False: returns as soon as it is live, whatever
    becomes of the model.
    """

    def __init__(self, model=None, *, env=None, args=(), fake=False, expect_ready=True, wrapper=()):
        self.env = dict(env or {})
        self.args = list(args)
        self.fake = fake
        self.expect_ready = expect_ready
        self.wrapper = list(wrapper)
        self.process = None
        self.port = None
        self.stopped = False
        if model is not None:
            path = MODELS / model if isinstance(model, str) and "/" not in model else pathlib.Path(model)
            directory, name = (path.parent, path.name) if path.is_file() else (path, None)
            self.env.setdefault("SM_MODEL_DIR", str(directory))
            if name is not None:
                self.env.setdefault("MODEL_FILENAME", name)

    # Life.

    def start(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="onnxd-test-"))
        self.home = self.directory / "home"
        self.home.mkdir()
        self.stderr_path = self.directory / "stderr"
        self.stdout_path = self.directory / "stdout"
        env = {"PORT": "0", **self.env}
        with open(self.stderr_path, "wb") as stderr, open(self.stdout_path, "wb") as stdout:
            self.process = subprocess.Popen(
                [*self.wrapper, str(binary(self.fake)), "serve", *map(str, self.args)],
                env=environment(env, self.home),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        running.append(self)
        try:
            self.port = wait_for(self._find_port, "the line `listening on http://HOST:PORT`")
            wait_for(self._answers, "an answer to GET " + ("/ready" if self.expect_ready else "/live"))
        except BaseException as problem:
            self.kill()
            problem.add_note(self.describe())
            raise
        return self

    def _check_alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server has ended with {self.process.returncode}\n{self.stderr()}")

    def _find_port(self):
        self._check_alive()
        match = re.search(r"listening on http://\S*:(\d+)", self.stderr())
        return int(match.group(1)) if match else None

    def grpc_port(self):
        """The port that takes gRPC alone: the line that names it comes before the other."""
        return int(re.search(r"listening for gRPC on \S*:(\d+)", self.stderr()).group(1))

    def _answers(self):
        self._check_alive()
        try:
            path = "/ready" if self.expect_ready else "/live"
            with self.client(timeout=10) as client:
                return client.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def pid(self):
        """Of the server itself, also below a wrapper like strace."""
        if not self.wrapper:
            return self.process.pid
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def terminate(self, number=signal.SIGTERM):
        os.kill(self.pid(), number)

    def wait(self, timeout_s=STOP_TIMEOUT_S):
        """The exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {timeout_s} s after it was told to stop\n{self.stderr()}") from None

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            if self.wrapper:
                os.kill(self.pid(), signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        self._forget()

    def _forget(self):
        self.stopped = True
        if self in running:
            running.remove(self)

    def stop(self, expect_code=0):
        """Ends the server and holds it to a clean exit. Harmless when it has been stopped."""
        if self.stopped:
            return
        try:
            if self.process.poll() is None:
                self.terminate()
            code = self.wait()
            assert code == expect_code, f"exit code {code}\n{self.stderr()}"
            assert not REPORTS.search(self.stderr()), self.stderr()
        finally:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, problem, trace):
        if kind is None:
            self.stop()
        else:
            problem.add_note(self.describe())
            self.kill()

    # What it says and takes.

    def stderr(self):
        return self.stderr_path.read_text("utf-8", "replace")

    def stdout(self):
        return self.stdout_path.read_text("utf-8", "replace")

    def describe(self):
        lines = self.stderr().splitlines()
        head = f"{binary(self.fake).name} {' '.join(map(str, self.args))} {self.env}"
        return "\n".join([f"--- {head}: the last lines of stderr", *lines[-60:]])

    def log_lines(self, *words):
        """Lines of stderr that hold all the words, in any case."""
        return [line for line in self.stderr().splitlines()
                if all(word.lower() in line.lower() for word in words)]

    def rss_bytes(self, line="VmRSS"):
        """Resident memory; with line="VmHWM" the most it ever was."""
        status = pathlib.Path(f"/proc/{self.pid()}/status").read_text()
        return int(re.search(rf"^{line}:\s+(\d+) kB", status, re.M).group(1)) * 1024

    # Requests.

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def client(self, **options):
        options.setdefault("timeout", 60)
        # verify=False: no certificates are read for connections that have none.
        return httpx.Client(base_url=self.url(""), trust_env=False, verify=False, **options)

    def request(self, method, path, **options):
        with self.client() as client:
            return client.request(method, path, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def invoke(self, body, content_type="application/json", accept=None, **headers):
        """POST /invocations. `body` is text, bytes, or a value that becomes JSON."""
        if not isinstance(body, (str, bytes)):
            import json
            body = json.dumps(body)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type is not None:
            fields["Content-Type"] = content_type
        with self.client() as client:
            # httpx would add one of its own.
            del client.headers["accept"]
            if accept is not None:
                fields["Accept"] = accept
            return client.post("/invocations", content=body, headers=fields)

    def connect(self, timeout_s=30):
        return RawConnection(("127.0.0.1", self.port), timeout_s)

    def metrics(self):
        """What a scrape says; one that finds too many others in hand comes again."""
        def scrape():
            response = self.get("/metrics")
            return None if response.status_code == 429 else response.text
        return parse_metrics(wait_for(scrape, "a scrape is answered"))

    def metric(self, name, **labels):
        """The value of one series, or the sum over all that have these labels."""
        return metric_sum(self.metrics(), name, **labels)


def parse_metrics(text):
    """{name: [(labels, value)]} of the Prometheus text format; fails on a line that is none."""
    result = {}
    for line in text.splitlines():
        if line == "" or line.startswith("#"):
            continue
        match = re.fullmatch(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)', line)
        assert match, f"no line of the text format: {line!r}"
        labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match.group(2) or ""))
        result.setdefault(match.group(1), []).append((labels, float(match.group(3))))
    return result


def metric_sum(metrics, name, **labels):
    return sum(value for has, value in metrics.get(name, [])
               if all(has.get(key) == wanted for key, wanted in labels.items()))


@dataclasses.dataclass
class Response:
    """One response as it came over a raw connection."""

    status: int
    version: str
    fields: list  # of (lower-case name, value)
    body: bytes

    def __getitem__(self, name):
        values = [value for key, value in self.fields if key == name.lower()]
        return ", ".join(values) if values else None

    def json(self):
        import json
        return json.loads(self.body)

    def error(self):
        """The text of an error body, held to its shape."""
        assert self["content-type"] == "application/json", self
        document = self.json()
        assert isinstance(document.get("error"), str) and document["error"], self
        return document["error"]


class ConnectionEnded(Exception):
    """The server closed the connection where a response, or the rest of one, was expected."""


class RawConnection:
    """A socket to the server: sends exactly the bytes it is given, reads whole responses."""

    def __init__(self, address, timeout_s=30):
        self.socket = socket.create_connection(address, timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def finish(self):
        """No more bytes from us; answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def _receive(self):
        try:
            more = self.socket.recv(65536)
        except ConnectionResetError:
            more = b""
        if more == b"":
            raise ConnectionEnded(f"with {self.unread[:200]!r} unread")
        self.unread += more

    def _take_until(self, mark):
        while mark not in self.unread:
            self._receive()
        taken, self.unread = self.unread.split(mark, 1)
        return taken

    def _take(self, size):
        while len(self.unread) < size:
            self._receive()
        taken, self.unread = self.unread[:size], self.unread[size:]
        return taken

    def read_response(self, head_only=False):
        """The next response. `head_only`: it answers HEAD, so no body follows."""
        lines = self._take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = (lines[0] + " ").split(" ", 2)
        fields = []
        for line in lines[1:]:
            name, value = line.split(":", 1)
            fields.append((name.lower(), value.strip()))
        response = Response(int(status), version, fields, b"")
        if not head_only and response.status >= 200 and response.status not in (204, 304):
            length = response["content-length"]
            assert length is not None and re.fullmatch(r"\d+", length), response
            response.body = self._take(int(length))
        return response

    def read_to_end(self):
        """Everything until the server closes."""
        while True:
            try:
                self._receive()
            except ConnectionEnded:
                rest, self.unread = self.unread, b""
                return rest

    def is_closed(self):
        """Whether the server closes without sending anything more."""
        return self.read_to_end() == b""


def post_bytes(body, path="/invocations", content_type="application/json", extra=""):
    """A whole POST request over HTTP/1.1, for raw connections."""
    if isinstance(body, str):
        body = body.encode()
    head = (f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n{extra}\r\n")
    return head.encode("latin-1") + body


def expect_error(response, status=400, *words):
    """An error answer in the contract's shape, whose text holds the words. Returns the text."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert isinstance(document, dict) and isinstance(document.get("error"), str), document
    text = document["error"]
    assert text, document
    for word in words:
        assert str(word).lower() in text.lower(), f"{word!r} is not in {text!r}"
    return text
