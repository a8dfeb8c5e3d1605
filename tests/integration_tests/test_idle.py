"""An idle server does nothing: no thread of it wakes up, with a model ready, connections open and
every kind of thread started. What is looked at is how often threads were put to sleep, not time."""

import pathlib
import time

import pytest
from onnxd_server import is_sanitized, post_bytes

pytestmark = pytest.mark.skipif(is_sanitized(), reason="sanitizers have threads of their own")

IDLE_S = 1.0
WAKE_UPS_MAX = 5  # timers of connections; a thread that spins or polls has hundreds


def switches(server):
    """{thread: times it has gone to sleep or was taken off its core}"""
    found = {}
    for status in pathlib.Path(f"/proc/{server.pid()}/task").glob("*/status"):
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        found[status.parent.name] = int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])
    return found


@pytest.mark.parametrize("env", [
    {"EXECUTION": "inline"},
    {"EXECUTION": "pooled", "MODEL_INSTANCES": "3", "ONNX_INTRA_OP_THREADS": "2"},
    {"EXECUTION": "auto", "MAX_QUEUE_DELAY_US": "1000"},
])
def test_no_thread_wakes_up(servers, env):
    server = servers("iris_neural_network", env={"IO_THREADS": "2", **env})
    with server.connect() as one, server.connect() as other:
        for connection in (one, other):
            connection.send(post_bytes("[[5.1,3.5,1.4,0.2]]"))
            assert connection.read_response().status == 200
        before = switches(server)
        time.sleep(IDLE_S)
        after = switches(server)
    woken = {thread: after[thread] - before.get(thread, 0) for thread in after}
    assert len(after) >= 4
    assert max(woken.values()) <= WAKE_UPS_MAX, woken
