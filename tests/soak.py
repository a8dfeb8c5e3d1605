#!/usr/bin/env python3
"""soak.py [--seconds 60] [--connections 1000] [--streams 100]: requests over HTTP/2 that nobody waits for.

Opens the connections, begins the streams on each in one of five ways (HOW), abandons all, and begins anew
until the time is over. Between rounds the server's memory has to be back near where it was, and its
descriptors exactly. Prints the figures and PASS or FAIL. `make soak` is the front door; tests use Soak
themselves.
"""

import argparse
import contextlib
import json
import os
import resource
import socket
import sys
import time

import hpack
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame
from onnxd_grpc import predict_request
from onnxd_http2 import CANCEL, GRPC_FIELDS, JSON_FIELDS, PREFACE, FrameConnection, grpc_message
from onnxd_server import EXAMPLES, Server, wait_for

PREDICT = "/onnxserving.grpc.InferenceService/Predict"
MIB = 1 << 20


def _head(path, fields, method, stream, *flags):
    """Without the dynamic table: the same bytes whatever came before."""
    fields = [hpack.NeverIndexedHeaderTuple(*field) for field in FrameConnection.request_fields(path, fields, method)]
    return HeadersFrame(stream, data=hpack.Encoder().encode(fields), flags=["END_HEADERS", *flags])


def _calls(stream, body):
    yield _head(PREDICT, GRPC_FIELDS, "POST", stream)
    yield DataFrame(stream, data=grpc_message(predict_request(body)), flags=["END_STREAM"])


def _resets(stream, body):
    yield _head("/invocations", JSON_FIELDS, "POST", stream)
    yield DataFrame(stream, data=body, flags=["END_STREAM"])
    yield RstStreamFrame(stream, error_code=CANCEL)


def _halves(stream, body):
    yield _head(PREDICT, GRPC_FIELDS, "POST", stream)
    yield DataFrame(stream, data=grpc_message(predict_request(body))[:-1])


def _requests(stream, body):
    yield _head("/invocations", JSON_FIELDS, "POST", stream)
    yield DataFrame(stream, data=body, flags=["END_STREAM"])


def _gets(stream, _):
    yield _head("/metrics", [], "GET", stream, "END_STREAM")


# What is sent on every stream, and the window that is given to its answer.
HOW = {
    "calls, whole, answers unread": (_calls, 65535),
    "requests, reset at once": (_resets, 65535),
    "calls, half sent": (_halves, 65535),
    "requests, no window for answers": (_requests, 0),
    "metrics, answers unread": (_gets, 65535),
}


class Soak:
    """Rounds of abandoned streams against a server, and what they leave behind."""

    def __init__(self, server, connections, streams, body, room_bytes):
        self.server = server
        self.count = connections
        self.streams = streams
        self.body = body
        self.room_bytes = room_bytes  # what recyclers and caches may keep
        self.blocks = [self._block(*how) for how in HOW.values()]
        self.rounds = 0
        assert server.invoke(body.decode()).status_code == 200
        self.memory_before = server.rss_bytes()
        self.descriptors_before = self.descriptors_after = self.descriptors()

    def _block(self, pieces, window):
        settings = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: window})
        frames = [frame for i in range(self.streams) for frame in pieces(2 * i + 1, self.body)]
        return PREFACE + b"".join(frame.serialize() for frame in (settings, *frames))

    def round(self):
        """All connections are open at once; each is closed with its streams in whatever state they are."""
        self.rounds += 1
        opened = []
        try:
            for i in range(self.count):
                connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
                opened.append(connection)
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError):  # what does not fit is abandoned as well
                    connection.send(self.blocks[i % len(self.blocks)])
            wait_for(lambda: self.server.metric("onnxd_connections") >= self.count, "all connections are taken")
        finally:
            for connection in opened:
                connection.close()

    def settle(self):
        """Waits until the server has forgotten all of it, and gives back its memory; returns that."""
        assert self.server.invoke(self.body.decode()).status_code == 200
        wait_for(lambda: self.server.metric("onnxd_in_flight") == 0, "all slots are free")
        wait_for(lambda: self.server.metric("onnxd_connections") <= 1, "the connections are closed")
        wait_for(lambda: self.descriptors() <= self.descriptors_before, "the descriptors are given back")
        self.descriptors_after = self.descriptors()
        wait_for(lambda: self.server.rss_bytes() - self.memory_before < self.room_bytes,
                 f"no more than {self.room_bytes / MIB:.0f} MiB beyond {self.memory_before / MIB:.1f} MiB are kept")
        return self.server.rss_bytes()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.pid()}/fd"))


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--room-mib", type=float, default=128, help="memory that may be kept between rounds")
    return parser.parse_args()


def main():
    arguments = read_arguments()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    body = json.dumps([[5.1, 3.5, 1.4, 0.2]]).encode()
    every = {"MAX_STREAMS": str(arguments.connections * arguments.streams)}  # none is refused
    with Server(EXAMPLES / "iris_logistic_regression", env=every) as server:
        soak = Soak(server, arguments.connections, arguments.streams, body, arguments.room_mib * MIB)
        end = time.monotonic() + arguments.seconds
        levels = []  # of memory, after each round
        failure = None
        try:
            while len(levels) < 2 or time.monotonic() < end:
                soak.round()
                levels.append(soak.settle() / MIB)
        except AssertionError as problem:
            failure = problem
            levels.append(server.rss_bytes() / MIB)
        jobs = server.metric("onnxd_jobs_total")
        print(f"streams      {soak.rounds} rounds of {soak.count} connections x {soak.streams}; {jobs:.0f} jobs ran")
        print(f"memory       {soak.memory_before / MIB:.1f} MiB idle, {levels[0]:.1f} MiB after the first round, "
              f"{levels[-1]:.1f} MiB after the last, {max(levels):.1f} MiB at most between rounds")
        print(f"descriptors  {soak.descriptors_before} at first, {soak.descriptors_after} at the end")
    print("PASS" if failure is None else f"FAIL: {failure}")
    sys.exit(0 if failure is None else 1)


if __name__ == "__main__":
    main()
