"""Bounds of the service: body size, gzip, records, execution slots."""

import gzip
import json
import zlib

import pytest
from backends import ANSWER, QUESTION
from onnxd_server import expect_error, post_bytes, wait_for

LIMIT = 1000


@pytest.fixture
def server(backend):
    return backend.server(env={"MAX_BODY_BYTES": str(LIMIT)})


def padded(size):
    """A good request body of exactly this size."""
    text = json.dumps(QUESTION)
    return text + " " * (size - len(text))


def expect_too_large(response):
    assert response.status == 413
    assert response.json() == {"error": "payload_too_large", "max_bytes": LIMIT}


def test_body_at_the_limit(server):
    assert server.invoke(padded(LIMIT)).json() == ANSWER


def test_body_past_the_limit(server):
    response = server.invoke(padded(LIMIT + 1))
    assert response.status_code == 413
    assert response.json() == {"error": "payload_too_large", "max_bytes": LIMIT}


def test_length_alone_decides(server):
    """Only the head is sent; who waited for the body would wait for ever."""
    with server.connect() as connection:
        connection.send(f"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {LIMIT + 1}\r\n\r\n")
        expect_too_large(connection.read_response())
        assert connection.is_closed()


def test_chunks_past_the_limit_are_refused_as_they_come(server):
    with server.connect() as connection:
        connection.send("POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(f"{LIMIT:x}\r\n{' ' * LIMIT}\r\n")
        connection.send("1\r\n \r\n")
        expect_too_large(connection.read_response())


def test_client_that_sends_all_the_same_can_read_the_answer(server):
    """A reset would throw the 413 away before it is read (RFC 9112 section 9.6)."""
    for _ in range(20):
        with server.connect() as connection:
            connection.send(post_bytes(" " * 300_000))
            expect_too_large(connection.read_response())


# gzip.

def invoke_gzip(server, data, encoding="gzip"):
    return server.request("POST", "/invocations", content=data,
                          headers={"Content-Type": "application/json", "Content-Encoding": encoding})


def test_gzip_body(server):
    for encoding in ("gzip", "GZIP", "x-gzip"):
        assert invoke_gzip(server, gzip.compress(b"[[1,2]]"), encoding).json() == ANSWER


def test_identity_body(server):
    assert invoke_gzip(server, b"[[1,2]]", "identity").json() == ANSWER


def test_gzip_of_several_members(server):
    """RFC 1952 section 2.2: members simply appear one after another."""
    data = gzip.compress(b"[[1,") + gzip.compress(b"2]]")
    assert invoke_gzip(server, data).json() == ANSWER


def test_gzip_in_chunks_of_one_byte(server):
    data = gzip.compress(b"[[1,2]]")
    with server.connect() as connection:
        connection.send("POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Encoding: gzip\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n")
        for byte in data:
            connection.send(b"1\r\n" + bytes([byte]) + b"\r\n")
        connection.send("0\r\n\r\n")
        assert connection.read_response().json() == ANSWER


def test_gzip_at_the_limit(server):
    assert invoke_gzip(server, gzip.compress(padded(LIMIT).encode())).json() == ANSWER
    response = invoke_gzip(server, gzip.compress(padded(LIMIT + 1).encode()))
    assert response.status_code == 413
    assert response.json() == {"error": "payload_too_large", "max_bytes": LIMIT}


def test_gzip_bomb(backend):
    server = backend.server()
    bomb = one_gigabyte_bomb()
    assert len(bomb) < 6291456
    server.invoke(QUESTION)
    before = server.rss_bytes()
    for _ in range(3):
        response = invoke_gzip(server, bomb)
        assert response.status_code == 413
        assert response.json()["error"] == "payload_too_large"
    assert server.rss_bytes() - before < 128 << 20


def one_gigabyte_bomb():
    """A gigabyte of brackets in about a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"[" * (1 << 20)
    return b"".join(packer.compress(block) for _ in range(1024)) + packer.flush()


@pytest.mark.parametrize("data", [
    b"", b"not gzip at all", gzip.compress(b"[[1,2]]")[:-1], gzip.compress(b"[[1,2]]")[:-9],
    gzip.compress(b"[[1,2]]")[:10], gzip.compress(b"[[1,2]]")[:-8] + b"\0" * 8,
    gzip.compress(b"[[1,2]]") + b"garbage", zlib.compress(b"[[1,2]]"),
], ids=["empty", "text", "no-last-byte", "no-trailer", "head-only", "wrong-checksum", "garbage-after", "zlib"])
def test_broken_gzip(server, data):
    expect_error(invoke_gzip(server, data), 400)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_unsupported_content_encoding(server, encoding):
    expect_error(invoke_gzip(server, b"[[1,2]]", encoding), 400, "Content-Encoding")


# Records.

def test_records_at_the_limit(backend):
    server = backend.server(env={"MAX_RECORDS": "3"})
    assert server.invoke([[1, 2]] * 3).status_code == 200
    for body, content_type in (("[" + "[1,2]," * 3 + "[1,2]]", "application/json"), ("1,2\n" * 4, "text/csv"),
                               ("[1,2]\n" * 4, "application/jsonlines")):
        text = expect_error(server.invoke(body, content_type), 400)
        assert text == "too_many_records: 4 > 3"


# Execution slots.

@pytest.mark.fake_backend
def test_no_free_slot_is_429(slow_server):
    """One slot, taken for as long as the slow model runs; a request on the other loop finds none."""
    server = slow_server(delay_ms=1500, env={"MAX_INFLIGHT": "1", "IO_THREADS": "2", "ACQUIRE_TIMEOUT_S": "0.05"})
    asked = post_bytes(json.dumps(QUESTION))
    connections = [server.connect() for _ in range(16)]
    try:
        for connection in connections:
            connection.send(asked)
        answers = [connection.read_response() for connection in connections]
    finally:
        for connection in connections:
            connection.close()
    refused = [answer for answer in answers if answer.status == 429]
    assert refused, "no request was refused"
    assert any(answer.status == 200 for answer in answers)
    assert {answer.status for answer in answers} == {200, 429}
    for answer in refused:
        assert answer.json() == {"error": "too_many_requests"}
        assert int(answer["retry-after"]) >= 1
    assert server.metric("onnxd_rejections_total", reason="no_slot") == len(refused)


@pytest.mark.fake_backend
def test_slot_is_given_back(slow_server):
    server = slow_server(delay_ms=10, env={"MAX_INFLIGHT": "1", "IO_THREADS": "2", "ACQUIRE_TIMEOUT_S": "30"})
    with server.client() as client:
        for _ in range(20):
            assert client.post("/invocations", json=QUESTION).status_code == 200
    wait_for(lambda: server.metric("onnxd_in_flight") == 0, "all slots are free")


@pytest.mark.fake_backend
def test_client_that_leaves_gives_its_slot_back(slow_server):
    server = slow_server(delay_ms=100, env={"MAX_INFLIGHT": "1", "IO_THREADS": "2", "ACQUIRE_TIMEOUT_S": "30"})
    for _ in range(4):
        with server.connect() as connection:
            connection.send(post_bytes(json.dumps(QUESTION)))
    assert server.invoke(QUESTION).status_code == 200
    wait_for(lambda: server.metric("onnxd_in_flight") == 0, "all slots are free")
