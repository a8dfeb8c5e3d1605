/*
 * Every setting, exactly once. The order is that of --help and the README. MAX_BATCH_SIZE is 256
 * because that is MAX_INFLIGHT: when every slot holds a request of one row, one run takes them all;
 * past a few hundred rows a run's fixed cost is spread thin and a longer run only adds latency.
 * ONNX_RUNTIME_LIBRARY, WORKER_PYTHON and WORKER_COMMAND are not for manifests: a model directory must
 * not choose what code is loaded.
 */
#include "config/settings_table.h"

#include "base/check.h"
#include "base/clock.h"

#define COUNT_MAX INT32_MAX
#define THREADS_MAX 1024
#define BYTES_MAX (UINT64_C(1) << 36)
#define SECONDS(s) ((uint64_t)((s) * (double)CLOCK_NS_PER_S))
#define DAY SECONDS(86400)

#define ROW(variable, member)                                                                      \
    .name = (variable), .offset = offsetof(struct settings, member),                               \
    .size = sizeof(((struct settings *)NULL)->member)

#define SERVICE .group = SETTINGS_SERVICE
#define MODEL .group = SETTINGS_MODEL
#define PAYLOAD .group = SETTINGS_PAYLOAD
#define LIMITS .group = SETTINGS_LIMITS
#define PROCESS .group = SETTINGS_PROCESS
#define OBSERVABILITY .group = SETTINGS_OBSERVABILITY
#define RUNTIME .group = SETTINGS_RUNTIME
#define WORKER .group = SETTINGS_WORKERS

static const struct setting_choice log_levels[] = {
    {"DEBUG", LOG_DEBUG, false},
    {"INFO", LOG_INFO, false},
    {"WARNING", LOG_WARNING, false},
    {"ERROR", LOG_ERROR, false},
    {"WARN", LOG_WARNING, true},
    {"CRITICAL", LOG_ERROR, true},
    {NULL, 0, false},
};

static const struct setting_choice log_formats[] = {
    {"text", LOG_TEXT, false},
    {"json", LOG_JSON, false},
    {NULL, 0, false},
};

static const struct setting_choice model_types[] = {
    {"onnx", SETTING_MODEL_TYPE_ONNX, false},
    {"sklearn", SETTING_MODEL_TYPE_SKLEARN, false},
    {"pytorch", SETTING_MODEL_TYPE_PYTORCH, false},
    {"tensorflow", SETTING_MODEL_TYPE_TENSORFLOW, false},
    {NULL, 0, false},
};

static const struct setting_choice input_modes[] = {{"tabular", SETTING_INPUT_TABULAR, false},
                                                    {NULL, 0, false}};

static const struct setting_choice output_modes[] = {
    {"predictions", SETTING_OUTPUT_PREDICTIONS, false},
    {NULL, 0, false},
};

/* Clients of the reference write this one as a boolean too. */
static const struct setting_choice csv_headers[] = {
    {"auto", SETTING_CSV_HEADER_AUTO, false},   {"true", SETTING_CSV_HEADER_TRUE, false},
    {"false", SETTING_CSV_HEADER_FALSE, false}, {"1", SETTING_CSV_HEADER_TRUE, true},
    {"yes", SETTING_CSV_HEADER_TRUE, true},     {"y", SETTING_CSV_HEADER_TRUE, true},
    {"on", SETTING_CSV_HEADER_TRUE, true},      {"0", SETTING_CSV_HEADER_FALSE, true},
    {"no", SETTING_CSV_HEADER_FALSE, true},     {"n", SETTING_CSV_HEADER_FALSE, true},
    {"off", SETTING_CSV_HEADER_FALSE, true},    {NULL, 0, false},
};

static const struct setting_choice nonfinites[] = {
    {"literal", SETTING_NONFINITE_LITERAL, false},
    {"null", SETTING_NONFINITE_NULL, false},
    {"error", SETTING_NONFINITE_ERROR, false},
    {NULL, 0, false},
};

static const struct setting_choice model_outputs[] = {
    {"predict", SETTING_MODEL_OUTPUT_PREDICT, false},
    {"predict_proba", SETTING_MODEL_OUTPUT_PREDICT_PROBA, false},
    {"decision_function", SETTING_MODEL_OUTPUT_DECISION_FUNCTION, false},
    {"transform", SETTING_MODEL_OUTPUT_TRANSFORM, false},
    {NULL, 0, false},
};

static const struct setting_choice executions[] = {
    {"auto", SETTING_EXECUTION_AUTO, false},
    {"inline", SETTING_EXECUTION_INLINE, false},
    {"pooled", SETTING_EXECUTION_POOLED, false},
    {NULL, 0, false},
};

static const struct setting_choice batchings[] = {
    {"auto", SETTING_BATCHING_AUTO, false},
    {"off", SETTING_BATCHING_OFF, false},
    {NULL, 0, false},
};

static const struct setting_choice graph_opts[] = {
    {"disable", SETTING_GRAPH_OPT_DISABLE, false},
    {"basic", SETTING_GRAPH_OPT_BASIC, false},
    {"extended", SETTING_GRAPH_OPT_EXTENDED, false},
    {"all", SETTING_GRAPH_OPT_ALL, false},
    {NULL, 0, false},
};

static const struct setting_choice compressions[] = {
    {"none", SETTING_COMPRESSION_NONE, false},
    {"gzip", SETTING_COMPRESSION_GZIP, false},
    {NULL, 0, false},
};

static const struct setting_choice samplers[] = {
    {"always_on", SETTING_SAMPLER_ALWAYS_ON, false},
    {"always_off", SETTING_SAMPLER_ALWAYS_OFF, false},
    {"traceidratio", SETTING_SAMPLER_TRACEIDRATIO, false},
    {"parentbased_always_on", SETTING_SAMPLER_PARENTBASED_ALWAYS_ON, false},
    {"parentbased_always_off", SETTING_SAMPLER_PARENTBASED_ALWAYS_OFF, false},
    {"parentbased_traceidratio", SETTING_SAMPLER_PARENTBASED_TRACEIDRATIO, false},
    {NULL, 0, false},
};

const struct setting settings_table[] = {
    {ROW("PORT", port), SERVICE, .type = SETTING_PORT, .initial = "8080",
     .alias = "SAGEMAKER_BIND_TO_PORT", .alias_is_over = true,
     .help = "TCP port of the HTTP service; 0 takes a free one"},
    {ROW("HOST", host), SERVICE, .type = SETTING_HOST, .initial = "0.0.0.0",
     .help = "address the HTTP service listens on"},
    {ROW("GRPC_PORT", grpc_port), SERVICE, .type = SETTING_PORT, .initial = "50052",
     .help = "TCP port of the gRPC service; 0 takes a free one"},
    {ROW("GRPC_HOST", grpc_host), SERVICE, .type = SETTING_HOST, .initial = "0.0.0.0",
     .help = "address the gRPC service listens on"},
    {ROW("GRPC_ENABLED", grpc_enabled), SERVICE, .type = SETTING_BOOL, .initial = "true",
     .help = "serve gRPC"},
    {ROW("GRPC_REFLECTION", grpc_reflection), SERVICE, .type = SETTING_BOOL, .initial = "false",
     .help = "answer gRPC server reflection"},
    {ROW("GRPC_MAX_CONCURRENT_RPCS", grpc_max_concurrent_rpcs), SERVICE, .type = SETTING_COUNT,
     .initial = "0", .max = 1000000,
     .help = "gRPC calls in work at a time, those for health left out; 0: no limit"},
    {ROW("LOG_LEVEL", log_level), SERVICE, .type = SETTING_ENUM, .initial = "INFO",
     .choices = log_levels, .help = "least severe log lines to write"},
    {ROW("LOG_FORMAT", log_format), SERVICE, .type = SETTING_ENUM, .initial = "text",
     .choices = log_formats, .help = "log lines for people or for machines"},
    {ROW("ACCESS_LOG", access_log), SERVICE, .type = SETTING_BOOL, .initial = "false",
     .help = "log a line for every request"},
    {ROW("SERVICE_NAME", service_name), SERVICE, .type = SETTING_TEXT, .min = 1,
     .initial = "model-serving-universal", .alias = "OTEL_SERVICE_NAME",
     .help = "name of the service in traces"},
    {ROW("SERVICE_VERSION", service_version), SERVICE, .type = SETTING_TEXT, .min = 1,
     .initial = "dev", .help = "version of the service in traces"},
    {ROW("DEPLOYMENT_ENV", deployment_env), SERVICE, .type = SETTING_TEXT, .min = 1,
     .initial = "local", .help = "deployment environment in traces"},

    {ROW("SM_MODEL_DIR", sm_model_dir), MODEL, .type = SETTING_FILE, .min = 1,
     .initial = "/opt/ml/model", .help = "directory that holds the model"},
    {ROW("MODEL_TYPE", model_type), MODEL, .type = SETTING_ENUM, .choices = model_types,
     .unset = "from the file name", .help = "kind of the model"},
    {ROW("MODEL_FILENAME", model_filename), MODEL, .type = SETTING_FILE,
     .unset = "the default names, model.onnx first",
     .help = "file of the model in its directory; only the base name counts"},

    {ROW("INPUT_MODE", input_mode), PAYLOAD, .type = SETTING_ENUM, .initial = "tabular",
     .choices = input_modes, .manifest = true, .help = "how payloads become tensors"},
    {ROW("OUTPUT_MODE", output_mode), PAYLOAD, .type = SETTING_ENUM, .initial = "predictions",
     .choices = output_modes, .manifest = true, .help = "how outputs become answers"},
    {ROW("DEFAULT_CONTENT_TYPE", default_content_type), PAYLOAD, .type = SETTING_TEXT, .min = 1,
     .initial = "application/json", .manifest = true,
     .help = "content type of a request that names none"},
    {ROW("DEFAULT_ACCEPT", default_accept), PAYLOAD, .type = SETTING_TEXT, .min = 1,
     .initial = "application/json", .manifest = true,
     .help = "content type of an answer where the request asks for none"},
    {ROW("TABULAR_DTYPE", tabular_dtype), PAYLOAD, .type = SETTING_DTYPE, .manifest = true,
     .unset = "the model's own", .help = "element type payloads are read as"},
    {ROW("CSV_DELIMITER", csv_delimiter), PAYLOAD, .type = SETTING_CHAR, .initial = ",",
     .manifest = true, .help = "character between the cells of a CSV row"},
    {ROW("CSV_HAS_HEADER", csv_has_header), PAYLOAD, .type = SETTING_ENUM, .initial = "auto",
     .choices = csv_headers, .manifest = true,
     .help = "whether the first CSV line is a header; auto: when a cell of it is no number"},
    {ROW("CSV_SKIP_BLANK_LINES", csv_skip_blank_lines), PAYLOAD, .type = SETTING_BOOL,
     .initial = "true", .manifest = true, .help = "skip blank CSV lines instead of refusing them"},
    {ROW("JSON_KEY_INSTANCES", json_key_instances), PAYLOAD, .type = SETTING_TEXT, .min = 1,
     .initial = "instances", .manifest = true, .help = "key of the rows in a JSON request"},
    {ROW("JSONL_FEATURES_KEY", jsonl_features_key), PAYLOAD, .type = SETTING_TEXT, .min = 1,
     .initial = "features", .manifest = true, .help = "key of one row in a JSON object"},
    {ROW("TABULAR_ID_COLUMNS", tabular_id_columns), PAYLOAD, .type = SETTING_COLUMNS,
     .unset = "none", .manifest = true,
     .help = "columns dropped as ids: a:b (half open) or i,j,k, from 0"},
    {ROW("TABULAR_FEATURE_COLUMNS", tabular_feature_columns), PAYLOAD, .type = SETTING_COLUMNS,
     .unset = "all", .manifest = true,
     .help = "columns taken as features: a:b (half open) or i,j,k, from 0"},
    {ROW("TABULAR_NUM_FEATURES", tabular_num_features), PAYLOAD, .type = SETTING_COUNT,
     .initial = "0", .max = COUNT_MAX, .manifest = true,
     .help = "features every row must have; 0: not checked"},
    {ROW("RETURN_PREDICTIONS_ONLY", return_predictions_only), PAYLOAD, .type = SETTING_BOOL,
     .initial = "true", .manifest = true,
     .help = "answer with the bare array instead of an object around it"},
    {ROW("JSON_OUTPUT_KEY", json_output_key), PAYLOAD, .type = SETTING_TEXT, .min = 1,
     .initial = "predictions", .manifest = true, .help = "key of the array in that object"},
    {ROW("JSON_NONFINITE", json_nonfinite), PAYLOAD, .type = SETTING_ENUM, .initial = "literal",
     .choices = nonfinites, .manifest = true,
     .help = "NaN and infinities in JSON answers: NaN as it is, null, or an error"},

    {ROW("MAX_BODY_BYTES", max_body_bytes), LIMITS, .type = SETTING_BYTES, .initial = "6291456",
     .min = 1, .max = BYTES_MAX, .help = "largest request body, also after decompression"},
    {ROW("MAX_RECORDS", max_records), LIMITS, .type = SETTING_COUNT, .initial = "5000", .min = 1,
     .max = COUNT_MAX, .manifest = true, .help = "most rows in one request"},
    {ROW("MAX_INFLIGHT", max_inflight), LIMITS, .type = SETTING_COUNT, .initial = "256", .min = 1,
     .max = 65536, .help = "execution slots: most requests in work at once"},
    {ROW("ACQUIRE_TIMEOUT_S", acquire_timeout_ns), LIMITS, .type = SETTING_SECONDS,
     .initial = "0.25", .max = DAY, .help = "longest wait for a slot before the answer is 429"},
    {ROW("MAX_CONNECTIONS", max_connections), LIMITS, .type = SETTING_COUNT, .initial = "16384",
     .min = 1, .max = 1 << 20, .help = "most open connections"},
    {ROW("MAX_STREAMS", max_streams), LIMITS, .type = SETTING_COUNT, .initial = "16384", .min = 1,
     .max = COUNT_MAX,
     .help = "most open requests of HTTP/2 and gRPC, over all connections; calls that go on: half"},
    {ROW("HEADER_TIMEOUT_S", header_timeout_ns), LIMITS, .type = SETTING_SECONDS, .initial = "10",
     .min = SECONDS(0.01), .max = DAY, .help = "longest time a request's head may take to arrive"},

    {ROW("IO_THREADS", io_threads), PROCESS, .type = SETTING_COUNT, .initial = "0",
     .max = SETTINGS_IO_THREADS_MAX, .alias = "GUNICORN_WORKERS", .unset = "from the CPU quota",
     .help = "threads that serve connections"},
    {ROW("MODEL_INSTANCES", model_instances), PROCESS, .type = SETTING_COUNT, .initial = "0",
     .max = THREADS_MAX, .manifest = true, .alias = "GUNICORN_THREADS",
     .unset = "from the CPU quota", .help = "threads that run slow models"},
    {ROW("REQUEST_TIMEOUT_S", request_timeout_ns), PROCESS, .type = SETTING_SECONDS,
     .initial = "60", .max = DAY, .alias = "GUNICORN_TIMEOUT",
     .help = "longest time a request may take; 0: no limit"},
    {ROW("DRAIN_TIMEOUT_S", drain_timeout_ns), PROCESS, .type = SETTING_SECONDS, .initial = "30",
     .max = DAY, .alias = "GUNICORN_GRACEFUL_TIMEOUT",
     .help = "longest time requests in flight get to finish after SIGTERM"},
    {ROW("KEEPALIVE_TIMEOUT_S", keepalive_timeout_ns), PROCESS, .type = SETTING_SECONDS,
     .initial = "75", .max = DAY, .alias = "GUNICORN_KEEPALIVE",
     .help = "how long an idle connection stays open; 0: close after each answer"},
    {ROW("EXECUTION", execution), PROCESS, .type = SETTING_ENUM, .initial = "auto",
     .choices = executions, .manifest = true,
     .help = "run on the connection's thread, on runner threads, or as the run time asks"},
    {ROW("INLINE_MAX_US", inline_max_us), PROCESS, .type = SETTING_COUNT, .initial = "250",
     .max = 1000000, .manifest = true,
     .help = "slowest run, in microseconds, that auto keeps on the connection's thread"},
    {ROW("BATCHING", batching), PROCESS, .type = SETTING_ENUM, .initial = "auto",
     .choices = batchings, .manifest = true, .help = "let requests share a run where they can"},
    {ROW("MAX_BATCH_SIZE", max_batch_size), PROCESS, .type = SETTING_COUNT, .initial = "256",
     .min = 1, .max = 1 << 20, .manifest = true,
     .help = "most rows of a shared run; a larger request runs alone"},
    {ROW("MAX_QUEUE_DELAY_US", max_queue_delay_us), PROCESS, .type = SETTING_COUNT, .initial = "0",
     .max = 10000000, .manifest = true,
     .help = "how long, in microseconds, a request may wait for others to share its run"},
    {ROW("MAX_QUEUE_ROWS", max_queue_rows), PROCESS, .type = SETTING_COUNT, .initial = "65536",
     .min = 1, .max = 1 << 30,
     .help = "most rows that wait for runner threads; what comes beyond gets 429"},
    {ROW("MAX_QUEUE_BYTES", max_queue_bytes), PROCESS, .type = SETTING_BYTES,
     .initial = "268435456", .min = 1, .max = BYTES_MAX,
     .help = "most bytes of tensors that wait for runner threads; what comes beyond gets 429"},

    {ROW("PROMETHEUS_ENABLED", prometheus_enabled), OBSERVABILITY, .type = SETTING_BOOL,
     .initial = "true", .help = "serve metrics"},
    {ROW("PROMETHEUS_PATH", prometheus_path), OBSERVABILITY, .type = SETTING_ROUTE,
     .initial = "/metrics", .help = "where metrics are served"},
    {ROW("SWAGGER_ENABLED", swagger_enabled), OBSERVABILITY, .type = SETTING_BOOL,
     .initial = "false", .help = "serve /openapi.yaml and /docs"},
    {ROW("UI_ENABLED", ui_enabled), OBSERVABILITY, .type = SETTING_BOOL, .initial = "false",
     .help = "serve /ui, a page with live plots and a form to try a prediction"},
    {ROW("OTEL_ENABLED", otel_enabled), OBSERVABILITY, .type = SETTING_BOOL, .initial = "true",
     .help = "trace requests where there is an endpoint to send traces to"},
    {ROW("OTEL_SDK_DISABLED", otel_sdk_disabled), OBSERVABILITY, .type = SETTING_BOOL,
     .initial = "false", .help = "the standard's own switch: true turns tracing off"},
    {ROW("OTEL_EXPORTER_OTLP_ENDPOINT", otel_exporter_otlp_endpoint), OBSERVABILITY,
     .type = SETTING_TEXT, .unset = "none: nothing is sent",
     .help = "URL of the collector; /v1/traces is appended where it is missing"},
    {ROW("OTEL_EXPORTER_OTLP_PROTOCOL", otel_exporter_otlp_protocol), OBSERVABILITY,
     .type = SETTING_TEXT, .initial = "http/protobuf",
     .help = "traces go by http/protobuf alone: for any other value, such as grpc, a warning is "
             "logged and they go by it all the same"},
    {ROW("OTEL_EXPORTER_OTLP_HEADERS", otel_exporter_otlp_headers), OBSERVABILITY,
     .type = SETTING_PAIRS, .unset = "none", .help = "headers sent to the collector"},
    {ROW("OTEL_EXPORTER_OTLP_TIMEOUT", otel_exporter_otlp_timeout_ns), OBSERVABILITY,
     .type = SETTING_SECONDS, .initial = "10", .min = SECONDS(0.001), .max = DAY,
     .help = "longest time one export may take, in seconds"},
    {ROW("OTEL_EXPORTER_OTLP_CERTIFICATE", otel_exporter_otlp_certificate), OBSERVABILITY,
     .type = SETTING_FILE, .unset = "the system's",
     .help = "file of the certificates that a collector's is checked against"},
    {ROW("OTEL_EXPORTER_OTLP_COMPRESSION", otel_exporter_otlp_compression), OBSERVABILITY,
     .type = SETTING_ENUM, .initial = "none", .choices = compressions,
     .help = "how what is sent to the collector is compressed"},
    {ROW("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", otel_exporter_otlp_traces_endpoint), OBSERVABILITY,
     .type = SETTING_TEXT, .unset = "the general one", .help = "URL for traces, used as it is"},
    {ROW("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", otel_exporter_otlp_traces_protocol), OBSERVABILITY,
     .type = SETTING_TEXT, .unset = "the general one", .help = "protocol for traces alone"},
    {ROW("OTEL_EXPORTER_OTLP_TRACES_HEADERS", otel_exporter_otlp_traces_headers), OBSERVABILITY,
     .type = SETTING_PAIRS, .unset = "the general ones", .help = "headers sent with traces"},
    {ROW("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", otel_exporter_otlp_traces_timeout_ns), OBSERVABILITY,
     .type = SETTING_SECONDS, .min = SECONDS(0.001), .max = DAY, .unset = "the general one",
     .help = "longest time one export of traces may take, in seconds"},
    {ROW("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", otel_exporter_otlp_traces_certificate),
     OBSERVABILITY, .type = SETTING_FILE, .unset = "the general one",
     .help = "the same for traces alone"},
    {ROW("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", otel_exporter_otlp_traces_compression),
     OBSERVABILITY, .type = SETTING_ENUM, .choices = compressions, .unset = "the general one",
     .help = "the same for traces alone"},
    {ROW("OTEL_TRACES_SAMPLER", otel_traces_sampler), OBSERVABILITY, .type = SETTING_ENUM,
     .initial = "parentbased_always_on", .choices = samplers, .help = "which traces are recorded"},
    {ROW("OTEL_TRACES_SAMPLER_ARG", otel_traces_sampler_arg), OBSERVABILITY, .type = SETTING_RATIO,
     .initial = "1.0", .help = "share of traces a ratio sampler records"},
    {ROW("OTEL_BSP_SCHEDULE_DELAY", otel_bsp_schedule_delay), OBSERVABILITY, .type = SETTING_COUNT,
     .initial = "5000", .min = 1, .max = 86400000, .help = "milliseconds between two exports"},
    {ROW("OTEL_BSP_EXPORT_TIMEOUT", otel_bsp_export_timeout), OBSERVABILITY, .type = SETTING_COUNT,
     .initial = "30000", .min = 1, .max = 86400000,
     .help = "milliseconds one batch of spans may take to export"},
    {ROW("OTEL_BSP_MAX_QUEUE_SIZE", otel_bsp_max_queue_size), OBSERVABILITY, .type = SETTING_COUNT,
     .initial = "2048", .min = 1, .max = 1 << 20,
     .help = "most spans that wait for export; more are dropped and counted"},
    {ROW("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", otel_bsp_max_export_batch_size), OBSERVABILITY,
     .type = SETTING_COUNT, .initial = "512", .min = 1, .max = 1 << 20,
     .help = "most spans in one export"},
    {ROW("OTEL_RESOURCE_ATTRIBUTES", otel_resource_attributes), OBSERVABILITY,
     .type = SETTING_PAIRS, .unset = "none", .help = "more attributes of the service in traces"},

    {ROW("ONNX_RUNTIME_LIBRARY", onnx_runtime_library), RUNTIME, .type = SETTING_FILE,
     .unset = "the search path decides", .help = "the ONNX Runtime shared library to load"},
    {ROW("ONNX_PROVIDERS", onnx_providers), RUNTIME, .type = SETTING_TEXT, .min = 1,
     .initial = "CPUExecutionProvider", .manifest = true,
     .help = "execution providers, best first, with commas between them"},
    {ROW("ONNX_INTRA_OP_THREADS", onnx_intra_op_threads), RUNTIME, .type = SETTING_COUNT,
     .initial = "0", .max = THREADS_MAX, .manifest = true, .unset = "from the CPU quota",
     .help = "threads inside one operator"},
    {ROW("ONNX_INTER_OP_THREADS", onnx_inter_op_threads), RUNTIME, .type = SETTING_COUNT,
     .initial = "0", .max = THREADS_MAX, .manifest = true, .unset = "from the CPU quota",
     .help = "threads for operators side by side"},
    {ROW("ONNX_GRAPH_OPT_LEVEL", onnx_graph_opt_level), RUNTIME, .type = SETTING_ENUM,
     .initial = "all", .choices = graph_opts, .manifest = true,
     .help = "how far the runtime rewrites the graph"},
    {ROW("ONNX_INPUT_NAME", onnx_input_name), RUNTIME, .type = SETTING_TEXT, .manifest = true,
     .unset = "the first", .help = "input that takes the rows"},
    {ROW("ONNX_OUTPUT_NAME", onnx_output_name), RUNTIME, .type = SETTING_TEXT, .manifest = true,
     .unset = "by index", .help = "output that is answered"},
    {ROW("ONNX_OUTPUT_INDEX", onnx_output_index), RUNTIME, .type = SETTING_COUNT, .initial = "0",
     .max = COUNT_MAX, .manifest = true,
     .help = "index of the output that is answered; past the end: the last"},
    {ROW("ONNX_INPUT_MAP_JSON", onnx_input_map_json), RUNTIME, .type = SETTING_MAP,
     .manifest = true, .unset = "none",
     .help = "JSON object, key of a request record to model input: multi-input mode"},
    {ROW("ONNX_OUTPUT_MAP_JSON", onnx_output_map_json), RUNTIME, .type = SETTING_MAP,
     .manifest = true, .unset = "none",
     .help = "JSON object, key of the answer to model output: the answer is an object"},
    {ROW("ONNX_INPUT_DTYPE_MAP_JSON", onnx_input_dtype_map_json), RUNTIME,
     .type = SETTING_DTYPE_MAP, .manifest = true, .unset = "the model's own",
     .help = "JSON object, request key or input name to element type"},
    {ROW("ONNX_DYNAMIC_BATCH", onnx_dynamic_batch), RUNTIME, .type = SETTING_BOOL,
     .initial = "true", .manifest = true,
     .help = "in multi-input mode all inputs must have the same number of rows"},

    {ROW("MODEL_OUTPUT", model_output), WORKER, .type = SETTING_ENUM, .choices = model_outputs,
     .manifest = true, .unset = "predict, or transform where there is no predict",
     .help = "method of a scikit-learn model that answers"},
    {ROW("WORKERS", workers), WORKER, .type = SETTING_COUNT, .initial = "0", .max = THREADS_MAX,
     .manifest = true, .unset = "from the CPU quota", .help = "processes that run the model"},
    {ROW("WORKER_PYTHON", worker_python), WORKER, .type = SETTING_FILE, .unset = "python3 in PATH",
     .help = "the Python that has the framework"},
    {ROW("WORKER_COMMAND", worker_command), WORKER, .type = SETTING_TEXT,
     .unset = "the program inside onnxd",
     .help = "another worker program and its arguments, with spaces between"},
    {ROW("WORKER_ENVIRONMENT", worker_environment), WORKER, .type = SETTING_TEXT, .unset = "none",
     .help = "names of more variables that workers are given, with commas between"},
    {ROW("WORKER_MAX_RSS_MB", worker_max_rss_mb), WORKER, .type = SETTING_COUNT, .initial = "0",
     .max = 1 << 24, .manifest = true, .unset = "no limit",
     .help = "a worker with more resident memory, in MiB, is replaced"},
    {ROW("WORKER_START_TIMEOUT_S", worker_start_timeout_ns), WORKER, .type = SETTING_SECONDS,
     .initial = "300", .min = SECONDS(0.1), .max = DAY,
     .help = "longest time a worker may take to load the model, or for a run that warms it up"},
};

_Static_assert(sizeof(settings_table) / sizeof(settings_table[0]) == SETTINGS_COUNT,
               "SETTINGS_COUNT in settings.h must be the number of rows");

const struct setting *setting_find(struct slice name)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        if (slice_eq(name, slice_from_str(settings_table[i].name))) {
            return &settings_table[i];
        }
    }
    return NULL;
}

const char *setting_flag(const struct setting *setting, char *text)
{
    size_t len = strlen(setting->name);
    CHECK(len < SETTING_NAME_MAX);
    for (size_t i = 0; i < len; i++) {
        char c = setting->name[i];
        text[i] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    text[len] = '\0';
    return text;
}

const struct setting *setting_find_flag(struct slice flag)
{
    char text[SETTING_NAME_MAX];
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        if (slice_eq(flag, slice_from_str(setting_flag(&settings_table[i], text)))) {
            return &settings_table[i];
        }
    }
    return NULL;
}

size_t setting_index(const struct setting *setting)
{
    CHECK(setting >= settings_table && setting < settings_table + SETTINGS_COUNT);
    return (size_t)(setting - settings_table);
}

const char *settings_group_title(enum settings_group group)
{
    switch (group) {
    case SETTINGS_SERVICE:
        return "Service";
    case SETTINGS_MODEL:
        return "Model";
    case SETTINGS_PAYLOAD:
        return "Payload";
    case SETTINGS_LIMITS:
        return "Limits";
    case SETTINGS_PROCESS:
        return "Process";
    case SETTINGS_OBSERVABILITY:
        return "Observability";
    case SETTINGS_RUNTIME:
        return "ONNX Runtime";
    case SETTINGS_WORKERS:
        return "Native frameworks";
    case SETTINGS_ALL:
        break;
    }
    return "All";
}
