"""The worker protocol's bytes: packets, options and signatures (docs/worker-protocol.md).

Pure functions of the standard library: nothing here does I/O or needs NumPy. What is read comes from
another process: every length and offset is checked against the bytes there are, and a broken rule
is a ProtocolError that names it.
"""

from struct import Struct

VERSION = 1
MAGIC = 0x57584E4F
PACKET_MAX = 4096
TEXT_MAX = 1024
RANK_MAX = 8
PORTS_MAX = 4096
SIGNATURE_MAX_BYTES = 16 << 20
OUTPUT_MAX_BYTES = 1 << 30

HELLO, WELCOME, READY, FAILED, RUN, RESULT, ERROR, END = range(1, 9)

REASON_NO_FRAMEWORK, REASON_BAD_MODEL, REASON_OTHER = 1, 2, 3
CAUSE_INPUTS, CAUSE_OTHER = 1, 2

HEAD = Struct("<IHHQ")
HELLO_BODY = Struct("<HHIQQQ")
VERSIONS = Struct("<HH")
READY_PACKET = Struct("<IHHQQQQ")
TEXT_HEAD = Struct("<IHHQII")
RUN_BODY = Struct("<QQII")
RUN_PACKET_BYTES = HEAD.size + RUN_BODY.size
RESULT_PACKET = Struct("<IHHQQQII")
RECORD = Struct("<IIQQ8q")
RECORD_BYTES = RECORD.size

FLOAT32, UINT8, INT8, UINT16, INT16, INT32, INT64, STRING, BOOL, FLOAT16, FLOAT64, UINT32, UINT64 = range(1, 14)
BFLOAT16 = 16
UNKNOWN = 0
RANK_UNKNOWN = 0xFFFFFFFF

# ONNX's numbers and the names that manifests use. A string has no size of its own.
DTYPE_NAMES = {
    FLOAT32: "float32",
    UINT8: "uint8",
    INT8: "int8",
    UINT16: "uint16",
    INT16: "int16",
    INT32: "int32",
    INT64: "int64",
    STRING: "string",
    BOOL: "bool",
    FLOAT16: "float16",
    FLOAT64: "float64",
    UINT32: "uint32",
    UINT64: "uint64",
    BFLOAT16: "bfloat16",
}
DTYPE_BY_NAME = {name: number for number, name in DTYPE_NAMES.items()}
DTYPE_SIZES = {
    FLOAT32: 4,
    UINT8: 1,
    INT8: 1,
    UINT16: 2,
    INT16: 2,
    INT32: 4,
    INT64: 8,
    BOOL: 1,
    FLOAT16: 2,
    FLOAT64: 8,
    UINT32: 4,
    UINT64: 8,
    BFLOAT16: 2,
}

_U32 = Struct("<I")


class ProtocolError(Exception):
    """onnxd broke a rule of the protocol: the worker ends."""


class SignatureError(Exception):
    """A model whose signature the protocol has no room for."""


class Port:
    """One input or output. `shape` is None where the rank is not known, -1 a free dimension."""

    __slots__ = ("class_labels", "dtype", "feature_names", "name", "shape")

    def __init__(self, name, dtype=UNKNOWN, shape=None, feature_names=(), class_labels=()):
        self.name = name
        self.dtype = dtype
        self.shape = None if shape is None else list(shape)
        self.feature_names = list(feature_names)
        self.class_labels = list(class_labels)

    def __repr__(self):
        return f"Port({self.name!r}, {DTYPE_NAMES.get(self.dtype)}, {self.shape})"


def read_head(packet, size):
    """(version, type, run) of a packet of `size` bytes."""
    if size < HEAD.size:
        raise ProtocolError(f"a packet of {size} bytes is shorter than its head")
    if size > PACKET_MAX:
        raise ProtocolError(f"a packet is longer than {PACKET_MAX} bytes")
    magic, version, kind, run = HEAD.unpack_from(packet)
    if magic != MAGIC:
        raise ProtocolError(f"a packet begins with {magic:#010x}")
    return version, kind, run


def read_hello(packet, size):
    """(area size, offset, size) of the options, or None where we share no version with onnxd."""
    newest_of_head, kind, run = read_head(packet, size)
    if kind != HELLO or run != 0:
        raise ProtocolError(f"the first packet is of type {kind}, run {run}: not HELLO")
    if size < HEAD.size + VERSIONS.size:
        raise ProtocolError(f"HELLO has {size} bytes")
    oldest, newest = VERSIONS.unpack_from(packet, HEAD.size)
    if oldest > newest or newest != newest_of_head:
        raise ProtocolError(f"HELLO with versions {oldest} to {newest}, {newest_of_head} in its head")
    if not oldest <= VERSION <= newest:
        return None
    # A later version may have appended to its HELLO; what comes first stays.
    expected = HEAD.size + HELLO_BODY.size
    if size < expected or (newest == VERSION and size != expected):
        raise ProtocolError(f"HELLO has {size} bytes, not {expected}")
    return HELLO_BODY.unpack_from(packet, HEAD.size)[3:]


def write_plain(kind):
    """WELCOME."""
    return HEAD.pack(MAGIC, VERSION, kind, 0)


def write_ready(area_bytes, offset, size):
    return READY_PACKET.pack(MAGIC, VERSION, READY, 0, area_bytes, offset, size)


def write_text(kind, run, number, text):
    """FAILED and ERROR: `number` is the reason or the cause. The text is cut at a character."""
    encoded = text.encode("utf-8", "replace")[:TEXT_MAX].decode("utf-8", "ignore").encode()
    return TEXT_HEAD.pack(MAGIC, VERSION, kind, run, number, len(encoded)) + encoded


def check_range(offset, size, area_bytes, what):
    if offset > area_bytes or size > area_bytes - offset:
        raise ProtocolError(f"{what}: {size} bytes at {offset} in an area of {area_bytes}")


class _Reader:
    """Takes numbers and texts from the front of some bytes."""

    def __init__(self, content):
        self._content = content
        self._at = 0

    def take_u32(self):
        if len(self._content) - self._at < _U32.size:
            raise ProtocolError("the options end within a number")
        (number,) = _U32.unpack_from(self._content, self._at)
        self._at += _U32.size
        return number

    def take_text(self):
        size = self.take_u32()
        if len(self._content) - self._at < size:
            raise ProtocolError("the options end within a text")
        text = self._content[self._at : self._at + size]
        self._at += size
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as problem:
            raise ProtocolError(f"the options hold invalid UTF-8: {problem}") from None

    def at_end(self):
        return self._at == len(self._content)


def read_options(content):
    """The options as a dict, out of bytes that are a copy of our own."""
    reader = _Reader(content)
    options = {}
    for _ in range(reader.take_u32()):
        key = reader.take_text()
        if key in options:
            raise ProtocolError(f"the option {key!r} comes twice")
        options[key] = reader.take_text()
    if not reader.at_end():
        raise ProtocolError("bytes after the last option")
    return options


def _text(text):
    encoded = text.encode("utf-8", "replace")
    return _U32.pack(len(encoded)) + encoded


def _port(port):
    parts = [_text(port.name), _U32.pack(port.dtype)]
    if port.shape is None:
        parts.append(_U32.pack(RANK_UNKNOWN))
    else:
        if len(port.shape) > RANK_MAX:
            raise SignatureError(f"{port.name!r} has rank {len(port.shape)}; at most {RANK_MAX} is possible")
        parts.append(_U32.pack(len(port.shape)))
        parts.append(Struct(f"<{len(port.shape)}q").pack(*port.shape))
    for texts in (port.feature_names, port.class_labels):
        parts.append(_U32.pack(len(texts)))
        parts.extend(map(_text, texts))
    return b"".join(parts)


def write_signature(framework, version, inputs, outputs):
    for what, ports in (("inputs", inputs), ("outputs", outputs)):
        if len(ports) > PORTS_MAX:
            raise SignatureError(f"the model has {len(ports)} {what}; at most {PORTS_MAX} are possible")
        if len({port.name for port in ports}) != len(ports):
            raise SignatureError(f"two {what} of the model have the same name")
    parts = [_text(framework), _text(version), _U32.pack(len(inputs)), _U32.pack(len(outputs))]
    parts += [_port(port) for port in (*inputs, *outputs)]
    written = b"".join(parts)
    if len(written) > SIGNATURE_MAX_BYTES:
        raise SignatureError(f"the signature takes {len(written)} bytes; at most {SIGNATURE_MAX_BYTES} are possible")
    return written
