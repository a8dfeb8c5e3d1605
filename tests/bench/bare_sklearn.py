"""bare_sklearn.py MODEL ROWS MILLISECONDS: predict in a bare Python loop, in the words of measure.h."""

import json
import statistics
import sys
import time

import joblib
import numpy


def main(path, rows, milliseconds):
    model = joblib.load(path)
    columns = model.n_features_in_
    batch = (numpy.arange(rows * columns) % 97 / 97.0).reshape(rows, columns)
    for _ in range(5):
        model.predict(batch)
    samples = []
    began, cpu_began = time.perf_counter_ns(), time.process_time_ns()
    while time.perf_counter_ns() - began < milliseconds * 1_000_000 or len(samples) < 3:
        before = time.perf_counter_ns()
        model.predict(batch)
        samples.append(time.perf_counter_ns() - before)
    print(json.dumps({"calls": len(samples), "cpu_ns": time.process_time_ns() - cpu_began,
                      "p50_ns": statistics.median(samples)}))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
