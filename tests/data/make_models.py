#!/usr/bin/env python3
"""Makes the small ONNX models that the C tests load, next to this file.

Run it with the project's test environment: python3 tests/data/make_models.py. The output is
deterministic; the files are committed, so the tests themselves need neither Python nor this script.
models/ holds what has to work (one kind of value or type each), bad_models/ what has to be refused.
"""

import hashlib
import pathlib

import numpy
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
OPSETS = [("", 17), ("ai.onnx.ml", 3)]
IR_VERSION = 8

# Every element type that has a C type of its own, under the name this project gives it.
DTYPES = {
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}


def tensor(name, elem_type=TensorProto.FLOAT, shape=("N", 2)):
    return helper.make_tensor_value_info(name, elem_type, shape)


def sequence(name, element):
    return helper.make_value_info(name, helper.make_sequence_type_proto(element))


def map_type(key, value):
    return helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, []))


def make(graph_name, nodes, inputs, outputs, weights=(), opsets=OPSETS, ir_version=IR_VERSION):
    graph = helper.make_graph(nodes, graph_name, inputs, outputs, list(weights))
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets]
    )
    model.ir_version = ir_version
    model.producer_name = "make_models"
    return model


def write(path, content):
    path = HERE / path
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes):
        content = content.SerializeToString(deterministic=True)
    path.write_bytes(content)


def keep(name, model):
    write(f"models/{name}/model.onnx", model)


def bad(name, content):
    write(f"bad_models/{name}/model.onnx", content)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def identity(elem_type, shape=("N", 2), **how):
    return make(
        "identity",
        [node("Identity", ["x"], ["y"])],
        [tensor("x", elem_type, shape)],
        [tensor("y", elem_type, shape)],
        **how,
    )


def zip_map(**labels):
    key = TensorProto.STRING if "classlabels_strings" in labels else TensorProto.INT64
    return make(
        "zip_map",
        [node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", **labels)],
        [tensor("x", shape=("N", 3))],
        [sequence("y", map_type(key, TensorProto.FLOAT))],
    )


def optional_outputs():
    """`some` holds x, `none` holds nothing; both are optional(float32[N, 2])."""
    optional = helper.make_optional_type_proto(
        helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 2])
    )
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 2])
    return make(
        "optional",
        [
            node("Optional", ["x"], ["some"]),
            node("Optional", [], ["none"], type=element),
        ],
        [tensor("x")],
        [helper.make_value_info("some", optional), helper.make_value_info("none", optional)],
    )


def split_sequence(elem_type=TensorProto.FLOAT):
    """One tensor a row: x [N, 2] becomes a sequence of N tensors [1, 2]."""
    return make(
        "split",
        [node("SplitToSequence", ["x"], ["y"], axis=0, keepdims=1)],
        [tensor("x", elem_type)],
        [sequence("y", helper.make_tensor_type_proto(elem_type, [None, 2]))],
    )


def mixed_columns():
    """One input a column, as skl2onnx exports pipelines: [age, code of city]."""
    return make(
        "mixed",
        [
            node(
                "LabelEncoder",
                ["city"],
                ["code"],
                domain="ai.onnx.ml",
                keys_strings=["Berlin", "Paris", "São Paulo"],
                values_floats=[1.0, 2.0, 3.0],
                default_float=-1.0,
            ),
            node("Concat", ["age", "code"], ["y"], axis=1),
        ],
        [tensor("age", shape=("N", 1)), tensor("city", TensorProto.STRING, ("N", 1))],
        [tensor("y")],
    )


def captures():
    """If and Loop whose bodies read values of the graph around them: twice, thrice, and `minus` alone."""
    value = helper.make_tensor_value_info
    one = numpy_helper.from_array(numpy.array([1.0, 1.0], dtype=numpy.float32), "one")
    three = numpy_helper.from_array(numpy.array(3, dtype=numpy.int64), "three")
    true = numpy_helper.from_array(numpy.array(True), "true")
    zero = numpy_helper.from_array(numpy.array(0.0, dtype=numpy.float32), "zero")
    then_branch = helper.make_graph(
        [node("Add", ["twice", "one"], ["then_y"])], "then", [], [tensor("then_y")])
    else_branch = helper.make_graph(
        [node("Identity", ["minus"], ["else_y"])], "else", [], [tensor("else_y")])
    body = helper.make_graph(
        [
            node("Add", ["sum", "thrice"], ["next"]),
            node("Identity", ["going"], ["goes_on"]),
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("going", TensorProto.BOOL, []), tensor("sum")],
        [value("goes_on", TensorProto.BOOL, []), tensor("next")],
    )
    return make(
        "captures",
        [
            node("Add", ["x", "x"], ["twice"]),
            node("Add", ["twice", "x"], ["thrice"]),
            node("Neg", ["x"], ["minus"]),
            node("ReduceMax", ["x"], ["largest"], keepdims=0),
            node("Greater", ["largest", "zero"], ["positive"]),
            node("If", ["positive"], ["chosen"], then_branch=then_branch, else_branch=else_branch),
            node("Loop", ["three", "true", "x"], ["looped"], body=body),
        ],
        [tensor("x")],
        [tensor("chosen"), tensor("looped"), tensor("minus")],
        [one, three, true, zero],
    )


def widened():
    """The largest of each row, the long way: each row needs 32 KiB of the runtime while it runs."""
    repeats = numpy_helper.from_array(numpy.array([1, 1024], dtype=numpy.int64), "repeats")
    return make(
        "widened",
        [
            node("Tile", ["x", "repeats"], ["tiled"]),
            node("Abs", ["tiled"], ["wide"]),
            node("ReduceMax", ["wide"], ["y"], axes=[1], keepdims=1),
        ],
        [tensor("x", shape=("N", 4))],
        [tensor("y", shape=("N", 1))],
        [repeats],
    )


def fusible():
    """The runtime would make one Gemm of MatMul and Add if nothing else read what is between them."""
    weights = numpy.linspace(-1.3, 1.7, 512 * 8, dtype=numpy.float32).reshape(512, 8)
    bias = numpy.linspace(0.1, 0.9, 8, dtype=numpy.float32)
    return make(
        "fusible",
        [
            node("MatMul", ["x", "weights"], ["product"]),
            node("Add", ["product", "bias"], ["y"]),
            node("Softmax", ["product"], ["z"]),
        ],
        [tensor("x", shape=("N", 512))],
        [tensor("y", shape=("N", 8)), tensor("z", shape=("N", 8))],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )


def described():
    model = identity(TensorProto.FLOAT, ("batch", 2, "time", None))
    model.producer_name = "acme trainer"
    model.producer_version = "1.2.3"
    model.domain = "com.example"
    model.model_version = 42
    model.doc_string = "A model that describes itself."
    model.graph.name = "described graph"
    helper.set_model_props(model, {"author": "the tests", "labels": "{0: 'no', 1: 'yes'}"})
    return model


def external_data(directory, with_file):
    """y = x + w, with w in a file of its own beside the model."""
    weights = numpy.array([[10.0, 20.0]], dtype=numpy.float32)
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=weights.shape)
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "8")):
        weight.external_data.add(key=key, value=value)
    model = make(
        "external", [node("Add", ["x", "w"], ["y"])], [tensor("x")], [tensor("y")], [weight]
    )
    write(f"{directory}/model.onnx", model)
    if with_file:
        write(f"{directory}/weights.bin", weights.tobytes())


def make_good_models():
    for name, elem_type in DTYPES.items():
        keep(f"identity_{name}", identity(elem_type))
    keep("identity_float8", identity(TensorProto.FLOAT8E4M3FN, opsets=[("", 19)]))
    keep("identity_any_rank", identity(TensorProto.FLOAT, None))
    keep("zip_map_string", zip_map(classlabels_strings=["no", "maybe", "sí"]))
    keep("zip_map_int64", zip_map(classlabels_int64s=[-5, 0, 2**62]))
    keep("sequence_float32", split_sequence())
    keep("sequence_string", split_sequence(TensorProto.STRING))
    keep("optional", optional_outputs())
    keep("mixed_columns", mixed_columns())
    keep("described", described())
    keep("captures", captures())
    keep("fusible", fusible())
    keep("widened", widened())
    keep(
        "scalar_output",
        make(
            "scalar",
            [node("ReduceSum", ["x"], ["y"], keepdims=0)],
            [tensor("x")],
            [tensor("y", shape=())],
        ),
    )
    keep(
        "passthrough",
        make("passthrough", [node("Neg", ["x"], ["y"])], [tensor("x")], [tensor("x"), tensor("y")]),
    )
    # The rank of `y` is what `shape` says at run time.
    keep(
        "reshape",
        make(
            "reshape",
            [node("Reshape", ["x", "shape"], ["y"])],
            [tensor("x", shape=("N",)), tensor("shape", TensorProto.INT64, ("rank",))],
            [tensor("y", shape=None)],
        ),
    )
    # Asks for as much memory as its input says.
    keep(
        "expand",
        make(
            "expand",
            [node("Expand", ["x", "shape"], ["y"])],
            [tensor("x", shape=(1,)), tensor("shape", TensorProto.INT64, ("rank",))],
            [tensor("y", shape=None)],
        ),
    )
    # An input that no other model has: a map. It can be inspected, not fed.
    keep(
        "map_input",
        make(
            "map_input",
            [
                node(
                    "DictVectorizer",
                    ["x"],
                    ["y"],
                    domain="ai.onnx.ml",
                    string_vocabulary=["a", "b"],
                )
            ],
            [helper.make_value_info("x", map_type(TensorProto.STRING, TensorProto.FLOAT))],
            [tensor("y", shape=(1, 2))],
        ),
    )
    external_data("models/external_data", with_file=True)


def make_bad_models():
    good = identity(TensorProto.FLOAT).SerializeToString(deterministic=True)
    bad("empty", b"")
    bad("truncated", good[: len(good) // 2])
    bad("random", b"".join(hashlib.sha256(bytes([i])).digest() for i in range(128)))
    bad("text", b"<html><body>404 Not Found</body></html>\n")
    # A protobuf message, but of another type: a tensor, as numpy_helper writes them.
    bad("other_message", numpy_helper.from_array(numpy.arange(6, dtype=numpy.float32), "t"))
    bad("future_opset", identity(TensorProto.FLOAT, opsets=[("", 999)]))
    bad("future_ir", identity(TensorProto.FLOAT, ir_version=999))
    bad("unknown_operator", make(
        "unknown", [node("Frobnicate", ["x"], ["y"])], [tensor("x")], [tensor("y")]))
    bad("unknown_domain", make(
        "unknown", [node("Frobnicate", ["x"], ["y"], domain="com.example")],
        [tensor("x")], [tensor("y")], opsets=[("", 17), ("com.example", 1)]))
    bad("type_mismatch", make(
        "mismatch", [node("Add", ["x", "k"], ["y"])],
        [tensor("x"), tensor("k", TensorProto.INT64)], [tensor("y")]))
    bad("dangling_input", make(
        "dangling", [node("Identity", ["nowhere"], ["y"])], [tensor("x")], [tensor("y")]))
    bad("complex64", identity(TensorProto.COMPLEX64))
    bad("no_kernel", identity(TensorProto.INT4, opsets=[("", 21)]))
    bad("rank_9", identity(TensorProto.FLOAT, ("N", 1, 1, 1, 1, 1, 1, 1, 1)))
    external_data("bad_models/external_data", with_file=False)
    # git keeps no empty directory; this one is a directory where the file should be.
    write("bad_models/directory/model.onnx/not_a_model.txt", b"model.onnx is a directory here.\n")


if __name__ == "__main__":
    make_good_models()
    make_bad_models()
