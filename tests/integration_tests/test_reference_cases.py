"""Replays tests/data/cases.json: what the reference service answered, request by request."""

import json
import math

import httpx
import pytest
from onnxd_server import ROOT

CASES = json.loads((ROOT / "tests/data/cases.json").read_text())["cases"]
# Cases of one (model, env) stand together, so that they share a server.
CASES.sort(key=lambda case: (case["model"], json.dumps(case["env"], sort_keys=True)))


def equal(got, wanted):
    """As JSON values: numbers to 1e-6 relative, NaN equal to NaN, and 1 is not true."""
    if isinstance(got, bool) or isinstance(wanted, bool):
        return got is wanted
    if isinstance(got, (int, float)) and isinstance(wanted, (int, float)):
        return (math.isnan(got) and math.isnan(wanted)) or math.isclose(got, wanted, rel_tol=1e-6)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(equal, got, wanted))
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(equal(got[key], wanted[key]) for key in got)
    return type(got) is type(wanted) and got == wanted


def trimmed(text):
    return text[:-1] if text.endswith("\n") else text


def request(server, case):
    with server.client() as client:
        client.headers.clear()  # httpx adds an Accept of its own
        return client.send(client.build_request(
            case["method"], case["path"], headers=case["headers"], content=case["body"].encode("latin-1")))


def case_name(case):
    return f"{case['model']}-{case['name']}".replace(" ", "_")


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_answers_as_the_reference(servers, case):
    server = servers(case["model"], env={"MODEL_TYPE": "onnx", **case["env"]})
    response = request(server, case)
    wanted = case["expect"]
    assert response.status_code == wanted["status"], response.text
    if "json" in wanted:
        assert equal(response.json(), wanted["json"]), response.text
    elif "json_text" in wanted:
        assert equal(response.json(), json.loads(wanted["json_text"])), response.text
    elif "text" in wanted:
        assert trimmed(response.text) == trimmed(wanted["text"])
    else:
        assert wanted["status"] != 200
        document = response.json()
        assert isinstance(document, dict) and isinstance(document.get("error"), str), document
        assert document["error"]


def test_no_case_is_missing():
    assert len(CASES) == 77


@pytest.mark.parametrize("got, wanted, result", [
    (1.0, 1.0 + 1e-7, True), (1.0, 1.0 + 1e-5, False), (math.nan, math.nan, True), (1, True, False),
    (math.inf, math.inf, True), (math.inf, -math.inf, False), ([1], [1, 2], False),
    ({"a": 1}, {"a": 1.0}, True), ({"a": 1}, {"b": 1}, False), ("1", 1, False), (None, math.nan, False),
])
def test_comparison_can_fail(got, wanted, result):
    assert equal(got, wanted) is result


def test_raw_httpx_adds_no_accept():
    with httpx.Client() as client:
        client.headers.clear()
        sent = client.build_request("POST", "http://127.0.0.1/", headers={}, content=b"x")
    assert "accept" not in sent.headers and "content-type" not in sent.headers
