"""Frames and requests that are wrong, over real sockets: each ends as RFC 9113 says, and harms nobody else.

The engine's unit tests hold the whole table, with every split; these show that nothing between the
engine and the socket undoes it. Sections are those of RFC 9113.
"""

import json

import pytest
from backends import ANSWER, QUESTION
from hyperframe.frame import DataFrame, SettingsFrame, WindowUpdateFrame
from onnxd_http2 import (COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, JSON_FIELDS, PREFACE, PROTOCOL_ERROR,
                         REFUSED_STREAM, STREAM_CLOSED, FrameConnection, StreamReset, frame_bytes)
from onnxd_server import ConnectionEnded

ASKED = json.dumps(QUESTION).encode()
ENCODED = json.dumps(ANSWER, separators=(",", ":")).encode()
REQUEST = [(":method", "GET"), (":scheme", "http"), (":path", "/live"), (":authority", "test")]


@pytest.fixture
def server(backend):
    return backend.server()


@pytest.fixture
def neighbour(server):
    """Another connection, which has to be served before and after whatever a test does."""
    with FrameConnection(server) as connection:
        assert connection.exchange("/invocations", ASKED, JSON_FIELDS).body == ENCODED
        yield connection
        assert connection.exchange("/invocations", ASKED, JSON_FIELDS).body == ENCODED
    assert server.invoke(QUESTION).json() == ANSWER


# Errors of the connection: GOAWAY with the code, then the end.

CONNECTION_ERRORS = {
    "4.2 frame longer than allowed": (frame_bytes(0x0, 0, 1, b"x" * 16385), FRAME_SIZE_ERROR),
    "6.1 DATA on the connection": (frame_bytes(0x0, 0, 0, b"x"), PROTOCOL_ERROR),
    "5.1 DATA before HEADERS": (frame_bytes(0x0, 0, 1, b"x"), PROTOCOL_ERROR),
    "6.2 HEADERS on the connection": (frame_bytes(0x1, 0x5, 0, b"\x82"), PROTOCOL_ERROR),
    "5.1.1 HEADERS on an even stream": (frame_bytes(0x1, 0x5, 2, b"\x82\x86\x84"), PROTOCOL_ERROR),
    "6.2 padding past the end": (frame_bytes(0x1, 0xd, 1, b"\xff\x82"), PROTOCOL_ERROR),
    "4.3 fields that cannot be decoded": (frame_bytes(0x1, 0x5, 1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION_ERROR),
    "6.3 PRIORITY on the connection": (frame_bytes(0x2, 0, 0, b"\0\0\0\0\0"), PROTOCOL_ERROR),
    "6.4 RST_STREAM on the connection": (frame_bytes(0x3, 0, 0, b"\0\0\0\x08"), PROTOCOL_ERROR),
    "6.4 RST_STREAM of an idle stream": (frame_bytes(0x3, 0, 1, b"\0\0\0\x08"), PROTOCOL_ERROR),
    "6.4 RST_STREAM of three bytes": (frame_bytes(0x3, 0, 1, b"\0\0\x08"), FRAME_SIZE_ERROR),
    "6.5 SETTINGS on a stream": (frame_bytes(0x4, 0, 1, b""), PROTOCOL_ERROR),
    "6.5 SETTINGS of five bytes": (frame_bytes(0x4, 0, 0, b"\0\x04\0\0\0"), FRAME_SIZE_ERROR),
    "6.5 acknowledgement with content": (frame_bytes(0x4, 1, 0, b"\0\x04\0\0\0\0"), FRAME_SIZE_ERROR),
    "6.5.2 window past the maximum": (frame_bytes(0x4, 0, 0, b"\0\x04\x80\0\0\0"), FLOW_CONTROL_ERROR),
    "6.5.2 frame size below the minimum": (frame_bytes(0x4, 0, 0, b"\0\x05\0\0\x3f\xff"), PROTOCOL_ERROR),
    "6.5.2 push neither on nor off": (frame_bytes(0x4, 0, 0, b"\0\x02\0\0\0\x02"), PROTOCOL_ERROR),
    "6.6 PUSH_PROMISE of a client": (frame_bytes(0x5, 4, 1, b"\0\0\0\x02\x82"), PROTOCOL_ERROR),
    "6.7 PING on a stream": (frame_bytes(0x6, 0, 1, b"12345678"), PROTOCOL_ERROR),
    "6.7 PING of seven bytes": (frame_bytes(0x6, 0, 0, b"1234567"), FRAME_SIZE_ERROR),
    "6.8 GOAWAY on a stream": (frame_bytes(0x7, 0, 1, b"\0" * 8), PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of the connection by 0": (frame_bytes(0x8, 0, 0, b"\0\0\0\0"), PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of an idle stream": (frame_bytes(0x8, 0, 1, b"\0\0\0\1"), PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of three bytes": (frame_bytes(0x8, 0, 0, b"\0\0\1"), FRAME_SIZE_ERROR),
    "6.9.1 connection window past the maximum": (frame_bytes(0x8, 0, 0, b"\x7f\xff\xff\xff"), FLOW_CONTROL_ERROR),
    "6.10 CONTINUATION of nothing": (frame_bytes(0x9, 4, 1, b"\x82"), PROTOCOL_ERROR),
    "6.10 another frame inside of a head": (frame_bytes(0x1, 0, 1, b"\x82") + frame_bytes(0x6, 0, 0, b"12345678"),
                                            PROTOCOL_ERROR),
    "6.10 another stream inside of a head": (frame_bytes(0x1, 0, 1, b"\x82") + frame_bytes(0x9, 4, 3, b"\x86"),
                                             PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_connection_errors(server, neighbour, name):
    sent, code = CONNECTION_ERRORS[name]
    with FrameConnection(server) as connection:
        connection.send(sent)
        assert connection.read_goaway() == code


@pytest.mark.parametrize("preface", [
    PREFACE[:-1] + b"X" + b"\0" * 40,
    PREFACE + frame_bytes(0x6, 0, 0, b"12345678"),
    PREFACE + b"GET /live HTTP/1.1\r\n\r\n" * 10,
    PREFACE + PREFACE,
    b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n",
], ids=["last byte", "no SETTINGS", "HTTP/1.1 after", "twice", "third line", "version"])
def test_prefaces_that_are_none(server, neighbour, preface):
    """Section 3.4: an end in either protocol's words, or without any."""
    with server.connect() as connection:
        connection.send(preface)
        said = connection.read_to_end()
        assert said == b"" or said.startswith(b"HTTP/1.1 4") or said[3:4] == b"\x04" or said.startswith(b"HTTP/1.1 5")
        assert b"HTTP/1.1 200" not in said


# Errors of a stream: RST_STREAM with the code, and the connection goes on.

MALFORMED = {
    "8.3.1 no method": REQUEST[1:],
    "8.3.1 no path": [REQUEST[0], REQUEST[1], REQUEST[3]],
    "8.3.1 no scheme": [REQUEST[0], *REQUEST[2:]],
    "8.3.1 empty path": [*REQUEST[:2], (":path", ""), REQUEST[3]],
    "8.3.1 two paths": [*REQUEST, (":path", "/metrics")],
    "8.3.1 two methods": [*REQUEST, (":method", "POST")],
    "8.3 unknown pseudo-header": [*REQUEST, (":nope", "x")],
    "8.3 pseudo-header of responses": [*REQUEST, (":status", "200")],
    "8.3 pseudo-header after a field": [*REQUEST[:3], ("x", "y"), REQUEST[3]],
    "8.3.1 host that says something else": [*REQUEST, ("host", "evil")],
    "8.3.1 no host in authority": [*REQUEST[:3], (":authority", "a b")],
    "8.3.1 method with a space": [(":method", "GET /metrics"), *REQUEST[1:]],
    "8.3.1 path with a line break": [*REQUEST[:2], (":path", "/live HTTP/1.1\r\nhost: x"), REQUEST[3]],
    "8.2.1 upper case name": [*REQUEST, ("X-Upper", "x")],
    "8.2.1 line break in a value": [*REQUEST, ("x", "a\r\nb: c")],
    "8.2.1 NUL in a value": [*REQUEST, ("x", "a\0b")],
    "8.2.1 space in a name": [*REQUEST, ("x y", "z")],
    "8.2.1 colon in a name": [*REQUEST, ("x:y", "z")],
    "8.2.1 empty name": [*REQUEST, ("", "z")],
    "8.2.2 connection": [*REQUEST, ("connection", "close")],
    "8.2.2 keep-alive": [*REQUEST, ("keep-alive", "timeout=5")],
    "8.2.2 proxy-connection": [*REQUEST, ("proxy-connection", "close")],
    "8.2.2 transfer-encoding": [*REQUEST, ("transfer-encoding", "chunked")],
    "8.2.2 upgrade": [*REQUEST, ("upgrade", "h2c")],
    "8.2.2 te": [*REQUEST, ("te", "gzip")],
    "8.1.1 two lengths": [*REQUEST, ("content-length", "0"), ("content-length", "1")],
    "8.1.1 length that is no number": [*REQUEST, ("content-length", "+1")],
    "8.1.1 length of a request without a body": [*REQUEST, ("content-length", "5")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests(server, neighbour, name):
    """Section 8.1.1: a stream error; no handler sees any of it, and what came after is served."""
    before = server.metric("http_requests_total", handler="/live")
    with FrameConnection(server) as connection:
        stream = connection.new_stream()
        connection.send(connection.headers(stream, MALFORMED[name], "END_STREAM"))
        try:
            assert connection.read_response(stream).status == 400
        except StreamReset as reset:
            assert reset.args[0] == PROTOCOL_ERROR
        assert connection.exchange("/live").status == 200
    assert server.metric("http_requests_total", handler="/live", status="2xx") <= before + 1


def test_smuggled_lines_stay_a_value(server, neighbour):
    """What would be a second request, had it been written out as HTTP/1.1, is none."""
    before = server.metric("http_requests_total", handler="/metrics")
    hidden = "x\r\n\r\nGET /metrics HTTP/1.1\r\nhost: t"
    with FrameConnection(server) as connection:
        for fields in ([*REQUEST, ("x", hidden)], [*REQUEST[:2], (":path", "/live?" + hidden), REQUEST[3]],
                       [*REQUEST[:3], (":authority", hidden)], [(":method", hidden), *REQUEST[1:]]):
            stream = connection.new_stream()
            connection.send(connection.headers(stream, fields, "END_STREAM"))
            with pytest.raises(StreamReset):
                connection.read_response(stream)
        connection.round_trip()
    assert server.metric("http_requests_total", handler="/metrics") - before == 1  # this question's own


def test_window_update_past_the_maximum_of_a_stream(server, neighbour):
    with FrameConnection(server) as connection:
        stream = connection.open_stream("/invocations", JSON_FIELDS)
        connection.send(WindowUpdateFrame(stream, window_increment=2**31 - 1))
        assert connection.read_reset(stream) == FLOW_CONTROL_ERROR
        assert connection.exchange("/live").status == 200


def test_streams_past_the_limit(server, neighbour):
    """Section 5.1.2: refused to who may not know the limit yet; the end for who has acknowledged it."""
    with FrameConnection(server, acknowledge=False) as connection:
        connection.round_trip()
        limit = connection.settings[SettingsFrame.MAX_CONCURRENT_STREAMS]
        assert 100 <= limit <= 1000
        streams = [connection.open_stream("/invocations", JSON_FIELDS) for _ in range(limit + 5)]
        assert [connection.read_reset(stream) for stream in streams[limit:]] == [REFUSED_STREAM] * 5
        for stream in streams[:limit]:
            connection.send_data(stream, ASKED, "END_STREAM")
        assert all(connection.read_response(stream).body == ENCODED for stream in streams[:limit])
    with FrameConnection(server) as connection:
        connection.round_trip()
        streams = [connection.open_stream("/invocations", JSON_FIELDS) for _ in range(limit + 1)]
        try:
            assert connection.read_reset(streams[-1]) in (REFUSED_STREAM, PROTOCOL_ERROR)
        except ConnectionEnded:
            assert connection.goaways[-1].error_code == PROTOCOL_ERROR


@pytest.mark.parametrize("then", ["DATA", "HEADERS"])
def test_more_on_a_stream_that_has_ended(server, neighbour, then):
    """Section 5.1: half closed by the client, or closed."""
    with FrameConnection(server) as connection:
        stream = connection.request("/live")
        assert connection.read_response(stream).status == 200
        late = DataFrame(stream, data=b"x") if then == "DATA" else connection.headers(stream, REQUEST, "END_STREAM")
        connection.send(late)
        try:
            connection.round_trip()
        except ConnectionEnded:
            assert connection.goaways[-1].error_code in (STREAM_CLOSED, PROTOCOL_ERROR)
