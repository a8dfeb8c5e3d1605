/* Plans: defaults, the wanted outputs, selectors, and settings that do not fit the model. */
#include "codec/plan.h"
#include "codec/selector.h"
#include "unit_tests/codec_cases.h"

#define MODEL "x float32 N 3"
#define OUTPUTS "y float32 N 1; z float32 N 1; label string N"

static void has_defaults(void **state)
{
    (void)state;
    struct codec_options options = codec_options_default();
    assert_true(slice_eq(options.json_key_instances, SLICE("instances")));
    assert_true(slice_eq(options.jsonl_features_key, SLICE("features")));
    assert_true(slice_eq(options.json_output_key, SLICE("predictions")));
    assert_int_equal(options.csv_delimiter, ',');
    assert_int_equal(options.csv_has_header, CSV_HEADER_AUTO);
    assert_true(options.csv_skip_blank_lines && options.dynamic_batch && options.predictions_only);
    assert_int_equal(options.max_records, 5000);
    assert_int_equal(options.tabular_dtype, DTYPE_NONE);
}

static void finds_wanted_outputs(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        size_t count;
        size_t wanted[3];
    } cases[] = {
        {NULL, 1, {0}},
        {"index=1", 1, {1}},
        {"index=99", 1, {2}},
        {"output=z", 1, {1}},
        {"output=z index=2", 1, {1}},
        {"outputs=a:label,b:y,c:label", 3, {2, 0, 2}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct codec_fixture fixture;
        struct codec_plan *plan;
        struct error error;
        size_t count;
        fixture_init(&fixture, MODEL, OUTPUTS, cases[i].options);
        assert_int_equal(codec_plan_new(&fixture.options, &fixture.signature, &plan, &error),
                         ERR_OK);
        const size_t *wanted = codec_plan_wanted(plan, &count);
        assert_int_equal(count, cases[i].count);
        assert_memory_equal(wanted, cases[i].wanted, count * sizeof(wanted[0]));
        codec_plan_free(plan);
    }
}

static void refuses_settings(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        const char *options;
        const char *want;
    } cases[] = {
        {MODEL, "output=q", "ONNX_OUTPUT_NAME: the model has no output named \"q\""},
        {MODEL, "outputs=a:y,b:q", "ONNX_OUTPUT_MAP_JSON: the model has no output named \"q\""},
        {MODEL, "input=q", "ONNX_INPUT_NAME: the model has no tensor input named \"q\""},
        {MODEL, "map=a:q", "ONNX_INPUT_MAP_JSON: the model has no tensor input named \"q\""},
        {"a float32 N; b float32 N", "map=k:a",
         "ONNX_INPUT_MAP_JSON maps no key to the model's input \"b\""},
        {MODEL, "map=k:x,l:x", "ONNX_INPUT_MAP_JSON maps two keys to input \"x\""},
        {"a float32 N; b float32 N", "map=k:a,k:b", "ONNX_INPUT_MAP_JSON has the key \"k\" twice"},
        {"s string N", "dtype=float32", "TABULAR_DTYPE is float32, but input \"s\" takes string"},
        {MODEL, "dtype=string", "TABULAR_DTYPE is string, but input \"x\" takes float32"},
        {"s string N", "map=k:s:int64",
         "ONNX_INPUT_DTYPE_MAP_JSON is int64, but input \"s\" takes string"},
        {MODEL, "names=a,b,a", "the manifest names the feature \"a\" twice"},
        {MODEL, "delimiter=\"", "CSV_DELIMITER must be one ASCII character *"},
        {"x sequence", NULL, "input \"x\" is sequence, which no payload can give"},
        {"x optional", NULL, "the model takes no tensor"},
        {"", NULL, "the model takes no tensor"},
        {MODEL, "ids=a", "TABULAR_ID_COLUMNS=\"a\": a part is not a column number; accepted are *"},
        {MODEL, "features=1,", "TABULAR_FEATURE_COLUMNS=\"1,\": a part is not a column number; *"},
        {MODEL, "features=1,2,1", "TABULAR_FEATURE_COLUMNS=\"1,2,1\": a column is listed twice; *"},
        {MODEL, "features=-1", "TABULAR_FEATURE_COLUMNS=\"-1\": a part is not a column number; *"},
        {MODEL, "features=3:3", "TABULAR_FEATURE_COLUMNS=\"3:3\": the range is empty; *"},
        {MODEL, "features=3:1", "TABULAR_FEATURE_COLUMNS=\"3:1\": the range is empty; *"},
        {MODEL, "features=1:2:3", "TABULAR_FEATURE_COLUMNS=\"1:2:3\": an end is not a column *"},
        {MODEL, "features=a:", "TABULAR_FEATURE_COLUMNS=\"a:\": an end is not a column number; *"},
        {MODEL, "features=99999999999999999999", "TABULAR_FEATURE_COLUMNS=*"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct codec_fixture fixture;
        struct codec_plan *plan;
        struct error error = {.text = ""};
        fixture_init(&fixture, cases[i].model, OUTPUTS, cases[i].options);
        assert_int_equal(codec_plan_new(&fixture.options, &fixture.signature, &plan, &error),
                         ERR_CONFIG);
        if (!is_wanted(error.text, cases[i].want)) {
            fail_msg("%s %s\n  want %s\n  got  %s", cases[i].model, cases[i].options, cases[i].want,
                     error.text);
        }
    }
}

/* The columns a selector gives of five, as text. */
static void parses_selectors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"", ""},      {"0", "0"},    {"4,0,2", "4 0 2"}, {" 1 , 2 ", "1 2"}, {"1:3", "1 2"},
        {":2", "0 1"}, {"3:", "3 4"}, {":", "0 1 2 3 4"}, {"5:", ""},         {" 1 : 2 ", "1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct selector selector;
        struct error error;
        char text[64] = "";
        size_t count;
        size_t len = 0;
        assert_int_equal(
            selector_parse(slice_from_str(cases[i].text), "SETTING", &selector, &error), ERR_OK);
        assert_int_equal(selector_count(&selector, "SETTING", 5, &count, &error), ERR_OK);
        for (size_t column = 0; column < count; column++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%zu", column > 0 ? " " : "",
                                    selector_at(&selector, column));
        }
        assert_string_equal(text, cases[i].want);
        selector_done(&selector);
    }
}

static void feeds_the_named_input(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {"o optional; x float32 N 1", NULL, BODY("[[1]]"), "o none[]; x float32[1,1] 1"},
        {"x float32 N 1", "input=x", BODY("[[1]]"), "x float32[1,1] 1"},
        {"a float32 N 1; b float32 N 1", "input=b", BODY("[[1]]"),
         "! a bare matrix feeds input \"b\" alone; *"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

static void refuses_an_unknown_encoding(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {MODEL, NULL, BODY("[[1]]"), "! the payload's encoding is not supported"},
    };
    RUN_CASES(MEDIA_NONE, cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),          cmocka_unit_test(finds_wanted_outputs),
        cmocka_unit_test(refuses_settings),      cmocka_unit_test(parses_selectors),
        cmocka_unit_test(feeds_the_named_input), cmocka_unit_test(refuses_an_unknown_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
