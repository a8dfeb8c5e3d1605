"""HTTP/2 on PORT: the same answers as over HTTP/1.1, from clients of their own making, and a clean end."""

import json
import socket

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from backends import ANSWER, QUESTION

FIELDS = ("content-type", "allow", "retry-after", "content-length", "content-encoding", "vary")


class Client:
    """One connection; speaks when told to, and keeps what it hears by stream."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.fields, self.bodies, self.ended, self.goaways = {}, {}, set(), []
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def request(self, method, path, body=None, **fields):
        """Does not wait for its answer. Bodies fit the windows."""
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "t")]
        head += [(name.replace("_", "-"), value) for name, value in fields.items()]
        self.h2.send_headers(stream, head, end_stream=body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=True)
        return stream

    def hear(self):
        """One read; False at the end of the connection."""
        data = self.socket.recv(65536)
        for event in self.h2.receive_data(data):
            stream = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.ResponseReceived):
                self.fields[stream] = dict(event.headers)
                self.bodies[stream] = b""
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[stream] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                self.ended.add(stream)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.goaways.append(event.error_code)
        self.flush()
        return bool(data)

    def answer(self, stream):
        while stream not in self.ended:
            assert self.hear(), "the connection ended first"
        return int(self.fields[stream][":status"]), self.bodies[stream]


@pytest.fixture
def server(backend):
    return backend.server(env={"SWAGGER_ENABLED": "true"})


@pytest.mark.parametrize("method, path, body, fields", [
    ("POST", "/invocations", json.dumps(QUESTION).encode(), {"content_type": "application/json"}),
    ("POST", "/invocations", b"1,2\n3,4\n", {"content_type": "text/csv", "accept": "text/csv"}),
    ("POST", "/invocations", b"[[1,2],[3]]", {"content_type": "application/json"}),
    ("POST", "/invocations", b"", {}),
    ("GET", "/invocations", None, {}),
    ("GET", "/live", None, {}),
    ("GET", "/ready", None, {}),
    ("HEAD", "/ping", None, {}),
    ("GET", "/nope", None, {}),
    ("GET", "/openapi.yaml", None, {}),
    ("GET", "/docs/swagger-ui.css", None, {"accept_encoding": "gzip"}),
    ("GET", "/docs/swagger-ui-bundle.js", None, {}),
])
def test_answers_are_those_of_http1(server, method, path, body, fields):
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    with httpx.Client(base_url=server.url(), headers={"accept-encoding": "identity"}) as http1:
        with http1.stream(method, path, content=body, headers=named) as old:
            old_body = b"".join(old.iter_raw())
    with Client(server.port) as client:
        stream = client.request(method, path, body, **fields)
        status, new_body = client.answer(stream)
    assert (status, new_body) == (old.status_code, old_body)
    assert {name: client.fields[stream].get(name) for name in FIELDS} == {
        name: old.headers.get(name) for name in FIELDS}
    assert len(client.fields[stream]["x-request-id"]) == 32


def test_many_streams_share_runs(start, backend):
    server = start(backend.model(), fake=backend.is_fake, env={"IO_THREADS": "1", "EXECUTION": "inline"})
    with Client(server.port) as client:
        streams = [client.request("POST", "/invocations", b"[[%d,2]]" % i) for i in range(200)]
        client.flush()
        for i, stream in enumerate(streams):
            assert client.answer(stream) == (200, b"[[%d.0,2.0]]" % i)
    jobs, runs = server.metric("onnxd_jobs_total"), server.metric("onnxd_runs_total")
    assert jobs >= 200 and runs < jobs / 2


def test_the_metrics_are_those_of_rest(start, backend):
    server = start(backend.model(), fake=backend.is_fake)
    with Client(server.port) as client:
        streams = [client.request("POST", "/invocations", b"[[1,2]]") for _ in range(5)]
        client.flush()
        assert {client.answer(stream)[0] for stream in streams} == {200}
    assert server.metric("http_requests_total", handler="/invocations", method="POST", status="2xx") == 5


def test_a_drain_says_goodbye_twice(own_backend):
    server = own_backend.server()
    with Client(server.port) as client:
        assert client.answer(client.request("POST", "/invocations", json.dumps(QUESTION).encode())) == (
            200, json.dumps(ANSWER, separators=(",", ":")).encode())
        server.terminate()
        while client.hear():
            pass
        assert client.goaways == [0, 0]
    assert server.wait() == 0
