/*
 * What all requests have in common: life, execution slot, inference, the answer's storage. How they
 * are judged and what is answered is their style's.
 */
#include "serve/exchange.h"

#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/access_log.h"
#include "serve/exchange_trace.h"
#include "serve/io_thread.h"
#include "serve/rest.h"

#define EXCHANGE_MAGIC 0x65786368u
#define ARENA_BLOCK_BYTES ((size_t)8 * 1024)
/* A parsed JSON document takes up to sixteen times its text; heads and odds and ends on top. */
#define ARENA_BYTES_PER_BODY_BYTE 24
#define ARENA_SPARE_BYTES ((size_t)4 * 1024 * 1024)
#define BODY_KEPT_BYTES ((size_t)64 * 1024)
#define RECYCLED_MAX 1024

/* ---- life ---- */

static size_t body_max(const struct io_thread *io)
{
    return (size_t)io->shared->settings.max_body_bytes;
}

static struct exchange *make_exchange(struct io_thread *io)
{
    struct exchange *exchange = mem_zalloc(1, sizeof(*exchange));
    if (exchange == NULL) {
        return NULL;
    }
    arena_init(&exchange->arena, ARENA_BLOCK_BYTES,
               body_max(io) * ARENA_BYTES_PER_BODY_BYTE + ARENA_SPARE_BYTES);
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
        uint64_t span_ns = io->shared->settings.request_timeout_ns;
        exchange->started_ns = loop_now_ns(io->loop);
        exchange->deadline_ns = span_ns == 0 ? 0 : exchange->started_ns + span_ns;
        exchange->style = &rest_style;
        exchange->method = METHOD_OTHER;
        exchange->route = (struct route){HANDLER_NONE, 0};
        exchange->body.max = body_max(io);
    }
    return exchange;
}

static void recycle(struct exchange *exchange)
{
    struct io_thread *io = exchange->io;
    CHECK(!exchange->has_slot && !exchange->waits_for_slot && !exchange->is_elsewhere);
    exchange->style->done(exchange);
    exchange_trace_end(exchange, EXCHANGE_TRACE_NO_STATUS); /* nobody was there for an answer */
    infer_done(&exchange->inference);
    bytes_done(&exchange->kept_reply);
    if (io->free_exchange_count >= RECYCLED_MAX) {
        exchange_destroy(exchange);
        io_thread_trim_soon(io);
        return;
    }
    struct arena arena = exchange->arena;
    struct bytes body = exchange->body;
    arena_reset(&arena);
    /* No storage is kept past the limit of a body, which a gRPC message may have a little. */
    bytes_reset(&body, body_max(io) < BODY_KEPT_BYTES ? body_max(io) : BODY_KEPT_BYTES);
    memset(exchange, 0, offsetof(struct exchange, inference.job.error));
    exchange->magic = EXCHANGE_MAGIC;
    exchange->io = io;
    exchange->arena = arena;
    exchange->body = body;
    exchange->next = io->free_exchanges;
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
    if (exchange->io->shared->settings.access_log) {
        access_log_write(exchange);
    }
    exchange->owner = NULL;
    if (exchange->has_slot) {
        infer_cancel(&exchange->inference); /* its `finished` frees the exchange */
    } else if (exchange->is_elsewhere) {
        /* exchange_return frees it */
        atomic_store_explicit(&exchange->is_abandoned, true, memory_order_relaxed);
    } else {
        if (exchange->waits_for_slot) {
            io_thread_stop_waiting(exchange->io, exchange);
        }
        recycle(exchange);
    }
}

/* ---- the request ---- */

int exchange_on_head(struct exchange *exchange)
{
    int status = exchange->style->on_head(exchange);
    exchange_trace_begin(exchange);
    return status;
}

int exchange_on_body(struct exchange *exchange, struct slice piece)
{
    return exchange->style->on_body(exchange, piece);
}

void exchange_on_end(struct exchange *exchange)
{
    exchange->style->on_end(exchange);
}

void exchange_refuse(struct exchange *exchange)
{
    exchange->style->refuse(exchange);
}

void exchange_on_late(struct exchange *exchange)
{
    exchange->style->on_late(exchange);
}

uint64_t exchange_took_ns(const struct exchange *exchange)
{
    uint64_t encoded_ns = exchange->inference.encoded_ns;
    return (encoded_ns != 0 ? encoded_ns : exchange->io->shared->clock_ns()) - exchange->started_ns;
}

struct log_context exchange_log_context(struct exchange *exchange)
{
    return (struct log_context){.request_id = exchange_request_id(exchange),
                                .trace_id = exchange_trace_id(exchange),
                                .span_id = exchange_span_id(exchange)};
}

int exchange_log_failure(struct exchange *exchange, int status)
{
    if (status == ERR_NO_MEMORY) {
        exchange_log_error(exchange, "a request failed: %s", exchange->error.text);
    }
    return status;
}

/* ---- the answer ---- */

void exchange_add_field(struct exchange *exchange, struct slice name, struct slice value)
{
    CHECK(exchange->response.field_count < EXCHANGE_FIELDS_MAX);
    exchange->fields[exchange->response.field_count++] = (struct http_field){name, value};
}

/* The client's own id where it is short and plain, else a new one (RFC 9110 has no such field). */
static struct slice choose_request_id(struct exchange *exchange)
{
    struct slice given = http_request_field(&exchange->request, SLICE("X-Request-Id"));
    bool plain = given.len > 0 && given.len <= EXCHANGE_REQUEST_ID_MAX;
    for (size_t i = 0; plain && i < given.len; i++) {
        plain = given.ptr[i] > 0x20 && given.ptr[i] < 0x7f;
    }
    if (plain) {
        return given;
    }
    io_thread_make_request_id(exchange->io, exchange->made_request_id);
    return slice_make(exchange->made_request_id, sizeof(exchange->made_request_id));
}

struct slice exchange_request_id(struct exchange *exchange)
{
    if (exchange->request_id.len == 0) {
        exchange->request_id = choose_request_id(exchange);
    }
    return exchange->request_id;
}

void exchange_add_request_id(struct exchange *exchange)
{
    exchange_add_field(exchange, SLICE("X-Request-Id"), exchange_request_id(exchange));
}

int exchange_keep_body(struct exchange *exchange)
{
    struct bytes *reply = &exchange->io->reply;
    struct slice *body = &exchange->response_body;
    bytes_reset(&exchange->body, BODY_KEPT_BYTES);
    if (body->len == 0 || body->ptr != bytes_slice(reply).ptr) {
        return ERR_OK;
    }
    if (body->len > EXCHANGE_COPIED_BYTES) {
        exchange->kept_reply = *reply;
        bytes_init(reply, reply->max);
        return ERR_OK;
    }
    *body = arena_copy(&exchange->arena, *body);
    return body->ptr == NULL ? ERR_NO_MEMORY : ERR_OK;
}

/* ---- work elsewhere ---- */

static void begin_work(struct exchange *exchange)
{
    exchange->io->inferences++;
}

/* False when nobody waits for it any more: then the exchange is gone. */
static bool end_work(struct exchange *exchange)
{
    struct io_thread *io = exchange->io;
    io->inferences--;
    if (exchange->owner != NULL) {
        return true;
    }
    recycle(exchange);
    io_thread_on_session_end(io);
    return false;
}

void exchange_leave(struct exchange *exchange)
{
    exchange->is_elsewhere = true;
    begin_work(exchange);
}

bool exchange_return(struct exchange *exchange)
{
    exchange->is_elsewhere = false;
    return end_work(exchange);
}

/* ---- inference ---- */

/* A reply that the session cannot keep is given up: its client does not take what it asked for. */
static void judge_reply(struct exchange *exchange)
{
    struct inference *inference = &exchange->inference;
    if (inference->status == ERR_OK &&
        !exchange->outlet->takes(exchange, bytes_len(inference->reply))) {
        inference->status =
            (enum error_code)error_set(&inference->error, ERR_BUSY, "too_many_requests");
        infer_done(inference);
        metrics_count(exchange->io->metrics, METRIC_REJECTIONS, REJECTION_CONNECTION_FULL, 1);
    }
}

/* What the cause of a server's failure is goes to the log; the client learns only that it failed. */
static void log_inference(struct exchange *exchange)
{
    const struct inference *inference = &exchange->inference;
    if (error_http_status(inference->status) >= 500 && inference->status != ERR_TIMEOUT) {
        exchange_log_error(exchange, "inference failed: %s", inference->error.text);
    }
}

static void inference_finished(struct inference *inference)
{
    struct exchange *exchange =
        (struct exchange *)(void *)((char *)inference - offsetof(struct exchange, inference));
    exchange->has_slot = false;
    io_thread_leave_slot(exchange->io);
    log_inference(exchange);
    if (!end_work(exchange)) {
        return;
    }
    arena_rewind(&exchange->arena, exchange->inference_mark);
    judge_reply(exchange);
    if (inference->status != ERR_OK) {
        exchange->error = inference->error;
        exchange_refuse(exchange);
        return;
    }
    if (inference->reply == &inference->own_reply) {
        exchange->response_storage = inference->reply;
    }
    exchange->style->on_reply(exchange);
}

void exchange_on_slot(struct exchange *exchange)
{
    struct io_thread *io = exchange->io;
    exchange->inference_mark = arena_mark(&exchange->arena);
    struct inference *inference = &exchange->inference; /* all zero */
    inference->arena = &exchange->arena;
    inference->scratch = &io->reply;
    inference->metrics = io->metrics;
    inference->clock_ns = io->shared->clock_ns;
    inference->deadline_ns = exchange->deadline_ns;
    inference->owner = &io->returns.owner;
    inference->loop = io->loop;
    inference->tasks = io->shared->tasks;
    inference->trace = exchange_trace_job(exchange);
    inference->finished = inference_finished;
    exchange->style->describe(exchange);
    begin_work(exchange);
    infer_start(&exchange->inference, io->deployment, &io->queue);
}

void exchange_on_no_slot(struct exchange *exchange)
{
    metrics_count(exchange->io->metrics, METRIC_REJECTIONS, REJECTION_NO_SLOT, 1);
    error_set(&exchange->error, ERR_BUSY, "too_many_requests");
    exchange_refuse(exchange);
}

int exchange_check_ready(struct exchange *exchange)
{
    if (exchange->io->deployment == NULL) {
        metrics_count(exchange->io->metrics, METRIC_REJECTIONS, REJECTION_NOT_READY, 1);
        return error_set(&exchange->error, ERR_UNAVAILABLE, "not_ready");
    }
    return ERR_OK;
}

void exchange_infer(struct exchange *exchange)
{
    exchange_trace_invoke(exchange);
    io_thread_enter_slot(exchange->io, exchange);
}
