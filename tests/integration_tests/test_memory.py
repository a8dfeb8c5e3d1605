"""Memory that a burst of large requests took goes back when only small ones follow."""

import concurrent.futures
import json
import signal

import numpy
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxd_server import MODELS, Server, is_sanitized, post_bytes, wait_for

pytestmark = pytest.mark.skipif(is_sanitized(), reason="sanitizers keep what is freed")

MIB = 1 << 20
ROW = [0.5, -2.0, 1.0, 0.25]
SMALL = post_bytes(json.dumps([ROW]))
LARGE = post_bytes(json.dumps([ROW] * 4000))  # of `widened`: 125 MiB in the runtime
DISTANCE = 24 * MIB  # of what the server may keep: buffers, the runtime's own


def ask(server, request, count):
    with server.connect() as connection:
        for _ in range(count):
            connection.send(request)
            assert connection.read_response().status == 200


@pytest.fixture(params=["small", "large"])
def model(request, tmp_path):
    """The same graph in a file that is small, and in one too large for a run of it to count as small."""
    content = (MODELS / "widened/model.onnx").read_bytes()
    if request.param == "large":
        content += b"\x32\x80\x80\x80\x01" + b" " * (2 * MIB)  # a description: ModelProto.doc_string
    (tmp_path / "model.onnx").write_bytes(content)
    return tmp_path


def weighty_model(directory, weights_bytes):
    """y = x · w, where w has so many bytes that cannot be told from noise."""
    columns = weights_bytes // 4 // len(ROW)
    weights = numpy.random.default_rng(7).standard_normal((len(ROW), columns)).astype(numpy.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "weighty",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", len(ROW)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", columns])], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    directory.mkdir()
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    return directory


def test_what_a_model_takes_is_told(tmp_path):
    """By which the process grew when it was loaded: its weights are in it, and all of it is resident."""
    grown = {}
    for size in (MIB, 65 * MIB):
        with Server(weighty_model(tmp_path / str(size), size)) as server:
            (labels, grown[size]), = server.metrics()["onnxd_model_load_memory_bytes"]
            assert labels == {"model": "model.onnx"}
            assert size <= grown[size] < server.rss_bytes()
    assert grown[65 * MIB] - grown[MIB] > 60 * MIB


def test_a_reload_tells_what_the_new_model_takes(tmp_path):
    directory = weighty_model(tmp_path / "served", MIB)
    larger = weighty_model(tmp_path / "larger", 129 * MIB)
    with Server(directory) as server:
        (larger / "model.onnx").rename(directory / "model.onnx")
        server.terminate(signal.SIGHUP)
        wait_for(lambda: server.metric("onnxd_reloads_total", result="ok") == 1, "the reload")
        assert server.metric("onnxd_model_load_memory_bytes") > 100 * MIB


@pytest.mark.parametrize("execution", ["inline", "pooled"])
def test_a_burst_does_not_pin_memory(execution, model):
    env = {"IO_THREADS": "2", "EXECUTION": execution, "MODEL_INSTANCES": "2"}
    with Server(model, env=env) as server:
        ask(server, SMALL, 50)
        before = server.rss_bytes()
        with concurrent.futures.ThreadPoolExecutor(4) as clients:
            list(clients.map(lambda _: ask(server, LARGE, 3), range(4)))
        peak = server.rss_bytes("VmHWM")  # some may have gone back already
        assert peak - before > 100 * MIB, "the burst was none, so this test shows nothing"

        def is_back():
            ask(server, SMALL, 50)
            return server.rss_bytes() - before < DISTANCE

        wait_for(is_back, f"memory {DISTANCE // MIB} MiB from {before // MIB} MiB, after {peak // MIB} MiB")
