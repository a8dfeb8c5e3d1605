/* Settings: every value of every type, where values come from, flags, help. */
#include "config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/settings_table.h"
#include "config/settings_value.h"
#include "config/suggest.h"
#include "unit_tests/testing.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A NULL-terminated list "NAME=value" as the environment. */
static const char *lookup(void *environment, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=') {
            return *entry + len + 1;
        }
    }
    return NULL;
}

/* Everything a load can be given, NULL-terminated; zero means none. */
struct source {
    const char *argv[8];
    const char *environment[8];
    const char *manifest[8]; /* name, value, name, value */
    const char *overrides[4];
    unsigned groups; /* 0: all */
};

static size_t make_pairs(const char *const *texts, struct settings_pair *pairs)
{
    size_t count = 0;
    for (; texts[2 * count] != NULL; count++) {
        pairs[count].name = slice_from_str(texts[2 * count]);
        pairs[count].value = slice_from_str(texts[2 * count + 1]);
    }
    return count;
}

static int load_with(struct settings *settings, struct source *source,
                     const struct settings_option *options, size_t option_count,
                     struct error *error)
{
    struct settings_pair manifest[4], overrides[2];
    char *argv[COUNT_OF(source->argv)];
    memcpy(argv, source->argv, sizeof(argv)); /* nothing writes to an argument */
    struct settings_input input = {
        .groups = source->groups == 0 ? SETTINGS_ALL : source->groups,
        .argv = argv,
        .lookup = lookup,
        .environment = source->environment,
        .manifest = manifest,
        .manifest_count = make_pairs(source->manifest, manifest),
        .overrides = overrides,
        .override_count = make_pairs(source->overrides, overrides),
        .options = options,
        .option_count = option_count,
    };
    while (source->argv[input.argc] != NULL) {
        input.argc++;
    }
    return settings_load(settings, &input, error);
}

static int load(struct settings *settings, struct source source, struct error *error)
{
    return load_with(settings, &source, NULL, 0, error);
}

#define LOAD(settings, ...) assert_int_equal(load(settings, (struct source){__VA_ARGS__}, NULL), 0)

static void assert_text(struct slice text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
    assert_int_equal(text.ptr[text.len], '\0');
}

static void assert_fails(struct source source, const char *expected)
{
    struct settings settings;
    struct error error = {0};
    assert_int_equal(load(&settings, source, &error), ERR_CONFIG);
    assert_string_equal(error.text, expected);
}

static void has_the_contracts_defaults(void **state)
{
    (void)state;
    struct settings s;
    LOAD(&s, .groups = SETTINGS_ALL);
    assert_int_equal(s.port, 8080);
    assert_text(s.host, "0.0.0.0");
    assert_int_equal(s.grpc_port, 50052);
    assert_int_equal(s.log_level, LOG_INFO);
    assert_int_equal(s.log_format, LOG_TEXT);
    assert_text(s.service_name, "model-serving-universal");
    assert_text(s.service_version, "dev");
    assert_text(s.deployment_env, "local");
    assert_text(s.sm_model_dir, "/opt/ml/model");
    assert_int_equal(s.model_type, SETTING_MODEL_TYPE_AUTO);
    assert_text(s.model_filename, "");
    assert_text(s.default_content_type, "application/json");
    assert_text(s.default_accept, "application/json");
    assert_int_equal(s.tabular_dtype, DTYPE_NONE);
    assert_int_equal(s.csv_delimiter, ',');
    assert_int_equal(s.csv_has_header, SETTING_CSV_HEADER_AUTO);
    assert_true(s.csv_skip_blank_lines);
    assert_text(s.json_key_instances, "instances");
    assert_text(s.jsonl_features_key, "features");
    assert_int_equal(s.tabular_num_features, 0);
    assert_true(s.return_predictions_only);
    assert_text(s.json_output_key, "predictions");
    assert_int_equal(s.json_nonfinite, SETTING_NONFINITE_LITERAL);
    assert_int_equal(s.max_body_bytes, 6291456);
    assert_int_equal(s.max_records, 5000);
    assert_int_equal(s.max_inflight, 256);
    assert_int_equal(s.acquire_timeout_ns, 250000000);
    assert_int_equal(s.max_connections, 16384);
    assert_int_equal(s.header_timeout_ns, UINT64_C(10000000000));
    assert_int_equal(s.io_threads, 0);
    assert_int_equal(s.request_timeout_ns, UINT64_C(60000000000));
    assert_int_equal(s.drain_timeout_ns, UINT64_C(30000000000));
    assert_int_equal(s.keepalive_timeout_ns, UINT64_C(75000000000));
    assert_int_equal(s.inline_max_us, 250);
    assert_int_equal(s.max_batch_size, 256);
    assert_true(s.prometheus_enabled);
    assert_text(s.prometheus_path, "/metrics");
    assert_false(s.swagger_enabled);
    assert_false(s.ui_enabled);
    assert_true(s.otel_enabled);
    assert_text(s.otel_exporter_otlp_endpoint, "");
    assert_int_equal(s.otel_traces_sampler, SETTING_SAMPLER_PARENTBASED_ALWAYS_ON);
    assert_true(s.otel_traces_sampler_arg == 1.0);
    assert_text(s.onnx_providers, "CPUExecutionProvider");
    assert_int_equal(s.onnx_graph_opt_level, SETTING_GRAPH_OPT_ALL);
    assert_true(s.onnx_dynamic_batch);
    assert_int_equal(s.onnx_input_map_json.count, 0);
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        assert_int_equal(settings_source(&s, settings_table[i].name), SETTING_FROM_DEFAULT);
    }
    settings_done(&s);
}

/* A value for each setting that its default is not, so that what was set can be seen. */
static const struct {
    const char *name, *value;
} other_values[] = {
    {"PORT", "1"},
    {"HOST", "::1"},
    {"GRPC_PORT", "2"},
    {"GRPC_HOST", "::2"},
    {"GRPC_ENABLED", "off"},
    {"GRPC_REFLECTION", "Y"},
    {"GRPC_MAX_CONCURRENT_RPCS", "7"},
    {"LOG_LEVEL", "warn"},
    {"LOG_FORMAT", "JSON"},
    {"ACCESS_LOG", "1"},
    {"SERVICE_NAME", "iris"},
    {"SERVICE_VERSION", "3"},
    {"DEPLOYMENT_ENV", "prod"},
    {"SM_MODEL_DIR", "/models"},
    {"MODEL_TYPE", "onnx"},
    {"MODEL_FILENAME", "m.onnx"},
    {"INPUT_MODE", "tabular"},
    {"OUTPUT_MODE", "predictions"},
    {"DEFAULT_CONTENT_TYPE", "text/csv"},
    {"DEFAULT_ACCEPT", "text/csv"},
    {"TABULAR_DTYPE", "f64"},
    {"CSV_DELIMITER", "\\t"},
    {"CSV_HAS_HEADER", "yes"},
    {"CSV_SKIP_BLANK_LINES", "NO"},
    {"JSON_KEY_INSTANCES", "rows"},
    {"JSONL_FEATURES_KEY", "f"},
    {"TABULAR_ID_COLUMNS", "0"},
    {"TABULAR_FEATURE_COLUMNS", "1:4"},
    {"TABULAR_NUM_FEATURES", "3"},
    {"RETURN_PREDICTIONS_ONLY", "false"},
    {"JSON_OUTPUT_KEY", "preds"},
    {"JSON_NONFINITE", "null"},
    {"MAX_BODY_BYTES", "64 MiB"},
    {"MAX_RECORDS", "1"},
    {"MAX_INFLIGHT", "16"},
    {"ACQUIRE_TIMEOUT_S", "1.5"},
    {"MAX_CONNECTIONS", "5"},
    {"HEADER_TIMEOUT_S", ".5"},
    {"IO_THREADS", "6"},
    {"MODEL_INSTANCES", "7"},
    {"REQUEST_TIMEOUT_S", "0"},
    {"DRAIN_TIMEOUT_S", "8"},
    {"KEEPALIVE_TIMEOUT_S", "9"},
    {"EXECUTION", "inline"},
    {"INLINE_MAX_US", "0"},
    {"BATCHING", "off"},
    {"MAX_BATCH_SIZE", "10"},
    {"MAX_QUEUE_DELAY_US", "11"},
    {"MAX_QUEUE_ROWS", "12"},
    {"MAX_QUEUE_BYTES", "13"},
    {"PROMETHEUS_ENABLED", "false"},
    {"PROMETHEUS_PATH", "/m"},
    {"SWAGGER_ENABLED", "true"},
    {"UI_ENABLED", "true"},
    {"OTEL_ENABLED", "false"},
    {"OTEL_SDK_DISABLED", "true"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"},
    {"OTEL_EXPORTER_OTLP_HEADERS", "a=b, c=d=e"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT", "2"},
    {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"},
    {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"},
    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/x"},
    {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "k="},
    {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "3"},
    {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"},
    {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"},
    {"OTEL_TRACES_SAMPLER", "traceidratio"},
    {"OTEL_TRACES_SAMPLER_ARG", "0.25"},
    {"OTEL_BSP_SCHEDULE_DELAY", "1"},
    {"OTEL_BSP_EXPORT_TIMEOUT", "2"},
    {"OTEL_BSP_MAX_QUEUE_SIZE", "3"},
    {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"},
    {"OTEL_RESOURCE_ATTRIBUTES", "team=x"},
    {"ONNX_RUNTIME_LIBRARY", "/lib/ort.so"},
    {"ONNX_PROVIDERS", "CUDAExecutionProvider,CPUExecutionProvider"},
    {"ONNX_INTRA_OP_THREADS", "1"},
    {"ONNX_INTER_OP_THREADS", "2"},
    {"ONNX_GRAPH_OPT_LEVEL", "basic"},
    {"ONNX_INPUT_NAME", "x"},
    {"ONNX_OUTPUT_NAME", "y"},
    {"ONNX_OUTPUT_INDEX", "1"},
    {"ONNX_INPUT_MAP_JSON", "{\"fa\":\"a\",\"fb\":\"b\"}"},
    {"ONNX_OUTPUT_MAP_JSON", "{\"a\":\"positive\"}"},
    {"ONNX_INPUT_DTYPE_MAP_JSON", "{\"a\":\"float32\"}"},
    {"ONNX_DYNAMIC_BATCH", "n"},
    {"MODEL_OUTPUT", "transform"},
    {"WORKERS", "3"},
    {"WORKER_PYTHON", "/opt/venv/bin/python"},
    {"WORKER_COMMAND", "/opt/worker --fast"},
    {"WORKER_ENVIRONMENT", "MODEL_KEY"},
    {"WORKER_MAX_RSS_MB", "512"},
    {"WORKER_START_TIMEOUT_S", "7"},
};

/*
 * Each setting, given as a variable and as a flag, changes its own member and no other: the bytes
 * of struct settings outside of the member are those of the defaults (strings compared as text).
 */
static bool same_member(const struct setting *setting, const struct settings *a,
                        const struct settings *b)
{
    const void *left = (const char *)a + setting->offset;
    const void *right = (const char *)b + setting->offset;
    if (setting->size == sizeof(struct slice) && setting->type != SETTING_MAP &&
        setting->type != SETTING_DTYPE_MAP) {
        return slice_eq(*(const struct slice *)left, *(const struct slice *)right);
    }
    if (setting->type == SETTING_MAP || setting->type == SETTING_DTYPE_MAP) {
        return ((const struct settings_map *)left)->count ==
               ((const struct settings_map *)right)->count;
    }
    return memcmp(left, right, setting->size) == 0;
}

static void check_only_changes(const char *name, const struct settings *defaults,
                               const struct settings *changed)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_table[i];
        bool expected = strcmp(setting->name, name) != 0;
        if (setting->choices != NULL && setting->choices[1].name == NULL) {
            expected = true; /* only one value there is */
        }
        if (same_member(setting, defaults, changed) != expected) {
            fail_msg("%s %s %s", name, expected ? "changed" : "did not change", setting->name);
        }
    }
}

static void sets_each_member_alone(void **state)
{
    (void)state;
    struct settings defaults, changed;
    LOAD(&defaults, .groups = SETTINGS_ALL);
    assert_int_equal(COUNT_OF(other_values), SETTINGS_COUNT);
    for (size_t i = 0; i < COUNT_OF(other_values); i++) {
        char variable[256], flag[256], name[SETTING_NAME_MAX];
        const struct setting *setting = setting_find(slice_from_str(other_values[i].name));
        assert_ptr_equal(setting, &settings_table[i]);
        snprintf(variable, sizeof(variable), "%s=%s", other_values[i].name, other_values[i].value);
        LOAD(&changed, .environment = {variable});
        check_only_changes(other_values[i].name, &defaults, &changed);
        assert_int_equal(settings_source(&changed, setting->name), SETTING_FROM_ENVIRONMENT);
        settings_done(&changed);
        snprintf(flag, sizeof(flag), "--%s=%s", setting_flag(setting, name), other_values[i].value);
        LOAD(&changed, .argv = {flag});
        check_only_changes(other_values[i].name, &defaults, &changed);
        assert_int_equal(settings_source(&changed, setting->name), SETTING_FROM_FLAG);
        settings_done(&changed);
    }
    settings_done(&defaults);
}

static void table_rows_do_not_overlap(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *a = &settings_table[i];
        assert_true(a->initial != NULL || a->unset != NULL);
        assert_true((a->type == SETTING_ENUM) == (a->choices != NULL));
        assert_true(a->help[strlen(a->help) - 1] != '.');
        for (size_t j = 0; j < i; j++) {
            const struct setting *b = &settings_table[j];
            assert_string_not_equal(a->name, b->name);
            assert_true(a->offset >= b->offset + b->size || b->offset >= a->offset + a->size);
            assert_true(a->group >= b->group); /* sections are in one piece */
        }
    }
}

struct value_case {
    const char *name, *value;
    bool accepted;
};

static const struct value_case value_cases[] = {
    {"PORT", "0", true},
    {"PORT", "65535", true},
    {"PORT", " 80\n", true},
    {"PORT", "65536", false},
    {"PORT", "-1", false},
    {"PORT", "+1", false},
    {"PORT", "8080.0", false},
    {"PORT", "0x50", false},
    {"PORT", "99999999999999999999", false},
    {"PORT", " ", false},
    {"MAX_RECORDS", "0", false},
    {"MAX_RECORDS", "2147483647", true},
    {"MAX_RECORDS", "2147483648", false},
    {"MAX_RECORDS", "18446744073709551617", false},
    {"MAX_BODY_BYTES", "0", false},
    {"MAX_BODY_BYTES", "1kib", true},
    {"MAX_BODY_BYTES", "64GiB", true},
    {"MAX_BODY_BYTES", "65GiB", false},
    {"MAX_BODY_BYTES", "18014398509481985KiB", false},
    {"MAX_BODY_BYTES", "KiB", false},
    {"MAX_BODY_BYTES", "1KB", false},
    {"MAX_BODY_BYTES", "1.5MiB", false},
    {"ACQUIRE_TIMEOUT_S", "0", true},
    {"ACQUIRE_TIMEOUT_S", "1e3", true},
    {"ACQUIRE_TIMEOUT_S", "86400", true},
    {"ACQUIRE_TIMEOUT_S", "86400.001", false},
    {"ACQUIRE_TIMEOUT_S", "-0.1", false},
    {"ACQUIRE_TIMEOUT_S", "nan", false},
    {"ACQUIRE_TIMEOUT_S", "inf", false},
    {"ACQUIRE_TIMEOUT_S", "1e400", false},
    {"ACQUIRE_TIMEOUT_S", "1s", false},
    {"HEADER_TIMEOUT_S", "0", false},
    {"HEADER_TIMEOUT_S", "0.01", true},
    {"OTEL_TRACES_SAMPLER_ARG", "1", true},
    {"OTEL_TRACES_SAMPLER_ARG", "1.01", false},
    {"OTEL_TRACES_SAMPLER_ARG", "-1", false},
    {"CSV_DELIMITER", ";", true},
    {"CSV_DELIMITER", "\t", true},
    {"CSV_DELIMITER", " ", true},
    {"CSV_DELIMITER", "|", true},
    {"CSV_DELIMITER", ";;", false},
    {"CSV_DELIMITER", "\"", false},
    {"CSV_DELIMITER", "\n", false},
    {"CSV_DELIMITER", "7", false},
    {"CSV_DELIMITER", ".", false},
    {"CSV_DELIMITER", "\xc3\xa9", false},
    {"HOST", "", false},
    {"JSON_OUTPUT_KEY", "", false},
    {"JSON_OUTPUT_KEY",
     "pr\xc3\xa9"
     "dictions",
     true},
    {"JSON_OUTPUT_KEY", "\xe2\x82\xac\xf0\x9f\x98\x80", true},
    {"JSON_OUTPUT_KEY", "\xff", false},
    {"JSON_OUTPUT_KEY", "\xc3", false},
    {"JSON_OUTPUT_KEY", "\xc0\xaf", false},         /* overlong */
    {"JSON_OUTPUT_KEY", "\xe0\x9f\xbf", false},     /* overlong */
    {"JSON_OUTPUT_KEY", "\xed\xa0\x80", false},     /* a surrogate */
    {"JSON_OUTPUT_KEY", "\xf4\x90\x80\x80", false}, /* past U+10FFFF */
    {"JSON_OUTPUT_KEY", "\xf0\x9f\x98", false},
    {"ONNX_OUTPUT_NAME", "", true},
    {"SM_MODEL_DIR", "", false},
    {"SM_MODEL_DIR", "/caf\xe9", true}, /* a path may be any bytes */
    {"TABULAR_ID_COLUMNS", "0", true},
    {"TABULAR_ID_COLUMNS", " 1 , 2,4294967295 ", true},
    {"TABULAR_ID_COLUMNS", "1:3", true},
    {"TABULAR_ID_COLUMNS", ":3", true},
    {"TABULAR_ID_COLUMNS", "3:", true},
    {"TABULAR_ID_COLUMNS", "a:b", false},
    {"TABULAR_ID_COLUMNS", "1:2:3", false},
    {"TABULAR_ID_COLUMNS", "1,,2", false},
    {"TABULAR_ID_COLUMNS", "1,2,", false},
    {"TABULAR_ID_COLUMNS", "-1", false},
    {"TABULAR_ID_COLUMNS", "4294967296", false},
    {"TABULAR_FEATURE_COLUMNS", "all", false},
    {"PROMETHEUS_PATH", "/a/b-c.d", true},
    {"PROMETHEUS_PATH", "/", false},
    {"PROMETHEUS_PATH", "", false},
    {"PROMETHEUS_PATH", "metrics", false},
    {"PROMETHEUS_PATH", "/me trics", false},
    {"PROMETHEUS_PATH", "/metrics?x", false},
    {"PROMETHEUS_PATH", "/m\xc3\xa9", false},
    {"OTEL_EXPORTER_OTLP_HEADERS", "", true},
    {"OTEL_EXPORTER_OTLP_HEADERS", "a=b,", false},
    {"OTEL_EXPORTER_OTLP_HEADERS", "a", false},
    {"OTEL_EXPORTER_OTLP_HEADERS", "=b", false},
    {"OTEL_EXPORTER_OTLP_HEADERS", " =b", false},
    {"OTEL_EXPORTER_OTLP_HEADERS", "a=\xff", false},
    {"LOG_LEVEL", "Critical", true},
    {"LOG_LEVEL", "verbose", false},
    {"MODEL_TYPE", "ONNX", true},
    {"MODEL_TYPE", "xgboost", false},
    {"MODEL_TYPE", "auto", false},
    {"ACCESS_LOG", "TRUE", true},
    {"ACCESS_LOG", " on ", true},
    {"ACCESS_LOG", "2", false},
    {"ACCESS_LOG", "t", false},
    {"ACCESS_LOG", "", false},
    {"TABULAR_DTYPE", "Boolean", true},
    {"TABULAR_DTYPE", "i32", true},
    {"TABULAR_DTYPE", "complex64", false},
    {"TABULAR_DTYPE", "none", false},
    {"ONNX_INPUT_MAP_JSON", "{}", true},
    {"ONNX_INPUT_MAP_JSON", "", true},
    {"ONNX_INPUT_MAP_JSON", " {\"a\": \"b\"} ", true},
    {"ONNX_INPUT_MAP_JSON", "{\"a\":\"b\",\"c\":\"b\"}", true},
    {"ONNX_INPUT_MAP_JSON", "{\"a\":\"b\",\"a\":\"c\"}", false},
    {"ONNX_INPUT_MAP_JSON", "{\"\":\"b\"}", false},
    {"ONNX_INPUT_MAP_JSON", "{\"a\":\"\"}", false},
    {"ONNX_INPUT_MAP_JSON", "{\"a\":1}", false},
    {"ONNX_INPUT_MAP_JSON", "{\"a\":null}", false},
    {"ONNX_INPUT_MAP_JSON", "[]", false},
    {"ONNX_INPUT_MAP_JSON", "{\"a\":\"b\"", false},
    {"ONNX_INPUT_MAP_JSON", "{\"a\":\"b\",}", false},
    {"ONNX_INPUT_MAP_JSON", "a=b", false},
    {"ONNX_INPUT_DTYPE_MAP_JSON", "{\"a\":\"f32\"}", true},
    {"ONNX_INPUT_DTYPE_MAP_JSON", "{\"a\":\"float31\"}", false},
};

static void accepts_and_refuses_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(value_cases); i++) {
        const struct value_case *test = &value_cases[i];
        struct settings settings;
        struct error error = {0};
        char accepted[SETTING_TEXT_MAX], expected[128];
        const struct setting *setting = setting_find(slice_from_str(test->name));
        /* As an override: an empty variable would count as unset. */
        int status =
            load(&settings, (struct source){.overrides = {test->name, test->value}}, &error);
        if (status != (test->accepted ? ERR_OK : ERR_CONFIG)) {
            fail_msg("%s=%s gave %d %s", test->name, test->value, status, error.text);
        }
        if (status == ERR_OK) {
            settings_done(&settings);
            continue;
        }
        snprintf(expected, sizeof(expected), "%s (argument): ", test->name);
        assert_memory_equal(error.text, expected, strlen(expected));
        if (strstr(error.text, setting_accepted(setting, accepted)) == NULL) {
            fail_msg("\"%s\" does not say: %s", error.text, accepted);
        }
    }
}

/* Whatever accepts not every text refuses this one, naming itself, the value and what it accepts. */
static void every_setting_names_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        struct settings settings;
        struct error error = {0};
        char variable[128], expected[128], accepted[SETTING_TEXT_MAX];
        const struct setting *setting = &settings_table[i];
        if (setting->type == SETTING_FILE) {
            continue; /* any bytes make a path */
        }
        snprintf(variable, sizeof(variable), "%s=\xff?", setting->name);
        int status = load(&settings, (struct source){.environment = {variable}}, &error);
        assert_int_equal(status, ERR_CONFIG);
        snprintf(expected, sizeof(expected), "%s (environment): ", setting->name);
        assert_memory_equal(error.text, expected, strlen(expected));
        assert_non_null(strstr(error.text, setting_accepted(setting, accepted)));
        assert_true((strstr(error.text, "\xff?") == NULL) == (setting->type == SETTING_PAIRS));
    }
}

static void stronger_sources_win(void **state)
{
    (void)state;
    const struct {
        struct source source;
        unsigned expected;
        enum setting_source from;
        const char *origin;
    } cases[] = {
        {{.groups = 0}, 256, SETTING_FROM_DEFAULT, "default"},
        {{.manifest = {"MAX_BATCH_SIZE", "1"}}, 1, SETTING_FROM_MANIFEST, "manifest"},
        {{.manifest = {"MAX_BATCH_SIZE", "1"}, .environment = {"MAX_BATCH_SIZE=2"}},
         2,
         SETTING_FROM_ENVIRONMENT,
         "environment"},
        {{.manifest = {"MAX_BATCH_SIZE", "1"}, .environment = {"MAX_BATCH_SIZE="}},
         1,
         SETTING_FROM_MANIFEST,
         "manifest"},
        {{.manifest = {"MAX_BATCH_SIZE", "1"},
          .environment = {"MAX_BATCH_SIZE=2"},
          .argv = {"--max-batch-size", "3"}},
         3,
         SETTING_FROM_FLAG,
         "flag"},
        {{.argv = {"--max-batch-size", "3", "--max-batch-size=4"}}, 4, SETTING_FROM_FLAG, "flag"},
        {{.overrides = {"MAX_BATCH_SIZE", "5"}, .argv = {"--max-batch-size=4"}},
         5,
         SETTING_FROM_ARGUMENT,
         "argument"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct settings settings;
        char origin[64];
        assert_int_equal(load(&settings, cases[i].source, NULL), ERR_OK);
        assert_int_equal(settings.max_batch_size, cases[i].expected);
        assert_int_equal(settings_source(&settings, "MAX_BATCH_SIZE"), cases[i].from);
        assert_string_equal(settings_origin(&settings, "MAX_BATCH_SIZE", origin, sizeof(origin)),
                            cases[i].origin);
        settings_done(&settings);
    }
}

static void knows_the_references_aliases(void **state)
{
    (void)state;
    struct settings s;
    char origin[64];
    LOAD(&s, .environment = {"GUNICORN_WORKERS=3", "GUNICORN_THREADS=4", "GUNICORN_TIMEOUT=5",
                             "GUNICORN_GRACEFUL_TIMEOUT=6", "GUNICORN_KEEPALIVE=7"});
    assert_int_equal(s.io_threads, 3);
    assert_int_equal(s.model_instances, 4);
    assert_int_equal(s.request_timeout_ns, UINT64_C(5000000000));
    assert_int_equal(s.drain_timeout_ns, UINT64_C(6000000000));
    assert_int_equal(s.keepalive_timeout_ns, UINT64_C(7000000000));
    assert_string_equal(settings_origin(&s, "IO_THREADS", origin, sizeof(origin)),
                        "environment: GUNICORN_WORKERS");
    settings_done(&s);

    LOAD(&s, .environment = {"GUNICORN_WORKERS=3", "IO_THREADS=2"});
    assert_int_equal(s.io_threads, 2);
    settings_done(&s);

    LOAD(&s, .environment = {"SAGEMAKER_BIND_TO_PORT=9000", "PORT=8000"});
    assert_int_equal(s.port, 9000);
    assert_string_equal(settings_origin(&s, "PORT", origin, sizeof(origin)),
                        "environment: SAGEMAKER_BIND_TO_PORT");
    settings_done(&s);

    LOAD(&s, .environment = {"SAGEMAKER_BIND_TO_PORT=9000"}, .argv = {"--port", "1"});
    assert_int_equal(s.port, 1);
    settings_done(&s);
    assert_fails((struct source){.environment = {"SAGEMAKER_BIND_TO_PORT=x"}},
                 "PORT (environment: SAGEMAKER_BIND_TO_PORT): \"x\" is not accepted: give a whole "
                 "number from 0 to 65535");
}

static void reads_flags(void **state)
{
    (void)state;
    struct settings s;
    LOAD(&s, .argv = {"a", "--access-log", "--no-otel-enabled", "-", "--onnx-input-name=", "--",
                      "--port"});
    assert_true(s.access_log);
    assert_false(s.otel_enabled);
    assert_text(s.onnx_input_name, "");
    assert_int_equal(s.positional_count, 3);
    assert_string_equal(s.positionals[0], "a");
    assert_string_equal(s.positionals[1], "-");
    assert_string_equal(s.positionals[2], "--port");
    settings_done(&s);

    LOAD(&s, .argv = {"--access-log", "1", "--swagger-enabled=YES"});
    assert_true(s.access_log && s.swagger_enabled);
    assert_string_equal(s.positionals[0], "1");
    settings_done(&s);

    LOAD(&s, .argv = {"--host=--x", "--service-name", "-5"});
    assert_text(s.host, "--x");
    assert_text(s.service_name, "-5");
    settings_done(&s);
}

static void refuses_wrong_flags(void **state)
{
    (void)state;
    struct {
        struct source source;
        const char *expected;
    } cases[] = {
        {{.argv = {"--prot", "1"}}, "--prot: unknown flag; did you mean --port?"},
        {{.argv = {"--max-batchsize=1"}},
         "--max-batchsize: unknown flag; did you mean --max-batch-size?"},
        {{.argv = {"--PORT=1"}}, "--PORT: unknown flag"},
        {{.argv = {"--frobnicate"}}, "--frobnicate: unknown flag"},
        {{.argv = {"--no-port"}}, "--no-port: unknown flag"},
        {{.argv = {"-p"}}, "-p: unknown flag; flags start with two dashes"},
        {{.argv = {"-h"}}, "--help: unknown flag"},
        {{.argv = {"--port"}}, "--port: a value is missing (write --port=VALUE)"},
        {{.argv = {"--port", "--host", "x"}}, "--port: a value is missing (write --port=VALUE)"},
        {{.argv = {"--no-access-log=true"}}, "--no-access-log: takes no value"},
        {{.argv = {"--access-log", "false"}},
         "--access-log false: write --access-log=false, or --access-log and --no-access-log"},
        {{.argv = {"--port=x"}},
         "PORT (flag): \"x\" is not accepted: give a whole number from 0 to 65535"},
        {{.argv = {"--port="}},
         "PORT (flag): \"\" is not accepted: give a whole number from 0 to 65535"},
        {{.argv = {"--port=1"}, .groups = SETTINGS_MODEL},
         "--port: this command has no such setting"},
        {{.argv = {"--no-access-log"}, .groups = SETTINGS_MODEL},
         "--no-access-log: this command has no such setting"},
        {{.manifest = {"PORT", "1"}}, "PORT: a manifest may not set this"},
        {{.manifest = {"PROT", "1"}}, "PROT: no such setting"},
        {{.manifest = {"MAX_BATCH_SIZE", "0"}},
         "MAX_BATCH_SIZE (manifest): \"0\" is not accepted: give a whole number from 1 to 1048576"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_fails(cases[i].source, cases[i].expected);
    }
}

static void gives_a_command_its_own_flags(void **state)
{
    (void)state;
    struct settings s;
    struct error error = {0};
    const char *input = NULL;
    bool json = false, input_given = false;
    const struct settings_option options[] = {
        {"input", "FILE", "what to read", &input, &input_given},
        {"json", NULL, "for machines", NULL, &json},
    };
    struct source source = {.argv = {"dir", "--input", "a.csv", "--json", "--input=b.csv"}};
    assert_int_equal(load_with(&s, &source, options, 2, &error), ERR_OK);
    assert_string_equal(input, "b.csv");
    assert_true(json && input_given);
    assert_int_equal(s.positional_count, 1);
    settings_done(&s);

    source = (struct source){.argv = {"--json=1"}};
    assert_int_equal(load_with(&s, &source, options, 2, &error), ERR_CONFIG);
    assert_string_equal(error.text, "--json: takes no value");
    source = (struct source){.argv = {"--input"}};
    assert_int_equal(load_with(&s, &source, options, 2, &error), ERR_CONFIG);
    source = (struct source){.argv = {"--inptu=1"}};
    assert_int_equal(load_with(&s, &source, options, 2, &error), ERR_CONFIG);
    assert_string_equal(error.text, "--inptu: unknown flag; did you mean --input?");
}

static void leaves_other_groups_alone(void **state)
{
    (void)state;
    struct settings s;
    LOAD(&s, .groups = SETTINGS_MODEL | SETTINGS_RUNTIME,
         .environment = {"PORT=nonsense", "MODEL_TYPE=onnx"}, .manifest = {"MAX_RECORDS", "no"});
    assert_int_equal(s.port, 8080);
    assert_int_equal(s.max_records, 5000);
    assert_int_equal(s.model_type, SETTING_MODEL_TYPE_ONNX);
    settings_done(&s);
}

static void joins_the_maps(void **state)
{
    (void)state;
    struct settings s;
    LOAD(&s, .environment = {"ONNX_INPUT_MAP_JSON={\"fa\":\"a\",\"fb\":\"b\",\"fc\":\"c\"}",
                             "ONNX_INPUT_DTYPE_MAP_JSON={\"fa\":\"int64\",\"b\":\"f64\"}",
                             "ONNX_OUTPUT_MAP_JSON={\"\\u00e9\":\"y\"}"});
    const struct settings_map *map = &s.onnx_input_map_json;
    assert_int_equal(map->count, 3);
    assert_text(map->items[0].key, "fa");
    assert_text(map->items[0].port, "a");
    assert_int_equal(map->items[0].dtype, DTYPE_I64);
    assert_int_equal(map->items[1].dtype, DTYPE_F64);
    assert_int_equal(map->items[2].dtype, DTYPE_NONE);
    assert_int_equal(s.onnx_input_dtype_map_json.count, 2);
    assert_text(s.onnx_output_map_json.items[0].key, "\xc3\xa9");
    settings_done(&s);
}

static void bounds_the_maps(void **state)
{
    (void)state;
    struct settings settings;
    struct error error = {0};
    char *text = malloc(64 * 1024);
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, 64 * 1024, "ONNX_INPUT_MAP_JSON={");
    for (int i = 0; i < 1025; i++) {
        len +=
            (size_t)snprintf(text + len, 64 * 1024 - len, "%s\"k%d\":\"v\"", i == 0 ? "" : ",", i);
    }
    snprintf(text + len, 64 * 1024 - len, "}");
    assert_int_equal(load(&settings, (struct source){.environment = {text}}, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, "ONNX_INPUT_MAP_JSON (environment): \"{\"k0\":\"v\","));
    assert_non_null(strstr(error.text, "...\": 1025 keys are too many: give at most 1024"));
    free(text);
}

static void hides_secrets_and_cuts_long_values(void **state)
{
    (void)state;
    assert_fails((struct source){.environment = {"OTEL_EXPORTER_OTLP_HEADERS=secret"}},
                 "OTEL_EXPORTER_OTLP_HEADERS (environment): the value (not shown) is not accepted: "
                 "give key=value pairs with commas between them");
    struct settings settings;
    struct error error = {0};
    char variable[300];
    memset(variable, 'x', sizeof(variable));
    memcpy(variable, "PORT=", 5);
    variable[sizeof(variable) - 1] = '\0';
    assert_int_equal(load(&settings, (struct source){.environment = {variable}}, &error),
                     ERR_CONFIG);
    assert_true(strlen(error.text) < 200);
    assert_non_null(strstr(error.text, "xxx...\" is not accepted"));
}

static void names_enum_values(void **state)
{
    (void)state;
    struct settings s;
    LOAD(&s, .environment = {"ONNX_GRAPH_OPT_LEVEL=Extended", "LOG_LEVEL=WARN"});
    assert_string_equal(settings_enum_name(&s, "ONNX_GRAPH_OPT_LEVEL"), "extended");
    assert_string_equal(settings_enum_name(&s, "LOG_LEVEL"), "WARNING");
    assert_string_equal(settings_enum_name(&s, "MODEL_TYPE"), "");
    settings_done(&s);
}

static void knows_only_unset_without_an_environment(void **state)
{
    (void)state;
    struct settings s;
    const struct settings_input input = {.groups = SETTINGS_ALL};
    assert_int_equal(settings_load(&s, &input, NULL), ERR_OK);
    assert_int_equal(s.port, 8080);
    settings_done(&s);
}

static char *printed(unsigned groups, bool markdown)
{
    char *text = NULL;
    size_t size = 0;
    const struct settings_option options[] = {{"input", "FILE", "what to read", NULL, NULL}};
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    if (markdown) {
        settings_print_markdown(out);
    } else {
        settings_print_help(out, groups, options, 1);
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

static unsigned occurrences(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

static void prints_each_setting_once(void **state)
{
    (void)state;
    char *help = printed(SETTINGS_ALL, false);
    char *markdown = printed(SETTINGS_ALL, true);
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_table[i];
        char flag[SETTING_NAME_MAX], line[SETTING_NAME_MAX + 8], row[SETTING_NAME_MAX + 8];
        snprintf(line, sizeof(line), "\n  --%s%s", setting_flag(setting, flag),
                 setting->type == SETTING_BOOL ? "" : " ");
        snprintf(row, sizeof(row), "\n| `%s`", setting->name);
        if (setting->type == SETTING_BOOL) {
            assert_true(occurrences(help, line) >= 1);
        } else {
            assert_int_equal(occurrences(help, line), 1);
        }
        assert_int_equal(occurrences(markdown, row), 1);
    }
    assert_int_equal(occurrences(help, "\n  --"), SETTINGS_COUNT + 1);
    assert_int_equal(occurrences(help, "--input FILE"), 1);
    free(help);
    free(markdown);
}

static void help_fits_its_columns(void **state)
{
    (void)state;
    char *help = printed(SETTINGS_ALL, false);
    struct slice rest = slice_from_str(help);
    while (rest.ptr != NULL) {
        struct slice line = slice_cut(&rest, '\n');
        if (line.len > 100 || (line.len > 0 && line.ptr[line.len - 1] == ' ')) {
            fail_msg("%.*s", SLICE_FMT(line));
        }
    }
    free(help);
    help = printed(SETTINGS_MODEL, false);
    assert_non_null(strstr(help, "--model-type"));
    assert_null(strstr(help, "--port"));
    free(help);
}

static void suggests_near_names(void **state)
{
    (void)state;
    const struct {
        const char *typed, *known;
        bool near;
    } cases[] = {
        {"port", "port", true},  {"prot", "port", true},   {"shpae", "shape", true},
        {"prt", "port", true},   {"foo", "port", false},   {"", "port", false},
        {"name", "names", true}, {"dytpe", "dtype", true}, {"x", "y", false},
        {"hots", "host", true},  {"blob", "bool", false},  {"max-recrods", "max-records", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct suggestion suggestion = {.typed = slice_from_str(cases[i].typed)};
        suggestion_offer(&suggestion, cases[i].known);
        if ((suggestion.name != NULL) != cases[i].near) {
            fail_msg("%s and %s", cases[i].typed, cases[i].known);
        }
    }
    char longer[200];
    memset(longer, 'a', sizeof(longer));
    struct suggestion suggestion = {.typed = slice_make(longer, sizeof(longer))};
    suggestion_offer(&suggestion, "a");
    assert_null(suggestion.name);
}

/* Each allocation fails in turn: one clean error, and nothing is left behind (a sanitizer looks). */
static void survives_failing_allocations(void **state)
{
    (void)state;
    struct source source = {
        .environment = {"ONNX_INPUT_MAP_JSON={\"a\":\"b\"}", "HOST=::1"},
        .manifest = {"JSON_OUTPUT_KEY", "p"},
        .argv = {"x", "--service-name=y"},
    };
    int status = ERR_NO_MEMORY;
    uint64_t nth = 0;
    while (status != ERR_OK) {
        struct settings settings;
        struct error error = {0};
        mem_fail_nth(++nth);
        status = load(&settings, source, &error);
        mem_fail_nth(0);
        if (status == ERR_OK) {
            settings_done(&settings);
        } else {
            assert_int_equal(status, ERR_NO_MEMORY);
            assert_int_equal(error.code, ERR_NO_MEMORY);
        }
        assert_true(nth < 1000);
    }
    assert_true(nth > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_contracts_defaults),
        cmocka_unit_test(sets_each_member_alone),
        cmocka_unit_test(table_rows_do_not_overlap),
        cmocka_unit_test(accepts_and_refuses_values),
        cmocka_unit_test(every_setting_names_itself),
        cmocka_unit_test(stronger_sources_win),
        cmocka_unit_test(knows_the_references_aliases),
        cmocka_unit_test(reads_flags),
        cmocka_unit_test(refuses_wrong_flags),
        cmocka_unit_test(gives_a_command_its_own_flags),
        cmocka_unit_test(leaves_other_groups_alone),
        cmocka_unit_test(joins_the_maps),
        cmocka_unit_test(bounds_the_maps),
        cmocka_unit_test(hides_secrets_and_cuts_long_values),
        cmocka_unit_test(names_enum_values),
        cmocka_unit_test(knows_only_unset_without_an_environment),
        cmocka_unit_test(prints_each_setting_once),
        cmocka_unit_test(help_fits_its_columns),
        cmocka_unit_test(suggests_near_names),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
