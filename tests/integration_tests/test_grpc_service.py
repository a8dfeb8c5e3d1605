"""The service around the calls: where gRPC is spoken, how it is counted, and a reload under its load."""

import os
import socket
import threading

import grpc
import pytest
from onnxd_grpc import OK, PATIENCE_S, SERVICE, calls, grpc_port, messages, open_channel, outcome, predict
from onnxd_http2 import GRPC_FIELDS, JSON_FIELDS, FrameConnection
from onnxd_server import post_bytes, run_onnxd
from test_reload import OTHER_ANSWER, Directory, reload_now


def test_grpc_can_be_switched_off(backend):
    """No port of its own, and on the port of HTTP its paths are unknown ones."""
    server = backend.server(env={"GRPC_ENABLED": "false"})
    assert not server.log_lines("listening for gRPC")
    with open_channel(server, server.port) as channel:
        assert predict(channel, "[[1,2]]").code is grpc.StatusCode.UNIMPLEMENTED
    with FrameConnection(server) as connection:
        assert connection.exchange(f"/{SERVICE}/Live", b"\0\0\0\0\0", GRPC_FIELDS).status == 404
        assert connection.exchange("/invocations", b"[[1,2]]", JSON_FIELDS).status == 200


def free_port():
    """Below those that the kernel gives to whoever does not ask for one, so that it stays free."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")


def test_one_port_for_all(own_backend):
    """GRPC_PORT that is PORT: it takes everything, as it does anyway."""
    port = free_port()
    server = own_backend.server(env={"PORT": port, "GRPC_PORT": port, "GRPC_HOST": "127.0.0.1"})
    assert server.get("/live").status_code == 200
    with open_channel(server, port) as channel:
        assert predict(channel, "[[1,2]]").body() == b"[[1.0,2.0]]"


def test_a_port_that_is_taken_is_named(backend):
    taken = grpc_port(backend.server())
    done = run_onnxd("serve", env={"SM_MODEL_DIR": "/nonexistent", "PORT": "0", "GRPC_PORT": taken,
                                   "GRPC_HOST": "127.0.0.1"}, fake=backend.is_fake)
    assert done.returncode != 0 and str(taken) in done.stderr


def test_calls_are_counted_by_method_and_code(own_backend):
    server = own_backend.server()
    with open_channel(server) as channel:
        stub = calls.InferenceServiceStub(channel)
        for _ in range(3):
            assert predict(channel, "[[1,2]]").code is OK
        for _ in range(2):
            assert predict(channel, "[[1,").code is grpc.StatusCode.INVALID_ARGUMENT
        outcome(stub.Live, messages.LiveRequest())
    counted = {(labels["method"], labels["code"]): value
               for labels, value in server.metrics()["onnxd_grpc_requests_total"] if value}
    assert counted == {("Predict", "OK"): 3, ("Predict", "INVALID_ARGUMENT"): 2, ("Live", "OK"): 1}


def test_methods_of_the_client_are_no_labels(backend):
    server = backend.server()
    with open_channel(server) as channel:
        start = channel.unary_unary("/some.Secret/Method", request_serializer=bytes, response_deserializer=bytes)
        assert outcome(start, b"").code is grpc.StatusCode.UNIMPLEMENTED
    assert "Secret" not in server.get("/metrics").text


def test_an_upgrade_of_http_1_1_is_not_taken_up(backend):
    """RFC 9113 section 3.1: h2c by Upgrade is obsolete; the request is answered as it came."""
    server = backend.server()
    with server.connect() as connection:
        for _ in range(2):
            connection.send(post_bytes("[[1,2]]", extra="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                                        "HTTP2-Settings: AAMAAABkAAQAAP__\r\n"))
            response = connection.read_response()
            assert (response.status, response.version) == (200, "HTTP/1.1")


@pytest.mark.parametrize("clients", [6])
def test_a_reload_under_load_loses_no_call(own_backend, start, tmp_path, clients):
    directory = Directory(tmp_path / "changing", own_backend.is_fake)
    server = start(directory.path, fake=own_backend.is_fake)
    stopping = threading.Event()
    outcomes = []

    def keep_calling(channel):
        while not stopping.is_set():
            outcomes.append(predict(channel, "[[1,2]]"))

    with open_channel(server) as first, open_channel(server) as second:
        threads = [threading.Thread(target=keep_calling, args=((first, second)[i % 2],)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for turn in range(6):
            directory.put_other() if turn % 2 == 0 else directory.put_first()
            reload_now(server)
        directory.put_other()
        reload_now(server)
        stopping.set()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        after = predict(first, "[[1,2]]").body()
    assert {got.code for got in outcomes} == {OK}
    bodies = {got.reply.body for got in outcomes}
    assert bodies <= {b"[[1.0,2.0]]", after}
    assert after == str(OTHER_ANSWER[own_backend.name]).replace(" ", "").encode()
