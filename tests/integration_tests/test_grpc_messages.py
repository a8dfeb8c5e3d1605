"""Messages of every size, and compressed: what comes in and goes out is bounded, and is what it was."""

import gzip
import io
import json
import pathlib
import re
import subprocess
import zlib

import grpc
import numpy
import pytest
from backends import QUESTION, fake_model
from onnxd_grpc import OK, ask, calls, expect_failure, messages, open_channel, predict, predict_request
from onnxd_http2 import GRPC_FIELDS, FrameConnection, grpc_message
from onnxd_server import is_sanitized, wait_for

PREDICT = "/onnxserving.grpc.InferenceService/Predict"
ASKED = predict_request(json.dumps(QUESTION))
MIB = 1 << 20
RAISED = {"MAX_BODY_BYTES": str(64 * MIB), "MAX_RECORDS": "100000000"}


@pytest.fixture
def server(backend):
    return backend.server()


def npy(rows):
    """`rows` rows of two float32, 8 bytes each, as the bytes of a .npy file."""
    out = io.BytesIO()
    numpy.save(out, numpy.arange(2 * rows, dtype=numpy.float32).reshape(rows, 2))
    return out.getvalue()


# gzip.

def test_compressed_by_the_client(server):
    with open_channel(server, compression=grpc.Compression.Gzip) as channel:
        for body in (json.dumps(QUESTION), json.dumps([[i, -i] for i in range(2000)])):
            assert json.loads(predict(channel, body).body()) == json.loads(body)


def compressed(content):
    return b"\1" + len(content).to_bytes(4, "big") + content


def test_answers_are_compressed_for_who_takes_it_and_does_it(server):
    request = predict_request(json.dumps([[i, 0] for i in range(2000)]))
    takes = ("grpc-accept-encoding", "identity, gzip")
    with FrameConnection(server) as connection:
        plain = connection.exchange(PREDICT, grpc_message(request), GRPC_FIELDS)
        assert plain["grpc-encoding"] in (None, "identity") and plain.body[0] == 0
        zipped = compressed(gzip.compress(request.SerializeToString()))
        packed = connection.exchange(PREDICT, zipped, [*GRPC_FIELDS, takes, ("grpc-encoding", "gzip")])
        assert packed["grpc-encoding"] == "gzip" and packed.body[0] == 1
        assert gzip.decompress(packed.body[5:]) == plain.body[5:]
        refused = connection.exchange(PREDICT, zipped, [*GRPC_FIELDS, ("grpc-encoding", "gzip")])
        assert refused.body == plain.body
        unzipped = connection.exchange(PREDICT, grpc_message(request), [*GRPC_FIELDS, takes])
        content = gzip.decompress(unzipped.body[5:]) if unzipped.body[0] else unzipped.body[5:]
        assert content == plain.body[5:]


def status_of(server, body, fields):
    with FrameConnection(server) as connection:
        answer = connection.exchange(PREDICT, body, [*GRPC_FIELDS, *fields])
        again = connection.exchange(PREDICT, grpc_message(ASKED), GRPC_FIELDS)
        assert again.trailer("grpc-status") == "0"
        return int(answer.trailer("grpc-status"))


@pytest.mark.parametrize("body, encoding, code", [
    (compressed(gzip.compress(ASKED.SerializeToString())), "gzip", OK),
    (grpc_message(ASKED), "gzip", OK),  # the flag decides
    (grpc_message(ASKED), "identity", OK),
    (compressed(gzip.compress(ASKED.SerializeToString())[:-1]), "gzip", grpc.StatusCode.INVALID_ARGUMENT),
    (compressed(b"no gzip"), "gzip", grpc.StatusCode.INVALID_ARGUMENT),
    (compressed(zlib.compress(ASKED.SerializeToString())), "deflate", grpc.StatusCode.UNIMPLEMENTED),
    (compressed(ASKED.SerializeToString()), "identity", grpc.StatusCode.INTERNAL),
    (compressed(ASKED.SerializeToString()), None, grpc.StatusCode.INTERNAL),
], ids=["gzip", "flag off", "identity", "cut", "none", "unknown", "flag without coding", "flag without field"])
def test_codings(server, body, encoding, code):
    """compression.md of gRPC."""
    assert status_of(server, body, [("grpc-encoding", encoding)] if encoding else []) == code.value[0]


@pytest.mark.parametrize("body", [
    b"\0\0\0", b"\0\0\0\0\x10", grpc_message(ASKED)[:-1], b"\2" + grpc_message(ASKED)[1:], grpc_message(ASKED) + b"\0",
    b"\0\xff\xff\xff\xff",
], ids=["half a prefix", "prefix alone", "cut", "unknown flag", "rest", "4 GiB announced"])
def test_frames_that_are_none(server, body):
    assert status_of(server, body, []) != 0


def test_bomb(server):
    """A gigabyte in a megabyte: refused when it has grown to the limit."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"\0" * MIB) for _ in range(1024)) + packer.flush()
    assert len(bomb) < 2 * MIB
    assert ask(server, ASKED.payload).code is OK
    before = server.rss_bytes()
    with FrameConnection(server) as connection:
        stream = connection.open_stream(PREDICT, [*GRPC_FIELDS, ("grpc-encoding", "gzip")])
        connection.send_data(stream, compressed(bomb), "END_STREAM")
        assert connection.read_response(stream).trailer("grpc-status") == "8"
        assert connection.exchange(PREDICT, grpc_message(ASKED), GRPC_FIELDS).trailer("grpc-status") == "0"
    if not is_sanitized():
        assert server.rss_bytes() - before < 128 * MIB


# Sizes.

def test_payload_at_and_past_the_limit(backend):
    server = backend.server(env={"MAX_BODY_BYTES": "100000"})
    with open_channel(server) as channel:
        for size in (99_999, 100_000):
            assert predict(channel, "[[1,2]]".ljust(size)).code is OK
        for size in (100_001, 104_200, 200_000, 10_000_000):
            expect_failure(predict(channel, "[[1,2]]".ljust(size)), grpc.StatusCode.RESOURCE_EXHAUSTED,
                           "payload_too_large")
            assert predict(channel, "[[1,2]]").code is OK


def test_the_announced_size_decides(backend):
    """Only the prefix is sent; who waited for the message would wait for ever."""
    server = backend.server(env={"MAX_BODY_BYTES": "100000"})
    with FrameConnection(server) as connection:
        stream = connection.open_stream(PREDICT, GRPC_FIELDS)
        connection.send_data(stream, b"\0" + (10_000_000).to_bytes(4, "big"))
        assert connection.read_response(stream).trailer("grpc-status") == "8"


def test_five_megabytes(backend):
    server = backend.server(env={"MAX_RECORDS": "1000000"})
    rows = 5_000_000 // 8
    with open_channel(server) as channel:
        got = predict(channel, npy(rows), "application/x-npy", "application/x-npy")
        assert got.body() == npy(rows)
        assert got.reply.metadata["batch_size"] == str(rows)
        text = json.dumps([[i, 0] for i in range(400_000)])
        assert 4_000_000 < len(text) < 6_291_456
        assert json.loads(predict(channel, text).body())[::1000] == [[i, 0] for i in range(0, 400_000, 1000)]


def test_several_large_messages_at_once(backend):
    server = backend.server(env={"MAX_RECORDS": "1000000", "MAX_QUEUE_ROWS": "10000000"})
    payload = npy(200_000)
    with open_channel(server) as channel:
        stub = calls.InferenceServiceStub(channel)
        request = predict_request(payload, "application/x-npy", "application/x-npy")
        futures = [stub.Predict.future(request, timeout=60) for _ in range(8)]
        small = [stub.Predict.future(ASKED, timeout=60) for _ in range(50)]
        assert {future.result().body for future in small} == {b"[[1.0,2.0]]"}
        assert all(future.result().body == payload for future in futures)


@pytest.mark.parametrize("protocol", ["gRPC", "HTTP/2"])
def test_fifty_megabytes_in_bounded_memory(start, tmp_path, protocol):
    """Up and down again. Kept at once are the body, the tensor in it, the answer's: each one body at most."""
    server = start("identity_float32", env=RAISED)
    payload = npy(50 * MIB // 8)
    assert ask(server, ASKED.payload).code is OK
    before = server.rss_bytes()
    fields = {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}

    def send():
        if protocol == "gRPC":
            return ask(server, payload, *fields.values()).body()
        (tmp_path / "up.npy").write_bytes(payload)
        command = ["curl", "-sSf", "--noproxy", "*", "--http2-prior-knowledge", "--data-binary", f"@{tmp_path}/up.npy",
                   "-o", tmp_path / "down.npy", server.url("/invocations")]
        for name, value in fields.items():
            command += ["-H", f"{name}: {value}"]
        subprocess.run(command, check=True, timeout=60)
        return (tmp_path / "down.npy").read_bytes()

    assert send() == payload
    assert server.metric("onnxd_in_flight") == 0
    assert peak_bytes(server) - before < 3.5 * len(payload) or is_sanitized()
    send()
    wait_for(lambda: server.rss_bytes() - before < 1.5 * len(payload) or is_sanitized(), "the memory is given back")


def peak_bytes(server):
    status = pathlib.Path(f"/proc/{server.pid()}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.M).group(1)) * 1024


@pytest.mark.fake_backend
def test_a_large_answer_to_a_small_question(servers, module_directory):
    """CSV in, and twenty megabytes of JSON out, over a connection whose client reads slowly at first."""
    server = servers(fake_model(module_directory / "echo"), fake=True, env={**RAISED, "IO_THREADS": "1"})
    rows = 1_000_000
    body = "1.5,2.5\n" * rows
    with FrameConnection(server, window=65535) as connection:
        stream = connection.open_stream(PREDICT, GRPC_FIELDS)
        connection.send_data_within_window(stream, grpc_message(predict_request(body, "text/csv")), "END_STREAM")
        answer = connection.read_response(stream, credit=True)
        assert answer.trailer("grpc-status") == "0"
        reply = messages.PredictReply.FromString(answer.body[5:])
        assert reply.body == b"[" + b",".join([b"[1.5,2.5]"] * rows) + b"]"
