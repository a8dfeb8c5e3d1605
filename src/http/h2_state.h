/*
 * What the parts of the HTTP/2 engine share: its state and that of a stream. Only h2.c (life),
 * h2_read.c (input), h2_send.c (responses) and h2_write.c (output) include this.
 */
#ifndef HTTP_H2_STATE_H
#define HTTP_H2_STATE_H

#include <nghttp2/nghttp2.h>

#include "http/h2.h"
#include "http/h2_budget.h"
#include "http/h2_head.h"
#include "http/h2_heap.h"
#include "http/h2_scan.h"

#define H2_MAGIC 0x68320001u
#define H2_STREAM_MAGIC 0x68320002u
#define H2_NO_MEMORY_TEXT "no memory for the HTTP/2 connection"

/* Lives in the arena that on_begin gave, from then until on_closed. */
struct h2_stream {
    unsigned magic;
    int32_t id;
    struct h2_stream *previous;
    struct h2_stream *next;
    void *user; /* what on_begin gave */
    struct h2_head head;
    bool is_head_over; /* what follows are trailers */
    bool is_deaf;      /* no event but on_closed any more */
    bool is_answered;  /* h2_respond was called */
    bool is_sent;      /* ... and its END_STREAM written */
    bool is_paid;      /* that it ends early has been counted, or is no fault of the client */
    struct h2_body body;
    struct slice piece; /* between its pull and its writing */
};

struct h2 {
    unsigned magic;
    nghttp2_session *session;
    nghttp2_mem mem; /* on heap */
    struct h2_heap heap;
    const struct h2_events *events;
    void *user;
    struct h2_head_limits limits;
    size_t max_queued_frames;
    struct h2_budget budget;
    struct h2_scan scan;
    unsigned continuations; /* since the last HEADERS */
    struct h2_stream *streams;
    size_t stream_count;
    bool is_running;    /* inside h2_feed, h2_write or h2_free */
    bool is_closing;    /* nothing more is read */
    bool is_terminated; /* ... and the GOAWAY that says so is queued or sent */
    bool is_lost;       /* nghttp2 ran out of memory: nothing can be read or written */
    enum error_code close_error;
    const char *close_text; /* why, or what was wrong with the last bad frame; static */
    /* During h2_write. */
    struct bytes *out;
    bool out_failed;     /* there was no room */
    bool data_written;   /* the last call of nghttp2 wrote a DATA frame */
    struct slice unsent; /* nghttp2's, a frame that has not found room in `out` yet */
};

/* NULL for a stream that is gone, or was refused, and when the connection is lost. */
struct h2_stream *h2_find_stream(const struct h2 *h2, int32_t stream_id);
/*
 * Ends the connection from within a callback of nghttp2. Returns what stops its reading; what it
 * writes goes on to the end of the frame.
 */
int h2_stop(struct h2 *h2, const char *text);
/* Of every frame, when its header is whole: 0, or what h2_stop returned. */
MUST_CHECK int h2_count_frame(struct h2 *h2);
/* Its last event. */
void h2_close_stream(struct h2 *h2, struct h2_stream *stream);
/* Queues RST_STREAM, and no event follows but on_closed. Without memory the connection is lost. */
void h2_end_stream(struct h2 *h2, struct h2_stream *stream, uint32_t code);
/* nghttp2 ran out of memory in the middle of something. */
void h2_lose(struct h2 *h2);
/* Queues the GOAWAY of a connection that is closing, where that has not been done. */
void h2_terminate(struct h2 *h2, uint32_t code);
/* The callbacks of h2_read.c and h2_write.c. */
void h2_read_set_callbacks(nghttp2_session_callbacks *callbacks);
void h2_write_set_callbacks(nghttp2_session_callbacks *callbacks);
/* The data provider of nghttp2 for the body of a stream. */
nghttp2_data_provider h2_write_provider(struct h2_stream *stream);
/* Queues the trailers of a response. ERR_NO_MEMORY. */
MUST_CHECK int h2_send_trailers(struct h2 *h2, struct h2_stream *stream,
                                const struct h2_piece *last);

#endif
