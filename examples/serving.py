"""What the examples share: a server's life, requests to it, and the comparison of its answers.

An example is a function that returns (rows, largest difference) or raises Failed; main() gives it its one
PASS or FAIL line and its exit code. Nothing here is more than the standard library, but gRPC where grpcio is.
"""

import contextlib
import functools
import http.client
import importlib.util
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 120  # a worker may import TensorFlow first
STOP_TIMEOUT_S = 40  # the server itself drains for 30 s at most
REQUEST_TIMEOUT_S = 60
TOLERANCE = 1e-5

JSON = "application/json"
CSV = "text/csv"

# Settings to serve a native artifact: its workers run on this very Python, which has the framework.
NATIVE = {"WORKER_PYTHON": sys.executable}

# What the server gets of our own environment: settings that happen to be there are not for it.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "ONNX_RUNTIME_LIBRARY",
             "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LISTENING = re.compile(r"listening on http://\S*:(\d+)")
NOT_READY = re.compile(r"ERROR not ready: (.*)")
LISTENING_FOR_GRPC = re.compile(r"listening for gRPC on \S*:(\d+)")


class Failed(Exception):
    """What an example says after FAIL, in one line."""


class CannotRun(Failed):
    """Something is missing that the example needs before it can show anything."""


class Stopped(BaseException):
    """A signal asked the example to stop."""


# The example as a program.


def main(example):
    """Runs an example. Exit codes: 0 PASS, 1 FAIL, 2 it cannot run at all, 128 + n stopped by signal n."""
    for number in SIGNALS:
        signal.signal(number, stop_on_signal)
    try:
        rows, difference = example()
    except Stopped as reason:
        number = reason.args[0]
        print(f"FAIL stopped by {signal.Signals(number).name}", flush=True)
        sys.exit(128 + number)
    except Exception as problem:
        what = str(problem)
        if not isinstance(problem, Failed):
            traceback.print_exc()
            what = f"{type(problem).__name__}: {what}"
        print("FAIL", " ".join(what.split()), flush=True)
        sys.exit(2 if isinstance(problem, CannotRun) else 1)
    print(f"PASS {rows} rows, largest difference {difference:.1e}", flush=True)


def stop_on_signal(number, _frame):
    """An exception, so that everything on the way out is cleaned up; a second signal changes nothing."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


@contextlib.contextmanager
def signals_held():
    """Between the fork of a process and the moment when we know its id, no signal may take us away."""
    held = []
    handlers = {number: signal.signal(number, lambda number, _frame: held.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


@contextlib.contextmanager
def model_directory():
    """A directory for the artifacts, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="onnxd-example-") as directory:
        yield pathlib.Path(directory)


# The server.


class Server:
    """onnxd on a model's directory, as a context manager: ready inside, stopped and gone after.

    Settings are the server's, by name: Server(directory, MODEL_OUTPUT="predict_proba"). The ports are free ones that
    the kernel chooses. The log is shown when something fails inside, and only then.
    """

    def __init__(self, directory, **settings):
        self.directory = directory
        self.environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self.environment |= {"HOST": "127.0.0.1", "PORT": "0", "GRPC_HOST": "127.0.0.1", "GRPC_PORT": "0"}
        self.environment |= {"OTEL_ENABLED": "false"} | settings
        self.process = None

    def __enter__(self):
        binary = pathlib.Path(os.environ.get("ONNXD_BINARY", ROOT / "build/onnxd"))
        if not os.access(binary, os.X_OK):
            raise CannotRun(f"there is no server at {binary}: `make build` makes it, or ONNXD_BINARY names another")
        self.log = tempfile.TemporaryFile()
        try:
            with signals_held():
                self.process = subprocess.Popen(
                    [binary, "serve", self.directory],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=self.log,
                    stderr=subprocess.STDOUT,
                )
            self.port = int(self._wait_for(lambda: LISTENING.search(self._log_text()), "an address in its log")[1])
            self._wait_for(self._is_ready, "200 from /ready")
        except BaseException:
            self._end(show_log=True)
            raise
        print(f"serving {', '.join(sorted(os.listdir(self.directory)))} on http://127.0.0.1:{self.port}", flush=True)
        return self

    def __exit__(self, kind, problem, trace):
        if kind is not None:
            self._end(show_log=True)
            return
        try:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(STOP_TIMEOUT_S)
            if code != 0:
                raise Failed(f"the server ended with {code} after SIGTERM, not with 0")
        except subprocess.TimeoutExpired:
            self._end(show_log=True)
            raise Failed(f"the server still ran {STOP_TIMEOUT_S} s after SIGTERM") from None
        except BaseException:
            self._end(show_log=True)
            raise
        self._end(show_log=False)

    def _end(self, show_log):
        """Whatever state it is in: the process is gone afterwards, and its workers with it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if show_log:
            print("--- the server's log\n" + self._log_text() + "---", file=sys.stderr, flush=True)
        self.log.close()

    def _log_text(self):
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode("utf-8", "replace")

    def _wait_for(self, condition, what):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            value = condition()
            if value:
                return value
            refusal = NOT_READY.search(self._log_text())
            if refusal:
                raise Failed(f"the server cannot serve the model: {refusal[1]}")
            if self.process.poll() is not None:
                raise Failed(f"the server ended with {self.process.returncode} before there was {what}")
            if time.monotonic() > deadline:
                raise Failed(f"there was not {what} within {START_TIMEOUT_S} s")
            time.sleep(0.02)

    def _is_ready(self):
        try:
            return self._request("GET", "/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def post(self, body, content_type=JSON, accept=JSON):
        """The text that POST /invocations answers."""
        headers = {"Content-Type": content_type, "Accept": accept}
        status, text = self._request("POST", "/invocations", body.encode(), headers)
        if status != 200:
            raise Failed(f"a request in {content_type} was answered with {status}: {text}")
        return text

    def call(self, body, content_type=JSON, accept=JSON):
        """The same over gRPC: the body that InferenceService/Predict answers."""
        import grpc

        messages, calls = grpc_stubs()
        request = messages.PredictRequest(payload=body.encode(), content_type=content_type, accept=accept)
        target = f"127.0.0.1:{LISTENING_FOR_GRPC.search(self._log_text())[1]}"
        with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
            try:
                reply = calls.InferenceServiceStub(channel).Predict(request, timeout=REQUEST_TIMEOUT_S)
            except grpc.RpcError as problem:
                raise Failed(f"a call with {content_type} ended with {problem.code().name}: {problem.details()}")
        return reply.body.decode()

    def ways(self):
        """[(name, function)]: the ways in which the same body can be asked about."""
        ways = [("HTTP", self.post)]
        if has_grpc():
            ways.append(("gRPC", self.call))
        return ways


def has_grpc():
    return all(importlib.util.find_spec(name) is not None for name in ("grpc", "grpc_tools"))


@functools.cache
def grpc_stubs():
    from examples.grpc_client import load_stubs

    return load_stubs()


# Bodies.


def json_body(rows):
    return json.dumps({"instances": rows.tolist()})


def csv_body(rows):
    return "\n".join(",".join(map(repr, row)) for row in rows.tolist()) + "\n"


def csv_numbers(text):
    return [[float(cell) for cell in line.split(",")] for line in text.splitlines()]


# Comparison.


def compare_labels(answered, expected, what):
    """Holds the answered labels to the expected ones, all of them, and their types."""
    expected = expected.tolist() if hasattr(expected, "tolist") else list(expected)
    compare_count(answered, expected, what)
    for row, (label, wanted) in enumerate(zip(answered, expected)):
        if (type(label), label) != (type(wanted), wanted):
            raise Failed(f"{what}, row {row}: the server says {label!r}, the model itself {wanted!r}")


def compare_numbers(answered, expected, what, tolerance=TOLERANCE):
    """The largest difference between two matrices; past the tolerance it is a failure."""
    expected = expected.tolist()
    compare_count(answered, expected, what)
    largest = 0.0
    for row, (numbers, wanted) in enumerate(zip(answered, expected)):
        if not isinstance(numbers, list) or len(numbers) != len(wanted):
            raise Failed(f"{what}, row {row}: the server says {numbers!r}, the model itself {wanted!r}")
        for column, (number, other) in enumerate(zip(numbers, wanted)):
            difference = abs(number - other)
            if math.isnan(difference) or difference > tolerance:
                raise Failed(f"{what}, row {row}, column {column}: the server says {number}, the model itself {other}")
            largest = max(largest, difference)
    return largest


def compare_count(answered, expected, what):
    if not isinstance(answered, list) or len(answered) != len(expected):
        count = len(answered) if isinstance(answered, list) else type(answered).__name__
        raise Failed(f"{what}: {count} answers for {len(expected)} rows")


def compare_classifier(directory, rows, labels, probabilities, labels_by, probabilities_by):
    """Serves a classifier twice, asks for all rows, and returns the largest difference of a probability.

    `labels_by` and `probabilities_by` are the settings that choose the output. Both are asked for in JSON and in CSV,
    over HTTP and, where grpcio is installed, over gRPC.
    """
    with Server(directory, **labels_by) as server:
        for way, ask in server.ways():
            compare_labels(json.loads(ask(json_body(rows))), labels, f"labels, JSON over {way}")
            answered = ask(csv_body(rows), CSV, CSV).splitlines()
            compare_labels(answered, [str(label) for label in labels], f"labels, CSV over {way}")
    return compare_scores(directory, rows, probabilities, probabilities_by)


def compare_scores(directory, rows, scores, settings):
    """The same for a model whose one answer is a matrix of scores, [rows, classes]."""
    differences = []
    with Server(directory, **settings) as server:
        for way, ask in server.ways():
            answers = {"JSON": json.loads(ask(json_body(rows))), "CSV": csv_numbers(ask(csv_body(rows), CSV, CSV))}
            for form, answered in answers.items():
                differences.append(compare_numbers(answered, scores, f"scores, {form} over {way}"))
                best = [row.index(max(row)) for row in answered]
                compare_labels(best, scores.argmax(axis=1), f"best class, {form} over {way}")
    return max(differences)
