/*
 * Response heads of HTTP/1.1 (RFC 9112 section 4) as bytes. Needs no request and no engine.
 */
#ifndef HTTP_H1_HEAD_H
#define HTTP_H1_HEAD_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "http/message.h"

enum h1_connection {
    H1_CONNECTION_DEFAULT, /* no Connection field: HTTP/1.1 keeps the connection */
    H1_CONNECTION_CLOSE,
    H1_CONNECTION_KEEP_ALIVE, /* said aloud, for HTTP/1.0 */
};

/*
 * Appends status line, Date, Content-Length (not for 1xx, 204 and 304: RFC 9110 section 8.6),
 * Connection, the fields in their order, and the empty line. Field values may come from outside:
 * their control characters, CR and LF among them, are written as spaces, so that no value can end
 * its field (RFC 9110 section 5.5). Field names are the program's own: that each is a token, and
 * none of those written here, is checked. ERR_NO_MEMORY leaves `out` as it was.
 */
MUST_CHECK int h1_head_put(const struct http_response *response, struct slice date,
                           enum h1_connection connection, struct bytes *out);

#endif
