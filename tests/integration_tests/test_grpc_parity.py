"""The recorded cases over HTTP/1.1, HTTP/2 and gRPC: one answer, whatever the way it was asked."""

import functools
import json

import grpc
import httpx
import pytest
from onnxd_grpc import OK, STATUS_OF_HTTP, expect_failure, grpc_port, open_channel, predict
from onnxd_server import ROOT

CASES = [case for case in json.loads((ROOT / "tests/data/cases.json").read_text())["cases"] if case["method"] == "POST"]
# Cases of one (model, env) stand together, so that they share a server.
CASES.sort(key=lambda case: (case["model"], json.dumps(case["env"], sort_keys=True)))


def case_name(case):
    return f"{case['model']}-{case['name']}".replace(" ", "_")


def send(server, case, **protocol):
    with server.client(**protocol) as client:
        client.headers.clear()  # httpx adds an Accept of its own
        return client.send(client.build_request(
            "POST", case["path"], headers=case["headers"], content=case["body"].encode("latin-1")))


def call(server, case, port):
    """The fields that a request over HTTP would have in its head stand in the message."""
    fields = {name.lower(): value for name, value in case["headers"].items()}
    content_type, accept = (fields.get(name) or fields.get(f"x-amzn-sagemaker-{name}") or ""
                            for name in ("content-type", "accept"))
    with open_channel(server, port) as channel:
        return predict(channel, case["body"].encode("latin-1"), content_type, accept)


def error_text(response):
    return json.loads(response.content)["error"]


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_every_protocol_answers_alike(servers, case):
    server = servers(case["model"], env={"MODEL_TYPE": "onnx", **case["env"]})
    old = send(server, case)
    assert old.status_code == case["expect"]["status"] and old.http_version == "HTTP/1.1"

    new = send(server, case, http1=False, http2=True)
    assert new.http_version == "HTTP/2"
    assert (new.status_code, new.content) == (old.status_code, old.content)
    assert new.headers["content-type"] == old.headers["content-type"]

    for port in (server.port, grpc_port(server)):
        got = call(server, case, port)
        assert got.code is STATUS_OF_HTTP[old.status_code], got
        if got.code is OK:
            assert got.reply.body == old.content
            assert got.reply.content_type == old.headers["content-type"]
            assert got.reply.metadata.keys() == {"batch_size"}
        else:
            assert got.details == error_text(old)


def test_every_recorded_request_is_asked():
    assert len(CASES) == 73


# What the recorded cases do not hold: limits, and a model that fails.

@functools.cache
def limit_cases():
    limits = {"MAX_BODY_BYTES": "100", "MAX_RECORDS": "3"}
    rows = "[" + ",".join(["[1,2]"] * 4) + "]"
    return [(limits, "[[1,2]]" + " " * 94, 413, "payload_too_large"), (limits, "[[1,2]]" + " " * 93, 200, None),
            (limits, rows, 400, "too_many_records: 4 > 3")]


@pytest.mark.parametrize("number", range(3))
def test_limits_are_the_same(backend, number):
    env, body, status, text = limit_cases()[number]
    server = backend.server(env=env)
    old = server.invoke(body)
    assert old.status_code == status
    with open_channel(server) as channel:
        got = predict(channel, body)
    assert got.code is STATUS_OF_HTTP[status], got
    if text is None:
        assert got.reply.body == old.content
    else:
        assert error_text(old) == text
        expect_failure(got, STATUS_OF_HTTP[status], text)


@pytest.mark.fake_backend
@pytest.mark.parametrize("failure, status", [("invalid", 400), ("internal", 500)])
def test_failing_models_fail_alike(servers, module_directory, failure, status):
    from backends import fake_model

    server = servers(fake_model(module_directory / failure, fail=failure), fake=True)
    old = server.invoke("[[1,2]]")
    assert old.status_code == status
    with open_channel(server) as channel:
        got = predict(channel, "[[1,2]]")
    assert (got.code, got.details) == (STATUS_OF_HTTP[status], error_text(old))


@pytest.mark.parametrize("model, body, rows", [
    ("sum3", "[[1,2,3]]", 1), ("sum3", "[[1,2,3],[4,5,6]]", 2), ("iris_logistic_regression", "[[5.1,3.5,1.4,0.2]]", 1),
])
def test_metadata_has_the_count_of_rows(servers, model, body, rows):
    with open_channel(servers(model)) as channel:
        assert predict(channel, body).reply.metadata == {"batch_size": str(rows)}


def test_not_ready_is_unavailable(start, tmp_path):
    server = start(tmp_path, expect_ready=False)
    old = server.invoke("[[1,2]]")
    with open_channel(server) as channel:
        got = predict(channel, "[[1,2]]")
    assert old.status_code == 503 and got.code is grpc.StatusCode.UNAVAILABLE
    assert got.details == error_text(old)


def test_httpx_speaks_the_version_it_is_told(backend):
    server = backend.server()
    with httpx.Client(base_url=server.url(""), trust_env=False, verify=False, http1=False, http2=True) as client:
        assert client.get("/live").http_version == "HTTP/2"
