/*
 * Every metric of the program, once. What is called http_*, process_* and byoc_up has the names, labels
 * and buckets of the service that this one takes the place of.
 */
#include "obs/metrics_table.h"

#include <stddef.h>

/* ---- labels ---- */

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
    [HANDLER_UI] = "/ui",
    [HANDLER_NONE] = "none",
};
static const char *const method_names[METHOD_COUNT] = {"GET", "POST", "HEAD", "OTHER"};
static const char *const status_names[STATUS_COUNT] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
static const char *const rejection_names[REJECTION_COUNT] = {
    [REJECTION_BODY_TOO_LARGE] = "body_too_large",
    [REJECTION_NO_SLOT] = "no_slot",
    [REJECTION_QUEUE_FULL] = "queue_full",
    [REJECTION_LATE] = "late",
    [REJECTION_NOT_READY] = "not_ready",
    [REJECTION_CONNECTIONS] = "connections",
    [REJECTION_STREAMS] = "streams",
    [REJECTION_CONNECTION_FULL] = "connection_full",
    [REJECTION_CALLS] = "calls",
};
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
static const char *const protocol_names[PROTOCOL_COUNT] = {"http1", "http2", "grpc"};
static const char *const wire_names[WIRE_COUNT] = {"undecided", "http1", "http2"};
static const char *const interface_names[INTERFACE_COUNT] = {"rest", "grpc"};
static const char *const drop_names[DROP_COUNT] = {"cancelled", "expired", "stopped"};
static const char *const reload_names[RELOAD_COUNT] = {"ok", "failed"};
static const char *const kill_names[KILL_COUNT] = {"timeout", "memory", "protocol"};
static const char *const log_drop_names[LOG_DROP_COUNT] = {"full", "limited"};

static const struct metric_label handler_label = {"handler", handler_names, HANDLER_COUNT};
static const struct metric_label method_label = {"method", method_names, METHOD_COUNT};
static const struct metric_label status_label = {"status", status_names, STATUS_COUNT};
static const struct metric_label rejection_label = {"reason", rejection_names, REJECTION_COUNT};
static const struct metric_label rpc_label = {"method", rpc_names, RPC_COUNT};
static const struct metric_label code_label = {"code", code_names, GRPC_STATUSES};
static const struct metric_label protocol_label = {"protocol", protocol_names, PROTOCOL_COUNT};
static const struct metric_label wire_label = {"protocol", wire_names, WIRE_COUNT};
static const struct metric_label interface_label = {"interface", interface_names, INTERFACE_COUNT};
static const struct metric_label drop_label = {"reason", drop_names, DROP_COUNT};
static const struct metric_label reload_label = {"result", reload_names, RELOAD_COUNT};
static const struct metric_label kill_label = {"reason", kill_names, KILL_COUNT};
static const struct metric_label log_drop_label = {"reason", log_drop_names, LOG_DROP_COUNT};

/* ---- buckets ---- */

#define MS(n) ((uint64_t)(n)*1000000u)
#define US(n) ((uint64_t)(n)*1000u)

/* The reference's buckets, so that its dashboards' quantiles go on meaning the same. */
static const struct metric_buckets low_resolution = {3, {MS(100), MS(500), MS(1000)}};
static const struct metric_buckets high_resolution = {
    21, {MS(10),   MS(25),   MS(50),   MS(75),   MS(100),   MS(250),   MS(500),
         MS(750),  MS(1000), MS(1500), MS(2000), MS(2500),  MS(3000),  MS(3500),
         MS(4000), MS(4500), MS(5000), MS(7500), MS(10000), MS(30000), MS(60000)}};
/* Of a request: nothing is answered in less than the first. */
static const struct metric_buckets request_time = {
    20, {US(10),   US(25),   US(50),   US(100),  US(250),   US(500),  MS(1),
         US(2500), MS(5),    MS(10),   MS(25),   MS(50),    MS(100),  MS(250),
         MS(500),  MS(1000), MS(2500), MS(5000), MS(10000), MS(60000)}};
/* Of a part of one: decoding four numbers takes less than a microsecond. */
static const struct metric_buckets part_time = {
    23, {US(1),   2500,    US(5),    US(10),   US(25),   US(50),    US(100),  US(250),
         US(500), MS(1),   US(2500), MS(5),    MS(10),   MS(25),    MS(50),   MS(100),
         MS(250), MS(500), MS(1000), MS(2500), MS(5000), MS(10000), MS(60000)}};
static const struct metric_buckets row_counts = {
    13, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384}};
static const struct metric_buckets job_counts = {10, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}};

/* ---- the table ---- */

/* Counted in nanoseconds, printed in seconds. */
#define NANOSECONDS .unit = METRIC_SECONDS, .scale = 1e-9

const struct metric_definition metric_definitions[METRIC_COUNT] = {
    [METRIC_HTTP_REQUESTS] = {.name = "http_requests_total",
                              .help = "Total number of requests by method, status and handler.",
                              .kind = METRIC_COUNTER,
                              .labels = {&handler_label, &method_label, &status_label}},
    [METRIC_HTTP_DURATION] = {.name = "http_request_duration_seconds",
                              .help = "Latency with only few buckets by handler.",
                              .kind = METRIC_HISTOGRAM,
                              NANOSECONDS,
                              .labels = {&handler_label, &method_label},
                              .buckets = &low_resolution},
    [METRIC_HTTP_DURATION_HIGHR] = {.name = "http_request_duration_highr_seconds",
                                    .help = "Latency with many buckets but no API specific labels.",
                                    .kind = METRIC_HISTOGRAM,
                                    NANOSECONDS,
                                    .buckets = &high_resolution},
    [METRIC_HTTP_REQUEST_SIZE] = {.name = "http_request_size_bytes",
                                  .help = "Content length of incoming requests by handler.",
                                  .kind = METRIC_SUMMARY,
                                  .unit = METRIC_BYTES,
                                  .labels = {&handler_label}},
    [METRIC_HTTP_RESPONSE_SIZE] = {.name = "http_response_size_bytes",
                                   .help = "Content length of outgoing responses by handler.",
                                   .kind = METRIC_SUMMARY,
                                   .unit = METRIC_BYTES,
                                   .labels = {&handler_label}},
    [METRIC_PROCESS_CPU] = {.name = "process_cpu_seconds_total",
                            .help = "Total user and system CPU time spent in seconds.",
                            .kind = METRIC_COUNTER,
                            .unit = METRIC_SECONDS,
                            .scale = 1e-6},
    [METRIC_PROCESS_RESIDENT] = {.name = "process_resident_memory_bytes",
                                 .help = "Resident memory size in bytes.",
                                 .kind = METRIC_GAUGE,
                                 .unit = METRIC_BYTES},
    [METRIC_PROCESS_VIRTUAL] = {.name = "process_virtual_memory_bytes",
                                .help = "Virtual memory size in bytes.",
                                .kind = METRIC_GAUGE,
                                .unit = METRIC_BYTES},
    [METRIC_PROCESS_START] = {.name = "process_start_time_seconds",
                              .help = "Start time of the process since unix epoch in seconds.",
                              .kind = METRIC_GAUGE,
                              .unit = METRIC_SECONDS,
                              .scale = 1e-3},
    [METRIC_PROCESS_OPEN_FDS] = {.name = "process_open_fds",
                                 .help = "Number of open file descriptors.",
                                 .kind = METRIC_GAUGE},
    [METRIC_PROCESS_MAX_FDS] = {.name = "process_max_fds",
                                .help = "Maximum number of open file descriptors.",
                                .kind = METRIC_GAUGE},
    [METRIC_UP] = {.name = "byoc_up",
                   .help = "1 when the model is loaded and warm, else 0.",
                   .kind = METRIC_GAUGE},

    [METRIC_GRPC_REQUESTS] = {.name = "onnxd_grpc_requests_total",
                              .help = "Calls of gRPC by method and status code.",
                              .kind = METRIC_COUNTER,
                              .labels = {&rpc_label, &code_label}},
    [METRIC_GRPC_DURATION] = {.name = "onnxd_grpc_request_duration_seconds",
                              .help = "Time from the first byte of a gRPC call to its status.",
                              .kind = METRIC_HISTOGRAM,
                              NANOSECONDS,
                              .labels = {&rpc_label},
                              .buckets = &request_time},
    [METRIC_IN_PROGRESS] =
        {.name = "onnxd_requests_in_progress",
         .help = "Requests that are being read, worked on or answered. Over HTTP/2 and "
                 "gRPC these are the open streams.",
         .kind = METRIC_GAUGE,
         .labels = {&protocol_label}},
    [METRIC_CONNECTIONS] = {.name = "onnxd_connections",
                            .help =
                                "Open client connections by what they speak, undecided until their "
                                "first bytes. gRPC is HTTP/2.",
                            .kind = METRIC_GAUGE,
                            .labels = {&wire_label}},
    [METRIC_CONNECTIONS_OPENED] = {.name = "onnxd_connections_opened_total",
                                   .help =
                                       "Client connections since the start, by what they speak.",
                                   .kind = METRIC_COUNTER,
                                   .labels = {&wire_label}},
    [METRIC_REJECTIONS] = {.name = "onnxd_rejections_total",
                           .help = "Requests and connections refused by a limit.",
                           .kind = METRIC_COUNTER,
                           .labels = {&rejection_label}},
    [METRIC_SLOTS] = {.name = "onnxd_slots",
                      .help = "Execution slots there are (MAX_INFLIGHT).",
                      .kind = METRIC_GAUGE},
    [METRIC_IN_FLIGHT] = {.name = "onnxd_in_flight",
                          .help = "Execution slots in use: inferences in flight.",
                          .kind = METRIC_GAUGE},
    [METRIC_SLOTS_WAITING] = {.name = "onnxd_slots_waiting",
                              .help = "Requests that wait for an execution slot.",
                              .kind = METRIC_GAUGE},

    [METRIC_INFERENCE_DURATION] = {.name = "onnxd_inference_duration_seconds",
                                   .help =
                                       "Time from the first byte of a request for inference to its "
                                       "answer, whatever that is.",
                                   .kind = METRIC_HISTOGRAM,
                                   NANOSECONDS,
                                   .labels = {&interface_label},
                                   .buckets = &request_time,
                                   .of_model = true},
    [METRIC_DECODE_DURATION] = {.name = "onnxd_decode_duration_seconds",
                                .help = "Time from the bytes of a request to its tensors.",
                                .kind = METRIC_HISTOGRAM,
                                NANOSECONDS,
                                .buckets = &part_time,
                                .of_model = true},
    [METRIC_QUEUE_DURATION] = {.name = "onnxd_queue_duration_seconds",
                               .help = "Time from the submission of a job to the start of its run.",
                               .kind = METRIC_HISTOGRAM,
                               NANOSECONDS,
                               .buckets = &part_time,
                               .of_model = true},
    [METRIC_COMPUTE_DURATION] = {.name = "onnxd_compute_duration_seconds",
                                 .help = "Time of a run of the model.",
                                 .kind = METRIC_HISTOGRAM,
                                 NANOSECONDS,
                                 .buckets = &part_time,
                                 .of_model = true},
    [METRIC_ENCODE_DURATION] = {.name = "onnxd_encode_duration_seconds",
                                .help =
                                    "Time from the end of a job's run to the bytes of its answer.",
                                .kind = METRIC_HISTOGRAM,
                                NANOSECONDS,
                                .buckets = &part_time,
                                .of_model = true},
    [METRIC_JOBS] = {.name = "onnxd_jobs_total",
                     .help = "Inference jobs that ran.",
                     .kind = METRIC_COUNTER,
                     .of_model = true},
    [METRIC_RUNS] = {.name = "onnxd_runs_total",
                     .help = "Runs of the model; several jobs can share one run.",
                     .kind = METRIC_COUNTER,
                     .of_model = true},
    [METRIC_RUN_ROWS] = {.name = "onnxd_run_rows",
                         .help = "Rows of a run.",
                         .kind = METRIC_HISTOGRAM,
                         .buckets = &row_counts,
                         .of_model = true},
    [METRIC_RUN_JOBS] = {.name = "onnxd_run_jobs",
                         .help = "Jobs that were put together for a run.",
                         .kind = METRIC_HISTOGRAM,
                         .buckets = &job_counts,
                         .of_model = true},
    [METRIC_JOBS_DROPPED] =
        {.name = "onnxd_jobs_dropped_total",
         .help = "Jobs whose client left (cancelled), whose deadline passed (expired) "
                 "or whose model ended (stopped) before they ran.",
         .kind = METRIC_COUNTER,
         .labels = {&drop_label},
         .of_model = true},
    [METRIC_JOBS_HANDED_OVER] = {.name = "onnxd_jobs_handed_over_total",
                                 .help =
                                     "Jobs that a loop gave to runners because it had too many.",
                                 .kind = METRIC_COUNTER,
                                 .of_model = true},
    [METRIC_EXECUTION_POOLED] =
        {.name = "onnxd_execution_pooled",
         .help = "1 when the model runs on runner threads, 0 when on I/O threads.",
         .kind = METRIC_GAUGE,
         .of_model = true},
    [METRIC_EXECUTION_TIME] = {.name = "onnxd_execution_estimate_seconds",
                               .help =
                                   "Moving estimate of the time that a typical job takes alone; 0 "
                                   "while unknown.",
                               .kind = METRIC_GAUGE,
                               NANOSECONDS,
                               .of_model = true},
    [METRIC_RUNNERS] = {.name = "onnxd_runners",
                        .help = "Runner threads of the model.",
                        .kind = METRIC_GAUGE,
                        .of_model = true},
    [METRIC_RUNNERS_BUSY] = {.name = "onnxd_runners_busy",
                             .help = "Runner threads that run a batch now.",
                             .kind = METRIC_GAUGE,
                             .of_model = true},
    [METRIC_QUEUE_JOBS] = {.name = "onnxd_queue_jobs",
                           .help = "Jobs that wait for a runner thread.",
                           .kind = METRIC_GAUGE,
                           .of_model = true},
    [METRIC_QUEUE_ROWS] = {.name = "onnxd_queue_rows",
                           .help = "Rows of the jobs that wait for a runner.",
                           .kind = METRIC_GAUGE,
                           .of_model = true},
    [METRIC_MODEL_LOAD] = {.name = "onnxd_model_load_seconds",
                           .help = "Duration of the last model load.",
                           .kind = METRIC_GAUGE,
                           NANOSECONDS,
                           .of_model = true},
    [METRIC_MODEL_LOAD_MEMORY] =
        {.name = "onnxd_model_load_memory_bytes",
         .help = "What the process's resident memory grew by while the model was loaded, "
                 "pruned and first run.",
         .kind = METRIC_GAUGE,
         .unit = METRIC_BYTES,
         .of_model = true},
    [METRIC_MODEL_INFO] = {.name = "onnxd_model_info",
                           .help = "1, labelled with what the model in service is.",
                           .kind = METRIC_GAUGE,
                           .of_model = true,
                           .facts = {"version", "backend", "runtime"}},
    [METRIC_WORKERS] = {.name = "onnxd_workers",
                        .help = "Worker processes of the model that are ready.",
                        .kind = METRIC_GAUGE,
                        .of_model = true,
                        .optional = true},
    [METRIC_WORKER_STARTS] = {.name = "onnxd_worker_starts_total",
                              .help = "Worker processes started since the model was loaded.",
                              .kind = METRIC_COUNTER,
                              .of_model = true,
                              .optional = true},
    [METRIC_WORKER_DEATHS] =
        {.name = "onnxd_worker_deaths_total",
         .help = "Worker processes that ended by themselves or by somebody's signal.",
         .kind = METRIC_COUNTER,
         .of_model = true,
         .optional = true},
    [METRIC_WORKER_KILLS] =
        {.name = "onnxd_worker_kills_total",
         .help = "Worker processes that onnxd ended: a run took too long, the process "
                 "too much memory, or it broke the protocol.",
         .kind = METRIC_COUNTER,
         .labels = {&kill_label},
         .of_model = true,
         .optional = true},
    [METRIC_WORKER_RESIDENT] = {.name = "onnxd_worker_resident_memory_bytes",
                                .help = "Resident memory of all worker processes of the model.",
                                .kind = METRIC_GAUGE,
                                .unit = METRIC_BYTES,
                                .of_model = true,
                                .optional = true},

    [METRIC_RELOADS] = {.name = "onnxd_reloads_total",
                        .help = "Model reloads by their result.",
                        .kind = METRIC_COUNTER,
                        .labels = {&reload_label}},
    [METRIC_LOG_LINES_DROPPED] =
        {.name = "onnxd_log_lines_dropped_total",
         .help = "Log lines left out: standard error took no more (full), or one "
                 "place logged too often (limited).",
         .kind = METRIC_COUNTER,
         .labels = {&log_drop_label}},
    [METRIC_HEAP_ALLOCATIONS] = {.name = "onnxd_heap_allocations_total",
                                 .help =
                                     "Heap allocations of the server itself, without the runtime.",
                                 .kind = METRIC_COUNTER},
    [METRIC_SPANS_EXPORTED] = {.name = "onnxd_spans_exported_total",
                               .help = "Spans that the collector took.",
                               .kind = METRIC_COUNTER,
                               .optional = true},
    [METRIC_SPANS_DROPPED] = {.name = "onnxd_spans_dropped_total",
                              .help =
                                  "Spans that found no room or were not taken by the collector.",
                              .kind = METRIC_COUNTER,
                              .optional = true},
    [METRIC_BUILD_INFO] = {.name = "onnxd_build_info",
                           .help = "1, labelled with what this build is.",
                           .kind = METRIC_GAUGE,
                           .facts = {"version", "compiler", "architecture"}},
};

unsigned metric_series_count(const struct metric_definition *definition)
{
    unsigned count = 1;
    for (unsigned i = 0; i < METRIC_LABELS_MAX && definition->labels[i] != NULL; i++) {
        count *= definition->labels[i]->count;
    }
    return count;
}

unsigned metric_cells(const struct metric_definition *definition)
{
    switch (definition->kind) {
    case METRIC_HISTOGRAM:
        return definition->buckets->count + 3;
    case METRIC_SUMMARY:
        return 2;
    case METRIC_COUNTER:
    case METRIC_GAUGE:
        break;
    }
    return 1;
}

struct slice metrics_grpc_status(enum grpc_status status)
{
    return slice_from_str(code_names[status]);
}
