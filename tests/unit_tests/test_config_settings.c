/* Settings: the defaults, and every value of every type. */
#include "unit_tests/settings_fixture.h"

#include <stdio.h>

#include "base/mem.h"
#include "config/settings_table.h"
#include "config/settings_value.h"

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
    assert_int_equal(s.max_streams, 16384);
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
    {"MAX_STREAMS", "6"},
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
    {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
    {"OTEL_EXPORTER_OTLP_HEADERS", "a=b, c=d=e"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT", "2"},
    {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"},
    {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"},
    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/x"},
    {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"},
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
    {"HOST", "[::1]", true},
    {"HOST", " localhost ", true},
    {"HOST", "[]", false},
    {"HOST", "[::1", false},
    {"HOST", "http://a", false},
    {"GRPC_HOST", "", false},
    {"GRPC_HOST", "a b", false},
    {"TABULAR_ID_COLUMNS", "2:1", false},
    {"TABULAR_ID_COLUMNS", "1:1", false},
    {"TABULAR_ID_COLUMNS", ":0", false},
    {"TABULAR_ID_COLUMNS", ":", true},
    {"TABULAR_ID_COLUMNS", "1,0,01", false},
    {"TABULAR_FEATURE_COLUMNS", "all", false},
    {"TABULAR_FEATURE_COLUMNS", "3:2", false},
    {"TABULAR_FEATURE_COLUMNS", "2,2", false},
    {"TABULAR_FEATURE_COLUMNS", "2,1,0", true},
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

static void leaves_brackets_around_an_address_out(void **state)
{
    (void)state;
    struct settings settings;
    struct error error;
    struct source source = {.environment = {"HOST=[::1]", "GRPC_HOST=::1"}};
    assert_int_equal(load(&settings, source, &error), ERR_OK);
    assert_string_equal(settings.host.ptr, "::1");
    assert_string_equal(settings.grpc_host.ptr, "::1");
    settings_done(&settings);
}

/* Each allocation fails in turn: one clean error, and nothing is left behind (a sanitizer looks). */
static void survives_failing_allocations(void **state)
{
    (void)state;
    struct source source = {
        .environment = {"ONNX_INPUT_MAP_JSON={\"a\":\"b\"}", "HOST=[::1]"},
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
        cmocka_unit_test(leaves_brackets_around_an_address_out),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
