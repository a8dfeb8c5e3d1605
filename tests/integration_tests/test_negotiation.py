"""Content-Type and Accept, in the order and with the fall-backs of the contract."""

import pytest
from onnxd_server import expect_error

ROWS = "[[1,2,3],[4,5,6]]"
JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"


@pytest.fixture
def server(servers):
    return servers("sum3")


def answer_type(response):
    assert response.status_code == 200, response.text
    kind = response.headers["content-type"].split(";")[0]
    if kind == JSON:
        assert response.json() == [[6.0], [15.0]]
    elif kind == CSV:
        assert response.text == "6.0\n15.0"
    else:
        assert response.content.startswith(b"\x93NUMPY")
    return kind


BODIES = {
    JSON: ROWS,
    CSV: "1,2,3\n4,5,6\n",
    "application/jsonlines": "[1,2,3]\n[4,5,6]\n",
}


@pytest.mark.parametrize("content_type, like", [
    ("application/json", JSON),
    ("Application/JSON", JSON),
    ("application/json; charset=utf-8", JSON),
    ("application/json;charset=utf-8", JSON),
    ("application/json ;charset=utf-8", JSON),
    ("application/vnd.acme.v1+json", JSON),
    ("application/ld+JSON; profile=x", JSON),
    ("text/csv", CSV),
    ("TEXT/CSV; header=present", CSV),
    ("application/csv", CSV),
    ("application/jsonlines", "application/jsonlines"),
    ("application/x-jsonlines", "application/jsonlines"),
    ("application/jsonl", "application/jsonlines"),
    ("application/x-ndjson", "application/jsonlines"),
])
def test_content_types(server, content_type, like):
    assert answer_type(server.invoke(BODIES[like], content_type)) == JSON


@pytest.mark.parametrize("content_type", [
    "application/octet-stream", "text/plain", "application/xml", "json", "application/", "x",
    "application/jsonx", "multipart/form-data; boundary=x",
])
def test_unsupported_content_type_is_quoted(server, content_type):
    response = server.invoke(ROWS, content_type)
    assert expect_error(response, 400) == f"Unsupported Content-Type: {content_type}"


def test_missing_content_type_is_the_default(servers, server):
    assert answer_type(server.invoke(ROWS, None)) == JSON
    csv = servers("sum3", env={"DEFAULT_CONTENT_TYPE": "text/csv"})
    assert answer_type(csv.invoke("1,2,3\n4,5,6", None)) == JSON
    assert answer_type(csv.invoke(ROWS, JSON)) == JSON


def test_sagemaker_content_type_stands_in(server):
    field = {"X_Amzn_SageMaker_Content_Type": CSV}
    assert answer_type(server.invoke(BODIES[CSV], None, **field)) == JSON
    # The header itself goes first.
    assert answer_type(server.invoke(ROWS, JSON, **field)) == JSON


@pytest.mark.parametrize("accept, wanted", [
    (None, JSON),
    ("", JSON),
    ("*/*", JSON),
    ("application/json", JSON),
    ("text/csv", CSV),
    ("TEXT/CSV", CSV),
    ("text/csv; charset=utf-8", CSV),
    ("application/x-npy", NPY),
    ("text/csv, application/json", CSV),
    ("application/json, text/csv", JSON),
    ("application/json;q=0.5, text/csv", CSV),
    ("application/json;q=0.5, text/csv;q=0.6", CSV),
    ("text/csv;q=0, application/json", JSON),
    ("text/csv;q=0.001, */*;q=0", CSV),
    ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
    ("text/html, text/csv;q=0.2", CSV),
    ("image/png", JSON),
])
def test_accept(server, accept, wanted):
    assert answer_type(server.invoke(ROWS, JSON, accept)) == wanted


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("fields, wanted", [
    (["text/html", "text/csv"], CSV),
    (["application/json;q=0.5", "text/csv;q=0.6", "application/x-npy;q=0.1"], CSV),
    (["", "text/csv"], CSV),
    (["application/json", "text/csv"], JSON),
])
def test_several_accept_fields_are_one(server, version, fields, wanted):
    """RFC 9110 section 5.3."""
    is_http2 = version == "HTTP/2"
    with server.client(http1=not is_http2, http2=is_http2) as client:
        client.headers.pop("Accept")
        response = client.post("/invocations", content=ROWS,
                               headers=[("Content-Type", JSON), *(("Accept", value) for value in fields)])
    assert response.http_version == version
    assert answer_type(response) == wanted


def test_sagemaker_accept_stands_in(server):
    field = {"X_Amzn_SageMaker_Accept": CSV}
    assert answer_type(server.invoke(ROWS, JSON, None, **field)) == CSV
    assert answer_type(server.invoke(ROWS, JSON, "*/*", **field)) == CSV  # what most clients send unasked
    assert answer_type(server.invoke(ROWS, JSON, JSON, **field)) == JSON


def test_default_accept(servers):
    server = servers("sum3", env={"DEFAULT_ACCEPT": "text/csv"})
    assert answer_type(server.invoke(ROWS, JSON, None)) == CSV
    assert answer_type(server.invoke(ROWS, JSON, "*/*")) == CSV
    assert answer_type(server.invoke(ROWS, JSON, "image/png")) == CSV
    assert answer_type(server.invoke(ROWS, JSON, JSON)) == JSON


def test_the_order_of_checks(servers):
    """Too large, then the type, then the payload, then the number of records."""
    server = servers("sum3", env={"MAX_BODY_BYTES": "40", "MAX_RECORDS": "2"})
    assert server.invoke("x" * 41, "text/plain").status_code == 413
    expect_error(server.invoke("{]", "text/plain"), 400, "Unsupported Content-Type")
    assert "too_many" not in expect_error(server.invoke("[[1,2,3],[4,5,6],[7,8,9]"), 400)
    assert expect_error(server.invoke("[[1,2,3],[4,5,6],[7,8,9]]"), 400) == "too_many_records: 3 > 2"
