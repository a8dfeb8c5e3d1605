/*
 * Runs bytes through an HTTP/1.1 engine and writes down all that it says, as text: events, results,
 * how much it consumed, and the error. Two deliveries of the same bytes must give the same text.
 * Each piece is fed from a copy of its own that is gone afterwards, so that a sanitizer sees what
 * still points there.
 */
#ifndef H1_TRACE_H
#define H1_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "http/h1.h"
#include "http/h1_guard.h"

#include "deliveries.h"

#define TRACE_DATE SLICE("Sun, 06 Nov 1994 08:49:37 GMT")

struct trace {
    struct bytes text;
    struct arena arena;
    struct h1 *h1;
    const struct http_request *request;
    uint64_t body_bytes;
    bool quiet_body;     /* count the bytes of bodies instead of writing them down */
    bool stop_at_head;   /* on_head returns non-zero */
    uint64_t stop_after; /* on_body returns non-zero when this many bytes came; 0: never */
    unsigned requests;
    unsigned ended;
    int error_status; /* 0: no error */
    enum error_code error_code;
};

static void trace_put(struct trace *trace, struct slice text)
{
    CHECK(bytes_put(&trace->text, text) == ERR_OK);
}

static void trace_put_text(struct trace *trace, const char *label, struct slice text)
{
    trace_put(trace, slice_from_str(label));
    trace_put(trace, text.ptr == NULL ? SLICE("(none)") : text);
    trace_put(trace, SLICE("\n"));
}

static void trace_put_number(struct trace *trace, const char *label, uint64_t number)
{
    CHECK(bytes_printf(&trace->text, "%s%llu\n", label, (unsigned long long)number) == ERR_OK);
}

static void trace_put_request(struct trace *trace, const struct http_request *request)
{
    trace_put_text(trace, "method ", request->method);
    trace_put_text(trace, "target ", request->target);
    trace_put_text(trace, "path ", request->path);
    trace_put_text(trace, "query ", request->query);
    for (size_t i = 0; i < request->field_count; i++) {
        trace_put_text(trace, "field ", request->fields[i].name);
        trace_put_text(trace, "  is ", request->fields[i].value);
    }
    trace_put_number(trace, "length ", request->content_length);
    trace_put_number(trace, "expects continue ", request->expect_continue);
}

static size_t trace_count(const struct http_request *request, struct slice name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->field_count; i++) {
        count += slice_eq_nocase(request->fields[i].name, name);
    }
    return count;
}

/* What must hold of any head that was let through, whatever the bytes were. */
static void trace_check_request(const struct http_request *request)
{
    CHECK(h1_guard_is_token(request->method) && request->path.len > 0);
    CHECK(request->target.len <= H1_MAX_TARGET_BYTES && request->field_count <= H1_MAX_FIELDS);
    for (size_t i = 0; i < request->target.len; i++) {
        CHECK(request->target.ptr[i] > ' ' && request->target.ptr[i] < 0x7f);
    }
    for (size_t i = 0; i < request->field_count; i++) {
        struct slice value = request->fields[i].value;
        CHECK(h1_guard_is_token(request->fields[i].name));
        CHECK(slice_find(value, '\r') == value.len && slice_find(value, '\n') == value.len &&
              slice_find(value, '\0') == value.len && slice_trim(value).len == value.len);
    }
    size_t lengths = trace_count(request, SLICE("Content-Length"));
    size_t codings = trace_count(request, SLICE("Transfer-Encoding"));
    CHECK(trace_count(request, SLICE("Host")) <= 1 && lengths + codings <= 1);
    CHECK((codings == 1) == (request->content_length == HTTP_LENGTH_UNKNOWN));
    CHECK(lengths == 1 || codings == 1 || request->content_length == 0);
}

static int trace_on_head(void *user, const struct http_request *request)
{
    struct trace *trace = user;
    CHECK(!h1_is_idle(trace->h1) && !h1_keeps_alive(trace->h1));
    trace_check_request(request);
    trace->request = request;
    trace->requests++;
    trace->body_bytes = 0;
    trace_put_request(trace, request);
    trace_put(trace, SLICE("body "));
    return trace->stop_at_head;
}

static int trace_on_body(void *user, struct slice piece)
{
    struct trace *trace = user;
    CHECK(piece.len > 0);
    trace->body_bytes += piece.len;
    if (!trace->quiet_body) {
        trace_put(trace, piece);
    }
    return trace->stop_after > 0 && trace->body_bytes >= trace->stop_after;
}

static void trace_on_end(void *user)
{
    struct trace *trace = user;
    trace->ended++;
    CHECK(trace->request->content_length == HTTP_LENGTH_UNKNOWN ||
          trace->request->content_length == trace->body_bytes);
    trace_put_number(trace, "\nend after ", trace->body_bytes);
    trace_put_number(trace, "keeps alive ", h1_keeps_alive(trace->h1));
    trace_put_request(trace, trace->request); /* still there, whatever became of the input */
}

static const struct h1_events trace_events = {trace_on_head, trace_on_body, trace_on_end};

/* False where there is no memory for the engine. */
static inline bool trace_init(struct trace *trace, size_t arena_block_bytes, size_t arena_max_bytes)
{
    *trace = (struct trace){0};
    bytes_init(&trace->text, 256 * 1024 * 1024);
    arena_init(&trace->arena, arena_block_bytes, arena_max_bytes);
    trace->h1 = h1_new(&trace_events, trace);
    return trace->h1 != NULL;
}

static inline void trace_done(struct trace *trace)
{
    h1_free(trace->h1);
    arena_done(&trace->arena);
    bytes_done(&trace->text);
}

static enum h1_result trace_feed(struct trace *trace, struct slice piece, size_t *ret_consumed,
                                 struct error *error)
{
    char *copy = malloc(piece.len > 0 ? piece.len : 1); /* not mem_alloc: tests make that fail */
    CHECK(copy != NULL);
    memcpy(copy, piece.ptr, piece.len);
    enum h1_result result = h1_feed(trace->h1, slice_make(copy, piece.len), ret_consumed, error);
    free(copy);
    return result;
}

static void trace_put_result(struct trace *trace, enum h1_result result, size_t consumed,
                             const struct error *error)
{
    static const char *const names[] = {"more", "done", "stopped", "error"};
    trace_put_text(trace, "result ", slice_from_str(names[result]));
    if (result != H1_STOPPED) {
        trace_put_number(trace, "consumed ", consumed);
    }
    trace_put_number(trace, "idle ", h1_is_idle(trace->h1));
    if (result == H1_ERROR) {
        trace->error_status = h1_error_status(trace->h1);
        trace->error_code = error->code;
        trace_put_number(trace, "status ", (uint64_t)trace->error_status);
        trace_put_text(trace, "text ", slice_from_str(error->text));
    }
}

/* Feeds requests until the input or the connection is at its end. */
static inline void trace_run(struct trace *trace, struct slice input, struct delivery *delivery)
{
    struct error error = {0};
    enum h1_result result = H1_MORE;
    size_t at = 0;
    size_t piece_end = 0;
    h1_next(trace->h1, &trace->arena);
    while (at < input.len && result != H1_STOPPED && result != H1_ERROR) {
        if (at == piece_end) {
            size_t size = delivery->next(delivery);
            piece_end = size < input.len - at ? at + size : input.len;
        }
        size_t consumed = SIZE_MAX;
        result = trace_feed(trace, slice_make(input.ptr + at, piece_end - at), &consumed, &error);
        CHECK(consumed <= piece_end - at);
        CHECK(result != H1_MORE || consumed == piece_end - at);
        at += consumed;
        if (result != H1_MORE || at == input.len) {
            trace_put_result(trace, result, at, &error);
        }
        if (result == H1_DONE) {
            arena_reset(&trace->arena);
            h1_next(trace->h1, &trace->arena);
        }
    }
}

#endif
