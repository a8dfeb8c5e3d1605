"""The log: an access line a request, failures with their request, and lines that machines can read."""

import calendar
import json
import os
import re
import socket
import subprocess
import time

import onnxd_grpc
import pytest
from backends import QUESTION, fake_model
from onnxd_server import RawConnection, binary, environment, metric_sum, parse_metrics, post_bytes, wait_for

pytestmark = pytest.mark.fake_backend

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ACCESS = {"ACCESS_LOG": "true", "LOG_FORMAT": "json"}
BASE_FIELDS = ["time", "level", "message", "method", "path", "status", "bytes_in", "bytes_out", "duration_ms",
               "protocol", "client"]


def begin(start, tmp_path, env=None, **settings):
    return start(fake_model(tmp_path / "model", **settings), fake=True, env=env or {})


def json_lines(server):
    return [json.loads(line) for line in server.stderr().splitlines()]


def access_lines(server, count=1):
    """Those of the test: the harness asks for /ready until the server is."""
    def find():
        found = [line for line in json_lines(server) if line["message"] == "request" and line["path"] != "/ready"]
        return found if len(found) >= count else None
    return wait_for(find, f"{count} access lines")


def test_lines_are_in_utc_with_milliseconds(start, tmp_path):
    before = time.time()
    server = begin(start, tmp_path)
    lines = server.stderr().splitlines()
    assert lines and all(STAMP.match(line) for line in lines)
    first = time.strptime(lines[0][:19], "%Y-%m-%dT%H:%M:%S")
    assert abs(calendar.timegm(first) - before) < 60


def test_no_access_log_unless_asked(start, tmp_path):
    server = begin(start, tmp_path)
    before = server.stderr()
    server.invoke(QUESTION)
    server.get("/nope")
    server.metrics()
    assert server.stderr() == before


def test_an_access_line_says_what_happened(start, tmp_path):
    server = begin(start, tmp_path, env=ACCESS)
    body = "[[1,2]]"
    with server.connect() as connection:
        connection.send(post_bytes(body, extra="X-Request-Id: my-id\r\n"))
        answer = connection.read_response()
        client = "%s:%d" % connection.socket.getsockname()
    line, = access_lines(server)
    assert list(line) == [*BASE_FIELDS, "request_id"]
    assert line["level"] == "INFO" and STAMP.fullmatch(line["time"])
    assert (line["method"], line["path"], line["status"]) == ("POST", "/invocations", 200)
    assert (line["bytes_in"], line["bytes_out"]) == (len(body), len(answer.body))
    assert line["protocol"] == "http1" and line["client"] == client and line["request_id"] == "my-id"
    assert 0 < line["duration_ms"] < 60000


def test_a_request_id_that_was_made_is_the_answers(start, tmp_path):
    server = begin(start, tmp_path, env=ACCESS)
    answer = server.get("/live?secret=1")
    line, = access_lines(server)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["path"] == "/live" and "secret" not in server.stderr()


def test_access_lines_for_people(start, tmp_path):
    server = begin(start, tmp_path, env={"ACCESS_LOG": "true"})
    server.request("HEAD", "/metrics", headers={"X-Request-Id": "a=b"})
    line = wait_for(lambda: server.log_lines("path=/metrics"), "the line")[0]
    assert re.fullmatch(STAMP.pattern + r" INFO request method=HEAD path=/metrics status=200 bytes_in=0 bytes_out=0 "
                        r'duration_ms=[\d.]+ protocol=http1 client=127\.0\.0\.1:\d+ request_id="a=b"', line)


class PipedServer:
    """A server whose standard error is a pipe that is read only when the test does."""

    def __init__(self, tmp_path, **env):
        reader, writer = os.pipe()
        env = environment({"SM_MODEL_DIR": fake_model(tmp_path / "model"), **env}, tmp_path)
        self.process = subprocess.Popen([binary(True), "serve"], env=env, stdout=subprocess.DEVNULL, stderr=writer)
        os.close(writer)
        self.stderr = os.fdopen(reader, "rb", buffering=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.stderr.close()

    def read_until(self, words):
        said = b""
        while words not in said:
            said += self.stderr.read(65536)
        return said

    def end(self):
        """What is left of its standard error."""
        self.process.terminate()
        rest = self.stderr.read()
        while more := self.stderr.read():
            rest += more
        assert self.process.wait(60) == 0
        return rest


def test_the_least_level_counts_for_access_lines(tmp_path):
    with socket.socket() as probe:  # which port it has is told at INFO
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with PipedServer(tmp_path, PORT=str(port), ACCESS_LOG="true", LOG_LEVEL="WARNING") as server:
        def answers():
            try:
                with RawConnection(("127.0.0.1", port)) as connection:
                    connection.send(b"GET /ready HTTP/1.1\r\nHost: t\r\n\r\n")
                    return connection.read_response().status == 200
            except ConnectionRefusedError:
                return False
        wait_for(answers, "an answer")
        assert server.end() == b""


@pytest.mark.parametrize("path", [
    b"/\"quoted\"", b"/\\", b"/%0a%00", b"/" + bytes(range(0x80, 0xa0)), b"/" + bytes(range(0xa0, 0x100)),
    b"/" + "é€😀".encode(), b"/" + b"x" * 3000, b"/" + b"\xff" * 3000, b"/\xe2\x82",
])
def test_paths_of_any_bytes_make_lines_that_machines_read(start, tmp_path, path):
    server = begin(start, tmp_path, env=ACCESS)
    with server.connect() as connection:
        connection.send(b"GET " + path + b" HTTP/1.1\r\nHost: t\r\n\r\n")
        status = connection.read_response().status
    line, = access_lines(server)
    assert line["status"] == status and status in (400, 404)
    assert len(line["path"]) <= 256
    raw = [text for text in server.stderr_path.read_bytes().split(b"\n") if b'"message":"request"' in text]
    for text in raw:
        text.decode("utf-8")
        assert len(text) < 4096 and not re.search(rb"[\x00-\x1f\x7f]", text)


def test_what_is_no_request_has_a_line_too(start, tmp_path):
    server = begin(start, tmp_path, env=ACCESS)
    with server.connect() as connection:
        connection.send(b"\x00\x01\x02 nonsense\r\n\r\n")
        assert connection.read_response().status == 400
    line, = access_lines(server)
    assert (line["status"], line["path"]) == (400, "-")
    with server.connect():
        pass  # a connection without a request has none
    server.get("/live")
    assert len(access_lines(server, 2)) == 2


def test_a_client_that_leaves_has_no_status(start, tmp_path):
    server = begin(start, tmp_path, env=ACCESS, delay_run_us=300_000)
    connection = server.connect()
    connection.send(post_bytes("[[1,2]]"))
    wait_for(lambda: server.metric("onnxd_in_flight") == 1, "the request to be in work")
    connection.close()
    wait_for(lambda: [line for line in access_lines(server) if line["path"] == "/invocations"], "its line")
    line, = [line for line in access_lines(server) if line["path"] == "/invocations"]
    assert line["status"] in (0, 200)  # it had been closed on one side only


def test_http2_and_grpc_have_lines(start, tmp_path):
    server = begin(start, tmp_path, env=ACCESS)
    with server.client(http1=False, http2=True) as client:
        client.get("/live")
    first, = access_lines(server)
    assert (first["protocol"], first["path"], first["status"]) == ("http2", "/live", 200)
    for payload in (b"[[1,2]]", b"[[1"):
        onnxd_grpc.ask(server, payload)
    good, bad = access_lines(server, 3)[1:]
    assert list(good) == [*BASE_FIELDS, "grpc_status", "request_id"]
    assert (good["method"], good["path"]) == ("POST", f"/{onnxd_grpc.SERVICE}/Predict")
    assert (good["protocol"], good["grpc_status"], bad["grpc_status"]) == ("grpc", "OK", "INVALID_ARGUMENT")
    assert good["bytes_in"] > 7 and good["bytes_out"] > 7


def test_a_failure_names_its_request_and_its_cause(start, tmp_path):
    server = begin(start, tmp_path, env={"LOG_FORMAT": "json"}, fail="internal")
    answer = server.invoke([[66.5, 2]], X_Request_Id="the-one")
    assert answer.status_code == 500
    line, = [line for line in json_lines(server) if line["level"] == "ERROR"]
    assert line["request_id"] == "the-one" and line["message"].startswith("inference failed: ")
    assert "66.5" not in server.stderr()
    answer = server.invoke([[66.5, 2]])
    line = [line for line in json_lines(server) if line["level"] == "ERROR"][1]
    assert line["request_id"] == answer.headers["x-request-id"]


def test_failures_of_one_kind_are_limited(start, tmp_path):
    server = begin(start, tmp_path, fail="internal")
    count = 300
    with server.connect() as connection:
        connection.send(post_bytes("[[66.5,2]]") * count)
        for _ in range(count):
            assert connection.read_response().status == 500
    written = len(server.log_lines("inference failed"))
    limited = server.metric("onnxd_log_lines_dropped_total", reason="limited")
    said = sum(int(re.search(r"(\d+) lines were left out", line)[1]) for line in server.log_lines("left out like this"))
    assert written - len(server.log_lines("left out like this")) + limited == count
    assert limited > 0 and said <= limited


def test_a_pipe_that_nobody_reads_holds_nothing_up(tmp_path):
    """Many more lines than it takes: they are counted, and when it is read again the log says so."""
    count = 3000
    with PipedServer(tmp_path, PORT="0", ACCESS_LOG="true") as server:
        said = server.read_until(b" is ready ")
        port = int(re.search(rb"listening on http://\S*:(\d+)", said)[1])
        with RawConnection(("127.0.0.1", port), 60) as connection:
            for _ in range(count):
                connection.send(b"GET /live HTTP/1.1\r\nHost: t\r\n\r\n")
                assert connection.read_response().status == 200
            connection.send(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n")
            metrics = parse_metrics(connection.read_response().body.decode())
        dropped = metric_sum(metrics, "onnxd_log_lines_dropped_total", reason="full")
        said = server.read_until(b"path=/live")  # and whatever more there is
        said += server.end()
    assert 0 < dropped < count
    assert said.count(b"path=/live ") == count - dropped
    assert int(re.search(rb"(\d+) lines were left out: standard error took no more", said)[1]) >= dropped
