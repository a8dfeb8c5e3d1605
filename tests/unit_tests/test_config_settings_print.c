/* Settings as people read them: values, tables, help, suggestions. */
#include "unit_tests/settings_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/settings_table.h"
#include "config/settings_value.h"
#include "config/suggest.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hides_secrets_and_cuts_long_values),
        cmocka_unit_test(names_enum_values),
        cmocka_unit_test(knows_only_unset_without_an_environment),
        cmocka_unit_test(prints_each_setting_once),
        cmocka_unit_test(help_fits_its_columns),
        cmocka_unit_test(suggests_near_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
