"""A scikit-learn model as it is: model.joblib, served by worker processes, held to its own predictions.

    python -m examples.serve_native_sklearn
"""

import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier

from examples import serving


def example():
    rows, classes = load_iris(return_X_y=True)
    model = GradientBoostingClassifier(n_estimators=30, random_state=0).fit(rows, classes)

    with serving.model_directory() as directory:
        joblib.dump(model, directory / "model.joblib")
        difference = serving.compare_classifier(
            directory,
            rows,
            labels=model.predict(rows),
            probabilities=model.predict_proba(rows),
            labels_by=serving.NATIVE,
            probabilities_by=serving.NATIVE | {"MODEL_OUTPUT": "predict_proba"},
        )
    return len(rows), difference


if __name__ == "__main__":
    serving.main(example)
