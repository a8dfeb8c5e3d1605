/* UTF-8: every character is one step, every invalid sequence is skipped as Unicode recommends. */
#include "base/utf8.h"
#include "unit_tests/testing.h"

/* RFC 3629 section 3. */
static size_t put_character(unsigned code, char *text)
{
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        text[0] = (char)(0xc0 | code >> 6);
        text[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        text[0] = (char)(0xe0 | code >> 12);
        text[1] = (char)(0x80 | (code >> 6 & 0x3f));
        text[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    text[0] = (char)(0xf0 | code >> 18);
    text[1] = (char)(0x80 | (code >> 12 & 0x3f));
    text[2] = (char)(0x80 | (code >> 6 & 0x3f));
    text[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

static void takes_every_character(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 0x110000; code++) {
        char text[5];
        size_t len = put_character(code, text);
        text[len] = 'x';
        struct utf8_step whole = utf8_step(slice_make(text, len + 1));
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        assert_true(whole.valid == !surrogate);
        assert_int_equal(whole.bytes, surrogate ? 1 : len);
        for (size_t cut = 1; cut < len && !surrogate; cut++) {
            struct utf8_step part = utf8_step(slice_make(text, cut));
            assert_false(part.valid);
            assert_int_equal(part.bytes, cut);
        }
    }
}

static void skips_what_is_invalid(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } cases[] = {
        {"\x80", 1}, /* a continuation alone */
        {"\xbf\xbf", 1},
        {"\xc0\x80", 1}, /* overlong */
        {"\xc1\xbf", 1},
        {"\xe0\x9f\xbf", 1},
        {"\xf0\x8f\xbf\xbf", 1},
        {"\xed\xa0\x80", 1},     /* a surrogate */
        {"\xf4\x90\x80\x80", 1}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 1},
        {"\xff", 1},
        {"\xfe\xfe", 1},
        {"\xc3(", 1}, /* cut short by something else */
        {"\xe2\x82(", 2},
        {"\xf0\x9f\x98(", 3},
        {"\xf0\x9f\xc3\xa9", 2},
        {"\xe2\xe2\x82\xac", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct utf8_step step = utf8_step(slice_from_str(cases[i].text));
        assert_false(step.valid);
        assert_int_equal(step.bytes, cases[i].bytes);
    }
}

static void texts_are_valid_up_to_a_place(void **state)
{
    (void)state;
    assert_int_equal(utf8_valid_bytes((struct slice){NULL, 0}), 0);
    assert_int_equal(utf8_valid_bytes(SLICE("a\xc3\xa9z")), 4);
    assert_int_equal(utf8_valid_bytes(SLICE("a\xc3\xa9\xff"
                                            "a")),
                     3);
    assert_int_equal(utf8_valid_bytes(SLICE("a\xe2\x82")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_character),
        cmocka_unit_test(skips_what_is_invalid),
        cmocka_unit_test(texts_are_valid_up_to_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
