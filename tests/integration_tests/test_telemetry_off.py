"""Nothing is sent anywhere: strace sees no socket but our listener's, no file of the runtime's telemetry."""

import pathlib
import re
import shutil
import subprocess

import pytest
from onnxd_server import Server, is_sanitized, run_onnxd

pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.skipif(is_sanitized(), reason="the leak check cannot run below strace"),
]

CALLS = "trace=%network,open,openat,openat2,creat,mkdir,mkdirat,execve"


def can_trace():
    return subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """The trace of a life: start, a few requests of each kind, end. With what HOME held after it."""
    if not can_trace():
        pytest.skip("tracing is not permitted here")
    path = tmp_path_factory.mktemp("strace") / "trace"
    with Server("iris_logistic_regression", env={"IO_THREADS": "1"},
                wrapper=["strace", "-f", "-qq", "-e", CALLS, "-o", str(path)]) as server:
        for _ in range(20):
            assert server.invoke("[[5.1,3.5,1.4,0.2]]").status_code == 200
        server.get("/metrics")
        server.invoke("nonsense")
        home = list(server.home.rglob("*"))
        port = server.port
    return path.read_text("utf-8", "replace"), home, port


def test_the_trace_shows_what_happened(traced):
    """Otherwise the tests below could not fail."""
    trace, _, port = traced
    assert re.search(r"openat\(.*libonnxruntime", trace)
    assert re.search(r"openat\(.*model\.onnx", trace)
    assert re.search(r"bind\(.*127\.0\.0\.1", trace)
    assert re.search(r"\blisten\(", trace)
    assert port


def test_no_file_of_the_telemetry(traced):
    trace, home, _ = traced
    assert home == []
    assert ".cache/Microsoft" not in trace
    known = r'/dev/(null|tty)|\.gcda"'  # the latter: the counters of a coverage build
    written = [line for line in trace.splitlines()
               if re.search(r"O_WRONLY|O_RDWR|O_CREAT|\bcreat\(|\bmkdir", line) and not re.search(known, line)]
    assert written == []


def test_no_sockets_but_the_listeners(traced):
    """One for HTTP, one for gRPC."""
    trace, _, _ = traced
    sockets = re.findall(r"socket\((AF_\w+), (\w+)", trace)
    assert [family for family, _ in sockets if family in ("AF_INET", "AF_INET6")] == ["AF_INET"] * 2, sockets
    assert not re.search(r"\bconnect\(", trace), "something connects"
    assert not re.search(r"\bsendto\(\d+, .*AF_INET", trace)
    assert not re.search(r"SOCK_DGRAM", trace), "something asks a name server"


def test_commands_send_nothing_either(tmp_path):
    if not can_trace():
        pytest.skip("tracing is not permitted here")
    from onnxd_server import MODELS, binary, environment

    source = tmp_path / "rows.csv"
    source.write_text("1,2,3\n")
    home = tmp_path / "home"
    home.mkdir()
    for args in (["inspect", MODELS / "sum3"], ["version"], ["predict", MODELS / "sum3", "--input", source]):
        path = tmp_path / "trace"
        done = subprocess.run(["strace", "-f", "-qq", "-e", CALLS, "-o", path, binary(), *map(str, args)],
                              env=environment({}, home), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        trace = path.read_text("utf-8", "replace")
        assert "libonnxruntime" in trace
        assert not re.search(r"\bconnect\(|socket\(AF_INET", trace)
        assert ".cache/Microsoft" not in trace
    assert list(home.rglob("*")) == []


def test_a_home_that_cannot_be_written(start, tmp_path):
    """A read-only root filesystem is no obstacle."""
    home = tmp_path / "readonly"
    home.mkdir()
    home.chmod(0o500)
    server = start("sum3", env={"HOME": str(home)})
    assert server.invoke("[[1,2,3]]").json() == [[6.0]]
    assert list(home.iterdir()) == []
    no_home = start("sum3", env={"HOME": ""})
    assert no_home.invoke("[[1,2,3]]").json() == [[6.0]]
    assert run_onnxd("version", env={"HOME": str(pathlib.Path("/nonexistent"))}).returncode == 0
