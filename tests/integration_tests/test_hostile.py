"""Clients that mean harm: a clear error or a timeout each, and the memory stays where it was."""

import contextlib
import json
import os
import select
import signal
import socket
import ssl

import pytest
from backends import ANSWER, QUESTION
from onnxd_server import ConnectionEnded, expect_error, is_sanitized, post_bytes, wait_for

RAISED = str(32 << 20)
# What one request of the default limits may leave behind in caches; a leak of bodies is far more.
ROOM_BYTES = (1 << 30) if is_sanitized() else (96 << 20)


@contextlib.contextmanager
def flat_memory(server):
    assert server.invoke(QUESTION).json() == ANSWER
    before = server.rss_bytes()
    yield
    assert server.invoke(QUESTION).json() == ANSWER, "the server does not serve any more"
    grown = server.rss_bytes() - before
    assert grown < ROOM_BYTES, f"{grown >> 20} MiB more than before"


@pytest.fixture
def server(backend):
    return backend.server(env={"IO_THREADS": "1"})


@pytest.fixture
def raised(backend):
    return backend.server(env={"IO_THREADS": "1", "MAX_BODY_BYTES": RAISED})


def send_until_answered(connection, pieces):
    """Sends on until the server answers or closes; returns the response, None where it just closed."""
    try:
        for piece in pieces:
            connection.send(piece)
            if select.select([connection.socket], [], [], 0)[0]:
                break
    except (BrokenPipeError, ConnectionResetError):
        pass
    try:
        return connection.read_response()
    except ConnectionEnded:
        return None


# Sizes.

def test_a_gigabyte_is_announced(server):
    with flat_memory(server):
        for _ in range(20):
            with server.connect() as connection:
                connection.send(f"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {1 << 30}\r\n\r\n")
                assert connection.read_response().status == 413


def test_a_gigabyte_is_announced_and_sent(server):
    block = b"x" * (1 << 20)
    with flat_memory(server):
        with server.connect() as connection:
            head = f"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {1 << 30}\r\n\r\n".encode()
            response = send_until_answered(connection, [head, *[block] * 256])
            assert response is None or response.status == 413


@pytest.mark.parametrize("length", ["18446744073709551615", "18446744073709551616", "9" * 100])
def test_absurd_lengths(server, length):
    with server.connect() as connection:
        connection.send(f"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
        response = connection.read_response()
        assert response.status in (400, 413)
        assert response.error()
        assert connection.is_closed()


def test_endless_chunks(server):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with flat_memory(server):
        for path in ("/invocations", "/live"):
            with server.connect() as connection:
                head = f"POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                response = send_until_answered(connection, [head, *[chunk] * 4096])
                assert response is None or response.status in (405, 413)


def test_endless_tiny_chunks(server):
    chunk = b"1\r\n \r\n" * 1000
    with flat_memory(server):
        with server.connect() as connection:
            head = b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
            response = send_until_answered(connection, [head, *[chunk] * 8000])
            assert response is None or response.status == 413


@pytest.mark.parametrize("piece", [b"1;" + b"x" * 70000, b"0\r\n" + b"T: x\r\n" * 20000, b"1" * 70000],
                         ids=["extension", "trailers", "size"])
def test_endless_chunk_framing(server, piece):
    with flat_memory(server):
        with server.connect() as connection:
            head = b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
            response = send_until_answered(connection, [head, *[piece] * 100])
            assert response is None or response.status in (400, 413, 431)


def test_a_hundred_thousand_fields(server):
    with flat_memory(server):
        with server.connect() as connection:
            pieces = (f"X-{i}: {i}\r\n".encode() for i in range(100_000))
            response = send_until_answered(connection, [b"GET /live HTTP/1.1\r\nHost: t\r\n", *pieces, b"\r\n"])
            assert response is None or response.status in (400, 431)


@pytest.mark.parametrize("pieces", [
    [b"GET /", *[b"x" * 4096] * 1000],
    [b"GET /live HTTP/1.1\r\nX: ", *[b"x" * 4096] * 1000],
    [b"GET /live HTTP/1.1\r\n", *[b"x" * 4096] * 1000],
    [b"G" * 4096] * 1000,
    [b"\r\n" * 4096] * 1000,
], ids=["target", "value", "name", "method", "blank-lines"])
def test_a_head_without_end(server, pieces):
    with flat_memory(server):
        with server.connect() as connection:
            response = send_until_answered(connection, pieces)
            assert response is None or response.status in (400, 414, 431, 501)


# Payloads.

def brackets(count):
    return "[" * count


@pytest.mark.parametrize("body", [
    brackets(1_000_000), brackets(1_000_000) + "]" * 1_000_000, '{"a":' * 500_000, '{"instances":' * 300_000,
    "[" * 500_000 + "1" + "]" * 500_000, "[{}," * 400_000, '[{"a":[' * 200_000,
])
def test_deep_nesting(server, raised, body):
    for target in (server, raised):
        with flat_memory(target):
            for content_type in ("application/json", "application/jsonlines"):
                expect_error(target.invoke(body, content_type), 400)


@pytest.mark.parametrize("number", ["1" * 10_000_000, "0." + "1" * 10_000_000, "1e" + "9" * 10_000_000,
                                    "-" + "0" * 10_000_000, "1" * 5_000_000 + "." + "1" * 5_000_000])
def test_a_single_enormous_number(server, raised, number):
    bodies = {"application/json": f"[[{number},1]]", "text/csv": f"{number},1", "application/jsonlines": f"[{number},1]"}
    for content_type, body in bodies.items():
        assert server.invoke(body, content_type).status_code == 413
    with flat_memory(raised):
        for content_type, body in bodies.items():
            response = raised.invoke(body, content_type)
            if response.status_code == 200:
                assert len(response.content) < 100  # read as what it is: infinity, or close to a fraction
            else:
                expect_error(response, 400)


@pytest.mark.parametrize("body, content_type", [
    (b"\x00" * 100_000, "application/json"),
    (b"[[1,\x002]]", "application/json"),
    (b'{"a\x00b":1}', "application/json"),
    (b"1,2\n1,\x002", "text/csv"),
    (b"\x00\n\x00", "application/jsonlines"),
    (b"\xff" * 100_000, "application/json"),
    (b'["\xff\xfe"]', "application/json"),
    (b"\xff\xfe1,2\n", "text/csv"),
    (b'"' * 1_000_001, "text/csv"),
    (b'"' + b"x" * 5_000_000, "text/csv"),
    (b"," * 5_000_000, "text/csv"),
    (b"\n" * 5_000_000, "text/csv"),
    (b"1,2\n" * 1_000_000, "text/csv"),
    (b"[1,2]\n" * 500_000, "application/jsonlines"),
    (b"[" + b"[1,2]," * 500_000 + b"[1,2]]", "application/json"),
    (b"[" + b"{}," * 1_000_000 + b"{}]", "application/json"),
    (b"[" + b"1," * 2_000_000 + b"1]", "application/json"),
    (b'{"x":' + b"[" * 1000 + b"]" * 1000 + b"}", "application/json"),
    (b"{" + b",".join(b'"k%d":1' % i for i in range(200_000)) + b"}", "application/json"),
    (b'["' + b"\\u0000" * 500_000 + b'"]', "application/json"),
    (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "application/x-npy"),
    (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 1000, "application/x-npy"),
    (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }" + b" " * 39
     + b"\n", "application/x-npy"),
])
def test_malicious_payloads(server, body, content_type):
    with flat_memory(server):
        response = server.invoke(body, content_type)
        assert response.status_code == 400, response.text[:200]
        assert len(response.content) < 2000
        assert response.json()["error"]


def test_bytes_over_bytes(server):
    """Every byte once as a body, and once as the start of a connection."""
    with flat_memory(server):
        for byte in range(256):
            for content_type in ("application/json", "text/csv", "application/jsonlines", "application/x-npy"):
                assert server.invoke(bytes([byte]), content_type).status_code in (200, 400)
            with server.connect() as connection:
                connection.send(bytes([byte]) * 64 + b"\r\n\r\n")
                try:
                    assert 400 <= connection.read_response().status <= 505
                except ConnectionEnded:
                    pass


@pytest.mark.parametrize("head", [
    b"GET /li\x00ve HTTP/1.1\r\nHost: t\r\n\r\n", b"GET /live HTTP/1.1\r\nHost: t\r\nX: a\x00b\r\n\r\n",
    b"GET /live HTTP/1.1\r\nHo\x00st: t\r\n\r\n", b"G\x00T /live HTTP/1.1\r\nHost: t\r\n\r\n",
])
def test_nul_in_a_head(server, head):
    with server.connect() as connection:
        connection.send(head)
        response = connection.read_response()
        assert response.status == 400
        assert response.error()
        assert connection.is_closed()


# Time.

def test_tls_is_answered_at_once(servers):
    """A ClientHello ends no line, and its client waits for us."""
    patient = servers("sum3", env={"HEADER_TIMEOUT_S": "600"})
    client = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), client, server_hostname="localhost").do_handshake()
    with patient.connect() as connection:
        connection.send(client.read())
        response = connection.read_response()
        assert response.status == 400
        assert b"request line: this looks like TLS" in response.body
        assert connection.is_closed()


def drip(connection, data, patience=600):
    """Sends a byte whenever a while has gone by without an answer; the answer, None for a close."""
    for byte in data[:patience]:
        try:
            connection.send(bytes([byte]))
        except (BrokenPipeError, ConnectionResetError):
            return None
        if select.select([connection.socket], [], [], 0.05)[0]:
            try:
                return connection.read_response()
            except ConnectionEnded:
                return None
    raise AssertionError("the server waits for ever")


def test_urgent_data_in_between(server):
    """The kernel ends a read where urgent data stood, and tells of what is behind it only once."""
    with server.connect() as connection:
        os.kill(server.pid(), signal.SIGSTOP)
        try:
            connection.send(b"GET /live HTTP/1.1\r\n")
            connection.socket.send(b"!", socket.MSG_OOB)
            connection.send(b"Host: t\r\n\r\n")
        finally:
            os.kill(server.pid(), signal.SIGCONT)
        assert connection.read_response().status == 200


def test_slow_head(backend):
    server = backend.server(env={"HEADER_TIMEOUT_S": "0.5", "REQUEST_TIMEOUT_S": "300"})
    with server.connect() as connection:
        response = drip(connection, b"GET /live HTTP/1.1\r\nHost: t\r\nX: " + b"x" * 5000)
        assert response is None or response.status == 408


def test_slow_body(backend):
    server = backend.server(env={"HEADER_TIMEOUT_S": "300", "REQUEST_TIMEOUT_S": "0.5"})
    with server.connect() as connection:
        connection.send("POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\n\r\n")
        response = drip(connection, b" " * 5000)
        assert response is not None and response.status == 408
        assert response.error()
        assert connection.is_closed()


def test_slow_chunks(backend):
    server = backend.server(env={"HEADER_TIMEOUT_S": "300", "REQUEST_TIMEOUT_S": "0.5"})
    with server.connect() as connection:
        connection.send("POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        response = drip(connection, b"1\r\n \r\n" * 1000)
        assert response is None or response.status == 408


def test_silent_client(backend):
    server = backend.server(env={"KEEPALIVE_TIMEOUT_S": "0.3", "HEADER_TIMEOUT_S": "0.3"})
    with server.connect() as connection:
        assert connection.is_closed()


def test_slow_clients_harm_nobody(backend):
    server = backend.server(env={"HEADER_TIMEOUT_S": "300", "REQUEST_TIMEOUT_S": "300"})
    slow = [server.connect() for _ in range(100)]
    try:
        for connection in slow:
            connection.send(post_bytes("[[1,2]]")[:-1])
        for _ in range(20):
            assert server.invoke(QUESTION).json() == ANSWER
        for connection in slow:
            connection.send(b"]")
        assert all(connection.read_response().json() == ANSWER for connection in slow)
    finally:
        for connection in slow:
            connection.close()


def test_clients_that_come_and_go(server):
    """Connections dropped at every point of a request leave nothing open."""
    whole = post_bytes(json.dumps(QUESTION))
    descriptors = f"/proc/{server.pid()}/fd"
    with flat_memory(server):
        before = len(os.listdir(descriptors))
        for at in list(range(len(whole) + 1)) * 3:
            with server.connect() as connection:
                connection.send(whole[:at])
        wait_for(lambda: len(os.listdir(descriptors)) <= before + 1, "the connections are closed")


def test_answers_nobody_reads(server):
    """A client that asks and never reads: the server stops reading too, instead of filling its memory."""
    with flat_memory(server):
        connections = [server.connect(timeout_s=2) for _ in range(4)]
        for connection in connections:
            with contextlib.suppress(TimeoutError, ConnectionError):
                for _ in range(20_000):
                    connection.send(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n" * 10)
        assert server.rss_bytes() < (2 << 30)
        for connection in connections:
            connection.close()
