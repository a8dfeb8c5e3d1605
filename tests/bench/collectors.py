"""Collectors of traces: one that takes everything, and five that do not do their part."""

import contextlib
import http.server
import os
import socket
import threading

BROKEN = ("down", "hanging", "answering 503", "answering 400", "closing mid-body")


class _Handler(http.server.BaseHTTPRequestHandler):
    """Takes everything and looks at nothing."""

    protocol_version = "HTTP/1.1"
    status = 200

    def setup(self):
        """A collector has a machine of its own: here it takes what nobody else wants."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        super().setup()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class _Busy(_Handler):
    status = 503


class _Refusing(_Handler):
    status = 400


class _Closing(_Handler):
    rbufsize = 0  # what is left of a body is not read

    def do_POST(self):
        self.rfile.read(16)
        self.close_connection = True


class _Hanging(_Handler):
    def do_POST(self):
        self.server.released.wait()
        self.close_connection = True


class _Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that has gone


@contextlib.contextmanager
def _listening(handler):
    listener = _Listener(("127.0.0.1", 0), handler)
    listener.released = threading.Event()
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_address[1]}"
    finally:
        listener.released.set()
        listener.shutdown()
        thread.join()
        listener.server_close()


@contextlib.contextmanager
def _closed_port():
    """The port is taken, but nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


def working():
    """A context manager that gives its URL."""
    return _listening(_Handler)


def broken(kind):
    """The same of one of BROKEN."""
    if kind == "down":
        return _closed_port()
    return _listening({"hanging": _Hanging, "answering 503": _Busy, "answering 400": _Refusing,
                       "closing mid-body": _Closing}[kind])
