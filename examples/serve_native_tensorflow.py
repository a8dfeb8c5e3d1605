"""A Keras model as it is: model.keras, served by worker processes, held to its own answers.

    python -m examples.serve_native_tensorflow
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported

import tensorflow  # noqa: E402

from examples import points, serving  # noqa: E402


def train(rows, groups):
    keras = tensorflow.keras
    keras.utils.set_random_seed(0)
    network = keras.Sequential([
        keras.Input((4,)),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.Dense(3, activation="softmax"),
    ])
    network.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    network.fit(rows, groups, batch_size=len(rows), epochs=50, shuffle=False, verbose=0)
    return network


def example():
    rows, groups = points.make_points()
    network = train(rows, groups)
    scores = network.predict(rows, verbose=0)

    with serving.model_directory() as directory:
        network.save(directory / "model.keras")
        difference = serving.compare_scores(directory, rows, scores, serving.NATIVE)
    return len(rows), difference


if __name__ == "__main__":
    serving.main(example)
