"""`make soak` in short: streams that are begun and abandoned leave neither memory nor descriptors behind."""

import json

import pytest
from backends import QUESTION
from onnxd_server import is_sanitized
from soak import HOW, Soak

# What recyclers keep, which are bounded; a sanitizer keeps what was freed as well.
ROOM_BYTES = (1 << 30) if is_sanitized() else (64 << 20)
BODY = json.dumps(QUESTION).encode()


def test_abandoned_streams_leave_nothing(backend):
    """Some 10,000 at once, of all kinds, again and again."""
    soak = Soak(backend.server(), connections=100, streams=100, body=BODY, room_bytes=ROOM_BYTES)
    for _ in range(5):
        soak.round()
        soak.settle()


@pytest.mark.fake_backend
@pytest.mark.parametrize("how", range(len(HOW)), ids=list(HOW))
def test_abandoned_streams_of_a_slow_model(slow_server, how):
    """Jobs that wait for a runner when their client leaves: one way at a time."""
    server = slow_server(delay_ms=2, env={"EXECUTION": "pooled"})
    soak = Soak(server, connections=20, streams=50, body=BODY, room_bytes=ROOM_BYTES)
    soak.blocks = [soak.blocks[how]]
    for _ in range(3):
        soak.round()
        soak.settle()
