"""Integers are exact: in and out, through JSON and CSV, to the ends of every type."""

import json

import pytest
from onnxd_server import expect_error

CSV = "text/csv"
JSONL = "application/jsonlines"
TYPES = {f"{sign}int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits if sign else bits - 1) - 1)
         for sign in ("", "u") for bits in (8, 16, 32, 64)}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("off", [0, 1])
def test_extremes_survive(servers, dtype, off):
    least, most = TYPES[dtype]
    row = [least + off, most - off]
    server = servers(f"identity_{dtype}")
    for body, content_type in ((json.dumps([row]), "application/json"), (json.dumps(row), JSONL),
                               (f"{row[0]},{row[1]}", CSV), (f'"{row[0]}", {row[1]} ', CSV)):
        assert server.invoke(body, content_type).text == f"[[{row[0]},{row[1]}]]"
        assert server.invoke(body, content_type, CSV).text == f"{row[0]},{row[1]}"


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("content_type", ["application/json", CSV, JSONL])
def test_one_past_the_end_is_refused_by_name(servers, dtype, content_type):
    server = servers(f"identity_{dtype}")
    for value in (TYPES[dtype][0] - 1, TYPES[dtype][1] + 1, 10**30, -(10**30)):
        body = {"application/json": f"[[0,0],[0,{value}]]", CSV: f"0,0\n0,{value}", JSONL: f"[0,0]\n[0,{value}]"}
        text = expect_error(server.invoke(body[content_type], content_type), 400, dtype)
        assert "row 1" in text and "column 1" in text, text


def test_neighbours_that_a_double_cannot_tell_apart(servers):
    server = servers("identity_int64")
    row = [2**53 + 1, -(2**53) - 1]
    assert server.invoke([row]).json() == [row]
    assert server.invoke(f"{row[0]},{row[1]}", CSV).json() == [row]


@pytest.mark.parametrize("value", ["1.5", "0.1", "1e-1", "NaN", "Infinity", "null", '"1"'])
def test_what_is_no_integer_is_refused(servers, value):
    expect_error(servers("identity_int64").invoke(f"[[0,{value}]]"), 400, "column 1")


@pytest.mark.parametrize("value", ["1.5", "nan", "inf", "1e-1"])
def test_what_is_no_integer_is_refused_in_csv(servers, value):
    expect_error(servers("identity_int64").invoke(f"0,0\n0,{value}", CSV), 400, "column 1")


@pytest.mark.parametrize("value, wanted", [("1.0", 1), ("1e3", 1000), ("-2.50e1", -25), ("true", 1)])
def test_floats_with_an_integer_value_are_integers(servers, value, wanted):
    assert servers("identity_int64").invoke(f"[[0,{value}]]").json() == [[0, wanted]]


def test_300_into_uint8(servers):
    expect_error(servers("identity_uint8").invoke("[[1,300]]"), 400, "300", "uint8")


def test_arithmetic_stays_in_integers(servers):
    server = servers("mul_i64")
    assert server.invoke("[[3074457345618258602,-3074457345618258602]]").text == (
        "[[9223372036854775806,-9223372036854775806]]")


def test_keys_of_maps_are_exact(servers):
    assert "4611686018427387904" in servers("zip_map_int64").invoke("[[1,2,3]]").json()[0]


def test_bool_takes_what_is_one(servers):
    server = servers("identity_bool")
    assert server.invoke("[[true,false],[1,0]]").json() == [[True, False], [True, False]]
    expect_error(server.invoke("[[true,2]]"), 400, "column 1")
