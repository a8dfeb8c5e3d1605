"""deploy/systemd/onnxd.service: systemd takes it, finds it hardened, and onnxd lives with what is left to it."""

import re
import shutil
import subprocess
import sys

import pytest
from onnxd_server import ROOT, binary, is_sanitized

UNIT = ROOT / "deploy/systemd/onnxd.service"

pytestmark = pytest.mark.skipif(not UNIT.parent.is_dir(), reason="an image's build has no deploy/")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
not_sanitized = pytest.mark.skipif(is_sanitized(), reason="a sanitizer's own calls and mappings are not onnxd's")

EXPOSURE_MAX = 15  # tenths, of systemd's scale from 0 (safe) to 10


def settings(name):
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.M)


@pytest.fixture
def installed(tmp_path):
    """The unit with the program where this build has it, for checks that look for the file."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/usr/local/bin/onnxd", str(binary())))
    return path


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True)


@needs_systemd
def test_systemd_takes_the_unit(installed):
    done = analyze("verify", "--man=no", "--recursive-errors=no", installed)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@needs_systemd
def test_little_is_exposed(installed):
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", installed)
    assert done.returncode == 0, done.stdout


def test_a_drain_fits_into_the_time_to_stop():
    drain_s, = re.findall(r"DRAIN_TIMEOUT_S=(\d+)", UNIT.read_text())
    stop_s, = settings("TimeoutStopSec")
    assert int(drain_s) < int(stop_s)


def allowed_calls():
    """The names of SystemCallFilter=, groups taken apart."""
    groups, current = {}, None
    for line in analyze("syscall-filter").stdout.splitlines():
        word = line.strip()
        if line.startswith("@"):
            current = groups.setdefault(word, set())
        elif word and not word.startswith("#") and current is not None:
            current.add(word)

    def names(group):
        return {name for word in groups[group] for name in (names(word) if word.startswith("@") else {word})}

    allowed = set()
    for line in settings("SystemCallFilter"):
        for word in line.removeprefix("~").split():
            allowed = allowed - names(word) if line.startswith("~") else allowed | names(word)
    return allowed


@needs_systemd
@not_sanitized
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_onnxd_calls_only_what_the_unit_leaves_it(tmp_path, start, model_dir):
    if subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True).returncode != 0:
        pytest.skip("tracing is not permitted here")
    trace = tmp_path / "trace"
    server = start(model_dir("iris_logistic_regression"), env={"EXECUTION": "pooled"},
                   wrapper=["strace", "-f", "-qq", "-o", str(trace)])
    rows = [[5.1, 3.5, 1.4, 0.2]] * 4000
    assert server.invoke(rows).status_code == 200
    assert server.get("/metrics").status_code == 200
    server.stop()
    called = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed>)", trace.read_text("utf-8", "replace"), re.M))
    assert {"execve", "openat", "accept4"} <= called
    allowed = allowed_calls()
    assert "read" in allowed and "mount" not in allowed
    assert called - allowed == set()


@not_sanitized
def test_onnxd_needs_no_writable_code(start):
    """MemoryDenyWriteExecute=, asked of the kernel itself (prctl PR_SET_MDWE)."""
    assert settings("MemoryDenyWriteExecute") == ["yes"]
    deny = ("import ctypes, os, sys; libc = ctypes.CDLL(None); "
            "libc.prctl(65, 1, 0, 0, 0) == 0 or sys.exit(77); os.execv(sys.argv[1], sys.argv[1:])")
    if subprocess.run([sys.executable, "-c", deny, "/bin/true"]).returncode == 77:
        pytest.skip("this kernel cannot deny it")
    # Through a shell, which stays: a wrapper's child is the server.
    shell = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", deny]
    server = start("iris_logistic_regression", wrapper=shell)
    assert server.invoke("[[5.1,3.5,1.4,0.2]]").json() == [0]
