"""In the steady state a request allocates nothing of ours from the heap."""

import pytest
from onnxd_server import is_sanitized, metric_sum, parse_metrics, post_bytes

pytestmark = pytest.mark.skipif(is_sanitized(), reason="with sanitizers freed memory is not used again")

REQUESTS = 1000
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n"


def allocations(connection):
    connection.send(SCRAPE)
    return metric_sum(parse_metrics(connection.read_response().body.decode()), "onnxd_heap_allocations_total")


def ask(connection, request, count):
    for _ in range(count):
        connection.send(request)
        response = connection.read_response()
        assert response.status == 200, response


def expect_no_allocations(server, request):
    """Of `REQUESTS` requests, beyond what the scrape between them costs by itself."""
    with server.connect() as connection:
        ask(connection, request, 200)
        for _ in range(3):
            allocations(connection)
        costs = []
        for _ in range(5):
            before = allocations(connection)
            costs.append(allocations(connection) - before)
        before = allocations(connection)
        ask(connection, request, REQUESTS)
        grown = allocations(connection) - before
    assert grown <= max(costs), f"{grown} allocations in {REQUESTS} requests; a scrape alone makes {max(costs)}"


@pytest.fixture
def server(backend):
    return backend.server(env={"IO_THREADS": "1", "EXECUTION": "inline"})


def test_the_counter_counts(server):
    """Otherwise the tests below could not fail: a new connection is at least one allocation."""
    with server.connect() as connection:
        for _ in range(3):
            allocations(connection)
        before = allocations(connection)
        others = [server.connect() for _ in range(50)]
        for other in others:
            ask(other, post_bytes("[[1,2]]"), 1)
        assert allocations(connection) - before >= 50
        for other in others:
            other.close()


@pytest.mark.parametrize("body, content_type, accept", [
    ("[[1,2]]", "application/json", "application/json"),
    ('{"instances":[[1,2],[3,4],[5,6]]}', "application/json", "application/json"),
    ("[1,2]\n[3,4]\n", "application/jsonlines", "application/json"),
    ("1,2\n3,4\n", "text/csv", "text/csv"),
])
def test_an_inline_request_allocates_nothing(server, body, content_type, accept):
    expect_no_allocations(server, post_bytes(body, content_type=content_type, extra=f"Accept: {accept}\r\n"))


def test_a_wrong_request_allocates_nothing(server):
    request = post_bytes("[[1,2],[3]]")
    with server.connect() as connection:
        def refused(count):
            for _ in range(count):
                connection.send(request)
                assert connection.read_response().status == 400

        refused(200)
        for _ in range(3):
            allocations(connection)
        before = allocations(connection)
        scrape = allocations(connection) - before
        before = allocations(connection)
        refused(REQUESTS)
        assert allocations(connection) - before <= scrape


def test_pipelined_requests_allocate_nothing(server):
    request = post_bytes("[[1,2]]") * 10
    with server.connect() as connection:
        def asked(count):
            for _ in range(count):
                connection.send(request)
                for _ in range(10):
                    assert connection.read_response().status == 200

        asked(20)
        for _ in range(3):
            allocations(connection)
        before = allocations(connection)
        scrape = allocations(connection) - before
        before = allocations(connection)
        asked(REQUESTS // 10)
        assert allocations(connection) - before <= scrape


def test_probes_allocate_nothing(server):
    expect_no_allocations(server, b"GET /ready HTTP/1.1\r\nHost: t\r\n\r\n")


def test_a_classifier_allocates_nothing(servers):
    """Two outputs, one of them a sequence of maps, is what the bundled example has."""
    server = servers("iris_logistic_regression", env={"IO_THREADS": "1", "EXECUTION": "inline"})
    expect_no_allocations(server, post_bytes("[[5.1,3.5,1.4,0.2]]"))
