/*
 * Requests that two readers could understand differently: each is refused with its status, at the
 * same byte and with the same words however it is delivered, and no request is ever reported
 * complete. Sections are RFC 9112's unless they name another. Texts that are llhttp's are left out.
 */
#include "unit_tests/h1_splits.h"

#define HEAD "POST /invocations HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

struct attack {
    const char *section;
    const char *what;
    struct slice input;
    int status;
    const char *text; /* part of the error's text */
};

#define ATTACK(section, what, input, status, text)                                                 \
    {                                                                                              \
        section, what, {input, sizeof(input) - 1}, status, text                                    \
    }

static const struct attack attacks[] = {
    /* Message framing: which length counts. */
    ATTACK("6.3", "Content-Length, then Transfer-Encoding",
           HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 400,
           "header line 3: "),
    ATTACK("6.1", "Transfer-Encoding, then Content-Length",
           HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" SMUGGLED, 400,
           "header line 3: "),
    ATTACK("6.3", "an empty Transfer-Encoding beside Content-Length",
           HEAD "Content-Length: 5\r\nTransfer-Encoding:\r\n\r\nhello", 400, "header line 3: "),
    ATTACK("6.3", "differing Content-Length fields",
           HEAD "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400, "header line 3: "),
    ATTACK("6.3", "identical Content-Length fields",
           HEAD "Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello", 400, "header line 3: "),
    ATTACK("6.3", "a list of differing lengths", HEAD "Content-Length: 5, 6\r\n\r\nhello!", 400,
           "header line 2: "),
    ATTACK("6.3", "a list of identical lengths", HEAD "Content-Length: 5, 5\r\n\r\nhello", 400,
           "header line 2: "),
    ATTACK("6.2", "a plus before the length", HEAD "Content-Length: +1\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("6.2", "a minus before the length", HEAD "Content-Length: -1\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("6.2", "a hexadecimal length", HEAD "Content-Length: 0x1\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("6.2", "hex digits in the length", HEAD "Content-Length: 1a\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("6.2", "an exponent in the length", HEAD "Content-Length: 1e1\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("6.2", "a fraction as the length", HEAD "Content-Length: 1.0\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("6.2", "a space in the length", HEAD "Content-Length: 1 1\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("6.2", "an underscore in the length", HEAD "Content-Length: 1_0\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("6.2", "a quoted length", HEAD "Content-Length: \"1\"\r\n\r\nx", 400, "header line 2: "),
    ATTACK("6.2", "an empty length", HEAD "Content-Length:\r\n\r\nx", 400,
           "header line 2: Content-Length is not"),
    ATTACK("6.2", "a blank length", HEAD "Content-Length: \t \r\n\r\nx", 400, "header line 2: "),
    ATTACK("6.2", "a length of 2^64", HEAD "Content-Length: 18446744073709551616\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("6.2", "a length that wraps around to 5",
           HEAD "Content-Length: 18446744073709551621\r\n\r\nhello", 400, "header line 2: "),
    ATTACK("6.2", "a length of a hundred nines",
           HEAD
           "Content-Length: 9999999999999999999999999999999999999999999999999999999999999999999"
           "999999999999999999999999999999999\r\n\r\nx",
           400, "header line 2: "),
    ATTACK("6.2", "2^64 - 1, which stands for \"unknown\" inside",
           HEAD "Content-Length: 18446744073709551615\r\n\r\nx", 400,
           "request head: Content-Length"),

    /* Transfer-Encoding: exactly "chunked", in HTTP/1.1. */
    ATTACK("6.1", "another coding alone", HEAD "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 501,
           "header line 2: "),
    ATTACK("6.1", "another coding under chunked",
           HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "header line 2: "),
    ATTACK("6.1", "identity", HEAD "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501,
           "header line 2: "),
    ATTACK("6.1", "xchunked", HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501,
           "header line 2: "),
    ATTACK("6.1", "chunkedx", HEAD "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", 501,
           "header line 2: "),
    ATTACK("6.1", "quoted chunked", HEAD "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 501,
           "header line 2: "),
    ATTACK("7", "chunked with a parameter", HEAD "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
           501, "header line 2: "),
    ATTACK("6.1", "chunked twice in one field",
           HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 400,
           "header line 2: "),
    ATTACK("6.1", "chunked twice in two fields",
           HEAD
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
           400, "header line 3: "),
    ATTACK("6.3", "chunked under another coding",
           HEAD "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" SMUGGLED, 400,
           "header line 2: "),
    ATTACK("6.3", "chunked, then identity in a second field",
           HEAD
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED,
           400, "header line 3: "),
    ATTACK("6.1", "an empty Transfer-Encoding, which llhttp reads as no body",
           HEAD "Transfer-Encoding:\r\n\r\n" SMUGGLED, 400,
           "header line 2: Transfer-Encoding does not end"),
    ATTACK("6.1", "an empty Transfer-Encoding before a good one",
           HEAD "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 400,
           "header line 2: Transfer-Encoding does not end"),
    ATTACK("6.1", "empty list elements", HEAD "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", 400,
           "header line 2: "),
    ATTACK("6.1", "a trailing comma", HEAD "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400,
           "header line 2: "),
    ATTACK("6.1", "a vertical tab before chunked",
           HEAD "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", 400, "header line 2: "),
    ATTACK("6.1", "chunked in HTTP/1.0",
           "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 400,
           "header line 1: Transfer-Encoding stands in an HTTP/1.0 request"),

    /* Lines. */
    ATTACK("5.2", "obs-fold", HEAD "A: b\r\n c\r\n\r\n", 400, "header line 3: "),
    ATTACK("5.2", "obs-fold by tab", HEAD "A: b\r\n\tc\r\n\r\n", 400, "header line 3: "),
    ATTACK("5.2", "obs-fold of an empty value", HEAD "A:\r\n b\r\n\r\n", 400, "header line 3: "),
    ATTACK("5.2", "obs-fold that hides chunked",
           HEAD "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 400, "header line "),
    ATTACK("5.2", "obs-fold in a length", HEAD "Content-Length: 1\r\n 0\r\n\r\n0123456789", 400,
           "header line 3: "),
    ATTACK("5.2", "a line of one space before the end", HEAD "A: b\r\n \r\n\r\n", 400,
           "header line 3: "),
    ATTACK("2.2", "white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400,
           "header line 1: "),
    ATTACK("2.2", "a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400,
           "request line: a CR or LF"),
    ATTACK("2.2", "a bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n", 400,
           "header line 1: a CR or LF"),
    ATTACK("2.2", "a bare LF at the head's end", "GET / HTTP/1.1\r\nHost: a\r\n\n" SMUGGLED, 400,
           "header line 2: a CR or LF"),
    ATTACK("2.2", "a bare LF before the request line", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: a CR or LF"),
    ATTACK("2.2", "a bare CR before the request line", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: a CR or LF"),
    ATTACK("2.2", "a bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: a CR or LF"),
    ATTACK("2.2", "a bare CR in a value", HEAD "A: b\rC: d\r\n\r\n", 400,
           "header line 2: a CR or LF"),
    ATTACK("2.2", "a bare CR in a name", HEAD "A\rB: c\r\n\r\n", 400, "header line 2: a CR or LF"),
    ATTACK("2.2", "two CRs before the LF", HEAD "A: b\r\r\n\r\n", 400, "header line 2: a CR or LF"),
    ATTACK("2.2", "CR and another byte at the head's end", HEAD "\rX" SMUGGLED, 400,
           "header line 2: a CR or LF"),
    ATTACK("2.2", "too many empty lines before the request", "\r\n\r\n\r\n\r\n\r\n" SMUGGLED, 400,
           "request line: more than 4 empty lines before it"),
    ATTACK("5.5 of RFC 9110", "NUL in a value", HEAD "A: b\0c\r\n\r\n", 400, "header line 2: "),
    ATTACK("5.5 of RFC 9110", "NUL at the start of a value", HEAD "A: \0\r\n\r\n", 400,
           "header line 2: "),
    ATTACK("5.5 of RFC 9110", "a control character in a value", HEAD "A: b\001c\r\n\r\n", 400,
           "header line 2: "),
    ATTACK("5.5 of RFC 9110", "DEL in a value", HEAD "A: b\177c\r\n\r\n", 400, "header line 2: "),
    ATTACK("5.5 of RFC 9110", "a form feed after a length", HEAD "Content-Length: 1\f\r\n\r\nx",
           400, "header line 2: "),
    ATTACK("5.1", "NUL in a name", HEAD "A\0B: c\r\n\r\n", 400, "header line 2: "),
    ATTACK("5.1", "a space before the colon", HEAD "Content-Length : 1\r\n\r\nx", 400,
           "header line 2: "),
    ATTACK("5.1", "a space before the colon of an unknown field", HEAD "A : b\r\n\r\n", 400,
           "header line 2: "),
    ATTACK("5.1", "a tab before the colon", HEAD "Transfer-Encoding\t: chunked\r\n\r\n", 400,
           "header line 2: "),
    ATTACK("5.1", "a space within a name", HEAD "A B: c\r\n\r\n", 400, "header line 2: "),
    ATTACK("5.1", "a byte over 0x7f in a name", HEAD "\xc3\xa4: c\r\n\r\n", 400, "header line 2: "),
    ATTACK("5.1", "a parenthesis in a name", HEAD "A(: c\r\n\r\n", 400, "header line 2: "),
    ATTACK("5", "an empty name", HEAD ": c\r\n\r\n", 400, "header line 2: "),
    ATTACK("5", "a line without a colon", HEAD "Content-Length 5\r\n\r\nhello", 400,
           "header line 2: "),

    /* Request lines. */
    ATTACK("3", "two spaces after the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: "),
    ATTACK("3", "two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: "),
    ATTACK("3", "a space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400,
           "request line: "),
    ATTACK("3", "a space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the method"),
    ATTACK("3", "a tab as separator", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the method"),
    ATTACK("3", "a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: "),
    ATTACK("3.1", "no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the method is not a token"),
    ATTACK("3.1", "a method that is no token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the method is not a token"),
    ATTACK("3.1", "a binary method", "\x80\x03\r\n", 400,
           "request line: the method is not a token"),
    ATTACK("3.1", "one byte that begins no method", "\x80", 400,
           "request line: the method is not a token"),
    ATTACK("3.1", "one such byte after an empty line", "\r\n\x01", 400,
           "request line: the method is not a token"),
    ATTACK("3.1", "TLS, without a line's end", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400,
           "request line: this looks like TLS"),
    ATTACK("3.1", "an unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501,
           "request line: the method is not known"),
    ATTACK("3.1", "a method in small letters", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501,
           "request line: the method is not known"),
    ATTACK("3.1", "an RTSP method", "PLAY / HTTP/1.1\r\nHost: a\r\n\r\n", 501,
           "request line: the method is not known"),
    ATTACK("3.1", "a method that is a known one and more", "GETX / HTTP/1.1\r\nHost: a\r\n\r\n",
           501, "request line: the method is not known"),
    ATTACK("2.3", "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505,
           "request line: HTTP/2.0"),
    ATTACK("2.3", "HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "request line: HTTP/2.0"),
    ATTACK("2.3", "HTTP/9.9", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505, "request line: HTTP/9.9"),
    ATTACK("2.3", "HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "request line: HTTP/1.2"),
    ATTACK("2.3", "HTTP/0.9 by name", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505,
           "request line: HTTP/0.9"),
    ATTACK("2.3", "HTTP/0.9", "GET /\r\n", 400, "request line: it has no HTTP version"),
    ATTACK("2.3", "small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: it does not end in an HTTP version"),
    ATTACK("2.3", "two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400,
           "request line: it does not end in an HTTP version"),
    ATTACK("2.3", "no minor version", "GET / HTTP/1\r\nHost: a\r\n\r\n", 400,
           "request line: it does not end in an HTTP version"),
    ATTACK("2.3", "another protocol that llhttp takes", "SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", 400,
           "request line: it does not end in an HTTP version"),
    ATTACK("3.2", "NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2", "a control character in the target", "GET /\001 HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2", "a tab in the target", "GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2", "DEL in the target", "GET /\177 HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2", "a byte over 0x7f in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
           400, "request line: the target"),
    ATTACK("3.2", "a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2.1", "a relative path", "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2.2", "another scheme", "GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2.2", "userinfo", "GET http://u:p@a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target's host"),
    ATTACK("3.2.2", "no host in the target", "GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target's host"),
    ATTACK("3.2.2", "one slash after the scheme", "GET http:/b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2.3", "authority-form without CONNECT", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2.3", "CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED, 501,
           "request line: CONNECT"),
    ATTACK("3.2.3", "CONNECT with a path", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 501,
           "request line: CONNECT"),
    ATTACK("3.2.4", "asterisk-form without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),
    ATTACK("3.2.4", "more than an asterisk", "OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", 400,
           "request line: the target"),

    /* Host. */
    ATTACK("3.2", "no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", 400,
           "request head: Host is missing"),
    ATTACK("3.2", "no field at all", "GET / HTTP/1.1\r\n\r\n", 400,
           "request head: Host is missing"),
    ATTACK("3.2", "no Host with an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", 400,
           "request head: Host is missing"),
    ATTACK("3.2", "two Hosts", HEAD "Host: b\r\n\r\n", 400,
           "header line 2: there is more than one Host"),
    ATTACK("3.2", "two identical Hosts", HEAD "hOST: a\r\n\r\n", 400,
           "header line 2: there is more than one Host"),
    ATTACK("3.2", "two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400,
           "header line 2: there is more"),
    ATTACK("3.2", "an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400,
           "header line 1: Host is not"),
    ATTACK("3.2", "a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400,
           "header line 1: Host is not"),
    ATTACK("3.2", "a Host with userinfo", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400,
           "header line 1: Host is not"),
    ATTACK("3.2", "a Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400,
           "header line 1: Host is not"),
    ATTACK("3.2", "a list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400,
           "header line 1: Host is not"),
    ATTACK("3.2", "a Host with a port that is no number", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
           400, "header line 1: Host is not"),
    ATTACK("3.2", "a Host with bytes over 0x7f", "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", 400,
           "header line 1: Host is not"),

    /* Expectations. */
    ATTACK("10.1.1 of RFC 9110", "an unknown expectation", HEAD "Expect: 200-ok\r\n\r\n", 417,
           "header line 2: Expect is other than 100-continue"),
    ATTACK("10.1.1 of RFC 9110", "a known and an unknown expectation",
           HEAD "Expect: 100-continue, x\r\n\r\n", 417, "header line 2: Expect"),

    /* Chunks. */
    ATTACK("7.1", "a size of 2^64", CHUNKED "10000000000000000\r\nx", 400, "size of chunk 1: "),
    ATTACK("7.1", "a size that wraps around to 5",
           CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n", 400, "size of chunk 1: "),
    ATTACK("7.1", "a size of forty digits", CHUNKED "ffffffffffffffffffffffffffffffffffffffff\r\nx",
           400, "size of chunk 1: "),
    ATTACK("7.1", "no hex digit", CHUNKED "g\r\nx", 400, "size of chunk 1: "),
    ATTACK("7.1", "0x before the size", CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1", "0X before the size", CHUNKED "0X0\r\n\r\n" SMUGGLED, 400, "size of chunk 1: "),
    ATTACK("7.1", "a negative size", CHUNKED "-5\r\nhello\r\n0\r\n\r\n", 400, "size of chunk 1: "),
    ATTACK("7.1", "a plus before the size", CHUNKED "+5\r\nhello\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1", "no size", CHUNKED "\r\nhello\r\n0\r\n\r\n", 400, "size of chunk 1: "),
    ATTACK("7.1", "only an extension", CHUNKED ";a\r\nhello\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1", "a space before the size", CHUNKED " 5\r\nhello\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1", "a space after the size", CHUNKED "5 \r\nhello\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1", "an underscore in the size", CHUNKED "1_0\r\nhello\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1", "NUL after the size", CHUNKED "5\0\r\nhello\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1", "a bare LF after the size", CHUNKED "5\nhello\r\n0\r\n\r\n", 400,
           "size of chunk 1: a CR or LF"),
    ATTACK("7.1", "a bare CR after the size", CHUNKED "5\rhello\r\n0\r\n\r\n", 400,
           "size of chunk 1: a CR or LF"),
    ATTACK("7.1", "a bare LF after the last size", CHUNKED "0\n\r\n" SMUGGLED, 400,
           "size of chunk 1: a CR or LF"),
    ATTACK("7.1", "a bare LF after the chunk", CHUNKED "5\r\nhello\n0\r\n\r\n", 400,
           "end of chunk 1: a CR or LF"),
    ATTACK("7.1", "no CRLF after the chunk", CHUNKED "5\r\nhello0\r\n\r\n", 400,
           "end of chunk 1: "),
    ATTACK("7.1", "two bytes more than the size says", CHUNKED "5\r\nhelloXX0\r\n\r\n", 400,
           "end of chunk 1: the chunk is longer"),
    ATTACK("7.1", "CR and another byte after the chunk", CHUNKED "5\r\nhello\rX0\r\n\r\n", 400,
           "end of chunk 1: the chunk is longer"),
    ATTACK("7.1", "garbage after a good chunk", CHUNKED "1\r\na\r\nz\r\n", 400,
           "size of chunk 2: "),
    ATTACK("7.1.1", "a bare LF in an extension", CHUNKED "2;\nxx\r\n0\r\n\r\n", 400,
           "size of chunk 1: a CR or LF"),
    ATTACK("7.1.1", "a bare LF in a quoted extension", CHUNKED "2;a=\"\n\"\r\nxx\r\n0\r\n\r\n", 400,
           "size of chunk 1: a CR or LF"),
    ATTACK("7.1.1", "a bare CR in an extension", CHUNKED "2;a\rb\r\nxx\r\n0\r\n\r\n", 400,
           "size of chunk 1: a CR or LF"),
    ATTACK("7.1.1", "a quotation that does not end", CHUNKED "2;a=\"b\r\nxx\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1.1", "NUL in an extension", CHUNKED "2;a=\0\r\nxx\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1.1", "an extension without a name", CHUNKED "2;\r\nxx\r\n0\r\n\r\n", 400,
           "size of chunk 1: "),
    ATTACK("7.1.2", "Content-Length in the trailers", CHUNKED "0\r\nContent-Length: 5\r\n\r\nhello",
           400, "trailer line 1: "),
    ATTACK("7.1.2", "Transfer-Encoding in the trailers",
           CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "trailer line 1: "),
    ATTACK("7.1.2", "white space before the first trailer", CHUNKED "0\r\n a: b\r\n\r\n", 400,
           "trailer line 1: "),
    ATTACK("7.1.2", "obs-fold in the trailers", CHUNKED "0\r\na: b\r\n c\r\n\r\n", 400,
           "trailer line 2: "),
    ATTACK("7.1.2", "a request in place of the trailers", CHUNKED "0\r\n" SMUGGLED, 400,
           "trailer line 1: "),
    ATTACK("7.1.2", "a bare LF at the end of the trailers", CHUNKED "0\r\na: b\r\n\n", 400,
           "trailer line 2: a CR or LF"),
    ATTACK("7.1.2", "CR and another byte at the end", CHUNKED "0\r\n\rX\r\n", 400,
           "trailer line 1: a CR or LF"),
    ATTACK("7.1.2", "NUL in a trailer", CHUNKED "0\r\na: \0\r\n\r\n", 400, "trailer line 1: "),
};

static void refuses_what_two_readers_could_read_differently(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        const struct attack *attack = &attacks[i];
        char what[256];
        snprintf(what, sizeof(what), "section %s, %s", attack->section, attack->what);
        struct trace trace;
        run_every_split(&trace, attack->input, what);
        assert_refused(&trace, attack->status, attack->text, what);
        trace_done(&trace);
    }
}

/* After a good request on the same connection an attack fares no better. */
static void refuses_them_as_second_requests(void **state)
{
    (void)state;
    const struct slice good =
        SLICE("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        struct bytes both;
        bytes_init(&both, 4096);
        assert_int_equal(bytes_put(&both, good), ERR_OK);
        assert_int_equal(bytes_put(&both, attacks[i].input), ERR_OK);
        struct trace trace;
        run_every_split(&trace, bytes_slice(&both), attacks[i].what);
        assert_int_equal(trace.ended, 1);
        assert_int_equal(trace.error_status, attacks[i].status);
        assert_contains(&trace, attacks[i].text, attacks[i].what);
        trace_done(&trace);
        bytes_done(&both);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_two_readers_could_read_differently),
        cmocka_unit_test(refuses_them_as_second_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
