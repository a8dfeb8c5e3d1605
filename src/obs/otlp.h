/*
 * The exporter: a thread that takes spans from their queue in batches and sends them to a collector
 * (OpenTelemetry, "Batching processor" and "OTLP Exporter"). It costs the threads that write spans
 * nothing: while the collector is away or slow, one batch is held and tried again, one that refuses is
 * asked ever less often, the queue fills, and what then comes is dropped. Below the layers that log, so
 * it reports through on_problem.
 */
#ifndef OBS_OTLP_H
#define OBS_OTLP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "obs/otlp_encode.h"
#include "obs/otlp_http.h"
#include "obs/span.h"

struct otlp;

/* Borrowed until otlp_stop has returned, but for attributes and version (until otlp_start has). */
struct otlp_options {
    struct span_queue *queue;     /* this is its reader */
    int wake_fd;                  /* the queue's */
    int stop_fd;                  /* an eventfd; otlp_stop signals it */
    _Atomic uint64_t *give_up_ns; /* set by otlp_stop before that */

    /* Sends a request: otlp_http_post, or a test's. */
    void (*post)(void *transport, struct slice body, uint64_t end_ns, struct otlp_reply *ret_reply);
    void *transport;
    bool is_gzip;

    uint64_t attempt_ns;  /* longest time of one attempt */
    uint64_t batch_ns;    /* of a batch with all its attempts */
    uint64_t schedule_ns; /* between two exports, where no batch fills before */
    unsigned batch_spans; /* most spans in a batch */

    const struct otlp_attribute *attributes; /* of the resource */
    size_t attribute_count;
    struct slice version; /* of the scope */

    uint64_t (*clock_ns)(void); /* CLOCK_MONOTONIC */
    uint64_t (*wall_ns)(void);  /* CLOCK_REALTIME */
    /* On the exporter's thread, at most once a minute, and once more at the end: one line for people. */
    void (*on_problem)(const char *text);
};

/* Starts the thread. ERR_NO_MEMORY, ERR_INTERNAL when there is no thread to be had. */
MUST_CHECK int otlp_start(const struct otlp_options *options, struct otlp **ret_otlp,
                          struct error *error);
/*
 * Sends what waits, once, without trying again, until `end_ns` at most; waits for the thread and
 * frees. No span is written any more. NULL is fine.
 */
void otlp_stop(struct otlp *otlp, uint64_t end_ns);

/* Spans since the start: delivered, and given up because they could not be. Any thread. */
uint64_t otlp_exported(const struct otlp *otlp);
uint64_t otlp_given_up(const struct otlp *otlp);

#endif
