"""HTTP/2 frame by frame: FrameConnection sends exactly the frames it is told to, sound or not.

hyperframe writes and reads frames, hpack the fields in them; what connects them is here, because
a library for clients would refuse to say what these tests have to say.
"""

import collections
import dataclasses

import hpack
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame,
                              RstStreamFrame, SettingsFrame, WindowUpdateFrame)
from onnxd_server import ConnectionEnded, RawConnection

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65535
LARGEST_FRAME = 16384  # that every peer takes

# RFC 9113 section 7.
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, \
    REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(12)

GRPC_FIELDS = [("content-type", "application/grpc"), ("te", "trailers")]
JSON_FIELDS = [("content-type", "application/json")]


def grpc_message(message):
    """A message (protobuf, or its bytes) with its prefix."""
    content = message if isinstance(message, bytes) else message.SerializeToString()
    return b"\x00" + len(content).to_bytes(4, "big") + content


def frame_bytes(kind, flags, stream_id, payload, length=None):
    """Any frame, also one that no library would write."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


@dataclasses.dataclass
class Answer:
    """The response on one stream; `reset` is the code of RST_STREAM where one came."""

    fields: list = dataclasses.field(default_factory=list)
    pieces: list = dataclasses.field(default_factory=list)
    trailers: list = None
    reset: int = None
    ended: bool = False

    def __getitem__(self, name):
        return dict(self.fields).get(name)

    @property
    def body(self):
        return b"".join(self.pieces)

    @property
    def status(self):
        return int(dict(self.fields).get(":status", 0))

    def trailer(self, name):
        """From the trailers, or from the head where an answer has nothing else."""
        return dict(self.fields if self.trailers is None else self.trailers).get(name)


class StreamReset(Exception):
    """RST_STREAM where a whole answer was expected."""


class FrameConnection:
    """A connection by prior knowledge. Unless told otherwise it begins with the preface, acknowledges
    SETTINGS, and gives the server all the window there is.
    """

    def __init__(self, server, port=None, *, handshake=True, acknowledge=True, settings=None, timeout_s=30,
                 window=LARGEST_WINDOW):
        self.raw = RawConnection(("127.0.0.1", port or server.port), timeout_s)
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder(max_header_list_size=1 << 20)
        self.next_stream = 1
        self.answers = collections.defaultdict(Answer)
        self.credit = collections.Counter()  # by WINDOW_UPDATE frames of the server; 0: the connection
        self.goaways = []
        self.pings = []  # acknowledged
        self.settings = {}  # the server's
        self.settings_acknowledged = 0
        self._acknowledge = acknowledge
        self._head = None
        if handshake:
            mine = {SettingsFrame.ENABLE_PUSH: 0, SettingsFrame.INITIAL_WINDOW_SIZE: window, **(settings or {})}
            self.raw.send(PREFACE)
            self.send(SettingsFrame(0, settings=mine))
            if window > DEFAULT_WINDOW:
                self.send(WindowUpdateFrame(0, window_increment=window - DEFAULT_WINDOW))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.raw.close()

    # What we say.

    def send(self, *frames):
        """hyperframe's frames, or bytes, in one write."""
        self.raw.send(b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames))

    def headers(self, stream_id, fields, *flags):
        """A HEADERS frame; flags are END_STREAM, END_HEADERS (there unless flags say only "OPEN")."""
        names = [flag for flag in flags if flag != "OPEN"]
        if "OPEN" not in flags:
            names.append("END_HEADERS")
        return HeadersFrame(stream_id, data=self.encoder.encode(fields), flags=names)

    @staticmethod
    def request_fields(path, fields=(), method="POST"):
        return [(":method", method), (":scheme", "http"), (":path", path), (":authority", "test"), *fields]

    def new_stream(self):
        stream_id, self.next_stream = self.next_stream, self.next_stream + 2
        return stream_id

    def open_stream(self, path, fields=(), method="POST"):
        """A request whose body is still to come."""
        stream_id = self.new_stream()
        self.send(self.headers(stream_id, self.request_fields(path, fields, method)))
        return stream_id

    def send_data(self, stream_id, body, *flags):
        """The server's windows are the caller's concern."""
        self.send(*self._data(stream_id, body, flags))

    @staticmethod
    def _data(stream_id, body, flags):
        starts = range(0, max(len(body), 1), LARGEST_FRAME)
        return [DataFrame(stream_id, data=body[at:at + LARGEST_FRAME], flags=list(flags) if at == starts[-1] else [])
                for at in starts]

    def send_data_within_window(self, stream_id, body, *flags):
        """Any size: what the server's windows do not allow waits for them to open."""
        self.round_trip()
        of_stream = self.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)
        sent = 0
        while sent < len(body):
            left = min(of_stream + self.credit[stream_id], DEFAULT_WINDOW + self.credit[0]) - sent
            if left == 0:
                self.read_frame()
                continue
            piece = body[sent:sent + min(left, 1 << 20)]
            sent += len(piece)
            self.send_data(stream_id, piece, *(flags if sent == len(body) else ()))

    def request(self, path, body=None, fields=(), method=None):
        """A whole request in one write; returns its stream."""
        stream_id = self.new_stream()
        method = method or ("GET" if body is None else "POST")
        asked = self.request_fields(path, fields, method)
        if body is None:
            self.send(self.headers(stream_id, asked, "END_STREAM"))
        else:
            self.send(self.headers(stream_id, asked), *self._data(stream_id, body, ["END_STREAM"]))
        return stream_id

    def reset(self, stream_id, code=CANCEL):
        self.send(RstStreamFrame(stream_id, error_code=code))

    # What the server says.

    def read_frame(self):
        """The next frame, noted where it belongs; SETTINGS are acknowledged."""
        head = self.raw._take(9)
        frame, length = Frame.parse_frame_header(memoryview(head))
        frame.parse_body(memoryview(self.raw._take(length)))
        self._note(frame)
        return frame

    def _note(self, frame):
        match frame:
            case HeadersFrame() | ContinuationFrame():
                self._note_headers(frame)
            case DataFrame():
                answer = self.answers[frame.stream_id]
                answer.pieces.append(frame.data)
                answer.ended |= "END_STREAM" in frame.flags
            case RstStreamFrame():
                answer = self.answers[frame.stream_id]
                # NO_ERROR after a whole answer only says that the rest of the request is not wanted.
                if not (answer.ended and frame.error_code == NO_ERROR):
                    answer.reset = frame.error_code
                answer.ended = True
            case SettingsFrame() if "ACK" in frame.flags:
                self.settings_acknowledged += 1
            case SettingsFrame():
                self.settings.update(frame.settings)
                if self._acknowledge:
                    self.send(SettingsFrame(0, flags=["ACK"]))
            case PingFrame() if "ACK" in frame.flags:
                self.pings.append(frame.opaque_data)
            case WindowUpdateFrame():
                self.credit[frame.stream_id] += frame.window_increment
            case GoAwayFrame():
                self.goaways.append(frame)

    def _note_headers(self, frame):
        if isinstance(frame, HeadersFrame):
            self._head, self._ends = b"", "END_STREAM" in frame.flags
        self._head += frame.data
        if "END_HEADERS" not in frame.flags:
            return
        fields = self.decoder.decode(self._head)
        answer = self.answers[frame.stream_id]
        if not answer.fields or answer.status // 100 == 1:
            answer.fields = fields
        else:
            answer.trailers = fields
        answer.ended |= self._ends

    def read_response(self, stream_id, credit=False):
        """The whole answer of a stream, whatever comes on others. StreamReset, ConnectionEnded.

        `credit`: opens the windows again by what was read; else their first size has to do.
        """
        answer = self.answers[stream_id]
        while not answer.ended:
            frame = self.read_frame()
            if credit and isinstance(frame, DataFrame) and frame.data:
                size = frame.flow_controlled_length
                self.send(*(WindowUpdateFrame(number, window_increment=size) for number in (0, frame.stream_id)))
        if answer.reset is not None:
            raise StreamReset(answer.reset)
        return answer

    def read_reset(self, stream_id):
        """The code that ends a stream."""
        answer = self.answers[stream_id]
        while answer.reset is None:
            self.read_frame()
        return answer.reset

    def exchange(self, path, body=None, fields=(), method=None):
        return self.read_response(self.request(path, body, fields, method))

    def round_trip(self, data=b"are-you-"):
        """Returns once the server has dealt with all that was sent so far."""
        seen = len(self.pings)
        self.send(PingFrame(0, opaque_data=data))
        while len(self.pings) == seen:
            self.read_frame()
        assert self.pings[-1] == data

    def read_goaways(self):
        """All GOAWAY frames until the server closes."""
        try:
            while True:
                self.read_frame()
        except ConnectionEnded:
            return self.goaways

    def read_goaway(self):
        """The error code of the last GOAWAY before the server closes; None for a close without any."""
        goaways = self.read_goaways()
        return goaways[-1].error_code if goaways else None
