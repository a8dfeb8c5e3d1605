"""examples/grpc_client.py as a new user runs it: what it prints, and how it fails."""

import subprocess
import sys

import pytest
from onnxd_grpc import grpc_port
from onnxd_server import EXAMPLES, ROOT

CLIENT = ROOT / "examples/grpc_client.py"
ROWS = "5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"


@pytest.fixture
def server(servers):
    return servers(EXAMPLES / "iris_logistic_regression")


def run(*arguments, cwd=None):
    done = subprocess.run([sys.executable, CLIENT, *map(str, arguments)], capture_output=True, text=True, cwd=cwd,
                          timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_it_asks_whether_the_server_is_ready(server):
    assert run("--target", f"localhost:{grpc_port(server)}") == (0, "Live    live\nReady   ready\n", "")


@pytest.mark.parametrize("arguments, said", [
    (("--json", "[[5.1,3.5,1.4,0.2]]"), "Predict 1 rows, application/json\n[0]\n"),
    (("--csv", "5.1,3.5,1.4,0.2\\n6.7,3.0,5.2,2.3"), "Predict 2 rows, application/json\n[0,2]\n"),
    (("--csv", "rows.csv", "--accept", "text/csv"), "Predict 2 rows, text/csv\n0\n2\n"),
])
def test_it_predicts(server, tmp_path, arguments, said):
    (tmp_path / "rows.csv").write_text(ROWS)
    code, out, errors = run("--target", f"localhost:{server.port}", *arguments, cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert out.rstrip() == f"Live    live\nReady   ready\n{said}".rstrip()


def test_it_says_what_went_wrong(server):
    code, _, errors = run("--target", f"localhost:{grpc_port(server)}", "--json", "[[1,")
    assert code == 1 and errors.startswith("INVALID_ARGUMENT: ")
    code, _, errors = run("--target", "localhost:1", "--timeout", "5")
    assert code == 1 and errors.startswith("UNAVAILABLE: ")


def test_the_readme_shows_it():
    assert ".venv/bin/python examples/grpc_client.py --json" in (ROOT / "README.md").read_text()
