"""Live, Ready and Predict with grpcio's clients, the blocking and the asynchronous one."""

import asyncio
import json

import grpc
import pytest
from backends import ANSWER, QUESTION
from onnxd_grpc import (CHANNEL_OPTIONS, SERVICE, ask, calls, expect_failure, grpc_port, messages, open_channel,
                        outcome, predict, predict_request)

ASKED = json.dumps(QUESTION)
ANSWERED = json.dumps(ANSWER, separators=(",", ":")).encode()
INLINE = {"EXECUTION": "inline", "IO_THREADS": "1"}
STREAMS = 200


@pytest.fixture
def server(backend):
    return backend.server()


@pytest.fixture(params=["PORT", "GRPC_PORT"])
def channel(request, server):
    port = server.port if request.param == "PORT" else grpc_port(server)
    with open_channel(server, port) as opened:
        yield opened


def test_live_and_ready(channel):
    stub = calls.InferenceServiceStub(channel)
    assert outcome(stub.Live, messages.LiveRequest()).reply == messages.StatusReply(ok=True, status="live")
    assert outcome(stub.Ready, messages.ReadyRequest()).reply == messages.StatusReply(ok=True, status="ready")


def test_without_a_model_it_is_live_and_not_ready(start, tmp_path):
    with open_channel(start(tmp_path, expect_ready=False)) as channel:
        stub = calls.InferenceServiceStub(channel)
        assert outcome(stub.Live, messages.LiveRequest()).reply == messages.StatusReply(ok=True, status="live")
        assert outcome(stub.Ready, messages.ReadyRequest()).reply == messages.StatusReply(ok=False, status="not_ready")


def test_predict(channel):
    got = predict(channel, ASKED)
    assert got.body() == ANSWERED
    assert got.reply.content_type == "application/json"
    assert got.reply.metadata == {"batch_size": "1"}
    assert predict(channel, "1,2\n3,4\n", "text/csv", "text/csv").body() == b"1.0,2.0\n3.0,4.0"


def test_defaults_are_those_of_the_settings(backend):
    server = backend.server(env={"DEFAULT_CONTENT_TYPE": "text/csv", "DEFAULT_ACCEPT": "text/csv"})
    got = ask(server, "1,2\n")
    assert got.body() == b"1.0,2.0" and got.reply.content_type.startswith("text/csv")


def test_errors_leave_the_channel_sound(channel):
    for body in ("[[1,", "", "[[1]]", "[[\"x\",1]]"):
        expect_failure(predict(channel, body), grpc.StatusCode.INVALID_ARGUMENT)
        assert predict(channel, ASKED).body() == ANSWERED
    text = expect_failure(predict(channel, ASKED, "application/nope"), grpc.StatusCode.INVALID_ARGUMENT)
    assert text == "Unsupported Content-Type: application/nope"


def test_error_texts_are_utf_8(channel):
    """grpc-message is percent-encoded; the text is the one that HTTP has in JSON."""
    text = expect_failure(predict(channel, ASKED, "x/é 100%"), grpc.StatusCode.INVALID_ARGUMENT)
    assert text == "Unsupported Content-Type: x/é 100%"


@pytest.mark.parametrize("method", [f"/{SERVICE}/Nope", "/nope.Service/Predict", f"/{SERVICE}/predict", "/Predict"])
def test_unknown_methods_are_unimplemented(channel, method):
    start = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    assert outcome(start, b"").code is grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_message_are_refused(channel):
    start = channel.unary_unary(f"/{SERVICE}/Predict", request_serializer=bytes, response_deserializer=bytes)
    for broken in (b"\xff", b"\x0a\x05ab", b"\x12\x02\xff\xfe", b"\x0b"):
        assert outcome(start, broken).code is grpc.StatusCode.INVALID_ARGUMENT, broken
    assert predict(channel, ASKED).body() == ANSWERED


def test_an_empty_message_is_an_empty_payload(server, channel):
    got = predict(channel, b"")
    assert got.code is grpc.StatusCode.INVALID_ARGUMENT
    assert got.details == server.invoke("").json()["error"]


def test_calls_of_a_stream_have_one_message(channel):
    """A unary call of two messages, and one of none, as clients of another .proto would make."""
    start = channel.stream_unary(f"/{SERVICE}/Predict", request_serializer=bytes, response_deserializer=bytes)
    for sent in ([], [predict_request(ASKED).SerializeToString()] * 2):
        assert outcome(start, iter(sent)).code is grpc.StatusCode.UNIMPLEMENTED


# Many calls of one channel.

def counters(server):
    metrics = server.metrics()
    return metrics["onnxd_jobs_total"][0][1], metrics["onnxd_runs_total"][0][1]


def test_every_stream_gets_its_own_answer(channel):
    stub = calls.InferenceServiceStub(channel)
    futures = [stub.Predict.future(predict_request(f"[[{i},{-i}]]"), timeout=60) for i in range(STREAMS)]
    for i, future in enumerate(futures):
        assert json.loads(future.result().body) == [[i, -i]]


def test_streams_that_fail_are_among_those_that_do_not(channel):
    stub = calls.InferenceServiceStub(channel)
    bodies = ["[[1," if i % 3 == 0 else f"[[{i},0]]" for i in range(STREAMS)]
    futures = [stub.Predict.future(predict_request(body), timeout=60) for body in bodies]
    for i, future in enumerate(futures):
        if i % 3 == 0:
            assert future.code() is grpc.StatusCode.INVALID_ARGUMENT
        else:
            assert json.loads(future.result().body) == [[i, 0]]


def test_calls_of_one_channel_share_runs(backend):
    server = backend.server(env=INLINE)
    jobs_before, runs_before = counters(server)
    with open_channel(server) as channel:
        stub = calls.InferenceServiceStub(channel)
        for _ in range(10):
            futures = [stub.Predict.future(predict_request(f"[[{i},0]]"), timeout=60) for i in range(STREAMS)]
            assert [json.loads(future.result().body) for future in futures] == [[[i, 0]] for i in range(STREAMS)]
    jobs, runs = counters(server)
    assert jobs - jobs_before == 10 * STREAMS
    assert (jobs - jobs_before) / (runs - runs_before) > 1


def test_asynchronous_client(backend):
    """grpc.aio, with more calls at once than a connection takes streams."""
    server = backend.server()
    port = grpc_port(server)

    async def one(stub, i):
        try:
            reply = await stub.Predict(predict_request("[[" if i % 10 == 9 else f"[[{i},1]]"), timeout=60)
        except grpc.aio.AioRpcError as problem:
            return problem.code()
        return json.loads(reply.body)

    async def all_of_them():
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS) as channel:
            stub = calls.InferenceServiceStub(channel)
            return await asyncio.gather(*(one(stub, i) for i in range(600)))

    answers = asyncio.run(all_of_them())
    wanted = [grpc.StatusCode.INVALID_ARGUMENT if i % 10 == 9 else [[i, 1]] for i in range(600)]
    assert answers == wanted


def test_many_channels(server):
    channels = [open_channel(server) for _ in range(20)]
    try:
        futures = [calls.InferenceServiceStub(channel).Predict.future(predict_request(f"[[{i},{n}]]"), timeout=60)
                   for n, channel in enumerate(channels) for i in range(10)]
        answers = [json.loads(future.result().body) for future in futures]
    finally:
        for channel in channels:
            channel.close()
    assert answers == [[[i, n]] for n in range(20) for i in range(10)]
