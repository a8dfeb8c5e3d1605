"""Manifests: the schema and `onnxd check` agree on what is good and what is not."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("ONNXD_BUILD_DIR", ROOT / "build")) / "onnxd"
MODELS = ROOT / "tests" / "data" / "models"
SCHEMA = json.loads((ROOT / "docs" / "manifest.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

IRIS = ROOT / "examples" / "models" / "iris_logistic_regression"
EXAMPLES = {
    "iris_logistic_regression": (IRIS / "manifest.json", IRIS / "model.onnx"),
    "multi_input": (
        ROOT / "tests" / "data" / "manifests" / "multi_input" / "manifest.json",
        MODELS / "add2" / "model.onnx",
    ),
}


def port(**members):
    return {"inputs": [{"name": "x", **members}]}


def settings(**members):
    return {"settings": members}


# A manifest for the iris model, and a part of the line that `onnxd check` prints; None: it is good.
CASES = [
    ({}, None),
    (port(dtype="float32", shape=[-1, 4], units="cm"), None),
    (port(shape=[8, 4], feature_names=["a", "b", "c", "d"], units=["m", "m", "m", ""]), None),
    (settings(MAX_BATCH_SIZE=1, BATCHING="off", TABULAR_DTYPE="float64", CSV_DELIMITER="\\t"), None),
    (settings(ONNX_OUTPUT_MAP_JSON={"label": "output_label"}), None),
    ({"example": {"body": [[1, 2, 3, 4]]}}, None),
    ({"warmup": {"content_type": "application/json; charset=utf-8", "body": [[1, 2, 3, 4]]}}, None),
    ([], "$: is an array"),
    ({"nmae": "x"}, '$.nmae: unknown; did you mean "name"?'),
    ({"name": ""}, "$.name: is empty"),
    ({"version": 1}, "$.version: is a number"),
    ({"inputs": {}}, "$.inputs: is an object"),
    ({"inputs": [{}]}, '$.inputs[0]: "name" is missing'),
    (port(shpae=[1]), '$.inputs[0].shpae: unknown; did you mean "shape"?'),
    (port(dtype="f32"), "$.inputs[0].dtype"),
    (port(dtype="complex64"), "$.inputs[0].dtype"),
    (port(shape=[0]), "$.inputs[0].shape[0]"),
    (port(shape=[-2]), "$.inputs[0].shape[0]"),
    (port(shape=[1.5]), "$.inputs[0].shape[0]"),
    (port(shape=["N"]), "$.inputs[0].shape[0]"),
    (port(shape=[1] * 9), "$.inputs[0].shape: has 9 elements"),
    (port(shape=[2**63]), "$.inputs[0].shape[0]"),
    (port(feature_names=["a", "b", "a", "c"]), '$.inputs[0].feature_names: "a" comes twice'),
    (port(feature_names=[""]), "$.inputs[0].feature_names[0]: is empty"),
    (port(class_labels=[1]), "$.inputs[0].class_labels[0]: is a number"),
    (port(units=5), "$.inputs[0].units: is a number"),
    (settings(PORT=80), "$.settings.PORT: a manifest may not set this"),
    (settings(ONNX_RUNTIME_LIBRARY="x.so"), "$.settings.ONNX_RUNTIME_LIBRARY: a manifest may not"),
    (settings(MAX_BATCHSIZE=8), '$.settings.MAX_BATCHSIZE: unknown; did you mean "MAX_BATCH_SIZE"?'),
    (settings(MAX_BATCH_SIZE=0), "$.settings.MAX_BATCH_SIZE"),
    (settings(MAX_BATCH_SIZE=1048577), "$.settings.MAX_BATCH_SIZE"),
    (settings(MAX_BATCH_SIZE="8"), "$.settings.MAX_BATCH_SIZE: is a string"),
    (settings(RETURN_PREDICTIONS_ONLY="true"), "$.settings.RETURN_PREDICTIONS_ONLY: is a string"),
    (settings(BATCHING="OFF"), "$.settings.BATCHING"),
    (settings(TABULAR_DTYPE="i32"), "$.settings.TABULAR_DTYPE"),
    (settings(CSV_DELIMITER=";;"), "$.settings.CSV_DELIMITER"),
    (settings(CSV_DELIMITER="1"), "$.settings.CSV_DELIMITER"),
    (settings(JSON_OUTPUT_KEY=""), "$.settings.JSON_OUTPUT_KEY"),
    (settings(JSON_OUTPUT_KEY=5), "$.settings.JSON_OUTPUT_KEY: is a number"),
    (settings(ONNX_OUTPUT_MAP_JSON={"a": 1}), "$.settings.ONNX_OUTPUT_MAP_JSON"),
    (settings(ONNX_OUTPUT_MAP_JSON={"": "y"}), "$.settings.ONNX_OUTPUT_MAP_JSON"),
    (settings(ONNX_OUTPUT_MAP_JSON='{"a":"y"}'), "$.settings.ONNX_OUTPUT_MAP_JSON: is a string"),
    (settings(ONNX_INPUT_DTYPE_MAP_JSON={"x": "f32"}), "$.settings.ONNX_INPUT_DTYPE_MAP_JSON.x"),
    ({"example": {}}, '$.example: "body" is missing'),
    ({"example": {"body": "1,2,3,4"}}, '$.example: "content_type" is missing'),
    ({"warmup": {"content_type": "text/csv", "body": [1]}}, "$.warmup: a body that is no string"),
    ({"warmup": {"content_type": "csv", "body": "1"}}, "$.warmup.content_type"),
]

# What only the reader can see: the text itself, and what contradicts the model or itself.
CHECKED_ONLY = [
    ('{"name": "a", "name": "b"}', ["$.name: comes twice"]),
    ('{"name": "a",}', ["invalid JSON at line 1, column 1"]),
    ('{"name":\n', ["invalid JSON at line"]),
    ('{"inputs": [{"name": "x"}, {"name": "x"}]}', ['$.inputs: the name "x" comes twice']),
    (
        '{"inputs": [{"name": "x", "shape": [-1, 3], "feature_names": ["a"]}]}',
        ["$.inputs[0]: 1 feature_names do not agree with a shape of 3 features"],
    ),
    (
        '{"inputs": [{"name": "x", "dtype": "float64", "shape": [-1, 3]}, {"name": "y"}],'
        ' "outputs": [{"name": "output_label", "dtype": "float32"}]}',
        [
            'inputs[0].dtype: the manifest says float64, the model says float32 ("x")',
            'inputs[0].shape[1]: the manifest says 3, the model says 4 ("x")',
            'inputs[1].name: the manifest says "y", the model\'s inputs are "x"',
            'outputs[0].dtype: the manifest says float32, the model says int64 ("output_label")',
        ],
    ),
]


def check(directory, text, model):
    """Runs `onnxd check` on a model with this manifest: (exit code, lines)."""
    shutil.copy(model, directory / "model.onnx")
    (directory / "manifest.json").write_text(text)
    result = subprocess.run([BINARY, "check", directory], capture_output=True, text=True, timeout=60)
    return result.returncode, (result.stdout + result.stderr).splitlines()


def test_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_manifest_of_the_repository_is_listed():
    found = {path for folder in ("examples", "tests/data") for path in (ROOT / folder).rglob("manifest.json")}
    assert found == {manifest for manifest, _ in EXAMPLES.values()}


@pytest.mark.parametrize("manifest, model", EXAMPLES.values(), ids=EXAMPLES)
def test_example_is_good(tmp_path, manifest, model):
    VALIDATOR.validate(json.loads(manifest.read_text()))
    code, lines = check(tmp_path, manifest.read_text(), model)
    assert code == 0, lines


@pytest.mark.parametrize("manifest, line", CASES, ids=[json.dumps(case[0]) for case in CASES])
def test_schema_and_check_agree(tmp_path, manifest, line):
    code, lines = check(tmp_path, json.dumps(manifest), IRIS / "model.onnx")
    assert VALIDATOR.is_valid(manifest) == (line is None)
    assert code == (0 if line is None else 2), lines
    if line is not None:
        assert sum(line in text for text in lines) == 1, lines


@pytest.mark.parametrize("text, expected", CHECKED_ONLY, ids=[case[0][:40] for case in CHECKED_ONLY])
def test_check_reports_each_contradiction(tmp_path, text, expected):
    code, lines = check(tmp_path, text, IRIS / "model.onnx")
    assert code == 2
    for line in expected:
        assert sum(line in text for text in lines) == 1, lines
    assert len(lines) == len(expected)
