"""A neural network behind a scaler: trained with scikit-learn, exported to ONNX, served, and held to its own predictions.

    python -m examples.train_and_serve_neural_network
"""

import numpy
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from examples import serving


def example():
    rows, classes = load_iris(return_X_y=True)
    rows = rows.astype(numpy.float32)
    network = MLPClassifier(hidden_layer_sizes=(16, 8), max_iter=2000, random_state=0)
    model = make_pipeline(StandardScaler(), network).fit(rows, classes)

    with serving.model_directory() as directory:
        # The whole pipeline is exported: clients send centimetres, the graph scales them.
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
