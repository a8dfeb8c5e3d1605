/*
 * The table of metrics, their cells and the text format (Prometheus exposition format 0.0.4). A
 * metric's cells are one run of counters in each shard: for histograms the buckets, then sum and
 * count. One writer a shard, so a relaxed load and store is enough; readers may be a little behind.
 */
#include "obs/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define SHARDS_MAX 512
#define LABELS_MAX 3

enum kind { COUNTER, GAUGE, HISTOGRAM, SUMMARY };

struct label {
    const char *name;
    const char *const *values;
    unsigned count;
};

static const char *const handler_names[HANDLER_COUNT] = {
    [HANDLER_INVOCATIONS] = "/invocations",
    [HANDLER_LIVE] = "/live",
    [HANDLER_HEALTHZ] = "/healthz",
    [HANDLER_READY] = "/ready",
    [HANDLER_READYZ] = "/readyz",
    [HANDLER_PING] = "/ping",
    [HANDLER_METRICS] = "/metrics",
    [HANDLER_OPENAPI] = "/openapi.yaml",
    [HANDLER_DOCS] = "/docs",
    [HANDLER_NONE] = "none",
};
static const char *const method_names[METHOD_COUNT] = {"GET", "POST", "HEAD", "OTHER"};
static const char *const status_names[STATUS_COUNT] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
static const char *const rejection_names[REJECTION_COUNT] = {
    "body_too_large", "no_slot",     "queue_full",      "late",
    "not_ready",      "connections", "connection_full", "calls"};
static const char *const rpc_names[RPC_COUNT] = {
    "Live", "Ready", "Predict", "Check", "Watch", "ServerReflectionInfo", "other"};
static const char *const code_names[GRPC_STATUSES] = {
    [GRPC_OK] = "OK",
    [GRPC_CANCELLED] = "CANCELLED",
    [GRPC_UNKNOWN] = "UNKNOWN",
    [GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [GRPC_NOT_FOUND] = "NOT_FOUND",
    [GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [GRPC_ABORTED] = "ABORTED",
    [GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [GRPC_INTERNAL] = "INTERNAL",
    [GRPC_UNAVAILABLE] = "UNAVAILABLE",
    [GRPC_DATA_LOSS] = "DATA_LOSS",
    [GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
};
static const char *const drop_names[DROP_COUNT] = {"cancelled", "expired", "stopped"};
static const char *const reload_names[RELOAD_COUNT] = {"ok", "failed"};

static const struct label handler_label = {"handler", handler_names, HANDLER_COUNT};
static const struct label method_label = {"method", method_names, METHOD_COUNT};
static const struct label status_label = {"status", status_names, STATUS_COUNT};
static const struct label rejection_label = {"reason", rejection_names, REJECTION_COUNT};
static const struct label rpc_label = {"method", rpc_names, RPC_COUNT};
static const struct label code_label = {"code", code_names, GRPC_STATUSES};
static const struct label drop_label = {"reason", drop_names, DROP_COUNT};
static const struct label reload_label = {"result", reload_names, RELOAD_COUNT};

struct buckets {
    unsigned count;
    uint64_t bounds[24]; /* in the metric's unit, ascending; +Inf is implied */
};

#define MS(n) ((uint64_t)(n)*1000000u)
#define US(n) ((uint64_t)(n)*1000u)

/* The reference's buckets, so that its dashboards' quantiles go on meaning the same. */
static const struct buckets low_resolution = {3, {MS(100), MS(500), MS(1000)}};
static const struct buckets high_resolution = {
    21, {MS(10),   MS(25),   MS(50),   MS(75),   MS(100),   MS(250),   MS(500),
         MS(750),  MS(1000), MS(1500), MS(2000), MS(2500),  MS(3000),  MS(3500),
         MS(4000), MS(4500), MS(5000), MS(7500), MS(10000), MS(30000), MS(60000)}};
static const struct buckets native_seconds = {16,
                                              {US(1), US(5), US(10), US(50), US(100), US(250),
                                               US(500), MS(1), MS(2) + US(500), MS(5), MS(10),
                                               MS(25), MS(50), MS(100), MS(1000), MS(10000)}};
static const struct buckets row_counts = {
    13, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384}};

struct definition {
    const char *name;
    const char *help;
    enum kind kind;
    const struct label *labels[LABELS_MAX];
    const struct buckets *buckets;
    double unit; /* what one counted unit is worth in the printed unit; 0 stands for 1 */
};

#define NS 1e-9

static const struct definition definitions[METRIC_COUNT] = {
    [METRIC_HTTP_REQUESTS] = {"http_requests_total",
                              "Total number of requests by method, status and handler.",
                              COUNTER,
                              {&handler_label, &method_label, &status_label},
                              NULL,
                              0},
    [METRIC_HTTP_DURATION] = {"http_request_duration_seconds",
                              "Latency with only few buckets by handler.",
                              HISTOGRAM,
                              {&handler_label, &method_label},
                              &low_resolution,
                              NS},
    [METRIC_HTTP_DURATION_HIGHR] = {"http_request_duration_highr_seconds",
                                    "Latency with many buckets but no API specific labels.",
                                    HISTOGRAM,
                                    {NULL},
                                    &high_resolution,
                                    NS},
    [METRIC_HTTP_REQUEST_SIZE] = {"http_request_size_bytes",
                                  "Content length of incoming requests by handler.",
                                  SUMMARY,
                                  {&handler_label},
                                  NULL,
                                  0},
    [METRIC_HTTP_RESPONSE_SIZE] = {"http_response_size_bytes",
                                   "Content length of outgoing responses by handler.",
                                   SUMMARY,
                                   {&handler_label},
                                   NULL,
                                   0},
    [METRIC_GRPC_REQUESTS] = {"onnxd_grpc_requests_total",
                              "Total number of gRPC calls by method and status code.",
                              COUNTER,
                              {&rpc_label, &code_label},
                              NULL,
                              0},
    [METRIC_GRPC_DURATION] = {"onnxd_grpc_request_duration_seconds",
                              "Time from a gRPC call's first byte to its status.",
                              HISTOGRAM,
                              {&rpc_label},
                              &high_resolution,
                              NS},
    [METRIC_PROCESS_CPU] = {"process_cpu_seconds_total",
                            "Total user and system CPU time spent in seconds.",
                            COUNTER,
                            {NULL},
                            NULL,
                            1e-6},
    [METRIC_PROCESS_RESIDENT] =
        {"process_resident_memory_bytes", "Resident memory size in bytes.", GAUGE, {NULL}, NULL, 0},
    [METRIC_PROCESS_VIRTUAL] =
        {"process_virtual_memory_bytes", "Virtual memory size in bytes.", GAUGE, {NULL}, NULL, 0},
    [METRIC_PROCESS_START] = {"process_start_time_seconds",
                              "Start time of the process since unix epoch in seconds.",
                              GAUGE,
                              {NULL},
                              NULL,
                              1e-3},
    [METRIC_PROCESS_OPEN_FDS] =
        {"process_open_fds", "Number of open file descriptors.", GAUGE, {NULL}, NULL, 0},
    [METRIC_PROCESS_MAX_FDS] =
        {"process_max_fds", "Maximum number of open file descriptors.", GAUGE, {NULL}, NULL, 0},
    [METRIC_UP] =
        {"byoc_up", "1 when the model is loaded and warm, else 0.", GAUGE, {NULL}, NULL, 0},
    [METRIC_JOBS] = {"onnxd_jobs_total", "Inference jobs that ran.", COUNTER, {NULL}, NULL, 0},
    [METRIC_RUNS] = {"onnxd_runs_total",
                     "Runs of the model; several jobs can share one run.",
                     COUNTER,
                     {NULL},
                     NULL,
                     0},
    [METRIC_RUN_ROWS] = {"onnxd_run_rows", "Rows of a run.", HISTOGRAM, {NULL}, &row_counts, 0},
    [METRIC_DECODE_DURATION] = {"onnxd_decode_duration_seconds",
                                "Time from a request's bytes to its tensors.",
                                HISTOGRAM,
                                {NULL},
                                &native_seconds,
                                NS},
    [METRIC_JOBS_HANDED_OVER] = {"onnxd_jobs_handed_over_total",
                                 "Jobs that a loop gave to runners because it had too many.",
                                 COUNTER,
                                 {NULL},
                                 NULL,
                                 0},
    [METRIC_QUEUE_DURATION] = {"onnxd_queue_duration_seconds",
                               "Time from a job's submission to the start of its run.",
                               HISTOGRAM,
                               {NULL},
                               &native_seconds,
                               NS},
    [METRIC_COMPUTE_DURATION] = {"onnxd_compute_duration_seconds",
                                 "Time of a run of the model.",
                                 HISTOGRAM,
                                 {NULL},
                                 &native_seconds,
                                 NS},
    [METRIC_ENCODE_DURATION] = {"onnxd_encode_duration_seconds",
                                "Time from a job's values to the answer's bytes.",
                                HISTOGRAM,
                                {NULL},
                                &native_seconds,
                                NS},
    [METRIC_REJECTIONS] = {"onnxd_rejections_total",
                           "Requests and connections refused by a limit.",
                           COUNTER,
                           {&rejection_label},
                           NULL,
                           0},
    [METRIC_JOBS_DROPPED] = {"onnxd_jobs_dropped_total",
                             "Jobs whose client left, whose deadline passed or whose model ended "
                             "before they ran.",
                             COUNTER,
                             {&drop_label},
                             NULL,
                             0},
    [METRIC_RELOADS] = {"onnxd_reloads_total", "Model reloads.", COUNTER, {&reload_label}, NULL, 0},
    [METRIC_MODEL_LOAD] =
        {"onnxd_model_load_seconds", "Duration of the last model load.", GAUGE, {NULL}, NULL, NS},
    [METRIC_IN_FLIGHT] = {"onnxd_in_flight", "Execution slots in use.", GAUGE, {NULL}, NULL, 0},
    [METRIC_CONNECTIONS] =
        {"onnxd_connections", "Open client connections.", GAUGE, {NULL}, NULL, 0},
    [METRIC_EXECUTION_POOLED] = {"onnxd_execution_pooled",
                                 "1 when the model runs on runner threads, 0 when on I/O threads.",
                                 GAUGE,
                                 {NULL},
                                 NULL,
                                 0},
    [METRIC_EXECUTION_TIME] =
        {"onnxd_execution_estimate_seconds",
         "Moving estimate of the time that a typical job takes alone; 0 while unknown.",
         GAUGE,
         {NULL},
         NULL,
         NS},
    [METRIC_RUNNERS] = {"onnxd_runners", "Runner threads of the model.", GAUGE, {NULL}, NULL, 0},
    [METRIC_RUNNERS_BUSY] =
        {"onnxd_runners_busy", "Runner threads that run a batch now.", GAUGE, {NULL}, NULL, 0},
    [METRIC_QUEUE_JOBS] =
        {"onnxd_queue_jobs", "Jobs that wait for a runner thread.", GAUGE, {NULL}, NULL, 0},
    [METRIC_QUEUE_ROWS] =
        {"onnxd_queue_rows", "Rows of the jobs that wait for a runner.", GAUGE, {NULL}, NULL, 0},
    [METRIC_HEAP_ALLOCATIONS] = {"onnxd_heap_allocations_total",
                                 "Heap allocations of the server itself, without the runtime.",
                                 COUNTER,
                                 {NULL},
                                 NULL,
                                 0},
    [METRIC_BUILD_INFO] =
        {"onnxd_build_info", "1, labelled with the version of this build.", GAUGE, {NULL}, NULL, 0},
};

struct metrics_shard {
    const unsigned *first_cell; /* of each metric: the layout all shards share */
    _Atomic uint64_t *cells;
};

struct metrics {
    const char *version;
    unsigned first_cell[METRIC_COUNT];
    unsigned cell_count;
    unsigned shard_count;
    struct metrics_shard *shards[SHARDS_MAX];
    _Atomic uint64_t gauges[METRIC_COUNT]; /* and counters kept elsewhere, set before a scrape */
    _Atomic uint64_t reloads[RELOAD_COUNT];
};

static unsigned series_count(const struct definition *definition)
{
    unsigned count = 1;
    for (unsigned i = 0; i < LABELS_MAX && definition->labels[i] != NULL; i++) {
        count *= definition->labels[i]->count;
    }
    return count;
}

static unsigned cells_per_series(const struct definition *definition)
{
    switch (definition->kind) {
    case HISTOGRAM:
        return definition->buckets->count + 3; /* the buckets, +Inf, sum, count */
    case SUMMARY:
        return 2;
    case COUNTER:
    case GAUGE:
        break;
    }
    return 1;
}

struct metrics *metrics_new(const char *version)
{
    struct metrics *metrics = mem_zalloc(1, sizeof(*metrics));
    if (metrics == NULL) {
        return NULL;
    }
    metrics->version = version;
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        metrics->first_cell[i] = metrics->cell_count;
        metrics->cell_count += series_count(&definitions[i]) * cells_per_series(&definitions[i]);
    }
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (unsigned i = 0; i < metrics->shard_count; i++) {
        mem_free(metrics->shards[i]->cells);
        mem_free(metrics->shards[i]);
    }
    mem_free(metrics);
}

struct metrics_shard *metrics_add_shard(struct metrics *metrics)
{
    CHECK(metrics->shard_count < SHARDS_MAX);
    struct metrics_shard *shard = mem_zalloc(1, sizeof(*shard));
    if (shard == NULL) {
        return NULL;
    }
    shard->cells = mem_zalloc(metrics->cell_count, sizeof(shard->cells[0]));
    if (shard->cells == NULL) {
        mem_free(shard);
        return NULL;
    }
    shard->first_cell = metrics->first_cell;
    metrics->shards[metrics->shard_count++] = shard;
    return shard;
}

static void add(_Atomic uint64_t *cell, uint64_t more)
{
    uint64_t value = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, value + more, memory_order_relaxed);
}

static _Atomic uint64_t *cell_at(struct metrics_shard *shard, enum metric metric, unsigned series)
{
    const struct definition *definition = &definitions[metric];
    return shard->cells + shard->first_cell[metric] + series * cells_per_series(definition);
}

void metrics_count(struct metrics_shard *shard, enum metric metric, unsigned series, uint64_t more)
{
    CHECK(definitions[metric].kind == COUNTER);
    add(cell_at(shard, metric, series), more);
}

void metrics_observe(struct metrics_shard *shard, enum metric metric, unsigned series,
                     uint64_t value)
{
    const struct definition *definition = &definitions[metric];
    _Atomic uint64_t *cells = cell_at(shard, metric, series);
    if (definition->kind == HISTOGRAM) {
        const struct buckets *buckets = definition->buckets;
        unsigned bucket = 0;
        while (bucket < buckets->count && value > buckets->bounds[bucket]) {
            bucket++;
        }
        add(&cells[bucket], 1);
        cells += buckets->count + 1;
    } else {
        CHECK(definition->kind == SUMMARY);
    }
    add(&cells[0], value);
    add(&cells[1], 1);
}

void metrics_set(struct metrics *metrics, enum metric metric, uint64_t value)
{
    atomic_store_explicit(&metrics->gauges[metric], value, memory_order_relaxed);
}

void metrics_count_reload(struct metrics *metrics, enum metric_reload result)
{
    atomic_fetch_add_explicit(&metrics->reloads[result], 1, memory_order_relaxed);
}

/* What no shard holds. */
static uint64_t shared_total(const struct metrics *metrics, enum metric metric, unsigned offset)
{
    if (metric == METRIC_RELOADS) {
        return atomic_load_explicit(&metrics->reloads[offset], memory_order_relaxed);
    }
    return offset == 0 ? atomic_load_explicit(&metrics->gauges[metric], memory_order_relaxed) : 0;
}

static uint64_t total(const struct metrics *metrics, enum metric metric, unsigned offset)
{
    uint64_t sum = shared_total(metrics, metric, offset);
    for (unsigned i = 0; i < metrics->shard_count; i++) {
        sum += atomic_load_explicit(
            &metrics->shards[i]->cells[metrics->first_cell[metric] + offset], memory_order_relaxed);
    }
    return sum;
}

/* The labels of a series, without braces: `handler="/live",method="GET"`. */
static int put_labels(const struct definition *definition, unsigned series, struct bytes *out)
{
    unsigned below = series_count(definition);
    int status = ERR_OK;
    for (unsigned i = 0; i < LABELS_MAX && definition->labels[i] != NULL && status == ERR_OK; i++) {
        const struct label *label = definition->labels[i];
        below /= label->count;
        status = bytes_printf(out, "%s%s=\"%s\"", i == 0 ? "" : ",", label->name,
                              label->values[series / below % label->count]);
    }
    return status;
}

/* One sample line; `le` is an upper bound in printed units, or NULL. */
static int put_sample(const struct definition *definition, const char *suffix, unsigned series,
                      const char *le, double value, struct bytes *out)
{
    int status = bytes_printf(out, "%s%s", definition->name, suffix);
    bool labelled = definition->labels[0] != NULL;
    if (status == ERR_OK && (labelled || le != NULL)) {
        status = bytes_put_byte(out, '{');
        if (status == ERR_OK) {
            status = put_labels(definition, series, out);
        }
        if (status == ERR_OK && le != NULL) {
            status = bytes_printf(out, "%sle=\"%s\"", labelled ? "," : "", le);
        }
        if (status == ERR_OK) {
            status = bytes_put_byte(out, '}');
        }
    }
    return status == ERR_OK ? bytes_printf(out, " %.17g\n", value) : status;
}

static double scale(const struct definition *definition, uint64_t value)
{
    return definition->unit == 0 ? (double)value : (double)value * definition->unit;
}

#define BOUND_TEXT_MAX 32

/* Upper bound of a bucket as text; what is past the last one is +Inf. */
static void print_bound(const struct definition *definition, unsigned bucket, char *text)
{
    if (bucket == definition->buckets->count) {
        snprintf(text, BOUND_TEXT_MAX, "+Inf");
        return;
    }
    double bound = scale(definition, definition->buckets->bounds[bucket]);
    int len = snprintf(text, BOUND_TEXT_MAX, "%.9g", bound);
    CHECK(len > 0 && len + 3 <= BOUND_TEXT_MAX);
    /* As Python writes floats: a dashboard may name le="30.0". */
    if (strcspn(text, ".e") == (size_t)len) {
        memcpy(text + len, ".0", 3);
    }
}

/* *ret_count is what the last bucket says: a scrape amid observations still adds up. */
static int put_histogram(const struct metrics *metrics, enum metric metric, unsigned series,
                         uint64_t *ret_count, struct bytes *out)
{
    const struct definition *definition = &definitions[metric];
    unsigned first = series * cells_per_series(definition);
    uint64_t running = 0;
    int status = ERR_OK;
    for (unsigned i = 0; i <= definition->buckets->count && status == ERR_OK; i++) {
        char bound[BOUND_TEXT_MAX];
        print_bound(definition, i, bound);
        running += total(metrics, metric, first + i);
        status = put_sample(definition, "_bucket", series, bound, (double)running, out);
    }
    *ret_count = running;
    return status;
}

static int put_series(const struct metrics *metrics, enum metric metric, unsigned series,
                      struct bytes *out)
{
    const struct definition *definition = &definitions[metric];
    unsigned cells = cells_per_series(definition);
    unsigned last = series * cells + cells - 1;
    uint64_t count = total(metrics, metric, last);
    if (count == 0 && definition->labels[0] != NULL) {
        return ERR_OK;
    }
    if (definition->kind == COUNTER || definition->kind == GAUGE) {
        return put_sample(definition, "", series, NULL, scale(definition, count), out);
    }
    int status = definition->kind == HISTOGRAM ? put_histogram(metrics, metric, series, &count, out)
                                               : ERR_OK;
    if (status == ERR_OK) {
        double sum = scale(definition, total(metrics, metric, last - 1));
        status = put_sample(definition, "_sum", series, NULL, sum, out);
    }
    return status == ERR_OK ? put_sample(definition, "_count", series, NULL, (double)count, out)
                            : status;
}

__attribute__((noinline)) /* tests/bench/budget.py marks its parts by it */
int metrics_write(const struct metrics *metrics, struct bytes *out)
{
    static const char *const kind_names[] = {"counter", "gauge", "histogram", "summary"};
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const struct definition *definition = &definitions[metric];
        int status = bytes_printf(out, "# HELP %s %s\n# TYPE %s %s\n", definition->name,
                                  definition->help, definition->name, kind_names[definition->kind]);
        if (status == ERR_OK && metric == METRIC_BUILD_INFO) {
            status = bytes_printf(out, "onnxd_build_info{version=\"%s\"} 1\n", metrics->version);
        } else {
            for (unsigned i = 0; i < series_count(definition) && status == ERR_OK; i++) {
                status = put_series(metrics, metric, i, out);
            }
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}
