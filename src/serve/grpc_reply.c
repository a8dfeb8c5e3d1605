/*
 * Answers of gRPC: a head with a status and nothing else, or head, messages and a status in trailers.
 * A small reply is one piece in the arena; a large one is sent from where it is, between what frames
 * it.
 */
#include <string.h>

#include "base/check.h"
#include "codec/codec.h"
#include "http/gzip.h"
#include "serve/exchange_trace.h"
#include "serve/grpc_call.h"

/* A message so small gains nothing by compression. */
#define GZIP_LEAST_BYTES ((size_t)1024)

/* ---- the status ---- */

static void count(const struct grpc_call *call, enum grpc_status status)
{
    const struct io_thread *io = call->exchange->io;
    enum metric_rpc rpc = call->method == NULL ? RPC_OTHER : call->method->rpc;
    metrics_count(io->metrics, METRIC_GRPC_REQUESTS, series_rpc(rpc, status), 1);
    uint64_t took_ns = exchange_took_ns(call->exchange);
    struct metrics_trace storage;
    const struct metrics_trace *trace = exchange_trace_exemplar(call->exchange, &storage);
    metrics_observe_exemplar(io->metrics, METRIC_GRPC_DURATION, rpc, took_ns, trace);
    if (rpc == RPC_PREDICT) {
        metrics_observe_exemplar(io->metrics, METRIC_INFERENCE_DURATION, INTERFACE_GRPC, took_ns,
                                 trace);
    }
}

void grpc_finish(struct grpc_call *call, enum grpc_status status, struct slice text)
{
    CHECK(!call->is_finished);
    struct exchange *exchange = call->exchange;
    call->is_finished = true;
    call->status_text[0] = (char)('0' + status / 10);
    call->status_text[1] = (char)('0' + status % 10);
    size_t skip = status < 10 ? 1 : 0;
    call->trailers[0] =
        (struct http_field){SLICE("grpc-status"), slice_make(call->status_text + skip, 2 - skip)};
    exchange->trailers = call->trailers;
    exchange->trailer_count = 1;
    struct slice message = grpc_encode_message(text, &exchange->arena);
    if (call->is_open && message.len > 0) { /* trailers may wait longer than the text lasts */
        message = arena_copy(&exchange->arena, message);
    }
    if (message.ptr != NULL && message.len > 0) {
        call->trailers[1] = (struct http_field){SLICE("grpc-message"), message};
        exchange->trailer_count = 2;
    }
    exchange->trailer_count +=
        exchange_trace_make_fields(exchange, &call->trailers[exchange->trailer_count]);
    count(call, status);
    exchange_trace_end(exchange, (int)status);
}

/* ---- heads ---- */

static void begin_head(struct exchange *exchange)
{
    exchange->response.status = 200;
    exchange->response.content_length = HTTP_LENGTH_UNKNOWN;
    exchange->response.fields = exchange->fields;
    exchange_add_field(exchange, SLICE("content-type"), SLICE("application/grpc"));
    exchange_add_request_id(exchange);
}

/* A status and nothing else is all in the head ("Trailers-Only"). */
static void send_status(struct exchange *exchange)
{
    begin_head(exchange);
    exchange_add_field(exchange, SLICE("grpc-accept-encoding"), GRPC_ACCEPT_ENCODING);
    for (size_t i = 0; i < exchange->trailer_count; i++) {
        exchange_add_field(exchange, exchange->trailers[i].name, exchange->trailers[i].value);
    }
    exchange->trailer_count = 0;
    exchange->outlet->send(exchange);
}

void grpc_reply_status(struct exchange *exchange, enum grpc_status status, struct slice text)
{
    struct grpc_call *call = exchange->call;
    if (call->is_finished) {
        return; /* an answer that goes on has ended otherwise */
    }
    grpc_finish(call, status, text);
    if (call->is_open) {
        exchange->outlet->resume(exchange);
    } else {
        send_status(exchange);
    }
}

/* What asks for no call of gRPC is answered in terms of HTTP. */
static void send_http_status(struct exchange *exchange)
{
    struct grpc_call *call = exchange->call;
    grpc_finish(call, GRPC_UNKNOWN, SLICE(""));
    exchange->trailer_count = 0;
    exchange->response.status = call->http_status;
    exchange->response.content_length = strlen(exchange->error.text);
    exchange->response.fields = exchange->fields;
    exchange->response_body = slice_from_str(exchange->error.text);
    exchange_add_field(exchange, SLICE("content-type"), SLICE("text/plain; charset=utf-8"));
    exchange_add_request_id(exchange);
    if (call->http_status == 405) {
        exchange_add_field(exchange, SLICE("allow"), SLICE("POST"));
    }
    exchange->outlet->send(exchange);
}

/* There was no memory for the call itself. */
static void send_no_call(struct exchange *exchange)
{
    begin_head(exchange);
    exchange_add_field(exchange, SLICE("grpc-status"), SLICE("13"));
    exchange_add_field(exchange, SLICE("grpc-message"), SLICE("internal_server_error"));
    exchange->outlet->send(exchange);
}

void grpc_reply_error(struct exchange *exchange)
{
    const struct error *error = &exchange->error;
    enum grpc_status status = error_grpc_status(error->code);
    exchange_trace_fail(exchange, error);
    if (exchange->call == NULL) {
        send_no_call(exchange);
    } else if (exchange->call->http_status != 0) {
        send_http_status(exchange);
    } else {
        bool is_ours = error_http_status(error->code) == 500;
        grpc_reply_status(exchange, status,
                          is_ours ? SLICE("internal_server_error") : slice_from_str(error->text));
    }
}

/* ---- whole messages ---- */

static void send_message(struct exchange *exchange)
{
    grpc_finish(exchange->call, GRPC_OK, SLICE(""));
    begin_head(exchange);
    exchange->outlet->send(exchange);
}

static void fail(struct exchange *exchange)
{
    exchange_log_error(exchange, "a gRPC call failed: %s", exchange->error.text);
    exchange->before_body = exchange->response_body = exchange->after_body = SLICE("");
    grpc_reply_error(exchange);
}

void grpc_reply_message(struct exchange *exchange)
{
    struct bytes *reply = &exchange->io->reply;
    if (grpc_message_end(reply, 0, false, &exchange->error) != ERR_OK) {
        fail(exchange);
        return;
    }
    exchange->response_body = bytes_slice(reply);
    send_message(exchange);
}

/* ---- the reply of Predict ---- */

/* Prefix and head in one, then body, then tail; the first and the last stand in `frame`. */
static int frame_reply(struct exchange *exchange, struct bytes *frame, struct slice parts[3])
{
    const struct inference *inference = &exchange->inference;
    struct predict_reply reply = {.body = bytes_slice(inference->reply),
                                  .content_type = media_content_type(inference->media),
                                  .batch_size = (uint64_t)inference->rows};
    bytes_reset(frame, frame->capacity);
    int status = grpc_message_begin(frame);
    if (status == ERR_OK) {
        status = inference_put_predict_head(frame, &reply);
    }
    size_t head_bytes = bytes_len(frame);
    if (status == ERR_OK) {
        status = inference_put_predict_tail(frame, &reply);
    }
    if (status != ERR_OK) {
        return error_set(&exchange->error, ERR_NO_MEMORY, "no memory for a reply");
    }
    parts[0] = slice_head(bytes_slice(frame), head_bytes);
    parts[1] = reply.body;
    parts[2] = slice_tail(bytes_slice(frame), head_bytes);
    return grpc_write_prefix(frame->ptr, bytes_len(frame) + reply.body.len - GRPC_PREFIX_BYTES,
                             false, &exchange->error);
}

/* One piece in the arena. */
static int join(struct exchange *exchange, const struct slice parts[3])
{
    char *at = arena_alloc(&exchange->arena, parts[0].len + parts[1].len + parts[2].len);
    if (at == NULL) {
        return error_set(&exchange->error, ERR_NO_MEMORY, "no memory for a reply");
    }
    exchange->response_body = slice_make(at, 0);
    for (int i = 0; i < 3; i++) {
        if (parts[i].len > 0) {
            memcpy(at + exchange->response_body.len, parts[i].ptr, parts[i].len);
            exchange->response_body.len += parts[i].len;
        }
    }
    return ERR_OK;
}

/* The body stays where it is. */
static int surround(struct exchange *exchange, const struct slice parts[3])
{
    exchange->before_body = arena_copy(&exchange->arena, parts[0]);
    exchange->response_body = parts[1];
    exchange->after_body = arena_copy(&exchange->arena, parts[2]);
    return exchange->before_body.ptr == NULL || exchange->after_body.ptr == NULL
               ? error_set(&exchange->error, ERR_NO_MEMORY, "no memory for a reply")
               : ERR_OK;
}

/* ---- compression ---- */

/* The message behind a new prefix. */
static int pack(struct gzip *gzip, const struct slice parts[3], struct bytes *out,
                struct error *error)
{
    bytes_reset(out, out->capacity);
    int status = grpc_message_begin(out);
    for (int i = 0; status == ERR_OK && i < 3; i++) {
        status = gzip_feed(gzip, i == 0 ? slice_tail(parts[0], GRPC_PREFIX_BYTES) : parts[i], out);
    }
    if (status == ERR_OK) {
        status = gzip_finish(gzip, out);
    }
    if (status != ERR_OK) {
        gzip_reset(gzip);
        return error_set(error, ERR_NO_MEMORY, "no memory to compress a reply");
    }
    return grpc_message_end(out, 0, true, error);
}

static void send_packed(struct exchange *exchange, struct slice body)
{
    exchange->response_body = body;
    exchange_add_field(exchange, SLICE("grpc-encoding"), grpc_coding_name(GRPC_GZIP));
    send_message(exchange);
}

/* On the loop: what is small. */
static void reply_packed(struct exchange *exchange, const struct slice parts[3])
{
    struct io_thread *io = exchange->io;
    struct bytes *packed = &exchange->call->packed;
    io->gzip = io->gzip == NULL ? gzip_new() : io->gzip;
    int status = io->gzip == NULL
                     ? error_set(&exchange->error, ERR_NO_MEMORY, "no memory to compress a reply")
                     : pack(io->gzip, parts, packed, &exchange->error);
    if (status == ERR_OK) {
        send_packed(exchange, bytes_slice(packed));
    } else {
        fail(exchange);
    }
}

static struct grpc_call *of_errand(struct errand *errand)
{
    return (struct grpc_call *)(void *)((char *)errand - offsetof(struct grpc_call, errand));
}

static void pack_elsewhere(struct errand *errand)
{
    struct grpc_call *call = of_errand(errand);
    if (exchange_is_abandoned(call->exchange)) {
        return;
    }
    struct gzip *gzip = gzip_new();
    call->packed_status = gzip == NULL
                              ? ERR_NO_MEMORY
                              : pack(gzip, call->plain, &call->packed, &call->exchange->error);
    gzip_free(gzip);
}

static void on_packed(struct errand *errand)
{
    struct grpc_call *call = of_errand(errand);
    struct exchange *exchange = call->exchange;
    if (!exchange_return(exchange)) {
        return;
    }
    infer_done(&exchange->inference); /* what it was packed from */
    if (call->packed_status != ERR_OK) {
        error_set(&exchange->error, ERR_NO_MEMORY, "no memory to compress a reply");
        fail(exchange);
        return;
    }
    exchange->kept_reply = call->packed;
    bytes_init(&call->packed, call->packed.max);
    send_packed(exchange, bytes_slice(&exchange->kept_reply));
}

/* On a thread that works on what is large. The body is the inference's own, the rest was copied. */
static void begin_packing(struct exchange *exchange)
{
    struct grpc_call *call = exchange->call;
    call->plain[0] = exchange->before_body;
    call->plain[1] = exchange->response_body;
    call->plain[2] = exchange->after_body;
    exchange->before_body = exchange->after_body = exchange->response_body = SLICE("");
    exchange->response_storage = NULL;
    exchange_leave(exchange);
    errand_run(&call->errand, exchange->io->shared->tasks, exchange->io->loop, pack_elsewhere,
               on_packed);
}

void grpc_reply_predict(struct exchange *exchange)
{
    struct grpc_call *call = exchange->call;
    struct slice parts[3] = {{NULL, 0}};
    if (frame_reply(exchange, &exchange->io->frame, parts) != ERR_OK) {
        fail(exchange);
        return;
    }
    bool is_large = parts[1].len > EXCHANGE_COPIED_BYTES;
    bool packs = call->wants_gzip && parts[1].len >= GZIP_LEAST_BYTES;
    bytes_init(&call->packed, INFER_REPLY_MAX_BYTES);
    if (packs && exchange->response_storage == NULL) {
        reply_packed(exchange, parts);
        return;
    }
    int status = is_large || packs ? surround(exchange, parts) : join(exchange, parts);
    if (status != ERR_OK) {
        fail(exchange);
    } else if (packs) {
        begin_packing(exchange);
    } else {
        send_message(exchange);
    }
}

/* ---- answers that go on ---- */

void grpc_reply_open(struct exchange *exchange,
                     enum h2_pull (*pull)(void *source, size_t max, struct h2_piece *ret_piece))
{
    exchange->call->is_open = true;
    exchange->stream = (struct h2_body){pull, exchange->call};
    begin_head(exchange);
    exchange->outlet->send(exchange);
}

enum h2_pull grpc_pull_rest(struct grpc_call *call, size_t max, struct h2_piece *ret_piece)
{
    if (call->rest.len > 0) {
        ret_piece->bytes = slice_head(call->rest, max);
        call->rest = slice_tail(call->rest, ret_piece->bytes.len);
        return H2_PULL_PIECE;
    }
    if (!call->is_finished) {
        return H2_PULL_LATER;
    }
    ret_piece->trailers = call->exchange->trailers;
    ret_piece->trailer_count = call->exchange->trailer_count;
    return H2_PULL_LAST;
}
