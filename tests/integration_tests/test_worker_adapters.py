"""What the Python worker makes of scikit-learn models: signatures, methods, DataFrames, errors.

Each model is trained here, and the worker's answers are compared with the estimator's own.
"""

import importlib
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from onnxd_worker_peer import LoadError, RunError, Worker, described, opening
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC

X, Y = load_iris(return_X_y=True)
NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
FRAME = pd.DataFrame(X, columns=NAMES)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[Y]

PEOPLE = pd.DataFrame(
    {
        "age": [22.0, 35.5, np.nan, 61.0, 47.0, 30.0],
        "city": ["Bern", "Zürich", "Bern", "Genf", "Zürich", "Genf"],
        "rooms": [1, 3, 2, 5, 4, 2],
        "pets": ["no", "yes", "no", "yes", "yes", "no"],
    }
)
LABELS = ["rents", "owns", "rents", "owns", "owns", "rents"]


def prepare(*, remainder="drop", city=None):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer(
        [
            ("numbers", numbers, ["age"]),
            ("city", city or make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["city"]),
            ("rooms", OrdinalEncoder(), ["rooms"]),
            ("pets", OneHotEncoder(drop="if_binary"), ["pets"]),
        ],
        remainder=remainder,
    )


def columns_of(frame):
    """Its columns as [rows, 1], texts as objects."""
    numeric = pd.api.types.is_numeric_dtype
    return [frame[[name]].to_numpy(None if numeric(frame[name]) else object) for name in frame]


@pytest.fixture
def serve(tmp_path):
    """serve(estimator, manifest=..., output=...): a worker that has it open; ended at the end."""
    with opening("sklearn", tmp_path) as open_model:

        def begin(estimator, *, name="model.joblib", **options):
            path = tmp_path / name
            if name.endswith(".joblib"):
                joblib.dump(estimator, path)
            else:
                path.write_bytes(pickle.dumps(estimator))
            return open_model(path, **options)

        yield begin


def test_classifier(serve):
    model = LogisticRegression(max_iter=500).fit(X, SPECIES)
    worker = serve(model)
    assert (worker.framework, worker.version) == ("scikit-learn", sklearn.__version__)
    assert described(worker.inputs) == [("X", 11, [-1, 4])]
    assert worker.inputs[0].feature_names == []
    assert described(worker.outputs) == [
        ("predict", 8, [-1]),
        ("predict_proba", 11, [-1, 3]),
        ("decision_function", 11, [-1, 3]),
    ]
    assert [port.class_labels for port in worker.outputs] == [list(model.classes_), list(model.classes_), []]
    assert worker.run(X).tolist() == model.predict(X).tolist()
    for wanted in (("predict_proba",), ("decision_function", "predict"), ("predict", "predict_proba", "decision_function")):
        values = worker.run(X, wanted=wanted)
        for name, value in zip(wanted, [values] if len(wanted) == 1 else values):
            assert value.tolist() == getattr(model, name)(X).tolist()
    assert worker.log() == ""


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl"])
def test_files(serve, name):
    worker = serve(LinearRegression().fit(X, Y), name=name)
    assert described(worker.outputs) == [("predict", 11, [-1])]
    assert worker.run(X[:1]).shape == (1,)


def test_a_joblib_file_by_the_name_of_a_pickle(tmp_path):
    joblib.dump(KMeans(2, random_state=0).fit(X), tmp_path / "model.pkl", compress=3)
    with Worker() as worker:
        worker.open("sklearn", tmp_path / "model.pkl")
        assert [port.name for port in worker.outputs] == ["predict", "transform"]


def test_a_vector_is_one_row(serve):
    worker = serve(LogisticRegression(max_iter=500).fit(X, Y))
    assert worker.run(X[100]).tolist() == [2]


@pytest.mark.parametrize("output", ["predict", "predict_proba", "decision_function"])
def test_model_output(serve, output):
    model = LogisticRegression(max_iter=500).fit(X, Y)
    worker = serve(model, output=output)
    assert worker.outputs[0].name == output
    assert sorted(port.name for port in worker.outputs) == ["decision_function", "predict", "predict_proba"]
    assert worker.run(X).tolist() == getattr(model, output)(X).tolist()


@pytest.mark.parametrize("output", ["predict_proba", "transform", "fit", "nonsense"])
def test_model_output_that_is_not_there(serve, output):
    with pytest.raises(LoadError) as failed:
        serve(LinearSVC().fit(X, Y), output=output)
    assert failed.value.reason == 2
    assert f"MODEL_OUTPUT is '{output}'" in failed.value.text
    assert failed.value.text.endswith("(LinearSVC) has predict, decision_function")


def test_transformer(serve):
    model = PCA(2).fit(X)
    worker = serve(model)
    assert described(worker.outputs) == [("transform", 11, [-1, 2])]
    assert np.allclose(worker.run(X), model.transform(X), rtol=1e-12)


@pytest.mark.parametrize("thing", [DBSCAN().fit(X), {"coef": 1}, [1, 2], "text"], ids=["DBSCAN", "dict", "list", "str"])
def test_what_has_none_of_the_methods(serve, thing):
    with pytest.raises(LoadError, match=f"holds a {type(thing).__name__}") as failed:
        serve(thing)
    assert failed.value.reason == 2


def test_what_was_never_fitted(serve):
    with pytest.raises(LoadError, match="not fitted") as failed:
        serve(LinearRegression())
    assert failed.value.reason == 2


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps(X)[:100]], ids=["empty", "garbage", "cut"])
@pytest.mark.parametrize("name", ["model.joblib", "model.pkl"])
def test_files_that_are_none(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with Worker() as worker:
        with pytest.raises(LoadError, match=name) as failed:
            worker.open("sklearn", tmp_path / name)
        assert failed.value.reason == 2
        assert "Traceback" in worker.log()


def test_a_file_that_is_not_there(tmp_path):
    with Worker() as worker:
        with pytest.raises(LoadError, match="No such file") as failed:
            worker.open("sklearn", tmp_path / "model.joblib")
        assert failed.value.reason == 2


def test_a_class_that_is_not_there(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"cno_such_module\nThing\n(tR.")
    with Worker() as worker:
        with pytest.raises(LoadError, match="no_such_module.*neither installed") as failed:
            worker.open("sklearn", tmp_path / "model.pkl")
        assert failed.value.reason == 2


@pytest.mark.parametrize("folder", ["", "code"])
def test_classes_beside_the_model(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "frames.py").write_text("class Own:\n    def predict(self, X):\n        return X.sum(axis=1)\n")
    (tmp_path / "model.pkl").write_bytes(b"cframes\nOwn\n(tR.")
    with Worker() as worker:
        worker.open("sklearn", tmp_path / "model.pkl")
        assert described(worker.inputs) == [("X", 11, [-1, -1])]
        assert worker.run(X).tolist() == X.sum(axis=1).tolist()


def test_errors_of_inputs(serve):
    worker = serve(LogisticRegression(max_iter=500).fit(X, Y))
    for values, words in ((X[:, :3], "3 features"), (X * np.nan, "NaN"), (np.full(X.shape, "old", object), "could not convert")):
        with pytest.raises(RunError, match=words) as failed:
            worker.run(values)
        assert failed.value.cause == 1
    assert "Traceback" not in worker.log()
    assert worker.run(X[:1]).tolist() == [0]


@pytest.mark.parametrize("dtype", ["f4", "i8", "i4"])
def test_other_dtypes_than_the_signature(serve, dtype):
    model = LogisticRegression(max_iter=500).fit(X, Y)
    worker = serve(model)
    assert worker.run(X.astype(dtype)).tolist() == model.predict(X.astype(dtype)).tolist()


# frames


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=500),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler().set_output(transform="pandas"), LogisticRegression()),
        make_pipeline(FunctionTransformer(), LogisticRegression(max_iter=500)),
        make_pipeline(make_column_transformer((StandardScaler(), NAMES[1:3]), remainder="passthrough"), LinearSVC()),
        make_pipeline(make_column_transformer((StandardScaler(), NAMES[1:3])), LinearSVC()),
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]}),
        RandomForestClassifier(10, random_state=0, n_jobs=-1),
    ],
    ids=str,
)
def test_fitted_on_a_frame_of_numbers(serve, model):
    """One matrix with the columns' names, whether or not the model gets a frame; nothing is warned of."""
    model.fit(FRAME, Y)
    worker = serve(model)
    assert described(worker.inputs) == [("X", 11, [-1, 4])]
    assert worker.inputs[0].feature_names == NAMES
    for port in worker.outputs:
        assert worker.run(X, wanted=[port.name]).tolist() == getattr(model, port.name)(FRAME).tolist()
    with pytest.raises(RunError, match="features") as failed:
        worker.run(X[:, :2])
    assert failed.value.cause == 1
    assert worker.log() == ""


def test_mixed_columns(serve):
    model = make_pipeline(prepare(), LogisticRegression()).fit(PEOPLE, LABELS)
    worker = serve(model)
    expected = [("age", 11, [-1, 1]), ("city", 8, [-1, 1]), ("rooms", 7, [-1, 1]), ("pets", 8, [-1, 1])]
    assert described(worker.inputs) == expected
    assert described(worker.outputs)[:2] == [("predict", 8, [-1]), ("predict_proba", 11, [-1, 2])]
    columns = columns_of(PEOPLE)
    assert worker.run(*columns).tolist() == LABELS
    assert worker.run(*columns, wanted=["predict_proba"]).tolist() == model.predict_proba(PEOPLE).tolist()
    # Again with other contents, and other lengths of rows and texts.
    one = PEOPLE[3:4]
    assert worker.run(*columns_of(one), wanted=["predict_proba"]).tolist() == model.predict_proba(one).tolist()
    assert worker.log() == ""


def test_mixed_columns_in_searches_and_wrappers(serve):
    search = GridSearchCV(make_pipeline(prepare(), LinearRegression()), {"linearregression__positive": [False]}, cv=2)
    both = pd.concat([PEOPLE] * 4, ignore_index=True)
    model = TransformedTargetRegressor(search, func=np.log, inverse_func=np.exp).fit(both, both["rooms"])
    worker = serve(model)
    assert [port.dtype for port in worker.inputs] == [11, 8, 7, 8]
    assert np.allclose(worker.run(*columns_of(PEOPLE)), model.predict(PEOPLE), rtol=1e-12)


def test_mixed_columns_with_what_is_wrong(serve):
    worker = serve(make_pipeline(prepare(), LogisticRegression()).fit(PEOPLE, LABELS))
    columns = columns_of(PEOPLE)
    wrong = {
        "'city' is missing": [columns[0], None, *columns[2:]],
        "'rooms' has 5 rows, 'age' has 6": [*columns[:2], columns[2][:5], columns[3]],
        "not one value a row": [np.ones((6, 2)), *columns[1:]],
        "unknown categories .*Basel": [columns[0], np.full((6, 1), "Basel", object), *columns[2:]],
        "could not convert string to float": [np.full((6, 1), "old", object), *columns[1:]],
    }
    for words, inputs in wrong.items():
        with pytest.raises(RunError, match=words) as failed:
            worker.run(*inputs)
        assert failed.value.cause == 1


def test_a_column_that_is_not_used_is_no_input(serve):
    transformer = make_column_transformer((StandardScaler(), ["age"]), (OneHotEncoder(), ["city"]))
    model = make_pipeline(transformer, SimpleImputer(), LogisticRegression()).fit(PEOPLE, LABELS)
    worker = serve(model)
    assert [port.name for port in worker.inputs] == ["age", "city"]
    used = columns_of(PEOPLE[["age", "city"]])
    assert worker.run(*used).tolist() == model.predict(PEOPLE).tolist()


def test_the_manifest_says_what_the_model_does_not(serve, tmp_path, monkeypatch):
    """Nothing kept of a column tells that it is text: its transformer is a function."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "text_lengths.py").write_text("def measure(frame):\n    return frame.map(len)\n")
    monkeypatch.syspath_prepend(tmp_path / "code")
    measure = importlib.import_module("text_lengths").measure
    transformer = make_column_transformer((SimpleImputer(), ["age"]), (FunctionTransformer(measure), ["city"]))
    model = make_pipeline(transformer, LinearRegression()).fit(PEOPLE[["age", "city"]], PEOPLE["rooms"])
    manifest = {
        "inputs": [
            {"name": "age", "dtype": "float64", "shape": [-1, 1]},
            {"name": "city", "dtype": "string", "shape": [-1, 1]},
        ]
    }
    worker = serve(model, manifest=manifest)
    assert described(worker.inputs) == [("age", 11, [-1, 1]), ("city", 8, [-1, 1])]
    values = worker.run(*columns_of(PEOPLE[["age", "city"]]))
    assert np.allclose(values, model.predict(PEOPLE[["age", "city"]]), rtol=1e-12)


def test_the_manifest_makes_columns_of_a_frame_of_numbers(serve):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, Y)
    worker = serve(model, manifest={"inputs": [{"name": name, "dtype": "float32"} for name in NAMES]})
    assert described(worker.inputs) == [(name, 1, [-1, 1]) for name in NAMES]
    values = worker.run(*(X[:, [i]].astype("f4") for i in range(4)))
    assert values.tolist() == model.predict(FRAME.astype("f4")).tolist()


def test_the_manifest_names_the_matrix(serve):
    model = LinearRegression().fit(X, Y)
    worker = serve(model, manifest={"inputs": [{"name": "flower", "dtype": "float32", "feature_names": NAMES}]})
    assert described(worker.inputs) == [("flower", 1, [-1, 4])]


def test_a_manifest_with_columns_that_the_model_does_not_know(serve):
    with pytest.raises(LoadError, match="the manifest declares the inputs a, b") as failed:
        serve(LinearRegression().fit(X, Y), manifest={"inputs": [{"name": "a"}, {"name": "b"}]})
    assert failed.value.reason == 2


def test_text_without_names(serve):
    cities = PEOPLE[["city", "pets"]].to_numpy(object)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(cities, LABELS)
    worker = serve(model)
    assert described(worker.inputs) == [("X", 8, [-1, 2])]
    assert worker.run(cities).tolist() == model.predict(cities).tolist()


def test_mixed_columns_without_names(serve):
    values = PEOPLE[["rooms", "city"]].to_numpy(object)
    transformer = make_column_transformer((StandardScaler(), [0]), (OneHotEncoder(), [1]))
    model = make_pipeline(transformer, LogisticRegression()).fit(values, LABELS)
    worker = serve(model)
    assert described(worker.inputs) == [("x0", 11, [-1, 1]), ("x1", 8, [-1, 1])]
    assert worker.run(*columns_of(PEOPLE[["rooms", "city"]])).tolist() == model.predict(values).tolist()


def test_texts(serve):
    texts = ["a good day", "a bad day", "good good", "bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    worker = serve(model)
    assert described(worker.inputs) == [("X", 8, [-1, 1])]
    assert worker.run(np.array(texts, object).reshape(-1, 1)).tolist() == [1, 0, 1, 0]


# outputs


def test_sparse_outputs_become_dense(serve):
    model = OneHotEncoder().fit(PEOPLE[["city"]].to_numpy(object))
    worker = serve(model)
    assert described(worker.outputs) == [("transform", 11, [-1, 3])]
    given = worker.run(PEOPLE[["city"]].to_numpy(object))
    assert given.tolist() == model.transform(PEOPLE[["city"]].to_numpy(object)).toarray().tolist()


def test_frames_as_outputs(serve):
    model = StandardScaler().set_output(transform="pandas").fit(FRAME)
    assert serve(model).run(X).tolist() == model.transform(FRAME).to_numpy().tolist()


def test_a_union(serve):
    union = FeatureUnion([("pca", PCA(2)), ("scaler", StandardScaler())]).fit(FRAME)
    worker = serve(union)
    assert described(worker.outputs) == [("transform", 11, [-1, 6])]
    assert np.allclose(worker.run(X), union.transform(FRAME), rtol=1e-12)


def test_targets_of_equal_classes_are_stacked(serve):
    targets = np.stack([Y, (Y + 1) % 3], axis=1)
    model = KNeighborsClassifier().fit(X, targets)
    worker = serve(model, output="predict_proba")
    assert described(worker.outputs) == [("predict_proba", 11, [-1, 2, 3]), ("predict", 7, [-1, 2])]
    assert worker.outputs[0].class_labels == ["0", "1", "2"]
    assert worker.run(X).tolist() == np.stack(model.predict_proba(X), axis=1).tolist()


def test_targets_of_different_classes_are_outputs(serve):
    targets = np.stack([Y, Y % 2], axis=1)
    model = RandomForestClassifier(5, random_state=0).fit(X, targets)
    worker = serve(model)
    names = ["predict_proba_0", "predict_proba_1"]
    assert [port.name for port in worker.outputs] == ["predict", *names]
    assert [port.class_labels for port in worker.outputs] == [[], ["0", "1", "2"], ["0", "1"]]
    assert described(worker.outputs)[1:] == [(names[0], 11, [-1, 3]), (names[1], 11, [-1, 2])]
    for value, expected in zip(worker.run(X, wanted=names), model.predict_proba(X)):
        assert value.tolist() == expected.tolist()


def test_many_labels(serve):
    labels = np.stack([Y == 0, Y > 0], axis=1).astype(int)
    model = MLPClassifier(4, max_iter=3000, random_state=0).fit(X, labels)
    worker = serve(model)
    assert described(worker.outputs)[:2] == [("predict", 7, [-1, 2]), ("predict_proba", 11, [-1, 2])]
    assert worker.run(X).tolist() == model.predict(X).tolist()


@pytest.mark.parametrize("labels", [Y == 1, Y.astype("i4"), Y + 0.0, Y.astype("u1")], ids=["bool", "i4", "f8", "u1"])
def test_class_dtypes(serve, labels):
    model = LogisticRegression(max_iter=500).fit(X, labels)
    worker = serve(model)
    assert worker.outputs[0].class_labels == [str(label) for label in model.classes_.tolist()]
    given = worker.run(X)
    assert given.dtype == model.predict(X).dtype
    assert given.tolist() == model.predict(X).tolist()


def test_missing_values_are_the_models_affair(serve):
    rows = X.copy()
    rows[::7, 2] = np.nan
    model = HistGradientBoostingClassifier(max_iter=5).fit(rows, Y)
    assert serve(model).run(rows).tolist() == model.predict(rows).tolist()


def test_warnings_of_other_kinds_are_kept(serve, tmp_path):
    (tmp_path / "warner.py").write_text(
        "import warnings\nclass Warner:\n    def predict(self, X):\n        warnings.warn('look out')\n        return X\n"
    )
    (tmp_path / "model.pkl").write_bytes(b"cwarner\nWarner\n(tR.")
    with Worker() as worker:
        worker.open("sklearn", tmp_path / "model.pkl")
        assert worker.log() == ""
        worker.run(X)
        assert "look out" in worker.log()
