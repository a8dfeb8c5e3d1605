"""scikit-learn: estimators and pipelines out of joblib files and pickles.

Outputs are named by the estimator's methods and computed only when wanted. The input is one matrix "X"
of float64, unless the estimator was fitted on columns of different types: then it is one input a
column, and the estimator gets a DataFrame. A list of matrices, as predict_proba of estimators with several
targets gives, is stacked to [rows, targets, classes] where all have the same classes' number, and is else as
many outputs, "predict_proba_0" and so on.
"""

import pickle
import sys
import warnings

import numpy as np

from onnxd_worker import columns, frames, protocol, trial
from onnxd_worker.model import LoadFailure, Manifest, Model, ModelError, import_packages
from onnxd_worker.protocol import Port
from onnxd_worker.tensors import OutputError, dtype_number, numpy_dtype

METHODS = ("predict", "predict_proba", "decision_function", "transform")
# Which output comes first where MODEL_OUTPUT does not say.
_PREFERRED = ("predict", "transform", "predict_proba", "decision_function")

# Arrays and frames go in whatever the estimator was fitted with: the columns' order is the signature's, so
# there is nothing to warn of, at every run.
_NAME_WARNINGS = ("X does not have valid feature names", "X has feature names, but")


def load(options):
    sklearn, joblib = import_packages("sklearn", "sklearn", "joblib")
    for message in _NAME_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    path = options["model"]
    with LoadFailure(path):
        estimator = _unpickle(path, joblib)
    _set_threads(estimator, options)
    with LoadFailure(path):
        return SklearnModel(estimator, sklearn.__version__, Manifest(options.get("manifest")), options.get("output"))


def _unpickle(path, joblib):
    if path.endswith(".joblib"):
        return joblib.load(path)
    try:
        with open(path, "rb") as file:
            return pickle.load(file)
    except (pickle.UnpicklingError, KeyError, EOFError, ValueError) as problem:
        try:
            return joblib.load(path)  # whose own format may have any name
        except Exception:
            raise problem from None


def _set_threads(estimator, options):
    """Holds the estimator to the threads a run may use; what it gives does not depend on their number."""
    threads = max(int(options.get("threads", "1")), 1)
    try:
        import threadpoolctl
    except ImportError:
        pass
    else:
        threadpoolctl.threadpool_limits(threads)
    for part in columns.walk(estimator):
        if getattr(part, "n_jobs", None) is not None:
            part.n_jobs = threads


def _needs_names(estimator):
    """Whether a part of it may look at its columns' names; scikit-learn's own mostly do not."""
    for part in columns.walk(estimator):
        if not type(part).__module__.startswith("sklearn.") or hasattr(part, "transformers_") or hasattr(part, "func"):
            return True
    return False


def _forget_names(estimator):
    """Takes the names out of a fitted estimator that gets matrices.

    They would only be missed, with a warning made and thrown away in every step of every run: a third of the
    time of a small pipeline. One that names its output needs them.
    """
    parts = list(columns.walk(estimator))
    if not any(hasattr(part, "_sklearn_output_config") for part in parts):
        for part in parts:
            vars(part).pop("feature_names_in_", None)


def _to_array(value):
    """A method's result as an array: sparse matrices dense, frames without their names."""
    if hasattr(value, "toarray"):
        return value.toarray()
    if hasattr(value, "to_numpy"):
        return value.to_numpy()
    try:
        return np.asarray(value)
    except ValueError as problem:  # lists of unequal lengths
        raise OutputError(f"the model gave what is no array: {problem}") from problem


def _not_fitted():
    """The exception of an estimator that was saved before it was fitted: no client's fault."""
    exceptions = sys.modules.get("sklearn.exceptions")
    return () if exceptions is None else exceptions.NotFittedError


def _labels(classes):
    return [str(label) for label in np.asarray(classes).tolist()]


class SklearnModel(Model):
    framework = "scikit-learn"

    def __init__(self, estimator, version, manifest, first):
        self.version = version
        self._estimator = estimator
        self._methods = [name for name in METHODS if callable(getattr(estimator, name, None))]
        if not self._methods:
            raise ModelError(f"the file holds a {type(estimator).__name__}, which has none of {', '.join(METHODS)}")
        if first and first not in self._methods:
            raise ModelError(
                f"MODEL_OUTPUT is {first!r}; the model ({type(estimator).__name__}) has {', '.join(self._methods)}"
            )
        first = first or next(name for name in _PREFERRED if name in self._methods)
        self._methods.sort(key=lambda name: name != first)
        self._take_inputs(manifest)
        self._find_outputs()

    # inputs

    def _take_inputs(self, manifest):
        """Sets `inputs`, `_prepare` (arrays to what the methods take) and `_made_up` (arrays for a trial)."""
        found = columns.read_columns(self._estimator)
        if columns.is_text_vectorizer(columns.first_step(self._estimator)):
            self._take_texts(manifest)
        elif found is not None and (_declares_columns(manifest, found) or any(c.is_text for c in found)):
            self._take_columns(found, manifest)
        elif found is None and len(manifest.inputs) > 1:
            # It says nothing of its columns: the manifest does, and has the names.
            self._take_columns([columns.Column(port.name) for port in manifest.inputs], manifest, named=True)
        else:
            self._take_matrix(found, manifest)

    def _take_texts(self, manifest):
        name = manifest.inputs[0].name if len(manifest.inputs) == 1 else "X"
        self.inputs = [Port(name, protocol.STRING, [-1, 1])]
        self._prepare = _texts
        self._made_up = lambda rows: [np.full((rows, 1), "a", object)]

    def _take_columns(self, found, manifest, named=False):
        if not named and all(c.is_text for c in found) and not _declares_columns(manifest, found):
            if getattr(self._estimator, "feature_names_in_", None) is None:
                return self._take_text_matrix(found, manifest)
        declared = {port.name: port.dtype for port in manifest.inputs}
        for column in found:
            dtype = declared.get(column.name)
            if dtype and dtype != column.dtype:
                column.dtype = dtype
                column.sample = "" if dtype == protocol.STRING else 0
        used = [column for column in found if column.used or column.name in declared]
        named = named or self._has_names()
        maker = frames.ColumnFrames(used) if named else frames.ColumnArrays(used)
        self.inputs = [Port(column.name, column.dtype, [-1, 1]) for column in used]
        self._prepare = maker.make
        self._made_up = lambda rows: [
            np.full((rows, 1), column.sample, numpy_dtype(column.dtype)) for column in used
        ]
        return None

    def _take_text_matrix(self, found, manifest):
        name = manifest.inputs[0].name if manifest.inputs else "X"
        self.inputs = [Port(name, protocol.STRING, [-1, len(found)])]
        self._prepare = _matrix
        self._made_up = lambda rows: [np.array([[c.sample for c in found]] * rows, object)]

    def _take_matrix(self, found, manifest):
        if len(manifest.inputs) > 1:
            names = ", ".join(port.name for port in manifest.inputs)
            raise ModelError(f"the manifest declares the inputs {names}; the model knows no columns of these names")
        names = [column.name for column in found] if found is not None and self._has_names() else []
        if len(set(names)) != len(names) or not all(names):
            names = []
        port = manifest.inputs[0] if manifest.inputs else Port("X")
        width = len(found) if found is not None else -1
        if found is None and port.shape is not None and len(port.shape) == 2:
            width = port.shape[1]
        dtype = port.dtype or protocol.FLOAT64
        self.inputs = [Port(port.name, dtype, [-1, width], names)]
        self._prepare = _matrix
        if names and _needs_names(self._estimator):
            maker = frames.MatrixFrames(names)
            self._prepare = lambda inputs: maker.make(_matrix(inputs))
        elif names:
            _forget_names(self._estimator)
        samples = [c.sample for c in found] if found is not None else [0] * max(width, 1)
        self._made_up = lambda rows: [np.array([samples] * rows, numpy_dtype(dtype))]

    def _has_names(self):
        estimators = (self._estimator, columns.first_step(self._estimator))
        return any(getattr(estimator, "feature_names_in_", None) is not None for estimator in estimators)

    # outputs

    def _find_outputs(self):
        """Sets `outputs` and `_sources`: for each its method, and which part of a list it is."""
        self.outputs, self._sources = [], []
        for method in self._methods:
            results = [
                trial.quietly(self._call, method, self._prepare(self._made_up(rows)), fatal=_not_fitted())
                for rows in (2, 3)
            ]
            if results[0] is None or results[1] is None:
                ports = [self._guess(method)]
            elif isinstance(results[0], list):
                ports = [
                    self._describe(Port(f"{method}_{i}"), method, first, second, i)
                    for i, (first, second) in enumerate(zip(*results))
                ]
            else:
                ports = [self._describe(Port(method), method, *results)]
            self.outputs += ports
            self._sources += [(method, i if len(ports) > 1 else None) for i in range(len(ports))]

    def _describe(self, port, method, first, second, target=None):
        trial.describe(port, first, second)
        port.class_labels = self._class_labels(method, target, port.shape)
        return port

    def _guess(self, method):
        """The output of a method that would not take made-up rows."""
        classes = getattr(self._estimator, "classes_", None)
        if classes is None or isinstance(classes, list):
            return Port(method)
        classes = np.asarray(classes)
        if method == "predict":
            return Port(method, dtype_number(classes.dtype), [-1], (), _labels(classes))
        if method == "predict_proba":
            return Port(method, protocol.FLOAT64, [-1, len(classes)], (), _labels(classes))
        return Port(method)

    def _class_labels(self, method, target, shape):
        classes = getattr(self._estimator, "classes_", None)
        if classes is None or method not in ("predict", "predict_proba"):
            return []
        if isinstance(classes, list):  # one array a target
            if target is None:
                alike = all(np.array_equal(classes[0], other) for other in classes[1:])
                return _labels(classes[0]) if alike else []
            return _labels(classes[target]) if target < len(classes) else []
        if method == "predict_proba" and (not shape or shape[-1] != len(classes)):
            return []
        return _labels(classes)

    # runs

    def _call(self, method, rows):
        """A method's result: an array, or a list of arrays of different widths."""
        value = getattr(self._estimator, method)(rows)
        if not isinstance(value, list) or method == "predict":
            return _to_array(value)
        parts = [_to_array(part) for part in value]
        if len({part.shape for part in parts}) == 1:
            return np.stack(parts, axis=1)
        return parts

    def run(self, inputs, wanted):
        rows = self._prepare(inputs)
        results = {}
        values = []
        for index in wanted:
            method, part = self._sources[index]
            if method not in results:
                results[method] = self._call(method, rows)
            values.append(results[method] if part is None else results[method][part])
        return values


def _declares_columns(manifest, found):
    names = {column.name for column in found}
    several = len(manifest.inputs) > 1 or (len(manifest.inputs) == 1 and len(found) > 1)
    return several and all(port.name in names for port in manifest.inputs)


def _matrix(inputs):
    """The one input as [rows, features]; a vector is one row."""
    matrix = inputs[0]
    if matrix is None:
        raise ValueError("the input is missing")
    return matrix.reshape(1, -1) if matrix.ndim == 1 else matrix


def _texts(inputs):
    """The one input as a list of texts."""
    if inputs[0] is None:
        raise ValueError("the input is missing")
    if inputs[0].ndim > 1 and inputs[0].size != inputs[0].shape[0]:
        raise ValueError(f"one text a row is expected, not the shape {list(inputs[0].shape)}")
    return inputs[0].reshape(-1)
