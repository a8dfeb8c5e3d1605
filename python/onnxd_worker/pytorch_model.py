"""PyTorch: TorchScript files, and modules that were pickled whole.

Tensors are made over the shared memory. Without a manifest the inputs are float32 and their shapes are
those that the first module with weights tells; a trial run then shows the outputs. Outputs: a tensor
("output"), a tuple or list of tensors ("output_0", ...) or a dict of them (its keys), in the manifest's
names where it has outputs.
"""

import contextlib
import inspect
import sys

import numpy as np

from onnxd_worker import protocol, trial
from onnxd_worker.model import LoadFailure, Manifest, Model, ModelError, first_line, import_packages
from onnxd_worker.protocol import Port
from onnxd_worker.tensors import OutputError

torch = None  # set by load
_inference = contextlib.ExitStack()  # never left


def load(options):
    global torch
    torch, _ = import_packages("pytorch", "torch", "numpy")
    threads = max(int(options.get("threads", "1")), 1)
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    # For the life of the process: entering it at every run would cost more than many a model.
    _inference.enter_context(torch.inference_mode())
    path = options["model"]
    with LoadFailure(path):
        module = _read(path)
        module.eval()
        return PytorchModel(module, Manifest(options.get("manifest")))


def _read(path):
    try:
        return torch.jit.load(path, map_location="cpu")
    except RuntimeError as problem:
        refused = first_line(problem)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    except RuntimeError as problem:
        raise ModelError(f"{path}: neither TorchScript ({refused}) nor a pickled module ({first_line(problem)})") from problem
    if isinstance(loaded, torch.nn.Module):
        return loaded
    if isinstance(loaded, dict):
        raise ModelError(
            f"{path}: a dict of {len(loaded)} entries, such as a state_dict or a checkpoint: it has weights without the"
            " module they belong to; save the module itself (torch.jit.script(module).save(path) or"
            " torch.save(module, path))"
        )
    raise ModelError(f"{path}: holds a {type(loaded).__name__}, not a torch.nn.Module")


def _weight_shape(part):
    weight = getattr(part, "weight", None)
    return list(weight.shape) if isinstance(weight, torch.Tensor) else None


def _input_of(part):
    """The input that a module with weights takes: (dtype, shape), or None where it does not tell."""
    kind = getattr(part, "original_name", type(part).__name__)  # a TorchScript module keeps its class's name
    if kind in ("LSTM", "GRU", "RNN"):
        return protocol.FLOAT32, [-1, -1, part.weight_ih_l0.shape[1]]
    shape = _weight_shape(part)
    if shape is None:
        return None
    if kind == "Linear":
        return protocol.FLOAT32, [-1, shape[1]]
    if kind in ("Conv1d", "Conv2d", "Conv3d"):
        channels = getattr(part, "in_channels", shape[1])
        return protocol.FLOAT32, [-1, channels] + [-1] * (len(shape) - 2)
    if kind in ("Embedding", "EmbeddingBag"):
        return protocol.INT64, [-1, -1]
    if kind == "BatchNorm1d" or (kind == "LayerNorm" and len(shape) == 1):
        return protocol.FLOAT32, [-1, shape[0]]
    if kind == "BatchNorm2d":
        return protocol.FLOAT32, [-1, shape[0], -1, -1]
    return None


def _first_input(module):
    for part in module.modules():
        if next(part.parameters(recurse=False), None) is None:
            continue
        return _input_of(part)
    return None


def _argument_names(module):
    """Names of forward's arguments that have no defaults."""
    schema = getattr(getattr(module, "forward", None), "schema", None)
    if schema is not None:
        return [argument.name for argument in schema.arguments[1:] if not argument.has_default_value()]
    required = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return ["input"]
    return [p.name for p in parameters if p.kind in required and p.default is inspect.Parameter.empty]


def _to_array(value, name):
    if not isinstance(value, torch.Tensor):
        if isinstance(value, (bool, int, float)):
            return np.asarray(value)
        raise OutputError(f"output {name!r} is a {type(value).__name__}, not a tensor")
    if value.layout != torch.strided:
        value = value.to_dense()
    if value.is_quantized:
        value = value.dequantize()
    if value.dtype is torch.bfloat16:
        value = value.float()
    return value.numpy(force=True)


def _named_values(result):
    """(names, tensors) of what a module gave."""
    if isinstance(result, dict):
        return [str(key) for key in result], list(result.values())
    if hasattr(result, "_fields"):  # a named tuple
        return list(result._fields), list(result)
    if isinstance(result, (tuple, list)):
        return [f"output_{i}" for i in range(len(result))], list(result)
    return ["output"], [result]


class PytorchModel(Model):
    framework = "PyTorch"

    def __init__(self, module, manifest):
        self.version = torch.__version__
        self._module = module
        self._keys = None  # of a dict, in the outputs' order
        self._count = None  # of the outputs the module gives, where a trial has shown it
        self._told = False
        if manifest.inputs:
            self.inputs = [Port(port.name, port.dtype or protocol.FLOAT32, port.shape) for port in manifest.inputs]
            results = trial.try_model(self.inputs, self._call)
        else:
            results = self._guess_inputs()
        self._find_outputs(results, manifest)

    def _guess_inputs(self):
        """Sets `inputs`; a trial's results, or None."""
        names = _argument_names(self._module)
        told = _first_input(self._module) if len(names) < 2 else None
        if told is not None:
            self.inputs = [Port("input", *told)]
            results = trial.try_model(self.inputs, self._call)
            if results is not None:
                return results
        self.inputs = [Port(name, protocol.FLOAT32) for name in (names if len(names) > 1 else ["input"])]
        return None

    def _find_outputs(self, results, manifest):
        declared = [Port(port.name, port.dtype, port.shape) for port in manifest.outputs]
        if results is None:
            self.outputs = declared or [Port("output")]
            self._keys = [port.name for port in self.outputs]
            return
        names, values = _named_values(results[0])
        others = _named_values(results[1])[1]
        if len(others) != len(values):
            raise ModelError(f"the model gives {len(values)} outputs of two rows and {len(others)} of three")
        self._count = len(values)
        if declared:
            names, order = self._match(declared, names, isinstance(results[0], dict))
            values, others = ([given[i] for i in order] for given in (values, others))
        self._keys = names
        self.outputs = []
        for i, (name, value, other) in enumerate(zip(names, values, others)):
            port = declared[i] if i < len(declared) else Port(name)
            try:
                trial.describe(port, _to_array(value, name), _to_array(other, name))
            except OutputError as problem:
                raise ModelError(str(problem)) from problem
            self.outputs.append(port)

    def _match(self, declared, names, by_name):
        """(names, order): the manifest's outputs in its order, then the others."""
        wanted = [port.name for port in declared]
        if not by_name:
            if len(wanted) > len(names):
                raise ModelError(f"the manifest declares {len(wanted)} outputs; the model gives {len(names)}")
            return wanted + names[len(wanted) :], range(len(names))
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ModelError(f"the manifest declares the output {missing[0]!r}; the model gives {', '.join(names)}")
        wanted += [name for name in names if name not in wanted]
        return wanted, [names.index(name) for name in wanted]

    def _tensor(self, array, port):
        if array is None:
            raise ValueError(f"the input {port.name!r} is missing")
        if array.dtype == object:
            raise ValueError(f"the input {port.name!r} is text, of which there are no tensors")
        tensor = torch.from_numpy(array)
        return tensor.bfloat16() if port.dtype == protocol.BFLOAT16 else tensor

    def _call(self, arrays):
        return self._module(*map(self._tensor, arrays, self.inputs))

    def run(self, inputs, wanted):
        result = self._call(inputs)
        if isinstance(result, torch.Tensor):
            values = (result,)
        elif isinstance(result, dict):
            values = self._pick(result)
        else:
            values = _named_values(result)[1]
        self._check_count(len(values))
        return [_to_array(values[i], self.outputs[i].name) for i in wanted]

    def _pick(self, result):
        if self._count is None and len(self.outputs) == 1 and self._keys[0] not in result:
            return list(result.values())
        missing = [key for key in self._keys if key not in result]
        if missing:
            raise OutputError(f"the model gave {', '.join(map(str, result))}, without {missing[0]!r}")
        return [result[key] for key in self._keys]

    def _check_count(self, count):
        if count < len(self.outputs):
            raise OutputError(f"the model gave {count} outputs; its signature has {len(self.outputs)}")
        if count > len(self.outputs) and not self._told:
            self._told = True
            print(
                f"worker: the model gives {count} outputs, of which the first {len(self.outputs)} are served; a manifest"
                " that names its inputs' shapes or its outputs makes the others known",
                file=sys.stderr,
            )

    def is_input_error(self, problem):
        if isinstance(problem, torch.OutOfMemoryError):
            return False
        if isinstance(problem, RuntimeError) and not isinstance(problem, (NotImplementedError, RecursionError)):
            return "allocate memory" not in str(problem) and "not enough memory" not in str(problem)
        return super().is_input_error(problem)

    def describe_input_error(self, problem):
        """TorchScript tells what was wrong last, below the places it passed through."""
        lines = str(problem).strip().splitlines()
        if lines and "TorchScript interpreter" in lines[0]:
            return lines[-1].removeprefix("RuntimeError: ")
        return super().describe_input_error(problem)
