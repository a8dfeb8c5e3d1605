"""manifest.json: what it may say, that it is checked, and that the environment outranks it."""

import json

import pytest
from backends import fake_model
from onnxd_server import EXAMPLES, ROOT, Server, expect_error, run_onnxd, wait_for

CSV = "text/csv"
SUM3 = {
    "name": "totals",
    "version": "3.1",
    "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 3], "feature_names": ["a", "b", "c"]}],
    "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 1]}],
}


def test_good_manifest(start, model_dir):
    server = start(model_dir("sum3", SUM3))
    assert server.invoke("[[1,2,3]]").json() == [[6.0]]
    assert "totals" in server.stdout() + server.stderr()


def test_header_of_feature_names_reorders_the_columns(start, model_dir):
    manifest = {"inputs": [{"name": "x", "feature_names": ["a", "b"]}], "outputs": []}
    server = start(model_dir("identity_float32", manifest))
    assert server.invoke("a,b\n1,2\n", CSV).json() == [[1.0, 2.0]]
    assert server.invoke("b,a\n1,2\n", CSV).json() == [[2.0, 1.0]]
    assert server.invoke('"b" , a\n1,2\n3,4\n', CSV).json() == [[2.0, 1.0], [4.0, 3.0]]
    # Other names are an ordinary header.
    assert server.invoke("p,q\n1,2\n", CSV).json() == [[1.0, 2.0]]


@pytest.mark.parametrize("change, words", [
    ({"inputs": [{"name": "x", "dtype": "float64"}]}, ["inputs[0].dtype", "float64", "float32"]),
    ({"inputs": [{"name": "x", "shape": [-1, 4]}]}, ["inputs[0].shape", "4", "3"]),
    ({"inputs": [{"name": "z"}]}, ["inputs[0]", "z"]),
    ({"inputs": [{"name": "x", "feature_names": ["a", "b"]}]}, ["inputs[0]", "feature_names"]),
    ({"outputs": [{"name": "nope"}]}, ["outputs[0]", "nope"]),
    ({"outputs": [{"name": "y", "dtype": "int64"}]}, ["outputs[0].dtype", "int64", "float32"]),
])
def test_contradiction_is_one_line_and_not_ready(model_dir, change, words):
    directory = model_dir("sum3", {**SUM3, **change})
    with Server(directory, expect_ready=False) as server:
        lines = wait_for(lambda: server.log_lines(*words), f"a log line with {words}")
        assert len(lines) == 1, lines
        wait_for(lambda: server.log_lines("not ready"), "the end of the load")
        assert server.get("/ready").status_code == 500
        assert server.get("/live").status_code == 200
        assert server.invoke("[[1,2,3]]").status_code == 503


def test_every_contradiction_gets_a_line(model_dir):
    directory = model_dir("sum3", {
        "inputs": [{"name": "x", "dtype": "float64", "shape": [-1, 4]}], "outputs": [{"name": "nope"}]})
    done = run_onnxd("check", directory)
    assert done.returncode == 2
    for words in (("inputs[0].dtype",), ("inputs[0].shape",), ("outputs[0]", "nope")):
        lines = [line for line in done.stderr.splitlines() if all(word in line for word in words)]
        assert len(lines) == 1, (words, done.stderr)


@pytest.mark.parametrize("text, words", [
    ("{", []), ("[]", []), ('{"nmae":"x"}', ["nmae", "name"]), ('{"inputs":7}', ["inputs"]),
    ('{"inputs":[{"name":"x","dtype":"float33"}]}', ["float33"]), ('{"settings":{"PORT":1}}', ["PORT"]),
    ('{"settings":{"MAX_BATCH_SZIE":1}}', ["MAX_BATCH_SZIE", "MAX_BATCH_SIZE"]), ("", []), ("\x00\x01", []),
    ('{"name":"a","name":"b"}', ["name"]), ("[" * 100000, []),
])
def test_bad_manifest_text(model_dir, text, words):
    done = run_onnxd("check", model_dir("sum3", text))
    assert done.returncode == 2
    message = done.stderr.strip()
    assert "manifest.json" in message
    assert len(message.splitlines()) == 1, message
    for word in words:
        assert word in message


def test_manifest_that_is_a_directory(model_dir):
    directory = model_dir("sum3")
    (directory / "manifest.json").mkdir()
    assert run_onnxd("check", directory).returncode == 2


def test_settings_of_a_manifest_stand_below_the_environment(start, model_dir):
    manifest = {"settings": {"RETURN_PREDICTIONS_ONLY": False, "JSON_OUTPUT_KEY": "answers"}}
    directory = model_dir("sum3", manifest)
    assert start(directory).invoke("[[1,2,3]]").json() == {"answers": [[6.0]]}
    assert start(directory, env={"JSON_OUTPUT_KEY": "env"}).invoke("[[1,2,3]]").json() == {"env": [[6.0]]}
    server = start(directory, env={"JSON_OUTPUT_KEY": "env"}, args=["--json-output-key", "flag"])
    assert server.invoke("[[1,2,3]]").json() == {"flag": [[6.0]]}


def test_maps_of_a_manifest(start, model_dir):
    manifest = {"settings": {"ONNX_INPUT_MAP_JSON": {"fa": "a", "fb": "b"}}}
    assert start(model_dir("add2", manifest)).invoke('[{"fa":[1],"fb":[2]}]').json() == [[3.0]]


def test_warmup_that_fails_is_told(model_dir):
    """A sample the model refuses: not ready, or ready with a line that says so; never silence."""
    manifest = {"warmup": {"content_type": "application/json", "body": [[0, 99]]}}
    with Server(model_dir("lookup", manifest), expect_ready=False) as server:
        wait_for(lambda: server.log_lines("warm"), "a log line about the warm-up sample")


@pytest.mark.fake_backend
@pytest.mark.parametrize("rows, shared", [([[3, 4], [5, 6]], True), ([[3, 4]], False)])
def test_a_sample_tells_whether_rows_are_independent(start, tmp_path, rows, shared):
    """The model refuses what a trial makes up; two rows of the manifest's sample stand in for it."""
    directory = fake_model(tmp_path / "picky", poison=0.5)
    (directory / "manifest.json").write_text(json.dumps({"warmup": {"body": rows}}))
    server = start(directory, fake=True)
    assert ("will not share a run" in server.stderr()) != shared


def test_check_of_a_good_manifest(model_dir):
    done = run_onnxd("check", model_dir("sum3", SUM3))
    assert (done.returncode, done.stderr) == (0, "")


def test_schema_accepts_the_examples():
    """The shipped JSON Schema and the bundled manifests agree."""
    import jsonschema

    schema = json.loads((ROOT / "docs/manifest.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    manifests = sorted(EXAMPLES.glob("*/manifest.json"))
    assert manifests
    for path in manifests:
        jsonschema.validate(json.loads(path.read_text()), schema)
        assert run_onnxd("check", path.parent).returncode == 0
    jsonschema.validate(SUM3, schema)
    for bad in ({"nmae": "x"}, {"inputs": 7}, {"inputs": [{"dtype": "float32"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_class_labels_and_example_do_no_harm(start, model_dir):
    manifest = {
        "name": "iris", "version": "1",
        "inputs": [{"name": "x", "units": ["cm"] * 4, "feature_names": ["sl", "sw", "pl", "pw"]}],
        "outputs": [{"name": "output_label", "class_labels": ["setosa", "versicolor", "virginica"]}],
        "example": {"content_type": "text/csv", "body": "5.1,3.5,1.4,0.2\n"},
        "warmup": {"body": [[5.1, 3.5, 1.4, 0.2]]},
    }
    server = start(model_dir("iris_logistic_regression", manifest))
    assert server.invoke("[[5.1,3.5,1.4,0.2]]").json() == [0]
    expect_error(server.invoke("[[5.1]]"), 400)
