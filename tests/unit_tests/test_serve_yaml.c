/* YAML writing: text from outside stays one scalar, JSON is taken over only when it is JSON. */
#include "serve/yaml.h"

#include "base/mem.h"
#include "unit_tests/testing.h"

#define OUT_MAX 65536

static void expect_written(void (*put)(struct yaml *, struct slice), struct slice text,
                           const char *expected)
{
    struct bytes out;
    bytes_init(&out, OUT_MAX);
    struct yaml yaml = {.out = &out};
    put(&yaml, text);
    assert_int_equal(yaml.status, ERR_OK);
    struct slice written = bytes_slice(&out);
    if (!slice_eq(written, slice_from_str(expected))) {
        fail_msg("wrote %.*s instead of %s", SLICE_FMT(written), expected);
    }
    bytes_done(&out);
}

static void quotes_any_bytes(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *expected;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{"x", 1}, "\"x\""},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {{"a\nb\tc\0d\r", 8}, "\"a\\nb\\u0009c\\u0000d\\u000d\""},
        {{": # - {}[]&*!|>'%@`", 19}, "\": # - {}[]&*!|>'%@`\""},
        {{"\x7f\xc2\x80\xc2\x9f\xc2\xa0", 7}, "\"\\u007f\\u0080\\u009f\xc2\xa0\""},
        {{"S\xc3\xa3o \xe6\x97\xa5 \xf0\x9f\x98\x80", 13},
         "\"S\xc3\xa3o \xe6\x97\xa5 \xf0\x9f\x98\x80\""},
        {{"\xe2\x80\xa8\xef\xbb\xbf\xef\xbf\xbe", 9}, "\"\\u2028\\ufeff\\ufffe\""},
        /* Not UTF-8: a lone byte, an overlong form, a surrogate, past U+10FFFF, a cut sequence. */
        {{"a\xff"
          "b",
          3},
         "\"a\xef\xbf\xbd"
         "b\""},
        {{"\xc0\xaf", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xe0\x80\xaf", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xf4\x90\x80\x80", 4}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xe6\x97", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xe6"
          "ab",
          3},
         "\"\xef\xbf\xbd"
         "ab\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_written(yaml_put_quoted, cases[i].text, cases[i].expected);
    }
}

static void takes_meaning_from_markdown(void **state)
{
    (void)state;
    expect_written(yaml_put_markdown, SLICE("petal_width 2"), "petal_width 2");
    expect_written(yaml_put_markdown, SLICE("<b>*x*</b>"),
                   "\\\\<b\\\\>\\\\*x\\\\*\\\\<\\\\/b\\\\>");
    expect_written(yaml_put_markdown, SLICE("a\"\\`\n|"), "a\\\\\\\"\\\\\\\\\\\\` \\\\|");
}

static void tells_json_from_the_rest(void **state)
{
    (void)state;
    static const char *const accepted[] = {
        "0",
        "-0.5e+10",
        "true",
        "null",
        "\"\"",
        "[]",
        "{}",
        " [ 1 , 2 ]\n",
        "[[1.5,2],[3,4]]",
        "{\"a\":{\"b\":[{}]},\"c\":null}",
        "\"\\u00e9\\n\\/\"",
        "[\"a:b\",\"{\"]",
    };
    static const char *const refused[] = {
        "",         " ",          "[",     "]",       "[1",
        "[1}",      "{]",         "[1,]",  "[,1]",    "{\"a\"}",
        "{\"a\":}", "{\"a\":1,}", "{1:2}", "{a:1}",   "01",
        "1.",       ".5",         "+1",    "1e",      "-",
        "NaN",      "Infinity",   "tru",   "truex",   "1 2",
        "[1 2]",    "'a'",        "\"a",   "\"\\x\"", "\"\\u12g4\"",
        "\"\n\"",   "\"\x80\"",   "[1]#",  "[1] x",   "\"\\ud83d\\ude00\"",
    };
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        if (!yaml_accepts_json(slice_from_str(accepted[i]))) {
            fail_msg("refused: %s", accepted[i]);
        }
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (yaml_accepts_json(slice_from_str(refused[i]))) {
            fail_msg("accepted: %s", refused[i]);
        }
    }
}

static void holds_json_to_its_limits(void **state)
{
    (void)state;
    char text[2 * YAML_MAX_KEY_BYTES];
    for (size_t depth = YAML_MAX_DEPTH; depth <= YAML_MAX_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(yaml_accepts_json(slice_make(text, 2 * depth)), depth == YAML_MAX_DEPTH);
    }
    for (size_t size = YAML_MAX_KEY_BYTES; size <= YAML_MAX_KEY_BYTES + 1; size++) {
        memset(text, 'k', size);
        text[0] = text[size - 1] = '"';
        assert_int_equal(yaml_accepts_json(slice_make(text, size)), size == YAML_MAX_KEY_BYTES);
    }
}

static void writes_json_on_one_line(void **state)
{
    (void)state;
    expect_written(yaml_put_json, SLICE("{\n \"a b\" :\t[ 1,\r\n {\"c\":\"d:\"} ] ,\"e\":true}"),
                   "{\"a b\": [1, {\"c\": \"d:\"}], \"e\": true}");
    expect_written(yaml_put_json, SLICE(" \"x\" "), "\"x\"");
}

static void keeps_the_first_failure(void **state)
{
    (void)state;
    struct bytes out;
    bytes_init(&out, 8);
    struct yaml yaml = {.out = &out};
    yaml_put(&yaml, "12345");
    yaml_put(&yaml, "678901");
    assert_int_equal(yaml.status, ERR_NO_MEMORY);
    yaml_put(&yaml, "x");
    yaml_printf(&yaml, "%d", 1);
    yaml_put_quoted(&yaml, SLICE("y"));
    assert_true(slice_eq(bytes_slice(&out), SLICE("12345")));
    bytes_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_any_bytes),         cmocka_unit_test(takes_meaning_from_markdown),
        cmocka_unit_test(tells_json_from_the_rest), cmocka_unit_test(holds_json_to_its_limits),
        cmocka_unit_test(writes_json_on_one_line),  cmocka_unit_test(keeps_the_first_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
