"""Answers: every kind of value in JSON, CSV and npy, and the settings that shape them."""

import io
import json
import math
import struct

import numpy
import onnxruntime
import pytest
from onnxd_server import MODELS, expect_error

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
IRIS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [6.0, 2.9, 4.5, 1.5]]


def both(server, body, content_type=JSON):
    """The answer as JSON text and as CSV text."""
    answers = [server.invoke(body, content_type, accept) for accept in (JSON, CSV)]
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    assert [answer.headers["content-type"].split(";")[0] for answer in answers] == [JSON, CSV]
    return [answer.text for answer in answers]


@pytest.mark.parametrize("dtype, body, as_json, as_csv", [
    ("float32", "[[6,0.1]]", "[[6.0,0.1]]", "6.0,0.1"),
    ("float32", "[[1e-10,16777216]]", "[[1e-10,16777216.0]]", "1e-10,16777216.0"),
    ("float32", "[[1e30,-0.0]]", "[[1e+30,-0.0]]", "1e+30,-0.0"),
    ("float64", "[[0.1,1e300]]", "[[0.1,1e+300]]", "0.1,1e+300"),
    ("float64", "[[0.30000000000000004,5e-324]]", "[[0.30000000000000004,5e-324]]", "0.30000000000000004,5e-324"),
    ("float16", "[[0.1,65504]]", "[[0.1,65500.0]]", "0.1,65500.0"),
    ("bfloat16", "[[0.1,3]]", "[[0.1,3.0]]", "0.1,3.0"),
    ("int8", "[[-128,127]]", "[[-128,127]]", "-128,127"),
    ("uint8", "[[0,255]]", "[[0,255]]", "0,255"),
    ("bool", "[[true,false]]", "[[true,false]]", "True,False"),
    ("string", '[["a","b c"]]', '[["a","b c"]]', "a,b c"),
    ("string", '[["a,b","say \\"x\\""]]', '[["a,b","say \\"x\\""]]', '"a,b","say ""x"""'),
    ("string", '[["line\\nbreak","\\u00e9\\ud83d\\ude00"]]', None, '"line\nbreak",é😀'),
    ("string", '[["\\u0000\\u001f\\u007f","\\\\/"]]', None, None),
])
def test_dtypes(servers, dtype, body, as_json, as_csv):
    got_json, got_csv = both(servers(f"identity_{dtype}"), body)
    if as_json is not None:
        assert got_json == as_json
    if as_csv is not None:
        assert got_csv == as_csv
    if dtype in ("string", "bool", "int8", "uint8"):
        assert json.loads(got_json) == json.loads(body)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 3.4028235e38, 1.1754944e-38, 1e-45, 123456.79, 16777216.0, 1e16, 1e15,
                                   0.0001, 0.00001, 2.5, 9007199254740993.0])
def test_float32_has_the_fewest_digits_that_read_back(servers, value):
    single = struct.unpack("f", struct.pack("f", value))[0]
    text = servers("identity_float32").invoke(f"[[{value!r},0]]").text
    printed = text[2:].split(",")[0]
    assert struct.unpack("f", struct.pack("f", float(printed)))[0] == single
    digits = len(printed.split("e")[0].replace(".", "").replace("-", "").strip("0"))
    with numpy.errstate(over="ignore"):
        shortest = next(n for n in range(1, 10) if numpy.float32(f"{single:.{n - 1}e}") == numpy.float32(single))
    assert digits <= shortest, printed
    assert "." in printed or "e" in printed


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e300, 5e-324, 1.7976931348623157e308, 2**53 + 2.0, 1e16, 1e15, 1e22, 1e23])
def test_float64_is_as_pythons_repr(servers, value):
    text = servers("identity_float64").invoke(f"[[{value!r},0]]").text
    assert text == f"[[{value!r},0.0]]"


def test_nonfinite_numbers(servers):
    body = "[[NaN,Infinity],[-Infinity,1]]"
    assert both(servers("identity_float32"), body) == ["[[NaN,Infinity],[-Infinity,1.0]]", "nan,inf\n-inf,1.0"]
    null = servers("identity_float32", env={"JSON_NONFINITE": "null"})
    assert null.invoke(body).text == "[[null,null],[null,1.0]]"
    error = servers("identity_float32", env={"JSON_NONFINITE": "error"})
    expect_error(error.invoke(body), 400)
    assert error.invoke("[[1,2]]").status_code == 200


def test_shapes(servers):
    scalar = servers("scalar_output")
    assert both(scalar, "[[1,2]]") == ["3.0", "3.0"]
    cube = servers("multi", env={"ONNX_OUTPUT_NAME": "cube"})
    assert cube.invoke("[[1,2,3],[4,5,6]]").json() == [[[1, 2, 3]], [[4, 5, 6]]]
    assert cube.invoke("[[1,2,3],[4,5,6]]", accept=CSV).text == "1.0,2.0,3.0\n4.0,5.0,6.0"
    vector = servers("multi", env={"ONNX_OUTPUT_NAME": "total"})
    assert both(vector, "[[1,2,3],[4,5,6]]") == ["[6.0,15.0]", "6.0\n15.0"]


def test_strings(servers):
    server = servers("labels")
    assert server.invoke("[[9,1,1],[1,9,1],[1,1,9]]").json() == ["low", 'mid "q" é', "high"]
    assert server.invoke("[[9,1,1],[1,9,1],[1,1,9]]", accept=CSV).text == 'low\n"mid ""q"" é"\nhigh'


@pytest.mark.parametrize("model", ["iris_logistic_regression", "iris_random_forest", "iris_neural_network"])
def test_scikit_learn_classifiers_agree_with_the_runtime(servers, model):
    session = onnxruntime.InferenceSession(MODELS / model / "model.onnx")
    labels, probabilities = session.run(None, {"x": numpy.array(IRIS, dtype=numpy.float32)})
    assert servers(model).invoke(IRIS).json() == labels.tolist()
    answer = servers(model, env={"ONNX_OUTPUT_NAME": "output_probability"}).invoke(IRIS).json()
    assert len(answer) == len(probabilities)
    for got, wanted in zip(answer, probabilities):
        assert got.keys() == {str(key) for key in wanted}
        for key, value in wanted.items():
            assert math.isclose(got[str(key)], value, rel_tol=1e-6)


def test_maps(servers):
    assert servers("zip_map_string").invoke("[[1,2,3]]").json() == [{"no": 1.0, "maybe": 2.0, "sí": 3.0}]
    assert servers("zip_map_int64").invoke("[[1,2,3],[4,5,6]]").json() == [
        {"-5": 1.0, "0": 2.0, "4611686018427387904": 3.0}, {"-5": 4.0, "0": 5.0, "4611686018427387904": 6.0}]


def test_maps_as_csv(servers):
    """One row an object, its values in the order of the keys; or a clear refusal."""
    response = servers("zip_map_int64").invoke("[[1,2,3],[4,5,6]]", accept=CSV)
    if response.status_code == 200:
        assert response.text.splitlines()[-2:] == ["1.0,2.0,3.0", "4.0,5.0,6.0"]
    else:
        expect_error(response, 400)


def test_sequences(servers):
    assert servers("sequence_float32").invoke("[[1,2],[3,4]]").json() == [[[1.0, 2.0]], [[3.0, 4.0]]]
    assert servers("sequence_string").invoke('[["a","b"],["c","d"]]').json() == [[["a", "b"]], [["c", "d"]]]


# Which outputs, under which names.

@pytest.mark.parametrize("env, answer", [
    ({}, [[True, False, True]]),
    ({"ONNX_OUTPUT_NAME": "total"}, [2.0]),
    ({"ONNX_OUTPUT_INDEX": "1"}, [[[1.0, -2.0, 3.0]]]),
    ({"ONNX_OUTPUT_INDEX": "99"}, [2.0]),
    ({"ONNX_OUTPUT_NAME": "cube", "ONNX_OUTPUT_INDEX": "0"}, [[[1.0, -2.0, 3.0]]]),
    ({"RETURN_PREDICTIONS_ONLY": "false", "ONNX_OUTPUT_NAME": "total"}, {"predictions": [2.0]}),
    ({"RETURN_PREDICTIONS_ONLY": "0", "JSON_OUTPUT_KEY": 'a "b"', "ONNX_OUTPUT_NAME": "total"}, {'a "b"': [2.0]}),
    ({"ONNX_OUTPUT_MAP_JSON": '{"t":"total","p":"positive"}'}, {"t": [2.0], "p": [[True, False, True]]}),
])
def test_selection(servers, env, answer):
    assert servers("multi", env=env).invoke("[[1,-2,3]]").json() == answer


def test_output_map_is_json_whatever_was_asked(servers):
    server = servers("multi", env={"ONNX_OUTPUT_MAP_JSON": '{"t":"total"}'})
    response = server.invoke("[[1,2,3]]", accept=CSV)
    assert response.headers["content-type"].split(";")[0] == JSON
    assert response.json() == {"t": [6.0]}


def test_csv_is_never_wrapped(servers):
    server = servers("sum3", env={"RETURN_PREDICTIONS_ONLY": "false"})
    assert server.invoke("[[1,2,3]]", accept=CSV).text == "6.0"


def test_csv_delimiter_of_answers(servers):
    server = servers("identity_string", env={"CSV_DELIMITER": ";"})
    assert server.invoke('[["a;b","c,d"]]', accept=CSV).text == '"a;b";c,d'


# npy.

@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int16", "int32", "int64",
                                   "uint8", "uint16", "uint32", "uint64", "bool"])
def test_npy_both_ways(servers, dtype):
    if dtype == "bool":
        array = numpy.array([[True, False], [False, True]])
    elif "int" in dtype:
        array = numpy.array([[numpy.iinfo(dtype).min, numpy.iinfo(dtype).max], [0, 1]], dtype=dtype)
    else:
        array = numpy.array([[numpy.finfo(dtype).max, -0.0], [0.1, numpy.finfo(dtype).tiny]], dtype=dtype)
    sent = io.BytesIO()
    numpy.save(sent, array)
    response = servers(f"identity_{dtype}").invoke(sent.getvalue(), NPY, NPY)
    assert response.status_code == 200, response.text
    got = numpy.load(io.BytesIO(response.content), allow_pickle=False)
    assert got.dtype == array.dtype and got.shape == array.shape
    assert got.tobytes() == array.tobytes()


def test_npy_cannot_hold_maps(servers):
    expect_error(servers("zip_map_int64").invoke("[[1,2,3]]", accept=NPY), 400)
