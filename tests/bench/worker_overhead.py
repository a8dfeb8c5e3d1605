#!/usr/bin/env python3
"""worker_overhead [PYTHON-ARGUMENTS...]: what the Python worker adds to a run of a model that does nothing.

Runs the worker's own loop in this process on packets that are already there: one input and one output of
float32, 1 x 4 and 256 x 32, without the two system calls that a real run has besides. Prints
microseconds a run, the best of several rounds, for equal records and for records that differ each time.
"""

import os
import struct
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "python"))

from onnxd_worker import protocol, serve  # noqa: E402
from onnxd_worker.areas import InputArea, OutputArea  # noqa: E402
from onnxd_worker.model import Model  # noqa: E402

RUNS, ROUNDS = 20000, 7


class Nothing(Model):
    inputs = [protocol.Port("X", protocol.FLOAT32, [-1, -1])]
    outputs = [protocol.Port("Y", protocol.FLOAT32, [-1, -1])]

    def run(self, inputs, wanted):
        return inputs


class Packets:
    """Stands in for the socket: the given packets in turn, RUNS times in all."""

    def __init__(self, packets):
        self._packets = packets
        self._left = RUNS
        self.buffer = None

    def receive(self):
        if self._left == 0:
            raise serve.Ended
        self._left -= 1
        self.buffer = self._packets[self._left % len(self._packets)]
        return len(self.buffer)

    def send(self, packet):
        if len(packet) != protocol.RESULT_PACKET.size:
            raise AssertionError(packet)


def area(name, size):
    descriptor = os.memfd_create(name)
    os.ftruncate(descriptor, size)
    return descriptor


def measure(shapes):
    descriptor = area("input", 1 << 20)
    packets = []
    for i, (rows, columns) in enumerate(shapes):
        size = rows * columns * 4
        start = i * 128
        record = protocol.RECORD.pack(protocol.FLOAT32, 2, 4096, size, rows, columns, 0, 0, 0, 0, 0, 0)
        os.pwrite(descriptor, record + struct.pack("<I", 0), start)
        head = protocol.HEAD.pack(protocol.MAGIC, protocol.VERSION, protocol.RUN, 7)
        packets.append(bytearray(head + protocol.RUN_BODY.pack(1 << 20, start, 1, 1)))
    inputs, outputs = InputArea(descriptor), OutputArea(area("output", 1 << 20))
    best = None
    for _ in range(ROUNDS):
        started = time.perf_counter()
        try:
            serve.serve(Packets(packets), inputs, outputs, Nothing())
        except serve.Ended:
            took = (time.perf_counter() - started) / RUNS * 1e6
            best = took if best is None else min(best, took)
    return best


for rows, columns in ((1, 4), (256, 32)):
    same = measure([(rows, columns)])
    other = measure([(rows, columns), (rows + 1, columns)])
    print(f"{rows} x {columns}: {same:.1f} us a run of equal records, {other:.1f} us where they differ")
