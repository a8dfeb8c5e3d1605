#include "serve/access_log.h"

#include "base/clock.h"
#include "base/log.h"
#include "serve/grpc.h"
#include "serve/grpc_call.h"
#include "serve/io_thread.h"

#define SHOWN_BYTES 256 /* of what the client has named */
#define FIELDS_MAX 9

/* What could not be read is not there. */
static struct slice shown(struct slice text)
{
    return text.ptr == NULL ? SLICE("-") : slice_head(text, SHOWN_BYTES);
}

static const char *protocol_of(const struct exchange *exchange)
{
    if (exchange->style == &grpc_style) {
        return "grpc";
    }
    return exchange->outlet->protocol == PROTOCOL_HTTP1 ? "http1" : "http2";
}

static size_t answer_bytes(const struct exchange *exchange)
{
    size_t bytes =
        exchange->before_body.len + exchange->response_body.len + exchange->after_body.len;
    return exchange->method == METHOD_HEAD ? 0 : bytes;
}

/* A client that left before its answer has no status. */
static bool is_empty(const struct exchange *exchange)
{
    return exchange->request.method.len == 0 && exchange->response.status == 0;
}

/* Two digits, as they were written for the client. */
static struct slice call_status(const struct grpc_call *call)
{
    int status = (call->status_text[0] - '0') * 10 + call->status_text[1] - '0';
    return metrics_grpc_status((enum grpc_status)status);
}

void access_log_write(struct exchange *exchange)
{
    if (is_empty(exchange)) {
        return; /* a connection that ended before its next request */
    }
    uint64_t took_us = (exchange->io->shared->clock_ns() - exchange->started_ns) / CLOCK_NS_PER_US;
    const struct grpc_call *call = exchange->call;
    struct log_field fields[FIELDS_MAX] = {
        {.name = "method", .text = shown(exchange->request.method)},
        {.name = "path", .text = shown(exchange->request.path)},
        {.name = "status", .number = exchange->response.status},
        {.name = "bytes_in", .number = (double)exchange->request_bytes},
        {.name = "bytes_out", .number = (double)answer_bytes(exchange)},
        {.name = "duration_ms", .number = (double)took_us / 1000},
        {.name = "protocol", .text = slice_from_str(protocol_of(exchange))},
        {.name = "client", .text = shown(exchange->client)},
    };
    size_t count = 8;
    if (call != NULL && call->is_finished) {
        fields[count++] = (struct log_field){.name = "grpc_status", .text = call_status(call)};
    }
    struct log_context context = exchange_log_context(exchange);
    log_event(LOG_INFO, &context, "request", fields, count);
}
