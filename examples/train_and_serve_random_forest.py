"""A random forest: trained with scikit-learn, exported to ONNX, served, and held to its own predictions.

    python -m examples.train_and_serve_random_forest
"""

import numpy
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from examples import serving


def example():
    rows, classes = load_iris(return_X_y=True)
    # float32 before the training: a tree compares, so both sides must have the same numbers.
    rows = rows.astype(numpy.float32)
    model = RandomForestClassifier(n_estimators=50, max_depth=5, random_state=0).fit(rows, classes)

    with serving.model_directory() as directory:
        # zipmap=False: probabilities are a matrix [rows, classes], not a list of objects.
        exported = to_onnx(model, rows[:1], options={"zipmap": False})
        (directory / "model.onnx").write_bytes(exported.SerializeToString())
        difference = serving.compare_classifier(
            directory,
            rows,
            labels=model.predict(rows),
            probabilities=model.predict_proba(rows),
            labels_by={},  # the first output is the answer
            probabilities_by={"ONNX_OUTPUT_NAME": "probabilities"},
        )
    return len(rows), difference


if __name__ == "__main__":
    serving.main(example)
