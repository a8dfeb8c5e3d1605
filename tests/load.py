"""Clients that keep a server busy while a test does something to it."""

import threading

from onnxd_server import ConnectionEnded, RawConnection, wait_for


class Load:
    """`clients` threads, each with a keep-alive connection, sending `request` again and again.

    Every outcome is recorded: answers as (status, body), and as `lost` what a client may complain
    about: an answer cut short, or none to a request on a connection that had answered before.
    A client whose answer said `Connection: close`, or whose new connection is refused, stops unless
    `reconnect` is set.
    """

    def __init__(self, server, request, clients=8, reconnect=False):
        self.address = ("127.0.0.1", server.port)
        self.request = request
        self.reconnect = reconnect
        self.answers = []
        self.lost = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        self.join()

    def join(self):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    def wait_for_answers(self, more):
        """Until so many more answers have come than there are now."""
        wanted = len(self.answers) + more
        wait_for(lambda: len(self.answers) >= wanted or self.lost, f"{more} more answers")

    def statuses(self):
        return {status for status, _ in self.answers}

    def _run(self):
        while not self.stopping.is_set():
            try:
                connection = RawConnection(self.address)
            except OSError as problem:
                if self.reconnect:
                    self.lost.append(f"no connection: {problem}")
                return
            with connection:
                if not self._use(connection) and not self.reconnect:
                    return

    def _use(self, connection):
        """False when the server has ended the connection."""
        answered = False
        while not self.stopping.is_set():
            try:
                connection.send(self.request)
                response = connection.read_response()
            except (ConnectionEnded, OSError) as problem:
                if answered or connection.unread:
                    self.lost.append(repr(problem))
                return False
            answered = True
            self.answers.append((response.status, response.body))
            if (response["connection"] or "").lower() == "close":
                return False
        return True
