"""Models with several inputs: objects keyed by input, records by the input map, columns of CSV."""

import json

import pytest
from onnxd_server import expect_error

CSV = "text/csv"
JSONL = "application/jsonlines"
MAP = {"ONNX_INPUT_MAP_JSON": '{"fa":"a","fb":"b"}'}


@pytest.fixture
def add2(servers):
    return servers("add2")


@pytest.fixture
def mapped(servers):
    return servers("add2", env=MAP)


# Without a map.

@pytest.mark.parametrize("body", [
    '{"a":[[1],[3]],"b":[[2],[4]]}',
    '{"b":[[2],[4]],"a":[[1],[3]]}',
    '[{"a":[1],"b":[2]},{"a":[3],"b":[4]}]',
    '{"instances":[{"a":[1],"b":[2]},{"a":[3],"b":[4]}]}',
])
def test_inputs_by_name(add2, body):
    assert add2.invoke(body).json() == [[3.0], [7.0]]


@pytest.mark.parametrize("body, words", [
    ('{"a":[[1]]}', ["b"]),
    ('{"a":[[1]],"b":[[2],[3]]}', []),
    ('{"a":[[1]],"b":[["x"]]}', ["b"]),
    ('{"a":[[1]],"b":[[1,2]]}', []),
    ('[{"a":[1],"b":[2]},{"a":[3]}]', ["b"]),
    ('{"a":1,"b":{}}', []),
])
def test_wrong_inputs_by_name(add2, body, words):
    expect_error(add2.invoke(body), 400, *words)


def test_csv_header_of_input_names(add2):
    assert add2.invoke("a,b\n1,2\n3,4\n", CSV).json() == [[3.0], [7.0]]
    assert add2.invoke("b,a\n2,1\n4,3\n", CSV).json() == [[3.0], [7.0]]


def test_columns_of_several_types(servers):
    """As skl2onnx exports pipelines: one input a column, numbers and strings mixed."""
    server = servers("mixed_columns")
    wanted = [[31.0, 1.0], [42.0, 3.0], [7.0, -1.0]]
    for body in ("age,city\n31,Berlin\n42,São Paulo\n7,Atlantis\n", "city,age\nBerlin,31\n\"São Paulo\",42\nAtlantis,7\n"):
        assert server.invoke(body, CSV).json() == wanted
    rows = [("Berlin", 31), ("São Paulo", 42), ("Atlantis", 7)]
    assert server.invoke({"age": [[age] for _, age in rows], "city": [[city] for city, _ in rows]}).json() == wanted
    assert server.invoke([{"age": [age], "city": [city]} for city, age in rows]).json() == wanted
    expect_error(server.invoke("age,city\nold,Berlin\n", CSV), 400, "age")


def test_inputs_of_several_ranks(servers):
    server = servers("reshape", env={"ONNX_DYNAMIC_BATCH": "false"})
    answer = server.invoke({"x": [1, 2, 3, 4, 5, 6], "shape": [2, 3]})
    assert answer.json() == [[1, 2, 3], [4, 5, 6]]
    expect_error(server.invoke({"x": [1, 2, 3], "shape": [2, 3]}), 400)


def test_batch_dimensions_agree(servers):
    """Unless ONNX_DYNAMIC_BATCH is off, every input has as many rows."""
    text = expect_error(servers("reshape").invoke({"x": [1, 2, 3, 4, 5, 6], "shape": [2, 3]}), 400)
    assert "6" in text and "2" in text


# With a map.

@pytest.mark.parametrize("body, content_type, answer", [
    ('[{"fa":[1],"fb":[2]},{"fa":[3],"fb":[4]}]', "application/json", [[3.0], [7.0]]),
    ('{"fa":[1],"fb":[2]}', "application/json", [[3.0]]),
    ('{"instances":[{"fa":[1],"fb":[2]}]}', "application/json", [[3.0]]),
    ('{"fa":[1],"fb":[2]}\n\n{"fa":[3],"fb":[4]}\n', JSONL, [[3.0], [7.0]]),
    ('[{"fa":[1],"fb":[2],"more":"ignored"}]', "application/json", [[3.0]]),
])
def test_records(mapped, body, content_type, answer):
    assert mapped.invoke(body, content_type).json() == answer


def test_missing_key_is_named(mapped):
    for body, content_type in (('[{"fa":[1],"fb":[2]},{"fa":[1]}]', "application/json"),
                               ('{"fa":[1],"fb":[2]}\n{"fa":[1]}', JSONL)):
        text = expect_error(mapped.invoke(body, content_type), 400)
        assert "Missing key 'fb' in one of the records for ONNX multi-input" in text


@pytest.mark.parametrize("body", [
    "[]", "{}", "7", "[1,2]", "[[1],[2]]", '[{"fa":[1],"fb":[2]},{"fa":[1,2],"fb":[2]}]',
    '[{"fa":["x"],"fb":[2]}]', '[{"fa":{},"fb":[2]}]',
])
def test_wrong_records(mapped, body):
    expect_error(mapped.invoke(body), 400)


def test_dtype_map(servers):
    server = servers("add2", env={**MAP, "ONNX_INPUT_DTYPE_MAP_JSON": '{"a":"float32","fb":"float32"}'})
    assert server.invoke('[{"fa":[1],"fb":[2]}]').json() == [[3.0]]


def test_scalars_of_rank_one_inputs(servers):
    """A record holds a value without the batch dimension: for [N] that is a scalar."""
    server = servers("reshape", env={"ONNX_INPUT_MAP_JSON": '{"v":"x","s":"shape"}', "ONNX_DYNAMIC_BATCH": "false"})
    response = server.invoke([{"v": 1, "s": 2}, {"v": 2, "s": 1}])
    assert response.json() == [[1.0], [2.0]], response.text


def test_records_over_the_limit(servers):
    server = servers("add2", env={**MAP, "MAX_RECORDS": "2"})
    body = json.dumps([{"fa": [1], "fb": [2]}] * 3)
    assert expect_error(server.invoke(body), 400) == "too_many_records: 3 > 2"


@pytest.mark.parametrize("value, word", [
    ('{"fa":"nope"}', "nope"), ('{"fa":7}', "ONNX_INPUT_MAP_JSON"), ("[]", "ONNX_INPUT_MAP_JSON"), ("{", "ONNX_INPUT_MAP_JSON"),
])
def test_wrong_map_is_told_at_the_start(value, word):
    """A map that is no map is a bad setting (exit 2); one that does not fit the model keeps it from being ready."""
    from onnxd_server import MODELS, Server, run_onnxd

    if word == "nope":
        with Server("add2", env={"ONNX_INPUT_MAP_JSON": value}, expect_ready=False) as server:
            from onnxd_server import wait_for
            wait_for(lambda: server.log_lines("not ready"), "a line saying why")
            assert server.log_lines("nope")
            assert server.get("/ready").status_code == 500
    else:
        done = run_onnxd("serve", MODELS / "add2", env={"ONNX_INPUT_MAP_JSON": value, "PORT": "0"})
        assert done.returncode == 2
        assert word in done.stderr and value in done.stderr
