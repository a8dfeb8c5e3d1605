"""What a fitted scikit-learn estimator says of its input's columns: names, and which hold text.

An estimator keeps the names of the columns it was fitted with, but not their types. Encoders keep the
categories they have seen and imputers their fillings, and these have types: whoever is given a column
first and keeps something of it tells what the column holds.
"""

import numpy as np

from onnxd_worker import protocol

# Attributes behind which composed estimators keep what they have fitted.
_INNER = ("best_estimator_", "estimator_", "regressor_", "estimator")


class Column:
    """One column: its name, its dtype's number and a value it may have, for made-up rows."""

    __slots__ = ("dtype", "name", "sample", "used")

    def __init__(self, name):
        self.name = name
        self.dtype = protocol.FLOAT64
        self.sample = 0
        self.used = True

    @property
    def is_text(self):
        return self.dtype == protocol.STRING


def is_text_vectorizer(estimator):
    """CountVectorizer and its like: they take texts, not rows of columns."""
    return hasattr(estimator, "build_analyzer") and hasattr(estimator, "transform")


def first_step(estimator):
    """What rows come to first, through pipelines and searches."""
    while True:
        steps = getattr(estimator, "steps", None)
        if steps:
            estimator = next((step for _, step in steps if step not in (None, "passthrough")), None)
            continue
        inner = _inner(estimator)
        if inner is None:
            return estimator
        estimator = inner


def _inner(estimator):
    for name in _INNER:
        inner = getattr(estimator, name, None)
        if inner is not None and hasattr(inner, "fit"):
            return inner
    return None


def walk(estimator, seen=None):
    """Every fitted estimator within one, itself first."""
    seen = set() if seen is None else seen
    if id(estimator) in seen or not hasattr(estimator, "get_params"):
        return
    seen.add(id(estimator))
    yield estimator
    for value in list(vars(estimator).values()) if hasattr(estimator, "__dict__") else ():
        for item in _nested(value):
            yield from walk(item, seen)


def _nested(value, depth=3):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.dtype == object and value.size < 10000 else ()
    if isinstance(value, (list, tuple)):
        # The trees of a forest are all alike.
        for item in value[:256]:
            if depth:
                yield from _nested(item, depth - 1)
    elif hasattr(value, "get_params") and not isinstance(value, type):
        yield value


def read_columns(estimator):
    """The columns of an estimator's input; None where it does not say how many there are."""
    count = getattr(estimator, "n_features_in_", None)
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        first = first_step(estimator)
        names = getattr(first, "feature_names_in_", None)
        count = getattr(first, "n_features_in_", None) if count is None else count
    if names is not None:
        columns = [Column(str(name)) for name in names]
    elif isinstance(count, (int, np.integer)):
        columns = [Column(f"x{i}") for i in range(count)]
    else:
        return None
    _look(estimator, columns)
    return columns


def _look(estimator, columns):
    """Notes what `estimator` knows of the columns it is given; True where it knew something."""
    if hasattr(estimator, "steps"):
        # What follows an imputer or a scaler still sees the same columns.
        for _, step in estimator.steps:
            if step is None or isinstance(step, str):
                continue
            if _look(step, columns) or getattr(step, "n_features_in_", None) != len(columns):
                return True
        return False
    if hasattr(estimator, "transformers_"):
        _look_into_column_transformer(estimator, columns)
        return True
    if hasattr(estimator, "transformer_list"):  # a FeatureUnion: all get the same columns
        return any([_look(step, columns) for _, step in estimator.transformer_list])
    if is_text_vectorizer(estimator):
        for column in columns:
            column.dtype, column.sample = protocol.STRING, "a"
        return True
    for attribute in ("categories_", "statistics_"):
        kept = getattr(estimator, attribute, None)
        if kept is not None and len(kept) == len(columns):
            known = [_note(column, np.asarray(values).reshape(-1)) for column, values in zip(columns, kept)]
            if attribute == "categories_" or any(column.is_text for column in columns):
                return any(known)
    inner = _inner(estimator)
    return inner is not None and _look(inner, columns)


def _look_into_column_transformer(estimator, columns):
    places = getattr(estimator, "_transformer_to_input_indices", {})
    used = set()
    for name, step, _ in estimator.transformers_:
        indices = [i for i in places.get(name, ()) if i < len(columns)]
        if isinstance(step, str):
            if step != "drop":
                used.update(indices)
            continue
        used.update(indices)
        _look(step, [columns[i] for i in indices])
    for i, column in enumerate(columns):
        column.used = not places or i in used


def _note(column, values):
    """What the values kept of a column (categories, a filling) tell of it."""
    texts = [value for value in values.tolist() if isinstance(value, (str, bytes))]
    if texts:
        column.dtype, column.sample = protocol.STRING, texts[0]
        return True
    if values.dtype.kind in "iub" and values.size:
        column.dtype = protocol.BOOL if values.dtype.kind == "b" else protocol.INT64
        column.sample = values.tolist()[0]
        return True
    if values.dtype.kind == "O" and values.size and all(isinstance(v, (bool, np.bool_)) for v in values.tolist()):
        column.dtype, column.sample = protocol.BOOL, values.tolist()[0]
        return True
    if values.dtype.kind == "f" and values.size and not np.isnan(values[0]):
        column.sample = values.tolist()[0]
        return True
    return False
