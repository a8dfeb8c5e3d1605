"""Request smuggling over real sockets: refused with 400, and the connection is closed before what hides behind.

The full table, with every split, is the HTTP engine's unit test; these show that nothing between
the engine and the socket undoes it. Sections are those of RFC 9112.
"""

import pytest

HIDDEN = b"GET /live HTTP/1.1\r\nHost: t\r\nX-Request-Id: smuggled\r\n\r\n"
POST = b"POST /invocations HTTP/1.1\r\nHost: t\r\n"
CASES = {
    "6.1 both lengths": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "6.1 both lengths, other order": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "6.3 differing lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n[[1]",
    "6.3 list of differing lengths": POST + b"Content-Length: 4, 5\r\n\r\n[[1]",
    "6.2 plus sign": POST + b"Content-Length: +4\r\n\r\n[[1]",
    "6.2 minus sign": POST + b"Content-Length: -4\r\n\r\n[[1]",
    "6.2 hexadecimal": POST + b"Content-Length: 0x4\r\n\r\n[[1]",
    "6.2 space inside": POST + b"Content-Length: 1 4\r\n\r\n[[1]",
    "6.2 empty": POST + b"Content-Length: \r\n\r\n[[1]",
    "6.1 chunked is not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "6.1 unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "6.1 chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "6.1 hidden by a tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "6.1 in HTTP/1.0": b"POST /invocations HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "5.1 space before the colon": POST + b"Content-Length : 4\r\n\r\n[[1]",
    "5.1 no colon": POST + b"Content-Length 4\r\n\r\n[[1]",
    "5.2 obs-fold": POST + b"X: a\r\n b\r\nContent-Length: 4\r\n\r\n[[1]",
    "2.2 bare LF": b"POST /invocations HTTP/1.1\nHost: t\nContent-Length: 4\n\n[[1]",
    "2.2 bare CR": POST + b"X: a\rContent-Length: 4\r\n\r\n[[1]",
    "5.5 NUL in a value": POST + b"X: a\x00b\r\nContent-Length: 4\r\n\r\n[[1]",
    "7.1 chunk size overflows": POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\n[[1]\r\n0\r\n\r\n",
    "7.1 chunk size signed": POST + b"Transfer-Encoding: chunked\r\n\r\n+4\r\n[[1]\r\n0\r\n\r\n",
    "7.1 chunk size hex prefix": POST + b"Transfer-Encoding: chunked\r\n\r\n0x4\r\n[[1]\r\n0\r\n\r\n",
    "7.1 no CRLF after a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\n[[1]XX0\r\n\r\n",
    "7.1.1 bare LF after an extension": POST + b"Transfer-Encoding: chunked\r\n\r\n4;a\n[[1]\r\n0\r\n\r\n",
    "3.2 no Host": b"GET /live HTTP/1.1\r\n\r\n",
    "3.2 two Hosts": b"GET /live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "3.2 space in the target": b"GET /live /ready HTTP/1.1\r\nHost: t\r\n\r\n",
    "3 space before the method": b" GET /live HTTP/1.1\r\nHost: t\r\n\r\n",
    "2.3 lower-case version": b"GET /live http/1.1\r\nHost: t\r\n\r\n",
    "2.2 space before the first field": b"GET /live HTTP/1.1\r\n Host: t\r\n\r\n",
}


@pytest.fixture
def server(backend):
    return backend.server()


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "_"))
@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "bytes"])
def test_refused_and_closed(server, case, byte_by_byte):
    sent = CASES[case] + HIDDEN
    with server.connect() as connection:
        try:
            if byte_by_byte:
                for byte in sent:
                    connection.send(bytes([byte]))
            else:
                connection.send(sent)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has closed on us already
        response = connection.read_response()
        assert 400 <= response.status <= 505, response
        assert response.status != 404
        assert response.error()
        rest = connection.read_to_end()
        assert b"smuggled" not in rest and rest == b"", rest


def test_equal_lengths_may_be_refused_but_not_misread(server):
    """RFC 9112 section 6.3 allows both."""
    with server.connect() as connection:
        connection.send(POST + b"Content-Length: 7\r\nContent-Length: 7\r\n\r\n[[1,2]]" + HIDDEN)
        response = connection.read_response()
        if response.status == 200:
            assert response.json() == [[1.0, 2.0]]
            assert connection.read_response()["x-request-id"] == "smuggled"
        else:
            assert response.status == 400
            assert connection.is_closed()


def test_a_body_is_never_read_as_a_request(server):
    body = b"GET /live HTTP/1.1\r\nHost: t\r\n\r\n"
    with server.connect() as connection:
        connection.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + HIDDEN)
        assert connection.read_response().status == 400
        assert connection.read_response()["x-request-id"] == "smuggled"


def test_get_with_a_body_does_not_shift_the_next_request(server):
    with server.connect() as connection:
        connection.send(b"GET /live HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello" + HIDDEN)
        first = connection.read_response()
        if first.status == 200:
            assert connection.read_response()["x-request-id"] == "smuggled"
        else:
            assert connection.is_closed()
