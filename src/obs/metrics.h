/*
 * Metrics in Prometheus terms, each declared once in metrics_table.c. Every thread writes to a shard of
 * its own without locks; a scrape (obs/metrics_text.h) adds the shards up. Values are unsigned integers
 * in the unit of the declaration (nanoseconds, bytes, ...) and are scaled when they are printed.
 *
 * Metrics of a model have a series for each model that has been in service: the label `model` is its
 * name, and a shard counts for the one that its thread serves (metrics_shard_use_model).
 */
#ifndef OBS_METRICS_H
#define OBS_METRICS_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum metric {
    /* The reference's names, for existing dashboards. */
    METRIC_HTTP_REQUESTS,       /* handler, method, status */
    METRIC_HTTP_DURATION,       /* handler, method; ns */
    METRIC_HTTP_DURATION_HIGHR, /* ns */
    METRIC_HTTP_REQUEST_SIZE,   /* handler; bytes */
    METRIC_HTTP_RESPONSE_SIZE,  /* handler; bytes */
    METRIC_PROCESS_CPU,         /* µs */
    METRIC_PROCESS_RESIDENT,    /* bytes */
    METRIC_PROCESS_VIRTUAL,     /* bytes */
    METRIC_PROCESS_START,       /* ms since 1970 */
    METRIC_PROCESS_OPEN_FDS,
    METRIC_PROCESS_MAX_FDS,
    METRIC_UP,
    /* Ours: of requests. */
    METRIC_GRPC_REQUESTS,      /* rpc, code */
    METRIC_GRPC_DURATION,      /* rpc; ns */
    METRIC_IN_PROGRESS,        /* protocol */
    METRIC_CONNECTIONS,        /* protocol */
    METRIC_CONNECTIONS_OPENED, /* protocol */
    METRIC_REJECTIONS,         /* reason */
    METRIC_SLOTS,
    METRIC_IN_FLIGHT, /* slots in use */
    METRIC_SLOTS_WAITING,
    /* Of a model. */
    METRIC_INFERENCE_DURATION, /* interface; ns */
    METRIC_DECODE_DURATION,    /* ns */
    METRIC_QUEUE_DURATION,     /* ns */
    METRIC_COMPUTE_DURATION,   /* ns */
    METRIC_ENCODE_DURATION,    /* ns */
    METRIC_JOBS,               /* inference jobs that ran */
    METRIC_RUNS,               /* runs of the model; jobs / runs is the coalescing */
    METRIC_RUN_ROWS,           /* rows of a run */
    METRIC_RUN_JOBS,           /* jobs of a run */
    METRIC_JOBS_DROPPED,       /* reason */
    METRIC_JOBS_HANDED_OVER,   /* of an inline model, by a loop that had too many */
    METRIC_EXECUTION_POOLED,   /* 1 when the model runs on runner threads */
    METRIC_EXECUTION_TIME,     /* ns that a typical job takes alone, as estimated */
    METRIC_RUNNERS,
    METRIC_RUNNERS_BUSY,
    METRIC_QUEUE_JOBS, /* that wait for a runner */
    METRIC_QUEUE_ROWS,
    METRIC_MODEL_LOAD,        /* ns of the last load */
    METRIC_MODEL_LOAD_MEMORY, /* bytes that the process has grown by in it */
    METRIC_MODEL_INFO,
    METRIC_WORKERS,
    METRIC_WORKER_STARTS,
    METRIC_WORKER_DEATHS,
    METRIC_WORKER_KILLS, /* reason */
    METRIC_WORKER_RESIDENT,
    /* Of the server. */
    METRIC_RELOADS,           /* result */
    METRIC_LOG_LINES_DROPPED, /* reason */
    METRIC_HEAP_ALLOCATIONS,
    METRIC_SPANS_EXPORTED,
    METRIC_SPANS_DROPPED,
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
    HANDLER_UI,
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
    REJECTION_STREAMS,
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
enum metric_protocol { PROTOCOL_HTTP1, PROTOCOL_HTTP2, PROTOCOL_GRPC, PROTOCOL_COUNT };
/* What a connection speaks; undecided until its first bytes. */
enum metric_wire { WIRE_UNDECIDED, WIRE_HTTP1, WIRE_HTTP2, WIRE_COUNT };
enum metric_interface { INTERFACE_REST, INTERFACE_GRPC, INTERFACE_COUNT };
enum metric_kill { KILL_TIMEOUT, KILL_MEMORY, KILL_PROTOCOL, KILL_COUNT };
enum metric_log_drop { LOG_DROP_FULL, LOG_DROP_LIMITED, LOG_DROP_COUNT };
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

/* The name of a gRPC status: "INVALID_ARGUMENT". Static. */
struct slice metrics_grpc_status(enum grpc_status status);

/* All metrics of the process. Shards are made before their threads start. */
struct metrics;
/* One thread's cells. Written by that thread alone. */
struct metrics_shard;

/* NULL without memory. `version` is of this build, borrowed. */
MUST_CHECK struct metrics *metrics_new(const char *version);
void metrics_free(struct metrics *metrics);
/* Borrowed from `metrics`; NULL without memory. Not thread-safe: the server's start calls it. */
MUST_CHECK struct metrics_shard *metrics_add_shard(struct metrics *metrics);

/*
 * A model of this name is in service from now on: the gauges of models are its own. Returns its number,
 * the same for the same name; past METRICS_MODELS_MAX names the rest share one, "other". One thread at
 * a time: the loader's.
 */
#define METRICS_MODELS_MAX 4
#define METRICS_MODEL_NAME_MAX 128 /* bytes; a longer one is cut */
unsigned metrics_use_model(struct metrics *metrics, struct slice name);
/* What the shard counts is this model's from now on. The shard's thread only. */
void metrics_shard_use_model(struct metrics_shard *shard, unsigned model);

/* Counters. The shard's thread only. */
void metrics_count(struct metrics_shard *shard, enum metric metric, unsigned series, uint64_t more);
/*
 * Gauges that threads count together, each what is its own: one more, one less. The shard's thread
 * only.
 */
void metrics_raise(struct metrics_shard *shard, enum metric metric, unsigned series);
void metrics_lower(struct metrics_shard *shard, enum metric metric, unsigned series);
/* Histograms and summaries: one observation in the declared unit. The shard's thread only. */
void metrics_observe(struct metrics_shard *shard, enum metric metric, unsigned series,
                     uint64_t value);

/* The trace that an observation belongs to. */
struct metrics_trace {
    unsigned char trace_id[16];
    unsigned char span_id[8];
    uint64_t unix_ns; /* when it was observed */
};
/*
 * The same for a histogram, and the trace stays as the exemplar of its bucket until a later one takes
 * its place; NULL leaves the one that is there. The first trace on a shard allocates; without memory
 * there are no exemplars. The shard's thread only.
 */
void metrics_observe_exemplar(struct metrics_shard *shard, enum metric metric, unsigned series,
                              uint64_t value, const struct metrics_trace *trace);

/*
 * What belongs to the process or to the model in service, and what is counted elsewhere (counters
 * too): set from any thread.
 */
void metrics_set(struct metrics *metrics, enum metric metric, uint64_t value);
void metrics_set_series(struct metrics *metrics, enum metric metric, unsigned series,
                        uint64_t value);
/* The same for a model that may no longer be the one in service. */
void metrics_set_of_model(struct metrics *metrics, unsigned model, enum metric metric,
                          unsigned series, uint64_t value);
/* Counts what is rare and needs no shard. Any thread. */
void metrics_add(struct metrics *metrics, enum metric metric, unsigned series, uint64_t more);

#endif
