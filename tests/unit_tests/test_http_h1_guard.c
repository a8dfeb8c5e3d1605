/* The pure checks behind the HTTP/1.1 engine: tokens, hosts, line ends, chunk sizes. */
#include "http/h1_guard.h"

#include <string.h>

#include "unit_tests/testing.h"

static void knows_tokens(void **state)
{
    (void)state;
    assert_false(h1_guard_is_token(SLICE("")));
    assert_true(h1_guard_is_token(SLICE("M-SEARCH")));
    /* RFC 9110 section 5.6.2, byte by byte. */
    const char *tchar = "!#$%&'*+-.^_`|~0123456789"
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int byte = 0; byte < 256; byte++) {
        const char text[] = {'a', (char)byte};
        bool expected = byte != 0 && strchr(tchar, byte) != NULL;
        assert_int_equal(h1_guard_is_token(slice_make(text, 2)), expected);
    }
}

static void knows_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_host;
    } cases[] = {
        {"a", true},           {"a.b-c_d~e", true},
        {"127.0.0.1", true},   {"127.0.0.1:8080", true},
        {"a:", true}, /* port is *DIGIT */
        {"a!$&'()*+;=", true}, {"a%41b", true},
        {"%41", true},         {"[::1]", true},
        {"[::1]:80", true},    {"[v1.a:b]", true},
        {"", false},           {":80", false},
        {"a:b", false},        {"a:8 0", false},
        {"a:80:80", false},    {"a:-1", false},
        {"a b", false},        {"a/b", false},
        {"a?b", false},        {"a#b", false},
        {"u@a", false},        {"a\\b", false},
        {"a%", false},         {"a%4", false},
        {"a%4g", false},       {"a%g1", false},
        {"[", false},          {"[]", false},
        {"[::1", false},       {"::1", false},
        {"[::1]80", false},    {"[::1]:a", false},
        {"[a/b]", false},      {"[::1%25eth0]", false},
        {"]", false},          {"\x80", false},
        {"a\t", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (h1_guard_is_host(slice_from_str(cases[i].text)) != cases[i].is_host) {
            fail_msg("\"%s\"", cases[i].text);
        }
    }
    assert_false(h1_guard_is_host(SLICE("a\0b")));
    assert_false(h1_guard_is_host(SLICE("a\0")));
}

static void knows_line_ends(void **state)
{
    (void)state;
    assert_true(h1_guard_line_end(SLICE("\r\n")));
    assert_true(h1_guard_line_end(SLICE("a\r\n")));
    assert_false(h1_guard_line_end(SLICE("")));
    assert_false(h1_guard_line_end(SLICE("\n")));
    assert_false(h1_guard_line_end(SLICE("a\n")));
    assert_false(h1_guard_line_end(SLICE("\r\r\n")));
    assert_false(h1_guard_line_end(SLICE("a\rb\r\n")));
    assert_false(h1_guard_line_end(SLICE("a\rb\n")));
    assert_false(h1_guard_line_end(SLICE("a\rb")));
}

static void counts_what_a_chunk_size_does_not_need(void **state)
{
    (void)state;
    assert_int_equal(h1_guard_chunk_excess(SLICE("\r\n")), 0);
    assert_int_equal(h1_guard_chunk_excess(SLICE("5\r\n")), 0);
    assert_int_equal(h1_guard_chunk_excess(SLICE("ffffFFFF01234567\r\n")), 0);
    assert_int_equal(h1_guard_chunk_excess(SLICE("00000000000000005\r\n")), 1);
    assert_int_equal(h1_guard_chunk_excess(SLICE("5;a\r\n")), 2);
    assert_int_equal(h1_guard_chunk_excess(SLICE("g\r\n")), 1);
}

/* The parts of a request line point into it. */
static void cuts_request_lines(void **state)
{
    (void)state;
    const struct slice line = SLICE("PUT http://h/p/q?r=s HTTP/1.0\r\n");
    struct h1_request_line parts;
    struct error error;
    assert_int_equal(h1_guard_request_line(line, &parts, &error), 0);
    assert_true(slice_eq(parts.method, SLICE("PUT")) && parts.method.ptr == line.ptr);
    assert_true(slice_eq(parts.target, SLICE("http://h/p/q?r=s")));
    assert_true(slice_eq(parts.path, SLICE("/p/q")) && parts.path.ptr == line.ptr + 12);
    assert_true(slice_eq(parts.query, SLICE("r=s")));
    assert_int_equal(parts.minor, 0);
}

/* RFC 9112 section 9.3. */
static void knows_what_persists(void **state)
{
    (void)state;
    static const struct {
        unsigned minor;
        bool wants_close;
        bool wants_keep_alive;
        bool persists;
    } cases[] = {
        {1, false, false, true}, {1, false, true, true},   {1, true, false, false},
        {1, true, true, false},  {0, false, false, false}, {0, false, true, true},
        {0, true, false, false}, {0, true, true, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct h1_facts facts = {.minor = cases[i].minor,
                                 .wants_close = cases[i].wants_close,
                                 .wants_keep_alive = cases[i].wants_keep_alive};
        assert_int_equal(h1_guard_persists(&facts), cases[i].persists);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_tokens),
        cmocka_unit_test(knows_hosts),
        cmocka_unit_test(knows_line_ends),
        cmocka_unit_test(counts_what_a_chunk_size_does_not_need),
        cmocka_unit_test(cuts_request_lines),
        cmocka_unit_test(knows_what_persists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
