"""SIGTERM and SIGINT: whatever was accepted is answered, then the process ends with 0, in bounded time."""

import json
import os
import signal
import socket
import time

import pytest
from backends import ANSWER, QUESTION, fake_model
from load import Load
from onnxd_server import ConnectionEnded, Server, post_bytes, wait_for

# What leaves with a run under way leaves the run's thread.
LEAVES_THREADS = {"TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0"}
ASKED = post_bytes(json.dumps(QUESTION))


def warm_connection(server):
    """A connection that some loop surely has: it has answered."""
    connection = server.connect()
    connection.send("GET /live HTTP/1.1\r\nHost: t\r\n\r\n")
    assert connection.read_response().status == 200
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_server_ends(own_backend, number):
    server = own_backend.server()
    server.terminate(number)
    assert server.wait() == 0


def test_every_accepted_request_is_answered(own_backend):
    server = own_backend.server()
    with Load(server, ASKED, clients=16) as load:
        load.wait_for_answers(200)
        server.terminate()
        load.join()
    assert server.wait() == 0
    assert load.lost == []
    assert load.statuses() == {200}
    assert {body for _, body in load.answers} == {json.dumps(ANSWER, separators=(",", ":")).encode()}


def test_requests_sent_before_the_signal_are_answered(own_backend):
    """They may still be in the socket when the signal comes."""
    server = own_backend.server()
    connections = [warm_connection(server) for _ in range(32)]
    for connection in connections:
        connection.send(ASKED)
    server.terminate()
    for connection in connections:
        response = connection.read_response()
        assert (response.status, response.json()) == (200, ANSWER)
        connection.close()
    assert server.wait() == 0


def test_pipelined_requests_sent_before_the_signal_are_answered_or_not_begun(own_backend):
    """An answer that says close ends the sequence: what follows was not accepted, and none is cut."""
    server = own_backend.server()
    with warm_connection(server) as connection:
        connection.send(ASKED * 50)
        server.terminate()
        for _ in range(50):
            response = connection.read_response()
            assert response.json() == ANSWER
            if (response["connection"] or "").lower() == "close":
                break
        assert connection.is_closed()
    assert server.wait() == 0


def test_request_half_sent_at_the_signal_can_be_finished(own_backend):
    server = own_backend.server()
    with warm_connection(server) as connection:
        connection.send(ASKED[:-4])
        # The server has read the first part once another request on its loops was answered after it.
        for _ in range(8):
            assert server.get("/live").status_code == 200
        server.terminate()
        connection.send(ASKED[-4:])
        assert connection.read_response().json() == ANSWER
        assert connection.is_closed()
    assert server.wait() == 0


def test_nobody_new_is_taken(own_backend):
    server = own_backend.server(env={"DRAIN_TIMEOUT_S": "20"})
    with warm_connection(server) as held:
        held.send(ASKED[:-4])
        server.terminate()
        wait_for(lambda: server.log_lines("stopping"), "the line that says it stops")
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection(("127.0.0.1", server.port), timeout=5) as late:
                    late.settimeout(5)
                    late.sendall(b"GET /ready HTTP/1.1\r\nHost: t\r\n\r\n")
                    # Taken before the listener was closed; it is answered or told to go.
                    late.recv(100)
            except (ConnectionRefusedError, ConnectionResetError):
                break
            assert time.monotonic() < deadline, "new connections are still taken"
        held.send(ASKED[-4:])
        assert held.read_response().status == 200
    assert server.wait() == 0


@pytest.mark.fake_backend
def test_readiness_is_500_while_draining(slow_server):
    server = slow_server(delay_ms=500, env={"IO_THREADS": "2"})
    asking = warm_connection(server)
    probing = warm_connection(server)
    with asking, probing:
        asking.send(ASKED)
        server.terminate()
        probing.send("GET /ready HTTP/1.1\r\nHost: t\r\n\r\n")
        response = probing.read_response()
        # The probe may have overtaken the signal by a hair; the next one has not.
        while response.status == 200:
            probing.send("GET /ready HTTP/1.1\r\nHost: t\r\n\r\n")
            response = probing.read_response()
        assert (response.status, response.body) == (500, b"\n")
        assert asking.read_response().json() == ANSWER
    assert server.wait() == 0


@pytest.mark.fake_backend
def test_slow_requests_are_waited_for(slow_server):
    server = slow_server(delay_ms=400, env={"IO_THREADS": "2", "BATCHING": "off"})
    connections = [warm_connection(server) for _ in range(4)]
    for connection in connections:
        connection.send(ASKED)
    server.terminate()
    for connection in connections:
        assert connection.read_response().json() == ANSWER
        connection.close()
    assert server.wait() == 0


@pytest.mark.fake_backend
def test_drain_ends_after_its_time(start, tmp_path):
    """A run of a minute does not hold the process for a minute."""
    model = fake_model(tmp_path / "model", delay_row_us=30_000)
    server = start(model, fake=True, env={
        "DRAIN_TIMEOUT_S": "0.5", "REQUEST_TIMEOUT_S": "300", "MAX_RECORDS": "5000", **LEAVES_THREADS})
    with warm_connection(server) as connection:
        connection.send(post_bytes(json.dumps([[1, 2]] * 2000)))
        server.terminate()
        assert server.wait(50) == 0
        with pytest.raises(ConnectionEnded):
            connection.read_response()
    assert server.log_lines("the drain time is over")


def test_idle_connections_do_not_hold_the_process(own_backend):
    server = own_backend.server(env={"KEEPALIVE_TIMEOUT_S": "600", "DRAIN_TIMEOUT_S": "600"})
    connections = [warm_connection(server) for _ in range(10)]
    silent = [server.connect() for _ in range(3)]
    server.terminate()
    assert server.wait() == 0
    for connection in connections + silent:
        assert connection.is_closed()
        connection.close()


def test_client_that_does_not_read_does_not_hold_the_process(own_backend):
    server = own_backend.server(env={"DRAIN_TIMEOUT_S": "1", **LEAVES_THREADS})
    with warm_connection(server) as connection:
        connection.socket.settimeout(5)
        try:
            for _ in range(200):
                connection.send(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n" * 100)
        except TimeoutError:
            pass  # nothing more fits: the server waits for us
        server.terminate()
        assert server.wait() == 0


def test_second_signal_ends_at_once(own_backend):
    server = own_backend.server(env={"DRAIN_TIMEOUT_S": "600", "REQUEST_TIMEOUT_S": "600", **LEAVES_THREADS})
    with warm_connection(server) as connection:
        connection.send(ASKED[:-4])
        for _ in range(8):
            assert server.get("/live").status_code == 200
        server.terminate()
        wait_for(lambda: server.log_lines("stopping"), "the first signal's line")
        server.terminate()
        assert server.wait() == 0
    assert server.log_lines("SIGTERM while stopping: unanswered requests are given up")
    assert not server.log_lines("the drain time is over")


def test_signal_during_the_start(own_backend, tmp_path):
    """Before the model is ready: it ends with 0 as well."""
    for _ in range(5):
        with Server(own_backend.model(), fake=own_backend.is_fake, expect_ready=False, env=LEAVES_THREADS) as server:
            server.terminate()
            assert server.wait() == 0
