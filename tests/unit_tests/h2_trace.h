/*
 * Runs the bytes of a client through an HTTP/2 engine with a small service behind it and writes
 * down, as text, all that is said of each request and of the connection. Output is taken at fixed
 * places of the input, so that two deliveries of the same bytes must give the same text. Each piece
 * is fed from a copy of its own that is gone afterwards, so that a sanitizer sees what still points
 * there.
 *
 * The service answers a request by its path: "/early" before its body is read, "/stream" in pieces
 * of which none is there when first asked for, with trailers, "/fail" with a body that breaks off,
 * "/reset" not at all, "/big" with 100,000 bytes; all others with their body, at their end.
 */
#ifndef H2_TRACE_H
#define H2_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "http/h1.h"
#include "http/h1_guard.h"
#include "http/h2.h"

#include "deliveries.h"

#define TRACE_STREAMS 16
#define TRACE_BIG_BYTES 100000
#define TRACE_BODY_MAX ((size_t)8 * 1024 * 1024)
#define TRACE_OUT_MAX ((size_t)64 * 1024)
#define TRACE_HIGH_BYTES ((size_t)16 * 1024)
#define TRACE_DATE SLICE("Sun, 06 Nov 1994 08:49:37 GMT")

struct trace;

/* The body of a response that is one run of bytes. Lives, as its bytes do, until on_closed. */
struct whole {
    struct slice rest;
};

static enum h2_pull pull_whole(void *source, size_t max, struct h2_piece *ret_piece)
{
    struct whole *whole = source;
    ret_piece->bytes = slice_head(whole->rest, max);
    whole->rest = slice_tail(whole->rest, ret_piece->bytes.len);
    return whole->rest.len > 0 ? H2_PULL_PIECE : H2_PULL_LAST;
}

struct trace_stream {
    struct trace *trace;
    bool in_use;
    int32_t id;
    struct arena arena;
    const struct http_request *request;
    struct bytes body;
    bool refused;
    bool ended;
    bool waits; /* for h2_resume */
    unsigned pulls;
    struct whole whole;
};

struct trace {
    struct bytes text;
    struct h2 *h2;
    struct bytes out;
    struct trace_stream streams[TRACE_STREAMS];
    size_t arena_max;  /* of a stream */
    size_t turn_bytes; /* output is taken each time this much input has gone in */
    bool keeps_out;    /* `out` is left to the test instead of being emptied */
    unsigned begun;
    unsigned heads;
    unsigned ended;
    unsigned refused;
    unsigned closed;
    unsigned reset;
    int refuse_status; /* of the last on_refuse */
    enum h2_result result;
    struct error error;
};

static char trace_big[TRACE_BIG_BYTES];

static void trace_line(struct trace *trace, const struct trace_stream *stream, const char *what)
{
    CHECK(bytes_printf(&trace->text, "%d %s\n", stream->id, what) == ERR_OK);
}

static void trace_text(struct trace *trace, const char *label, struct slice text)
{
    CHECK(bytes_printf(&trace->text, "  %s ", label) == ERR_OK);
    CHECK(bytes_put(&trace->text, text.ptr == NULL ? SLICE("(none)") : text) == ERR_OK);
    CHECK(bytes_put_byte(&trace->text, '\n') == ERR_OK);
}

static void trace_put_request(struct trace *trace, const struct http_request *request)
{
    trace_text(trace, "method", request->method);
    trace_text(trace, "target", request->target);
    trace_text(trace, "path", request->path);
    trace_text(trace, "query", request->query);
    for (size_t i = 0; i < request->field_count; i++) {
        trace_text(trace, "field", request->fields[i].name);
        trace_text(trace, "   is", request->fields[i].value);
    }
    CHECK(bytes_printf(&trace->text, "  length %llu, expects continue %d\n",
                       (unsigned long long)request->content_length,
                       request->expect_continue) == ERR_OK);
}

/* What must hold of any head that was let through, whatever the bytes were. */
static void trace_check_request(const struct http_request *request)
{
    size_t hosts = 0;
    CHECK(h1_guard_is_token(request->method) && request->path.len > 0);
    CHECK(request->target.len <= H1_MAX_TARGET_BYTES && request->field_count <= H2_MAX_FIELDS);
    for (size_t i = 0; i < request->target.len; i++) {
        CHECK(request->target.ptr[i] > ' ' && request->target.ptr[i] < 0x7f);
    }
    for (size_t i = 0; i < request->field_count; i++) {
        struct slice name = request->fields[i].name;
        struct slice value = request->fields[i].value;
        CHECK(h1_guard_is_token(name) && !slice_eq(name, SLICE("connection")) &&
              !slice_eq(name, SLICE("transfer-encoding")));
        CHECK(slice_find(value, '\r') == value.len && slice_find(value, '\n') == value.len &&
              slice_find(value, '\0') == value.len && slice_trim(value).len == value.len);
        hosts += slice_eq(name, SLICE("host"));
    }
    CHECK(hosts == 1);
}

static int trace_on_begin(void *user, int32_t stream_id, void **ret_stream,
                          struct arena **ret_arena)
{
    struct trace *trace = user;
    for (size_t i = 0; i < TRACE_STREAMS; i++) {
        struct trace_stream *stream = &trace->streams[i];
        if (!stream->in_use) {
            *stream = (struct trace_stream){.trace = trace, .in_use = true, .id = stream_id};
            arena_init(&stream->arena, trace->arena_max < 1024 ? 64 : 1024, trace->arena_max);
            bytes_init(&stream->body, TRACE_BODY_MAX);
            *ret_stream = stream;
            *ret_arena = &stream->arena;
            trace->begun++;
            trace_line(trace, stream, "begins");
            return 0;
        }
    }
    CHECK(bytes_printf(&trace->text, "%d not taken\n", stream_id) == ERR_OK);
    return -1;
}

static enum h2_pull trace_pull(void *source, size_t max, struct h2_piece *ret_piece)
{
    static const struct http_field trailers[] = {
        {SLICE("Grpc-Status"), SLICE("0")},
        {SLICE("grpc-message"), SLICE("all\r\nwell\n")},
    };
    struct trace_stream *stream = source;
    CHECK(max > 0 && max <= H2_MAX_DATA_BYTES);
    bool fails = slice_eq(stream->request->path, SLICE("/fail"));
    switch (stream->pulls++) {
    case 0:
        stream->waits = true;
        return H2_PULL_LATER;
    case 1:
        ret_piece->bytes = slice_head(SLICE("piece"), max);
        return H2_PULL_PIECE;
    default:
        ret_piece->trailers = trailers;
        ret_piece->trailer_count = 2;
        return fails ? H2_PULL_FAIL : H2_PULL_LAST;
    }
}

static void trace_answer(struct trace_stream *stream, int status, struct slice body)
{
    static const struct http_field fields[] = {
        {SLICE("Content-Type"), SLICE("text/plain")},
        {SLICE("X-Split"), SLICE("a\r\nb: c\t ")},
    };
    struct http_response response = {status, fields, 2, body.len};
    struct h2 *h2 = stream->trace->h2;
    stream->whole = (struct whole){.rest = body};
    struct h2_body source = {pull_whole, &stream->whole};
    struct slice path = stream->request == NULL ? SLICE("") : stream->request->path;
    if (slice_eq(path, SLICE("/stream")) || slice_eq(path, SLICE("/fail"))) {
        source = (struct h2_body){trace_pull, stream};
        response.content_length = HTTP_LENGTH_UNKNOWN;
    }
    if (h2_respond(h2, stream->id, &response, TRACE_DATE, &source) != ERR_OK) {
        h2_reset(h2, stream->id, H2_INTERNAL_ERROR);
    }
}

static int trace_on_head(void *user, void *stream_user, const struct http_request *request)
{
    struct trace *trace = user;
    struct trace_stream *stream = stream_user;
    trace_check_request(request);
    CHECK(stream->request == NULL && !stream->refused);
    stream->request = request;
    trace->heads++;
    trace_line(trace, stream, "head");
    trace_put_request(trace, request);
    if (request->expect_continue && h2_put_continue(trace->h2, stream->id) != ERR_OK) {
        h2_reset(trace->h2, stream->id, H2_INTERNAL_ERROR);
        return -1;
    }
    if (slice_eq(request->path, SLICE("/early"))) {
        trace_answer(stream, 413, SLICE("early"));
        return -1;
    }
    if (slice_eq(request->path, SLICE("/reset"))) {
        h2_reset(trace->h2, stream->id, H2_CANCEL);
        return -1;
    }
    return 0;
}

static int trace_on_body(void *user, void *stream_user, struct slice piece)
{
    struct trace *trace = user;
    struct trace_stream *stream = stream_user;
    CHECK(piece.len > 0 && stream->request != NULL && !stream->ended);
    if (bytes_put(&stream->body, piece) != ERR_OK) {
        h2_reset(trace->h2, stream->id, H2_INTERNAL_ERROR);
        return -1;
    }
    return 0;
}

static void trace_on_end(void *user, void *stream_user)
{
    struct trace *trace = user;
    struct trace_stream *stream = stream_user;
    uint64_t length = stream->request->content_length;
    CHECK(!stream->ended && (length == HTTP_LENGTH_UNKNOWN || length == bytes_len(&stream->body)));
    stream->ended = true;
    trace->ended++;
    trace_line(trace, stream, "end");
    trace_text(trace, "body", bytes_slice(&stream->body));
    trace_put_request(trace, stream->request); /* still there, whatever became of the input */
    bool big = slice_eq(stream->request->path, SLICE("/big"));
    trace_answer(stream, 200,
                 big ? slice_make(trace_big, TRACE_BIG_BYTES) : bytes_slice(&stream->body));
}

static void trace_on_refuse(void *user, void *stream_user, int status, const struct error *error)
{
    struct trace *trace = user;
    struct trace_stream *stream = stream_user;
    CHECK(stream->request == NULL && !stream->refused);
    stream->refused = true;
    trace->refused++;
    trace->refuse_status = status;
    trace_line(trace, stream, "refused");
    trace_text(trace, "because", slice_from_str(error->text));
    trace_answer(stream, status, slice_from_str("refused"));
}

static void trace_on_closed(void *user, void *stream_user, bool reset)
{
    struct trace *trace = user;
    struct trace_stream *stream = stream_user;
    CHECK(stream->in_use);
    stream->in_use = false;
    trace->closed++;
    trace->reset += reset;
    trace_line(trace, stream, reset ? "closed, reset" : "closed");
    arena_done(&stream->arena);
    bytes_done(&stream->body);
}

static const struct h2_events trace_events = {
    trace_on_begin, trace_on_head, trace_on_body, trace_on_end, trace_on_refuse, trace_on_closed,
};

/* False where there is no memory for the engine. */
static inline bool trace_init(struct trace *trace, const struct h2_options *options)
{
    *trace = (struct trace){.turn_bytes = SIZE_MAX, .arena_max = (size_t)1024 * 1024};
    bytes_init(&trace->text, (size_t)64 * 1024 * 1024);
    bytes_init(&trace->out, TRACE_OUT_MAX);
    trace->h2 = h2_new(options, &trace_events, trace);
    return trace->h2 != NULL;
}

/* All that was begun has been closed by the end of this. */
static inline void trace_done(struct trace *trace)
{
    h2_free(trace->h2);
    CHECK(trace->begun == trace->closed);
    bytes_done(&trace->text);
    bytes_done(&trace->out);
}

static void trace_resume(struct trace *trace)
{
    for (size_t i = 0; i < TRACE_STREAMS; i++) {
        if (trace->streams[i].in_use && trace->streams[i].waits) {
            trace->streams[i].waits = false;
            h2_resume(trace->h2, trace->streams[i].id);
        }
    }
}

/* One turn: takes the output as a client would that reads everything. */
static inline void trace_write(struct trace *trace)
{
    int status = ERR_OK;
    trace_resume(trace);
    while (status == ERR_OK && h2_wants_write(trace->h2)) {
        size_t before = bytes_len(&trace->out);
        status = h2_write(trace->h2, &trace->out, TRACE_HIGH_BYTES);
        CHECK(bytes_len(&trace->out) <= TRACE_HIGH_BYTES + H2_WRITE_ROOM_BYTES);
        if (trace->keeps_out || (bytes_len(&trace->out) == before && status == ERR_OK)) {
            break;
        }
        bytes_reset(&trace->out, TRACE_OUT_MAX);
    }
}

static void trace_put_result(struct trace *trace)
{
    if (trace->result == H2_CLOSING) {
        trace_text(trace, "closing:", slice_from_str(trace->error.text));
    }
    CHECK(bytes_printf(&trace->text, "  open %zu, done %d\n", h2_stream_count(trace->h2),
                       h2_is_done(trace->h2)) == ERR_OK);
}

static inline void trace_feed(struct trace *trace, struct slice piece)
{
    char *copy = malloc(piece.len > 0 ? piece.len : 1); /* not mem_alloc: tests make that fail */
    CHECK(copy != NULL);
    if (piece.len > 0) {
        memcpy(copy, piece.ptr, piece.len);
    }
    trace->result = h2_feed(trace->h2, slice_make(copy, piece.len), &trace->error);
    free(copy);
}

/* Feeds all of the input; what comes after the engine is closing goes in for nothing. */
static inline void trace_run(struct trace *trace, struct slice input, struct delivery *delivery)
{
    size_t turn_end = trace->turn_bytes;
    size_t at = 0;
    while (at < input.len) {
        size_t size = delivery->next(delivery);
        size = size < input.len - at ? size : input.len - at;
        size = size < turn_end - at ? size : turn_end - at;
        trace_feed(trace, slice_make(input.ptr + at, size));
        at += size;
        if (at == turn_end) {
            trace_write(trace);
            turn_end += trace->turn_bytes;
        }
    }
    trace_write(trace);
    trace_write(trace); /* what h2_resume let go on */
    trace_feed(trace, SLICE(""));
    trace_put_result(trace);
}

#endif
