"""grpc.health.v1 and server reflection, asked by the clients of the grpcio packages."""

import queue
import signal
import threading

import grpc
import pytest
from backends import QUESTION, fake_model
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from onnxd_grpc import PATIENCE_S, SERVICE, grpc_port, messages, open_channel, outcome, predict
from onnxd_server import post_bytes, wait_for

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
HEALTH = "grpc.health.v1.Health"
REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def check(channel, service=""):
    stub = health_pb2_grpc.HealthStub(channel)
    return outcome(stub.Check, health_pb2.HealthCheckRequest(service=service))


class Watch:
    """A Watch call whose answers can be waited for."""

    def __init__(self, channel, service=""):
        stub = health_pb2_grpc.HealthStub(channel)
        self.call = stub.Watch(health_pb2.HealthCheckRequest(service=service))
        self.statuses = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            for response in self.call:
                self.statuses.put(response.status)
        except grpc.RpcError as problem:
            self.statuses.put(problem.code())

    def next(self):
        return self.statuses.get(timeout=PATIENCE_S)

    def is_silent(self):
        return self.statuses.empty()

    def cancel(self):
        self.call.cancel()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@pytest.fixture
def server(backend):
    return backend.server()


@pytest.mark.parametrize("service", ["", SERVICE])
def test_check(server, service):
    for port in (server.port, grpc_port(server)):
        with open_channel(server, port) as channel:
            assert check(channel, service).reply.status == SERVING


def test_check_of_an_unknown_service(server):
    with open_channel(server) as channel:
        assert check(channel, "nope.Nope").code is grpc.StatusCode.NOT_FOUND
        assert check(channel).reply.status == SERVING


def test_a_server_without_a_model_is_not_serving(start, tmp_path):
    with open_channel(start(tmp_path, expect_ready=False)) as channel:
        assert check(channel).reply.status == NOT_SERVING
        assert check(channel, SERVICE).reply.status == NOT_SERVING


def test_watch_says_what_is_and_waits(server):
    with open_channel(server) as channel:
        watches = [Watch(channel, service) for service in ("", SERVICE, "nope.Nope")]
        assert [watch.next() for watch in watches] == [SERVING, SERVING, SERVICE_UNKNOWN]
        assert predict(channel, "[[1,2]]").code is grpc.StatusCode.OK
        assert all(watch.is_silent() for watch in watches)
        for watch in watches:
            watch.cancel()
            assert watch.next() is grpc.StatusCode.CANCELLED


def test_watches_are_forgotten_with_their_connection(server):
    before = server.metric("onnxd_connections")
    for _ in range(10):
        with open_channel(server) as channel:
            assert [Watch(channel).next() for _ in range(20)] == [SERVING] * 20
    wait_for(lambda: server.metric("onnxd_connections") <= before, "the connections are closed")
    with open_channel(server) as channel:
        assert check(channel).reply.status == SERVING


@pytest.mark.fake_backend
def test_watch_sees_a_model_come(start, tmp_path):
    """Not serving while there is none; serving after the reload that finds one."""
    server = start(tmp_path / "later", fake=True, expect_ready=False)
    with open_channel(server) as channel:
        watch = Watch(channel, SERVICE)
        assert watch.next() == NOT_SERVING
        fake_model(tmp_path / "later")
        server.terminate(signal.SIGHUP)
        assert watch.next() == SERVING
        watch.cancel()


def test_a_failed_reload_changes_nothing(own_backend, start, tmp_path):
    """The old model goes on, and so does what is said of it."""
    from test_reload import Directory, reload_now

    directory = Directory(tmp_path / "changing", own_backend.is_fake)
    server = start(directory.path, fake=own_backend.is_fake)
    with open_channel(server) as channel:
        watch = Watch(channel)
        assert watch.next() == SERVING
        directory.put_corrupt()
        reload_now(server)
        assert check(channel).reply.status == SERVING
        directory.put_first()
        reload_now(server)
        assert check(channel).reply.status == SERVING
        assert watch.is_silent()
        watch.cancel()


@pytest.mark.fake_backend
def test_drain_is_seen_by_who_watches(start, tmp_path):
    """NOT_SERVING while what is in flight is still answered, and then the end of the call."""
    server = start(fake_model(tmp_path / "slow", delay_row_us=4000), fake=True, env={"IO_THREADS": "2"})
    with open_channel(server) as channel, server.connect() as asking:
        watch = Watch(channel)
        assert watch.next() == SERVING
        asking.send(post_bytes(str(QUESTION * 200)))
        wait_for(lambda: server.metric("onnxd_in_flight") == 1, "the request is in work")
        server.terminate()
        assert watch.next() == NOT_SERVING
        assert asking.read_response().status == 200
        assert watch.next() is not None
    assert server.wait() == 0


# Reflection.

def test_reflection_is_off_unless_it_is_asked_for(server):
    with open_channel(server) as channel:
        for service in REFLECTION:
            start = channel.stream_stream(f"/{service}/ServerReflectionInfo", request_serializer=bytes,
                                          response_deserializer=bytes)
            with pytest.raises(grpc.RpcError) as raised:
                list(start(iter([b""]), timeout=PATIENCE_S))
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture
def reflecting(backend):
    return backend.server(env={"GRPC_REFLECTION": "true"})


def test_reflection_lists_the_services(reflecting):
    with open_channel(reflecting) as channel:
        found = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert found == {SERVICE, HEALTH, *REFLECTION}


def test_reflection_finds_descriptors(reflecting):
    """Enough to make a call by nothing else than what the server says of itself."""
    with open_channel(reflecting) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service = pool.FindServiceByName(SERVICE)
        assert sorted(method.name for method in service.methods) == ["Live", "Predict", "Ready"]
        found = pool.FindMessageTypeByName("onnxserving.grpc.PredictReply")
        ours = messages.PredictReply.DESCRIPTOR
        assert [(field.name, field.number, field.type) for field in found.fields] == [
            (field.name, field.number, field.type) for field in ours.fields]
        assert pool.FindServiceByName(HEALTH).methods_by_name["Watch"].server_streaming


def test_reflection_does_not_know_what_is_not_there(reflecting):
    with open_channel(reflecting) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        for name in ("nope.Nope", ""):
            with pytest.raises(KeyError):
                database.FindFileContainingSymbol(name)
        with pytest.raises(KeyError):
            database.FindFileByName("nope.proto")
        assert database.get_services()


@pytest.mark.parametrize("service", REFLECTION)
def test_both_versions_answer_question_by_question(reflecting, service):
    """One stream, many questions: each is answered before the next is asked."""
    from grpc_reflection.v1alpha import reflection_pb2

    asked = queue.Queue()
    with open_channel(reflecting) as channel:
        start = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
        answers = start(iter(asked.get, None), timeout=PATIENCE_S)
        for i in range(50):
            asked.put(reflection_pb2.ServerReflectionRequest(host=f"h{i}", list_services="*"))
            answer = next(answers)
            assert answer.original_request.host == f"h{i}"
            assert len(answer.list_services_response.service) == 4
        asked.put(None)
        assert list(answers) == []
