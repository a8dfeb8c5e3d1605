/*
 * The trace of an exchange: it begins with the head, by what the client says of its own trace, and
 * ends with the answer, when a record of all that happened goes to the exporter. A request that is not
 * sampled costs its ids; one of a server that does not trace costs a comparison. Loop thread only.
 *
 * A root span is made for inference and unknown paths; probes, metrics and the like are recorded only
 * where the client's span is.
 */
#ifndef SERVE_EXCHANGE_TRACE_H
#define SERVE_EXCHANGE_TRACE_H

#include "sched/job.h"
#include "serve/exchange.h"
#include "serve/io_thread.h"

/* Instead of a status: the client had gone before there was one. */
#define EXCHANGE_TRACE_NO_STATUS (-1)

/* What is kept of a sampled request until it ends. */
struct exchange_trace {
    struct span_id parent_id;
    struct slice client; /* a copy: the session may be gone when the request ends */
    uint64_t invoked_ns;
    const struct error *failure; /* what the client was told of, perhaps without its text */
    struct job_trace job;
};

/* The ids of a sampled request, at this time. */
void exchange_trace_mark(const struct exchange *exchange, struct metrics_trace *ret_trace);
void exchange_trace_open(struct exchange *exchange);
void exchange_trace_close(struct exchange *exchange, int status);

/* The head is there, and judged. */
static inline void exchange_trace_begin(struct exchange *exchange)
{
    if (exchange->io->shared->tracing != NULL) {
        exchange_trace_open(exchange);
    }
}

/* Its inference begins, or waits for a slot. */
static inline void exchange_trace_invoke(struct exchange *exchange)
{
    if (exchange->trace != NULL) {
        exchange->trace->invoked_ns = exchange->io->shared->clock_ns();
    }
}

/* What its job is to know; NULL where it is not recorded. */
static inline struct job_trace *exchange_trace_job(struct exchange *exchange)
{
    return exchange->trace == NULL ? NULL : &exchange->trace->job;
}

/* It will be answered with this error, which stays as it is until then. */
static inline void exchange_trace_fail(struct exchange *exchange, const struct error *error)
{
    if (exchange->trace != NULL) {
        exchange->trace->failure = error;
    }
}

/* What its durations are observed with, written into *storage; NULL where it is not recorded. */
static inline const struct metrics_trace *exchange_trace_exemplar(const struct exchange *exchange,
                                                                  struct metrics_trace *storage)
{
    if (exchange->trace == NULL) {
        return NULL;
    }
    exchange_trace_mark(exchange, storage);
    return storage;
}

/* The ids in hexadecimal, of the exchange; empty where it is in no trace. */
static inline struct slice exchange_trace_id(const struct exchange *exchange)
{
    return slice_make(exchange->span_digits, exchange->span.is_valid ? TRACE_ID_DIGITS : 0);
}

static inline struct slice exchange_span_id(const struct exchange *exchange)
{
    return slice_make(exchange->span_digits + TRACE_ID_DIGITS,
                      exchange->span.is_valid ? SPAN_ID_DIGITS : 0);
}

/* x-trace-id and x-span-id for the answer: how many there are, 0 or 2. */
static inline size_t exchange_trace_make_fields(const struct exchange *exchange,
                                                struct http_field fields[2])
{
    fields[0] = (struct http_field){SLICE("x-trace-id"), exchange_trace_id(exchange)};
    fields[1] = (struct http_field){SLICE("x-span-id"), exchange_span_id(exchange)};
    return exchange->span.is_valid ? 2 : 0;
}

static inline void exchange_trace_add_fields(struct exchange *exchange)
{
    struct http_field fields[2];
    size_t count = exchange_trace_make_fields(exchange, fields);
    for (size_t i = 0; i < count; i++) {
        exchange_add_field(exchange, fields[i].name, fields[i].value);
    }
}

/* The answer is made, with a status of HTTP or gRPC: records the request. The first call counts. */
static inline void exchange_trace_end(struct exchange *exchange, int status)
{
    if (exchange->trace != NULL) {
        exchange_trace_close(exchange, status);
    }
}

#endif
