"""Slow models run on threads of their own: the loops stay free, and nobody harms his neighbour.

All on the test double, where a row takes a few milliseconds: a request of many rows keeps the runner
busy while a test does something. That it does is read from the metrics, which the same (only) loop
answers; no test measures time.
"""

import contextlib
import json
import os
import signal
import socket
import struct

import pytest
from backends import ANSWER, FAKE_ECHO, POISON, QUESTION, fake_model
from load import Load
from onnxd_server import post_bytes, wait_for
from otlp_collector import Collector

pytestmark = pytest.mark.fake_backend

ASKED = post_bytes(json.dumps(QUESTION))
LIVE = b"GET /live HTTP/1.1\r\nHost: t\r\n\r\n"
ONE_OF_EACH = {"IO_THREADS": "1", "MODEL_INSTANCES": "1", "EXECUTION": "pooled"}
ROW_US = 3000
# Its run is long beside what a test does meanwhile, also under a sanitizer on a busy machine.
LONG = [[1, 2]] * 600
LONG_ANSWER = [[1.0, 2.0]] * 600
ASKED_LONG = post_bytes(json.dumps(LONG))


@pytest.fixture
def slow(start, tmp_path):
    """slow(env={...}, **settings of the double): a server on one loop and one runner."""

    def begin(env=None, **settings):
        model = fake_model(tmp_path / "slow", **{"delay_row_us": ROW_US, **settings})
        return start(model, fake=True, env={**ONE_OF_EACH, **(env or {})})

    return begin


@contextlib.contextmanager
def connected(server, count):
    connections = [server.connect(timeout_s=120) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def wait_for_metric(server, name, value, **labels):
    wait_for(lambda: server.metric(name, **labels) == value, f"{name} {labels} to be {value}")


def occupy(server, connection):
    """Returns while the model runs a long request, and nothing waits."""
    connection.send(ASKED_LONG)
    wait_for_metric(server, "onnxd_runners_busy", 1)


def queue_up(server, connections, requests):
    """Returns while all of them wait behind the run that is under way."""
    for connection, request in zip(connections, requests):
        connection.send(request)
    wait_for_metric(server, "onnxd_queue_jobs", len(connections))
    assert server.metric("onnxd_runners_busy") == 1


def reset(connection):
    """Goes for good: after a mere close the server would still have to answer."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# Where a model runs.

@pytest.mark.parametrize("execution, delay_ms, pooled", [
    ("auto", 0, 0), ("auto", 60, 1), ("inline", 60, 0), ("pooled", 0, 1),
])
def test_the_setting_and_the_run_time_decide(slow, execution, delay_ms, pooled):
    server = slow(delay_run_us=delay_ms * 1000, delay_row_us=0, env={"EXECUTION": execution, "INLINE_MAX_US": "20000"})
    for _ in range(10):
        assert server.invoke(QUESTION).json() == ANSWER
    assert server.metric("onnxd_execution_pooled") == pooled
    assert server.metric("onnxd_execution_estimate_seconds") >= delay_ms / 1000
    assert server.metric("onnxd_runners") == (0 if execution == "inline" else 1)
    lines = server.log_lines("execution")
    assert len(lines) == (0 if execution == "inline" else 1), lines
    assert all(("pooled" if pooled else "inline up to") in line for line in lines)


def test_instances_follow_the_setting(slow):
    server = slow(env={"MODEL_INSTANCES": "3"})
    assert server.metric("onnxd_runners") == 3


def test_auto_changes_its_mind_and_says_so(slow):
    """Requests of one row are fast enough, requests of a hundred are not, and what is usual counts."""
    server = slow(env={"EXECUTION": "auto", "INLINE_MAX_US": "20000"}, delay_row_us=1000)
    assert server.metric("onnxd_execution_pooled") == 0
    many = [[1, 2]] * 100

    def ask_until(question, pooled):
        def changed():
            assert server.invoke(question).json() == [[1.0, 2.0]] * len(question)
            return server.metric("onnxd_execution_pooled") == pooled
        wait_for(changed, f"execution_pooled {pooled}")

    ask_until(many, 1)
    assert len(server.log_lines("execution changes to pooled")) == 1
    ask_until([[1, 2]], 0)
    assert len(server.log_lines("execution changes to inline")) == 1


def test_a_large_request_to_a_fast_model_leaves_the_loop(slow):
    server = slow(env={"EXECUTION": "auto", "INLINE_MAX_US": "100000"})
    with connected(server, 1) as [connection]:
        occupy(server, connection)
        assert server.metric("onnxd_execution_pooled") == 0
        assert connection.read_response().json() == LONG_ANSWER


# The loop stays free.

def test_probes_answer_while_the_model_runs(slow):
    server = slow()
    with connected(server, 2) as [asking, probing]:
        occupy(server, asking)
        for _ in range(50):
            probing.send(LIVE)
            assert probing.read_response().status == 200
        assert server.metric("onnxd_runners_busy") == 1
        assert asking.read_response().json() == LONG_ANSWER


def test_probes_and_slow_requests_side_by_side(slow):
    """Far more probes are answered than there were runs they could have waited for."""
    server = slow(delay_run_us=20_000)
    with Load(server, LIVE, clients=2) as probes, Load(server, ASKED, clients=8) as requests:
        requests.wait_for_answers(100)
        probed = len(probes.answers)
    assert probes.lost == [] and requests.lost == []
    assert probes.statuses() == {200} and requests.statuses() == {200}
    assert probed > 3 * server.metric("onnxd_runs_total")


# Batches form while the runner is busy.

def test_what_waits_shares_one_run(slow):
    server = slow()
    with connected(server, 21) as [first, *others]:
        occupy(server, first)
        queue_up(server, others, [post_bytes(f"[[{i},{-i}]]") for i in range(20)])
        assert server.metric("onnxd_queue_rows") == 20
        assert first.read_response().json() == LONG_ANSWER
        for i, connection in enumerate(others):
            assert connection.read_response().json() == [[float(i), float(-i)]]
    assert server.metric("onnxd_runs_total") == 2
    assert server.metric("onnxd_jobs_total") == 21
    assert server.metric("onnxd_run_rows_sum") == 620
    assert server.metric("onnxd_in_flight") == 0


def test_large_requests_run_alone(slow):
    server = slow(env={"MAX_BATCH_SIZE": "4"})
    with connected(server, 4) as [first, *others]:
        occupy(server, first)
        queue_up(server, others, [post_bytes(json.dumps([[1, 2]] * rows)) for rows in (9, 2, 2)])
        for connection, rows in zip(others, (9, 2, 2)):
            assert connection.read_response().json() == [[1.0, 2.0]] * rows
    assert server.metric("onnxd_runs_total") == 3  # the first, the nine, the two pairs


def test_batching_off_runs_one_by_one(slow):
    server = slow(env={"BATCHING": "off"})
    with connected(server, 4) as connections:
        for connection in connections:
            connection.send(ASKED)
        for connection in connections:
            assert connection.read_response().json() == ANSWER
    assert server.metric("onnxd_runs_total") == 4


def test_a_delay_collects_a_batch_for_an_idle_runner(slow):
    server = slow(env={"MAX_QUEUE_DELAY_US": "10000000", "MAX_BATCH_SIZE": "5"})
    with connected(server, 5) as connections:
        for connection in connections:
            connection.send(ASKED)
        for connection in connections:
            assert connection.read_response().json() == ANSWER
    assert server.metric("onnxd_runs_total") == 1


# Isolation.

def test_only_the_guilty_fails(slow):
    server = slow(poison=POISON)
    questions = [[[i, i]] for i in range(6)]
    questions[3] = [[POISON, 1]]
    with connected(server, 7) as [first, *others]:
        occupy(server, first)
        queue_up(server, others, [post_bytes(json.dumps(question)) for question in questions])
        for question, connection in zip(questions, others):
            response = connection.read_response()
            if question[0][0] == POISON:
                assert response.status == 400 and "poison" in response.error()
            else:
                assert (response.status, response.json()) == (200, question)


def test_expired_jobs_never_run(slow):
    """Of a model that refuses its trial (rows of 0.5) nothing is known before its first run is over."""
    server = slow(env={"REQUEST_TIMEOUT_S": "0.4"}, poison=0.5)
    with connected(server, 4) as [first, *others]:
        occupy(server, first)
        queue_up(server, others, [ASKED] * 3)
        for connection in others:
            response = connection.read_response()
            assert response.status == 504 and "time limit" in response.error()
        assert first.read_response().json() == LONG_ANSWER  # it ran: what is done is not thrown away
    assert server.metric("onnxd_runs_total") == 1
    assert server.metric("onnxd_jobs_dropped_total", reason="expired") == 3
    assert server.metric("onnxd_in_flight") == 0


def test_jobs_whose_client_has_gone_never_run(slow):
    server = slow()
    with connected(server, 4) as [first, *others]:
        occupy(server, first)
        queue_up(server, others, [ASKED] * 3)
        for connection in others[:2]:
            reset(connection)
        wait_for_metric(server, "onnxd_connections", 3)  # with the one that asks for it
        assert others[2].read_response().json() == ANSWER
    assert server.metric("onnxd_jobs_total") == 2
    assert server.metric("onnxd_jobs_dropped_total", reason="cancelled") == 2
    wait_for_metric(server, "onnxd_in_flight", 0)


def test_client_that_leaves_during_its_run(slow):
    server = slow()
    with connected(server, 1) as [connection]:
        occupy(server, connection)
        reset(connection)
    wait_for_metric(server, "onnxd_connections", 1)
    assert server.metric("onnxd_in_flight") == 1  # its slot is in use while the model is
    wait_for_metric(server, "onnxd_in_flight", 0)
    assert server.invoke(QUESTION).json() == ANSWER


# Overload.

def test_a_full_queue_is_refused_at_once_and_recovers(slow):
    server = slow(env={"MAX_QUEUE_ROWS": "4"})
    with connected(server, 41) as [first, *others]:
        occupy(server, first)
        for connection in others:
            connection.send(ASKED)
        wait_for_metric(server, "onnxd_rejections_total", 36, reason="queue_full")
        # Loads of refusals, and the first run still goes on.
        assert server.metric("onnxd_runners_busy") == 1
        assert server.metric("onnxd_queue_rows") == 4
        assert first.read_response().json() == LONG_ANSWER
        answers = [connection.read_response() for connection in others]
        assert sorted(answer.status for answer in answers) == [200] * 4 + [429] * 36
        for answer in answers:
            if answer.status == 429:
                assert answer.json() == {"error": "too_many_requests"}
                assert int(answer["retry-after"]) >= 1
        # The same connections go on.
        others[0].send(ASKED)
        assert others[0].read_response().json() == ANSWER


def test_who_is_refused_has_waited_in_no_queue(slow):
    """And its trace has no span of one."""
    with Collector() as collector:
        server = slow(env={"MAX_QUEUE_ROWS": "1", **collector.env()})
        with connected(server, 3) as [first, second, third]:
            occupy(server, first)
            second.send(ASKED)
            wait_for_metric(server, "onnxd_queue_rows", 1)
            third.send(ASKED)
            refused = third.read_response()
            assert refused.status == 429
            ours = [span for span in collector.wait_for_spans(3) if span.trace_id.hex() == refused["x-trace-id"]]
            assert sorted(span.name for span in ours) == ["POST /invocations", "decode", "invocations"]


def test_who_would_wait_too_long_is_refused_at_once(slow):
    server = slow(env={"REQUEST_TIMEOUT_S": "1", "MAX_BATCH_SIZE": "100", "BATCHING": "off"})
    with connected(server, 4) as [first, *others]:
        occupy(server, first)  # for 1.8 s
        for connection in others:
            connection.send(ASKED)
            response = connection.read_response()
            assert (response.status, response.json()) == (429, {"error": "too_many_requests"})
            assert int(response["retry-after"]) >= 1
        # Nothing of them was decoded, and the run goes on.
        assert server.metric("onnxd_rejections_total", reason="late") == 3
        assert server.metric("onnxd_decode_duration_seconds_count") == 1
        assert first.read_response().json() == LONG_ANSWER
        others[0].send(ASKED)
        assert others[0].read_response().json() == ANSWER


def test_a_loop_with_too_much_to_do_hands_over(slow):
    """Rows of 5 ms run on the loop, two in a turn; what comes meanwhile goes to a free runner."""
    server = slow(env={"EXECUTION": "auto", "INLINE_MAX_US": "12000"}, delay_row_us=5000)
    with connected(server, 16) as connections:
        def asked_together():
            for connection in connections:
                connection.send(ASKED)
            for connection in connections:
                assert connection.read_response().json() == ANSWER
            return server.metric("onnxd_jobs_handed_over_total") > 0
        wait_for(asked_together, "jobs that were handed over")
    assert server.metric("onnxd_execution_pooled") == 0


def test_bytes_bound_the_queue_too(slow):
    server = slow(env={"MAX_QUEUE_BYTES": "100"})
    with connected(server, 3) as [first, second, third]:
        occupy(server, first)
        queue_up(server, [second], [post_bytes(json.dumps([[1, 2]] * 10))])  # 80 bytes
        third.send(post_bytes(json.dumps([[1, 2]] * 3)))  # 24 more
        assert third.read_response().status == 429
        assert second.read_response().status == 200


# Reload and stop.

def write_atomically(path, text):
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    os.replace(beside, path)


def test_reload_while_jobs_wait(slow, tmp_path):
    """What was submitted to the old model is answered by it; what comes later by the new one."""
    server = slow()
    with connected(server, 6) as [first, *others]:
        occupy(server, first)
        queue_up(server, others, [ASKED] * 5)
        write_atomically(tmp_path / "slow/model.fake", FAKE_ECHO.replace("[N, 2] echo", "[N] sum"))
        server.terminate(signal.SIGHUP)
        wait_for_metric(server, "onnxd_reloads_total", 1, result="ok")
        wait_for(lambda: server.invoke(QUESTION).json() == [3.0], "the new model")
        assert first.read_response().json() == LONG_ANSWER
        for connection in others:
            assert connection.read_response().json() == ANSWER


def test_reloads_under_load(slow, tmp_path):
    server = slow(env={"MODEL_INSTANCES": "2", "IO_THREADS": "2"})
    with Load(server, ASKED, clients=8) as load:
        for count in range(1, 6):
            load.wait_for_answers(20)
            server.terminate(signal.SIGHUP)
            wait_for_metric(server, "onnxd_reloads_total", count, result="ok")
    assert load.lost == []
    assert load.statuses() == {200}


def test_stop_waits_for_jobs_of_runners(slow):
    server = slow()
    with connected(server, 4) as [first, *others]:
        occupy(server, first)
        queue_up(server, others, [ASKED] * 3)
        server.terminate()
        assert first.read_response().json() == LONG_ANSWER
        for connection in others:
            assert connection.read_response().json() == ANSWER
    assert server.wait() == 0


def test_stop_waits_for_a_run_whose_client_has_gone(slow):
    server = slow()
    with connected(server, 3) as [first, *others]:
        occupy(server, first)
        queue_up(server, others, [ASKED] * 2)
        for connection in (first, *others):
            reset(connection)
    server.terminate()
    assert server.wait() == 0
    assert not server.log_lines("given up")


def test_stop_after_its_time_gives_up_a_run(slow):
    server = slow(env={"DRAIN_TIMEOUT_S": "0.3"}, delay_row_us=100_000)
    with connected(server, 1) as [connection]:
        occupy(server, connection)
        server.terminate()
        assert server.wait(30) == 0
        assert connection.is_closed()
    assert server.log_lines("given up")
