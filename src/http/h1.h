/*
 * HTTP/1.1 server engine (RFC 9112) on llhttp: bytes in, events out; and response heads, events in,
 * bytes out. No I/O, no clock, no threads. Strict where leniency enables request smuggling. One
 * request at a time: after a whole request the engine stops until h1_next, and what the client
 * pipelined stays unread with the caller.
 */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "http/message.h"

/* Limits of a request head, past which the answer is 414 or 431. */
#define H1_MAX_TARGET_BYTES (8 * 1024)
#define H1_MAX_HEAD_BYTES (64 * 1024)
#define H1_MAX_FIELDS 128
/*
 * Chunk extensions and trailers of one request together, past which the answer is 400 or 431. Zeros
 * that pad a chunk size beyond 16 digits count as extension.
 */
#define H1_MAX_TRAILER_BYTES (16 * 1024)

struct h1;

/* What may be called from an event: h1_is_idle, h1_keeps_alive and the two h1_put_ functions. */
struct h1_events {
    /*
     * A head is complete: *request and all it points to live in the arena given to h1_next. A
     * non-zero return stops the parser: h1_feed returns H1_STOPPED (the caller has answered early).
     */
    int (*on_head)(void *user, const struct http_request *request);
    /* A piece of the decoded body, borrowed for the call. Non-zero as above. */
    int (*on_body)(void *user, struct slice piece);
    /* The request is complete. h1_feed then returns H1_DONE. */
    void (*on_end)(void *user);
};

enum h1_result {
    H1_MORE,    /* all was consumed; feed more */
    H1_DONE,    /* a request is complete; call h1_next before feeding the rest */
    H1_STOPPED, /* an event returned non-zero; the connection must be closed after the answer */
    H1_ERROR,   /* no request can be read here: answer h1_error_status and close */
};

/* Owned; NULL without memory. `events` and `user` are borrowed for its life. */
MUST_CHECK struct h1 *h1_new(const struct h1_events *events, void *user);
void h1_free(struct h1 *h1); /* NULL is fine */

/*
 * Ready for a request (the first or the following one) whose head is to be kept in `arena`, which
 * the engine uses until the next h1_next: at most some four times H1_MAX_HEAD_BYTES, no body.
 */
void h1_next(struct h1 *h1, struct arena *arena);

/*
 * Consumes a prefix of `input`: *ret_consumed bytes of it. Gives the same events, result and error
 * at the same byte whatever the split of its input; only the pieces of a body follow it. Called
 * again after H1_DONE, H1_STOPPED or H1_ERROR it consumes nothing and returns the same. On H1_ERROR
 * *error says what was wrong and where ("header line 3: ..."), without bytes of the client: the
 * request's fault (ERR_INVALID) or memory that ran out (ERR_NO_MEMORY, 500). `error` is not NULL.
 */
enum h1_result h1_feed(struct h1 *h1, struct slice input, size_t *ret_consumed,
                       struct error *error);
/* 400, 414, 417, 431, 500, 501 or 505: the status to answer after H1_ERROR. */
int h1_error_status(const struct h1 *h1);

/*
 * True before the first byte of a request (empty lines do not count): closing the connection now
 * loses nothing.
 */
bool h1_is_idle(const struct h1 *h1);
/*
 * Whether the connection may be used again after the current request (RFC 9112 section 9.3):
 * version, Connection field, and the request was read to its end.
 */
bool h1_keeps_alive(const struct h1 *h1);
/* Of the request whose head is there: 1 of HTTP/1.1, 0 of HTTP/1.0. */
unsigned h1_minor(const struct h1 *h1);

/*
 * Appends a response head. `date` is an IMF-fixdate ("Sun, 06 Nov 1994 08:49:37 GMT", made by the
 * caller once a second). `close` adds "Connection: close"; to an HTTP/1.0 client that asked to keep
 * the connection "Connection: keep-alive" is written. A connection that the client wants closed is
 * announced as such even without `close`. Content-Length is written except for 1xx, 204 and 304.
 * Control characters in field values arrive as spaces: no value can split the response. Names are
 * checked to be tokens other than those written here. ERR_NO_MEMORY leaves `out` as it was.
 */
MUST_CHECK int h1_put_head(const struct h1 *h1, const struct http_response *response,
                           struct slice date, bool close, struct bytes *out);
/* The version of llhttp this was built with. Static. */
const char *h1_library_version(void);

/* The interim "100 Continue" (RFC 9110 section 15.2.1). */
MUST_CHECK int h1_put_continue(struct bytes *out);

#endif
