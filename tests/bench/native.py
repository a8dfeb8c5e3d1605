"""Native models: one random forest as joblib and as ONNX, and the same file on the reference's stack."""

import contextlib
import json
import statistics
import subprocess

import contenders
import wrk
from processes import NotUsable
from results import Row

MANY = 64
FOREST = "random forest of 100 trees, one JSON row a request, 64 connections"
BATCH_ROWS = 32

# Runs in .venv.bench, which has scikit-learn and skl2onnx.
MAKER = """
import sys
import joblib
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
rows, labels = load_iris(return_X_y=True)
model = RandomForestClassifier(n_estimators=100, random_state=7).fit(rows, labels)
joblib.dump(model, sys.argv[1])
onnx = to_onnx(model, rows[:1].astype("float32"), options={"zipmap": False})
open(sys.argv[2], "wb").write(onnx.SerializeToString())
joblib.dump(LogisticRegression(max_iter=500).fit(rows, labels), sys.argv[3])
"""


def python():
    program = contenders.ROOT / ".venv.bench/bin/python"
    if not program.exists():
        raise NotUsable("scikit-learn is not installed in .venv.bench/ (see scripts/setup bench)")
    return program


def make_models(keep):
    """(a forest as joblib, the same trees as ONNX, a logistic regression as joblib)."""
    files = [keep / "forest/native/model.joblib", keep / "forest/onnx/model.onnx", keep / "linear/model.joblib"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run([python(), "-c", MAKER, *files], capture_output=True, text=True)
    if made.returncode != 0:
        raise NotUsable(f"no scikit-learn models: {made.stderr.strip()[-200:]}")
    return files


def check_alike(native, onnx):
    """Both forms answer a grid of rows alike; a figure for another model would say nothing."""
    grid = [[4 + a / 2, 2 + b / 2, 1 + c, d / 2] for a in range(8) for b in range(5)
            for c in range(6) for d in range(5)]
    body = json.dumps({"instances": grid})
    answers = [json.loads(server.post(body)[1]) for server in (native, onnx)]
    same = sum(a == b for a, b in zip(*answers))
    if same != len(grid):
        raise wrk.BadRound(f"the forms answer {len(grid) - same} of {len(grid)} rows otherwise")


def measure_native(lab):
    """The forest natively, beside its ONNX form and beside the reference's stack. Rows, contenders."""
    rate = Row("native_vs_reference", FOREST, "requests/s, joblib ÷ the reference stack's", "x", at_least=20)
    form = Row("native_vs_onnx", FOREST, "requests/s, joblib ÷ ONNX on onnxd", "x")
    native_file, onnx_file, _ = make_models(lab.keep)
    rounds = {"onnxd, joblib": [], "onnxd, ONNX forest": [], "reference stack, joblib": []}
    with contextlib.ExitStack() as stack:
        native = stack.enter_context(
            contenders.start_onnxd(lab.scratch, native_file, WORKER_PYTHON=python()))
        onnx = stack.enter_context(contenders.start_onnxd(lab.scratch, onnx_file))
        reference = stack.enter_context(contenders.start_reference(lab.scratch, native_file))
        check_alike(native, onnx)
        servers = dict(zip(rounds, (native, onnx, reference)))
        for server in servers.values():
            wrk.measure(server, lab.scratch, MANY, 1)
        for _ in lab.repeat(4):
            for name, server in servers.items():
                rounds[name].append(wrk.measure(server, lab.scratch, MANY, lab.seconds))
            ours, other, theirs = (rounds[name][-1].requests_per_s for name in rounds)
            rate.samples.append(ours / theirs)
            form.samples.append(ours / other)
    rate.note = (f"{statistics.median(one.requests_per_s for one in rounds['onnxd, joblib']):.0f} "
                 f"requests/s, {lab.cpus} workers")
    return [rate, form], []


def measure_worker_overhead(lab):
    """
    What a batch costs through a worker process, beyond the same predict in a Python loop. A cheap predict:
    the difference of two long ones would be their noise.
    """
    row = Row("worker_overhead", f"logistic regression by joblib, a batch of {BATCH_ROWS} rows, no server",
              "p50 of a run in a worker − p50 of predict in a bare Python loop", "us", at_most=60)
    *_, file = make_models(lab.keep)
    bare_ns = []
    for _ in lab.repeat():
        ours = lab.run_backend(file, BATCH_ROWS, 500, runtime=python())
        bare = lab.run_bare_sklearn(python(), file, BATCH_ROWS, 500)
        bare_ns.append(bare["p50_ns"])
        row.samples.append((ours["p50_ns"] - bare["p50_ns"]) / 1e3)
    row.note = f"predict by itself: {statistics.median(bare_ns) / 1e3:.0f} µs"
    return [row]
