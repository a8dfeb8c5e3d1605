"""The page at /ui and what it is told: off by default, held to its own script, true of the model."""

import base64
import gzip
import hashlib
import json
import re
import shutil
import signal

import onnx
import pytest
from onnx import TensorProto, helper
from onnxd_server import EXAMPLES, MODELS, ROOT, wait_for

ON = {"UI_ENABLED": "true"}
IRIS = EXAMPLES / "iris_logistic_regression"
SERVED = sorted({path.name for path in MODELS.iterdir()} - {"map_input", "identity_float8"})


def told(server):
    response = server.get("/ui/model.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    return response.json()


@pytest.fixture
def server(servers):
    return servers(IRIS, env=ON)


# The page.

def test_off_by_default(servers):
    for path in ("/ui", "/ui/model.json"):
        assert servers("sum3").get(path).status_code == 404


def test_switched_on_by_a_flag(start):
    assert start("sum3", args=["--ui-enabled"]).get("/ui").status_code == 200


def test_one_file_for_itself(server):
    page = server.get("/ui")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text == (ROOT / "docs/ui/ui.html").read_text()
    addresses = set(re.findall(r"https?://[^'\"\s)]+", page.text))
    assert addresses == {"http://www.w3.org/2000/svg"}, "the name of a vocabulary is the only address"
    assert not re.search(r"<(link|img|iframe|object)\b(?![^>]*href=\"data:)", page.text)
    assert not re.search(r"\bstyle=|\bon\w+=|innerHTML|insertAdjacentHTML|\beval\(", page.text)
    assert server.get("/ui/").status_code == server.get("/ui/nope").status_code == 404


def test_policy_allows_the_pages_own_script_and_style_alone(server):
    page = server.get("/ui")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        (source,) = re.findall(rf"<{element}>(.*?)</{element}>", page.text, re.S)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert policy.pop(directive) == f"'sha256-{digest}'"
    assert policy == {"default-src": "'none'", "img-src": "data:", "connect-src": "'self'", "base-uri": "'none'",
                      "form-action": "'none'", "frame-ancestors": "'none'"}


def test_with_and_without_gzip(server):
    with server.connect() as connection:
        connection.send("GET /ui HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n")
        packed = connection.read_response()
        connection.send("GET /ui HTTP/1.1\r\nHost: t\r\n\r\n")
        plain = connection.read_response()
    assert packed["content-encoding"] == "gzip" and plain["content-encoding"] is None
    assert gzip.decompress(packed.body) == plain.body
    assert packed["content-security-policy"] == plain["content-security-policy"]


@pytest.mark.parametrize("path", ["/ui", "/ui/model.json"])
def test_methods(server, path):
    head = server.request("HEAD", path)
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-type"] == server.get(path).headers["content-type"]
    wrong = server.request("POST", path)
    assert wrong.status_code == 405 and wrong.headers["allow"] == "GET, HEAD"


def test_counted_under_its_own_name(server):
    server.get("/ui/model.json")
    assert 'http_requests_total{handler="/ui",method="GET",status="2xx"}' in server.get("/metrics").text


# What it is told.

def test_the_example_model(server):
    said = told(server)
    model = said["model"]
    manifest = json.loads((IRIS / "manifest.json").read_text())
    assert said["ready"] is True and said["metrics"] == "/metrics" and said["docs"] is None
    for key in ("name", "version", "description"):
        assert model[key] == manifest[key]
    (port,) = model["inputs"]
    assert (port["name"], port["dtype"], port["shape"]) == ("x", "float32", [-1, 4])
    assert port["feature_names"] == manifest["inputs"][0]["feature_names"] and port["units"] == ["cm"]
    assert [output.get("answered", False) for output in model["outputs"]] == [True, False]
    assert model["outputs"][0]["class_labels"] == ["setosa", "versicolor", "virginica"]
    assert model["batching"] == {"shared": True, "max_rows": 256}
    assert model["execution"]["setting"] == "auto"
    assert json.loads(model["requests"][0]["example"]) == manifest["example"]["body"]


@pytest.mark.parametrize("env, metrics, docs", [
    ({"PROMETHEUS_ENABLED": "false", "SWAGGER_ENABLED": "true"}, None, "/docs"),
    ({"PROMETHEUS_PATH": "/a/b"}, "/a/b", None),
])
def test_other_pages_as_they_are_set(servers, env, metrics, docs):
    said = told(servers("sum3", env={**ON, **env}))
    assert (said["metrics"], said["docs"]) == (metrics, docs)


@pytest.mark.parametrize("model", SERVED)
def test_examples_of_every_model_work(start, model):
    server = start(model, env=ON)
    said = told(server)["model"]
    loaded = onnx.load(MODELS / model / "model.onnx", load_external_data=False)
    assert [port["name"] for port in said["outputs"]] == [port.name for port in loaded.graph.output]
    examples = [(request["content_type"], request["example"]) for request in said["requests"] if request["example"]]
    assert examples
    for content_type, body in examples:
        assert server.invoke(body, content_type).status_code == 200, (content_type, body[:200])


def test_settings_of_the_model(start):
    server = start("multi", env={**ON, "ONNX_OUTPUT_MAP_JSON": '{"t":"total"}', "EXECUTION": "pooled", "BATCHING": "off",
                                 "MAX_BATCH_SIZE": "7"})
    model = told(server)["model"]
    assert model["answers"] == {"types": ["application/json"], "preferred": "application/json"}
    assert model["execution"] == {"setting": "pooled", "runs_on": "runners"}
    assert model["batching"] == {"shared": False, "max_rows": 7}
    assert {port["name"] for port in model["outputs"] if port.get("answered")} == {"total"}


@pytest.mark.parametrize("name", ['quote " and \\', "</script><img src=x onerror=alert(1)>", "\x01\x7f\n", "é 日本 😀", "x" * 5000])
def test_hostile_names(start, tmp_path, name):
    shape = ("N", 2)
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], ["y"])], name,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx")
    assert told(start(tmp_path, env=ON))["model"]["inputs"][0]["name"] == name


def test_without_a_model(start, tmp_path):
    said = told(start(tmp_path, env=ON, expect_ready=False))
    assert said == {"ready": False, "metrics": "/metrics", "docs": None, "model": None}


def test_another_model_after_a_reload(start, model_dir):
    directory = model_dir("sum3")
    server = start(directory, env=ON)
    assert told(server)["model"]["inputs"][0]["shape"][-1] == 3
    shutil.copy(MODELS / "identity_float32/model.onnx", directory / "next")
    (directory / "next").rename(directory / "model.onnx")
    server.terminate(signal.SIGHUP)
    wait_for(lambda: told(server)["model"]["inputs"][0]["shape"][-1] == 2, "the new model")
