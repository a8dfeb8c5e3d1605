"""onnxd's side of the worker protocol (docs/worker-protocol.md), to test workers without onnxd.

Written apart from the worker's own code, so that a misunderstanding shows.
"""

import contextlib
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "python"
MAGIC = 0x57584E4F
HELLO, WELCOME, READY, FAILED, RUN, RESULT, ERROR, END = range(1, 9)
DTYPES = {1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8", 12: "u4", 13: "u8"}
NUMBERS = {np.dtype(name): number for number, name in DTYPES.items()}
STRING, BFLOAT16 = 8, 16
ANSWER_S = 100  # for a framework on a busy machine; what fails is never waited for that long


class Ended(Exception):
    """The worker has closed its socket; `code` is its exit code, or minus the signal."""

    def __init__(self, code, log):
        super().__init__(f"the worker ended with {code}:\n{log}")
        self.code = code
        self.log = log


class RunError(Exception):
    """An ERROR packet."""

    def __init__(self, cause, text):
        super().__init__(f"cause {cause}: {text}")
        self.cause = cause
        self.text = text


class LoadError(Exception):
    """A FAILED packet."""

    def __init__(self, reason, text):
        super().__init__(f"reason {reason}: {text}")
        self.reason = reason
        self.text = text


class Port:
    def __init__(self, name, dtype, shape, feature_names, class_labels):
        self.name, self.dtype, self.shape = name, dtype, shape
        self.feature_names, self.class_labels = feature_names, class_labels

    def __repr__(self):
        return f"Port{(self.name, self.dtype, self.shape, self.feature_names, self.class_labels)}"


def head(kind, run=0, version=1, magic=MAGIC):
    return struct.pack("<IHHQ", magic, version, kind, run)


def text(value):
    encoded = value.encode()
    return struct.pack("<I", len(encoded)) + encoded


class _Fields:
    def __init__(self, content):
        self.content, self.at = content, 0

    def number(self, form="I"):
        (value,) = struct.unpack_from("<" + form, self.content, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        size = self.number()
        self.at += size
        assert self.at <= len(self.content)
        return self.content[self.at - size : self.at].decode()

    def texts(self):
        return [self.text() for _ in range(self.number())]

    def port(self):
        name, dtype, rank = self.text(), self.number(), self.number()
        assert rank <= 8 or rank == 0xFFFFFFFF
        shape = None if rank > 8 else [self.number("q") for _ in range(rank)]
        return Port(name, dtype, shape, self.texts(), self.texts())


def encode_tensor(value):
    """(dtype, shape, bytes) of an array; of objects or str: a string tensor."""
    array = np.asarray(value)
    if array.dtype.kind in "OU":
        pieces = [str(item).encode() for item in array.reshape(-1)]
        positions = np.cumsum([8 * (len(pieces) + 1), *map(len, pieces)]).astype("<u8")
        return STRING, array.shape, positions.tobytes() + b"".join(pieces)
    return NUMBERS[array.dtype], array.shape, array.tobytes()


def decode_tensor(dtype, shape, content):
    count = int(np.prod(shape, dtype=np.int64))
    if dtype == STRING:
        positions = np.frombuffer(content, "<u8", count + 1).tolist()
        assert positions[0] == 8 * (count + 1) and positions[-1] == len(content)
        pieces = [content[a:b].decode() for a, b in zip(positions, positions[1:])]
        return np.array(pieces, object).reshape(shape)
    array = np.frombuffer(content, DTYPES[dtype])
    assert array.size == count and array.nbytes == len(content)
    return array.reshape(shape)


class Raw:
    """A tensor as it is to be sent: for dtypes that NumPy lacks and for records that are wrong."""

    def __init__(self, dtype, shape, content):
        self.dtype, self.shape, self.content = dtype, shape, content


class Worker:
    """A worker process. As a context manager it is ended at the end, and must then end well."""

    def __init__(self, program=SOURCE, python=sys.executable, input_bytes=4096, output_bytes=0, environment=None):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.areas = [_memory("input", input_bytes), _memory("output", output_bytes)]
        self._log = os.memfd_create("log", os.MFD_CLOEXEC)
        self.run_number = 0
        self.code = None
        self._last_log = None
        # Up where none is overwritten before it was put in its place.
        opened = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (theirs.fileno(), *self.areas, self._log)]
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, opened[3], 1), (os.POSIX_SPAWN_DUP2, opened[3], 2)]
        actions += [(os.POSIX_SPAWN_DUP2, fd, 3 + i) for i, fd in enumerate(opened[:3])]
        if Path(program).is_file():
            with open(program, "rb") as file:
                opened.append(fcntl.fcntl(file.fileno(), fcntl.F_DUPFD_CLOEXEC, 20))
            actions.append((os.POSIX_SPAWN_DUP2, opened[4], 6))
            program = "/proc/self/fd/6"
        command = [str(python), "-I", "-B", "-X", "faulthandler", str(program)]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(environment or {})}
        self.pid = os.posix_spawnp(command[0], command, environment, file_actions=actions)
        theirs.close()
        for fd in opened:
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, kind, problem, trace):
        if problem is None and self.code is None:
            assert self.end() == 0, self.log()
        self.kill()

    def log(self):
        if self._last_log is not None:
            return self._last_log
        size = os.fstat(self._log).st_size
        return os.pread(self._log, size, 0).decode()

    def kill(self):
        """Ends the process, if it is still there, and gives up all that belongs to it but its log."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.ours.close()
        if self._last_log is None:
            self._last_log = self.log()
            for fd in (*self.areas, self._log):
                os.close(fd)

    def wait(self):
        if self.code is None:
            _, status = os.waitpid(self.pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def end(self):
        """END; the exit code."""
        with contextlib.suppress(OSError):
            self.ours.send(head(END))
        return self.wait()

    def send(self, packet):
        self.ours.send(packet)

    def receive(self):
        """(type, run, body); Ended where the worker has ended instead."""
        ready, _, _ = select.select([self.ours], [], [], ANSWER_S)
        assert ready, f"no answer within {ANSWER_S} s\n{self.log()}"
        try:
            packet = self.ours.recv(5000)
        except ConnectionError:
            packet = b""
        if not packet:
            code = self.wait()
            raise Ended(code, self.log())
        assert len(packet) <= 4096
        magic, version, kind, run = struct.unpack_from("<IHHQ", packet)
        assert (magic, version) == (MAGIC, 1)
        body = packet[16:]
        if kind in (FAILED, ERROR):
            number, size = struct.unpack_from("<II", body)
            assert size == len(body) - 8 <= 1024
            if kind == FAILED:
                assert self.wait() == 1
                raise LoadError(number, body[8:].decode())
            raise RunError(number, body[8:].decode())
        return kind, run, body

    def write_input(self, content, at=0):
        """Puts bytes into the input area, which grows; its size."""
        if os.fstat(self.areas[0]).st_size < at + len(content):
            os.ftruncate(self.areas[0], at + len(content))
        os.pwrite(self.areas[0], content, at)
        return os.fstat(self.areas[0]).st_size

    def read_output(self, offset, size, told):
        assert offset + size <= told <= os.fstat(self.areas[1]).st_size
        return os.pread(self.areas[1], size, offset)

    def hello(self, options, oldest=1, newest=1):
        """HELLO and WELCOME."""
        content = struct.pack("<I", len(options)) + b"".join(text(k) + text(v) for k, v in options.items())
        size = self.write_input(content, 64)
        self.send(head(HELLO, version=newest) + struct.pack("<HHIQQQ", oldest, newest, 0, size, 64, len(content)))
        kind, run, body = self.receive()
        assert (kind, run, body) == (WELCOME, 0, b"")

    def ready(self):
        """READY: reads the signature."""
        kind, run, body = self.receive()
        assert (kind, run) == (READY, 0)
        told, offset, size = struct.unpack("<QQQ", body)
        fields = _Fields(self.read_output(offset, size, told))
        self.framework, self.version = fields.text(), fields.text()
        inputs, outputs = fields.number(), fields.number()
        self.inputs = [fields.port() for _ in range(inputs)]
        self.outputs = [fields.port() for _ in range(outputs)]
        assert fields.at == size
        for port in self.inputs + self.outputs:
            assert port.name and (not port.feature_names or len(port.feature_names) == port.shape[-1]), port
        return self

    def open(self, kind, model, **options):
        options = {"kind": kind, "model": str(model), "threads": "1", **{k: str(v) for k, v in options.items()}}
        self.hello(options)
        return self.ready()

    def wanted(self, names):
        places = {port.name: i for i, port in enumerate(self.outputs)}
        return [places[name] for name in names]

    def send_run(self, inputs, wanted, start=0):
        records, contents = b"", []
        at = start + 88 * len(inputs) + 4 * len(wanted)
        for value in inputs:
            if value is None:
                records += bytes(88)
                continue
            raw = value if isinstance(value, Raw) else Raw(*encode_tensor(value))
            at = (at + 63) // 64 * 64
            dims = (*raw.shape, *(0,) * (8 - len(raw.shape)))
            records += struct.pack("<IIQQ8q", raw.dtype, len(raw.shape), at, len(raw.content), *dims)
            contents.append((at, raw.content))
            at += len(raw.content)
        self.write_input(records + struct.pack(f"<{len(wanted)}I", *wanted), start)
        for offset, content in contents:
            self.write_input(content, offset)
        self.write_input(b"", at)
        self.run_number += 1
        size = os.fstat(self.areas[0]).st_size
        self.send(head(RUN, self.run_number) + struct.pack("<QQII", size, start, len(inputs), len(wanted)))

    def read_result(self, wanted):
        kind, run, body = self.receive()
        assert (kind, run) == (RESULT, self.run_number)
        told, offset, count, zero = struct.unpack("<QQII", body)
        assert (count, zero) == (len(wanted), 0)
        values = []
        for i in range(count):
            record = self.read_output(offset + 88 * i, 88, told)
            dtype, rank, at, size, *dims = struct.unpack("<IIQQ8q", record)
            assert at % 8 == 0 and rank <= 8 and not any(dims[rank:])
            assert self.outputs[wanted[i]].dtype in (0, dtype)
            values.append(decode_tensor(dtype, tuple(dims[:rank]), self.read_output(at, size, told)))
        return values

    def run(self, *inputs, wanted=(0,), start=0):
        """Values of the wanted outputs, given as indices or names; one value where one is wanted by default."""
        indices = self.wanted(wanted) if wanted and isinstance(wanted[0], str) else list(wanted)
        self.send_run(inputs, indices, start)
        values = self.read_result(indices)
        return values[0] if len(values) == 1 else values


@contextlib.contextmanager
def opening(kind, directory, python=sys.executable):
    """open(model, manifest={...}, **options): a worker that has it open. All have to end well at the end."""
    made = []

    def begin(model, manifest=None, **options):
        if manifest is not None:
            options["manifest"] = directory / "manifest.json"
            options["manifest"].write_text(json.dumps(manifest))
        made.append(Worker(python=python))
        return made[-1].open(kind, model, **options)

    yield begin
    for worker in made:
        try:
            if worker.code is None:
                assert worker.end() == 0, worker.log()
        finally:
            worker.kill()


def described(ports):
    return [(port.name, port.dtype, port.shape) for port in ports]


def load_arrays(path):
    """Of an npz file, all of it."""
    with np.load(path) as arrays:
        return dict(arrays)


def _memory(name, size):
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return fd
