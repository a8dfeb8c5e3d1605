"""SIGHUP: another model takes over without a failed request; a bad one changes nothing."""

import os
import signal

import onnx
import pytest
from backends import ANSWER, FAKE_ECHO, fake_model
from load import Load
from onnx import TensorProto, helper
from onnxd_server import MODELS, post_bytes, wait_for

OTHER_ANSWER = {"real": [[-1.0, -2.0]], "fake": [3.0]}


def write_atomically(path, content):
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(beside, path)


class Directory:
    """A model directory whose model can be changed under the server."""

    def __init__(self, path, is_fake):
        self.path = path
        self.is_fake = is_fake
        path.mkdir()
        self.file = path / ("model.fake" if is_fake else "model.onnx")
        self.put_first()

    def put_first(self):
        if self.is_fake:
            fake_model(self.path)
        else:
            write_atomically(self.file, (MODELS / "identity_float32/model.onnx").read_bytes())

    def put_other(self):
        if self.is_fake:
            write_atomically(self.file, FAKE_ECHO.replace("[N, 2] echo", "[N] sum"))
            return
        shape = ("N", 2)
        graph = helper.make_graph(
            [helper.make_node("Neg", ["x"], ["y"])], "neg",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        write_atomically(self.file, model.SerializeToString())

    def put_corrupt(self):
        write_atomically(self.file, b"\x00\xffthis is no model\n")


@pytest.fixture
def directory(own_backend, tmp_path):
    return Directory(tmp_path / "changing", own_backend.is_fake)


@pytest.fixture
def server(own_backend, directory, start):
    return start(directory.path, fake=own_backend.is_fake)


def reload_now(server):
    """Returns once the reload is over, good or bad."""
    before = server.metric("onnxd_reloads_total")
    server.terminate(signal.SIGHUP)
    wait_for(lambda: server.metric("onnxd_reloads_total") > before, "the end of the reload")


def test_a_good_model_takes_over_under_load(server, directory, own_backend):
    with Load(server, post_bytes("[[1,2]]"), clients=8, reconnect=True) as load:
        load.wait_for_answers(100)
        directory.put_other()
        reload_now(server)
        load.wait_for_answers(200)
    assert load.lost == []
    assert load.statuses() == {200}
    bodies = {body for _, body in load.answers}
    assert len(bodies) == 2, bodies
    assert server.invoke("[[1,2]]").json() == OTHER_ANSWER[own_backend.name]
    assert server.metric("onnxd_reloads_total", result="ok") == 1
    assert server.get("/ready").status_code == 200


def test_after_the_reload_only_the_new_model_answers(server, directory, own_backend):
    with server.connect() as connection:
        connection.send(post_bytes("[[1,2]]"))
        assert connection.read_response().json() == ANSWER
        directory.put_other()
        reload_now(server)
        wait_for(lambda: server.invoke("[[1,2]]").json() == OTHER_ANSWER[own_backend.name], "the new model")
        connection.send(post_bytes("[[1,2]]"))
        assert connection.read_response().json() == OTHER_ANSWER[own_backend.name]


def test_a_corrupt_model_changes_nothing(server, directory):
    with Load(server, post_bytes("[[1,2]]"), clients=8, reconnect=True) as load:
        load.wait_for_answers(100)
        directory.put_corrupt()
        reload_now(server)
        load.wait_for_answers(100)
    assert load.lost == []
    assert load.statuses() == {200}
    assert len({body for _, body in load.answers}) == 1
    assert len(server.log_lines("reload failed")) == 1
    assert server.metric("onnxd_reloads_total", result="failed") == 1
    assert server.get("/ready").status_code == 200
    assert server.metrics()["byoc_up"] == [({}, 1.0)]


def test_a_missing_model_changes_nothing(server, directory):
    directory.file.unlink()
    reload_now(server)
    assert server.invoke("[[1,2]]").json() == ANSWER
    assert len(server.log_lines("reload failed")) == 1


def test_mended_after_a_failed_reload(server, directory, own_backend):
    directory.put_corrupt()
    reload_now(server)
    directory.put_other()
    reload_now(server)
    assert server.invoke("[[1,2]]").json() == OTHER_ANSWER[own_backend.name]


def test_many_reloads(server, directory, own_backend):
    """Back and forth: no model, no descriptor and little memory is left behind."""
    def descriptors():
        return len(os.listdir(f"/proc/{server.pid()}/fd"))

    with Load(server, post_bytes("[[1,2]]"), clients=2, reconnect=True) as load:
        load.wait_for_answers(10)
        reload_now(server)
        before = descriptors()
        for turn in range(20):
            directory.put_other() if turn % 2 == 0 else directory.put_first()
            reload_now(server)
        load.wait_for_answers(10)
        wait_for(lambda: descriptors() <= before + 2, "descriptors are given back")
    assert load.lost == []
    assert load.statuses() == {200}


def test_signals_in_a_row_are_one_reload_at_least(server, directory, own_backend):
    directory.put_other()
    for _ in range(20):
        server.terminate(signal.SIGHUP)
    wait_for(lambda: server.invoke("[[1,2]]").json() == OTHER_ANSWER[own_backend.name], "the new model")


def test_manifest_is_read_again(start, own_backend, directory):
    server = start(directory.path, fake=own_backend.is_fake)
    (directory.path / "manifest.json").write_text('{"settings":{"RETURN_PREDICTIONS_ONLY":false}}')
    reload_now(server)
    assert server.invoke("[[1,2]]").json() == {"predictions": ANSWER}
    (directory.path / "manifest.json").write_text('{"settings":')
    reload_now(server)
    assert server.invoke("[[1,2]]").json() == {"predictions": ANSWER}
