"""Model files that cannot be served: live, not ready, one line saying why, and never a crash."""

import os
import shutil

import pytest
from onnxd_server import BAD_MODELS, MODELS, Server, expect_error, run_onnxd, wait_for

BAD = sorted(path.name for path in BAD_MODELS.iterdir())
# Whether these load is the runtime's business.
ODD = ["complex64", "no_kernel", "rank_9"]


def expect_not_ready(server, *words):
    """Returns the one line that says why."""
    lines = wait_for(lambda: server.log_lines("not ready"), "a line saying why the model is not ready")
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0], lines[0]
    assert server.get("/live").status_code == 200
    for path in ("/ready", "/readyz", "/ping"):
        response = server.get(path)
        assert (response.status_code, response.content) == (500, b"\n")
    response = server.invoke("[[1,2]]")
    assert response.status_code == 503
    assert response.json()["error"]
    assert server.metrics()["byoc_up"] == [({}, 0.0)]
    return lines[0]


def test_there_are_bad_models():
    assert {"truncated", "random", "future_opset", "external_data", "other_message", "empty"} <= set(BAD)


@pytest.mark.parametrize("name", [name for name in BAD if name not in ODD])
def test_bad_model(name):
    with Server(BAD_MODELS / name, expect_ready=False) as server:
        line = expect_not_ready(server)
        assert len(line) < 1000


@pytest.mark.parametrize("name", ODD)
def test_odd_model(name):
    """Not ready with a reason, or ready and its requests get an error: never a crash."""
    with Server(BAD_MODELS / name, expect_ready=False) as server:
        wait_for(lambda: server.log_lines("ready"), "the end of the load")
        assert server.get("/live").status_code == 200
        response = server.invoke("[[1,2]]")
        if response.status_code != 200:
            assert response.json()["error"]


@pytest.mark.parametrize("name", BAD)
def test_inspect_of_a_bad_model(name):
    done = run_onnxd("inspect", BAD_MODELS / name)
    if done.returncode == 0:
        assert name in ("complex64", "rank_9")
    else:
        assert done.returncode in (1, 2)
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert done.stdout == ""


def test_good_model_with_external_data(servers):
    assert servers("external_data").invoke("[[0,0]]").status_code == 200


def test_empty_directory(tmp_path):
    with Server(tmp_path, expect_ready=False) as server:
        expect_not_ready(server, "model.onnx")


def test_missing_directory(tmp_path):
    with Server(expect_ready=False, env={"SM_MODEL_DIR": str(tmp_path / "nope")}) as server:
        expect_not_ready(server, "nope")


def test_missing_file(tmp_path):
    with Server(tmp_path, env={"MODEL_FILENAME": "mine.onnx"}, expect_ready=False) as server:
        expect_not_ready(server, "mine.onnx")


def test_unreadable_file(model_dir):
    directory = model_dir("sum3")
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (directory / "model.onnx").chmod(0)
    with Server(directory, expect_ready=False) as server:
        expect_not_ready(server, "denied")


def test_unknown_extension(model_dir):
    directory = model_dir("sum3")
    (directory / "model.onnx").rename(directory / "model.tflite")
    with Server(directory, env={"MODEL_FILENAME": "model.tflite"}, expect_ready=False) as server:
        expect_not_ready(server, "model.tflite")


def test_type_outranks_the_extension(start, model_dir):
    directory = model_dir("sum3")
    (directory / "model.onnx").rename(directory / "weights.bin")
    server = start(directory, env={"MODEL_TYPE": "onnx", "MODEL_FILENAME": "weights.bin"})
    assert server.invoke("[[1,2,3]]").json() == [[6.0]]


def test_other_frameworks_are_named(tmp_path):
    (tmp_path / "model.joblib").write_bytes(b"\x80\x04.")
    with Server(tmp_path, expect_ready=False) as server:
        expect_not_ready(server, "sklearn")


def test_onnx_goes_first(start, model_dir):
    directory = model_dir("sum3")
    for name in ("model.joblib", "model.pt", "model.keras"):
        (directory / name).write_bytes(b"x")
    assert start(directory).invoke("[[1,2,3]]").json() == [[6.0]]


def test_external_data_outside_the_directory_is_not_read(tmp_path):
    """A model whose external data lies elsewhere (../) does not load: files beside it are its own, no others."""
    import onnx

    source = MODELS / "external_data"
    inside = tmp_path / "models" / "inside"
    shutil.copytree(source, inside)
    names = [path.name for path in inside.iterdir() if path.name not in ("model.onnx", "manifest.json")]
    assert len(names) == 1
    (inside / names[0]).rename(tmp_path / "models" / names[0])
    model = onnx.load(inside / "model.onnx", load_external_data=False)
    for weight in model.graph.initializer:
        for entry in weight.external_data:
            if entry.key == "location":
                entry.value = "../" + names[0]
    (inside / "model.onnx").write_bytes(model.SerializeToString())
    with Server(inside, expect_ready=False) as server:
        expect_not_ready(server)


def test_swapping_the_file_under_a_running_server_does_no_harm(start, model_dir):
    directory = model_dir("sum3")
    server = start(directory)
    (directory / "model.onnx").write_bytes(b"garbage")
    for _ in range(20):
        assert server.invoke("[[1,2,3]]").json() == [[6.0]]


def test_healthy_after_a_bad_start(model_dir):
    """The file arrives late: SIGHUP loads it."""
    import signal

    directory = model_dir("sum3")
    good = (directory / "model.onnx").read_bytes()
    (directory / "model.onnx").write_bytes(good[:100])
    with Server(directory, expect_ready=False) as server:
        expect_not_ready(server)
        expect_error(server.invoke("[[1,2,3]]"), 503)
        (directory / "model.onnx").write_bytes(good)
        server.terminate(signal.SIGHUP)
        wait_for(lambda: server.get("/ready").status_code == 200, "ready")
        assert server.invoke("[[1,2,3]]").json() == [[6.0]]
