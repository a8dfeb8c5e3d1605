/*
 * What happens to a request: route and limits at its head, its body as it comes, then a handler.
 * Inference goes by way of an execution slot to serve/infer; everything else answers at once.
 */
#include "serve/exchange.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json_text.h"
#include "serve/admin.h"
#include "serve/io_thread.h"

#define EXCHANGE_MAGIC 0x65786368u
#define ARENA_BLOCK_BYTES ((size_t)8 * 1024)
/* A parsed JSON document takes up to sixteen times its text; heads and odds and ends on top. */
#define ARENA_BYTES_PER_BODY_BYTE 24
#define ARENA_SPARE_BYTES ((size_t)4 * 1024 * 1024)
#define BODY_KEPT_BYTES ((size_t)64 * 1024)
#define RECYCLED_MAX 1024

/* ---- life ---- */

static struct exchange *make_exchange(struct io_thread *io)
{
    struct exchange *exchange = mem_zalloc(1, sizeof(*exchange));
    if (exchange == NULL) {
        return NULL;
    }
    size_t body_max = (size_t)io->shared->settings.max_body_bytes;
    arena_init(&exchange->arena, ARENA_BLOCK_BYTES,
               body_max * ARENA_BYTES_PER_BODY_BYTE + ARENA_SPARE_BYTES);
    bytes_init(&exchange->body, body_max);
    exchange->io = io;
    exchange->magic = EXCHANGE_MAGIC;
    return exchange;
}

struct exchange *exchange_new(struct io_thread *io)
{
    struct exchange *exchange = io->free_exchanges;
    if (exchange != NULL) {
        io->free_exchanges = exchange->next;
        io->free_exchange_count--;
        exchange->next = NULL;
    } else {
        exchange = make_exchange(io);
    }
    if (exchange != NULL) {
        exchange->started_ns = io->shared->clock_ns();
        exchange->method = METHOD_OTHER;
        exchange->route = (struct route){HANDLER_NONE, 0};
    }
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    CHECK_MAGIC(exchange, EXCHANGE_MAGIC);
    struct io_thread *io = exchange->io;
    CHECK(!exchange->has_slot && !exchange->waits_for_slot);
    gunzip_free(exchange->gunzip);
    infer_done(&exchange->inference);
    if (io->free_exchange_count >= RECYCLED_MAX) {
        exchange_destroy(exchange);
        return;
    }
    struct arena arena = exchange->arena;
    struct bytes body = exchange->body;
    arena_reset(&arena);
    bytes_reset(&body, BODY_KEPT_BYTES);
    *exchange = (struct exchange){.magic = EXCHANGE_MAGIC,
                                  .io = io,
                                  .arena = arena,
                                  .body = body,
                                  .next = io->free_exchanges};
    io->free_exchanges = exchange;
    io->free_exchange_count++;
}

void exchange_destroy(struct exchange *exchange)
{
    CHECK_MAGIC(exchange, EXCHANGE_MAGIC);
    arena_done(&exchange->arena);
    bytes_done(&exchange->body);
    exchange->magic = 0;
    mem_free(exchange);
}

void exchange_abandon(struct exchange *exchange)
{
    CHECK_MAGIC(exchange, EXCHANGE_MAGIC);
    exchange->owner = NULL;
    if (exchange->waits_for_slot) {
        io_thread_stop_waiting(exchange->io, exchange);
        exchange_free(exchange);
    } else {
        infer_cancel(&exchange->inference); /* its `finished` frees the exchange */
    }
}

/* ---- answers ---- */

void exchange_add_field(struct exchange *exchange, struct slice name, struct slice value)
{
    CHECK(exchange->response.field_count < EXCHANGE_FIELDS_MAX);
    exchange->fields[exchange->response.field_count++] = (struct http_field){name, value};
}

/* The client's own id where it is short and plain, else a new one (RFC 9110 has no such field). */
static struct slice request_id(struct exchange *exchange)
{
    struct slice given = http_request_field(&exchange->request, SLICE("X-Request-Id"));
    bool plain = given.len > 0 && given.len <= EXCHANGE_REQUEST_ID_MAX;
    for (size_t i = 0; plain && i < given.len; i++) {
        plain = given.ptr[i] > 0x20 && given.ptr[i] < 0x7f;
    }
    if (plain) {
        return given;
    }
    char *text = arena_alloc(&exchange->arena, 32);
    if (text == NULL) {
        return SLICE("");
    }
    io_thread_make_request_id(exchange->io, text);
    return slice_make(text, 32);
}

void exchange_respond(struct exchange *exchange, int status, struct slice content_type,
                      struct slice body)
{
    struct slice id = request_id(exchange);
    if (content_type.len > 0) {
        exchange_add_field(exchange, SLICE("Content-Type"), content_type);
    }
    if (id.len > 0) {
        exchange_add_field(exchange, SLICE("X-Request-Id"), id);
    }
    exchange->response.status = status;
    exchange->response.fields = exchange->fields;
    exchange->response_body = body;
    exchange->send(exchange);
}

void exchange_respond_error(struct exchange *exchange, int status, struct slice text)
{
    struct bytes *reply = &exchange->io->reply;
    bytes_reset(reply, reply->capacity);
    struct slice body = SLICE("{\"error\":\"internal_server_error\"}");
    if (bytes_put(reply, SLICE("{\"error\":")) == ERR_OK && json_text_put(reply, text) == ERR_OK &&
        bytes_put_byte(reply, '}') == ERR_OK) {
        body = bytes_slice(reply);
    }
    exchange_respond(exchange, status, SLICE("application/json"), body);
}

static void respond_too_large(struct exchange *exchange)
{
    struct bytes *reply = &exchange->io->reply;
    bytes_reset(reply, reply->capacity);
    if (bytes_printf(reply, "{\"error\":\"payload_too_large\",\"max_bytes\":%llu}",
                     (unsigned long long)exchange->io->shared->settings.max_body_bytes) != ERR_OK) {
        bytes_reset(reply, 0);
    }
    metrics_count(exchange->io->metrics, METRIC_REJECTIONS, REJECTION_BODY_TOO_LARGE, 1);
    exchange_respond(exchange, 413, SLICE("application/json"), bytes_slice(reply));
}

void exchange_refuse(struct exchange *exchange)
{
    const struct error *error = &exchange->error;
    int status = error_http_status(error->code);
    switch (error->code) {
    case ERR_TOO_LARGE:
        respond_too_large(exchange);
        return;
    case ERR_BUSY:
        exchange_add_field(exchange, SLICE("Retry-After"), SLICE("1"));
        break;
    case ERR_UNAVAILABLE:
        exchange_add_field(exchange, SLICE("Retry-After"), SLICE("1"));
        break;
    case ERR_METHOD:
        exchange_add_field(exchange, SLICE("Allow"), router_allow_field(exchange->route));
        break;
    case ERR_CONFIG:
    case ERR_NO_MEMORY:
    case ERR_INTERNAL:
        exchange_respond_error(exchange, status, SLICE("internal_server_error"));
        return;
    default:
        break;
    }
    exchange_respond_error(exchange, status, slice_from_str(error->text));
}

void exchange_refuse_status(struct exchange *exchange, int status, struct slice text)
{
    if (status == 500) {
        log_error("a request failed: %.*s", SLICE_FMT(text));
        text = SLICE("internal_server_error");
    }
    exchange_respond_error(exchange, status, text);
}

/* ---- the request ---- */

/* The client will only learn that something failed (serve/infer logs its own). */
static int log_ours(const struct exchange *exchange, int status)
{
    if (status == ERR_NO_MEMORY) {
        log_error("a request failed: %s", exchange->error.text);
    }
    return status;
}

static int check_route(struct exchange *exchange)
{
    if (exchange->route.handler == HANDLER_NONE) {
        struct slice shown = slice_head(exchange->request.path, 200);
        return error_set(&exchange->error, ERR_NOT_FOUND, "there is no path %.*s",
                         SLICE_FMT(shown));
    }
    if (!router_allows(exchange->route, exchange->method)) {
        struct slice allow = router_allow_field(exchange->route);
        return error_set(&exchange->error, ERR_METHOD, "this path takes %.*s", SLICE_FMT(allow));
    }
    return ERR_OK;
}

static int check_encoding(struct exchange *exchange)
{
    struct slice encoding = http_request_field(&exchange->request, SLICE("Content-Encoding"));
    if (encoding.len == 0 || slice_eq_nocase(encoding, SLICE("identity"))) {
        return ERR_OK;
    }
    if (!slice_eq_nocase(encoding, SLICE("gzip")) && !slice_eq_nocase(encoding, SLICE("x-gzip"))) {
        struct slice shown = slice_head(encoding, 64);
        return error_set(&exchange->error, ERR_INVALID,
                         "Content-Encoding %.*s is not supported; gzip is", SLICE_FMT(shown));
    }
    exchange->gunzip = gunzip_new("Content-Encoding");
    return exchange->gunzip == NULL
               ? log_ours(exchange, error_set(&exchange->error, ERR_NO_MEMORY,
                                              "no memory to decode a request's body"))
               : ERR_OK;
}

static int check_length(struct exchange *exchange)
{
    uint64_t length = exchange->request.content_length;
    if (length != HTTP_LENGTH_UNKNOWN && length > exchange->io->shared->settings.max_body_bytes) {
        return error_set(&exchange->error, ERR_TOO_LARGE, "payload_too_large");
    }
    return ERR_OK;
}

/* Room for the whole body at once: what grows bit by bit is copied as often, and its pages are new. */
static int reserve_body(struct exchange *exchange)
{
    uint64_t length = exchange->request.content_length;
    if (length == HTTP_LENGTH_UNKNOWN || length <= BODY_KEPT_BYTES || exchange->gunzip != NULL ||
        bytes_reserve(&exchange->body, (size_t)length) != NULL) {
        return ERR_OK;
    }
    return log_ours(exchange,
                    error_set(&exchange->error, ERR_NO_MEMORY, "no memory for a body of %llu bytes",
                              (unsigned long long)length));
}

int exchange_on_head(struct exchange *exchange)
{
    const struct settings *settings = &exchange->io->shared->settings;
    exchange->method = router_method(exchange->request.method);
    exchange->route = router_find(settings, exchange->request.path);
    int status = check_length(exchange);
    if (status == ERR_OK && exchange->request.content_length != 0) {
        /* Who is refused anyway need not send a body; without one the answer can wait for the end. */
        status = check_route(exchange);
    }
    if (status == ERR_OK && exchange->route.handler == HANDLER_INVOCATIONS) {
        status = check_encoding(exchange);
    }
    if (status == ERR_OK) {
        status = reserve_body(exchange);
    }
    return status;
}

/* The limit holds for what is decoded and for what came: bytes may decode to nothing for ever. */
int exchange_on_body(struct exchange *exchange, struct slice piece)
{
    exchange->request_bytes += piece.len;
    if (exchange->request_bytes > exchange->io->shared->settings.max_body_bytes) {
        return error_set(&exchange->error, ERR_TOO_LARGE, "payload_too_large");
    }
    if (exchange->gunzip != NULL) {
        return log_ours(exchange,
                        gunzip_feed(exchange->gunzip, piece, &exchange->body, &exchange->error));
    }
    return bytes_put(&exchange->body, piece) == ERR_OK
               ? ERR_OK
               : log_ours(exchange, error_set(&exchange->error, ERR_NO_MEMORY,
                                              "no memory for a request's body"));
}

/* ---- inference ---- */

static void inference_finished(struct inference *inference)
{
    struct exchange *exchange =
        (struct exchange *)(void *)((char *)inference - offsetof(struct exchange, inference));
    struct io_thread *io = exchange->io;
    exchange->has_slot = false;
    io_thread_leave_slot(io);
    io->inferences--;
    if (exchange->owner == NULL) {
        exchange_free(exchange);
        io_thread_on_session_end(io);
        return;
    }
    if (inference->status != ERR_OK) {
        exchange->error = inference->error;
        exchange_refuse(exchange);
        return;
    }
    if (inference->reply == &inference->own_reply) {
        exchange->response_storage = inference->reply;
    }
    exchange_respond(exchange, 200, media_content_type(inference->media),
                     bytes_slice(inference->reply));
}

static struct slice content_type(const struct exchange *exchange)
{
    struct slice own = http_request_field(&exchange->request, SLICE("Content-Type"));
    return own.len > 0
               ? own
               : http_request_field(&exchange->request, SLICE("X-Amzn-SageMaker-Content-Type"));
}

/* Most clients send the wildcard unasked: it wishes for nothing, and SageMaker's field counts. */
static struct slice accept_wish(const struct exchange *exchange)
{
    struct slice own = http_request_field(&exchange->request, SLICE("Accept"));
    struct slice platform =
        http_request_field(&exchange->request, SLICE("X-Amzn-SageMaker-Accept"));
    bool wishes = own.len > 0 && !slice_eq(own, SLICE("*/*"));
    return wishes || platform.len == 0 ? own : platform;
}

void exchange_on_slot(struct exchange *exchange)
{
    struct io_thread *io = exchange->io;
    const struct settings *settings = &io->shared->settings;
    struct inference *inference = &exchange->inference;
    *inference = (struct inference){
        .arena = &exchange->arena,
        .content_type = content_type(exchange),
        .accept = accept_wish(exchange),
        .body = bytes_slice(&exchange->body),
        .scratch = &io->reply,
        .metrics = io->metrics,
        .clock_ns = io->shared->clock_ns,
        .deadline_ns = settings->request_timeout_ns == 0
                           ? 0
                           : exchange->started_ns + settings->request_timeout_ns,
        .owner = &io->returns.owner,
        .loop = io->loop,
        .tasks = io->shared->tasks,
        .finished = inference_finished,
    };
    io->inferences++;
    infer_start(inference, io->deployment, &io->queue);
}

void exchange_on_no_slot(struct exchange *exchange)
{
    metrics_count(exchange->io->metrics, METRIC_REJECTIONS, REJECTION_NO_SLOT, 1);
    error_set(&exchange->error, ERR_BUSY, "too_many_requests");
    exchange_refuse(exchange);
}

static int check_ready(struct exchange *exchange)
{
    if (exchange->gunzip != NULL) {
        int status = gunzip_finish(exchange->gunzip, &exchange->error);
        if (status != ERR_OK) {
            return status;
        }
    }
    if (exchange->io->deployment == NULL) {
        metrics_count(exchange->io->metrics, METRIC_REJECTIONS, REJECTION_NOT_READY, 1);
        return error_set(&exchange->error, ERR_UNAVAILABLE, "not_ready");
    }
    return ERR_OK;
}

void exchange_on_end(struct exchange *exchange)
{
    if (check_route(exchange) != ERR_OK) {
        exchange_refuse(exchange);
    } else if (exchange->route.handler != HANDLER_INVOCATIONS) {
        admin_answer(exchange);
    } else if (check_ready(exchange) != ERR_OK) {
        exchange_refuse(exchange);
    } else {
        io_thread_enter_slot(exchange->io, exchange);
    }
}
