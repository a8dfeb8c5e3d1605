"""Request bodies: every form the contract has, what is read leniently, and errors that name the place."""

import io
import json

import numpy
import pytest
from onnxd_server import expect_error

JSON = "application/json"
JSONL = "application/jsonlines"
CSV = "text/csv"
NPY = "application/x-npy"


@pytest.fixture
def server(servers):
    return servers("sum3")


def npy(array, **how):
    out = io.BytesIO()
    numpy.save(out, array, **how)
    return out.getvalue()


# Forms.

@pytest.mark.parametrize("body", [
    "[[1,2,3],[4,5,6]]",
    '{"instances":[[1,2,3],[4,5,6]]}',
    '{"instances":[{"features":[1,2,3]},{"features":[4,5,6]}]}',
    '[{"features":[1,2,3]},{"features":[4,5,6]}]',
    '{"x":[[1,2,3],[4,5,6]]}',
    '[{"x":[1,2,3]},{"x":[4,5,6]}]',
    " \t\r\n[ [ 1 , 2 , 3 ] ,\n[ 4 , 5 , 6 ] ] \n",
    '{"instances":[[1,2,3],[4,5,6]],"signature_name":"serving_default"}',
])
def test_json_forms_of_two_rows(server, body):
    response = server.invoke(body)
    assert (response.status_code, response.text) == (200, "[[6.0],[15.0]]")


@pytest.mark.parametrize("body", ["[1,2,3]", '{"features":[1,2,3]}', '{"instances":[1,2,3]}', "[[1,2,3]]"])
def test_json_forms_of_one_row(server, body):
    assert server.invoke(body).json() == [[6.0]]


@pytest.mark.parametrize("body", [
    "[1,2,3]\n[4,5,6]", '{"features":[1,2,3]}\n[4,5,6]\n', "\n[1,2,3]\r\n\r\n  \n[4,5,6]\r\n\n",
])
def test_json_lines(server, body):
    assert server.invoke(body, JSONL).json() == [[6.0], [15.0]]


@pytest.mark.parametrize("body", [
    "1,2,3\n4,5,6", "1,2,3\r\n4,5,6\r\n", "a,b,c\n1,2,3\n4,5,6\n", "a,2,3\n1,2,3\n4,5,6\n",
    '"1","2","3"\n"4",5,6', "\ufeff1,2,3\n4,5,6", "\ufeffa,b,c\n1,2,3\n4,5,6",
    '"a,b","c ""d""","e\nf"\n1,2,3\n4,5,6\n', "\n\n1,2,3\n\n4,5,6\n\n", " 1 ,\t2, 3 \n4,5,6",
    "+1,2.,3e0\n4,5,.6e1",
])
def test_csv_forms(server, body):
    assert server.invoke(body, CSV).json() == [[6.0], [15.0]]


def test_words_are_no_header_where_they_are_values(servers):
    """Of a model that takes strings the first row would be lost; CSV_HAS_HEADER=true says otherwise."""
    body = "name,city\nAda,London\n"
    assert servers("identity_string").invoke(body, CSV).json() == [["name", "city"], ["Ada", "London"]]
    told = servers("identity_string", env={"CSV_HAS_HEADER": "true"})
    assert told.invoke(body, CSV).json() == [["Ada", "London"]]


@pytest.mark.parametrize("array", [
    numpy.array([[1, 2, 3], [4, 5, 6]], dtype="<f4"),
    numpy.array([[1, 2, 3], [4, 5, 6]], dtype=">f4"),
    numpy.array([[1, 2, 3], [4, 5, 6]], dtype="<f8"),
    numpy.array([[1, 2, 3], [4, 5, 6]], dtype="<i8"),
    numpy.asfortranarray(numpy.array([[1, 2, 3], [4, 5, 6]], dtype="<f4")),
], ids=["f4", "big-endian", "f8", "i8", "fortran"])
def test_npy(server, array):
    assert server.invoke(npy(array), NPY).json() == [[6.0], [15.0]]


@pytest.mark.parametrize("body", [
    b"", b"\x93NUMPY", npy(numpy.zeros((2, 3), "<f4"))[:-1], npy(numpy.zeros((2, 3), "<f4")) + b"x",
    npy(numpy.zeros((2, 4), "<f4")), npy(numpy.array([["a"]])), npy(numpy.array([1 + 2j])),
    npy(numpy.array([{}], dtype=object), allow_pickle=True), npy(numpy.zeros((0, 3), "<f4")),
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }"
    + b" " * 30 + b"\n",
])
def test_bad_npy(server, body):
    expect_error(server.invoke(body, NPY), 400)


def test_deeper_nesting_where_the_model_has_that_rank(servers):
    server = servers("identity_any_rank")
    body = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert server.invoke(body).json() == body


# Leniency.

@pytest.mark.parametrize("body, answer", [
    ("[[NaN,1,1]]", "[[NaN]]"),
    ("[[Infinity,1,1]]", "[[Infinity]]"),
    ("[[-Infinity,1,1]]", "[[-Infinity]]"),
    ("[[null,1,1]]", "[[NaN]]"),
    ("[[true,false,true]]", "[[2.0]]"),
    ("[[1e39,0,0]]", "[[Infinity]]"),
    ("[[-1e400,0,0]]", "[[-Infinity]]"),
    ("[[1e-400,0,0]]", "[[0.0]]"),
    ("[[123456789012345678901234567890,0,0]]", "[[1.2345679e+29]]"),
])
def test_json_leniency(server, body, answer):
    response = server.invoke(body)
    assert (response.status_code, response.text) == (200, answer)


@pytest.mark.parametrize("body, answer", [
    ("nan,1,1", "[[NaN]]"), ("inf,1,1", "[[Infinity]]"), ("-inf,1,1", "[[-Infinity]]"),
    ("NaN,1,1", "[[NaN]]"), ("Infinity,1,1", "[[Infinity]]"), ("1e39,0,0", "[[Infinity]]"),
])
def test_csv_leniency(server, body, answer):
    response = server.invoke(body, CSV)
    assert (response.status_code, response.text) == (200, answer)


# Errors.

@pytest.mark.parametrize("body, words", [
    ("[[1,2,3],[4,5]]", ["row 1"]),
    ("[[1,2,3],[4,5,6,7]]", ["row 1"]),
    ("[[1,2,3],4]", ["row 1"]),
    ('[[1,2,3],["a",5,6]]', ["row 1", "column 0"]),
    ('[[1,2,3],[4,{"a":1},6]]', ["row 1", "column 1"]),
    ("[[1,2,3],[4,[5],6]]", ["row 1", "column 1"]),
    ("[[1,2,", ["6"]),
    ("[[1,2,3],]", ["9"]),
    ("[[1,2,3]] x", ["10"]),
    ("[[1,2,3]]]", ["9"]),
    ("[[1,2,03]]", []),
    ("[[1,2,+3]]", []),
    ("[[1,2,0x3]]", []),
    ("['a']", ["1"]),
    ("", []),
    ("   ", []),
    ("[]", []),
    ("[[]]", []),
    ("[[],[]]", []),
    ("{}", []),
    ('{"instances":[]}', []),
    ('{"instances":7}', []),
    ('{"foo":[[1,2,3]]}', []),
    ('"text"', []),
    ("7", []),
    ("true", []),
    ("[[1,2]]", ["2", "3"]),
    ("[[1,2,3,4]]", ["4", "3"]),
    ("[[[1,2,3]]]", []),
    ('[{"features":[1,2,3]},{"other":[1,2,3]}]', ["1"]),
    ('[{"features":[1,2,3]},7]', ["1"]),
])
def test_json_errors_name_the_place(server, body, words):
    expect_error(server.invoke(body), 400, *words)


@pytest.mark.parametrize("body, words", [
    ("1,2,3\n4,5", ["row 1"]),
    ("1,2,3\n4,5,6,7", ["row 1"]),
    ("1,2,3\n4,x,6", ["row 1", "column 1"]),
    ("1,2,3\n4,,6", ["row 1", "column 1"]),
    ("1,2,3,\n", []),
    ("a,b,c\n", []),
    ("", []),
    ("\n\n", []),
    ('1,2,"3', []),
    ('1,2,"3"x\n', []),
    ("1,2,0x3\n1,2,3\n4,5,0x6", ["column 2"]),
    ("1;2;3\n4;5;6", []),
    ("1,2,3\n4,5,6\x00", []),
    ("1,2,1_000\n1,2,1_000", []),
])
def test_csv_errors_name_the_place(server, body, words):
    expect_error(server.invoke(body, CSV), 400, *words)


@pytest.mark.parametrize("body, words", [
    ("[1,2,3]\n[4,5\n", ["2"]), ("[1,2,3]\n[4,5]\n", ["row 1"]), ("[1,2,3]\nx\n", ["2"]), ("", []), ("\n \n", []),
    ("[1,2,3] [4,5,6]\n", []), ('[1,2,3]\n{"other":[1,2,3]}', ["2"]),
])
def test_json_lines_errors_name_the_place(server, body, words):
    """Lines are counted from 1, as editors do; rows from 0."""
    expect_error(server.invoke(body, JSONL), 400, *words)


@pytest.mark.parametrize("content_type", [JSON, JSONL, CSV])
@pytest.mark.parametrize("bad", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_invalid_utf_8(server, content_type, bad):
    for body in (bad, b"[[1,2,3]]" + bad, b'[["' + bad + b'",2,3]]'):
        expect_error(server.invoke(body, content_type), 400)


# Settings.

def test_renamed_keys(servers):
    server = servers("sum3", env={"JSON_KEY_INSTANCES": "rows", "JSONL_FEATURES_KEY": "f"})
    for body in ('{"rows":[[1,2,3]]}', '{"f":[1,2,3]}', '[{"f":[1,2,3]}]', "[[1,2,3]]"):
        assert server.invoke(body).json() == [[6.0]]
    assert server.invoke('{"f":[1,2,3]}', JSONL).json() == [[6.0]]
    for body in ('{"instances":[[1,2,3]]}', '{"features":[1,2,3]}'):
        expect_error(server.invoke(body), 400)


@pytest.mark.parametrize("env, row, answer", [
    ({"TABULAR_ID_COLUMNS": "0"}, [99, 1, 2, 3], 6),
    ({"TABULAR_ID_COLUMNS": "0:2"}, [99, 98, 1, 2, 3], 6),
    ({"TABULAR_ID_COLUMNS": "1,3"}, [1, 99, 2, 98, 3], 6),
    ({"TABULAR_ID_COLUMNS": "3:"}, [1, 2, 3, 99, 98], 6),
    ({"TABULAR_FEATURE_COLUMNS": "1:4"}, [99, 1, 2, 3, 98], 6),
    ({"TABULAR_FEATURE_COLUMNS": "4,0,2"}, [1, 99, 2, 98, 3], 6),
    ({"TABULAR_FEATURE_COLUMNS": ":3"}, [1, 2, 3, 99], 6),
])
def test_selected_columns(servers, env, row, answer):
    server = servers("sum3", env=env)
    assert server.invoke([row]).json() == [[answer]]
    assert server.invoke(",".join(map(str, row)), CSV).json() == [[answer]]
    assert server.invoke(json.dumps(row), JSONL).json() == [[answer]]


@pytest.mark.parametrize("env", [
    {"TABULAR_ID_COLUMNS": "9"}, {"TABULAR_FEATURE_COLUMNS": "0,1,9"}, {"TABULAR_FEATURE_COLUMNS": "0:9"},
])
def test_selected_columns_out_of_range(servers, env):
    server = servers("sum3", env=env)
    for body, content_type in (("[[1,2,3]]", JSON), ("1,2,3", CSV)):
        expect_error(server.invoke(body, content_type), 400)


def test_id_columns_may_hold_anything(servers):
    server = servers("sum3", env={"TABULAR_ID_COLUMNS": "0", "CSV_HAS_HEADER": "false"})
    assert server.invoke("customer 7,1,2,3\n", CSV).json() == [[6.0]]


def test_number_of_features(servers):
    server = servers("sum3", env={"TABULAR_NUM_FEATURES": "3"})
    assert server.invoke("[[1,2,3]]").json() == [[6.0]]
    for body, content_type in (("[[1,2]]", JSON), ("1,2", CSV), ("[1,2]", JSONL)):
        text = expect_error(server.invoke(body, content_type), 400)
        assert text == "Feature count mismatch: got 2 expected TABULAR_NUM_FEATURES=3"


def test_csv_delimiter_and_header(servers):
    server = servers("sum3", env={"CSV_DELIMITER": ";", "CSV_HAS_HEADER": "true"})
    assert server.invoke("1;2;3\n4;5;6", CSV, accept=CSV).text == "15.0"
    tab = servers("sum3", env={"CSV_DELIMITER": "\t"})
    assert tab.invoke("1\t2\t3", CSV).json() == [[6.0]]


def test_tabular_dtype(servers):
    server = servers("identity_any_rank", env={"TABULAR_DTYPE": "float32"})
    assert server.invoke("[[0.1]]").text == "[[0.1]]"


def test_runtime_errors_of_the_input_are_the_clients(servers):
    lookup = servers("lookup")
    assert lookup.invoke("[[0,1]]").status_code == 200
    text = expect_error(lookup.invoke("[[0,99]]"), 400)
    assert "\n" not in text and len(text) < 600
    fixed = servers("fixed_batch")
    assert fixed.invoke("[[1,2,3],[4,5,6]]").json() == [[6.0], [15.0]]
    for body in ("[[1,2,3]]", "[[1,2,3],[4,5,6],[7,8,9]]"):
        expect_error(fixed.invoke(body), 400)
