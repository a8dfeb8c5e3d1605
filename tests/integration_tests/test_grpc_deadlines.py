"""Calls that end early: deadlines, cancellation, the limit of calls, and a drain with calls in flight."""

import json
import threading

import grpc
import pytest
from backends import QUESTION, fake_model
from onnxd_grpc import OK, PATIENCE_S, ask, calls, grpc_port, open_channel, predict, predict_request
from onnxd_http2 import GRPC_FIELDS, FrameConnection, grpc_message
from onnxd_server import wait_for

ASKED = predict_request(json.dumps(QUESTION))
ANSWERED = b"[[1.0,2.0]]"
# 4 ms a row: what asks for so many keeps the model busy for most of a second.
ROW_US = 4000
LONG_ROWS = 200
LONG_ASKED = predict_request(json.dumps(QUESTION * LONG_ROWS))
LONG_ANSWERED = b"[" + b",".join([ANSWERED[1:-1]] * LONG_ROWS) + b"]"
# One thread runs the model, one request at a time: what comes second waits for what came first.
ONE_AT_A_TIME = {"EXECUTION": "pooled", "MODEL_INSTANCES": "1", "BATCHING": "off", "IO_THREADS": "1"}
PREDICT = "/onnxserving.grpc.InferenceService/Predict"


@pytest.fixture
def slow(start, tmp_path):
    """slow(poison=..., env=...): a server whose one runner a long question keeps busy."""

    def begin(env=None, **model):
        directory = fake_model(tmp_path / "slow", delay_row_us=ROW_US, **model)
        return start(directory, fake=True, env={**ONE_AT_A_TIME, **(env or {})})

    return begin


def start_call(channel, request=ASKED, timeout=PATIENCE_S):
    return calls.InferenceServiceStub(channel).Predict.future(request, timeout=timeout)


def occupy(server, channel):
    """The model is busy with a call from here on; returns it."""
    busy = start_call(channel, LONG_ASKED)
    wait_for(lambda: server.metric("onnxd_runners_busy") == 1, "the runner is busy")
    return busy


@pytest.mark.fake_backend
def test_a_queued_call_past_its_deadline_never_runs(slow):
    """Of a model that refuses its trial (rows of 0.5) nothing is known before its first run is over.

    Of another one a call whose deadline cannot be kept is refused at once.
    """
    unknown = slow(poison=0.5)
    with open_channel(unknown) as channel:
        busy = occupy(unknown, channel)
        late = [start_call(channel, timeout=0.2) for _ in range(3)]
        assert {call.code() for call in late} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert busy.result().body == LONG_ANSWERED
        wait_for(lambda: unknown.metric("onnxd_in_flight") == 0, "nothing is in work")
    assert unknown.metric("onnxd_runs_total") == 1
    assert unknown.metric("onnxd_jobs_dropped_total") == 3


@pytest.mark.fake_backend
def test_the_server_itself_ends_a_call_at_its_deadline(slow):
    """By frames: grpcio would end the call on its own side, whatever the server did."""
    unknown = slow(poison=0.5)
    with FrameConnection(unknown) as connection:
        first = connection.request(PREDICT, grpc_message(LONG_ASKED), GRPC_FIELDS)
        late = connection.request(PREDICT, grpc_message(ASKED), [*GRPC_FIELDS, ("grpc-timeout", "100m")])
        assert connection.read_response(late).trailer("grpc-status") == "4"
        assert connection.read_response(first).trailer("grpc-status") == "0"
    assert unknown.metric("onnxd_runs_total") == 1
    assert unknown.metric("onnxd_jobs_dropped_total", reason="expired") == 1


@pytest.mark.fake_backend
def test_a_deadline_that_cannot_be_kept_is_refused_at_once(slow):
    server = slow()
    before = server.metric("onnxd_runs_total")
    with open_channel(server) as channel:
        busy = occupy(server, channel)
        assert start_call(channel, timeout=0.3).code() in (grpc.StatusCode.RESOURCE_EXHAUSTED,
                                                           grpc.StatusCode.DEADLINE_EXCEEDED)
        assert busy.result().body == LONG_ANSWERED
    assert server.metric("onnxd_runs_total") - before == 1


def test_deadlines_of_every_unit(backend):
    server = backend.server()
    with FrameConnection(server) as connection:
        for timeout in ("1H", "10M", "60S", "60000m", "60000000u", "99999999n", "99999999H"):
            stream = connection.request(PREDICT, grpc_message(ASKED), [*GRPC_FIELDS, ("grpc-timeout", timeout)])
            status = connection.read_response(stream).trailer("grpc-status")
            assert status in (("0", "4") if timeout.endswith("n") else ("0",)), timeout


@pytest.mark.parametrize("timeout", ["", "1", "S", "-1S", "123456789S", "1.5S", "1 S", "1s"])
def test_deadlines_that_are_none(backend, timeout):
    server = backend.server()
    with FrameConnection(server) as connection:
        stream = connection.request(PREDICT, grpc_message(ASKED), [*GRPC_FIELDS, ("grpc-timeout", timeout)])
        answer = connection.read_response(stream)
        assert answer.trailer("grpc-status") not in (None, "0"), answer
        assert connection.read_response(connection.request(PREDICT, grpc_message(ASKED), GRPC_FIELDS)).trailer(
            "grpc-status") == "0"


@pytest.mark.fake_backend
def test_cancelled_calls_never_run(slow):
    server = slow()
    before = server.metric("onnxd_jobs_total")
    with open_channel(server) as channel:
        busy = occupy(server, channel)
        waiting = [start_call(channel) for _ in range(20)]
        wait_for(lambda: server.metric("onnxd_queue_jobs") == 20, "the calls wait for the runner")
        for call in waiting:
            call.cancel()
        assert {call.code() for call in waiting} == {grpc.StatusCode.CANCELLED}
        assert busy.result().body == LONG_ANSWERED
        wait_for(lambda: server.metric("onnxd_jobs_dropped_total", reason="cancelled") == 20, "they are dropped")
        assert predict(channel, "[[3,4]]").body() == b"[[3.0,4.0]]"
    assert server.metric("onnxd_jobs_total") - before == 2
    wait_for(lambda: server.metric("onnxd_in_flight") == 0, "all slots are free")


@pytest.mark.fake_backend
def test_a_lost_connection_cancels_its_calls(slow):
    server = slow()
    with open_channel(server) as other:
        busy = occupy(server, other)
        with FrameConnection(server) as connection:
            for _ in range(20):
                connection.request(PREDICT, grpc_message(ASKED), GRPC_FIELDS)
            wait_for(lambda: server.metric("onnxd_queue_jobs") == 20, "the calls wait for the runner")
        assert busy.result().body == LONG_ANSWERED
        wait_for(lambda: server.metric("onnxd_jobs_dropped_total", reason="cancelled") == 20, "they are dropped")
        assert predict(other, "[[3,4]]").code is OK


@pytest.mark.fake_backend
def test_half_sent_calls_can_be_cancelled(slow):
    server = slow()
    with FrameConnection(server) as connection:
        for _ in range(100):
            stream = connection.open_stream(PREDICT, GRPC_FIELDS)
            connection.send_data(stream, grpc_message(ASKED)[:-2])
            connection.reset(stream)
        assert connection.read_response(connection.request(PREDICT, grpc_message(ASKED), GRPC_FIELDS)).trailer(
            "grpc-status") == "0"
    wait_for(lambda: server.metric("onnxd_in_flight") == 0, "all slots are free")


@pytest.mark.fake_backend
def test_calls_past_the_limit_are_told_so(slow):
    """A call more than GRPC_MAX_CONCURRENT_RPCS is refused, and the others are answered."""
    server = slow(env={"GRPC_MAX_CONCURRENT_RPCS": "4"})
    with open_channel(server) as channel, open_channel(server) as other:
        busy = occupy(server, channel)
        waiting = [start_call(channel) for _ in range(3)]
        wait_for(lambda: server.metric("onnxd_queue_jobs") == 3, "the limit is reached")
        refused = predict(other, "[[1,2]]")
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert busy.result().body == LONG_ANSWERED
        assert [call.result().body for call in waiting] == [ANSWERED] * 3
        assert predict(other, "[[5,6]]").body() == b"[[5.0,6.0]]"


@pytest.mark.fake_backend
def test_pings_while_a_call_runs(slow):
    """A client that makes sure of its connection is answered, and not sent away for asking."""
    server = slow()
    options = (("grpc.keepalive_time_ms", 50), ("grpc.keepalive_timeout_ms", 20_000),
               ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_pings_without_data", 0))
    with open_channel(server, options=options) as channel:
        assert start_call(channel, LONG_ASKED).result().body == LONG_ANSWERED
        assert start_call(channel).result().body == ANSWERED


# SIGTERM.

@pytest.mark.fake_backend
def test_calls_in_flight_are_answered_before_the_end(slow):
    server = slow()
    port = grpc_port(server)
    with open_channel(server) as channel:
        busy = occupy(server, channel)
        waiting = [start_call(channel) for _ in range(5)]
        wait_for(lambda: server.metric("onnxd_in_flight") == 6, "the calls are in work")
        server.terminate()
        assert busy.result().body == LONG_ANSWERED
        assert [call.result().body for call in waiting] == [ANSWERED] * 5
        assert server.wait() == 0
        assert ask(server, "[[1,2]]", port=port, timeout=5).code is grpc.StatusCode.UNAVAILABLE


def test_nothing_is_lost_to_a_drain(own_backend):
    """Threads that call without a pause: each call is answered, or was never begun (UNAVAILABLE)."""
    server = own_backend.server()
    codes = []

    def keep_calling(channel):
        while not codes or codes[-1] is OK:
            got = predict(channel, "[[1,2]]", timeout=20)
            codes.append(got.code)
            if got.code is OK:
                assert got.reply.body == b"[[1.0,2.0]]"
            else:
                return

    with open_channel(server) as first, open_channel(server) as second:
        grpc.channel_ready_future(first).result(PATIENCE_S)
        grpc.channel_ready_future(second).result(PATIENCE_S)
        threads = [threading.Thread(target=keep_calling, args=(channel,)) for channel in (first, second) * 4]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(codes) > 100, "calls are answered")
        server.terminate()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
    assert server.wait() == 0
    assert set(codes) <= {OK, grpc.StatusCode.UNAVAILABLE}


def test_goaway_is_the_last_word(own_backend):
    """RFC 9113 section 6.8: first that no new streams are wanted, then how many were served."""
    server = own_backend.server()
    with FrameConnection(server) as connection:
        stream = connection.request(PREDICT, grpc_message(ASKED), GRPC_FIELDS)
        assert connection.read_response(stream).trailer("grpc-status") == "0"
        server.terminate()
        goaways = connection.read_goaways()
        assert goaways and all(goaway.error_code == 0 for goaway in goaways)
        assert goaways[-1].last_stream_id >= stream
    assert server.wait() == 0
