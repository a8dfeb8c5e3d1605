"""The models and bodies of the bench, made into build/bench/ and kept there between runs.

    small  the bundled classifier: 4 features, one label
    slow   1024-4096-4096-10, float32, 84 MB of weights: more than a millisecond a row
    wide   100 features, 10 outputs: the run is small beside the text around it
    deep   16 features through 400 layers that share 1 MB of weights: milliseconds of computing a row
           on one core, whatever its memory does, for a small body
"""

import array
import json
import pathlib
import random
import subprocess

from contenders import ROOT
from processes import NotUsable

SMALL = ROOT / "examples/models/iris_logistic_regression/model.onnx"
SLOW_LAYERS = [1024, 4096, 4096, 10]
WIDE_LAYERS = [100, 10]
WIDE_ROWS = 1000
DEEP_LAYERS = [16, 512, 10]
DEEP_REPEATS = 400
LARGE_BODY_BYTES = 6_000_000
LARGE_ROWS = 5000  # as many as MAX_RECORDS allows

# Runs in .venv.bench, which has onnx; the bench itself needs nothing but the standard library.
MAKER = """
import json, sys
import numpy
from onnx import TensorProto, helper, numpy_helper
path, layers, repeats = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
random = numpy.random.default_rng(7)
nodes, weights, last = [], [], "x"
for i, (rows, columns) in enumerate(zip(layers, layers[1:])):
    weight = (random.standard_normal((rows, columns)) / rows ** 0.5).astype(numpy.float32)
    weights += [numpy_helper.from_array(weight, f"w{i}"),
                numpy_helper.from_array(numpy.zeros(columns, numpy.float32), f"b{i}")]
    is_last = i == len(layers) - 2
    nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], ["y" if is_last else f"g{i}"]))
    if not is_last:
        nodes.append(helper.make_node("Relu", [f"g{i}"], [f"h{i}"]))
        last = f"h{i}"
if repeats:
    size = layers[-2]
    scale = (2 / size) ** 0.5  # keeps the values' size from layer to layer
    weight = (random.standard_normal((size, size)) * scale).astype(numpy.float32)
    weights.append(numpy_helper.from_array(weight, "shared"))
    output = nodes.pop()
    for i in range(repeats):
        nodes.append(helper.make_node("MatMul", [last, "shared"], [f"m{i}"]))
        nodes.append(helper.make_node("Relu", [f"m{i}"], [f"r{i}"]))
        last = f"r{i}"
    output.input[0] = last
    nodes.append(output)
graph = helper.make_graph(
    nodes, "layers",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", layers[0]])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", layers[-1]])], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 8
open(path, "wb").write(model.SerializeToString())
"""


def make_network(folder, name, layers, repeats=0):
    """The path of a dense network's file with these layer widths; before the last layer come
    `repeats` square ones that share their weights."""
    path = pathlib.Path(folder) / name / "model.onnx"
    if path.exists():
        return path
    python = ROOT / ".venv.bench/bin/python"
    if not python.exists():
        raise NotUsable("models are made with .venv.bench/, which is not there (scripts/setup bench)")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    subprocess.run([python, "-c", MAKER, partial, json.dumps(layers), str(repeats)], check=True, timeout=120)
    partial.rename(path)
    return path


def make_rows(rows, columns, digits=7, seed=7):
    """Numbers as clients send them: float32, in as many digits as that takes."""
    generator = random.Random(seed)
    return [[round(generator.uniform(-10, 10), digits) for _ in range(columns)] for _ in range(rows)]


def matrix_json(matrix):
    return json.dumps(matrix, separators=(",", ":"))


def large_body():
    """JSON of nearly 6 MB within every default limit: 5000 rows of 100 numbers."""
    columns = WIDE_LAYERS[0]
    digits = LARGE_BODY_BYTES // (LARGE_ROWS * columns) - 4  # sign, digit, point and comma
    return matrix_json(make_rows(LARGE_ROWS, columns, digits))


def codec_bodies(folder):
    """{medium: file}: the same 1000 x 100 matrix in each encoding."""
    folder = pathlib.Path(folder)
    matrix = make_rows(WIDE_ROWS, WIDE_LAYERS[0])
    texts = {
        "json": matrix_json(matrix),
        "jsonl": "".join(matrix_json(row) + "\n" for row in matrix),
        "csv": "".join(matrix_json(row)[1:-1] + "\n" for row in matrix),
    }
    files = {}
    for medium, text in texts.items():
        files[medium] = folder / f"matrix.{medium}"
        files[medium].write_text(text)
    files["npy"] = folder / "matrix.npy"
    files["npy"].write_bytes(npy(matrix))
    return files


def npy(matrix):
    """The bytes of a float32 matrix in NumPy's format, version 1.0."""
    shape = f"({len(matrix)}, {len(matrix[0])})"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    elements = array.array("f", (value for row in matrix for value in row))
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + elements.tobytes()
