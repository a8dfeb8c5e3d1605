/* Text of payloads: counting, UTF-8, excerpts and places for messages. */
#include "codec/text.h"
#include "unit_tests/testing.h"

static void counts_bytes(void **state)
{
    (void)state;
    static char text[67];
    for (size_t wanted = 0; wanted <= sizeof(text); wanted++) {
        for (size_t i = 0; i < sizeof(text); i++) {
            /* Neighbours of the byte in every sense: one more, one less, the top bit, zero. */
            static const char others[] = {'+', '-', (char)(',' | 0x80), '\0', 'a'};
            text[i] = i < wanted ? ',' : others[i % sizeof(others)];
        }
        for (size_t start = 0; start < 8; start++) {
            size_t skipped = start < wanted ? start : wanted;
            struct slice slice = slice_make(text + start, sizeof(text) - start);
            assert_int_equal(text_count(slice, ','), wanted - skipped);
        }
    }
    assert_int_equal(text_count(SLICE(""), 'a'), 0);
    assert_int_equal(text_count(slice_make("\0a\0\0b\0\0\0\0", 9), '\0'), 7);
}

static void finds_invalid_utf8(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        size_t at; /* the length when all is well */
    } cases[] = {
        {SLICE(""), 0},
        {SLICE("plain"), 5},
        {SLICE("longer than a word of ASCII"), 27},
        {SLICE("gr\xc3\xbc\xc3\x9f dich, \xe2\x82\xac and \xf0\x9f\x98\x80"), 25},
        {SLICE("\xff"), 0},
        {SLICE("12345678\x80"), 8},
        {SLICE("1234567\xc3"), 7},
        {SLICE("a\xc0\x80"), 1},
        {SLICE("a\xed\xa0\x80"), 1},
        {SLICE("a\xf4\x90\x80\x80"), 1},
        {SLICE("\xc3\xbc\xe2\x82"), 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(text_find_invalid(cases[i].text), cases[i].at);
    }
}

static void cuts_excerpts_between_characters(void **state)
{
    (void)state;
    struct slice fits = SLICE("1234567890123456789012345678901234567890");
    struct slice cut = SLICE("123456789012345678901234567890123456789\xc3\xbc");
    assert_int_equal(text_excerpt(fits).len, 40);
    assert_string_equal(text_ellipsis(fits), "");
    assert_int_equal(text_excerpt(cut).len, 39);
    assert_string_equal(text_ellipsis(cut), "...");
    assert_int_equal(text_mark_bytes(SLICE("\xef\xbb\xbf"
                                           "1")),
                     3);
    assert_int_equal(text_mark_bytes(SLICE("\xef\xbb")), 0);
}

static void names_places(void **state)
{
    (void)state;
    static const struct {
        struct place place;
        const char *want;
    } cases[] = {
        {{0, 3, -1}, "row 3: wrong"},
        {{0, 3, 0}, "row 3, column 0: wrong"},
        {{5, 3, 1}, "line 5, row 3, column 1: wrong"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        error_set(&error, ERR_INVALID, "wrong");
        assert_int_equal(place_prefix(&error, &cases[i].place), ERR_INVALID);
        assert_string_equal(error.text, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_bytes),
        cmocka_unit_test(finds_invalid_utf8),
        cmocka_unit_test(cuts_excerpts_between_characters),
        cmocka_unit_test(names_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
