/*
 * Input of HTTP/2: the callbacks by which nghttp2 says what has come. They become events, requests
 * are put together from fields, and what clients could do for ever is counted.
 */
#include "base/check.h"
#include "http/h2_state.h"

/* CONTINUATION frames of a head: with HEADERS 144 KiB compressed, twice the largest we take. */
#define MAX_CONTINUATIONS 8

/* Each stream in turn, whatever the client thinks of priorities (RFC 9218 section 4). */
static const nghttp2_extpri round_robin = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};

int h2_stop(struct h2 *h2, const char *text)
{
    if (!h2->is_closing) {
        h2->is_closing = true;
        h2->close_error = ERR_INVALID;
        h2->close_text = text;
    }
    return h2->out == NULL ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int spend(struct h2 *h2, enum h2_cost cost)
{
    return h2_budget_spend(&h2->budget, cost)
               ? 0
               : h2_stop(h2, "the HTTP/2 client makes more work than it lets be finished");
}

static int lost_or(const struct h2 *h2, int value)
{
    return h2->is_lost ? NGHTTP2_ERR_CALLBACK_FAILURE : value;
}

int h2_count_frame(struct h2 *h2)
{
    if (nghttp2_session_get_outbound_queue_size(h2->session) > h2->max_queued_frames) {
        return h2_stop(h2, "the HTTP/2 client does not read what it makes us send");
    }
    switch (h2_scan_type(&h2->scan)) {
    case NGHTTP2_HEADERS:
        h2->continuations = 0;
        return 0;
    case NGHTTP2_CONTINUATION:
        return ++h2->continuations <= MAX_CONTINUATIONS
                   ? 0
                   : h2_stop(h2, "an HTTP/2 head has too many CONTINUATION frames");
    case NGHTTP2_DATA:
    case NGHTTP2_GOAWAY:
    case NGHTTP2_WINDOW_UPDATE:
        return 0;
    case NGHTTP2_RST_STREAM:
        return spend(h2, H2_COST_STREAM);
    case NGHTTP2_SETTINGS:
        return (h2_scan_flags(&h2->scan) & NGHTTP2_FLAG_ACK) != 0 ? 0 : spend(h2, H2_COST_SETTINGS);
    default:
        return spend(h2, H2_COST_FRAME);
    }
}

/*
 * Costs its client nothing: what is short is ours, and it does as it is told where it tries again. A
 * refusal is less work than an answer, and what is not read of them is bounded (max_queued_frames).
 */
static int refuse_stream(struct h2 *h2, int32_t stream_id)
{
    if (nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, stream_id,
                                  NGHTTP2_REFUSED_STREAM) != 0) {
        h2_lose(h2);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void link_stream(struct h2 *h2, struct h2_stream *stream)
{
    stream->next = h2->streams;
    if (stream->next != NULL) {
        stream->next->previous = stream;
    }
    h2->streams = stream;
    h2->stream_count++;
}

void h2_close_stream(struct h2 *h2, struct h2_stream *stream)
{
    CHECK_MAGIC(stream, H2_STREAM_MAGIC);
    *(stream->previous == NULL ? &h2->streams : &stream->previous->next) = stream->next;
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    h2->stream_count--;
    if (!h2->is_lost) {
        nghttp2_session_set_stream_user_data(h2->session, stream->id, NULL);
    }
    stream->magic = 0;
    h2->events->on_closed(h2->user, stream->user, !stream->is_sent);
}

/* A stream that the caller has taken needs its record; without one it ends at once. */
static int open_stream(struct h2 *h2, int32_t stream_id, void *user, struct arena *arena)
{
    struct h2_stream *stream = arena_zalloc(arena, 1, sizeof(*stream));
    if (stream == NULL) {
        h2->events->on_closed(h2->user, user, true);
        return refuse_stream(h2, stream_id);
    }
    stream->magic = H2_STREAM_MAGIC;
    stream->id = stream_id;
    stream->user = user;
    stream->head.arena = arena;
    link_stream(h2, stream);
    nghttp2_session *session = h2->session;
    if (nghttp2_session_set_stream_user_data(session, stream_id, stream) != 0 ||
        nghttp2_session_change_extpri_stream_priority(session, stream_id, &round_robin, 1) != 0) {
        h2_lose(h2);
    }
    return lost_or(h2, 0);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct h2 *h2 = user;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    void *stream = NULL;
    struct arena *arena = NULL;
    if (h2->events->on_begin(h2->user, frame->hd.stream_id, &stream, &arena) != 0) {
        return refuse_stream(h2, frame->hd.stream_id);
    }
    return open_stream(h2, frame->hd.stream_id, stream, arena);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)session;
    (void)flags;
    struct h2 *h2 = user;
    struct h2_stream *stream = h2_find_stream(h2, frame->hd.stream_id);
    if (stream == NULL) {
        return 0;
    }
    bool (*add)(struct h2_head *, const struct h2_head_limits *, struct slice, struct slice) =
        stream->is_head_over ? h2_head_add_trailer : h2_head_add;
    if (!add(&stream->head, &h2->limits, slice_make(name, name_len),
             slice_make(value, value_len))) {
        return h2_stop(h2, "the head of an HTTP/2 request is many times too large");
    }
    return 0;
}

/* nghttp2 would drop such a field; RFC 9113 section 8.2.1 calls the request malformed. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *user)
{
    (void)session;
    (void)frame;
    (void)name;
    (void)name_len;
    (void)value;
    (void)value_len;
    (void)flags;
    (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void end_head(struct h2 *h2, struct h2_stream *stream, bool ended)
{
    struct error error = {0};
    int status = h2_head_finish(&stream->head, ended, &error);
    stream->is_head_over = true;
    if (status == H2_HEAD_MALFORMED) {
        h2_end_stream(h2, stream, NGHTTP2_PROTOCOL_ERROR);
    } else if (status != 0) {
        stream->is_deaf = true;
        h2->events->on_refuse(h2->user, stream->user, status, &error);
    } else if (h2->events->on_head(h2->user, stream->user, &stream->head.request) != 0) {
        stream->is_deaf = true;
    }
}

static void end_request(struct h2 *h2, struct h2_stream *stream)
{
    if (!stream->is_deaf && stream->head.is_too_large) {
        /* The trailers were: the head is long accepted. */
        h2_end_stream(h2, stream, NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (!stream->is_deaf) {
        h2->events->on_end(h2->user, stream->user);
    }
}

/* The end of the stream will not be counted again. */
static void mark_paid(struct h2 *h2, int32_t stream_id)
{
    struct h2_stream *stream = h2_find_stream(h2, stream_id);
    if (stream != NULL) {
        stream->is_paid = true;
    }
}

static int count_content(struct h2 *h2, const nghttp2_frame *frame)
{
    if (frame->hd.type == NGHTTP2_DATA) {
        bool is_empty = frame->hd.length == frame->data.padlen;
        bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        return is_empty && !is_last ? spend(h2, H2_COST_FRAME) : 0;
    }
    if (frame->hd.type == NGHTTP2_WINDOW_UPDATE) {
        bool is_small = frame->window_update.window_size_increment < H2_SMALL_WINDOW_BYTES;
        return is_small ? spend(h2, H2_COST_SMALL_WINDOW) : 0;
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        mark_paid(h2, frame->hd.stream_id);
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct h2 *h2 = user;
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    int status = count_content(h2, frame);
    if (status != 0 || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)) {
        return status;
    }
    struct h2_stream *stream = h2_find_stream(h2, frame->hd.stream_id);
    if (stream == NULL) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        end_head(h2, stream, ended);
    }
    if (ended) {
        end_request(h2, stream);
    }
    return lost_or(h2, 0);
}

/* Called before nghttp2 ends the connection, or after it ended the stream, for that frame. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *user)
{
    (void)session;
    struct h2 *h2 = user;
    h2->close_text = nghttp2_strerror(code);
    mark_paid(h2, frame->hd.stream_id);
    return spend(h2, H2_COST_STREAM);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                   size_t len, void *user)
{
    (void)flags;
    struct h2 *h2 = user;
    struct h2_stream *stream = h2_find_stream(h2, stream_id);
    if (stream != NULL && !stream->is_deaf && len > 0 &&
        h2->events->on_body(h2->user, stream->user, slice_make(bytes, len)) != 0) {
        stream->is_deaf = true;
    }
    if (nghttp2_session_consume(session, stream_id, len) != 0) {
        h2_lose(h2);
    }
    return lost_or(h2, 0);
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *user)
{
    (void)session;
    struct h2 *h2 = user;
    struct h2_stream *stream = h2_find_stream(h2, stream_id);
    if (stream == NULL) {
        return 0;
    }
    /* What is left is what the client made us reset. */
    bool is_fault = code != NGHTTP2_NO_ERROR && !stream->is_paid;
    h2_close_stream(h2, stream);
    return is_fault ? spend(h2, H2_COST_STREAM) : 0;
}

void h2_read_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
