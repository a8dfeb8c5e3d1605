/* Errors: their statuses, and texts that stay valid whatever is put in. */
#include <string.h>

#include "base/error.h"
#include "unit_tests/testing.h"

static void every_code_has_its_statuses(void **state)
{
    (void)state;
    static const struct {
        enum error_code code;
        int http;
        int grpc;
    } cases[] = {
        {ERR_OK, 200, 0},         {ERR_INVALID, 400, 3},      {ERR_NOT_FOUND, 404, 12},
        {ERR_METHOD, 405, 12},    {ERR_TOO_LARGE, 413, 8},    {ERR_BUSY, 429, 8},
        {ERR_TIMEOUT, 504, 4},    {ERR_UNAVAILABLE, 503, 14}, {ERR_CONFIG, 500, 13},
        {ERR_NO_MEMORY, 500, 13}, {ERR_INTERNAL, 500, 13},    {ERR_PROTOCOL, 400, 13},
    };
    assert_int_equal(sizeof(cases) / sizeof(cases[0]), ERR_CODES);
    assert_int_equal(GRPC_UNAUTHENTICATED, 16); /* the last one of gRPC */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(error_http_status(cases[i].code), cases[i].http);
        assert_int_equal(error_grpc_status(cases[i].code), cases[i].grpc);
    }
}

static void texts_are_one_line_and_cut_at_a_character(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(error_set(&error, ERR_INVALID, "a\nb\x01%s", "\x7f"), ERR_INVALID);
    assert_string_equal(error.text, "a?b??");
    for (size_t shift = 0; shift < 4; shift++) {
        char text[2 * ERROR_TEXT_MAX] = {0};
        memset(text, 'x', shift);
        for (size_t at = shift; at + 3 < sizeof(text); at += 3) {
            memcpy(text + at, "\xe2\x82\xac", 3); /* the euro sign */
        }
        error_set(&error, ERR_INVALID, "%s", text);
        size_t len = strlen(error.text);
        assert_true(len < ERROR_TEXT_MAX && len > ERROR_TEXT_MAX - 5);
        assert_int_equal((len - shift) % 3, 0);
    }
    assert_int_equal(error_set(NULL, ERR_BUSY, "nobody listens"), ERR_BUSY);
}

static void prefixes_come_first(void **state)
{
    (void)state;
    struct error error;
    error_set(&error, ERR_CONFIG, "no such file");
    assert_int_equal(error_prefix(&error, "%s:%d", "a.json", 3), ERR_CONFIG);
    assert_string_equal(error.text, "a.json:3: no such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_statuses),
        cmocka_unit_test(texts_are_one_line_and_cut_at_a_character),
        cmocka_unit_test(prefixes_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
