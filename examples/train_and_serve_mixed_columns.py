"""A table with numbers and text: one pipeline, served as ONNX and as joblib, with the answers of scikit-learn itself.

    python -m examples.train_and_serve_mixed_columns

The pipeline imputes, scales and encodes; its labels are text. Clients send the columns by name, in any
order, with numbers missing and with a city that the training has not seen.
"""

import json

import joblib
import numpy
import pandas
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from examples import serving

NUMBERS = ["age", "months", "monthly_fee"]
TEXTS = ["contract", "city"]
ROWS = 500
TRAINED_ROWS = 400


def make_table():
    """(customers, whether each "leaves" or "stays")."""
    random = numpy.random.default_rng(7)
    months = random.integers(1, 72, ROWS).astype(float)
    fee = random.uniform(15, 110, ROWS).round(2)
    contract = random.choice(["monthly", "one year", "two years"], ROWS, p=[0.5, 0.3, 0.2])
    drawn_to_leave = 1.5 * (contract == "monthly") + fee / 40 - months / 18 + random.normal(0, 0.5, ROWS)
    customers = pandas.DataFrame({
        "age": random.integers(18, 90, ROWS).astype(float),
        "months": months,
        "monthly_fee": fee,
        "contract": contract,
        "city": random.choice(["Lyon", "São Paulo", "Washington, D.C."], ROWS),
    })
    for column in NUMBERS:
        customers.loc[random.random(ROWS) < 0.1, column] = numpy.nan
    customers.loc[TRAINED_ROWS::10, "city"] = "Oslo"  # never in a row that is trained on
    return customers, numpy.where(drawn_to_leave > 1, "leaves", "stays")


def make_model():
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = [("numbers", numbers, NUMBERS), ("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS)]
    return make_pipeline(ColumnTransformer(columns), LogisticRegression(max_iter=1000))


def write_onnx(model, directory):
    """One input a column: a matrix has one type for all of its columns."""
    inputs = [(name, FloatTensorType([None, 1])) for name in NUMBERS]
    inputs += [(name, StringTensorType([None, 1])) for name in TEXTS]
    exported = to_onnx(model, initial_types=inputs, options={"zipmap": False})
    (directory / "model.onnx").write_bytes(exported.SerializeToString())


def write_manifest(directory, number_type, example):
    """Tells which columns there are, which a pickled pipeline cannot tell with their types."""
    inputs = [{"name": name, "dtype": number_type, "shape": [-1, 1]} for name in NUMBERS]
    inputs += [{"name": name, "dtype": "string", "shape": [-1, 1]} for name in TEXTS]
    sample = {"content_type": serving.CSV, "body": example}
    manifest = {"name": "churn", "inputs": inputs, "warmup": sample, "example": sample}
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=2))


def to_csv(customers):
    return customers.to_csv(index=False, na_rep="nan")


def compare(directory, model, customers, labels_by, probabilities_by):
    """Serves the directory and returns the largest difference of a probability; labels are equal."""
    labels, probabilities = model.predict(customers), model.predict_proba(customers)
    bodies = {
        "columns as trained": to_csv(customers),
        "columns in another order": to_csv(customers[TEXTS[::-1] + NUMBERS[::-1]]),
    }
    with serving.Server(directory, **labels_by) as server:
        for way, ask in server.ways():
            for what, body in bodies.items():
                what = f"{what}, labels over {way}"
                serving.compare_labels(ask(body, serving.CSV, serving.CSV).splitlines(), labels, what)
                serving.compare_labels(json.loads(ask(body, serving.CSV, serving.JSON)), labels, what)
    with serving.Server(directory, **probabilities_by) as server:
        return max(
            serving.compare_numbers(json.loads(server.post(body, serving.CSV)), probabilities, what)
            for what, body in bodies.items()
        )


def example():
    customers, labels = make_table()
    model = make_model().fit(customers[:TRAINED_ROWS], labels[:TRAINED_ROWS])
    sample = to_csv(customers[:3])

    with serving.model_directory() as directory:
        write_onnx(model, directory)
        write_manifest(directory, "float32", sample)
        of_onnx = compare(directory, model, customers, {}, {"ONNX_OUTPUT_NAME": "probabilities"})
    with serving.model_directory() as directory:
        joblib.dump(model, directory / "model.joblib")
        write_manifest(directory, "float64", sample)
        labels_by = serving.NATIVE
        probabilities_by = serving.NATIVE | {"MODEL_OUTPUT": "predict_proba"}
        of_joblib = compare(directory, model, customers, labels_by, probabilities_by)
    return len(customers), max(of_onnx, of_joblib)


if __name__ == "__main__":
    serving.main(example)
