/* Settings: which of several sources wins, aliases, flags, maps. */
#include "unit_tests/settings_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/settings_table.h"

static void stronger_sources_win(void **state)
{
    (void)state;
    const struct {
        struct source source;
        unsigned expected;
        enum setting_source from;
    } cases[] = {
        {{.groups = 0}, 256, SETTING_FROM_DEFAULT},
        {{.manifest = {"MAX_BATCH_SIZE", "1"}}, 1, SETTING_FROM_MANIFEST},
        {{.manifest = {"MAX_BATCH_SIZE", "1"}, .environment = {"MAX_BATCH_SIZE=2"}},
         2,
         SETTING_FROM_ENVIRONMENT},
        {{.manifest = {"MAX_BATCH_SIZE", "1"}, .environment = {"MAX_BATCH_SIZE="}},
         1,
         SETTING_FROM_MANIFEST},
        {{.manifest = {"MAX_BATCH_SIZE", "1"},
          .environment = {"MAX_BATCH_SIZE=2"},
          .argv = {"--max-batch-size", "3"}},
         3,
         SETTING_FROM_FLAG},
        {{.argv = {"--max-batch-size", "3", "--max-batch-size=4"}}, 4, SETTING_FROM_FLAG},
        {{.overrides = {"MAX_BATCH_SIZE", "5"}, .argv = {"--max-batch-size=4"}},
         5,
         SETTING_FROM_ARGUMENT},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct settings settings;
        assert_int_equal(load(&settings, cases[i].source, NULL), ERR_OK);
        assert_int_equal(settings.max_batch_size, cases[i].expected);
        assert_int_equal(settings_source(&settings, "MAX_BATCH_SIZE"), cases[i].from);
        settings_done(&settings);
    }
}

static void knows_the_references_aliases(void **state)
{
    (void)state;
    struct settings s;
    LOAD(&s, .environment = {"GUNICORN_WORKERS=3", "GUNICORN_THREADS=4", "GUNICORN_TIMEOUT=5",
                             "GUNICORN_GRACEFUL_TIMEOUT=6", "GUNICORN_KEEPALIVE=7"});
    assert_int_equal(s.io_threads, 3);
    assert_int_equal(s.model_instances, 4);
    assert_int_equal(s.request_timeout_ns, UINT64_C(5000000000));
    assert_int_equal(s.drain_timeout_ns, UINT64_C(6000000000));
    assert_int_equal(s.keepalive_timeout_ns, UINT64_C(7000000000));
    assert_int_equal(settings_source(&s, "IO_THREADS"), SETTING_FROM_ENVIRONMENT);
    settings_done(&s);

    LOAD(&s, .environment = {"GUNICORN_WORKERS=3", "IO_THREADS=2"});
    assert_int_equal(s.io_threads, 2);
    settings_done(&s);

    LOAD(&s, .environment = {"SAGEMAKER_BIND_TO_PORT=9000", "PORT=8000"});
    assert_int_equal(s.port, 9000);
    assert_int_equal(settings_source(&s, "PORT"), SETTING_FROM_ENVIRONMENT);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stronger_sources_win),
        cmocka_unit_test(knows_the_references_aliases),
        cmocka_unit_test(reads_flags),
        cmocka_unit_test(refuses_wrong_flags),
        cmocka_unit_test(gives_a_command_its_own_flags),
        cmocka_unit_test(leaves_other_groups_alone),
        cmocka_unit_test(joins_the_maps),
        cmocka_unit_test(bounds_the_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
