"""The commands that need no network: inspect, check and predict."""

import io
import json
import os
import re
import subprocess
import sys

import numpy
import onnx
import pytest
from onnxd_server import EXAMPLES, MODELS, binary, environment, is_sanitized, run_onnxd

IRIS = MODELS / "iris_logistic_regression"


# inspect

def test_inspect_table():
    done = run_onnxd("inspect", IRIS)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("x", "float32", "4", "output_label", "int64", "output_probability", "sequence(map(int64, float32))",
                 "opset", "producer"):
        assert word in done.stdout


@pytest.mark.parametrize("path", [IRIS, IRIS / "model.onnx"])
def test_inspect_json(path):
    done = run_onnxd("inspect", path, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert [port["name"] for port in document["inputs"]] == ["x"]
    assert document["inputs"][0]["dtype"] == "float32"
    assert document["inputs"][0]["shape"][1] == 4
    assert [port["name"] for port in document["outputs"]] == ["output_label", "output_probability"]
    assert document["batchable"] is True


def test_inspect_knows_what_cannot_share_a_run():
    assert json.loads(run_onnxd("inspect", MODELS / "fixed_batch", "--json").stdout)["batchable"] is False


def test_inspect_shows_metadata():
    document = json.loads(run_onnxd("inspect", MODELS / "described", "--json").stdout)
    assert document["producer"] == "acme trainer"
    assert document["metadata"]
    assert document["inputs"][0]["shape"][:3] == ["batch", 2, "time"]
    text = run_onnxd("inspect", MODELS / "described").stdout
    assert "acme trainer" in text and "float32[batch, 2, time" in text


@pytest.mark.parametrize("model", sorted(path.name for path in MODELS.iterdir()))
def test_inspect_every_model(model):
    done = run_onnxd("inspect", MODELS / model, "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


def test_inspect_gives_a_terminal_no_orders(tmp_path):
    """Whoever wrote the model wrote its texts: escape sequences among them are not obeyed."""
    model = onnx.load(MODELS / "described" / "model.onnx")
    model.doc_string = "red \x1b[31m\nopset  \x07none\r"
    onnx.save(model, tmp_path / "model.onnx")
    done = run_onnxd("inspect", tmp_path)
    assert done.returncode == 0
    assert "red ?[31m opset  ?none?\n" in done.stdout
    assert json.loads(run_onnxd("inspect", tmp_path, "--json").stdout)["description"] == model.doc_string


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("args", [["inspect", IRIS], ["inspect", IRIS, "--json"], ["check", IRIS], ["version"],
                                  ["settings"], ["predict", "--help"], ["--help"]], ids=str)
def test_output_that_cannot_be_written_is_a_failure(tmp_path, args):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([binary(), *map(str, args)], stdout=full, stderr=subprocess.PIPE,
                              env=environment({}, tmp_path), timeout=60)
    assert done.returncode == 1
    assert b"standard output: No space left" in done.stderr


# predict

def predict(model, body, name, tmp_path, *args, env=None):
    source = tmp_path / name
    source.write_bytes(body if isinstance(body, bytes) else body.encode())
    return run_onnxd("predict", MODELS / model, "--input", source, *args, env=env)


def npy(array):
    out = io.BytesIO()
    numpy.save(out, array)
    return out.getvalue()


INPUTS = {
    "rows.csv": "1,2,3\n4,5,6\n7,8,9\n",
    "header.csv": "a,b,c\n1,2,3\n4,5,6\n7,8,9\n",
    "rows.json": "[[1,2,3],[4,5,6],[7,8,9]]",
    "instances.json": '{"instances":[[1,2,3],[4,5,6],[7,8,9]]}',
    "rows.jsonl": '[1,2,3]\n{"features":[4,5,6]}\n\n[7,8,9]',
    "rows.ndjson": "[1,2,3]\n[4,5,6]\n[7,8,9]\n",
    "rows.npy": npy(numpy.arange(1, 10, dtype="<f4").reshape(3, 3)),
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_predict_answers_as_the_service(servers, tmp_path, name, accept):
    types = {"csv": "text/csv", "json": "application/json", "jsonl": "application/jsonlines",
             "ndjson": "application/x-ndjson", "npy": "application/x-npy"}
    wanted = servers("sum3").invoke(INPUTS[name], types[name.rsplit(".", 1)[1]], accept)
    assert wanted.status_code == 200
    target = tmp_path / "answer"
    done = predict("sum3", INPUTS[name], name, tmp_path, "--output", target, "--accept", accept)
    assert done.returncode == 0, done.stderr
    got = target.read_text()
    if accept == "application/json":
        assert json.loads(got) == wanted.json() == [[6.0], [15.0], [24.0]]
    else:
        assert got.rstrip("\n") == wanted.text == "6.0\n15.0\n24.0"


def test_predict_to_standard_output(tmp_path):
    done = predict("sum3", INPUTS["rows.csv"], "rows.csv", tmp_path)
    assert done.returncode == 0
    answer = done.stdout.strip()
    assert answer == "6.0\n15.0\n24.0" or json.loads(answer) == [[6.0], [15.0], [24.0]]


def test_predict_npy_out(tmp_path):
    target = tmp_path / "out.npy"
    done = predict("sum3", INPUTS["rows.npy"], "rows.npy", tmp_path, "--output", target, "--accept", "application/x-npy")
    assert done.returncode == 0, done.stderr
    assert numpy.load(target).tolist() == [[6.0], [15.0], [24.0]]


def test_predict_is_not_held_to_the_limits_of_requests(tmp_path):
    rows = 20000
    done = predict("sum3", "1,2,3\n" * rows, "rows.csv", tmp_path, "--accept", "text/csv",
                   env={"MAX_RECORDS": "10", "MAX_BODY_BYTES": "1000"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["6.0"] * rows


def test_predict_gives_every_row_its_own_answer(tmp_path):
    rows = 100_000
    body = "".join(f"{i},{i % 7},0.5\n" for i in range(rows))
    for name, text in (("rows.csv", body), ("rows.jsonl", "".join(f"[{line}]\n" for line in body.splitlines()))):
        done = predict("sum3", text, name, tmp_path, "--accept", "text/csv")
        assert done.returncode == 0, done.stderr
        answers = done.stdout.split()
        assert len(answers) == rows
        assert all(float(answer) == i + i % 7 + 0.5 for i, answer in enumerate(answers))


def test_predict_quoted_newlines_at_every_chunk_border(tmp_path):
    """A quoted cell may hold line breaks: no chunk ends inside of one."""
    rows = 30_000
    body = "name,other\n" + "".join(f'"row\n{i}","a,""b"""\n' for i in range(rows))
    done = predict("identity_string", body, "rows.csv", tmp_path, "--accept", "application/json",
                   env={"CSV_HAS_HEADER": "true"})  # words are values where the model takes strings
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[f"row\n{i}", 'a,"b"'] for i in range(rows)]


def test_predict_mapped_outputs(tmp_path):
    done = predict("multi", INPUTS["rows.csv"], "rows.csv", tmp_path, "--accept", "application/json",
                   env={"ONNX_OUTPUT_MAP_JSON": '{"t":"total","p":"positive"}'})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"t": [6.0, 15.0, 24.0], "p": [[True] * 3] * 3}


@pytest.mark.parametrize("name, body, words", [
    ("rows.csv", "1,2,3\n" * 50_000 + "1,x,3\n" + "1,2,3\n" * 10, ["row 50000", "column 1"]),
    ("rows.csv", "1,2,3\n" * 50_000 + "1,2\n", ["row 50000"]),
    ("rows.jsonl", "[1,2,3]\n" * 50_000 + "[1,2\n", ["50001"]),
    ("rows.json", "[[1,2,3],[1,2]]", ["row 1"]),
    ("rows.npy", npy(numpy.zeros((2, 3), "<f4"))[:-1], []),
    ("rows.csv", "", []),
    ("rows.json", "", []),
])
def test_predict_names_a_bad_row_and_leaves_no_output(tmp_path, name, body, words):
    target = tmp_path / "answer.csv"
    done = predict("sum3", body, name, tmp_path, "--output", target)
    assert done.returncode in (1, 2)
    message = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in message, message
    assert not target.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [name], "something was left behind"


def test_predict_keeps_an_older_output_when_it_fails(tmp_path):
    target = tmp_path / "answer.csv"
    target.write_text("from last time\n")
    assert predict("sum3", "1,2\n", "rows.csv", tmp_path, "--output", target).returncode != 0
    assert target.read_text() == "from last time\n"


def test_predict_replaces_an_older_output(tmp_path):
    target = tmp_path / "answer.csv"
    target.write_text("from last time\n" * 1000)
    assert predict("sum3", "1,2,3\n", "rows.csv", tmp_path, "--output", target, "--accept", "text/csv").returncode == 0
    assert target.read_text().strip() == "6.0"


@pytest.mark.parametrize("args", [
    ["--input", "/nowhere/rows.csv"], ["--input", "/etc"], ["--input", "/dev/null", "--accept", "image/png"],
])
def test_predict_wrong_arguments(args):
    done = run_onnxd("predict", MODELS / "sum3", *args)
    assert done.returncode in (1, 2)
    assert done.stderr.strip()


def test_predict_output_that_cannot_be_written(tmp_path):
    done = predict("sum3", "1,2,3\n", "rows.csv", tmp_path, "--output", "/nowhere/at/all/answer")
    assert done.returncode in (1, 2)
    assert "/nowhere/at/all" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_predict_to_a_full_disk(tmp_path):
    source = tmp_path / "rows.csv"
    source.write_text("1,2,3\n" * 100_000)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([binary(), "predict", str(MODELS / "sum3"), "--input", str(source)], stdout=full,
                              stderr=subprocess.PIPE, env=environment({}, tmp_path), timeout=60)
    assert done.returncode == 1
    assert b"No space left" in done.stderr


def test_predict_shows_no_progress_where_nobody_looks(tmp_path):
    done = predict("sum3", INPUTS["rows.csv"], "rows.csv", tmp_path)
    assert "\r" not in done.stderr and "\x1b" not in done.stderr


def test_predict_shows_progress_on_a_terminal(tmp_path):
    import pty

    source = tmp_path / "rows.csv"
    source.write_text("1,2,3\n" * 400_000)
    master, slave = pty.openpty()
    process = subprocess.Popen([binary(), "predict", str(MODELS / "sum3"), "--input", str(source),
                                "--output", str(tmp_path / "out.csv")], env=environment({}, tmp_path), stderr=slave)
    os.close(slave)
    shown = b""
    try:
        while True:
            more = os.read(master, 4096)
            if not more:
                break
            shown += more
    except OSError:
        pass  # the terminal is gone with the process
    assert process.wait(120) == 0
    os.close(master)
    text = shown.decode("utf-8", "replace")
    assert "%" in text and re.search(r"rows/s|/s", text), text


RUN_AND_MEASURE = """
import os, sys
null = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def peak_rss_bytes(args, tmp_path):
    """The largest resident size of one run, from the kernel's own account.

    A process is born with its parent's size in that account: the parent is a small one, not this.
    """
    done = subprocess.run([sys.executable, "-c", RUN_AND_MEASURE, binary(), *map(str, args)], capture_output=True,
                          text=True, env=environment({}, tmp_path))
    code, peak = map(int, done.stdout.split())
    assert code == 0, done.stderr
    return peak * 1024


@pytest.mark.skipif(is_sanitized(), reason="sanitizers keep freed memory")
@pytest.mark.parametrize("suffix, line", [("csv", "1,2,3\n"), ("jsonl", "[1,2,3]\n")])
def test_predict_runs_in_bounded_memory(tmp_path, suffix, line):
    """A file ten times as large costs no more memory, give or take a few megabytes."""
    sizes = {}
    for name, size in (("small", 8 << 20), ("large", 80 << 20)):
        source = tmp_path / f"{name}.{suffix}"
        source.write_text(line * (size // len(line)))
        sizes[name] = peak_rss_bytes(["predict", MODELS / "sum3", "--input", source, "--output", tmp_path / "out",
                                      "--accept", "text/csv"], tmp_path)
    assert sizes["large"] < sizes["small"] + (24 << 20), sizes


# check

@pytest.mark.parametrize("directory", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_check_of_the_bundled_examples(directory):
    assert run_onnxd("check", directory).returncode == 0


def test_check_without_a_manifest():
    assert run_onnxd("check", MODELS / "sum3").returncode == 0


@pytest.mark.parametrize("command", ["check", "inspect", "predict"])
def test_without_a_model_that_can_be_used(tmp_path, command):
    """None at all, and one that is none."""
    (tmp_path / "rows.csv").write_text("1,2,3\n")
    args = ["--input", tmp_path / "rows.csv"] if command == "predict" else []
    done = run_onnxd(command, tmp_path, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "model.onnx" in done.stderr
    (tmp_path / "model.onnx").write_text("no model")
    done = run_onnxd(command, tmp_path, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "model.onnx" in done.stderr
