/*
 * What RFC 9112 forbids and llhttp lets through, or reports without telling 400 from 414, 501 or
 * 505: checks of a request line, of the fields that frame a message, and of a whole head. Pure
 * functions over whole lines; none allocates. Each returns 0, or the HTTP status to answer with and
 * what was wrong in *error (ERR_INVALID). Error texts never repeat bytes of the client.
 */
#ifndef HTTP_H1_GUARD_H
#define HTTP_H1_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "http/message.h"

/* Hex digits of the largest chunk size there can be, 64 bits. */
#define H1_CHUNK_SIZE_DIGITS 16

struct h1_request_line {
    struct slice method;
    struct slice target;
    struct slice path;  /* "*" for OPTIONS *; "/" where an absolute-form has no path */
    struct slice query; /* {NULL, 0} without a '?' */
    unsigned minor;     /* of HTTP/1.x */
};

/*
 * RFC 9112 section 3, of a line with its CRLF: one SP between the parts, a method that is a token,
 * printable ASCII without '#' as target, "HTTP/1.0" or "HTTP/1.1". Slices point into `line`.
 * 400; 414 for a target over H1_MAX_TARGET_BYTES; 501 for CONNECT; 505.
 */
MUST_CHECK int h1_guard_request_line(struct slice line, struct h1_request_line *ret_parts,
                                     struct error *error);
/*
 * The same for parts->target alone, of a request with parts->method: fills in path and query. 400,
 * 414. The request lines of all HTTP versions come to this.
 */
MUST_CHECK int h1_guard_target(struct h1_request_line *parts, struct error *error);
/* The status for a request line that is longer than any we read, given as far as it came. */
MUST_CHECK int h1_guard_long_request_line(struct slice start, struct error *error);
/* RFC 9112 section 2.2: the line ends with CRLF, and no other CR is in it. */
bool h1_guard_line_end(struct slice line);
/* True for 1*tchar (RFC 9110 section 5.6.2). */
bool h1_guard_is_token(struct slice text);
/* uri-host [ ":" port ] (RFC 9112 section 3.2), not empty, no userinfo. */
bool h1_guard_is_host(struct slice host);

/* What the fields of a head say about its framing and its connection. Start from {.minor = n}. */
struct h1_facts {
    unsigned minor;
    bool has_host;
    bool has_length;
    bool chunked;
    bool expects_continue;
    bool wants_close;
    bool wants_keep_alive;
};

/*
 * Takes in the next field of a head: Host, Content-Length, Transfer-Encoding, Expect and
 * Connection are judged, all others pass. 400, 417 or 501.
 */
MUST_CHECK int h1_guard_field(struct h1_facts *facts, const struct http_field *field,
                              struct error *error);
/* The head is complete: what must be there is there (RFC 9112 section 3.2). 400. */
MUST_CHECK int h1_guard_head(const struct h1_facts *facts, struct error *error);
/*
 * How many bytes of a chunk's first line, given with its CRLF, are extensions or digits that no
 * size of 64 bits needs (RFC 9112 section 7.1.1: a recipient ought to limit these).
 */
size_t h1_guard_chunk_excess(struct slice line);

/* Whether the client lets the connection live on (RFC 9112 section 9.3). */
bool h1_guard_persists(const struct h1_facts *facts);

#endif
