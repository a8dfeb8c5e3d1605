"""How spans get to a collector, and what becomes of the service when it is away, slow or broken."""

import concurrent.futures
import contextlib
import re
import subprocess
import time

import pytest
from backends import ANSWER, QUESTION, fake_model
from onnxd_server import Server, is_sanitized, post_bytes, run_onnxd, wait_for
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from otlp_collector import Collector, closed_port

pytestmark = pytest.mark.fake_backend
SPANS = 6  # of a prediction alone


@pytest.fixture
def model(tmp_path):
    return fake_model(tmp_path / "model")


@pytest.fixture
def collector():
    with Collector() as made:
        yield made


def ask(server, count=1):
    for _ in range(count):
        response = server.invoke(QUESTION)
        assert (response.status_code, response.json()) == (200, ANSWER)


# Where and how.


@pytest.mark.parametrize("endpoint, path", [
    ("", "/v1/traces"), ("/", "/v1/traces"), ("/v1/traces", "/v1/traces"), ("/otlp", "/otlp/v1/traces"),
    ("/otlp//", "/otlp/v1/traces"), ("/V1/Traces", "/V1/Traces"), ("/v1/traces/", "/v1/traces")])
def test_the_general_endpoint(collector, start, model, endpoint, path):
    server = start(model, fake=True, env=collector.env(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url + endpoint))
    ask(server)
    assert collector.wait_for_posts(1)[0].path == path


def test_settings_for_traces_alone(collector, start, model):
    env = collector.env(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
                        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector.url + "/mine",
                        OTEL_EXPORTER_OTLP_HEADERS="a=b", OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-key=s%20t,empty=",
                        OTEL_EXPORTER_OTLP_TRACES_COMPRESSION="gzip")
    server = start(model, fake=True, env=env)
    ask(server)
    post = collector.wait_for_posts(1)[0]
    assert post.path == "/mine"
    assert post.headers["content-type"] == "application/x-protobuf"
    assert post.headers["content-encoding"] == "gzip"
    assert post.headers["x-key"] == "s t"
    assert post.headers["empty"] == ""
    assert post.headers["user-agent"].startswith("OTel-OTLP-Exporter-onnxd/")
    assert "a" not in post.headers and "expect" not in post.headers
    assert len(collector.wait_for_spans(SPANS)) == SPANS


def test_general_settings(collector, start, model):
    server = start(model, fake=True, env=collector.env(OTEL_EXPORTER_OTLP_HEADERS="x-key=1,X-Other=b%2Cc",
                                                       OTEL_EXPORTER_OTLP_COMPRESSION="gzip"))
    ask(server)
    post = collector.wait_for_posts(1)[0]
    assert post.headers["content-encoding"] == "gzip"
    assert (post.headers["x-key"], post.headers["x-other"]) == ("1", "b,c")


def test_traces_can_go_uncompressed_where_the_rest_is_not(collector, start, model):
    server = start(model, fake=True, env=collector.env(OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
                                                       OTEL_EXPORTER_OTLP_TRACES_COMPRESSION="none"))
    ask(server)
    assert "content-encoding" not in collector.wait_for_posts(1)[0].headers


@pytest.mark.parametrize("settings, told", [
    ({}, None),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, None),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, None),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
    ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json"),
])
def test_a_protocol_that_is_not_spoken_is_told_once(collector, start, model, settings, told):
    server = start(model, fake=True, env=collector.env(**settings))
    ask(server)
    collector.wait_for_posts(1)
    lines = [line for line in server.stderr().splitlines() if "is not spoken" in line]
    assert len(lines) == (told is not None)
    assert told is None or ("WARNING" in lines[0] and told in lines[0]), lines


def test_secrets_are_not_logged(collector, start, model):
    url = collector.url.replace("http://", "http://user:hidden@") + "/v1/traces?key=hidden"
    server = start(model, fake=True, env=collector.env(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=url, OTEL_EXPORTER_OTLP_HEADERS="authorization=hidden"))
    ask(server)
    assert collector.wait_for_posts(1)[0].path == "/v1/traces?key=hidden"
    assert server.log_lines("traces go to")
    assert "hidden" not in server.stderr()


@pytest.mark.parametrize("url", ["collector:4318", "ftp://collector", "http://", "http:///v1/traces"])
@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_an_endpoint_that_is_none(model, name, url):
    done = run_onnxd("serve", str(model), fake=True, env={"OTEL_ENABLED": "true", "PORT": "0", name: url})
    assert done.returncode == 2
    assert name in done.stderr and "http" in done.stderr


@pytest.mark.parametrize("name, value, words", [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1/?key=hidden", "without a query"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0a", "cannot be sent"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=%0a", "cannot be sent")])
def test_what_cannot_be_sent_is_refused_by_its_name(model, name, value, words):
    env = {"OTEL_ENABLED": "true", "PORT": "0", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", name: value}
    done = run_onnxd("serve", str(model), fake=True, env=env)
    assert done.returncode == 2
    assert f"{name}: " in done.stderr and words in done.stderr and "hidden" not in done.stderr


@pytest.mark.parametrize("env, name", [
    ({"OTEL_SERVICE_NAME": "standard", "OTEL_RESOURCE_ATTRIBUTES": "service.name=listed"}, "standard"),
    ({"OTEL_SERVICE_NAME": "standard", "SERVICE_NAME": "ours"}, "ours")])
def test_the_service_has_a_standard_name_too(collector, start, model, env, name):
    ask(start(model, fake=True, env=collector.env(**env)))
    resource, = collector.wait_for_posts(1)[0].message.resource_spans
    assert [each.value.string_value for each in resource.resource.attributes if each.key == "service.name"] == [name]


def test_batches(collector, model):
    env = collector.env(OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10", OTEL_BSP_SCHEDULE_DELAY="60000")
    with Server(model, fake=True, env=env) as server:
        ask(server, 20)
        collector.wait_for_posts(2)  # long before the time
    sizes = [sum(len(scope.spans) for scope in post.message.resource_spans[0].scope_spans)
             for post in collector.answered]
    assert sum(sizes) == 20 * SPANS
    assert max(sizes) == 10


def test_what_is_left_is_sent_when_the_server_stops(collector, model):
    with Server(model, fake=True, env=collector.env(OTEL_BSP_SCHEDULE_DELAY="60000")) as server:
        ask(server, 3)
        assert not collector.posts
    assert len(collector.spans()) == 3 * SPANS
    assert len({span.span_id for span in collector.spans()}) == 3 * SPANS


# A collector that does not do its part.


def expect_lost(server, spans):
    wait_for(lambda: server.metric("onnxd_spans_dropped_total") >= spans, f"{spans} spans dropped")
    assert server.metric("onnxd_spans_exported_total") == 0


def test_nobody_is_there(start, model):
    with closed_port() as url:
        env = {"OTEL_ENABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "10",
               "OTEL_BSP_EXPORT_TIMEOUT": "20"}
        server = start(model, fake=True, env=env)
        for _ in range(10):
            before = server.metric("onnxd_spans_dropped_total")
            ask(server)
            expect_lost(server, before + 1)
        line, = server.log_lines("traces:")
        assert re.search(r"WARNING traces: the collector cannot be reached: .+: \d+ spans lost", line)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 20  # of a drain time of 30 s: nothing is tried again


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 302])
def test_a_refusal_is_final(start, model, status):
    def refuse(handler):
        handler.respond(status, b"no", Location="/elsewhere")

    with Collector(refuse) as collector:
        server = start(model, fake=True, env=collector.env())
        ask(server)
        expect_lost(server, SPANS)
        ask(server)
        expect_lost(server, 2 * SPANS)
        assert {post.path for post in collector.posts} == {"/v1/traces"}  # no redirect is followed
        ids = [span.span_id for post in collector.posts
               for span in post.message.resource_spans[0].scope_spans[0].spans]
        assert len(set(ids)) == len(ids) == 2 * SPANS
        line, = server.log_lines("traces:")
        assert f"the collector answers {status}" in line
        server.stop()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_come_right_is_sent_again(start, model, status):
    """The same bytes, and not before the time that the collector names."""
    times = []

    def answer(handler):
        times.append(time.monotonic())
        if len(times) == 1:
            handler.respond(status, Retry_After="2")
        else:
            handler.respond(200)

    with Collector(answer) as collector:
        server = start(model, fake=True, env=collector.env())
        ask(server)
        spans = collector.wait_for_spans(SPANS)
        assert len(spans) == SPANS
        assert collector.posts[0].message == collector.posts[1].message
        assert times[1] - times[0] >= 2
        assert not server.log_lines("traces:")
        server.stop()


def hang_up(handler):
    handler.close_connection = True


def test_a_connection_that_ends_without_an_answer(start, model):
    def answer(handler):
        hang_up(handler) if len(collector.posts) == 1 else handler.respond(200)

    with Collector(answer) as collector:
        server = start(model, fake=True, env=collector.env())
        ask(server)
        assert len(collector.wait_for_spans(SPANS)) == SPANS
        server.stop()


def end_in_the_body(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x" * 10)
    handler.close_connection = True


def send_too_much(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(1 << 40))
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        handler.close_connection = True


def send_rubbish(handler):
    handler.respond(200, b"<html>fine</html>")


@pytest.mark.parametrize("answer", [end_in_the_body, send_too_much, send_rubbish])
def test_a_yes_is_a_yes_whatever_follows(start, model, answer):
    with Collector(answer) as collector:
        server = start(model, fake=True, env=collector.env())
        ask(server)
        wait_for(lambda: server.metric("onnxd_spans_exported_total") == SPANS, "spans are exported")
        assert server.metric("onnxd_spans_dropped_total") == 0
        assert len(collector.posts) == 1
        server.stop()


def test_a_partial_success_is_told(start, model):
    partial = trace_service_pb2.ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 2
    partial.partial_success.error_message = "too\nold"

    with Collector(lambda handler: handler.respond(200, partial.SerializeToString())) as collector:
        server = start(model, fake=True, env=collector.env())
        ask(server)
        wait_for(lambda: server.metric("onnxd_spans_exported_total") == SPANS - 2, "spans are exported")
        assert server.metric("onnxd_spans_dropped_total") == 2
        line, = server.log_lines("traces:")
        assert "too\\u000aold" in line and "2 spans lost" in line
        server.stop()


@contextlib.contextmanager
def broken_collector(kind):
    """Its URL."""
    answers = {"hangs": lambda handler: handler.hang(), "answers 503": lambda handler: handler.respond(503),
               "answers 400": lambda handler: handler.respond(400)}
    if kind == "is away":
        with closed_port() as url:
            yield url
    else:
        with Collector(answers.get(kind), hangs_up=kind == "hangs up") as collector:
            yield collector.url


def ask_on(connection, count):
    for _ in range(count):
        connection.send(post_bytes("[[1,2]]"))
        assert connection.read_response().json() == ANSWER


@pytest.mark.parametrize("kind, reason", [
    ("is away", "cannot be reached: "), ("hangs", "cannot be reached: "), ("answers 503", "answers 503"),
    ("answers 400", "answers 400"), ("hangs up", "cannot be reached: ")])
def test_a_broken_collector_costs_requests_nothing(start, model, kind, reason):
    """Every request is answered, memory stays where it is, every span is counted, one line a minute says why."""
    began = time.monotonic()
    with broken_collector(kind) as url:
        server = start(model, fake=True, env={
            "OTEL_ENABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "20",
            "OTEL_BSP_EXPORT_TIMEOUT": "300", "OTEL_BSP_MAX_QUEUE_SIZE": "600"})
        with server.connect() as connection:
            ask_on(connection, 400)
            before = server.rss_bytes()
            ask_on(connection, 1000)
        assert is_sanitized() or server.rss_bytes() - before < 4 << 20
        wait_for(lambda: server.metric("onnxd_spans_dropped_total") == 1400 * SPANS, "the loss of all spans")
        assert server.metric("onnxd_spans_exported_total") == 0
        ask(server)
        lines = server.log_lines("traces: ")
        assert 1 <= len(lines) <= 1 + (time.monotonic() - began) / 60
        assert all(f" WARNING traces: the collector {reason}" in line and " spans lost" in line for line in lines)
        server.terminate()
        assert server.wait() == 0
        # What was not told yet is told at the end: the lines add up to all spans.
        lost = [int(found[1]) for line in server.log_lines("traces: ") if (found := re.search(r": (\d+) spans lost", line))]
        assert sum(lost) == 1401 * SPANS
        server.stop()


def test_a_collector_that_hangs(start, model):
    """Requests go on at their pace, spans find no room, and memory stays where it is."""
    with Collector(lambda handler: handler.hang()) as collector:
        server = start(model, fake=True, env=collector.env(OTEL_EXPORTER_OTLP_TIMEOUT="3600",
                                                           OTEL_BSP_EXPORT_TIMEOUT="3600000",
                                                           OTEL_BSP_MAX_QUEUE_SIZE="600"))
        ask(server)
        collector.wait_for_posts(1)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: ask(server, 100), range(4)))
            before = server.rss_bytes()
            list(pool.map(lambda _: ask(server, 250), range(4)))
        # 1400 requests: 600 spans wait, one batch is on its way.
        assert server.metric("onnxd_spans_dropped_total") >= 1400 * SPANS - 600 - 512
        assert is_sanitized() or server.rss_bytes() - before < 4 << 20
        assert len(collector.posts) == 1
        collector.released.set()
        server.stop()


def test_a_collector_that_hangs_does_not_keep_the_server(start, model):
    with Collector(lambda handler: handler.hang()) as collector:
        server = start(model, fake=True, env=collector.env(OTEL_EXPORTER_OTLP_TIMEOUT="3600",
                                                           OTEL_BSP_EXPORT_TIMEOUT="3600000",
                                                           DRAIN_TIMEOUT_S="2"))
        ask(server)
        collector.wait_for_posts(1)
        ask(server)
        began = time.monotonic()
        server.terminate()
        assert server.wait() == 0
        assert time.monotonic() - began < 30
        assert server.log_lines("spans lost")
        server.stop()


@pytest.mark.parametrize("times", [
    {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.2"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT": "3600", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0.2"}])
def test_time_for_one_attempt(start, model, times):
    def answer(handler):
        handler.hang() if len(collector.posts) == 1 else handler.respond(200)

    with Collector(answer) as collector:
        server = start(model, fake=True, env=collector.env(**times))
        ask(server)
        assert len(collector.wait_for_spans(SPANS)) == SPANS
        collector.released.set()
        server.stop()


# TLS.


def make_key(file, *options):
    """A key and its certificate in one file."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-keyout", f"{file}.key", "-out", f"{file}.crt", *options],
                   check=True, capture_output=True, timeout=60)
    file.write_bytes(file.with_name(f"{file.name}.key").read_bytes() + file.with_name(f"{file.name}.crt").read_bytes())
    return file


@pytest.fixture(scope="module")
def authority(module_directory):
    return make_key(module_directory / "authority", "-subj", "/CN=authority")


@pytest.fixture(scope="module")
def stranger(module_directory):
    return make_key(module_directory / "stranger", "-subj", "/CN=authority")


def certificate(authority, address):
    return make_key(authority.with_name(f"collector-{address}"), "-CA", f"{authority}.crt", "-CAkey",
                    f"{authority}.key", "-subj", "/CN=collector", "-addext", f"subjectAltName=IP:{address}",
                    "-addext", "basicConstraints=critical,CA:false")


@pytest.mark.parametrize("setting", ["OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"])
def test_a_collector_behind_tls(start, model, authority, stranger, setting):
    env = {"OTEL_EXPORTER_OTLP_CERTIFICATE": f"{stranger}.crt", setting: f"{authority}.crt"}
    with Collector(certificate=certificate(authority, "127.0.0.1")) as collector:
        server = start(model, fake=True, env=collector.env(**env))
        assert server.log_lines("traces go to https://")
        ask(server, 3)
        assert len(collector.wait_for_spans(3 * SPANS)) == 3 * SPANS
        assert not server.log_lines("traces: ")
        server.stop()


@pytest.mark.parametrize("kind", ["the system's", "another", "missing", "of another address"])
def test_a_collector_that_is_not_trusted(start, model, authority, stranger, kind):
    """Nothing is sent to it, what was to be sent is counted, and a line says that the certificate is to blame."""
    trusted = {"the system's": {}, "another": {"OTEL_EXPORTER_OTLP_CERTIFICATE": f"{stranger}.crt"},
               "missing": {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(stranger.with_name("missing"))},
               "of another address": {"OTEL_EXPORTER_OTLP_CERTIFICATE": f"{authority}.crt"}}[kind]
    own = certificate(authority, "127.0.0.2" if kind == "of another address" else "127.0.0.1")
    with Collector(certificate=own) as collector:
        # The last attempt of three has 1.9 s at least, before a fourth could come; of four 2.6 s, since the system's
        # certificates are many to read.
        time_ms = "11000" if kind == "the system's" else "5500"
        server = start(model, fake=True, env=collector.env(OTEL_BSP_EXPORT_TIMEOUT=time_ms, **trusted))
        ask(server, 3)
        expect_lost(server, 3 * SPANS)
        ask(server)
        line = server.log_lines("traces: ")[0]
        assert re.search(r"WARNING traces: the collector cannot be reached: .*certificate.*: \d+ spans lost", line)
        assert collector.posts == []
        server.stop()


@pytest.mark.parametrize("queue", [512, 2048])
def test_a_batch_as_large_as_the_queue_is_sent(start, model, queue):
    """Records are taken whole, so such a queue is never full to its last span: it is sent all the same."""
    portion = 20
    with Collector() as collector:
        server = start(model, fake=True, env=collector.env(OTEL_BSP_SCHEDULE_DELAY="3600000", OTEL_BSP_MAX_QUEUE_SIZE=str(queue),
                                                           OTEL_BSP_MAX_EXPORT_BATCH_SIZE=str(queue)))
        with server.connect() as connection:
            for sent in range(portion, 2 * queue // SPANS, portion):
                ask_on(connection, portion)
                wait_for(lambda: sent * SPANS - server.metric("onnxd_spans_exported_total") < queue - portion * SPANS,
                         "room for more spans")
        assert server.metric("onnxd_spans_dropped_total") == 0
        server.stop()
