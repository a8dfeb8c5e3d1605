/*
 * HTTP/2 server engine (RFC 9113) on nghttp2: bytes in, events out; responses in, bytes out. No I/O,
 * no clock, no threads. Many requests of one connection at a time, each on a stream of its own.
 * Bodies of requests are passed through, bodies of responses are pulled when there is room for
 * them; the engine keeps neither. What a client can make it do or keep is bounded: requests by the
 * options, everything else by a budget (h2_budget.h) that only finished answers fill up again.
 */
#ifndef HTTP_H2_H
#define HTTP_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "http/message.h"

/* What a client sends first (RFC 9113 section 3.4). */
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* Frames are no longer, and h2_write needs room for one past its mark. */
#define H2_MAX_DATA_BYTES (16 * 1024)
#define H2_WRITE_ROOM_BYTES (H2_MAX_DATA_BYTES + 9)
/* Fields of a response, and trailers of one. */
#define H2_MAX_RESPONSE_FIELDS 64

/*
 * Defaults for struct h2_options.
 *
 * Windows. Bodies are consumed as they come, so a window holds only what is on its way: a client on
 * a round trip of 1 ms fills 1 MiB at 1 GiB/s, which is more than one loop reads. The connection's
 * window has room for 16 such streams, so that one that stalls takes no credit from the others.
 */
#define H2_STREAM_WINDOW_BYTES (1024 * 1024)
#define H2_CONNECTION_WINDOW_BYTES (16 * 1024 * 1024)
#define H2_MAX_CONCURRENT_STREAMS 256
#define H2_MAX_HEAD_BYTES (64 * 1024)
#define H2_MAX_FIELDS 128

struct h2_options {
    uint32_t max_concurrent_streams;
    uint32_t stream_window_bytes;     /* 65,535 to 2^31 - 1 */
    uint32_t connection_window_bytes; /* 65,535 to 2^31 - 1 */
    /* Names, values and 32 bytes a field (RFC 9113 section 6.5.2), past which the answer is 431. */
    uint32_t max_head_bytes;
    uint32_t max_fields; /* pseudo-header fields do not count; 431 */
};
#define H2_OPTIONS_DEFAULT                                                                         \
    ((struct h2_options){H2_MAX_CONCURRENT_STREAMS, H2_STREAM_WINDOW_BYTES,                        \
                         H2_CONNECTION_WINDOW_BYTES, H2_MAX_HEAD_BYTES, H2_MAX_FIELDS})

/* Error codes of RFC 9113 section 7 that callers have a use for (h2_reset). */
#define H2_NO_ERROR 0x0u
#define H2_PROTOCOL_ERROR 0x1u
#define H2_INTERNAL_ERROR 0x2u
#define H2_REFUSED_STREAM 0x7u /* nothing was done: the client may try again */
#define H2_CANCEL 0x8u
#define H2_ENHANCE_YOUR_CALM 0xbu

struct h2;

/*
 * From an event every function below may be called but h2_feed, h2_write and h2_free. `stream` is
 * what on_begin gave for this stream. Events come from h2_feed; on_closed also from h2_write (its
 * last frame was written) and h2_free.
 */
struct h2_events {
    /*
     * A request begins. *ret_stream is passed to the other events, *ret_arena takes the request and
     * the engine's few hundred bytes for the stream; it must stay, unreset, until on_closed has
     * been called. Its needs are bounded by some four times max_head_bytes. A non-zero return
     * refuses the stream (REFUSED_STREAM), which is not held against the client: no other event
     * follows for it.
     */
    int (*on_begin)(void *user, int32_t stream_id, void **ret_stream, struct arena **ret_arena);
    /*
     * The head is complete; *request lives in the arena. A non-zero return: the caller answers
     * without the (rest of the) request; only on_closed follows, and what still comes is dropped.
     * After such an answer the client is told to stop (RST_STREAM with NO_ERROR, RFC 9113
     * section 8.1).
     */
    int (*on_head)(void *user, void *stream, const struct http_request *request);
    /* A piece of the body, not empty, borrowed for the call. Non-zero as above. */
    int (*on_body)(void *user, void *stream, struct slice piece);
    /* The request is complete. */
    void (*on_end)(void *user, void *stream);
    /*
     * Instead of on_head: the head is sound HTTP/2 but not acceptable (414, 417, 431, 500, 501), and
     * the caller answers with `status`. Only on_closed follows. The text of `error` is for the
     * client (ERR_INVALID) or says that memory ran out (ERR_NO_MEMORY).
     */
    void (*on_refuse)(void *user, void *stream, int status, const struct error *error);
    /*
     * Once for every on_begin that returned 0, as the last event of its stream. `reset`: before the
     * whole response was written. The engine holds nothing of the stream any more.
     */
    void (*on_closed)(void *user, void *stream, bool reset);
};

enum h2_result {
    H2_OK,
    H2_CLOSING, /* nothing more is read: h2_write what there is, then close */
};

enum h2_preface {
    H2_PREFACE_NO,   /* not HTTP/2 with prior knowledge */
    H2_PREFACE_YES,  /* feed all of it, preface included, to an engine */
    H2_PREFACE_MORE, /* a prefix of it so far */
};

/* Tells HTTP/1.1 from HTTP/2 by the first bytes of a connection (RFC 9113 section 3.4). Pure. */
enum h2_preface h2_preface_match(struct slice start);

/*
 * Owned; NULL without memory. `options` is copied; `events` and `user` are borrowed for its life.
 * The server's own preface (SETTINGS) is ready to be written at once.
 */
MUST_CHECK struct h2 *h2_new(const struct h2_options *options, const struct h2_events *events,
                             void *user);
/* NULL is fine. Streams that are still open get on_closed (reset). */
void h2_free(struct h2 *h2);

/*
 * Takes in all of `input`. Gives the same events for every split of it; only the pieces of a body
 * follow the split. After H2_CLOSING input is ignored, and *error says why: the client's fault
 * (ERR_INVALID) or memory that ran out (ERR_NO_MEMORY). A connection error that nghttp2 answers by
 * itself shows in h2_is_done after the h2_write that sent its GOAWAY, and in the next h2_feed, which
 * may be of nothing; in between no event comes. Output that the caller cannot get rid of is bounded
 * by the client's budget, but let it go on reading only while there is room.
 */
enum h2_result h2_feed(struct h2 *h2, struct slice input, struct error *error);

/*
 * Appends frames to `out` until there is nothing to send or `out` holds at least `high_bytes`, so
 * that the body of a response is pulled no faster than the client takes it. `out` may become
 * H2_WRITE_ROOM_BYTES longer than that, its maximum must allow it. ERR_NO_MEMORY: what `out` holds is
 * sound. It may be tried again while h2_wants_write; if that is false the connection is lost.
 */
MUST_CHECK int h2_write(struct h2 *h2, struct bytes *out, size_t high_bytes);
/*
 * False while all that is left waits for h2_resume or for the client's flow control. After
 * H2_CLOSING: whether the last frames are still to be written.
 */
bool h2_wants_write(const struct h2 *h2);

enum h2_pull {
    H2_PULL_PIECE, /* *ret_piece, more may follow */
    H2_PULL_LAST,  /* *ret_piece (bytes may be empty) and its trailers are the end */
    H2_PULL_LATER, /* nothing yet: h2_resume when there is */
    H2_PULL_FAIL,  /* the rest cannot be had: the stream is reset with INTERNAL_ERROR */
};

struct h2_piece {
    struct slice bytes; /* borrowed until the next pull of this stream or its on_closed */
    /* Of H2_PULL_LAST: borrowed for the call, at most H2_MAX_RESPONSE_FIELDS. */
    const struct http_field *trailers;
    size_t trailer_count;
};

/* Where the body of a response comes from. */
struct h2_body {
    /*
     * At most `max` bytes (1 to H2_MAX_DATA_BYTES), not empty for H2_PULL_PIECE. *ret_piece comes
     * zeroed. Called from h2_write only; may call no function of the engine. Not called again
     * after LAST and FAIL.
     */
    enum h2_pull (*pull)(void *source, size_t max, struct h2_piece *ret_piece);
    void *source;
};

/*
 * Answers a stream, once: its head now and its body as it is pulled. `body` is copied; NULL: the
 * response ends with its head (one with trailers only, as gRPC knows them, is that). HEAD, 204 and
 * 304 have no body whatever `body` is. Content-Length is written except for 204, 304 and
 * HTTP_LENGTH_UNKNOWN; what is pulled must be as long as it says. `date` as for h1_put_head; {NULL,
 * 0}: none. Names must be tokens, and none of a connection's or of those written here (checked);
 * they are sent in lower case. Control characters in values are sent as spaces. Values and names
 * are copied. ERR_NO_MEMORY: nothing was queued; h2_reset the stream.
 */
MUST_CHECK int h2_respond(struct h2 *h2, int32_t stream_id, const struct http_response *response,
                          struct slice date, const struct h2_body *body);
/* The interim "100 Continue" of a request with expect_continue, before h2_respond. ERR_NO_MEMORY. */
MUST_CHECK int h2_put_continue(struct h2 *h2, int32_t stream_id);
/* After H2_PULL_LATER: pull again. Does nothing for a stream that does not wait or is gone. */
void h2_resume(struct h2 *h2, int32_t stream_id);
/*
 * Whether the body of a response stands still because the client gives this stream no credit, though
 * it has some left for the connection.
 */
bool h2_is_starved(const struct h2 *h2, int32_t stream_id);
/* Ends a stream with an error code; on_closed follows from h2_write. Nothing if it is gone. */
void h2_reset(struct h2 *h2, int32_t stream_id, uint32_t code);

/*
 * Graceful shutdown (RFC 9113 section 6.8): says that no new streams are wanted; those that are on
 * their way are still served.
 */
void h2_drain(struct h2 *h2);
/* A round trip or so later: new streams are ignored from here on, open ones are served. */
void h2_drain_end(struct h2 *h2);

/* Streams between on_begin and on_closed. */
size_t h2_stream_count(const struct h2 *h2);
bool h2_is_idle(const struct h2 *h2); /* none */
/* Nothing is left to be read or written: close the connection. */
bool h2_is_done(const struct h2 *h2);

/* The version of nghttp2 that runs. Static. */
const char *h2_library_version(void);

#endif
