"""Clients of HTTP/2 that mean harm: an end with GOAWAY or a bounded wait, and the memory stays where it was.

What floods cost stands in src/http/h2_budget.h: a client that gives no sound answer in return for
its frames is sent away with ENHANCE_YOUR_CALM.
"""

import contextlib
import json
import os
import select

import hpack
import pytest
from backends import ANSWER, QUESTION
from hyperframe.frame import (ContinuationFrame, DataFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)
from onnxd_grpc import predict_request
from onnxd_http2 import (CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM, GRPC_FIELDS, JSON_FIELDS, PROTOCOL_ERROR,
                         REFUSED_STREAM, FrameConnection, StreamReset, frame_bytes, grpc_message)
from onnxd_server import ConnectionEnded, is_sanitized, wait_for

PREDICT = "/onnxserving.grpc.InferenceService/Predict"
ASKED = json.dumps(QUESTION).encode()
ENCODED = json.dumps(ANSWER, separators=(",", ":")).encode()
# What the allocator and a connection's recycled storage may keep; a leak of streams is far more.
ROOM_BYTES = (1 << 30) if is_sanitized() else (48 << 20)
FLOOD = 20_000


@pytest.fixture
def server(backend):
    """One loop, so that whoever is served is served beside the flood."""
    return backend.server(env={"IO_THREADS": "1"})


@contextlib.contextmanager
def unharmed(server):
    """Others are served all the time, and afterwards memory and descriptors are what they were."""
    def descriptors():
        return len(os.listdir(f"/proc/{server.pid()}/fd"))

    with FrameConnection(server) as neighbour:
        assert neighbour.exchange("/invocations", ASKED, JSON_FIELDS).body == ENCODED
        assert server.invoke(QUESTION).json() == ANSWER
        memory, open_before = server.rss_bytes(), descriptors()
        yield neighbour
        assert neighbour.exchange("/invocations", ASKED, JSON_FIELDS).body == ENCODED
        assert server.invoke(QUESTION).json() == ANSWER
        wait_for(lambda: descriptors() <= open_before + 1, "the connections are closed")
        grown = server.rss_bytes() - memory
        assert grown < ROOM_BYTES, f"{grown >> 20} MiB more than before"
        wait_for(lambda: server.metric("onnxd_in_flight") == 0, "all slots are free")


def send_until_answered(connection, pieces):
    """Sends on until the server says or closes something, or there is nothing left to send."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, ConnectionEnded):
        for piece in pieces:
            connection.raw.send(piece)
            if select.select([connection.raw.socket], [], [], 0)[0]:
                connection.raw._receive()
                if b"\x07\x00\x00\x00\x00\x00" in connection.raw.unread:  # the head of a GOAWAY, without its length
                    return


def flooded(server, pieces, codes=(ENHANCE_YOUR_CALM,)):
    """The flood ends the connection with one of the codes; a reset may have swallowed the words."""
    with FrameConnection(server, window=65535) as connection:
        connection.round_trip()
        send_until_answered(connection, pieces)
        code = connection.read_goaway()
    assert code in (*codes, None), code


def opened_and_reset(fields, code=CANCEL, end=True):
    """HEADERS and RST_STREAM for one stream after another: the same bytes of fields for each."""
    head = hpack.Encoder().encode(FrameConnection.request_fields(*fields))
    flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
    for stream in range(1, 2 * FLOOD, 2):
        yield (HeadersFrame(stream, data=head, flags=flags).serialize() +
               RstStreamFrame(stream, error_code=code).serialize())


def in_blocks(pieces, count=50):
    block = []
    for piece in pieces:
        block.append(piece)
        if len(block) == count:
            yield b"".join(block)
            block = []


@pytest.mark.parametrize("fields, end", [
    (("/live", [], "GET"), True), (("/invocations", JSON_FIELDS), False), ((PREDICT, GRPC_FIELDS), False),
], ids=["GET", "POST", "gRPC"])
def test_rapid_reset(server, fields, end):
    with unharmed(server):
        for _ in range(3):
            flooded(server, in_blocks(opened_and_reset(fields, end=end)))


@pytest.mark.fake_backend
def test_rapid_reset_of_requests_in_work(slow_server):
    """Calls that a slow model has to answer, cancelled at once: none is run for nobody."""
    server = slow_server(delay_ms=5, env={"IO_THREADS": "1", "EXECUTION": "pooled", "BATCHING": "off"})
    head = hpack.Encoder().encode(FrameConnection.request_fields(PREDICT, GRPC_FIELDS))
    body = grpc_message(predict_request(ASKED))

    def pieces():
        for stream in range(1, 2 * FLOOD, 2):
            yield (HeadersFrame(stream, data=head, flags=["END_HEADERS"]).serialize() +
                   DataFrame(stream, data=body, flags=["END_STREAM"]).serialize() +
                   RstStreamFrame(stream, error_code=CANCEL).serialize())

    with unharmed(server):
        flooded(server, in_blocks(pieces()))


FLOODS = {
    "PING": PingFrame(0, opaque_data=b"12345678").serialize(),
    "SETTINGS": SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 70000}).serialize(),
    "empty SETTINGS": SettingsFrame(0).serialize(),
    "PRIORITY": PriorityFrame(1, depends_on=0, stream_weight=1).serialize(),
    "WINDOW_UPDATE by 1": WindowUpdateFrame(0, window_increment=1).serialize(),
    "unknown": frame_bytes(0x77, 0, 0, b""),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_frames_without_end(server, kind):
    """From who never reads as well: what waits to be written is bounded."""
    with unharmed(server):
        flooded(server, [FLOODS[kind] * 100] * (FLOOD // 100))


@pytest.mark.parametrize("payload", [b"", b"\0"], ids=["empty", "padding"])
def test_data_without_content(server, payload):
    with unharmed(server):
        with FrameConnection(server) as connection:
            connection.round_trip()
            stream = connection.open_stream("/invocations", JSON_FIELDS)
            frame = frame_bytes(0x0, 0x8 if payload else 0, stream, payload)
            send_until_answered(connection, [frame * 100] * (FLOOD // 100))
            assert connection.read_goaway() in (ENHANCE_YOUR_CALM, None)


def test_continuations_without_end(server):
    with unharmed(server):
        head = hpack.Encoder().encode(FrameConnection.request_fields("/live", method="GET"))
        for piece in (b"", hpack.Encoder().encode([("x", "y" * 1000)])):
            start = HeadersFrame(1, data=head, flags=["END_STREAM"]).serialize()
            more = ContinuationFrame(1, data=piece).serialize()
            flooded(server, [start, *[more * 20] * 5000], (ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR))


def test_hpack_bomb(server):
    """A field of 4,000 bytes once, and then by its index: a byte becomes four thousand."""
    encoder = hpack.Encoder()
    first = encoder.encode([*FrameConnection.request_fields("/live", method="GET"), ("x", "y" * 4000)])
    again = encoder.encode([("x", "y" * 4000)])
    assert len(again) == 1
    with unharmed(server):
        with FrameConnection(server) as connection:
            stream = connection.new_stream()
            try:
                connection.send(frame_bytes(0x1, 0x5, stream, first + again * 12_000))
                assert connection.read_response(stream).status == 431
                connection.round_trip()
            except StreamReset:
                pass
            except ConnectionEnded:
                assert connection.goaways and connection.goaways[-1].error_code in (ENHANCE_YOUR_CALM,
                                                                                    COMPRESSION_ERROR)


@pytest.mark.parametrize("fields", [
    [(f"x-{i}", "y") for i in range(129)], [("x", "y" * 33_000), ("z", "y" * 33_000)],
], ids=["many", "long"])
def test_huge_heads_are_431(server, fields):
    with unharmed(server):
        with FrameConnection(server) as connection:
            for path in ("/live", "/invocations", PREDICT):
                stream = connection.new_stream()
                head = connection.encoder.encode([*connection.request_fields(path), *fields])
                connection.send(frame_bytes(0x1, 0x1, stream, head[:16384]),
                                *(frame_bytes(0x9, 0, stream, head[at:at + 16384])
                                  for at in range(16384, len(head), 16384)),
                                frame_bytes(0x9, 0x4, stream, b""))
                assert connection.read_response(stream).status == 431
            assert connection.exchange("/live").status == 200


def test_malformed_requests_without_end(server):
    """Each is reset, and after some thousand of them the connection ends."""
    head = hpack.Encoder().encode([(":method", "GET"), (":path", "/live")])
    pieces = (HeadersFrame(stream, data=head, flags=["END_HEADERS", "END_STREAM"]).serialize()
              for stream in range(1, 2 * FLOOD, 2))
    with unharmed(server):
        flooded(server, in_blocks(pieces), (ENHANCE_YOUR_CALM, PROTOCOL_ERROR))


def test_streams_past_the_limit_without_end(server):
    head = hpack.Encoder().encode(FrameConnection.request_fields("/invocations", JSON_FIELDS))
    pieces = (HeadersFrame(stream, data=head, flags=["END_HEADERS"]).serialize() for stream in range(1, 2 * FLOOD, 2))
    with unharmed(server):
        flooded(server, in_blocks(pieces), (ENHANCE_YOUR_CALM, PROTOCOL_ERROR))


def test_streams_of_all_connections_past_the_limit(backend):
    """Heads alone, on several connections: past MAX_STREAMS the rest is refused, and free again when some go."""
    server = backend.server(env={"IO_THREADS": "1", "MAX_STREAMS": "500"})
    refused = server.metric("onnxd_rejections_total", reason="streams")
    with contextlib.ExitStack() as stack, FrameConnection(server) as late:
        for count in (250, 250):
            connection = stack.enter_context(FrameConnection(server))
            for _ in range(count):
                connection.open_stream("/invocations", JSON_FIELDS)
            connection.round_trip()
        assert late.read_reset(late.request("/invocations", ASKED, JSON_FIELDS)) == REFUSED_STREAM
        assert late.read_reset(late.request(PREDICT, grpc_message(predict_request(ASKED)), GRPC_FIELDS)) == REFUSED_STREAM
        for _ in range(1200):  # it may try again, as often as it likes, and is not sent away
            assert late.read_reset(late.request("/live", method="GET")) == REFUSED_STREAM
        assert server.metric("onnxd_rejections_total", reason="streams") == refused + 1202
        assert server.invoke(QUESTION).json() == ANSWER  # HTTP/1.1 has no streams
        connection.reset(1)
        connection.round_trip()
        assert late.exchange("/invocations", ASKED, JSON_FIELDS).body == ENCODED
    wait_for(lambda: server.metric("onnxd_requests_in_progress", protocol="http2") == 0, "all streams are closed")
    assert server.log_lines("MAX_STREAMS (500) are open")


# Who does not take what it asked for.

def test_answers_that_have_no_window(server):
    """256 answers wait on each of some connections, whose clients never open a window."""
    with unharmed(server):
        stalled = [FrameConnection(server, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}) for _ in range(10)]
        for connection in stalled:
            streams = [connection.request("/invocations", ASKED, JSON_FIELDS) for _ in range(200)]
            # The heads come, the bodies cannot.
            while not all(connection.answers[stream].status == 200 for stream in streams):
                connection.read_frame()
            assert all(connection.answers[stream].body == b"" for stream in streams)
        for connection in stalled:
            connection.close()


def test_a_window_that_opens_late(server):
    with FrameConnection(server, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}) as connection:
        streams = [connection.request("/invocations", ASKED, JSON_FIELDS) for _ in range(50)]
        connection.round_trip()
        for i, stream in enumerate(streams):  # one by one, byte by byte, and all at once
            if i % 2 == 0:
                connection.send(*[WindowUpdateFrame(stream, window_increment=1)] * len(ENCODED))
                assert connection.read_response(stream).body == ENCODED
        connection.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1000}))
        assert all(connection.read_response(stream).body == ENCODED for stream in streams)


def test_answers_nobody_reads(server):
    """Ask for metrics, never read: the server stops reading and writing instead of filling its memory."""
    head = hpack.Encoder().encode(FrameConnection.request_fields("/metrics", method="GET"))
    with unharmed(server):
        for _ in range(3):
            with FrameConnection(server, timeout_s=2) as connection:
                with contextlib.suppress(TimeoutError, ConnectionError):
                    for stream in range(1, 40_000, 2):
                        connection.send(HeadersFrame(stream, data=head, flags=["END_HEADERS", "END_STREAM"]))


# Time.

def test_slow_heads_and_bodies(backend):
    server = backend.server(env={"HEADER_TIMEOUT_S": "0.5", "REQUEST_TIMEOUT_S": "0.5", "KEEPALIVE_TIMEOUT_S": "0.5"})
    with FrameConnection(server, handshake=False) as connection:
        connection.send(b"PRI * HTTP/2.0\r\n")  # and no more
        assert connection.read_goaway() is None
    with FrameConnection(server) as connection:
        head = connection.encoder.encode(connection.request_fields("/live", method="GET"))
        connection.send(frame_bytes(0x1, 0x1, 1, head[:3]))  # a head without its end
        connection.read_goaway()
    with FrameConnection(server) as connection:
        stream = connection.open_stream("/invocations", JSON_FIELDS)
        connection.send_data(stream, ASKED[:3])  # a body without its end
        with contextlib.suppress(StreamReset):
            assert connection.read_response(stream).status == 408
    with FrameConnection(server) as connection:
        assert connection.exchange("/live").status == 200
        assert connection.read_goaway() == 0  # idle


def test_connections_dropped_anywhere(server):
    """At every byte of a request, and in the middle of many answers."""
    whole = b"".join(piece for piece in (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SettingsFrame(0).serialize(),
        HeadersFrame(1, data=hpack.Encoder().encode(FrameConnection.request_fields(PREDICT, GRPC_FIELDS)),
                     flags=["END_HEADERS"]).serialize(),
        DataFrame(1, data=grpc_message(predict_request(ASKED)), flags=["END_STREAM"]).serialize()))
    with unharmed(server):
        for at in range(len(whole) + 1):
            with server.connect() as connection:
                connection.send(whole[:at])
        for _ in range(20):
            with FrameConnection(server) as connection:
                for _ in range(200):
                    connection.request(PREDICT, grpc_message(predict_request(ASKED)), GRPC_FIELDS)
