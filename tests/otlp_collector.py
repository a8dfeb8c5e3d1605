"""A collector of traces: takes OTLP over HTTP, has the protocol's own messages read it, keeps the spans.

It answers as it is told, badly too. Every handler is a thread; ports are the kernel's choice.
"""

import contextlib
import dataclasses
import gzip
import http.server
import socket
import ssl
import threading

from onnxd_server import wait_for
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

SERVER = trace_pb2.Span.SPAN_KIND_SERVER
ERROR = trace_pb2.Status.STATUS_CODE_ERROR


@dataclasses.dataclass
class Post:
    path: str
    headers: dict  # lower-case names
    message: trace_service_pb2.ExportTraceServiceRequest
    size: int  # as it came


def value_of(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes_of(message):
    """{key: value} of anything that has attributes; fails on a key that comes twice."""
    result = {entry.key: value_of(entry.value) for entry in message.attributes}
    assert len(result) == len(message.attributes), message
    return result


class Collector:
    """Use as a context manager. `answer(handler)` writes the response; default: 200. `hangs_up`: it
    closes the connection in the middle of every request's body. `certificate`: a file of a key and its
    certificate, for TLS."""

    def __init__(self, answer=None, hangs_up=False, certificate=None):
        self.posts = []  # of which the request was read whole
        self.answered = []  # those of them that were answered 200
        self.answer = answer or (lambda handler: handler.respond(200))
        self.released = threading.Event()  # ends what hangs
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            rbufsize = 0 if hangs_up else -1  # the rest of a body is not read in advance

            def do_POST(self):
                if hangs_up:
                    self.rfile.read(16)
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers["Content-Length"]))
                plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                message = trace_service_pb2.ExportTraceServiceRequest.FromString(plain)
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.post = Post(self.path, headers, message, len(body))
                outer.posts.append(self.post)
                outer.answer(self)

            def respond(self, status, body=b"", **headers):
                if status == 200:
                    outer.answered.append(self.post)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def hang(self):
                outer.released.wait(60)
                self.close_connection = True

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that has gone

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.scheme = "http" if certificate is None else "https"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.listener.socket = context.wrap_socket(
                self.listener.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.listener.shutdown()
        self.thread.join()
        self.listener.server_close()

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.listener.server_address[1]}"

    def env(self, **more):
        """Settings of a server that exports here, soon."""
        return {"OTEL_ENABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
                "OTEL_BSP_SCHEDULE_DELAY": "20", **more}

    def spans(self):
        """All spans that were taken, in the order in which they came."""
        return [span for post in list(self.answered) for resource in post.message.resource_spans
                for scope in resource.scope_spans for span in scope.spans]

    def wait_for_spans(self, count):
        return wait_for(lambda: len(self.spans()) >= count and self.spans(), f"{count} spans")

    def wait_for_posts(self, count):
        return wait_for(lambda: len(self.posts) >= count and self.posts, f"{count} exports")


@contextlib.contextmanager
def closed_port():
    """A URL where nobody listens: the port is taken, but no connection is accepted."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"
