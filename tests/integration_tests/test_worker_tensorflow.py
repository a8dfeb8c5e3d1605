"""What the Python worker makes of Keras models and SavedModels; with the Python in ONNXD_TENSORFLOW_PYTHON."""

import os
import subprocess

import numpy as np
import pytest
from onnxd_worker_peer import LoadError, RunError, Worker, described, load_arrays, opening

PYTHON = os.environ.get("ONNXD_TENSORFLOW_PYTHON")
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(not PYTHON, reason="ONNXD_TENSORFLOW_PYTHON is not set (make test-frameworks)"),
]

# Run by that Python in the models' directory: the models, and what they give.
MAKE = """
import numpy as np
import tensorflow as tf

keras = tf.keras
keras.utils.set_random_seed(0)
x = np.random.rand(5, 4).astype("f4")
mlp = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(3)])
for name in ("mlp.keras", "mlp.h5", "mlp.hdf5"):
    mlp.save(name)
mlp.export("mlp")
np.savez("mlp.npz", x=x, y=mlp(x, training=False))

a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
both = keras.layers.Concatenate()([a, b])
total, twice = keras.layers.Dense(1, name="total")(both), keras.layers.Rescaling(2.0, name="twice")(both)
keras.Model([a, b], [total, twice]).save("lists.keras")
keras.Model({"left": a, "right": b}, {"u": total, "v": twice}).save("dicts.keras")
tokens = keras.Input((None,), dtype="int64", name="tokens")
keras.Model(tokens, keras.layers.Embedding(10, 4)(tokens)).save("embedding.keras")


class Texts(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def upper(self, text):
        return {"upper": tf.strings.upper(text), "length": tf.strings.length(text)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def root(self, x):
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "x is to be positive")]):
            return {"root": tf.cast(tf.sqrt(x), tf.bfloat16)}


texts = Texts()
tf.saved_model.save(texts, "texts", signatures={"serving_default": texts.upper, "other": texts.root})
tf.saved_model.save(texts, "root", signatures={"only": texts.root})
tf.saved_model.save(texts, "two", signatures={"one": texts.root, "other": texts.upper})
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tensorflow")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([PYTHON, "-c", MAKE], cwd=directory, env=environment, check=True)
    return directory


@pytest.fixture
def serve(models, tmp_path):
    with opening("tensorflow", tmp_path, PYTHON) as open_model:
        yield lambda name, manifest=None, **options: open_model(models / name, manifest, **options)


@pytest.mark.parametrize("name", ["mlp.keras", "mlp.h5", "mlp.hdf5"])
def test_keras_files(serve, models, name):
    worker = serve(name)
    assert worker.framework == "TensorFlow" and worker.version.startswith("2.")
    assert described(worker.inputs) == [("input", 1, [-1, 4])]
    assert described(worker.outputs) == [("output", 1, [-1, 3])]
    expected = load_arrays(models / "mlp.npz")
    assert np.allclose(worker.run(expected["x"]), expected["y"], atol=1e-6)
    with pytest.raises(RunError) as failed:
        worker.run(expected["x"][:, :3])
    assert failed.value.cause == 1


def test_saved_model(serve, models):
    worker = serve("mlp")
    assert [(port.dtype, port.shape) for port in worker.inputs] == [(1, [-1, 4])]
    assert described(worker.outputs) == [("output_0", 1, [-1, 3])]
    expected = load_arrays(models / "mlp.npz")
    assert np.allclose(worker.run(expected["x"]), expected["y"], atol=1e-6)


def test_lists(serve):
    worker = serve("lists.keras")
    assert described(worker.inputs) == [("a", 1, [-1, 2]), ("b", 1, [-1, 3])]
    assert described(worker.outputs) == [("total", 1, [-1, 1]), ("twice", 1, [-1, 5])]
    a, b = np.ones((1, 2), "f4"), np.full((1, 3), 2, "f4")
    assert worker.run(a, b, wanted=["twice"]).tolist() == [[2, 2, 4, 4, 4]]
    with pytest.raises(RunError, match="'b' is missing") as failed:
        worker.run(a, None)
    assert failed.value.cause == 1


def test_dicts(serve):
    worker = serve("dicts.keras")
    assert described(worker.inputs) == [("left", 1, [-1, 2]), ("right", 1, [-1, 3])]
    assert described(worker.outputs) == [("u", 1, [-1, 1]), ("v", 1, [-1, 5])]
    a, b = np.ones((1, 2), "f4"), np.full((1, 3), 2, "f4")
    assert worker.run(a, b, wanted=["v"]).tolist() == [[2, 2, 4, 4, 4]]


def test_the_manifest_names_what_has_no_name(serve):
    worker = serve("mlp.keras", {"inputs": [{"name": "x"}], "outputs": [{"name": "scores"}]})
    assert (worker.inputs[0].name, worker.outputs[0].name) == ("x", "scores")


def test_embedding(serve):
    worker = serve("embedding.keras")
    assert described(worker.inputs) == [("tokens", 7, [-1, -1])]
    assert worker.run(np.array([[1, 2, 3]])).shape == (1, 3, 4)


def test_texts(serve):
    worker = serve("texts")
    assert described(worker.inputs) == [("text", 8, [-1])]
    assert described(worker.outputs) == [("length", 6, [-1]), ("upper", 8, [-1])]
    length, upper = worker.run(np.array(["a", "béc", ""], object), wanted=["length", "upper"])
    assert (length.tolist(), upper.tolist()) == ([1, 4, 0], ["A", "BéC", ""])


def test_the_only_signature(serve):
    worker = serve("root")
    assert described(worker.outputs) == [("root", 1, [-1])]
    assert worker.run(np.array([4, 9], "f4")).tolist() == [2, 3]
    with pytest.raises(RunError, match="x is to be positive") as failed:
        worker.run(np.array([-1], "f4"))
    assert failed.value.cause == 1
    with pytest.raises(RunError, match="is text") as failed:
        worker.run(np.array(["a"], object))
    assert failed.value.cause == 1


def test_no_default_signature(serve):
    with pytest.raises(LoadError, match="no signature serving_default; it has (one, other|other, one)") as failed:
        serve("two")
    assert failed.value.reason == 2


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_files_that_are_none(tmp_path, name):
    (tmp_path / name).write_bytes(b"garbage")
    with Worker(python=PYTHON) as worker:
        with pytest.raises(LoadError, match=name) as failed:
            worker.open("tensorflow", tmp_path / name)
        assert failed.value.reason == 2
