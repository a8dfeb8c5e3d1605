/*
 * The life of an HTTP/2 connection: nghttp2 takes frames apart, makes them, and holds clients to
 * RFC 9113. What comes in is h2_read.c's, what goes out h2_write.c's, responses are h2_send.c's.
 */
#include "http/h2.h"

#include "base/check.h"
#include "base/mem.h"
#include "http/h2_state.h"

/* Acknowledgements of PING and SETTINGS that wait for a client to read: no sound one is so late. */
#define MAX_QUEUED_ACKS 256
/* Frames of any kind that wait: those of every stream's answer, and window updates. */
#define QUEUED_FRAMES_BASE 1024
#define QUEUED_FRAMES_PER_STREAM 4
#define MIN_WINDOW_BYTES 65535u
#define MAX_WINDOW_BYTES 0x7fffffffu

enum h2_preface h2_preface_match(struct slice start)
{
    struct slice preface = SLICE(H2_PREFACE);
    if (start.len >= preface.len) {
        return slice_starts_with(start, preface) ? H2_PREFACE_YES : H2_PREFACE_NO;
    }
    return slice_starts_with(preface, start) ? H2_PREFACE_MORE : H2_PREFACE_NO;
}

struct h2_stream *h2_find_stream(const struct h2 *h2, int32_t stream_id)
{
    struct h2_stream *stream =
        h2->is_lost ? NULL : nghttp2_session_get_stream_user_data(h2->session, stream_id);
    if (stream != NULL) {
        CHECK_MAGIC(stream, H2_STREAM_MAGIC);
    }
    return stream;
}

void h2_lose(struct h2 *h2)
{
    h2->is_closing = true;
    h2->is_lost = true;
    h2->close_error = ERR_NO_MEMORY;
    h2->close_text = H2_NO_MEMORY_TEXT;
}

void h2_end_stream(struct h2 *h2, struct h2_stream *stream, uint32_t code)
{
    stream->is_deaf = true;
    if (nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, stream->id, code) != 0) {
        h2_lose(h2);
    }
}

void h2_terminate(struct h2 *h2, uint32_t code)
{
    CHECK(h2->is_closing);
    if (!h2->is_terminated && !h2->is_lost) {
        h2->is_terminated = true;
        if (nghttp2_session_terminate_session(h2->session, code) != 0) {
            h2_lose(h2);
        }
    }
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        return NULL;
    }
    h2_read_set_callbacks(callbacks);
    h2_write_set_callbacks(callbacks);
    return callbacks;
}

static nghttp2_option *make_option(void)
{
    nghttp2_option *option;
    if (nghttp2_option_new(&option) != 0) {
        return NULL;
    }
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, MAX_QUEUED_ACKS);
    /*
     * Counted by h2_count_frame instead: this depends on how input is split in some versions, and
     * that reads a clock.
     */
    nghttp2_option_set_max_continuations(option, SIZE_MAX);
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
    return option;
}

/* Callbacks and options come from malloc: nghttp2 cannot be told otherwise. They are gone after. */
static int make_session(struct h2 *h2)
{
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option = make_option();
    int status = ERR_NO_MEMORY;
    if (callbacks != NULL && option != NULL &&
        nghttp2_session_server_new3(&h2->session, callbacks, h2, option, &h2->mem) == 0) {
        status = ERR_OK;
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return status;
}

static int submit_settings(struct h2 *h2, const struct h2_options *options)
{
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options->max_concurrent_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options->stream_window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options->max_head_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, entries,
                                sizeof(entries) / sizeof(entries[0])) != 0 ||
        nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)options->connection_window_bytes) != 0) {
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

struct h2 *h2_new(const struct h2_options *options, const struct h2_events *events, void *user)
{
    CHECK(options->stream_window_bytes >= MIN_WINDOW_BYTES &&
          options->stream_window_bytes <= MAX_WINDOW_BYTES &&
          options->connection_window_bytes >= MIN_WINDOW_BYTES &&
          options->connection_window_bytes <= MAX_WINDOW_BYTES);
    struct h2 *h2 = mem_zalloc(1, sizeof(*h2));
    if (h2 == NULL) {
        return NULL;
    }
    h2->magic = H2_MAGIC;
    h2->mem =
        (nghttp2_mem){&h2->heap, h2_heap_alloc, h2_heap_free, h2_heap_zalloc, h2_heap_realloc};
    h2->events = events;
    h2->user = user;
    h2->limits = (struct h2_head_limits){options->max_head_bytes, options->max_fields};
    h2->max_queued_frames =
        QUEUED_FRAMES_BASE + QUEUED_FRAMES_PER_STREAM * (size_t)options->max_concurrent_streams;
    h2_budget_init(&h2->budget);
    h2_scan_init(&h2->scan);
    if (make_session(h2) != ERR_OK || submit_settings(h2, options) != ERR_OK) {
        h2_free(h2);
        return NULL;
    }
    return h2;
}

void h2_free(struct h2 *h2)
{
    if (h2 == NULL) {
        return;
    }
    CHECK_MAGIC(h2, H2_MAGIC);
    CHECK(!h2->is_running);
    h2->is_running = true;
    while (h2->streams != NULL) {
        h2_close_stream(h2, h2->streams);
    }
    if (!h2->is_lost) {
        nghttp2_session_del(h2->session);
    }
    h2_heap_done(&h2->heap);
    h2->magic = 0;
    mem_free(h2);
}

/* Reading has failed: nghttp2_session_mem_recv must not be called again, but may still send. */
static void close_after(struct h2 *h2, int code)
{
    if (code == NGHTTP2_ERR_NOMEM) {
        h2_lose(h2);
    } else if (code != NGHTTP2_ERR_CALLBACK_FAILURE) {
        h2_stop(h2, nghttp2_strerror(code));
    }
    h2_terminate(h2, code == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? NGHTTP2_PROTOCOL_ERROR
                                                          : NGHTTP2_ENHANCE_YOUR_CALM);
}

/* RFC 9113 section 6.3. nghttp2 looks at no PRIORITY since we have said that we use none. */
static bool is_misplaced(const struct h2 *h2)
{
    return h2_scan_type(&h2->scan) == NGHTTP2_PRIORITY && h2_scan_stream(&h2->scan) == 0;
}

/*
 * A header or a payload, or what there is of it; returns how much that was. nghttp2 sees no byte of
 * two frames in one call: what it does after the last frame that it wants differs then.
 */
static size_t feed_frame(struct h2 *h2, struct slice input)
{
    bool found = false;
    size_t size = h2_scan_next(&h2->scan, input, &found);
    if (found && is_misplaced(h2)) {
        h2_stop(h2, "a PRIORITY frame on stream 0");
        h2_terminate(h2, NGHTTP2_PROTOCOL_ERROR);
        return size;
    }
    ssize_t result = found ? h2_count_frame(h2) : 0;
    if (result == 0) {
        result = nghttp2_session_mem_recv(h2->session, (const uint8_t *)input.ptr, size);
    }
    if (result < 0) {
        close_after(h2, (int)result);
    }
    return size;
}

enum h2_result h2_feed(struct h2 *h2, struct slice input, struct error *error)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    CHECK(!h2->is_running && error != NULL);
    h2->is_running = true;
    while (!h2->is_closing && input.len > 0) {
        input = slice_tail(input, feed_frame(h2, input));
    }
    h2->is_running = false;
    if (!h2->is_closing) {
        return H2_OK;
    }
    error_set(error, h2->close_error, "%s", h2->close_text);
    return H2_CLOSING;
}

void h2_drain(struct h2 *h2)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    if (!h2->is_lost && nghttp2_submit_shutdown_notice(h2->session) != 0) {
        h2_lose(h2);
    }
}

void h2_drain_end(struct h2 *h2)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->session);
    if (!h2->is_lost && nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, last,
                                              NGHTTP2_NO_ERROR, NULL, 0) != 0) {
        h2_lose(h2);
    }
}

size_t h2_stream_count(const struct h2 *h2)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    return h2->stream_count;
}

bool h2_is_idle(const struct h2 *h2)
{
    return h2_stream_count(h2) == 0;
}

bool h2_is_done(const struct h2 *h2)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    return h2->is_lost || (!h2_wants_write(h2) && nghttp2_session_want_read(h2->session) == 0);
}

const char *h2_library_version(void)
{
    return nghttp2_version(0)->version_str;
}
