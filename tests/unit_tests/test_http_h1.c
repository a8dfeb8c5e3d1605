/*
 * The HTTP/1.1 engine on requests it takes: what they say, where they end, whether the connection
 * lives on, what early stops and missing memory do. All tables run in every delivery.
 */
#include "unit_tests/h1_splits.h"

#define NEXT "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

struct good {
    const char *section; /* of RFC 9112 */
    const char *what;
    struct slice input;
    unsigned requests;
    const char *expected[5]; /* parts of the trace */
};

#define GOOD(section, what, input, requests, ...)                                                  \
    {                                                                                              \
        section, what, {input, sizeof(input) - 1}, requests,                                       \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct good goods[] = {
    GOOD("2", "the smallest request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1,
         "method GET\ntarget /\npath /\nquery (none)\nfield Host\n  is a\nlength 0\n",
         "body \nend after 0\nkeeps alive 1\n", "result done\nconsumed 27\n"),
    GOOD("2.2", "empty lines before the request", "\r\n\r\n\r\n\r\n" NEXT, 1, "path /next\n"),
    GOOD("2.2", "an empty line after a body, as old clients send it",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n" NEXT, 2,
         "body hi\nend after 2\n", "path /next\n"),
    GOOD("3.2.1", "a query", "GET /a/b%20c?d=e&f?g HTTP/1.1\r\nHost: a\r\n\r\n", 1,
         "target /a/b%20c?d=e&f?g\npath /a/b%20c\nquery d=e&f?g\n"),
    GOOD("3.2.1", "an empty query", "GET /a? HTTP/1.1\r\nHost: a\r\n\r\n", 1, "path /a\nquery \n"),
    GOOD("3.2.1", "printable characters that RFC 3986 would escape",
         "GET /a\"<>\\^`{|}[] HTTP/1.1\r\nHost: a\r\n\r\n", 1, "path /a\"<>\\^`{|}[]\n"),
    GOOD("3.2.2", "an absolute target", "GET http://b.example:8080/c?d HTTP/1.1\r\nHost: a\r\n\r\n",
         1, "target http://b.example:8080/c?d\npath /c\nquery d\n", "field Host\n  is a\n"),
    GOOD("3.2.2", "an absolute target without a path", "GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n",
         1, "path /\nquery (none)\n"),
    GOOD("3.2.2", "an absolute target with a query alone",
         "GET http://b?c=/ HTTP/1.1\r\nHost: a\r\n\r\n", 1, "path /\nquery c=/\n"),
    GOOD("3.2.4", "OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 1,
         "target *\npath *\nquery (none)\n"),
    GOOD("3.2", "a Host with a port", "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", 1,
         "  is localhost:8080\n"),
    GOOD("3.2", "an IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 1,
         "  is [::1]:8080\n"),
    GOOD("3.2", "HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 1, "keeps alive 0\n"),
    GOOD("5", "white space around values",
         "GET / HTTP/1.1\r\nHost:a\r\nB:\t c d \t\r\nE:\r\nF: \t\r\n\r\n", 1,
         "field Host\n  is a\n", "field B\n  is c d\n", "field E\n  is \n", "field F\n  is \n"),
    GOOD("5", "bytes over 0x7f in a value", "GET / HTTP/1.1\r\nHost: a\r\nB: \xc3\xa4\xff\r\n\r\n",
         1, "  is \xc3\xa4\xff\n"),
    GOOD("5", "all characters of a token in a name",
         "GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n", 1,
         "field !#$%&'*+-.^_`|~09azAZ\n  is b\n"),
    GOOD("5", "repeated fields stay apart and in order",
         "GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\na: 2\r\n\r\n", 1,
         "field A\n  is 1\nfield Host\n  is a\nfield a\n  is 2\n"),
    GOOD("6.2", "a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 1,
         "length 5\nexpects continue 0\nbody hello\nend after 5\n", "result done\nconsumed 52\n"),
    GOOD("6.2", "zeros before a length",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005 \r\n\r\nhello", 1, "length 5\n",
         "body hello\nend after 5\n"),
    GOOD("6.2", "a length of zero", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 1,
         "length 0\n", "end after 0\n"),
    GOOD("6.2", "a body that looks like a request",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\n\r\n" NEXT "+" NEXT, 2,
         "end after 32\n", "path /next\n"),
    GOOD("6.2", "a body that a GET brings",
         "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" NEXT, 2,
         "body hi\nend after 2\n"),
    GOOD("6.2", "the largest length",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551614\r\n\r\nhello", 1,
         "length 18446744073709551614\n", "body hello", "result more\n"),
    GOOD("6.3", "neither length nor coding: no body", "POST / HTTP/1.1\r\nHost: a\r\n\r\n" NEXT, 2,
         "length 0\n", "path /next\n"),
    GOOD("7.1", "chunks",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "5\r\nhello\r\n1\r\n,\r\n000B\r\n two\r\nlines\r\n0\r\n\r\n" NEXT,
         2, "length 18446744073709551615\n", "body hello, two\r\nlines\nend after 17\n",
         "path /next\n"),
    GOOD("7.1", "Chunked in any case",
         "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:CHUNKED \r\n\r\n1\r\na\r\n0\r\n\r\n", 1,
         "body a\nend after 1\n"),
    GOOD("7.1", "no chunk but the last",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT, 2,
         "body \nend after 0\n", "path /next\n"),
    GOOD(
        "7.1", "the largest chunk",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nhello",
        1, "body hello", "result more\n"),
    GOOD("7.1", "zeros before a size",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "000000000000000000000000000001\r\na\r\n0\r\n\r\n",
         1, "body a\nend after 1\n"),
    GOOD("7.1.1", "chunk extensions are dropped",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "1;a;b=c;d=\"e;\\\" f\"\r\nx\r\n0;last\r\n\r\n" NEXT,
         2, "body x\nend after 1\n", "path /next\n"),
    GOOD("7.1.2", "trailers are dropped",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "1\r\nx\r\n0\r\nA: b\r\nConnection: close\r\nHost: c\r\nExpect: x\r\n\r\n" NEXT,
         2, "body x\nend after 1\nkeeps alive 1\n", "path /next\n"),
    GOOD("9.3", "Connection: close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 1,
         "keeps alive 0\n"),
    GOOD("9.3", "close in a list, in any case",
         "GET / HTTP/1.1\r\nHost: a\r\nConnection: x ,\tClOsE\r\n\r\n", 1, "keeps alive 0\n"),
    GOOD("9.3", "close in a second field",
         "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", 1,
         "keeps alive 0\n"),
    GOOD("9.3", "a name that holds close",
         "GET / HTTP/1.1\r\nHost: a\r\nConnection: closed, xclose\r\n\r\n", 1, "keeps alive 1\n"),
    GOOD("9.3", "an empty Connection", "GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\n\r\n", 1,
         "keeps alive 1\n"),
    GOOD("9.3", "HTTP/1.0 with a body", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", 1,
         "body hi\n", "keeps alive 0\n"),
    GOOD("9.3", "HTTP/1.0 that stays", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" NEXT, 2,
         "keeps alive 1\n", "path /next\n"),
    GOOD("9.3", "HTTP/1.0 that cannot decide",
         "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 1, "keeps alive 0\n"),
    GOOD("9.3", "bytes after close are the caller's",
         "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" NEXT, 2, "keeps alive 0\n",
         "result done\nconsumed 46\n"),
    GOOD("9.3.2", "pipelining", NEXT NEXT NEXT, 3, "result done\nconsumed 31\n",
         "result done\nconsumed 62\n", "result done\nconsumed 93\n"),
    GOOD("10.1.1 of RFC 9110", "Expect",
         "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx", 1,
         "expects continue 1\n"),
    GOOD("10.1.1 of RFC 9110", "Expect before chunks",
         "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         1, "expects continue 1\n"),
    GOOD("10.1.1 of RFC 9110", "Expect without a body",
         "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", 1, "expects continue 0\n"),
    GOOD("10.1.1 of RFC 9110", "Expect in HTTP/1.0",
         "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", 1,
         "expects continue 0\n"),
    GOOD("7.8 of RFC 9110", "Upgrade is ignored",
         "GET /u HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" NEXT, 2,
         "path /u\n", "keeps alive 1\n", "path /next\n"),
    GOOD("7.8 of RFC 9110", "so is h2c",
         "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
         "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n" NEXT,
         2, "keeps alive 1\n", "path /next\n"),
    GOOD("7.8 of RFC 9110", "Upgrade with a body",
         "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: "
         "3\r\n\r\nabc" NEXT,
         2, "body abc\nend after 3\nkeeps alive 1\n", "path /next\n"),
    GOOD("7.8 of RFC 9110", "Upgrade with chunks",
         "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" NEXT,
         2, "body abc\nend after 3\nkeeps alive 1\n", "path /next\n"),
    GOOD("2.2", "an unfinished head", "GET / HTTP/1.1\r\nHost: a\r\n", 0,
         "result more\nconsumed 25\nidle 0\n"),
    GOOD("2.2", "empty lines alone leave the connection idle", "\r\n\r\n", 0,
         "result more\nconsumed 4\nidle 1\n"),
    GOOD("2.2", "one byte of a request does not", "G", 0, "result more\nconsumed 1\nidle 0\n"),
};

static void takes_good_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        const struct good *good = &goods[i];
        char what[256];
        snprintf(what, sizeof(what), "section %s, %s", good->section, good->what);
        struct trace trace;
        run_every_split(&trace, good->input, what);
        for (size_t k = 0; k < 5 && good->expected[k] != NULL; k++) {
            assert_contains(&trace, good->expected[k], what);
        }
        if (trace.requests != good->requests || trace.error_status != 0) {
            fail_msg("%s: %u requests, status %d", what, trace.requests, trace.error_status);
        }
        trace_done(&trace);
    }
}

static void repeat(struct bytes *out, const char *unit, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(bytes_put(out, slice_from_str(unit)), ERR_OK);
    }
}

/* What is just within a limit passes: `unit` is repeated `count` times between start and end. */
static const struct edge {
    const char *what;
    const char *start;
    const char *unit;
    size_t count;
    const char *end;
} edges[] = {
    {"the longest target", "OPTIONS /", "a", H1_MAX_TARGET_BYTES - 1,
     " HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"the most fields", "GET / HTTP/1.1\r\nHost: a\r\n", "A: b\r\n", H1_MAX_FIELDS - 1, "\r\n"},
    {"the longest head", "GET / HTTP/1.1\r\nHost: a\r\nA: ", "b",
     H1_MAX_HEAD_BYTES - 16 - 9 - 3 - 4, "\r\n\r\n"},
    {"the most trailers",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", "b",
     H1_MAX_TRAILER_BYTES - 3 - 2, "\r\n\r\n"},
    {"the longest extension",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=", "b",
     H1_MAX_TRAILER_BYTES - 3, "\r\nx\r\n0\r\n\r\n"},
};

static void takes_what_is_within_the_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        const struct edge *edge = &edges[i];
        struct bytes input;
        bytes_init(&input, (size_t)1024 * 1024);
        repeat(&input, edge->start, 1);
        repeat(&input, edge->unit, edge->count);
        repeat(&input, edge->end, 1);
        struct trace trace;
        run_every_split(&trace, bytes_slice(&input), edge->what);
        if (trace.ended != 1) {
            fail_msg("%s: status %d\n%.*s", edge->what, trace.error_status,
                     SLICE_FMT(bytes_slice(&trace.text)));
        }
        trace_done(&trace);
        bytes_done(&input);
    }
}

/* A body is passed on as it comes: neither memory nor time grows with its length. */
static void keeps_nothing_of_a_body(void **state)
{
    (void)state;
    struct trace trace;
    assert_true(trace_init(&trace, TEST_ARENA_BLOCK, TEST_ARENA_BLOCK));
    trace.quiet_body = true;
    h1_next(trace.h1, &trace.arena);
    struct error error;
    size_t consumed;
    struct slice head = SLICE("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4");
    assert_int_equal(h1_feed(trace.h1, head, &consumed, &error), H1_MORE);
    uint64_t before = mem_allocations();
    struct slice chunk = SLICE("\r\nbody\r\n4");
    for (size_t i = 0; i < 100000; i++) {
        for (size_t at = 0; at < chunk.len; at++) {
            struct slice piece = slice_make(chunk.ptr + at, 1);
            assert_int_equal(h1_feed(trace.h1, piece, &consumed, &error), H1_MORE);
        }
    }
    assert_int_equal(trace.body_bytes, 400000);
    assert_int_equal(mem_allocations(), before);
    trace_done(&trace);
}

static void takes_nothing_from_the_heap_once_warm(void **state)
{
    (void)state;
    struct trace trace;
    assert_true(trace_init(&trace, TEST_ARENA_BLOCK, TEST_ARENA_MAX));
    const struct slice input =
        SLICE("POST /invocations HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: test\r\n"
              "Accept: */*\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n[[1]]");
    uint64_t before = 0;
    for (int i = 0; i < 3; i++) {
        struct delivery whole = {delivery_next_whole, 0, 0};
        struct delivery bytewise = {delivery_next_byte, 0, 0};
        trace_run(&trace, input, &whole);
        trace_run(&trace, input, &bytewise);
        bytes_reset(&trace.text, SIZE_MAX);
        before = i == 0 ? mem_allocations() : before;
    }
    assert_int_equal(mem_allocations(), before);
    assert_int_equal(trace.ended, 6);
    trace_done(&trace);
}

static void stops_at_the_head(void **state)
{
    (void)state;
    const struct slice input =
        SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nx");
    for (size_t cut = 0; cut < input.len; cut++) {
        struct trace trace;
        assert_true(trace_init(&trace, TEST_ARENA_BLOCK, TEST_ARENA_MAX));
        trace.stop_at_head = true;
        trace_run(&trace, input, &(struct delivery){delivery_next_cut, cut, 0});
        assert_contains(&trace, "length 1000000000\n", "a stop at the head");
        assert_contains(&trace, "body result stopped\nidle 0\n", "a stop at the head");
        assert_false(h1_keeps_alive(trace.h1));
        trace_done(&trace);
    }
}

static void stops_in_a_body(void **state)
{
    (void)state;
    const char *heads[] = {"Content-Length: 100\r\n\r\n",
                           "Transfer-Encoding: chunked\r\n\r\n64\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct bytes input;
        bytes_init(&input, 4096);
        repeat(&input, "POST / HTTP/1.1\r\nHost: a\r\n", 1);
        repeat(&input, heads[i], 1);
        repeat(&input, "x", 100);
        struct trace trace;
        assert_true(trace_init(&trace, TEST_ARENA_BLOCK, TEST_ARENA_MAX));
        trace.stop_after = 10;
        trace_run(&trace, bytes_slice(&input), &(struct delivery){delivery_next_byte, 0, 0});
        assert_contains(&trace, "body xxxxxxxxxxresult stopped\n", "a stop in the body");
        assert_int_equal(trace.body_bytes, 10);
        assert_int_equal(trace.ended, 0);
        assert_false(h1_keeps_alive(trace.h1));
        trace_done(&trace);
        bytes_done(&input);
    }
}

/* A stop in the piece that ends the body is a stop all the same. */
static void stops_in_the_last_piece(void **state)
{
    (void)state;
    struct trace trace;
    assert_true(trace_init(&trace, TEST_ARENA_BLOCK, TEST_ARENA_MAX));
    trace.stop_after = 5;
    trace_run(&trace, SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
              &(struct delivery){delivery_next_whole, 0, 0});
    assert_contains(&trace, "body helloresult stopped\n", "a stop in the last piece");
    assert_int_equal(trace.ended, 0);
    trace_done(&trace);
}

static void says_the_same_again_when_over(void **state)
{
    (void)state;
    const struct {
        struct slice input;
        enum h1_result result;
    } cases[] = {
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), H1_DONE},
        {SLICE("GET / HTTP/3.0\r\nHost: a\r\n\r\n"), H1_ERROR},
    };
    for (size_t i = 0; i < 2; i++) {
        struct trace trace;
        assert_true(trace_init(&trace, TEST_ARENA_BLOCK, TEST_ARENA_MAX));
        h1_next(trace.h1, &trace.arena);
        struct error error;
        size_t consumed;
        assert_int_equal(h1_feed(trace.h1, cases[i].input, &consumed, &error), cases[i].result);
        assert_int_equal(h1_feed(trace.h1, cases[i].input, &consumed, &error), cases[i].result);
        assert_int_equal(consumed, 0);
        trace_done(&trace);
    }
}

static void knows_when_it_is_idle(void **state)
{
    (void)state;
    struct trace trace;
    assert_true(trace_init(&trace, TEST_ARENA_BLOCK, TEST_ARENA_MAX));
    h1_next(trace.h1, &trace.arena);
    struct error error;
    size_t consumed;
    assert_true(h1_is_idle(trace.h1));
    assert_false(h1_keeps_alive(trace.h1));
    assert_int_equal(h1_feed(trace.h1, SLICE(""), &consumed, &error), H1_MORE);
    assert_true(h1_is_idle(trace.h1));
    assert_int_equal(h1_feed(trace.h1, SLICE("G"), &consumed, &error), H1_MORE);
    assert_false(h1_is_idle(trace.h1));
    struct slice rest = SLICE("ET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(h1_feed(trace.h1, rest, &consumed, &error), H1_DONE);
    assert_false(h1_is_idle(trace.h1));
    assert_true(h1_keeps_alive(trace.h1));
    arena_reset(&trace.arena);
    h1_next(trace.h1, &trace.arena);
    assert_true(h1_is_idle(trace.h1));
    trace_done(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_good_requests),
        cmocka_unit_test(takes_what_is_within_the_limits),
        cmocka_unit_test(keeps_nothing_of_a_body),
        cmocka_unit_test(takes_nothing_from_the_heap_once_warm),
        cmocka_unit_test(stops_at_the_head),
        cmocka_unit_test(stops_in_a_body),
        cmocka_unit_test(stops_in_the_last_piece),
        cmocka_unit_test(says_the_same_again_when_over),
        cmocka_unit_test(knows_when_it_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
