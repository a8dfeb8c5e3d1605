"""What a collector gets to see of requests: their spans, ids, attributes and links."""

import collections
import json
import pathlib
import random
import re
import socket
import struct
import time

import grpc
import pytest
from backends import ANSWER, QUESTION, fake_model
from onnxd_grpc import calls, messages, open_channel
from onnxd_server import post_bytes, wait_for
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from otlp_collector import ERROR, SERVER, Collector, attributes_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
SPANS_ALONE = 6  # of a prediction: the request, invocations, decode, queue, model.predict, encode


@pytest.fixture
def collector():
    with Collector() as made:
        yield made


def by_name(spans):
    result = {span.name: span for span in spans}
    assert len(result) == len(spans), [span.name for span in spans]
    return result


def nests(inner, outer):
    return (outer.start_time_unix_nano <= inner.start_time_unix_nano <= inner.end_time_unix_nano
            <= outer.end_time_unix_nano)


def invoke(server, body=QUESTION, **headers):
    return server.request("POST", "/invocations", content=json.dumps(body),
                          headers={"Content-Type": "application/json", **headers})


# A request and its spans.


def test_a_prediction_over_http(backend, collector, start):
    before = time.time_ns()
    server = start(backend.model(), fake=backend.is_fake, env=collector.env(
        SERVICE_NAME="iris", SERVICE_VERSION="7", DEPLOYMENT_ENV="lab",
        OTEL_RESOURCE_ATTRIBUTES="team=a%20b,service.name=other"))
    response = invoke(server, **SAMPLED, tracestate="a=1,b=2", **{"User-Agent": "probe/1"})
    assert response.json() == ANSWER
    spans = by_name(collector.wait_for_spans(SPANS_ALONE))
    assert set(spans) == {"POST /invocations", "invocations", "decode", "queue", "model.predict", "encode"}
    request, work = spans["POST /invocations"], spans["invocations"]

    assert request.trace_id.hex() == response.headers["x-trace-id"] == TRACE
    assert request.span_id.hex() == response.headers["x-span-id"]
    assert request.parent_span_id.hex() == SPAN
    assert request.flags == 0x301
    assert request.kind == SERVER
    assert attributes_of(request) == {
        "http.request.method": "POST", "url.path": "/invocations", "url.scheme": "http",
        "http.route": "/invocations", "http.response.status_code": 200,
        "network.protocol.version": "1.1", "server.address": "127.0.0.1", "server.port": server.port,
        "client.address": "127.0.0.1", "client.port": attributes_of(request)["client.port"],
        "user_agent.original": "probe/1"}
    assert work.parent_span_id == request.span_id
    latency_ms = attributes_of(work)["latency_ms"]
    assert attributes_of(work) == {
        "request.content_type": "application/json", "request.bytes": len(json.dumps(QUESTION)),
        "batch.size": 1, "response.content_type": "application/json", "latency_ms": latency_ms}
    assert latency_ms == (work.end_time_unix_nano - work.start_time_unix_nano) / 1e6
    assert attributes_of(spans["model.predict"]) == {"batch.size": 1, "run.requests": 1, "run.rows": 1}
    for name in ("decode", "queue", "model.predict", "encode"):
        assert spans[name].parent_span_id == work.span_id
        assert nests(spans[name], work)
    assert nests(work, request)
    assert before < request.start_time_unix_nano < request.end_time_unix_nano < time.time_ns()
    for span in spans.values():
        assert span.trace_state == "a=1,b=2"
        assert span.trace_id == request.trace_id
        assert not span.links and not span.events and not span.HasField("status")

    resource, = collector.posts[0].message.resource_spans
    named = attributes_of(resource.resource)
    expected = {"service.name": "iris", "service.version": "7", "deployment.environment": "lab",
                "deployment.environment.name": "lab", "team": "a b", "telemetry.sdk.name": "onnxd",
                "telemetry.sdk.language": "c", "process.pid": server.pid()}
    assert expected.items() <= named.items()
    assert set(named) - set(expected) == {"telemetry.sdk.version", "host.name"}


def test_a_prediction_over_grpc(backend, collector, start):
    server = start(backend.model(), fake=backend.is_fake, env=collector.env())
    with open_channel(server) as channel:
        reply, call = calls.InferenceServiceStub(channel).Predict.with_call(
            messages.PredictRequest(payload=b"[[1,2]]"), metadata=tuple(SAMPLED.items()))
    trailers = dict(call.trailing_metadata())
    spans = by_name(collector.wait_for_spans(SPANS_ALONE))
    request = spans["onnxserving.grpc.InferenceService/Predict"]
    assert json.loads(reply.body) == ANSWER
    assert request.trace_id.hex() == trailers["x-trace-id"] == TRACE
    assert request.span_id.hex() == trailers["x-span-id"]
    assert request.parent_span_id.hex() == SPAN
    has = attributes_of(request)
    assert {"rpc.system": "grpc", "rpc.service": "onnxserving.grpc.InferenceService",
            "rpc.method": "Predict", "rpc.grpc.status_code": 0,
            "network.protocol.version": "2"}.items() <= has.items()
    assert not [key for key in has if key.startswith(("http.", "url."))]
    assert attributes_of(spans["invocations"])["request.bytes"] == 7


def test_a_client_of_the_python_sdk(backend, collector, start):
    """Its spans and the server's are one trace, whichever way the request came."""
    server = start(backend.model(), fake=backend.is_fake, env=collector.env())
    tracer = TracerProvider().get_tracer("test")
    wanted = {}
    for kind in ("http", "grpc"):
        with tracer.start_as_current_span(kind) as span:
            carrier = {}
            propagate.inject(carrier)
            if kind == "http":
                assert invoke(server, **carrier).status_code == 200
            else:
                with open_channel(server) as channel:
                    calls.InferenceServiceStub(channel).Predict(
                        messages.PredictRequest(payload=b"[[1,2]]"), metadata=tuple(carrier.items()))
            context = span.get_span_context()
            wanted[trace.format_trace_id(context.trace_id)] = trace.format_span_id(context.span_id)
    spans = collector.wait_for_spans(2 * SPANS_ALONE)
    assert {span.trace_id.hex(): span.parent_span_id.hex() for span in spans if span.kind == SERVER} == wanted


# Many requests.


def check_links(spans):
    """Every request that shared its run points to one span of that run. How many did."""
    runs = {(span.trace_id, span.span_id): span for span in spans if span.name == "model.run"}
    members = collections.Counter()
    for span in spans:
        if span.name != "model.predict":
            assert not span.links
            continue
        has = attributes_of(span)
        assert len(span.links) == (has["run.requests"] > 1)
        for link in span.links:
            run = runs[link.trace_id, link.span_id]
            members[run.span_id] += 1
            assert attributes_of(run) == {"run.requests": has["run.requests"], "run.rows": has["run.rows"]}
            assert nests(run, span)
    for run in runs.values():
        assert members[run.span_id] == attributes_of(run)["run.requests"]
    return sum(members.values())


@pytest.mark.parametrize("execution", ["inline", "pooled"])
def test_every_span_arrives_once(backend, collector, start, execution):
    clients, rounds = 50, 200
    env = collector.env(EXECUTION=execution, OTEL_BSP_MAX_QUEUE_SIZE=str(1 << 18), IO_THREADS="2")
    server = start(backend.model(), fake=backend.is_fake, env=env)
    connections = [server.connect(timeout_s=60) for _ in range(clients)]
    sent = {}
    for _ in range(rounds):
        for connection in connections:
            connection.send(post_bytes("[[1,2]]"))
        for connection in connections:
            response = connection.read_response()
            assert (response.status, response.json()) == (200, ANSWER)
            sent[response["x-trace-id"]] = response["x-span-id"]
    for connection in connections:
        connection.close()
    assert len(sent) == clients * rounds
    server.stop()  # sends the rest
    spans = collector.spans()
    check_whole(spans, sent)
    assert check_links(spans) > 0


def check_whole(spans, sent):
    assert len({span.span_id for span in spans}) == len(spans)
    of_trace = collections.defaultdict(list)
    for span in spans:
        of_trace[span.trace_id.hex()].append(span)
    assert set(of_trace) == set(sent)
    for trace_id, its in of_trace.items():
        names = by_name(its)
        assert set(names) - {"model.run"} == {"POST /invocations", "invocations", "decode", "queue",
                                              "model.predict", "encode"}
        ids = {span.span_id: span for span in its}
        assert names["POST /invocations"].span_id.hex() == sent[trace_id]
        assert names["POST /invocations"].parent_span_id == b""
        for span in its:
            if span.kind != SERVER:
                assert nests(span, ids[span.parent_span_id])
        if "model.run" in names:
            assert names["model.run"].parent_span_id == names["model.predict"].span_id


def test_only_what_is_sampled_is_recorded(backend, collector, start):
    """The decision is that of the SDKs for the same id, and the ids are told all the same."""
    server = start(backend.model(), fake=backend.is_fake, env=collector.env(
        OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25",
        OTEL_BSP_MAX_QUEUE_SIZE="100000"))
    sampler = TraceIdRatioBased(0.25)
    ids = []
    with server.client() as client:
        for _ in range(400):
            response = client.post("/invocations", content="[[1,2]]",
                                   headers={"Content-Type": "application/json"})
            ids.append(response.headers["x-trace-id"])
        invoke(server, **UNSAMPLED)
        invoke(server, **SAMPLED)
    server.stop()
    wanted = {one for one in ids if sampler.should_sample(None, int(one, 16), "").decision.is_sampled()}
    assert {span.trace_id.hex() for span in collector.spans()} == wanted | {TRACE}
    assert 20 < len(wanted) < 200


@pytest.mark.parametrize("sampler, recorded", [
    ("always_on", {"none", "on", "off"}), ("always_off", set()),
    ("parentbased_always_on", {"none", "on"}), ("parentbased_always_off", {"on"})])
def test_samplers(collector, start, tmp_path, sampler, recorded):
    server = start(fake_model(tmp_path / "m"), fake=True, env=collector.env(OTEL_TRACES_SAMPLER=sampler))
    sent = {}
    for name, headers in (("none", {}), ("on", SAMPLED), ("off", UNSAMPLED)):
        sent[name] = invoke(server, **headers).headers["x-span-id"]
    server.stop()
    requests = {span.span_id.hex() for span in collector.spans() if span.kind == SERVER}
    assert requests == {sent[name] for name in recorded}


# What goes wrong in a request.


def test_a_client_s_mistake_is_no_error(backend, collector, start):
    server = start(backend.model(), fake=backend.is_fake, env=collector.env())
    assert invoke(server, body=[["secret", 2]]).status_code == 400
    assert server.get("/nowhere?token=secret").status_code == 404
    assert server.request("GET", "/invocations").status_code == 405
    spans = collector.wait_for_spans(5)
    status = {attributes_of(span)["http.response.status_code"]: span for span in spans if span.kind == SERVER}
    assert {code: span.name for code, span in status.items()} == {
        400: "POST /invocations", 404: "GET", 405: "GET /invocations"}
    assert {span.name for span in spans if span.kind != SERVER} == {"invocations", "decode"}
    for span in spans:
        assert not span.HasField("status") and not span.events
        assert "error.type" not in attributes_of(span)
        assert "secret" not in str(span)


@pytest.mark.fake_backend
def test_a_failure_of_ours_is_one(collector, start, tmp_path):
    server = start(fake_model(tmp_path / "m", fail="internal"), fake=True, env=collector.env())
    assert invoke(server).status_code == 500
    with open_channel(server) as channel, pytest.raises(grpc.RpcError) as failed:
        calls.InferenceServiceStub(channel).Predict(messages.PredictRequest(payload=b"[[1,2]]"))
    assert len(dict(failed.value.trailing_metadata())["x-trace-id"]) == 32
    spans = collector.wait_for_spans(2 * (SPANS_ALONE - 1))
    for name, kind in (("POST /invocations", "500"), ("onnxserving.grpc.InferenceService/Predict", "INTERNAL")):
        request, = (span for span in spans if span.name == name)
        its = by_name([span for span in spans if span.trace_id == request.trace_id])
        assert attributes_of(request)["error.type"] == kind
        for name in (request.name, "invocations", "model.predict"):
            assert its[name].status.code == ERROR and its[name].status.message
        for name in ("decode", "queue"):
            assert not its[name].HasField("status")
        event, = its["invocations"].events
        assert event.name == "exception"
        assert attributes_of(event)["exception.message"] == request.status.message
        assert attributes_of(event)["exception.type"] == "INTERNAL"


def test_not_ready_is_one(collector, start, tmp_path):
    server = start(tmp_path, fake=True, expect_ready=False, env=collector.env())
    assert invoke(server).status_code == 503
    span, = collector.wait_for_spans(1)
    assert span.status.code == ERROR
    assert attributes_of(span)["error.type"] == "503"


@pytest.mark.fake_backend
def test_a_client_that_goes_away(collector, start, tmp_path):
    server = start(fake_model(tmp_path / "m", delay_run_us=200_000), fake=True,
                   env=collector.env(EXECUTION="pooled"))
    connection = server.connect()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.send(post_bytes("[[1,2]]"))
    connection.close()  # by a reset
    spans = collector.wait_for_spans(1)
    request, = (span for span in spans if span.kind == SERVER)
    assert attributes_of(request)["error.type"] == "client_gone"
    assert "http.response.status_code" not in attributes_of(request)
    assert not request.HasField("status")


# Who is in which trace.


@pytest.mark.parametrize("path", ["/ping", "/live", "/metrics"])
def test_probes_are_recorded_where_their_caller_is(backend, collector, start, path):
    server = start(backend.model(), fake=backend.is_fake, env=collector.env())
    for headers in ({}, UNSAMPLED):
        assert "x-trace-id" not in server.get(path, headers=headers).headers
    response = server.get(path, headers=SAMPLED)
    assert response.headers["x-trace-id"] == TRACE
    server.stop()
    span, = collector.spans()
    assert (span.name, span.parent_span_id.hex()) == (f"GET {path}", SPAN)


def test_a_trace_is_that_of_one_valid_parent(collector, start):
    server = start("identity_float32", env=collector.env())

    def ask(*fields):
        with server.connect() as connection:
            connection.send(post_bytes("[[1,2]]", extra="".join(f"{field}\r\n" for field in fields)))
            return connection.read_response()["x-trace-id"]

    parent = f"00-{TRACE}-{SPAN}-01"
    assert ask(f"TraceParent: {parent}", "tracestate: a=1", "tracestate:", "tracestate: b=2 , c=3") == TRACE
    assert ask(f"traceparent: \t{parent} ", "tracestate: a=1,A=2") == TRACE
    for fields in ([], [f"traceparent: {parent}", f"traceparent: {parent}"], [f"traceparent: {parent}-x"],
                   ["tracestate: a=1"], [f"traceparent: {parent.upper()}"], ["traceparent:"]):
        assert ask(*fields) != TRACE
    server.stop()
    states = [span.trace_state for span in collector.spans() if span.kind == SERVER]
    assert sorted(states) == [""] * 7 + ["a=1,b=2,c=3"]


def test_without_a_collector_a_caller_s_trace_is_named(servers):
    server = servers("identity_float32", env={"OTEL_ENABLED": "true"})
    response = invoke(server, **SAMPLED)
    assert response.headers["x-trace-id"] == TRACE
    assert response.headers["x-span-id"] != SPAN
    assert "x-trace-id" not in invoke(server).headers


@pytest.mark.parametrize("off", [{"OTEL_ENABLED": "false"}, {"OTEL_SDK_DISABLED": "true"}])
def test_switched_off(collector, start, off):
    server = start("identity_float32", env=collector.env(**off))
    assert "x-trace-id" not in invoke(server, **SAMPLED).headers
    assert "libcurl" not in pathlib.Path(f"/proc/{server.pid()}/maps").read_text()
    server.stop()
    assert not collector.posts


def test_texts_of_any_kind_and_length(collector, start):
    server = start("identity_float32", env=collector.env(IO_THREADS="1"))
    chance = random.Random(5)
    agents = [bytes(chance.randrange(0x80, 0x100) for _ in range(300)), b"x" * 6000, "gr\u00fcn".encode()]
    for agent in agents:
        with server.connect() as connection:
            state = ",".join(f"k{i}={'v' * 60}" for i in range(30))
            head = (f"POST /invocations HTTP/1.1\r\nHost: [::1]:80\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n"
                    f"tracestate: {state}\r\nContent-Type: application/json\r\nContent-Length: 7\r\nUser-Agent: ")
            connection.send(head.encode() + agent + b"\r\n\r\n[[1,2]]")
            assert connection.read_response().status == 200
    spans = [span for span in collector.wait_for_spans(3 * SPANS_ALONE) if span.kind == SERVER]
    shown = [attributes_of(span)["user_agent.original"] for span in spans]
    assert "\ufffd" in shown[0] and shown[1] == "x" * 128 and shown[2] == "gr\u00fcn"
    for span in spans:
        assert 440 < len(span.trace_state) <= 512
        assert attributes_of(span)["server.address"] == "::1" and attributes_of(span)["server.port"] == 80


# What else names a trace: log lines and exemplars.


@pytest.mark.parametrize("form", ["json", "text"])
def test_log_lines_name_the_trace(collector, start, tmp_path, form):
    server = start(fake_model(tmp_path / "model", fail="internal"), fake=True,
                   env=collector.env(ACCESS_LOG="true", LOG_FORMAT=form))
    traced = [invoke(server, **SAMPLED).headers, invoke(server, **UNSAMPLED).headers]
    server.get("/live")
    wait_for(lambda: server.log_lines("/live"), "the last line")
    failed, asked = (server.log_lines(word) for word in ("inference failed", "/invocations"))
    assert len(failed) == len(asked) == 2
    for headers, lines in zip(traced, zip(failed, asked)):
        ids = {"trace_id": TRACE, "span_id": headers["x-span-id"]}
        for line in lines:
            if form == "json":
                assert ids.items() <= json.loads(line).items()
            else:
                assert line.endswith(f" trace_id={TRACE} span_id={ids['span_id']}")
    assert traced[0]["x-span-id"] != traced[1]["x-span-id"]
    assert "trace_id" not in server.log_lines("/live")[0]


def test_a_call_s_access_line_names_the_trace(collector, start, tmp_path):
    server = start(fake_model(tmp_path / "model"), fake=True,
                   env=collector.env(ACCESS_LOG="true", LOG_FORMAT="json"))
    with open_channel(server) as channel:
        _, call = calls.InferenceServiceStub(channel).Predict.with_call(
            messages.PredictRequest(payload=b"[[1,2]]"), metadata=tuple(SAMPLED.items()))
    line, = wait_for(lambda: server.log_lines("Predict"), "the line")
    named = json.loads(line)
    assert named["trace_id"] == TRACE and named["span_id"] == dict(call.trailing_metadata())["x-span-id"]


def exemplars(server):
    """{histogram: {labels of an exemplar}} of a scrape in OpenMetrics."""
    text = server.get("/metrics", headers={"Accept": "application/openmetrics-text"}).text
    found = collections.defaultdict(set)
    for name, trace_id, span_id in re.findall(
            r'^(\w+)_bucket\{.*\} \d+ # \{trace_id="(\w+)",span_id="(\w+)"\} [\d.e-]+ [\d.]+$', text, re.M):
        found[name].add((trace_id, span_id))
    return found


def test_durations_of_sampled_requests_have_exemplars(collector, start, tmp_path):
    server = start(fake_model(tmp_path / "model"), fake=True, env=collector.env(IO_THREADS="1"))
    assert invoke(server, **UNSAMPLED).status_code == 200
    assert not exemplars(server)
    over_http = {(TRACE, invoke(server, **SAMPLED).headers["x-span-id"])}
    assert exemplars(server) == dict.fromkeys(
        ["http_request_duration_seconds", "http_request_duration_highr_seconds",
         "onnxd_inference_duration_seconds"], over_http)
    assert "trace_id" not in server.get("/metrics").text
    with open_channel(server) as channel:
        _, call = calls.InferenceServiceStub(channel).Predict.with_call(
            messages.PredictRequest(payload=b"[[1,2]]"), metadata=tuple(SAMPLED.items()))
    over_grpc = {(TRACE, dict(call.trailing_metadata())["x-span-id"])}
    found = exemplars(server)
    assert found["onnxd_grpc_request_duration_seconds"] == over_grpc
    assert found["onnxd_inference_duration_seconds"] == over_http | over_grpc
