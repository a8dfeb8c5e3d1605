"""A real artifact of each framework, served natively: HTTP and gRPC give the framework's own answers."""

import json
import os
import subprocess

import onnxd_grpc
import pytest
from native_models import PYTHON, iris, save, train_forest
from onnxd_server import Server, run_onnxd, wait_for

ROWS = [[0.5, 1.0, 1.5], [2.0, 2.5, 3.0], [-1.0, 0.0, 1.0]]

# Each makes a model in the folder it is given, and prints what the model answers to ROWS.
TORCH = """
import json, sys, torch
torch.manual_seed(7)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).eval()
torch.jit.script(model).save(sys.argv[1] + "/model.pt")
with torch.no_grad():
    print(json.dumps(model(torch.tensor(json.loads(sys.argv[2]))).tolist()))
"""
TENSORFLOW = """
import json, sys
import keras, numpy
keras.utils.set_random_seed(7)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
model.save(sys.argv[1] + "/model.keras")
rows = numpy.array(json.loads(sys.argv[2]), "float32")
print(json.dumps(model(rows, training=False).numpy().tolist()))
"""


def check(server, rows, right):
    body = json.dumps(rows)
    with server.client(timeout=60) as client:
        response = client.post("/invocations", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 200, response.text
    flat = [number for row in response.json() for number in (row if isinstance(row, list) else [row])]
    assert flat == pytest.approx([number for row in right for number in (row if isinstance(row, list) else [row])],
                                 rel=1e-5, abs=1e-6)
    with onnxd_grpc.grpc.insecure_channel(f"127.0.0.1:{server.grpc_port()}") as channel:
        stub = onnxd_grpc.calls.InferenceServiceStub(channel)
        reply = stub.Predict(onnxd_grpc.messages.PredictRequest(payload=body.encode()), timeout=60)
    assert reply.body == response.content
    assert reply.metadata["batch_size"] == str(len(rows))


def make(python, script, directory):
    done = subprocess.run([python, "-c", script, directory, json.dumps(ROWS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_sklearn(start, tmp_path):
    model = train_forest()
    rows, _ = iris()
    directory = save(model, tmp_path / "forest")
    check(start(directory, env={"WORKER_PYTHON": PYTHON}), rows.tolist(), model.predict(rows).tolist())
    scores = start(directory, env={"WORKER_PYTHON": PYTHON, "MODEL_OUTPUT": "predict_proba"})
    check(scores, rows.tolist(), model.predict_proba(rows).tolist())


@pytest.mark.torch
@pytest.mark.timeout(500)
def test_pytorch(start, tmp_path):
    python = os.environ["ONNXD_TORCH_PYTHON"]
    right = make(python, TORCH, tmp_path)
    check(start(tmp_path, env={"WORKER_PYTHON": python, "WORKERS": "1"}), ROWS, right)


@pytest.mark.tensorflow
@pytest.mark.timeout(500)
def test_tensorflow(start, tmp_path):
    python = os.environ["ONNXD_TENSORFLOW_PYTHON"]
    right = make(python, TENSORFLOW, tmp_path)
    check(start(tmp_path, env={"WORKER_PYTHON": python, "WORKERS": "1"}), ROWS, right)


def test_a_missing_framework_names_the_command_that_installs_it(tmp_path):
    """A Python without packages: live, not ready, and the log has what to run."""
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    directory = save(train_forest(2), tmp_path / "forest")
    python = tmp_path / "bare/bin/python"
    with Server(directory, env={"WORKER_PYTHON": str(python)}, expect_ready=False) as server:
        wait_for(lambda: "not ready: " in server.stderr(), "the reason")
        line = next(line for line in server.stderr().splitlines() if "not ready: " in line)
        assert f"{python} -m pip install " in line and "scikit-learn==" in line
        with server.client() as client:
            assert client.get("/live").status_code == 200
            assert client.get("/ready").status_code == 500


def test_inspect_never_loads_a_pickle(tmp_path):
    mark = tmp_path / "executed"
    (tmp_path / "model.pkl").write_bytes(f"cos\nsystem\n(Vtouch {mark}\ntR.".encode())
    done = run_onnxd("inspect", tmp_path)
    assert "sklearn" in done.stdout + done.stderr
    assert not mark.exists()
