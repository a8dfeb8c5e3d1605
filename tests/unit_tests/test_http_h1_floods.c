/*
 * Requests that no end would come of: each is refused at its limit, with its status, however it is
 * delivered, and the memory it took is bounded. Sections are RFC 9112's.
 */
#include "unit_tests/h1_splits.h"

#define HEAD "POST /invocations HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

/* `start`, then `unit` until there are `count` of them, then `end`. */
struct flood {
    const char *section;
    const char *what;
    const char *start;
    const char *unit;
    size_t count;
    const char *end;
    int status;
    const char *text;
};

static const struct flood floods[] = {
    {"3", "a target over the limit", "GET /", "a", H1_MAX_TARGET_BYTES,
     " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "request line: the target is longer than 8192 bytes"},
    {"3", "a target without an end", "GET /", "a", 100000, "", 414,
     "request line: the target is longer than 8192 bytes"},
    {"3", "a control character far behind the limit of the target", "GET /", "a", 20000,
     "\001 HTTP/1.1\r\n", 414, "request line: the target is longer than 8192 bytes"},
    {"3", "a query without an end", "GET /?", "a=b&", 30000, "", 414, "request line: the target"},
    {"3", "a method without an end", "", "A", 100000, "", 414, "request line: "},
    {"3", "binary without an end", "", "\x80", 100000, "", 400,
     "request line: the method is not a token"},
    {"2.2", "empty lines without an end", "", "\r\n", 50000, "", 400, "request line: more than 4"},
    {"5", "a hundred thousand fields", HEAD, "A: b\r\n", 100000, "\r\n", 431,
     "header line 129: there are more than 128 fields"},
    {"5", "one field too many", HEAD, "A: b\r\n", H1_MAX_FIELDS, "\r\n", 431,
     "header line 129: there are more than 128 fields"},
    {"5", "a value without an end", HEAD "A: ", "b", 200000, "", 431,
     "header line 2: the head is longer than 65536 bytes"},
    {"5", "a value over the limit, then a control character", HEAD "A: ", "b", 70000,
     "\001\r\n\r\n", 431, "header line 2: the head is longer than 65536 bytes"},
    {"5", "a name without an end", HEAD, "b", 200000, "", 431, "header line 2: the head is longer"},
    {"5", "long fields", HEAD,
     "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
     "\r\n",
     130, "\r\n", 431, "the head is longer than 65536 bytes"},
    {"5", "a space before the name, without an end", HEAD, " ", 100000, "", 431, "header line 2: "},
    {"7.1.1", "an extension without an end", CHUNKED "5;a=", "b", 100000, "", 400,
     "size of chunk 1: chunk extensions and trailers take more than 16384 bytes"},
    {"7.1.1", "an extension over the limit", CHUNKED "5;", "b", H1_MAX_TRAILER_BYTES,
     "\r\nhello\r\n0\r\n\r\n", 400, "size of chunk 1: chunk extensions and trailers"},
    {"7.1.1", "many small extensions", CHUNKED, "1;abcdefgh=ijklmno\r\nx\r\n", 2000, "0\r\n\r\n",
     400, "size of chunk 964: chunk extensions and trailers"},
    {"7.1", "zeros before a size without an end", CHUNKED, "0", 100000, "", 400,
     "size of chunk 1: chunk extensions and trailers"},
    {"7.1.2", "trailers without an end", CHUNKED "0\r\n", "A: b\r\n", 100000, "", 431,
     "chunk extensions and trailers take more than 16384 bytes"},
    {"7.1.2", "one trailer without an end", CHUNKED "0\r\nA:", "b", 100000, "", 431,
     "trailer line 1: chunk extensions and trailers"},
    {"7.1.2", "an extension and trailers, over the limit together",
     CHUNKED "1;abcdefghijklmnopqrstuvwxyz\r\nx\r\n0\r\nA: ", "b", H1_MAX_TRAILER_BYTES - 27,
     "\r\n\r\n", 431, "trailer line 1: chunk extensions and trailers"},
    {"7.1.2", "trailers over the limit by one byte", CHUNKED "0\r\nA: ", "b",
     H1_MAX_TRAILER_BYTES - 3 - 1, "\r\n\r\n", 431,
     "trailer line 1: chunk extensions and trailers"},
};

static void build_flood(const struct flood *flood, struct bytes *ret_input)
{
    bytes_init(ret_input, 8 * 1024 * 1024);
    assert_int_equal(bytes_put(ret_input, slice_from_str(flood->start)), ERR_OK);
    for (size_t i = 0; i < flood->count; i++) {
        assert_int_equal(bytes_put(ret_input, slice_from_str(flood->unit)), ERR_OK);
    }
    assert_int_equal(bytes_put(ret_input, slice_from_str(flood->end)), ERR_OK);
}

static void refuses_floods_within_bounded_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        struct bytes input;
        build_flood(&floods[i], &input);
        struct trace trace;
        run_every_split(&trace, bytes_slice(&input), floods[i].what);
        assert_refused(&trace, floods[i].status, floods[i].text, floods[i].what);
        assert_true(trace.arena.used_bytes <= (size_t)256 * 1024);
        trace_done(&trace);
        bytes_done(&input);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_floods_within_bounded_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
