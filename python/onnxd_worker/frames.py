"""DataFrames out of a run's arrays, for pipelines that know their columns by name."""

import numpy as np

from onnxd_worker import protocol
from onnxd_worker.model import import_packages
from onnxd_worker.tensors import numpy_dtype


class MatrixFrames:
    """Frames over one matrix [rows, features], without copying it."""

    def __init__(self, names):
        (self._pandas,) = import_packages("sklearn", "pandas")
        self._names = self._pandas.Index(names)

    def make(self, matrix):
        if matrix.shape[1] != len(self._names):
            raise ValueError(f"X has {matrix.shape[1]} features, but the model expects {len(self._names)}")
        return self._pandas.DataFrame(matrix, columns=self._names, copy=False)


class ColumnFrames:
    """Frames out of one array [rows, 1] a column, in the columns' order."""

    def __init__(self, columns):
        (self._pandas,) = import_packages("sklearn", "pandas")
        self._names = [column.name for column in columns]
        self._dtypes = [numpy_dtype(column.dtype) for column in columns]

    def make(self, arrays):
        return self._pandas.DataFrame(dict(zip(self._names, column_values(arrays, self._names, self._dtypes))), copy=False)


class ColumnArrays:
    """The same for an estimator that was fitted without names: one array, of objects where there is text."""

    def __init__(self, columns):
        self._names = [column.name for column in columns]
        self._dtypes = [numpy_dtype(column.dtype) for column in columns]
        texts = any(column.dtype == protocol.STRING for column in columns)
        self._dtype = np.dtype(object) if texts else np.result_type(*self._dtypes)

    def make(self, arrays):
        values = column_values(arrays, self._names, self._dtypes)
        matrix = np.empty((len(values[0]), len(values)), self._dtype)
        for i, column in enumerate(values):
            matrix[:, i] = column
        return matrix


def column_values(arrays, names, dtypes):
    """The arrays as vectors of equal length and of the dtypes wanted; ValueError names what does not fit."""
    values = []
    for name, dtype, array in zip(names, dtypes, arrays):
        if array is None:
            raise ValueError(f"the input {name!r} is missing")
        if array.ndim > 1 and array.size != array.shape[0]:
            raise ValueError(f"the input {name!r} has the shape {list(array.shape)}, not one value a row")
        vector = array.reshape(-1)
        if values and len(vector) != len(values[0]):
            raise ValueError(f"the input {name!r} has {len(vector)} rows, {names[0]!r} has {len(values[0])}")
        values.append(vector if vector.dtype == dtype else vector.astype(dtype))
    return values
