"""gRPC by the clients that people use: grpcio on both ports, with the stubs that it makes of proto/."""

import concurrent.futures
import json

import grpc
import httpx
import pytest
from backends import QUESTION, fake_model
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

PREDICT = "/onnxserving.grpc.InferenceService/Predict"


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def request(payload, content_type="", accept=""):
    """A serialized PredictRequest: these tests need no stubs of ours."""
    fields = [payload, content_type.encode(), accept.encode()]
    return b"".join(bytes([i << 3 | 2]) + varint(len(field)) + field
                    for i, field in enumerate(fields, 1) if field)


def field(message, number):
    """The bytes of the first such field of a message that has only strings, bytes and messages."""
    at = 0
    while at < len(message):
        tag, at = message[at] >> 3, at + 1
        size = shift = 0
        while True:
            byte, at = message[at], at + 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if tag == number:
            return message[at:at + size]
        at += size
    return b""


def predict(channel, payload, content_type="", accept="", **options):
    return channel.unary_unary(PREDICT)(request(payload, content_type, accept), timeout=30, **options)


@pytest.fixture(params=["PORT", "GRPC_PORT"])
def channel(request, backend):
    server = backend.server(env={"GRPC_REFLECTION": "true"})
    port = server.port if request.param == "PORT" else server.grpc_port()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.server = server
        yield channel


@pytest.mark.parametrize("payload, content_type, accept", [
    (json.dumps(QUESTION).encode(), "", ""),
    (b"1,2\n3,4\n", "text/csv", "text/csv"),
    (b"[1,2]\n[3,4]\n", "application/jsonlines", "application/json"),
    (b"[" + b",".join([b"[1.5,2]"] * 4000) + b"]", "application/json", ""),
])
def test_bodies_are_those_of_rest(channel, payload, content_type, accept):
    headers = {"content-type": content_type, "accept": accept}
    rest = httpx.post(channel.server.url("/invocations"), content=payload,
                      headers={name: value for name, value in headers.items() if value})
    reply = predict(channel, payload, content_type, accept)
    assert field(reply, 1) == rest.content
    assert field(reply, 2).decode() == rest.headers["content-type"]
    assert field(field(reply, 3), 1) == b"batch_size"
    packed = predict(channel, payload, content_type, accept, compression=grpc.Compression.Gzip)
    assert packed == reply


@pytest.mark.parametrize("payload, content_type", [
    (b"[[1,2],[3]]", ""), (b"x", ""), (b"", ""), (b"1,2", "image/png"), (b"\xff", "text/csv")])
def test_errors_are_those_of_rest(channel, payload, content_type):
    rest = httpx.post(channel.server.url("/invocations"), content=payload,
                      headers={"content-type": content_type or "application/json"})
    with pytest.raises(grpc.RpcError) as refused:
        predict(channel, payload, content_type)
    assert rest.status_code == 400
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == rest.json()["error"]


def test_limits_are_resource_exhausted(start, backend):
    server = start(backend.model(), fake=backend.is_fake, env={"MAX_BODY_BYTES": "100"})
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port()}") as channel:
        for size in (101, 1000000):
            with pytest.raises(grpc.RpcError) as refused:
                predict(channel, b" " * size)
            assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.value.details() == "payload_too_large"
        assert predict(channel, b"[[1,2]]")


def test_metadata_and_unknown_methods(channel):
    call = channel.unary_unary(PREDICT)
    _, done = call.with_call(request(b"[[1,2]]"), metadata=[("x-request-id", "mine")], timeout=30)
    assert dict(done.initial_metadata())["x-request-id"] == "mine"
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/onnxserving.grpc.InferenceService/Nope")(b"", timeout=30)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_calls_at_once_are_all_answered(channel):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda i: predict(channel, b"[[%d,2]]" % i), range(400)))
    assert [field(reply, 1) for reply in replies] == [b"[[%d.0,2.0]]" % i for i in range(400)]


def test_reflection_lists_the_services(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [reflection_pb2.ServerReflectionRequest(list_services=""),
             reflection_pb2.ServerReflectionRequest(file_containing_symbol=PREDICT.strip("/").replace("/", "."))]
    listed, described = stub.ServerReflectionInfo(iter(asked), timeout=30)
    names = {service.name for service in listed.list_services_response.service}
    assert {"onnxserving.grpc.InferenceService", "grpc.health.v1.Health"} <= names
    assert b"PredictRequest" in described.file_descriptor_response.file_descriptor_proto[0]


def test_a_time_limit_is_kept(start, tmp_path):
    server = start(fake_model(tmp_path / "slow", delay_run_us=200000, delay_by="sleep"), fake=True, env={"EXECUTION": "pooled"})
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port()}") as channel:
        with pytest.raises(grpc.RpcError) as late:
            channel.unary_unary(PREDICT)(request(b"[[1,2]]"), timeout=0.05)
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_watch_sees_the_server_stop(own_backend):
    server = own_backend.server()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port()}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=30).status == 1
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.terminate()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as stopped:
            next(watch)
        assert stopped.value.code() == grpc.StatusCode.UNAVAILABLE
    assert server.wait() == 0


def test_calls_are_counted(start, backend):
    server = start(backend.model(), fake=backend.is_fake)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port()}") as channel:
        for _ in range(3):
            predict(channel, b"[[1,2]]")
        with pytest.raises(grpc.RpcError):
            predict(channel, b"x")
    assert server.metric("onnxd_grpc_requests_total", method="Predict", code="OK") == 3
    assert server.metric("onnxd_grpc_requests_total", method="Predict", code="INVALID_ARGUMENT") == 1
    assert server.metric("onnxd_grpc_request_duration_seconds_count", method="Predict") == 4
