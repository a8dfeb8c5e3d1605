"""The two pieces of shared memory, mapped: one that onnxd writes and one that we write.

A mapping that has become too small is replaced, never closed: the views on it keep it alive until the
last of them is gone.
"""

import mmap
import os

from onnxd_worker.protocol import OUTPUT_MAX_BYTES, ProtocolError


class InputArea:
    """onnxd's: it says with each packet how large it has become."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self.size = 0
        self.memory = b""

    def follow(self, size):
        """Maps `size` bytes. It may shrink for us (a former mapping is then larger): that is kept."""
        if size <= self.size:
            return
        there = os.fstat(self._descriptor).st_size
        if size > there:
            raise ProtocolError(f"an input area of {size} bytes was told of; {there} are there")
        self.memory = mmap.mmap(self._descriptor, size)
        self.size = size


class OutputTooLarge(Exception):
    """More output than the protocol allows."""


class OutputArea:
    """Ours: grown here, by at least a quarter, so that growing stays rare."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.memory = mmap.mmap(descriptor, self.size) if self.size else b""

    def reserve(self, size):
        """Makes room for `size` bytes; True where the memory is another one than before."""
        if size <= self.size:
            return False
        if size > OUTPUT_MAX_BYTES:
            raise OutputTooLarge(f"the outputs take {size} bytes; at most {OUTPUT_MAX_BYTES} are possible")
        page = mmap.PAGESIZE
        wanted = min(max(size, self.size + self.size // 4), OUTPUT_MAX_BYTES)
        wanted = (wanted + page - 1) // page * page
        os.ftruncate(self._descriptor, wanted)
        self.memory = mmap.mmap(self._descriptor, wanted)
        self.size = wanted
        return True
