"""Every path but the predictions themselves, and HTTP/1.1 as a client sees it (RFC 9110, RFC 9112)."""

import re

import pytest
from backends import ANSWER, QUESTION
from onnxd_server import ConnectionEnded, parse_metrics, post_bytes

LIVE = ("/live", "/healthz")
READY = ("/ready", "/readyz", "/ping")


@pytest.fixture
def server(backend):
    return backend.server()


# Probes.

@pytest.mark.parametrize("path", LIVE + READY)
def test_probe_answers_a_newline(server, path):
    response = server.get(path)
    assert response.status_code == 200
    assert response.content == b"\n"
    assert response.headers["content-type"].split(";")[0] == "text/plain"


@pytest.mark.parametrize("path", LIVE + READY + ("/metrics",))
def test_head_is_get_without_a_body(server, path):
    with server.connect() as connection:
        connection.send(f"HEAD {path} HTTP/1.1\r\nHost: t\r\n\r\n")
        head = connection.read_response(head_only=True)
        assert head.status == 200
        # A body here would be taken for the next response.
        connection.send("GET /live HTTP/1.1\r\nHost: t\r\n\r\n")
        after = connection.read_response()
        assert (after.status, after.body) == (200, b"\n")
        connection.send(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
        got = connection.read_response()
        assert head["content-type"] == got["content-type"]
        if path != "/metrics":  # whose numbers move
            assert head["content-length"] == got["content-length"]


@pytest.mark.parametrize("path", ["/nope", "/", "/nope/", "/live//", "//live", "/LIVE", "/invocations/x", "/docs", "/openapi.yaml"])
def test_unknown_path_is_404(server, path):
    response = server.get(path)
    assert response.status_code == 404
    assert response.json()["error"]


def test_a_slash_at_the_end_makes_no_difference(server):
    assert server.get("/ready/").status_code == 200
    answers = [server.request("POST", path, content="[[1,2]]", headers={"Content-Type": "application/json"})
               for path in ("/invocations", "/invocations/", "/invocations/?a=b")]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.content for answer in answers}) == 1


def test_unknown_path_takes_no_method(server):
    assert server.request("POST", "/nope", content="[[1,2]]").status_code == 404
    assert server.request("DELETE", "/nope").status_code == 404


@pytest.mark.parametrize("method, path, allowed", [
    ("GET", "/invocations", {"POST"}),
    ("HEAD", "/invocations", {"POST"}),
    ("PUT", "/invocations", {"POST"}),
    ("DELETE", "/invocations", {"POST"}),
    ("OPTIONS", "/invocations", {"POST"}),
    ("POST", "/live", {"GET", "HEAD"}),
    ("POST", "/ping", {"GET", "HEAD"}),
    ("PATCH", "/ready", {"GET", "HEAD"}),
    ("POST", "/metrics", {"GET", "HEAD"}),
])
def test_wrong_method_is_405_and_names_the_right_ones(server, method, path, allowed):
    response = server.request(method, path)
    assert response.status_code == 405
    assert {name.strip() for name in response.headers["allow"].split(",")} == allowed
    if method != "HEAD":
        assert response.json()["error"]


def test_query_does_not_change_the_path(server):
    assert server.get("/live?x=1&y=%2F").status_code == 200
    assert server.request("POST", "/invocations?x=1", json=QUESTION).json() == ANSWER


def test_absolute_form_is_understood(server):
    """RFC 9112 section 3.2.2: a server must accept it."""
    with server.connect() as connection:
        connection.send("GET http://somewhere.example/live HTTP/1.1\r\nHost: somewhere.example\r\n\r\n")
        assert connection.read_response().status == 200


# Request ids, dates, error bodies.

def test_request_id_is_echoed(server):
    response = server.get("/live", headers={"X-Request-Id": "Abc-123.z"})
    assert response.headers["x-request-id"] == "Abc-123.z"


def test_request_id_is_made_and_new_each_time(server):
    made = {server.get("/live").headers["x-request-id"] for _ in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch(r"[\x21-\x7e]{8,}", name) for name in made)


def test_hostile_request_id_is_not_passed_on(server):
    for hostile in ("a" * 5000, "tab\there"):
        assert server.get("/live", headers={"X-Request-Id": hostile}).headers["x-request-id"] != hostile


def test_errors_carry_a_request_id_too(server):
    assert server.get("/nope", headers={"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"
    with server.connect() as connection:
        connection.send("GET /live HTTP/1.1\r\nHost: t\r\nbad header\r\n\r\n")
        assert connection.read_response()["x-request-id"]


def test_date_is_an_imf_fixdate(server):
    """RFC 9110 section 6.6.1."""
    date = server.get("/live").headers["date"]
    assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date)


@pytest.mark.parametrize("target", [b"/caf\xc3\xa9", b"/\xff\xfe", b'/"quoted"\\', b"/" + b"x" * 1000])
def test_error_body_is_json_whatever_the_request_held(server, target):
    with server.connect() as connection:
        connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: t\r\n\r\n")
        response = connection.read_response()
        assert response.status in (400, 404)
        assert response.error()


@pytest.mark.parametrize("value", [b"x/\xff\xfe", b'x/"y"\\', b"x/\xe6\x97"])
def test_error_body_is_utf_8_whatever_a_field_held(server, value):
    with server.connect() as connection:
        connection.send(b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Type: " + value +
                        b"\r\nContent-Length: 2\r\n\r\n[]")
        response = connection.read_response()
        assert response.status == 400
        assert response.error().startswith("Unsupported Content-Type: x/")


# Metrics.

def test_metrics_have_the_references_names(server):
    server.invoke(QUESTION)
    server.get("/nope")
    text = server.get("/metrics").text
    metrics = parse_metrics(text)
    for name in ("http_requests_total", "http_request_duration_seconds_bucket",
                 "http_request_duration_seconds_sum", "http_request_duration_seconds_count",
                 "http_request_duration_highr_seconds_bucket", "http_request_size_bytes_sum",
                 "http_response_size_bytes_sum", "process_cpu_seconds_total",
                 "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds",
                 "byoc_up"):
        assert name in metrics, name
    assert metrics["byoc_up"] == [({}, 1.0)]
    for labels, _ in metrics["http_requests_total"]:
        assert labels.keys() == {"handler", "method", "status"}
        assert re.fullmatch(r"[1-5]xx", labels["status"])
    for labels, _ in metrics["http_request_duration_seconds_count"]:
        assert labels.keys() == {"handler", "method"}
    for name in metrics:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert f"# TYPE {name} " in text or f"# TYPE {base} " in text, name
        assert f"# HELP {name} " in text or f"# HELP {base} " in text, name


def test_metrics_count_requests(server):
    series = {"handler": "/invocations", "method": "POST", "status": "2xx"}
    before = server.metric("http_requests_total", **series)
    for _ in range(5):
        assert server.invoke(QUESTION).status_code == 200
    assert server.metric("http_requests_total", **series) == before + 5


def test_metrics_never_take_a_label_from_the_client(server):
    server.get("/some-secret-path")
    server.request("BREW", "/live")
    text = server.get("/metrics").text
    assert "some-secret-path" not in text and "BREW" not in text


def test_histogram_buckets_rise_to_the_count(server):
    server.invoke(QUESTION)
    metrics = server.metrics()
    buckets = metrics["http_request_duration_highr_seconds_bucket"]
    values = [value for _, value in buckets]
    assert values == sorted(values) and buckets[-1][0]["le"] == "+Inf"
    assert values[-1] == metrics["http_request_duration_highr_seconds_count"][0][1]


def test_metrics_can_be_switched_off_and_moved(backend):
    off = backend.server(env={"PROMETHEUS_ENABLED": "no"})
    assert off.get("/metrics").status_code == 404
    moved = backend.server(env={"PROMETHEUS_PATH": "/internal/m"})
    assert moved.get("/metrics").status_code == 404
    assert moved.get("/internal/m").status_code == 200
    assert moved.request("POST", "/internal/m").status_code == 405


# Connections.

def test_connection_is_kept(server):
    with server.connect() as connection:
        for _ in range(3):
            connection.send(post_bytes("[[1,2]]"))
            response = connection.read_response()
            assert (response.status, response.json()) == (200, ANSWER)
            assert response["connection"] is None


def test_pipelined_requests_are_answered_in_order(server):
    count = 50
    with server.connect() as connection:
        connection.send(b"".join(post_bytes(f"[[{i},0]]", extra=f"X-Request-Id: r{i}\r\n") for i in range(count)))
        for i in range(count):
            response = connection.read_response()
            assert (response.status, response.json(), response["x-request-id"]) == (200, [[i, 0]], f"r{i}")


def test_pipelined_errors_keep_their_place(server):
    with server.connect() as connection:
        connection.send(post_bytes("[[1,2]]") + post_bytes("[[1,") + b"GET /nope HTTP/1.1\r\nHost: t\r\n\r\n" +
                        post_bytes("[[1,2]]"))
        assert [connection.read_response().status for _ in range(4)] == [200, 400, 404, 200]


def test_pipelining_goes_on_when_the_client_reads_late(server):
    """More answers than any buffer between us: the server waits for the client, and loses nothing."""
    count = 3000
    asked = b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n"
    with server.connect(timeout_s=60) as connection:
        import threading

        sender = threading.Thread(target=connection.send, args=(asked * count,))
        sender.start()
        for _ in range(count):
            assert connection.read_response().status == 200
        sender.join()


def test_request_split_anywhere_is_the_same_request(server):
    whole = post_bytes("[[1,2]]")
    with server.connect() as connection:
        for at in range(1, len(whole)):
            connection.send(whole[:at])
            connection.send(whole[at:])
            assert connection.read_response().json() == ANSWER


def test_request_byte_by_byte(server):
    with server.connect() as connection:
        for byte in post_bytes("[[1,2]]"):
            connection.send(bytes([byte]))
        assert connection.read_response().json() == ANSWER


@pytest.mark.parametrize("chunks", [["[[1,2]]"], ["[", "[1", ",2]", "]"], list("[[1,2]]")])
def test_chunked_body(server, chunks):
    head = "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = "".join(f"{len(chunk):x}\r\n{chunk}\r\n" for chunk in chunks) + "0\r\n\r\n"
    with server.connect() as connection:
        for _ in range(2):
            connection.send(head + body)
            assert connection.read_response().json() == ANSWER


def test_chunk_extensions_and_trailers_are_ignored(server):
    with server.connect() as connection:
        connection.send("POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "7;a=b;c=\"d\"\r\n[[1,2]]\r\n0\r\nX-Trailer: yes\r\n\r\n")
        assert connection.read_response().json() == ANSWER
        connection.send("GET /live HTTP/1.1\r\nHost: t\r\n\r\n")
        assert connection.read_response().status == 200


def test_expect_100_continue(server):
    """RFC 9110 section 10.1.1."""
    head, body = post_bytes("[[1,2]]", extra="Expect: 100-continue\r\n").split(b"\r\n\r\n")
    with server.connect() as connection:
        connection.send(head + b"\r\n\r\n")
        interim = connection.read_response()
        assert (interim.status, interim.body) == (100, b"")
        connection.send(body)
        assert connection.read_response().json() == ANSWER
        connection.send("GET /live HTTP/1.1\r\nHost: t\r\n\r\n")
        assert connection.read_response().status == 200


def test_expect_100_continue_is_spared_who_is_refused(server):
    with server.connect() as connection:
        connection.send("POST /invocations HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
                        "Content-Length: 99999999999\r\n\r\n")
        assert connection.read_response().status == 413


def test_unknown_expectation_is_417(server):
    with server.connect() as connection:
        connection.send("GET /live HTTP/1.1\r\nHost: t\r\nExpect: the-unexpected\r\n\r\n")
        response = connection.read_response()
        assert response.status == 417
        assert response.error()


def test_connection_close_is_obeyed(server):
    with server.connect() as connection:
        connection.send(post_bytes("[[1,2]]", extra="Connection: close\r\n"))
        response = connection.read_response()
        assert response.json() == ANSWER
        assert response["connection"].lower() == "close"
        assert connection.is_closed()


def test_http_1_0_is_answered_and_closed(server):
    with server.connect() as connection:
        connection.send("GET /live HTTP/1.0\r\n\r\n")
        response = connection.read_response()
        assert (response.status, response.body) == (200, b"\n")
        assert connection.is_closed()


def test_http_1_0_keeps_alive_when_asked(server):
    with server.connect() as connection:
        for _ in range(2):
            connection.send("GET /live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            response = connection.read_response()
            assert response.status == 200
            assert response["connection"].lower() == "keep-alive"


def test_half_closed_client_gets_its_answer(server):
    with server.connect() as connection:
        connection.send(post_bytes("[[1,2]]"))
        connection.finish()
        assert connection.read_response().json() == ANSWER
        assert connection.is_closed()


def test_half_closed_client_gets_all_its_pipelined_answers(server):
    with server.connect() as connection:
        connection.send(post_bytes("[[1,2]]") * 20)
        connection.finish()
        for _ in range(20):
            assert connection.read_response().json() == ANSWER
        assert connection.is_closed()


@pytest.mark.fake_backend
def test_half_closed_client_gets_what_it_asked_before_the_first_answer(slow_server):
    """The end of the client's bytes is known long before the last of its requests is begun."""
    server = slow_server(delay_ms=100)
    with server.connect() as connection:
        connection.send(post_bytes("[[1,2]]") * 5 + post_bytes("[[1,2]]")[:-1])
        connection.finish()
        for _ in range(5):
            assert connection.read_response().json() == ANSWER
        assert connection.is_closed()


def test_unfinished_request_gets_no_answer(server):
    with server.connect() as connection:
        connection.send(post_bytes("[[1,2]]")[:-3])
        connection.finish()
        with pytest.raises(ConnectionEnded):
            response = connection.read_response()
            # An error is as good.
            assert response.status == 400
            raise ConnectionEnded
    assert server.get("/live").status_code == 200


def test_idle_connection_is_closed_after_its_time(backend):
    server = backend.server(env={"KEEPALIVE_TIMEOUT_S": "0.2"})
    with server.connect() as connection:
        connection.send("GET /live HTTP/1.1\r\nHost: t\r\n\r\n")
        assert connection.read_response().status == 200
        assert connection.is_closed()


def test_connections_over_the_limit_are_closed(backend):
    server = backend.server(env={"MAX_CONNECTIONS": "4"})
    opened = []
    try:
        for _ in range(4):
            connection = server.connect()
            opened.append(connection)
            connection.send("GET /live HTTP/1.1\r\nHost: t\r\n\r\n")
            assert connection.read_response().status == 200
        with server.connect() as late:
            with pytest.raises((ConnectionEnded, BrokenPipeError, ConnectionResetError)):
                late.send("GET /live HTTP/1.1\r\nHost: t\r\n\r\n")
                late.read_response()
    finally:
        for connection in opened:
            connection.close()
