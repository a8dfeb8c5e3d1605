"""Frames that are strange, and right: a request is the same whatever its frames, and however they are split.

Sections are those of RFC 9113.
"""

import json

import hpack
import pytest
from backends import ANSWER, QUESTION
from hyperframe.frame import (DataFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame,
                              WindowUpdateFrame)
from onnxd_grpc import messages, predict_request
from onnxd_http2 import (CANCEL, GRPC_FIELDS, JSON_FIELDS, NO_ERROR, PREFACE, PROTOCOL_ERROR, FrameConnection,
                         frame_bytes, grpc_message)

PREDICT = "/onnxserving.grpc.InferenceService/Predict"
ASKED = json.dumps(QUESTION).encode()
ENCODED = json.dumps(ANSWER, separators=(",", ":")).encode()
REQUEST = [(":method", "GET"), (":scheme", "http"), (":path", "/live"), (":authority", "test")]


@pytest.fixture
def server(backend):
    return backend.server()


def test_unknown_frames_are_ignored(server):
    """Section 4.1; and unknown flags, settings and error codes."""
    with FrameConnection(server) as connection:
        stream = connection.open_stream("/invocations", JSON_FIELDS)
        connection.send(frame_bytes(0x77, 0xff, 0, b"x" * 100), frame_bytes(0x77, 0xff, stream, b""),
                        frame_bytes(0x10, 0, 0, b"\0\0\0\1u=1"),
                        SettingsFrame(0, settings={0x4242: 7}), frame_bytes(0x6, 0xfe, 0, b"12345678"))
        connection.send_data(stream, ASKED, "END_STREAM")
        assert connection.read_response(stream).body == ENCODED
        gone = connection.open_stream("/invocations", JSON_FIELDS)
        connection.reset(gone, 0xdeadbeef)
        assert connection.exchange("/live").status == 200


def test_priorities_are_ignored(server):
    with FrameConnection(server) as connection:
        connection.send(PriorityFrame(1, depends_on=0, stream_weight=10, exclusive=False),
                        PriorityFrame(99, depends_on=1, stream_weight=255, exclusive=True))
        stream = connection.new_stream()
        connection.send(HeadersFrame(stream, data=connection.encoder.encode(REQUEST), depends_on=0, stream_weight=3,
                                     flags=["END_HEADERS", "END_STREAM", "PRIORITY"]))
        assert connection.read_response(stream).status == 200


def test_padding_is_taken_off(server):
    with FrameConnection(server) as connection:
        stream = connection.new_stream()
        fields = connection.encoder.encode(connection.request_fields("/invocations", JSON_FIELDS))
        connection.send(HeadersFrame(stream, data=fields, pad_length=200, flags=["END_HEADERS", "PADDED"]),
                        DataFrame(stream, data=ASKED, pad_length=255, flags=["PADDED"]),
                        DataFrame(stream, data=b"", pad_length=10, flags=["PADDED", "END_STREAM"]))
        assert connection.read_response(stream).body == ENCODED


def test_heads_in_many_frames(server):
    with FrameConnection(server) as connection:
        stream = connection.new_stream()
        fields = connection.encoder.encode([*REQUEST, ("x-long", "y" * 5000)])
        pieces = [fields[at:at + 1000] for at in range(0, len(fields), 1000)]
        connection.send(frame_bytes(0x1, 0x1, stream, pieces[0]),
                        *(frame_bytes(0x9, 0, stream, piece) for piece in pieces[1:]), frame_bytes(0x9, 4, stream, b""))
        assert connection.read_response(stream).status == 200


def test_trailers_of_requests(server):
    """Read and dropped; those with pseudo-header fields are malformed (section 8.1)."""
    with FrameConnection(server) as connection:
        for trailers, good in (([("x-checksum", "1")], True), ([(":path", "/metrics")], False)):
            stream = connection.open_stream("/invocations", JSON_FIELDS)
            connection.send_data(stream, ASKED)
            connection.send(connection.headers(stream, trailers, "END_STREAM"))
            if good:
                assert connection.read_response(stream).body == ENCODED
            else:
                assert connection.read_reset(stream) == PROTOCOL_ERROR
        assert connection.exchange("/live").status == 200


def test_empty_data_frames(server):
    with FrameConnection(server) as connection:
        stream = connection.open_stream("/invocations", JSON_FIELDS)
        connection.send(*[DataFrame(stream, data=b"")] * 20)
        connection.send_data(stream, ASKED)
        connection.send(DataFrame(stream, data=b"", flags=["END_STREAM"]))
        assert connection.read_response(stream).body == ENCODED


def test_a_reset_of_an_answered_stream(server):
    with FrameConnection(server) as connection:
        stream = connection.request("/live")
        assert connection.read_response(stream).status == 200
        connection.send(RstStreamFrame(stream, error_code=CANCEL), WindowUpdateFrame(stream, window_increment=1))
        connection.round_trip()
        assert connection.exchange("/live").status == 200


def test_a_client_that_says_goodbye(server):
    """GOAWAY of the client: what it has begun is answered, then the connection ends."""
    with FrameConnection(server) as connection:
        stream = connection.request("/invocations", ASKED, JSON_FIELDS)
        connection.send(frame_bytes(0x7, 0, 0, b"\0\0\0\0" + NO_ERROR.to_bytes(4, "big")))
        assert connection.read_response(stream).body == ENCODED


# Splits.

def whole_connection(fields, path, body):
    """All that a client with one request sends, from its first byte on."""
    head = FrameConnection.request_fields(path, fields)
    return (PREFACE + SettingsFrame(0).serialize() +
            HeadersFrame(1, data=hpack.Encoder().encode(head), flags=["END_HEADERS"]).serialize() +
            DataFrame(1, data=body, flags=["END_STREAM"]).serialize() +
            PingFrame(0, opaque_data=b"the-last").serialize())


def answer_to(server, pieces, port=None):
    with FrameConnection(server, port, handshake=False) as connection:
        for piece in pieces:
            connection.send(piece)
        return connection.read_response(1)


@pytest.mark.parametrize("protocol", ["REST", "gRPC"])
def test_requests_split_anywhere_are_the_same_request(server, protocol):
    if protocol == "REST":
        whole = whole_connection(JSON_FIELDS, "/invocations", ASKED)
    else:
        whole = whole_connection(GRPC_FIELDS, PREDICT, grpc_message(predict_request(ASKED)))
    for at in range(1, len(whole)):
        answer = answer_to(server, [whole[:at], whole[at:]])
        assert answer.status == 200
        if protocol == "REST":
            assert answer.body == ENCODED
        else:
            assert answer.trailer("grpc-status") == "0"
            assert messages.PredictReply.FromString(answer.body[5:]).body == ENCODED


def test_requests_byte_by_byte(server):
    whole = whole_connection(GRPC_FIELDS, PREDICT, grpc_message(predict_request(ASKED)))
    answer = answer_to(server, [whole[at:at + 1] for at in range(len(whole))])
    assert answer.trailer("grpc-status") == "0"
