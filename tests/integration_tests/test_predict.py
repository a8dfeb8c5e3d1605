"""onnxd predict against the service: the same file as one request and cut into many pieces."""

import io
import json
import os
import pty
import signal
import stat
import subprocess
import time

import numpy
import onnx
import pytest
from backends import fake_model
from onnx import TensorProto, helper
from onnxd_server import MODELS, binary, environment, run_onnxd

UNLIMITED = {"MAX_RECORDS": "1000000", "MAX_BODY_BYTES": "100000000"}
TYPES = {"csv": "text/csv", "json": "application/json", "jsonl": "application/jsonlines", "npy": "application/x-npy"}
ROWS = 1000


def npy(array):
    out = io.BytesIO()
    numpy.save(out, array)
    return out.getvalue()


def predict(model, body, suffix, tmp_path, *args, rows=7, env=None, output=True):
    """One run that cuts its input every `rows` rows; the answer, or the failed run."""
    model = MODELS / model if isinstance(model, str) else model
    source, target = tmp_path / f"in.{suffix}", tmp_path / "answer"
    source.write_bytes(body if isinstance(body, bytes) else body.encode())
    args = [*args, "--output", target] if output else args
    done = run_onnxd("predict", model, "--input", source, "--max-batch-size", rows, *args, env=env, input=b"")
    if done.returncode != 0:
        assert not target.exists() and sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [source.name]
        return done
    return target.read_bytes() if output else done.stdout


def failure(done, code=1):
    assert not isinstance(done, bytes), done
    assert done.returncode == code, done
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("onnxd: "), lines
    return lines[0]


# The same bytes as the service.

numbers = numpy.random.default_rng(7).normal(size=(ROWS, 4)).astype("f4").round(3)
IRIS_INPUTS = {
    "csv": "\n".join(",".join(map(str, row)) for row in numbers.tolist()),
    "json": json.dumps({"note": ["]", {"instances": 1}], "instances": numbers.tolist(), "more": "}"}),
    "jsonl": "\n\n".join(map(json.dumps, numbers.tolist())) + "\n",
    "npy": npy(numbers),
}


@pytest.mark.parametrize("suffix", IRIS_INPUTS)
@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/x-npy"])
def test_the_bytes_of_the_service(servers, tmp_path, suffix, accept):
    wanted = servers("iris_random_forest", env=UNLIMITED).invoke(IRIS_INPUTS[suffix], TYPES[suffix], accept)
    assert wanted.status_code == 200
    got = predict("iris_random_forest", IRIS_INPUTS[suffix], suffix, tmp_path, "--accept", accept)
    assert got == wanted.content


@pytest.mark.parametrize("env", [
    {"RETURN_PREDICTIONS_ONLY": "false", "JSON_OUTPUT_KEY": 'a "key"\n'},
    {"ONNX_OUTPUT_INDEX": "1"},
    {"ONNX_OUTPUT_INDEX": "1", "RETURN_PREDICTIONS_ONLY": "false"},
    {"ONNX_OUTPUT_MAP_JSON": '{"p":"output_probability"}'},
    {"ONNX_OUTPUT_MAP_JSON": '{"é":"output_probability","label":"output_label","again":"output_label"}'},
], ids=str)
def test_every_form_of_an_answer(servers, tmp_path, env):
    server = servers("iris_random_forest", env={**UNLIMITED, **env})
    for accept in ("application/json", "text/csv"):
        wanted = server.invoke(IRIS_INPUTS["csv"], "text/csv", accept)
        assert wanted.status_code == 200
        assert predict("iris_random_forest", IRIS_INPUTS["csv"], "csv", tmp_path, "--accept", accept,
                       env=env) == wanted.content


RECORDS = [{"age": i, "city": f"c{i % 5},\"\n]"} for i in range(100)]


@pytest.mark.parametrize("suffix, body", [
    ("json", json.dumps(RECORDS)),
    ("json", json.dumps({"instances": RECORDS})),
    ("json", json.dumps({key: [[record[key]] for record in RECORDS] for key in ("age", "city")})),
    ("jsonl", "\n".join(map(json.dumps, RECORDS))),
    ("csv", "city,age\n" + "".join('"c{},""\n]",{}\n'.format(r["age"] % 5, r["age"]) for r in RECORDS)),
], ids=["records", "instances", "columns", "lines", "csv"])
def test_several_inputs(servers, tmp_path, suffix, body):
    inputs = onnx.load(MODELS / "mixed_columns" / "model.onnx").graph.input
    names = [value.name for value in inputs]
    kinds = [value.type.tensor_type.elem_type for value in inputs]
    text = names[kinds.index(TensorProto.STRING)]
    number = next(name for name, kind in zip(names, kinds) if kind != TensorProto.STRING)
    body = body.replace("age", number).replace("city", text)
    wanted = servers("mixed_columns", env=UNLIMITED).invoke(body, TYPES[suffix], "application/json")
    got = predict("mixed_columns", body, suffix, tmp_path)
    if wanted.status_code == 200:
        assert got == wanted.content
    else:
        assert wanted.json()["error"] in failure(got)


# What cannot be cut.

def save_model(directory, node, x, y):
    """A model of one node, x float32[...] to y float32[...]."""
    directory.mkdir()
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, directory / "model.onnx")
    return directory


def test_rows_that_depend_on_each_other_are_one_run(tmp_path):
    model = save_model(tmp_path / "m", helper.make_node("CumSum", ["x", "axis"], ["y"]), ["N", 1], ["N", 1])
    proto = onnx.load(model / "model.onnx")
    proto.graph.initializer.append(helper.make_tensor("axis", TensorProto.INT64, [], [0]))
    onnx.save(proto, model / "model.onnx")
    got = predict(model, "1\n" * 100, "csv", tmp_path, "--accept", "text/csv", rows=3)
    assert [float(line) for line in got.split()] == list(range(1, 101))


def matrix_model(directory, *nodes):
    """x [N, F], of which the graph takes three columns only: the trial with made-up rows is refused."""
    model = save_model(directory, helper.make_node("MatMul", ["x", "w"], ["m"]), ["N", "F"], ["N", 1])
    proto = onnx.load(model / "model.onnx")
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [3, 1], [1, 2, 3]))
    proto.graph.initializer.append(helper.make_tensor("axis", TensorProto.INT64, [], [0]))
    proto.graph.node.extend(nodes)
    onnx.save(proto, model / "model.onnx")
    return model


def test_a_model_that_refuses_made_up_rows_is_tried_with_those_of_the_file(tmp_path):
    model = matrix_model(tmp_path / "m", helper.make_node("Identity", ["m"], ["y"]))
    row = b"1." + b"0" * 500 + b",2,3\n"  # long, so that the 64 MiB are few rows
    body = row * ((65 << 20) // len(row))
    got = predict(model, body, "csv", tmp_path, "--accept", "text/csv", rows=256)
    assert got == b"\n".join([b"14.0"] * (len(body) // len(row)))


def test_the_trial_with_rows_of_the_file_may_fail(tmp_path):
    model = matrix_model(tmp_path / "m", helper.make_node("CumSum", ["m", "axis"], ["y"]))
    for suffix, body in [("csv", "1,2,3\n" * 100), ("json", json.dumps([[1, 2, 3]] * 100)),
                         ("npy", npy(numpy.array([[1, 2, 3]] * 100, "f4")))]:
        got = predict(model, body, suffix, tmp_path, "--accept", "text/csv", rows=5)
        assert [float(line) for line in got.split()] == [14 * (i + 1) for i in range(100)]


def test_an_output_without_rows_is_one_run(tmp_path):
    model = save_model(tmp_path / "m", helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0), ["N", 1], [])
    assert json.loads(predict(model, "1\n" * 100, "csv", tmp_path, rows=3)) == 100.0


def test_whole_inputs_have_a_bound(tmp_path):
    model = save_model(tmp_path / "m", helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0), ["N", 1], [])
    row = b"1." + b"0" * 500 + b"\n"
    done = predict(model, row * ((65 << 20) // len(row)), "csv", tmp_path)
    assert "cannot be cut into rows (the rows of this model may depend on each other" in failure(done)


def test_a_fixed_batch_runs_as_often_as_it_comes(tmp_path):
    port = onnx.load(MODELS / "fixed_batch" / "model.onnx").graph.input[0].type.tensor_type.shape.dim
    batch, width = port[0].dim_value, port[1].dim_value
    row = ",".join(["1"] * width) + "\n"
    got = predict("fixed_batch", row * batch * 10, "csv", tmp_path, "--accept", "text/csv")
    assert len(got.decode().split("\n")) == batch * 10
    (tmp_path / "answer").unlink()
    message = failure(predict("fixed_batch", row * (batch * 10 + 1), "csv", tmp_path))
    assert f"takes exactly {batch} row" in message and "got 1" in message


def test_fortran_order(servers, tmp_path):
    body = npy(numpy.asfortranarray(numbers))
    wanted = servers("iris_random_forest", env=UNLIMITED).invoke(body, "application/x-npy", "text/csv")
    assert predict("iris_random_forest", body, "npy", tmp_path, "--accept", "text/csv") == wanted.content


def test_a_key_that_comes_again_is_refused(tmp_path):
    body = '{"instances":' + json.dumps([[1, 2, 3]] * 10) + ',"instances":[[4,5,6]]}'
    assert "that key comes again" in failure(predict("sum3", body, "json", tmp_path, rows=2))


# Places and failures.

@pytest.mark.parametrize("suffix, body, words", [
    ("csv", "a,b,c\n" + "1,2,3\n" * 100 + "1,x,3\n", ["line 102, row 100, column 1", '"x"']),
    ("csv", "1,2,3\n" * 100 + '1,"2', ["line 101", "quote"]),
    ("csv", b"1,2,3\n" * 100 + b"\xff", ["byte 600"]),
    ("json", "[" + "[1,2,3]," * 100 + "[1,2]]", ["row 100", "2 values"]),
    ("json", "[" + "[1,2,3]," * 100 + "[1,2,x]]", ["byte 806"]),
    ("json", "[" + "[1,2,3]," * 100 + "[1,2,3]", ["byte 808"]),
    ("jsonl", "[1,2,3]\n" * 100 + "[1,2,null,4]\n", ["line 101, row 100"]),
    ("jsonl", "[1,2,3]\n" * 100 + "[1,2\n", ["line 101, row 100", "byte 804"]),
    ("npy", npy(numpy.zeros((100, 3), "f4"))[:-1], ["row 99"]),
    ("npy", npy(numpy.zeros((100, 3), "f4")) + b"x", ["byte 1328"]),
])
def test_places_are_those_of_the_file(tmp_path, suffix, body, words):
    message = failure(predict("sum3", body, suffix, tmp_path))
    for word in words:
        assert word in message


def test_a_refusal_of_the_model_names_its_rows(tmp_path):
    body = "0,0\n" * 100 + "0,999999\n" + "0,0\n" * 10
    message = failure(predict("lookup", body, "csv", tmp_path, rows=8))
    assert "rows 96 to 103: " in message


def test_a_long_row(tmp_path):
    message = failure(predict("sum3", b"1,2,3\n" + b"1" * (65 << 20), "csv", tmp_path))
    assert "row 1 (byte 6): longer than 67108864 bytes" in message


# Files.

def test_standard_input_and_output(tmp_path):
    for args, body, wanted in [
        (["--content-type", "text/csv"], b"1,2,3\n4,5,6\n", b"[[6.0],[15.0]]"),
        ([], b"[[1,2,3]]", b"[[6.0]]"),
        (["--default-content-type", "text/csv", "--output", "-"], b"1,2,3", b"[[6.0]]"),
    ]:
        done = run_onnxd("predict", MODELS / "sum3", "--input", "-", *args, input=body)
        assert (done.returncode, done.stdout, done.stderr) == (0, wanted, b"")
    done = run_onnxd("predict", MODELS / "sum3", "--input", "-", "--accept", "application/x-npy",
                     input=json.dumps([[i, 0, 0] for i in range(1000)]).encode())
    assert numpy.load(io.BytesIO(done.stdout)).tolist() == [[i] for i in range(1000)]


@pytest.mark.parametrize("name, args, wanted", [
    ("out.csv", [], b"6.0"), ("out.json", ["--default-accept", "text/csv"], b"[[6.0]]"),
    ("out.txt", ["--default-accept", "text/csv"], b"6.0"), ("out.csv", ["--accept", "application/json"], b"[[6.0]]"),
    ("out.jsonl", [], b"[[6.0]]"), ("OUT.NPY", [], npy(numpy.array([[6.0]], "f4"))),
])
def test_the_name_of_the_output_says_what_it_is(tmp_path, name, args, wanted):
    source, target = tmp_path / "rows.csv", tmp_path / name
    source.write_text("1,2,3\n")
    assert run_onnxd("predict", MODELS / "sum3", "--input", source, "--output", target, *args).returncode == 0
    assert target.read_bytes() == wanted


def test_the_content_type_is_over_the_name(tmp_path):
    assert predict("sum3", "[[1,2,3]]", "csv", tmp_path, "--content-type", "application/json") == b"[[6.0]]"


@pytest.mark.parametrize("args, words", [
    ([], ["--input"]),
    (["--input", "rows.txt"], ["rows.txt", "--content-type"]),
    (["--input", "rows.csv", "--content-type", "text/html"], ["Unsupported Content-Type: text/html"]),
    (["--input", "rows.csv", "--accept", "csv"], ["--accept csv", "text/csv"]),
    (["--input", "none.csv"], ["none.csv", "No such file"]),
    (["--input", "rows.csv", "--output", "none/answer"], ["none/answer", "No such file"]),
    (["--input", "rows.csv", "--output", "."], ["is a directory"]),
    (["--input", "rows.csv", "--port", "1"], ["--port"]),
])
def test_wrong_arguments_exit_with_2(tmp_path, args, words):
    for name in ("rows.csv", "rows.txt"):
        (tmp_path / name).write_text("1,2,3\n")
    done = run_onnxd("predict", MODELS / "sum3", *args, cwd=tmp_path, input=b"")
    message = failure(done, code=2)
    for word in words:
        assert word in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "rows.txt"]


def test_devices_links_and_permissions_stay(tmp_path):
    source = tmp_path / "rows.csv"
    source.write_text("1,2,3\n")
    old, link = tmp_path / "old", tmp_path / "link"
    old.write_text("old")
    old.chmod(0o640)
    link.symlink_to("old")
    for target in (link, "/dev/null"):
        assert run_onnxd("predict", MODELS / "sum3", "--input", source, "--output", target).returncode == 0
    assert old.read_text() == "[[6.0]]" and link.is_symlink()
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_the_input_may_be_the_output(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("1,2,3\n" * 1000)
    done = run_onnxd("predict", MODELS / "sum3", "--input", path, "--output", path, "--accept", "text/csv")
    assert done.returncode == 0
    assert path.read_text().split("\n") == ["6.0"] * 1000


def wait_for_file(directory, prefix, process):
    deadline = time.monotonic() + 60
    while not any(path.name.startswith(prefix) for path in directory.iterdir()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_old_file(tmp_path, number):
    """The input is a pipe that never ends: the run is in the middle of it, whenever the signal comes."""
    target = tmp_path / "answer"
    target.write_text("from last time")
    home = tmp_path / "home"
    home.mkdir()
    process = subprocess.Popen([binary(), "predict", str(MODELS / "sum3"), "--input", "-", "--content-type", "text/csv",
                                "--output", str(target)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, env=environment({}, home),
                               # A shell's background jobs ignore SIGINT, and hand that on.
                               preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    process.stdin.write(b"1,2,3\n" * 100_000)
    process.stdin.flush()
    wait_for_file(tmp_path, ".answer.", process)
    process.send_signal(number)
    process.stdin.close()
    assert process.wait(60) == 1
    assert b"interrupted" in process.stderr.read()
    process.stderr.close()
    assert target.read_text() == "from last time"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answer", "home"]


def test_the_progress_line_goes_away(tmp_path):
    source = tmp_path / "rows.csv"
    source.write_text("1,2,3\n" * 200_000)
    master, slave = pty.openpty()
    process = subprocess.Popen([binary(), "predict", str(MODELS / "sum3"), "--input", str(source), "--output",
                                str(tmp_path / "out")], env=environment({}, tmp_path), stderr=slave)
    os.close(slave)
    shown = b""
    try:
        while more := os.read(master, 4096):
            shown += more
    except OSError:
        pass  # the terminal is gone with the process
    os.close(master)
    assert process.wait(60) == 0
    before, _, last = shown.rpartition(b"\r\x1b[K")
    assert b"%" in before
    assert last.startswith(b"200000 rows in ") and last.endswith(b" rows/s)\r\n")


@pytest.mark.fake_backend
def test_the_test_double(tmp_path):
    """The whole program without the runtime, for the sanitizers that cannot see into it."""
    source = tmp_path / "rows.csv"
    source.write_text("1,2\n" * 5000)
    done = run_onnxd("predict", fake_model(tmp_path / "echo"), "--input", source, "--accept", "text/csv", fake=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["1.0,2.0"] * 5000
