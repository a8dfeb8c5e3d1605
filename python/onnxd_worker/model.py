"""What the adapters have in common: the shape of a model, its errors, and the packages it needs."""

import importlib
import json
import os
import sys
from pathlib import Path

from onnxd_worker import protocol
from onnxd_worker.protocol import Port

# What `pip install` is to fetch for each kind, as requirements/*.txt lock it (a test compares them).
PINS = {
    "sklearn": ("scikit-learn==1.9.1", "joblib==1.6.0", "pandas==3.1.1"),
    "pytorch": ("torch==2.13.0", "numpy==2.4.6"),
    "tensorflow": ("tensorflow==2.21.0",),
}


class FrameworkMissing(Exception):
    """A package is not installed (FAILED, reason 1)."""


class ModelError(Exception):
    """The model cannot be loaded (FAILED, reason 2)."""


class Model:
    """A loaded model. Inputs and outputs are `Port`s; `run` takes arrays and gives arrays."""

    framework = ""
    version = ""
    inputs = ()
    outputs = ()

    def run(self, inputs, wanted):
        """Values of the wanted outputs. An input that was left out is None; arrays are not kept."""
        raise NotImplementedError

    def is_input_error(self, problem):
        """Whether an exception of a run tells that its inputs are at fault."""
        return isinstance(problem, (ValueError, TypeError, IndexError, KeyError))

    def describe_input_error(self, problem):
        """One line for the client."""
        return first_line(problem)


def first_line(problem):
    """The first line of an exception's text, its type's name in front where the text alone says little."""
    text = str(problem).strip()
    line = text.splitlines()[0].strip() if text else ""
    if isinstance(problem, KeyError) or not line:
        return f"{type(problem).__name__}: {line}" if line else type(problem).__name__
    return line


def install_command(kind):
    return f"{sys.executable} -m pip install {' '.join(PINS[kind])}"


def import_packages(kind, *names):
    """The modules of these names. FrameworkMissing where one, or what it stands on, is not installed."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as problem:
        what = f"{sys.executable} has no {problem.name}" if isinstance(problem, ModuleNotFoundError) else str(problem)
        raise FrameworkMissing(
            f"{kind} models need packages that are missing: {what}; install them with: {install_command(kind)}"
        ) from problem


class LoadFailure:
    """with LoadFailure(path): exceptions of a framework's own loading become ModelErrors."""

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, problem, trace):
        if problem is None or isinstance(problem, (ModelError, FrameworkMissing, MemoryError)):
            return False
        if not isinstance(problem, Exception):
            raise ModelError(f"{self._path}: loading it ended with {kind.__name__}") from problem
        text = f"{self._path}: {kind.__name__}: {first_line(problem)}"
        if isinstance(problem, ModuleNotFoundError):
            text += (
                f" (the model refers to it; it is neither installed for {sys.executable} nor in the model's directory"
                " or its code/)"
            )
        raise ModelError(text) from problem


def open_code_paths(path):
    """Lets pickles find the classes that lie in the model's directory or its code/."""
    directory = os.path.dirname(os.path.abspath(path))
    for folder in (directory, os.path.join(directory, "code")):
        if os.path.isdir(folder) and folder not in sys.path:
            sys.path.append(folder)


class Manifest:
    """What manifest.json says of inputs and outputs. onnxd has checked its form before."""

    def __init__(self, path=None):
        content = {}
        if path:
            try:
                content = json.loads(Path(path).read_text(encoding="utf-8"))
            except (OSError, ValueError) as problem:
                raise ModelError(f"{path}: {first_line(problem)}") from problem
        self.inputs = [_manifest_port(port) for port in content.get("inputs", ())]
        self.outputs = [_manifest_port(port) for port in content.get("outputs", ())]


def _manifest_port(port):
    dtype = protocol.DTYPE_BY_NAME.get(port.get("dtype"), protocol.UNKNOWN)
    # Names of features and classes are onnxd's business: it reads the manifest itself.
    return Port(port["name"], dtype, port.get("shape"))
