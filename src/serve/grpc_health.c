/*
 * The health service: whether this thread has a model that can run and the server is not stopping. A watch sends
 * what is true when the client takes it: who reads slowly misses what has changed twice, and costs
 * nothing more.
 */
#include <string.h>

#include "base/check.h"
#include "serve/grpc.h"
#include "serve/grpc_call.h"

static enum health_status health(const struct io_thread *io)
{
    return io_thread_is_ready(io) ? HEALTH_SERVING : HEALTH_NOT_SERVING;
}

/* The server as a whole, and the service whose health depends on anything. */
static bool is_known(struct slice service)
{
    return service.len == 0 || slice_eq(service, INFERENCE_SERVICE);
}

static int put_message(struct bytes *out, enum health_status status)
{
    bytes_reset(out, out->capacity);
    int result = grpc_message_begin(out);
    return result == ERR_OK ? health_put_response(out, status) : result;
}

static void no_memory(struct exchange *exchange)
{
    exchange_log_failure(exchange,
                         error_set(&exchange->error, ERR_NO_MEMORY, "no memory for a health"));
    grpc_reply_error(exchange);
}

static int read_service(struct exchange *exchange, struct slice *ret_service)
{
    return exchange_log_failure(exchange,
                                health_read_check(bytes_slice(&exchange->body), &exchange->arena,
                                                  ret_service, &exchange->error));
}

void grpc_health_check(struct exchange *exchange)
{
    struct slice service;
    if (read_service(exchange, &service) != ERR_OK) {
        grpc_reply_error(exchange);
    } else if (!is_known(service)) {
        grpc_reply_status(exchange, GRPC_NOT_FOUND, SLICE("unknown service"));
    } else if (put_message(&exchange->io->reply, health(exchange->io)) != ERR_OK) {
        no_memory(exchange);
    } else {
        grpc_reply_message(exchange);
    }
}

/* ---- Watch ---- */

static enum health_status watched(const struct grpc_call *call)
{
    return call->is_known_service ? health(call->exchange->io) : HEALTH_SERVICE_UNKNOWN;
}

/* One byte says the status, and the field's tag comes before it; the length is always the same. */
static bool make_message(struct grpc_call *call, enum health_status status)
{
    struct bytes *frame = &call->exchange->io->frame;
    if (put_message(frame, status) != ERR_OK || grpc_message_end(frame, 0, false, NULL) != ERR_OK) {
        return false;
    }
    struct slice message = bytes_slice(frame);
    CHECK(message.len <= sizeof(call->message));
    memcpy(call->message, message.ptr, message.len);
    call->rest = slice_make(call->message, message.len);
    call->told = status;
    return true;
}

static enum h2_pull pull_watch(void *source, size_t max, struct h2_piece *ret_piece)
{
    struct grpc_call *call = source;
    enum health_status status = watched(call);
    if (call->rest.len == 0 && status != call->told && !make_message(call, status)) {
        return H2_PULL_FAIL;
    }
    return grpc_pull_rest(call, max, ret_piece);
}

void grpc_health_watch(struct exchange *exchange)
{
    struct grpc_call *call = exchange->call;
    struct io_thread *io = exchange->io;
    struct slice service;
    if (read_service(exchange, &service) != ERR_OK) {
        grpc_reply_error(exchange);
        return;
    }
    call->is_known_service = is_known(service);
    call->told = HEALTH_UNKNOWN;
    call->is_watching = true;
    call->next = io->watchers;
    if (call->next != NULL) {
        call->next->previous = call;
    }
    io->watchers = call;
    grpc_reply_open(exchange, pull_watch);
}

void grpc_health_unwatch(struct grpc_call *call)
{
    if (!call->is_watching) {
        return;
    }
    call->is_watching = false;
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        call->exchange->io->watchers = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    }
}

void grpc_tell_watchers(struct io_thread *io)
{
    for (struct grpc_call *call = io->watchers; call != NULL; call = call->next) {
        if (watched(call) != call->told) {
            call->exchange->outlet->resume(call->exchange);
        }
    }
}
