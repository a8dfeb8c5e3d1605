"""Memory that a burst of large requests took goes back when only small ones follow."""

import concurrent.futures
import json

import pytest
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
