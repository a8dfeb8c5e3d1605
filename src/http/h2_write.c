/*
 * Output of HTTP/2: frames from nghttp2 into the caller's queue, and the bodies of responses, which
 * go from where they are straight into it.
 */
#include <string.h>

#include "base/check.h"
#include "http/h2_state.h"

static int pull_last(struct h2 *h2, struct h2_stream *stream, const struct h2_piece *piece,
                     uint32_t *flags)
{
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (piece->trailer_count == 0) {
        return ERR_OK;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return h2_send_trailers(h2, stream, piece);
}

/* Returns how many bytes the next DATA frame has, which write_data will then be asked for. */
static ssize_t pull_data(nghttp2_session *session, int32_t stream_id, uint8_t *unused, size_t max,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)stream_id;
    (void)unused;
    struct h2 *h2 = user;
    struct h2_stream *stream = source->ptr;
    CHECK_MAGIC(stream, H2_STREAM_MAGIC);
    struct h2_piece piece = {.bytes = SLICE("")};
    max = max < H2_MAX_DATA_BYTES ? max : H2_MAX_DATA_BYTES;
    enum h2_pull pulled = stream->body.pull(stream->body.source, max, &piece);
    if (pulled == H2_PULL_LATER) {
        return NGHTTP2_ERR_DEFERRED;
    }
    if (pulled == H2_PULL_FAIL ||
        (pulled == H2_PULL_LAST && pull_last(h2, stream, &piece, flags) != ERR_OK)) {
        stream->is_paid = true;
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    CHECK(piece.bytes.len <= max && (piece.bytes.len > 0 || pulled == H2_PULL_LAST));
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    stream->piece = piece.bytes;
    return (ssize_t)piece.bytes.len;
}

/* Where `out` has no room the frame is kept, and nghttp2 asks again. */
static int write_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
                      size_t len, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)frame;
    struct h2 *h2 = user;
    struct h2_stream *stream = source->ptr;
    CHECK_MAGIC(stream, H2_STREAM_MAGIC);
    CHECK(len == stream->piece.len);
    char *at = bytes_reserve(h2->out, H2_FRAME_HEADER_BYTES + len);
    if (at == NULL) {
        h2->out_failed = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    memcpy(at, header, H2_FRAME_HEADER_BYTES);
    if (len > 0) {
        memcpy(at + H2_FRAME_HEADER_BYTES, stream->piece.ptr, len);
    }
    bytes_commit(h2->out, H2_FRAME_HEADER_BYTES + len);
    stream->piece = SLICE("");
    h2->data_written = true;
    return NGHTTP2_ERR_PAUSE; /* comes back to h2_write, which looks at its mark */
}

/* RFC 9113 section 8.1: the answer is complete, what is left of the request is of no use. */
static void end_answer(struct h2 *h2, struct h2_stream *stream)
{
    stream->is_sent = true;
    h2_budget_earn(&h2->budget, H2_GAIN_ANSWER);
    if (nghttp2_session_get_stream_remote_close(h2->session, stream->id) == 0) {
        h2_end_stream(h2, stream, NGHTTP2_NO_ERROR);
    }
}

/*
 * One that the engine did not ask for: nghttp2 has found a connection error, or had no memory to
 * compress a head.
 */
static void note_goaway(struct h2 *h2, uint32_t code)
{
    if (code == NGHTTP2_NO_ERROR || h2->is_closing) {
        return;
    }
    h2->is_closing = true;
    h2->is_terminated = true;
    h2->close_error = code == NGHTTP2_INTERNAL_ERROR ? ERR_NO_MEMORY : ERR_INVALID;
    if (code == NGHTTP2_INTERNAL_ERROR) {
        h2->close_text = H2_NO_MEMORY_TEXT;
    } else if (h2->close_text == NULL) {
        h2->close_text = "the HTTP/2 client broke the protocol";
    }
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct h2 *h2 = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        note_goaway(h2, frame->goaway.error_code);
        return 0;
    }
    if (frame->hd.type == NGHTTP2_DATA && frame->hd.length >= H2_SMALL_WINDOW_BYTES) {
        h2_budget_earn(&h2->budget, H2_GAIN_DATA);
    }
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct h2_stream *stream = h2_find_stream(h2, frame->hd.stream_id);
        if (stream != NULL) {
            end_answer(h2, stream);
        }
    }
    return h2->is_lost ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* A head that nghttp2 will not send (it is too long): the client must not wait for it. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int code,
                             void *user)
{
    (void)session;
    struct h2 *h2 = user;
    if (frame->hd.type == NGHTTP2_HEADERS && code == NGHTTP2_ERR_FRAME_SIZE_ERROR) {
        h2_reset(h2, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    }
    return h2->is_lost ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void h2_write_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, write_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
}

nghttp2_data_provider h2_write_provider(struct h2_stream *stream)
{
    return (nghttp2_data_provider){.source = {.ptr = stream}, .read_callback = pull_data};
}

static bool put_unsent(struct h2 *h2, struct bytes *out)
{
    if (h2->unsent.len > 0) {
        if (bytes_put(out, h2->unsent) != ERR_OK) {
            return false;
        }
        h2->unsent = SLICE("");
    }
    return true;
}

/* Writes the next frame. False when there is none, or no room. */
static bool write_frame(struct h2 *h2, struct bytes *out)
{
    const uint8_t *frame = NULL;
    h2->data_written = false;
    ssize_t len = nghttp2_session_mem_send(h2->session, &frame);
    if (len < 0) {
        h2_lose(h2);
        return false;
    }
    h2->unsent = slice_make(frame, (size_t)len);
    if (!put_unsent(h2, out)) {
        h2->out_failed = true;
        return false;
    }
    if (h2->is_closing) {
        h2_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    return len > 0 || h2->data_written;
}

int h2_write(struct h2 *h2, struct bytes *out, size_t high_bytes)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    CHECK(!h2->is_running);
    if (!put_unsent(h2, out)) {
        return ERR_NO_MEMORY;
    }
    h2->is_running = true;
    h2->out = out;
    h2->out_failed = false;
    while (bytes_len(out) < high_bytes && h2_wants_write(h2) && write_frame(h2, out)) {}
    h2->out = NULL;
    h2->is_running = false;
    return h2->out_failed || h2->is_lost ? ERR_NO_MEMORY : ERR_OK;
}

bool h2_wants_write(const struct h2 *h2)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    return !h2->is_lost && (h2->unsent.len > 0 || nghttp2_session_want_write(h2->session) != 0);
}
