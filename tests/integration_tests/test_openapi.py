"""The OpenAPI document: valid by itself and as served, and its examples work."""

import gzip
import json

import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from onnxd_server import MODELS, ROOT
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

GENERAL = ROOT / "docs/openapi.yaml"
ON = {"SWAGGER_ENABLED": "true"}
# Models that no request can feed are never ready.
SERVED = sorted({path.name for path in MODELS.iterdir()} - {"map_input", "identity_float8"})
PATHS = {"/invocations", "/live", "/healthz", "/ready", "/readyz", "/ping", "/metrics", "/openapi.yaml", "/docs"}
ASSETS = ("/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/docs.js", "/docs/docs.css", "/docs/favicon.png")


def served(server):
    response = server.get("/openapi.yaml")
    assert response.status_code == 200
    assert "yaml" in response.headers["content-type"]
    document = yaml.safe_load(response.text)
    validate(document, cls=OpenAPIV31SpecValidator)
    assert set(document["paths"]) == PATHS
    return document


def invocations(document):
    return document["paths"]["/invocations"]["post"]


def examples(document):
    """(media type, body) of every example the document gives for a request."""
    for media, content in invocations(document)["requestBody"]["content"].items():
        for example in content.get("examples", {}).values():
            value = example["value"]
            yield media, json.dumps(value) if "json" in media and "lines" not in media else value


def expect_examples_to_work(server, document, count):
    found = list(examples(document))
    assert len(found) >= count
    for media, body in found:
        response = server.invoke(body, media)
        assert response.status_code == 200, (media, body[:200], response.text)


def test_the_general_document():
    document = yaml.safe_load(GENERAL.read_text())
    validate(document, cls=OpenAPIV31SpecValidator)
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == PATHS
    for status in ("200", "400", "408", "413", "429", "431", "500", "503", "504"):
        assert status in invocations(document)["responses"]


def test_the_general_documents_examples_work(servers):
    document = yaml.safe_load(GENERAL.read_text())
    for media, body in examples(document):
        model = "add2" if '"b"' in body else "sum3"
        assert servers(model).invoke(body, media).status_code == 200, body


@pytest.mark.parametrize("model", SERVED)
def test_examples_of_every_model_work(start, model):
    server = start(model, env=ON)
    document = served(server)
    said = invocations(document)["x-onnxd-model"]
    loaded = onnx.load(MODELS / model / "model.onnx", load_external_data=False)
    weights = {weight.name for weight in loaded.graph.initializer}
    assert [port["name"] for port in said["inputs"]] == [port.name for port in loaded.graph.input if port.name not in weights]
    assert [port["name"] for port in said["outputs"]] == [port.name for port in loaded.graph.output]
    expect_examples_to_work(server, document, 1)


@pytest.mark.parametrize("model, env", [
    ("add2", {"ONNX_INPUT_MAP_JSON": '{"fa":"a","fb":"b"}'}),
    ("sum3", {"TABULAR_ID_COLUMNS": "0"}),
    ("sum3", {"TABULAR_ID_COLUMNS": "3:"}),
    ("sum3", {"TABULAR_FEATURE_COLUMNS": "1:4"}),
    ("sum3", {"TABULAR_FEATURE_COLUMNS": "0,2,3"}),
    ("sum3", {"TABULAR_FEATURE_COLUMNS": ":3", "TABULAR_NUM_FEATURES": "3"}),
    ("sum3", {"CSV_DELIMITER": ";", "CSV_HAS_HEADER": "true"}),
    ("sum3", {"CSV_HAS_HEADER": "false"}),
    ("identity_string", {"CSV_HAS_HEADER": "false"}),
    ("sum3", {"JSON_KEY_INSTANCES": "rows", "JSONL_FEATURES_KEY": "f"}),
    ("multi", {"ONNX_OUTPUT_MAP_JSON": '{"t":"total"}'}),
])
def test_examples_follow_the_settings(start, model, env):
    server = start(model, env={**ON, **env})
    expect_examples_to_work(server, served(server), 1)


def test_examples_of_a_manifest(start, model_dir):
    manifest = {
        "name": "iris \"2\": #1", "version": "1.0",
        "inputs": [{"name": "x", "feature_names": ["sepal length", "sepal width", "petal length", "petal, width"]}],
        "example": {"body": {"instances": [[5.1, 3.5, 1.4, 0.2]]}},
    }
    server = start(model_dir("iris_logistic_regression", manifest), env=ON)
    document = served(server)
    said = invocations(document)["x-onnxd-model"]
    assert (said["name"], said["version"]) == (manifest["name"], "1.0")
    assert said["features"] == manifest["inputs"][0]["feature_names"]
    assert ("application/json", json.dumps(manifest["example"]["body"])) in list(examples(document))
    expect_examples_to_work(server, document, 3)


def test_example_of_a_manifest_as_text(start, model_dir):
    manifest = {"example": {"content_type": "text/csv", "body": "5.1,3.5,1.4,0.2\n"}}
    document = served(start(model_dir("iris_logistic_regression", manifest), env=ON))
    assert next(iter(invocations(document)["requestBody"]["content"])) == "text/csv"
    assert ("text/csv", "5.1,3.5,1.4,0.2\n") in list(examples(document))


@pytest.mark.parametrize("name", [
    'quote " and \\', "a: b # c", "- [x] {y}", "\n      injected: true\n", "<img src=x onerror=alert(1)>", "é 日本 😀",
    "\x01\x7f", "x" * 5000, "%YAML 1.2", "'", "*anchor &ref !tag", "null", "~",
])
def test_hostile_names(start, tmp_path, name):
    """Names come from model files: whatever they are, the document is well-formed and says them."""
    shape = ("N", 2)
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], ["y"])], name,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx")
    server = start(tmp_path, env=ON)
    document = served(server)
    assert invocations(document)["x-onnxd-model"]["inputs"][0]["name"] == name
    assert "injected" not in invocations(document)
    expect_examples_to_work(server, document, 1)


def test_general_while_not_ready(start, tmp_path):
    server = start(tmp_path, env=ON, expect_ready=False)
    assert server.get("/openapi.yaml").text == GENERAL.read_text()


def test_another_model_after_a_reload(start, model_dir):
    import shutil
    import signal

    from onnxd_server import wait_for

    directory = model_dir("sum3")
    server = start(directory, env=ON)
    assert invocations(served(server))["x-onnxd-model"]["inputs"][0]["shape"][-1] == 3
    shutil.copy(MODELS / "identity_float32/model.onnx", directory / "next")
    (directory / "next").rename(directory / "model.onnx")
    server.terminate(signal.SIGHUP)
    wait_for(lambda: invocations(served(server))["x-onnxd-model"]["inputs"][0]["shape"][-1] == 2, "the new document")


# The page.

def test_off_by_default(servers):
    server = servers("sum3")
    for path in ("/docs", "/openapi.yaml", *ASSETS):
        assert server.get(path).status_code == 404


@pytest.fixture
def page_server(servers):
    return servers("sum3", env=ON)


def test_page_and_assets(page_server):
    page = page_server.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for path in ASSETS:
        assert path[1:] in page.text
        response = page_server.get(path)
        assert response.status_code == 200 and len(response.content) > 10
    assert "http://" not in page.text and "https://" not in page.text
    assert page_server.get("/docs/nope").status_code == 404


@pytest.mark.parametrize("path", ASSETS[:2])
def test_assets_with_and_without_gzip(page_server, path):
    with page_server.connect() as connection:
        connection.send(f"GET {path} HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n")
        packed = connection.read_response()
        connection.send(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
        plain = connection.read_response()
        connection.send(f"GET {path} HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip;q=0, br\r\n\r\n")
        refused = connection.read_response()
    assert packed["content-encoding"] == "gzip"
    assert "accept-encoding" in (packed["vary"] or "").lower()
    assert plain["content-encoding"] is None and refused["content-encoding"] is None
    assert gzip.decompress(packed.body) == plain.body == refused.body
    assert len(packed.body) < len(plain.body)


@pytest.mark.parametrize("path", ["/docs", "/openapi.yaml", *ASSETS])
def test_head_of_the_page(page_server, path):
    head = page_server.request("HEAD", path)
    got = page_server.get(path)
    assert head.status_code == 200 and head.content == b""
    if path != "/openapi.yaml":
        assert head.headers["content-type"] == got.headers["content-type"]
    assert page_server.request("POST", path).status_code == 405
