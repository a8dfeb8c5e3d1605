"""Tensor records and NumPy arrays: inputs as views on the shared memory, outputs copied into it once.

Numbers are views (bfloat16, which NumPy lacks, is widened to float32), strings become object arrays of
str. As long as records repeat, as they do for requests of one shape, arrays and destinations are
used again instead of being made.
"""

from math import prod

import numpy as np

from onnxd_worker import protocol
from onnxd_worker.protocol import RANK_MAX, RECORD, RECORD_BYTES, ProtocolError

_NUMPY = {
    number: np.dtype(name)
    for number, name in protocol.DTYPE_NAMES.items()
    if number not in (protocol.STRING, protocol.BFLOAT16)
}
_NUMBERS = {dtype: number for number, dtype in _NUMPY.items()}
_POSITION = np.dtype("<u8")
_ALIGNMENT = 64


class OutputError(Exception):
    """The model gave something that cannot be sent."""


def numpy_dtype(number):
    """How arrays of this dtype look here; float32 for bfloat16, object for strings."""
    if number == protocol.BFLOAT16:
        return np.dtype(np.float32)
    return np.dtype(object) if number == protocol.STRING else _NUMPY[number]


def dtype_number(dtype):
    """The protocol's number of a NumPy dtype; UNKNOWN where there is none."""
    if dtype.kind in "OUST":
        return protocol.STRING
    return _NUMBERS.get(dtype, protocol.UNKNOWN)


class InputReader:
    """Reads RUN packets' bodies. `input_count` and `output_count` are the signature's."""

    def __init__(self, area, input_count, output_count):
        self._area = area
        self._input_count = input_count
        self._output_count = output_count
        self._body = None
        self._records = None
        self._arrays = None
        self._wanted = None
        self._lasting = False  # whether all arrays are views, which next time show what is there then

    def read(self, body):
        """(inputs, wanted): arrays or None for what was left out, and indices of outputs."""
        area_bytes, offset, inputs, wanted = protocol.RUN_BODY.unpack(body)
        if inputs != self._input_count:
            raise ProtocolError(f"a run with {inputs} inputs; the signature has {self._input_count}")
        if wanted > protocol.PORTS_MAX:
            raise ProtocolError(f"a run that wants {wanted} outputs")
        area = self._area
        area.follow(area_bytes)
        end = offset + inputs * RECORD_BYTES + wanted * 4
        if end > area_bytes:
            raise ProtocolError(f"records up to {end} in an area of {area_bytes}")
        records = area.memory[offset:end]
        if records == self._records and body == self._body:
            return self._arrays, self._wanted
        self._records = None
        self._lasting = True
        arrays = [self._array(records, i * RECORD_BYTES, area_bytes) for i in range(inputs)]
        indices = tuple(int(i) for i in np.frombuffer(records, "<u4", wanted, inputs * RECORD_BYTES))
        for index in indices:
            if index >= self._output_count:
                raise ProtocolError(f"output {index} is wanted of {self._output_count}")
        if self._lasting:
            self._body, self._records, self._arrays, self._wanted = body, records, arrays, indices
        return arrays, indices

    def _array(self, records, at, area_bytes):
        number, rank, offset, size, *dims = RECORD.unpack_from(records, at)
        if number == protocol.UNKNOWN:
            return None
        if number not in protocol.DTYPE_NAMES:
            raise ProtocolError(f"an input of dtype {number}")
        if rank > RANK_MAX or any(dims[rank:]) or min(dims) < 0:
            raise ProtocolError(f"an input of rank {rank}, dimensions {dims}")
        if offset % _ALIGNMENT:
            raise ProtocolError(f"an input at offset {offset}, no multiple of {_ALIGNMENT}")
        protocol.check_range(offset, size, area_bytes, "an input")
        shape = tuple(dims[:rank])
        elements = prod(shape)
        if number in (protocol.STRING, protocol.BFLOAT16, protocol.BOOL):
            self._lasting = False
        if number == protocol.STRING:
            return _read_strings(self._area.memory[offset : offset + size], elements).reshape(shape)
        if elements * protocol.DTYPE_SIZES[number] != size:
            raise ProtocolError(f"an input of {elements} {protocol.DTYPE_NAMES[number]} in {size} bytes")
        if elements == 0:
            return np.empty(shape, numpy_dtype(number))
        if number == protocol.BFLOAT16:
            halves = np.frombuffer(self._area.memory, "<u2", elements, offset)
            return (halves.astype("<u4") << 16).view("<f4").reshape(shape)
        if number == protocol.BOOL:
            # Checked and copied: any byte but these two would be a bool that is neither.
            flags = np.frombuffer(self._area.memory, np.uint8, elements, offset)
            if flags.max() > 1:
                raise ProtocolError("an input of bool with a byte that is neither 0 nor 1")
            return flags.astype(bool).reshape(shape)
        return np.frombuffer(self._area.memory, _NUMPY[number], elements, offset).reshape(shape)


def _read_strings(content, elements):
    table = (elements + 1) * _POSITION.itemsize
    if table > len(content):
        raise ProtocolError(f"{elements} strings in {len(content)} bytes")
    positions = np.frombuffer(content, _POSITION, elements + 1)
    if positions[0] != table or positions[-1] != len(content) or (positions[1:] < positions[:-1]).any():
        raise ProtocolError(f"{elements} strings with positions that fall or leave their {len(content)} bytes")
    array = np.empty(elements, object)
    ends = positions.tolist()
    try:
        # In ASCII a character is a byte, and the text can be cut as it is.
        text = content.decode("ascii")
        array[:] = [text[a:b] for a, b in zip(ends, ends[1:])]
    except UnicodeDecodeError:
        try:
            array[:] = [content[a:b].decode("utf-8") for a, b in zip(ends, ends[1:])]
        except UnicodeDecodeError as problem:
            raise ProtocolError(f"a string that is no UTF-8: {problem}") from None
    return array


def _encode_string(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").encode()
    return (value if isinstance(value, str) else str(value)).encode("utf-8", "replace")


def _write_strings(array):
    """A string tensor's bytes as an array of uint8."""
    pieces = [_encode_string(value) for value in array.reshape(-1).tolist()]
    positions = np.zeros(len(pieces) + 1, _POSITION)
    np.cumsum([len(piece) for piece in pieces], out=positions[1:])
    positions += positions.nbytes
    return np.frombuffer(positions.tobytes() + b"".join(pieces), np.uint8)


def plain_array(value, declared, name):
    """`value` as an array of a dtype that can be sent, which is the declared one where that is known."""
    try:
        array = value if type(value) is np.ndarray else np.asarray(value)
    except ValueError as problem:  # lists of unequal lengths
        raise OutputError(f"output {name!r} is no array: {problem}") from problem
    if declared and array.dtype is _NUMPY.get(declared):
        return array
    if array.dtype.kind == "O" and not all(isinstance(item, (str, bytes)) for item in array.flat):
        array = _without_objects(array)
    number = dtype_number(array.dtype)
    if number == protocol.UNKNOWN:
        array = _nearest(array, name)
        number = dtype_number(array.dtype)
    if declared and number != declared:
        if declared == protocol.STRING:
            return array.astype(object)
        wanted = numpy_dtype(declared)
        if number == protocol.STRING or not np.can_cast(array.dtype, wanted, "same_kind"):
            raise OutputError(
                f"output {name!r} came as {array.dtype}; the model's signature says {protocol.DTYPE_NAMES[declared]}"
            )
        array = array.astype(wanted)
    return array


def _without_objects(array):
    """Objects that are all numbers become numbers; others are left, to be sent as their text."""
    try:
        numbers = np.array(array.tolist())
    except ValueError:
        return array
    return numbers if numbers.shape == array.shape and numbers.dtype.kind in "biuf" else array


def _nearest(array, name):
    if array.dtype.kind in "biuf":
        native = array.dtype.newbyteorder("<")
        return array.astype(native if native in _NUMBERS else np.float64)
    if array.dtype.kind in "mM":
        return array.astype(str)
    raise OutputError(f"output {name!r} came as {array.dtype}, which cannot be sent")


class OutputWriter:
    """Writes outputs into the area. `ports` are the signature's outputs."""

    def __init__(self, area, ports):
        self._area = area
        self._names = [port.name for port in ports]
        self._dtypes = [port.dtype for port in ports]
        self._layout = None
        self._records = b""
        self._places = []

    def write(self, wanted, values):
        """Offset of the records of values[i], the signature's output wanted[i]."""
        arrays = [plain_array(value, self._dtypes[i], self._names[i]) for i, value in zip(wanted, values)]
        layout = [(array.dtype, array.shape) for array in arrays]
        if layout != self._layout:
            self._lay_out(arrays, layout)
            if self._layout is None:
                return 0
        for place, array in zip(self._places, arrays):
            np.copyto(place, array, casting="no")
        if self._records:
            self._area.memory[: len(self._records)] = self._records
        return 0

    def _lay_out(self, arrays, layout):
        self._layout = None
        numbers = [dtype_number(array.dtype) for array in arrays]
        contents = [
            _write_strings(array) if number == protocol.STRING else array for array, number in zip(arrays, numbers)
        ]
        end = len(arrays) * RECORD_BYTES
        offsets, records = [], []
        for array, content, number in zip(arrays, contents, numbers):
            if array.ndim > RANK_MAX:
                raise OutputError(f"an output of rank {array.ndim}; at most {RANK_MAX} is possible")
            offset = (end + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT
            end = offset + content.nbytes
            offsets.append(offset)
            dims = (*array.shape, *(0,) * (RANK_MAX - array.ndim))
            records.append(RECORD.pack(number, array.ndim, offset, content.nbytes, *dims))
        self._area.reserve(end)
        self._records = b"".join(records)
        self._places = [
            np.ndarray(content.shape, content.dtype, self._area.memory, offset)
            for content, offset in zip(contents, offsets)
        ]
        if protocol.STRING in numbers:
            # A string's size is in no layout: written here, and laid out anew the next time.
            for place, content in zip(self._places, contents):
                np.copyto(place, content)
            self._area.memory[: len(self._records)] = self._records
        else:
            self._layout = layout
