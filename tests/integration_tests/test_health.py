"""onnxd health: one line and an exit code that say whether the service on this machine is ready."""

import pytest
from onnxd_server import run_onnxd


def health(server, *args, **env):
    return run_onnxd("health", *args, env={"PORT": str(server.port), **env})


def test_a_ready_service(servers):
    server = servers("sum3")
    done = health(server)
    assert (done.returncode, done.stdout) == (0, f"http://127.0.0.1:{server.port}/ready: answers 200\n")
    assert done.stderr == ""
    # On every address: the nearest is asked.
    assert health(server, HOST="0.0.0.0").stdout == done.stdout
    assert health(server, HOST="localhost").returncode == 0


def test_the_port_of_sagemaker_and_of_flags(servers):
    server = servers("sum3")
    for env, args in (({"SAGEMAKER_BIND_TO_PORT": str(server.port), "PORT": "1"}, ()),
                      ({"PORT": "1"}, (f"--port={server.port}",))):
        assert run_onnxd("health", *args, env=env).returncode == 0


def test_a_service_without_its_model(start, tmp_path):
    server = start(tmp_path, expect_ready=False)
    done = health(server)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"onnxd: http://127.0.0.1:{server.port}/ready: answers 500\n"
    assert health(server, "--live").returncode == 0


def test_a_service_that_has_ended(start):
    server = start("sum3")
    server.stop()
    done = health(server)
    assert done.returncode == 1
    assert done.stderr == f"onnxd: http://127.0.0.1:{server.port}/ready: Connection refused\n"


@pytest.mark.parametrize("args, words", [
    (["--timeout=0"], "--timeout 0: a number of seconds"), (["--timeout=x"], "--timeout x"),
    (["--timeout=nan"], "--timeout nan"), (["--timeout=3601"], "--timeout 3601"), (["--wrong"], "--wrong"),
    (["--port=0"], "PORT is 0"),
])
def test_arguments_that_cannot_be_used(args, words):
    done = run_onnxd("health", *args, env={"PORT": "1"})
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_it_is_listed():
    assert "  health " in run_onnxd("--help").stdout
    assert "--live" in run_onnxd("health", "--help").stdout
