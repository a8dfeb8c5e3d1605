"""The worker's life: handshake, load, runs, end.

NumPy and the framework are imported after WELCOME, which onnxd wants at once. The process ends by
os._exit: neither a framework's threads nor its exit handlers are to hold it up.
"""

import os
import signal
import socket
import sys
import traceback

from onnxd_worker import areas, keeper, protocol
from onnxd_worker.protocol import ProtocolError

SOCKET_FD, INPUT_FD, OUTPUT_FD = 3, 4, 5

EXIT_OK, EXIT_FAILED, EXIT_PROTOCOL = 0, 1, 3

ADAPTERS = {"sklearn": "sklearn_model", "pytorch": "pytorch_model", "tensorflow": "tensorflow_model"}


class Ended(Exception):
    """onnxd has closed the socket or said END."""


class Connection:
    """Packets in and out."""

    def __init__(self, descriptor):
        self._socket = socket.socket(fileno=descriptor)
        # One byte more than a packet may have, to see one that is too long.
        self.buffer = bytearray(protocol.PACKET_MAX + 1)

    def receive(self):
        """The size of the packet that is now in `buffer`."""
        try:
            size = self._socket.recv_into(self.buffer)
        except ConnectionError:
            size = 0
        if size == 0:
            raise Ended
        return size

    def send(self, packet):
        try:
            self._socket.sendall(packet)
        except ConnectionError:
            raise Ended from None


def shake_hands(connection, inputs):
    """Answers HELLO; the options as a dict, or None where no version is common to both."""
    size = connection.receive()
    where = protocol.read_hello(connection.buffer, size)
    if where is None:
        text = f"this worker speaks version {protocol.VERSION} of the protocol only"
        connection.send(protocol.write_text(protocol.FAILED, 0, protocol.REASON_OTHER, text))
        return None
    area_bytes, offset, size = where
    protocol.check_range(offset, size, area_bytes, "the options")
    inputs.follow(area_bytes)
    options = protocol.read_options(bytes(inputs.memory[offset : offset + size]))
    connection.send(protocol.write_plain(protocol.WELCOME))
    return options


def load(options):
    """(model, signature) or (None, FAILED packet)."""
    try:
        from onnxd_worker.model import FrameworkMissing, ModelError, first_line
    except ImportError as problem:  # of our own program
        return None, _failed(protocol.REASON_OTHER, str(problem))
    try:
        model = open_model(options)
        return model, protocol.write_signature(model.framework, model.version, model.inputs, model.outputs)
    except FrameworkMissing as problem:
        return None, _failed(protocol.REASON_NO_FRAMEWORK, str(problem))
    except (ModelError, protocol.SignatureError) as problem:
        if problem.__cause__ is not None:
            traceback.print_exception(problem.__cause__)
        return None, _failed(protocol.REASON_BAD_MODEL, str(problem))
    except BaseException as problem:
        traceback.print_exc()
        return None, _failed(protocol.REASON_OTHER, f"{type(problem).__name__}: {first_line(problem)}")


def open_model(options):
    from onnxd_worker.model import ModelError, import_packages, open_code_paths

    kind = options.get("kind", "")
    if kind not in ADAPTERS:
        raise ModelError(f"no worker for models of kind {kind!r}")
    if "model" not in options:
        raise ModelError("the option model is missing")
    import_packages(kind, "numpy")
    open_code_paths(options["model"])
    adapter = __import__(f"onnxd_worker.{ADAPTERS[kind]}", fromlist=["load"])
    return adapter.load(options)


def _failed(reason, text):
    return protocol.write_text(protocol.FAILED, 0, reason, text)


def run_model(model, inputs, outputs, body):
    """The area's size and the number of outputs of a run."""
    arrays, wanted = inputs.read(body)
    outputs.write(wanted, model.run(arrays, wanted))
    return len(wanted)


def describe_failure(model, problem):
    """(cause, text) of an exception that a run ended with."""
    from onnxd_worker.model import first_line

    if isinstance(problem, Exception) and model.is_input_error(problem):
        return protocol.CAUSE_INPUTS, model.describe_input_error(problem)
    traceback.print_exception(problem)
    return protocol.CAUSE_OTHER, f"{type(problem).__name__}: {first_line(problem)}"


def serve(connection, input_area, output_area, model):
    """Answers runs until onnxd ends this worker (Ended)."""
    from onnxd_worker.tensors import InputReader, OutputWriter

    inputs = InputReader(input_area, len(model.inputs), len(model.outputs))
    outputs = OutputWriter(output_area, model.outputs)
    result = protocol.RESULT_PACKET
    while True:
        size = connection.receive()
        buffer = connection.buffer
        version, kind, run = protocol.read_head(buffer, size)
        if version != protocol.VERSION:
            raise ProtocolError(f"a packet of version {version}")
        if kind == protocol.END and size == protocol.HEAD.size:
            raise Ended
        if kind != protocol.RUN or size != protocol.RUN_PACKET_BYTES:
            raise ProtocolError(f"a packet of type {kind} with {size} bytes, where RUN or END was due")
        try:
            count = run_model(model, inputs, outputs, bytes(buffer[protocol.HEAD.size : size]))
        except (ProtocolError, Ended):
            raise
        except BaseException as problem:
            cause, text = describe_failure(model, problem)
            connection.send(protocol.write_text(protocol.ERROR, run, cause, text))
        else:
            connection.send(
                result.pack(protocol.MAGIC, protocol.VERSION, protocol.RESULT, run, output_area.size, 0, count, 0)
            )


def work():
    """From the first packet to the last; the exit code."""
    connection = Connection(SOCKET_FD)
    input_area = areas.InputArea(INPUT_FD)
    options = shake_hands(connection, input_area)
    if options is None:
        return EXIT_FAILED
    model, answer = load(options)
    if model is None:
        connection.send(answer)
        return EXIT_FAILED
    output_area = areas.OutputArea(OUTPUT_FD)
    output_area.reserve(len(answer))
    output_area.memory[: len(answer)] = answer
    connection.send(protocol.write_ready(output_area.size, 0, len(answer)))
    _settle()
    serve(connection, input_area, output_area, model)
    return EXIT_OK


def _settle():
    """What was made while loading stays: it need not be looked at by every garbage collection."""
    import gc

    gc.collect()
    gc.freeze()


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for onnxd
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    keeper.start()
    try:
        code = work()
    except Ended:
        code = EXIT_OK
    except ProtocolError as problem:
        print(f"worker: onnxd broke the protocol: {problem}", file=sys.stderr)
        code = EXIT_PROTOCOL
    except BaseException:
        traceback.print_exc()
        code = EXIT_FAILED
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass  # nobody reads the log any more, or the model has closed it
    os._exit(code)
