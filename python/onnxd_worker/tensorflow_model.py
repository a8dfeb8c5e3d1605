"""TensorFlow: Keras files (.keras, .h5, .hdf5) and SavedModel directories.

A Keras model is called with training=False through a graph traced once for the shapes it declares; of a
SavedModel the signature "serving_default" is called, or the only one there is. Names: those of a
SavedModel's signature, the keys where a Keras model takes or gives dicts, else the names of its input and
output layers ("input" and "output" where they were never named).
"""

import os
import re

import numpy as np

from onnxd_worker import protocol, trial
from onnxd_worker.model import LoadFailure, Manifest, Model, ModelError, first_line, import_packages
from onnxd_worker.protocol import Port
from onnxd_worker.tensors import OutputError, dtype_number

tf = None  # set by load

# Keras numbers the tensors that nobody has named.
_UNNAMED = re.compile(r"keras_tensor(_\d+)?|input_layer(_\d+)?")


def load(options):
    global tf
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    (tf,) = import_packages("tensorflow", "tensorflow")
    tf.get_logger().setLevel("ERROR")
    threads = max(int(options.get("threads", "1")), 1)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    path = options["model"]
    manifest = Manifest(options.get("manifest"))
    with LoadFailure(path):
        if os.path.isdir(path):
            return _open_saved_model(path, manifest)
        return _open_keras(path, manifest)


def _dtype(dtype):
    if dtype == tf.string:
        return protocol.STRING
    if dtype == tf.bfloat16:
        return protocol.FLOAT32
    return dtype_number(np.dtype(dtype.as_numpy_dtype)) if dtype.is_floating or dtype.is_integer or dtype.is_bool else 0


def _port(name, spec):
    shape = None if spec.shape.rank is None else [-1 if size is None else size for size in spec.shape]
    if shape is not None and len(shape) > protocol.RANK_MAX:
        shape = None
    return Port(name, _dtype(spec.dtype), shape)


def _open_saved_model(path, manifest):
    loaded = tf.saved_model.load(path)
    signatures = dict(loaded.signatures)
    function = signatures.get("serving_default")
    if function is None:
        if len(signatures) != 1:
            names = ", ".join(signatures) or "none"
            raise ModelError(f"{path}: no signature serving_default; it has {names}")
        (function,) = signatures.values()
    # In order of their names: the file keeps none.
    specs = dict(sorted(function.structured_input_signature[1].items()))
    names = list(specs)

    def call(tensors):
        return function(**dict(zip(names, tensors)))

    model = TensorflowModel(call, [_port(name, spec) for name, spec in specs.items()], list(specs.values()))
    model.keep = loaded  # its variables live as long as it does
    return model.find_outputs(dict(sorted(function.structured_outputs.items())), manifest)


def _open_keras(path, manifest):
    keras = tf.keras
    loaded = keras.models.load_model(path, compile=False)
    flat = getattr(loaded, "inputs", None)
    if not flat:
        return _open_subclassed(loaded, manifest)
    structure = getattr(loaded, "_inputs_struct", None)
    if structure is None:
        structure = flat[0] if len(flat) == 1 else list(flat)

    def forward(*tensors):
        return loaded(keras.tree.pack_sequence_as(structure, tensors), training=False)

    names = _keras_input_names(keras, structure, flat)
    specs = [tf.TensorSpec([*tensor.shape], tensor.dtype) for tensor in flat]
    function = tf.function(forward, input_signature=specs, autograph=False).get_concrete_function()
    model = TensorflowModel(
        lambda tensors: function(*tensors), [_port(name, spec) for name, spec in zip(names, specs)], specs
    )
    model.keep = loaded
    model.layer_names = list(getattr(loaded, "output_names", None) or ())
    return model.adopt_names(manifest).find_outputs(function.structured_outputs, manifest)


def _keras_input_names(keras, structure, flat):
    places = keras.tree.pack_sequence_as(structure, list(range(len(flat))))
    if isinstance(places, dict) and all(isinstance(place, int) for place in places.values()):
        return [str(key) for key, _ in sorted(places.items(), key=lambda item: item[1])]
    names = [str(tensor.name).split(":")[0] for tensor in flat]
    if len(set(names)) == len(names) and not any(_UNNAMED.fullmatch(name) for name in names):
        return names
    return ["input"] if len(names) == 1 else [f"input_{i}" for i in range(len(names))]


def _open_subclassed(loaded, manifest):
    """A model that does not say what it takes: the manifest does, or it is one input of any shape."""
    declared = manifest.inputs or [Port("input")]
    ports = [Port(port.name, port.dtype or protocol.FLOAT32, port.shape) for port in declared]
    specs = [tf.TensorSpec(None, tf.dtypes.as_dtype(protocol.DTYPE_NAMES[port.dtype])) for port in ports]

    def forward(tensors):
        return loaded(tensors[0] if len(tensors) == 1 else tensors, training=False)

    function = tf.function(forward, reduce_retracing=True, autograph=False)
    model = TensorflowModel(lambda tensors: function(list(tensors)), ports, specs)
    model.keep = loaded
    results = trial.try_model(ports, lambda arrays: function(model.tensors(arrays)))
    return model.find_outputs(None if results is None else results[0], manifest, results)


def _named_values(result):
    """(names, tensors) of a structure; names None where it has none."""
    if isinstance(result, dict):
        return [str(key) for key in result], list(result.values())
    if isinstance(result, (tuple, list)):
        return None, list(result)
    return None, [result]


class TensorflowModel(Model):
    framework = "TensorFlow"

    def __init__(self, call, ports, specs):
        self.version = tf.__version__
        self.inputs = ports
        self.layer_names = []
        self.keep = None
        self._call = call
        self._dtypes = [spec.dtype for spec in specs]
        self._keys = None

    def adopt_names(self, manifest):
        """An input without a name of its own has the manifest's."""
        if len(self.inputs) == len(manifest.inputs) == 1 and self.inputs[0].name == "input":
            self.inputs[0].name = manifest.inputs[0].name
        return self

    def find_outputs(self, structure, manifest, results=None):
        """Sets `outputs` from a structure of specs or, with `results`, from two results of a trial."""
        if structure is None:
            declared = manifest.outputs or [Port("output")]
            self.outputs = [Port(port.name, port.dtype, port.shape) for port in declared]
            return self
        names, specs = _named_values(structure)
        self._keys = names
        if names is None:
            names = self._positional_names(len(specs), manifest)
        if not all(hasattr(spec, "dtype") and hasattr(spec, "shape") for spec in specs):
            raise ModelError("the model gives a nested structure, not tensors, a list or a dict of them")
        if results is None:
            self.outputs = [_port(name, spec) for name, spec in zip(names, specs)]
            return self
        others = _named_values(results[1])[1]
        self.outputs = [
            trial.describe(Port(name), _to_array(spec), _to_array(other))
            for name, spec, other in zip(names, specs, others)
        ]
        return self

    def _positional_names(self, count, manifest):
        if len(manifest.outputs) == count:
            declared = [port.name for port in manifest.outputs]
            if count == 1 or set(declared) != set(self.layer_names):
                return declared
        if count == 1:
            return ["output"]
        if len(self.layer_names) == count == len(set(self.layer_names)):
            return self.layer_names
        return [f"output_{i}" for i in range(count)]

    def tensors(self, arrays):
        made = []
        for array, dtype, port in zip(arrays, self._dtypes, self.inputs):
            if array is None:
                raise ValueError(f"the input {port.name!r} is missing")
            if array.dtype == object and dtype != tf.string:
                raise ValueError(f"the input {port.name!r} is text, not {dtype.name}")
            # A copy: TensorFlow may hold on to what it was given.
            made.append(tf.convert_to_tensor(array, dtype) if array.dtype == object else tf.constant(array, dtype))
        return made

    def run(self, inputs, wanted):
        result = self._call(self.tensors(inputs))
        if isinstance(result, dict):
            keys = self._keys if self._keys is not None else list(result)
            return [_to_array(result[keys[i]]) for i in wanted]
        values = list(result) if isinstance(result, (tuple, list)) else [result]
        return [_to_array(values[i]) for i in wanted]

    def is_input_error(self, problem):
        return isinstance(problem, tf.errors.InvalidArgumentError) or super().is_input_error(problem)

    def describe_input_error(self, problem):
        """Of an operation's error: what was wrong, without the node's name and the trace around it."""
        if isinstance(problem, tf.errors.InvalidArgumentError):
            lines = [line.strip() for line in str(problem.message).splitlines() if line.strip()]
            told = [line for line in lines if not line.startswith(("Graph execution error", "Detected at", "File ", "<"))]
            return (told or lines or [first_line(problem)])[0]
        return super().describe_input_error(problem)


def _to_array(value):
    if isinstance(value, tf.SparseTensor):
        value = tf.sparse.to_dense(value)
    if not hasattr(value, "numpy"):
        raise OutputError(f"the model gave a {type(value).__name__}, not a tensor")
    if value.dtype == tf.bfloat16:
        value = tf.cast(value, tf.float32)
    return value.numpy()
