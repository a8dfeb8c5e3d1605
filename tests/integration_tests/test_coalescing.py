"""Requests that arrive together run together, and nobody can tell by the answer."""

import json
import math
import random

import pytest
from backends import POISON, fake_model
from onnxd_server import post_bytes

CLIENTS = 64
ROUNDS = 30
INLINE = {"EXECUTION": "inline", "IO_THREADS": "1"}


def ask_together(server, bodies, rounds=ROUNDS):
    """Every body from a client of its own, all at once, `rounds` times. Yields lists of responses."""
    connections = [server.connect(timeout_s=60) for _ in bodies]
    requests = [post_bytes(body) for body in bodies]
    try:
        for _ in range(rounds):
            for connection, request in zip(connections, requests):
                connection.send(request)
            yield [connection.read_response() for connection in connections]
    finally:
        for connection in connections:
            connection.close()


def counters(server):
    metrics = server.metrics()
    return metrics["onnxd_jobs_total"][0][1], metrics["onnxd_runs_total"][0][1]


def expect_sharing(server, bodies, check, rounds=ROUNDS):
    jobs_before, runs_before = counters(server)
    for responses in ask_together(server, bodies, rounds):
        for i, response in enumerate(responses):
            check(i, response)
    jobs, runs = counters(server)
    assert jobs - jobs_before == len(bodies) * rounds
    assert (jobs - jobs_before) / (runs - runs_before) > 1
    return (jobs - jobs_before) / (runs - runs_before)


def test_more_than_one_job_a_run(backend):
    server = backend.server(env=INLINE)

    def check(i, response):
        assert (response.status, response.json()) == (200, [[float(i), float(-i)]])

    ratio = expect_sharing(server, [f"[[{i},{-i}]]" for i in range(CLIENTS)], check)
    assert ratio > 1


def test_rows_of_every_size_come_back_to_their_owner(backend):
    server = backend.server(env=INLINE)
    chance = random.Random(7)
    questions = [[[i * 100 + row, i] for row in range(chance.randint(1, 9))] for i in range(CLIENTS)]

    def check(i, response):
        assert (response.status, response.json()) == (200, questions[i])

    expect_sharing(server, [json.dumps(question) for question in questions], check)


def iris_rows():
    chance = random.Random(3)
    return [[round(chance.uniform(low, high), 1) for low, high in ((4.3, 7.9), (2.0, 4.4), (1.0, 6.9), (0.1, 2.5))]
            for _ in range(CLIENTS)]


@pytest.mark.parametrize("model", ["iris_logistic_regression", "iris_random_forest", "iris_neural_network"])
def test_labels_are_those_of_single_requests(servers, model):
    server = servers(model, env=INLINE)
    bodies = [json.dumps([row]) for row in iris_rows()]
    alone = [server.invoke(body).json() for body in bodies]
    assert len({label for answer in alone for label in answer}) > 1

    def check(i, response):
        assert (response.status, response.json()) == (200, alone[i])

    expect_sharing(server, bodies, check, rounds=10)


# The runtime's linear classifier rounds its logits, of about ten, differently for one row and for
# eight; what it then calls a probability differs by 4e-6 without any help of ours.
@pytest.mark.parametrize("model, tolerance", [
    ("iris_random_forest", 1e-6), ("iris_neural_network", 1e-6), ("iris_logistic_regression", 1e-5),
])
def test_probabilities_are_those_of_single_requests(servers, model, tolerance):
    server = servers(model, env={**INLINE, "ONNX_OUTPUT_NAME": "output_probability"})
    bodies = [json.dumps([row]) for row in iris_rows()]
    alone = [server.invoke(body).json() for body in bodies]

    def check(i, response):
        assert response.status == 200
        got = response.json()
        assert len(got) == 1 and got[0].keys() == alone[i][0].keys()
        for key, value in alone[i][0].items():
            assert math.isclose(got[0][key], value, rel_tol=tolerance)

    expect_sharing(server, bodies, check, rounds=10)


def test_strings_are_those_of_single_requests(servers):
    server = servers("identity_string", env=INLINE)
    bodies = [json.dumps([[f"client {i}", "é" * i]]) for i in range(CLIENTS)]

    def check(i, response):
        assert (response.status, response.json()) == (200, json.loads(bodies[i]))

    expect_sharing(server, bodies, check, rounds=10)


def test_integers_are_those_of_single_requests(servers):
    server = servers("mul_i64", env=INLINE)
    bodies = [f"[[{2**60 + i},{-i}]]" for i in range(CLIENTS)]

    def check(i, response):
        assert (response.status, response.json()) == (200, [[3 * (2**60 + i), -3 * i]])

    expect_sharing(server, bodies, check, rounds=10)


# A poisoned job harms nobody.

def test_bad_index_fails_alone(servers):
    server = servers("lookup", env=INLINE)
    bodies = ["[[0,99]]" if i % 8 == 3 else f"[[{i % 3},0]]" for i in range(CLIENTS)]
    alone = {body: server.invoke(body) for body in set(bodies)}

    def check(i, response):
        wanted = alone[bodies[i]]
        assert response.status == wanted.status_code == (400 if i % 8 == 3 else 200)
        assert response.json() == wanted.json()

    jobs_before, runs_before = counters(server)
    for responses in ask_together(server, bodies, 10):
        for i, response in enumerate(responses):
            check(i, response)
    assert counters(server) > (jobs_before, runs_before)


@pytest.mark.fake_backend
def test_poison_fails_alone(servers, module_directory):
    server = servers(fake_model(module_directory / "poisoned", poison=POISON), fake=True, env=INLINE)
    bodies = [f"[[{POISON},{i}]]" if i % 16 == 5 else f"[[{i},0]]" for i in range(CLIENTS)]
    for responses in ask_together(server, bodies, 10):
        for i, response in enumerate(responses):
            if i % 16 == 5:
                assert response.status == 400
                assert "poison" in response.error()
            else:
                assert (response.status, response.json()) == (200, [[i, 0]])


@pytest.mark.fake_backend
def test_model_that_miscounts_rows_is_never_believed(servers, module_directory):
    """Outputs of another number of rows: a shared run's answers cannot be told apart, so none is shared."""
    server = servers(fake_model(module_directory / "miscounts", extra_rows=-1), fake=True, env=INLINE)
    bodies = [f"[[{i},0],[{i},1]]" for i in range(CLIENTS)]
    for responses in ask_together(server, bodies, 5):
        for i, response in enumerate(responses):
            if response.status == 200:
                assert response.json() in ([[i, 0]], [[i, 0], [i, 1]])
            else:
                assert response.status == 500
                assert response.error() == "internal_server_error"


@pytest.mark.fake_backend
@pytest.mark.parametrize("failure, status", [("invalid", 400), ("internal", 500)])
def test_failing_runs(servers, module_directory, failure, status):
    model = fake_model(module_directory / failure, fail=failure)
    server = servers(model, fake=True, env=INLINE)
    for responses in ask_together(server, ["[[1,2]]"] * CLIENTS, 3):
        for response in responses:
            assert response.status == status
            if status == 500:
                assert response.error() == "internal_server_error"


# What must not share.

def test_batching_off(backend):
    server = backend.server(env={**INLINE, "BATCHING": "off"})
    before = counters(server)
    for responses in ask_together(server, ["[[1,2]]"] * CLIENTS, 5):
        assert {response.status for response in responses} == {200}
    after = counters(server)
    assert after[0] - before[0] == after[1] - before[1] == CLIENTS * 5


def test_fixed_first_dimension_runs_alone(servers):
    server = servers("fixed_batch", env=INLINE)
    before = counters(server)
    for responses in ask_together(server, [f"[[1,2,{i}],[4,5,{i}]]" for i in range(CLIENTS)], 3):
        for i, response in enumerate(responses):
            assert response.json() == [[3.0 + i], [9.0 + i]]
    after = counters(server)
    assert after[0] - before[0] == after[1] - before[1]


def test_max_batch_size_bounds_the_rows_of_a_run(backend):
    server = backend.server(env={**INLINE, "MAX_BATCH_SIZE": "4"})
    for responses in ask_together(server, [f"[[{i},0]]" for i in range(CLIENTS)], 10):
        assert [response.json() for response in responses] == [[[i, 0]] for i in range(CLIENTS)]
    buckets = {float(labels["le"]): value for labels, value in server.metrics()["onnxd_run_rows_bucket"]}
    assert buckets[4.0] == buckets[math.inf]
    # A larger request runs alone.
    assert server.invoke([[i, 0] for i in range(9)]).status_code == 200


def test_rows_that_depend_on_each_other_do_not_share(start, tmp_path):
    """A free first dimension need not be a batch: here every answer holds the mean of all rows."""
    import onnx
    from onnx import TensorProto, helper

    shape = ("T", 2)
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1), helper.make_node("Sub", ["x", "mean"], ["y"])],
        "centre", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "model.onnx")
    server = start(tmp_path, env=INLINE)
    for responses in ask_together(server, [f"[[{i},0],[{i + 2},4]]" for i in range(CLIENTS)], 5):
        for response in responses:
            assert response.json() == [[-1.0, -2.0], [1.0, 2.0]]


def test_different_shapes_do_not_share(servers):
    server = servers("identity_any_rank", env=INLINE)
    bodies = [json.dumps([[1.0] * (1 + i % 3)]) for i in range(CLIENTS)]
    for responses in ask_together(server, bodies, 5):
        for i, response in enumerate(responses):
            assert response.json() == json.loads(bodies[i])
