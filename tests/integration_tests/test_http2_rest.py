"""The HTTP interface over HTTP/2 by prior knowledge, on the same port as HTTP/1.1 (RFC 9113)."""

import gzip
import json

import pytest
from backends import ANSWER, QUESTION
from onnxd_grpc import grpc_port
from onnxd_http2 import JSON_FIELDS, PREFACE, FrameConnection, StreamReset
from onnxd_server import parse_metrics, post_bytes
from test_endpoints import LIVE, READY

ASKED = json.dumps(QUESTION).encode()
ENCODED = json.dumps(ANSWER, separators=(",", ":")).encode()


@pytest.fixture
def server(backend):
    return backend.server()


@pytest.fixture
def client(server):
    with server.client(http1=False, http2=True) as opened:
        yield opened


@pytest.mark.parametrize("path", LIVE + READY)
def test_probes(client, path):
    response = client.get(path)
    assert (response.status_code, response.content) == (200, b"\n")
    assert response.http_version == "HTTP/2"
    assert response.headers["content-type"].split(";")[0] == "text/plain"
    head = client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1")


@pytest.mark.parametrize("method, path, status, allowed", [
    ("GET", "/nope", 404, None), ("POST", "/nope", 404, None), ("GET", "/", 404, None),
    ("GET", "/invocations", 405, {"POST"}), ("DELETE", "/invocations", 405, {"POST"}),
    ("POST", "/live", 405, {"GET", "HEAD"}), ("PATCH", "/metrics", 405, {"GET", "HEAD"}),
    ("HEAD", "/invocations", 405, {"POST"}), ("BREW", "/live", 405, {"GET", "HEAD"}),
])
def test_errors(client, method, path, status, allowed):
    response = client.request(method, path)
    assert response.status_code == status
    if method != "HEAD":
        assert response.json()["error"]
    if allowed:
        assert {name.strip() for name in response.headers["allow"].split(",")} == allowed


def test_metrics_count_requests_of_both_versions(server, client):
    before = parse_metrics(client.get("/metrics").text)
    for _ in range(3):
        assert client.post("/invocations", json=QUESTION).status_code == 200
        assert server.invoke(QUESTION).status_code == 200
    after = parse_metrics(client.get("/metrics").text)

    def answered(metrics):
        wanted = {"handler": "/invocations", "method": "POST", "status": "2xx"}
        return sum(value for labels, value in metrics["http_requests_total"] if labels == wanted)

    assert answered(after) - answered(before) == 6


def test_head_fields(client):
    response = client.get("/live", headers={"X-Request-Id": "Abc-123.z"})
    assert response.headers["x-request-id"] == "Abc-123.z"
    assert "date" in response.headers
    # RFC 9113 section 8.2.2: none of HTTP/1.1's connection.
    assert not {"connection", "keep-alive", "transfer-encoding", "upgrade"} & response.headers.keys()


def test_query_does_not_change_the_path(client):
    assert client.get("/live?x=1").status_code == 200
    assert client.post("/invocations?x=1", json=QUESTION).json() == ANSWER


def test_docs_and_description(backend):
    server = backend.server(env={"SWAGGER_ENABLED": "true"})
    with server.client(http1=False, http2=True) as client:
        for path in ("/openapi.yaml", "/docs"):
            assert client.get(path).content == server.get(path).content
        assert client.get("/openapi.yaml").status_code == 200


def test_gzip(client):
    fields = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert client.post("/invocations", content=gzip.compress(ASKED), headers=fields).json() == ANSWER
    assert client.post("/invocations", content=gzip.compress(ASKED)[:-9], headers=fields).status_code == 400


def test_body_past_the_limit(backend):
    server = backend.server(env={"MAX_BODY_BYTES": "1000"})
    with server.client(http1=False, http2=True) as client:
        assert client.post("/invocations", content=ASKED + b" " * (1000 - len(ASKED))).json() == ANSWER
        for size in (1001, 300_000):
            response = client.post("/invocations", content=b" " * size)
            assert (response.status_code, response.json()) == (413, {"error": "payload_too_large", "max_bytes": 1000})
        assert client.post("/invocations", content=ASKED).json() == ANSWER


def test_length_alone_decides(backend):
    server = backend.server(env={"MAX_BODY_BYTES": "1000"})
    with FrameConnection(server) as connection:
        stream = connection.open_stream("/invocations", [("content-length", "1001")])
        assert connection.read_response(stream).status == 413
        assert connection.exchange("/invocations", ASKED, JSON_FIELDS).body == ENCODED


def test_length_must_be_true(server):
    """RFC 9113 section 8.1.1: content-length is the sum of what DATA frames hold."""
    with FrameConnection(server) as connection:
        for length in (len(ASKED) - 1, len(ASKED) + 1):
            with pytest.raises(StreamReset):
                connection.exchange("/invocations", ASKED, [*JSON_FIELDS, ("content-length", str(length))])
        right = [*JSON_FIELDS, ("content-length", str(len(ASKED)))]
        assert connection.exchange("/invocations", ASKED, right).body == ENCODED


def test_expect_100_continue(server):
    with FrameConnection(server) as connection:
        stream = connection.open_stream("/invocations", [*JSON_FIELDS, ("expect", "100-continue")])
        while connection.answers[stream].status != 100:
            connection.read_frame()
        connection.send_data(stream, ASKED, "END_STREAM")
        assert connection.read_response(stream).body == ENCODED


def test_streams_are_answered_as_they_are_ready(server):
    """One that waits for its body holds nobody up."""
    with FrameConnection(server) as connection:
        slow = connection.open_stream("/invocations", JSON_FIELDS)
        for i in range(100):
            assert connection.exchange("/invocations", b"[[%d,0]]" % i, JSON_FIELDS).body == b"[[%d.0,0.0]]" % i
        connection.send_data(slow, ASKED, "END_STREAM")
        assert connection.read_response(slow).body == ENCODED


def test_many_streams_at_once(server):
    with FrameConnection(server) as connection:
        streams = [connection.request("/invocations", b"[[%d,0]]" % i, JSON_FIELDS) for i in range(200)]
        for i, stream in enumerate(streams):
            assert connection.read_response(stream).body == b"[[%d.0,0.0]]" % i


def test_both_versions_side_by_side(server, client):
    with server.connect() as connection:
        for _ in range(5):
            connection.send(post_bytes(ASKED))
            assert client.post("/invocations", content=ASKED).json() == ANSWER
            assert connection.read_response().json() == ANSWER


def test_preface_in_pieces(server):
    """Whatever its first bytes, a connection is taken for what it turns out to be."""
    for at in range(1, len(PREFACE)):
        with FrameConnection(server, handshake=False) as connection:
            connection.send(PREFACE[:at])
            connection.send(PREFACE[at:], b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            assert connection.exchange("/live").status == 200
    with server.connect() as connection:
        connection.send(b"P")
        connection.send(post_bytes(ASKED)[1:])
        assert connection.read_response().json() == ANSWER


# The port for gRPC.

def test_http_1_1_on_the_port_for_grpc_ends_clearly(server):
    from onnxd_server import ConnectionEnded, RawConnection

    for sent in (b"GET /live HTTP/1.1\r\nHost: t\r\n\r\n", b"P" * 100, b"\x16\x03\x01" + b"\x00" * 100):
        with RawConnection(("127.0.0.1", grpc_port(server))) as connection:
            connection.send(sent)
            try:
                assert connection.read_response().status in (400, 505)
            except (ConnectionEnded, ValueError):
                pass  # closed, perhaps after frames that say why
            connection.read_to_end()
    with FrameConnection(server, grpc_port(server)) as connection:
        connection.round_trip()


@pytest.mark.parametrize("content_type", [None, "application/json", "application/grpc-web", "application/grpcx"])
def test_what_is_not_grpc_gets_415(server, content_type):
    """On the port for gRPC (PROTOCOL-HTTP2.md of gRPC: status 415)."""
    fields = [("content-type", content_type)] if content_type else []
    with FrameConnection(server, grpc_port(server)) as connection:
        answer = connection.exchange("/onnxserving.grpc.InferenceService/Live", b"\0\0\0\0\0", fields)
        assert answer.status == 415
