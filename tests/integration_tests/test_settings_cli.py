"""Settings as variables and flags, their precedence, and start-up errors that help."""

import re
import socket

import pytest
from onnxd_server import MODELS, Server, binary, run_onnxd, wait_for

COMMANDS = ("serve", "inspect", "check", "predict", "health", "version")
SUM3 = MODELS / "sum3"


# Precedence and spelling.

def test_flag_outranks_the_environment(start):
    server = start("sum3", env={"RETURN_PREDICTIONS_ONLY": "false", "JSON_OUTPUT_KEY": "env"},
                   args=["--json-output-key=flag"])
    assert server.invoke("[[1,2,3]]").json() == {"flag": [[6.0]]}


@pytest.mark.parametrize("args", [
    ["--return-predictions-only=no"], ["--no-return-predictions-only"],
    ["--return-predictions-only", "--return-predictions-only=OFF"],
])
def test_spellings_of_a_boolean_flag(start, args):
    assert start("sum3", args=args).invoke("[[1,2,3]]").json() == {"predictions": [[6.0]]}


@pytest.mark.parametrize("text, wanted", [
    ("1", True), ("true", True), ("YES", True), ("y", True), ("On", True),
    ("0", False), ("False", False), ("no", False), ("N", False), ("off", False), ("", True), (" true ", True),
])
def test_booleans_in_the_environment(servers, text, wanted):
    answer = servers("sum3", env={"RETURN_PREDICTIONS_ONLY": text}).invoke("[[1,2,3]]").json()
    assert answer == ([[6.0]] if wanted else {"predictions": [[6.0]]})


def test_path_argument(start):
    assert start(args=[SUM3]).invoke("[[1,2,3]]").json() == [[6.0]]
    assert start(args=[SUM3 / "model.onnx"]).invoke("[[1,2,3]]").json() == [[6.0]]
    # It outranks the variables.
    assert start("log", args=[SUM3]).invoke("[[1,2,3]]").json() == [[6.0]]


def test_serve_is_the_default_command(tmp_path):
    import subprocess

    from onnxd_server import environment

    with open(tmp_path / "stderr", "wb") as stderr:
        process = subprocess.Popen([binary(), str(SUM3)], env=environment({"PORT": "0", "GRPC_PORT": "0"}, tmp_path),
                                   stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        wait_for(lambda: "listening on http://127.0.0.1:" in (tmp_path / "stderr").read_text(), "the listening line")
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_model_filename_leaves_no_directory(start, tmp_path, model_dir):
    """Only its base name is used."""
    directory = model_dir("sum3")
    (directory / "model.onnx").rename(directory / "other.onnx")
    for name in ("other.onnx", "../../../../other.onnx", "/etc/other.onnx"):
        assert start(directory, env={"MODEL_FILENAME": name}).invoke("[[1,2,3]]").json() == [[6.0]]


def test_sagemaker_bind_to_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        free = held.getsockname()[1]
    with Server("sum3", env={"PORT": "1", "SAGEMAKER_BIND_TO_PORT": str(free)}) as server:
        assert server.port == free


@pytest.mark.parametrize("env", [{"GUNICORN_THREADS": "2"}, {"GUNICORN_WORKERS": "2"}, {"GUNICORN_TIMEOUT": "30"},
                                 {"GUNICORN_GRACEFUL_TIMEOUT": "5"}, {"GUNICORN_KEEPALIVE": "5"}])
def test_the_references_process_settings_are_taken(start, env):
    assert start("sum3", env=env).get("/ready").status_code == 200


def test_unknown_variables_are_nobodys_business(start):
    assert start("sum3", env={"MAX_BODY_BYTEZ": "x", "FOO": "bar"}).get("/ready").status_code == 200


# Mistakes.

@pytest.mark.parametrize("name, value", [
    ("PORT", "eighty"), ("PORT", "65536"), ("PORT", "-1"), ("MAX_BODY_BYTES", "6MB?"), ("MAX_INFLIGHT", "0"),
    ("ACQUIRE_TIMEOUT_S", "-1"), ("ACQUIRE_TIMEOUT_S", "soon"), ("RETURN_PREDICTIONS_ONLY", "maybe"),
    ("CSV_HAS_HEADER", "perhaps"), ("CSV_DELIMITER", ",,"), ("TABULAR_DTYPE", "float33"),
    ("TABULAR_ID_COLUMNS", "a:b"), ("ONNX_INPUT_MAP_JSON", "{"), ("ONNX_OUTPUT_MAP_JSON", "[]"),
    ("ONNX_GRAPH_OPT_LEVEL", "most"), ("EXECUTION", "fast"), ("BATCHING", "on?"), ("LOG_LEVEL", "LOUD"),
    ("LOG_FORMAT", "xml"), ("MODEL_TYPE", "caffe"), ("INPUT_MODE", "images"), ("PROMETHEUS_PATH", "metrics"),
    ("JSON_NONFINITE", "maybe"), ("REQUEST_TIMEOUT_S", "1 minute"), ("IO_THREADS", "-2"), ("ONNX_OUTPUT_INDEX", "-1"),
])
def test_malformed_value(name, value):
    flag = "--" + name.lower().replace("_", "-")
    for done in (run_onnxd("serve", SUM3, env={name: value, **({} if name == "PORT" else {"PORT": "0"})}),
                 run_onnxd("serve", SUM3, f"{flag}={value}", env={} if name == "PORT" else {"PORT": "0"})):
        assert done.returncode == 2, done.stderr
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, done.stderr
        assert value in lines[0]
        assert name in lines[0] or flag in lines[0]
    assert done.stdout == ""


def test_malformed_value_says_what_is_accepted():
    done = run_onnxd("serve", SUM3, env={"MODEL_TYPE": "caffe", "PORT": "0"})
    assert all(word in done.stderr for word in ("MODEL_TYPE", "caffe", "onnx", "sklearn", "pytorch", "tensorflow"))
    done = run_onnxd("serve", SUM3, env={"CSV_HAS_HEADER": "perhaps", "PORT": "0"})
    assert all(word in done.stderr for word in ("auto", "true", "false"))
    done = run_onnxd("serve", SUM3, env={"PORT": "65536"})
    assert "65535" in done.stderr


@pytest.mark.parametrize("path, env", [("/live", {}), ("/docs/metrics", {"SWAGGER_ENABLED": "true"})])
def test_a_path_of_metrics_that_is_taken(path, env):
    done = run_onnxd("serve", SUM3, env={"PROMETHEUS_PATH": path, "PORT": "0", **env})
    assert done.returncode == 2
    assert f'onnxd: PROMETHEUS_PATH: "{path}" belongs to /{path.split("/")[1]}' in done.stderr


@pytest.mark.parametrize("name, value", [("DEFAULT_CONTENT_TYPE", "foo"), ("DEFAULT_ACCEPT", "image/png")])
def test_a_default_media_type_that_is_none_of_ours(name, value):
    done = run_onnxd("serve", SUM3, env={name: value, "PORT": "0"})
    assert done.returncode == 2
    assert f'{name}: "{value}" is not accepted: give application/json' in done.stderr


def test_secrets_are_not_repeated():
    done = run_onnxd("serve", SUM3, env={"OTEL_EXPORTER_OTLP_HEADERS": "api-key hunter2", "PORT": "0"})
    if done.returncode == 2:
        assert "hunter2" not in done.stderr


@pytest.mark.parametrize("args, words", [
    (["serve", "--prot", "1"], ["--prot"]), (["serve", "--port"], ["--port"]), (["serve", "a", "b"], []),
    (["sevre"], ["sevre", "command", '"serve"']), (["serve", "/nowhere/at/all"], ["/nowhere/at/all"]), (["inspect", "--frob"], ["--frob"]),
    (["predict"], []), (["predict", "--input"], ["--input"]), (["inspect", "/nowhere/at/all"], ["/nowhere/at/all"]),
    (["servee", SUM3], ["servee", '"serve"']), (["sevre", "--help"], ["sevre", '"serve"']),
    (["nothing-near"], ["nothing-near", "no such command"]), (["nowhere/at/all"], ["nowhere/at/all", "No such file"]),
    (["version", "README.md"], ["README.md", "onnxd version takes no path"]),
    (["settings", "/tmp"], ["/tmp", "onnxd settings takes no path"]),
    (["metrics", "/tmp"], ["/tmp", "onnxd metrics takes no path"]),
    (["health", "/tmp"], ["/tmp", "onnxd health takes no path"]),
])
def test_wrong_arguments(args, words):
    done = run_onnxd(*args, env={"PORT": "0", "SM_MODEL_DIR": str(SUM3)})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip()
    for word in words:
        assert word in done.stderr


def test_port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_onnxd("serve", SUM3, env={"PORT": str(port)})
    assert done.returncode in (1, 2)
    assert str(port) in done.stderr and "in use" in done.stderr


def test_both_ports_on_two_hosts_that_share_it():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = str(held.getsockname()[1])
    done = run_onnxd("serve", SUM3, env={"PORT": port, "GRPC_PORT": port, "HOST": "0.0.0.0", "GRPC_HOST": "127.0.0.1"})
    assert done.returncode == 2
    assert "GRPC_PORT is PORT, but GRPC_HOST is not HOST" in done.stderr


# Help and versions.

@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command):
    done = run_onnxd(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: onnxd {command}" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]
    assert max(map(len, done.stdout.splitlines())) <= 110
    if command == "serve":
        for flag in ("--port", "--max-body-bytes", "--onnx-input-map-json", "--json-nonfinite"):
            assert re.search(rf"{flag}\b", done.stdout)
        assert "MAX_BODY_BYTES" in done.stdout and "6291456" in done.stdout


def test_help_of_the_program():
    for args in (["--help"], ["-h"], ["help"]):
        done = run_onnxd(*args)
        assert done.returncode == 0
        assert all(command in done.stdout for command in COMMANDS)


def test_version():
    done = run_onnxd("version")
    assert done.returncode == 0
    for library in ("onnxd", "onnxruntime", "llhttp", "nghttp2", "yyjson", "zlib"):
        assert re.search(rf"^{library}\s+v?\d+\.\d+", done.stdout, re.M), done.stdout


def test_runtime_that_cannot_be_loaded():
    with Server("sum3", env={"ONNX_RUNTIME_LIBRARY": "/nowhere/libonnxruntime.so"}, expect_ready=False) as server:
        wait_for(lambda: server.log_lines("/nowhere/libonnxruntime.so"), "a line naming the library")
        assert server.get("/ready").status_code == 500
    assert run_onnxd("version", env={"ONNX_RUNTIME_LIBRARY": "/nowhere/lib.so"}).returncode == 1


# The log.

def test_log_as_json(start):
    import json

    server = start("sum3", env={"LOG_FORMAT": "json"})
    server.get("/nope")
    for line in server.stderr().splitlines():
        assert isinstance(json.loads(line), dict)


def test_log_level(start):
    server = start("sum3", env={"LOG_LEVEL": "DEBUG"})
    assert server.get("/ready").status_code == 200


def test_banner(start):
    """What a person sees: the model, what it takes and gives, and a curl line."""
    server = start("iris_logistic_regression")
    text = wait_for(lambda: server.stdout() if "curl" in server.stdout() else None, "the banner")
    for word in ("output_label", "output_probability", "/invocations", str(server.port)):
        assert word in text
