/*
 * Metrics in Prometheus terms, each declared once in the table of metrics.c. Every thread writes to a
 * shard of its own without locks; a scrape adds the shards up. Values are unsigned integers in the
 * unit of the declaration (nanoseconds, bytes, ...) and are scaled when they are printed.
 */
#ifndef OBS_METRICS_H
#define OBS_METRICS_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

enum metric {
    /* The reference's names, for existing dashboards. */
    METRIC_HTTP_REQUESTS,       /* handler, method, status */
    METRIC_HTTP_DURATION,       /* handler, method; ns */
    METRIC_HTTP_DURATION_HIGHR, /* ns */
    METRIC_HTTP_REQUEST_SIZE,   /* handler; bytes */
    METRIC_HTTP_RESPONSE_SIZE,  /* handler; bytes */
    METRIC_GRPC_REQUESTS,       /* rpc, code */
    METRIC_GRPC_DURATION,       /* rpc; ns */
    METRIC_PROCESS_CPU,         /* µs */
    METRIC_PROCESS_RESIDENT,    /* bytes */
    METRIC_PROCESS_VIRTUAL,     /* bytes */
    METRIC_PROCESS_START,       /* ms since 1970 */
    METRIC_PROCESS_OPEN_FDS,
    METRIC_PROCESS_MAX_FDS,
    METRIC_UP,
    /* Ours. */
    METRIC_JOBS,             /* inference jobs that ran */
    METRIC_RUNS,             /* runs of the model; jobs / runs is the coalescing */
    METRIC_RUN_ROWS,         /* rows of a run */
    METRIC_DECODE_DURATION,  /* ns */
    METRIC_JOBS_HANDED_OVER, /* of an inline model, by a loop that had too many */
    METRIC_QUEUE_DURATION,   /* ns */
    METRIC_COMPUTE_DURATION, /* ns */
    METRIC_ENCODE_DURATION,  /* ns */
    METRIC_REJECTIONS,       /* reason */
    METRIC_JOBS_DROPPED,     /* reason */
    METRIC_RELOADS,          /* result */
    METRIC_MODEL_LOAD,       /* ns of the last load */
    METRIC_IN_FLIGHT,
    METRIC_CONNECTIONS,
    METRIC_EXECUTION_POOLED, /* 1 when the model runs on runner threads */
    METRIC_EXECUTION_TIME,   /* ns that a typical job takes alone, as estimated */
    METRIC_RUNNERS,
    METRIC_RUNNERS_BUSY,
    METRIC_QUEUE_JOBS, /* that wait for a runner */
    METRIC_QUEUE_ROWS,
    METRIC_HEAP_ALLOCATIONS,
    METRIC_BUILD_INFO,
    METRIC_COUNT
};

/* Label values. The handler is the route, never the client's text. */
enum metric_handler {
    HANDLER_INVOCATIONS,
    HANDLER_LIVE,
    HANDLER_HEALTHZ,
    HANDLER_READY,
    HANDLER_READYZ,
    HANDLER_PING,
    HANDLER_METRICS,
    HANDLER_OPENAPI,
    HANDLER_DOCS,
    HANDLER_NONE,
    HANDLER_COUNT
};
enum metric_method { METHOD_GET, METHOD_POST, METHOD_HEAD, METHOD_OTHER, METHOD_COUNT };
enum metric_status { STATUS_1XX, STATUS_2XX, STATUS_3XX, STATUS_4XX, STATUS_5XX, STATUS_COUNT };
enum metric_rejection {
    REJECTION_BODY_TOO_LARGE,
    REJECTION_NO_SLOT,
    REJECTION_QUEUE_FULL,
    REJECTION_LATE, /* it would not be done in its time */
    REJECTION_NOT_READY,
    REJECTION_CONNECTIONS,
    REJECTION_CONNECTION_FULL, /* one connection has too much in hand */
    REJECTION_CALLS,           /* GRPC_MAX_CONCURRENT_RPCS */
    REJECTION_COUNT
};
enum metric_rpc {
    RPC_LIVE,
    RPC_READY,
    RPC_PREDICT,
    RPC_CHECK,
    RPC_WATCH,
    RPC_REFLECTION,
    RPC_OTHER,
    RPC_COUNT
};
enum metric_drop { DROP_CANCELLED, DROP_EXPIRED, DROP_STOPPED, DROP_COUNT };
enum metric_reload { RELOAD_OK, RELOAD_FAILED, RELOAD_COUNT };

/* Position of a series within its metric: handler, then method, then status, as declared. */
#define SERIES_NONE 0u
static inline unsigned series_handler_method(enum metric_handler handler, enum metric_method method)
{
    return (unsigned)handler * METHOD_COUNT + (unsigned)method;
}
static inline unsigned series_request(enum metric_handler handler, enum metric_method method,
                                      enum metric_status status)
{
    return series_handler_method(handler, method) * STATUS_COUNT + (unsigned)status;
}

static inline unsigned series_rpc(enum metric_rpc rpc, enum grpc_status status)
{
    return (unsigned)rpc * GRPC_STATUSES + (unsigned)status;
}

/* All metrics of the process. Shards are made before their threads start. */
struct metrics;
/* One thread's cells. Written by that thread alone. */
struct metrics_shard;

/* NULL without memory. `version` is the label of the build info, borrowed. */
MUST_CHECK struct metrics *metrics_new(const char *version);
void metrics_free(struct metrics *metrics);
/* Borrowed from `metrics`; NULL without memory. Not thread-safe: the server's start calls it. */
MUST_CHECK struct metrics_shard *metrics_add_shard(struct metrics *metrics);

/* Counters. The shard's thread only. */
void metrics_count(struct metrics_shard *shard, enum metric metric, unsigned series, uint64_t more);
/* Histograms and summaries: one observation in the declared unit. The shard's thread only. */
void metrics_observe(struct metrics_shard *shard, enum metric metric, unsigned series,
                     uint64_t value);
/* Gauges belong to the process: set from any thread. */
void metrics_set(struct metrics *metrics, enum metric metric, uint64_t value);
/* Counts a reload: rare, so it needs no shard. Any thread. */
void metrics_count_reload(struct metrics *metrics, enum metric_reload result);

/*
 * Appends everything in the Prometheus text format 0.0.4. Series that were never touched are left
 * out, except those without labels. Any thread. ERR_NO_MEMORY.
 */
MUST_CHECK int metrics_write(const struct metrics *metrics, struct bytes *out);

#endif
