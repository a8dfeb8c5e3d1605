"""examples/ as a user runs them: what they print, how they fail, and that nothing stays behind."""

import contextlib
import math
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy
import pytest
from onnxd_server import ROOT, binary, wait_for

sys.path.append(str(ROOT))
from examples import serving  # noqa: E402

TIMEOUT_S = 100
FRAMEWORK_TIMEOUT_S = 500  # PyTorch and TensorFlow take their time to be imported, once more by each worker
PASS = re.compile(r"PASS (\d+) rows, largest difference (\d\.\de[+-]\d\d)")

# A server as far as an example can see, that knows nothing: every row is of class 0.
STAND_IN = """#!{python}
import http.server, json, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({ready}, b"")

    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
        self.answer({status}, json.dumps([0] * (len(rows) - {left_out})).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: sys.exit(0))
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("INFO listening on http://127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
"""


def executable(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


def stand_in(tmp_path, ready=200, status=200, left_out=0):
    text = STAND_IN.format(python=sys.executable, ready=ready, status=status, left_out=left_out)
    return executable(tmp_path / "stand-in", text)


class Example:
    """A run of an example, in a session of its own by which its processes are found."""

    def __init__(self, name, tmp_path, server=None, python=sys.executable):
        self.temporary = tmp_path / "tmp"
        self.temporary.mkdir()
        environment = {**os.environ, "ONNXD_BINARY": str(server or binary()), "TMPDIR": str(self.temporary)}
        self.process = subprocess.Popen([python, "-m", f"examples.{name}"], cwd=ROOT, env=environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def processes(self):
        """{pid: command line} of all that are alive: the example, its servers, their workers."""
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found[int(entry.name)] = (entry / "cmdline").read_bytes()
        return found

    def finish(self, timeout_s=TIMEOUT_S):
        """(exit code, verdict, log); holds it to one verdict and to leaving nothing behind."""
        try:
            out, errors = self.process.communicate(timeout=timeout_s)
            assert self.processes() == {}
        finally:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
        # PyTorch makes itself a folder where it is imported.
        left = [path for path in self.temporary.iterdir() if not path.name.startswith("torchinductor_")]
        assert left == []
        verdicts = [line for line in out.splitlines() if line.startswith(("PASS", "FAIL"))]
        assert len(verdicts) == 1, (out, errors)
        assert out.splitlines()[-1] == verdicts[0]
        return self.process.returncode, verdicts[0], errors


def passes(name, tmp_path, rows=150, python=sys.executable, timeout_s=TIMEOUT_S):
    code, verdict, errors = Example(name, tmp_path, python=python).finish(timeout_s)
    assert code == 0, (verdict, errors)
    match = PASS.fullmatch(verdict)
    assert match, verdict
    assert int(match[1]) == rows and float(match[2]) <= 1e-5, verdict
    assert "the server's log" not in errors


@pytest.mark.parametrize("model", ["logistic_regression", "random_forest", "neural_network"])
def test_train_and_serve(tmp_path, model):
    passes(f"train_and_serve_{model}", tmp_path)


def test_mixed_columns(tmp_path):
    passes("train_and_serve_mixed_columns", tmp_path, rows=500)


def test_native_sklearn(tmp_path):
    passes("serve_native_sklearn", tmp_path)


@pytest.mark.torch
@pytest.mark.timeout(FRAMEWORK_TIMEOUT_S + 20)
def test_native_pytorch(tmp_path):
    python = os.environ["ONNXD_TORCH_PYTHON"]
    passes("serve_native_pytorch", tmp_path, python=python, timeout_s=FRAMEWORK_TIMEOUT_S)


@pytest.mark.tensorflow
@pytest.mark.timeout(FRAMEWORK_TIMEOUT_S + 20)
def test_native_tensorflow(tmp_path):
    python = os.environ["ONNXD_TENSORFLOW_PYTHON"]
    passes("serve_native_tensorflow", tmp_path, python=python, timeout_s=FRAMEWORK_TIMEOUT_S)


# What goes wrong is seen.


def fails(tmp_path, server, code=1):
    got, verdict, errors = Example("train_and_serve_logistic_regression", tmp_path, server).finish()
    assert got == code, (verdict, errors)
    return verdict, errors


@pytest.mark.parametrize("faults, said", [
    ({}, "FAIL labels, JSON over HTTP, row 50: the server says 0, the model itself 1"),
    ({"left_out": 1}, "FAIL labels, JSON over HTTP: 149 answers for 150 rows"),
    ({"status": 500}, "FAIL a request in application/json was answered with 500: "),
])
def test_wrong_answers(tmp_path, faults, said):
    verdict, errors = fails(tmp_path, stand_in(tmp_path, **faults))
    assert verdict.startswith(said)
    assert "the server's log" in errors and "listening on" in errors


@pytest.mark.parametrize("lines, said", [
    ("exit 3", "FAIL the server ended with 3 before there was an address in its log"),
    ("echo 'INFO listening on http://127.0.0.1:1'; exit 4", "FAIL the server ended with 4 before there was 200 from /ready"),
    ("echo 'ERROR not ready: it is no model'; exec sleep 600", "FAIL the server cannot serve the model: it is no model"),
])
def test_a_server_that_does_not_come_up(tmp_path, lines, said):
    verdict, errors = fails(tmp_path, executable(tmp_path / "server", f"#!/bin/sh\n{lines}\n"))
    assert verdict == said
    assert "the server's log" in errors


def test_a_server_that_ends_badly(tmp_path):
    lines = f'"{binary()}" "$@" & server=$!; trap "kill $server; wait $server; exit 7" TERM; wait $server'
    verdict, _ = fails(tmp_path, executable(tmp_path / "server", f"#!/bin/sh\n{lines}\n"))
    assert verdict == "FAIL the server ended with 7 after SIGTERM, not with 0"


def test_no_server_at_all(tmp_path):
    verdict, _ = fails(tmp_path, tmp_path / "nowhere", code=2)
    assert verdict == f"FAIL there is no server at {tmp_path}/nowhere: `make build` makes it, or ONNXD_BINARY names another"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(tmp_path, number):
    """The server is up and never ready: the example waits for it."""
    example = Example("train_and_serve_logistic_regression", tmp_path, stand_in(tmp_path, ready=500))
    wait_for(lambda: any(b"stand-in" in command for command in example.processes().values()), "the server's process")
    example.process.send_signal(number)
    code, verdict, _ = example.finish()
    assert (code, verdict) == (128 + number, f"FAIL stopped by {number.name}")


@pytest.mark.parametrize("answered, said", [
    ([[0.25, 0.75], [1.0, 0.0]], None),
    ([[0.25, 0.750009], [1.0, 0.0]], None),
    ([[0.25, 0.75], [1.0, 0.00002]], "row 1, column 1: the server says 2e-05, the model itself 0.0"),
    ([[0.25, 0.75], [math.nan, 0.0]], "row 1, column 0: the server says nan, the model itself 1.0"),
    ([[0.25, math.inf], [1.0, 0.0]], "row 0, column 1: the server says inf, the model itself 0.75"),
    ([[0.25, 0.75], [1.0]], "row 1: the server says [1.0], the model itself [1.0, 0.0]"),
    ([[0.25, 0.75], 1.0], "row 1: the server says 1.0, the model itself [1.0, 0.0]"),
    ([[0.25, 0.75]], "1 answers for 2 rows"),
    ({"error": "none"}, "dict answers for 2 rows"),
])
def test_numbers_are_compared(answered, said):
    expected = numpy.array([[0.25, 0.75], [1.0, 0.0]])
    if said is None:
        assert 0 <= serving.compare_numbers(answered, expected, "scores") <= 1e-5
    else:
        with pytest.raises(serving.Failed) as failure:
            serving.compare_numbers(answered, expected, "scores")
        assert str(failure.value).endswith(said)


@pytest.mark.parametrize("answered", [[0, 2], [0.0, 1], ["0", "1"], [0], [0, 1, 1], None])
def test_labels_are_compared(answered):
    serving.compare_labels([0, 1], numpy.array([0, 1]), "labels")
    with pytest.raises(serving.Failed):
        serving.compare_labels(answered, numpy.array([0, 1]), "labels")
