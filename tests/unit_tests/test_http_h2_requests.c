/*
 * Requests of HTTP/2 as a table: what is taken, what is malformed and costs its stream alone, what
 * is answered with a status, and what ends the connection. Each in every split of its bytes.
 */
#include "unit_tests/h2_splits.h"

/* After each a sound request on the next stream shows that the connection lives. */
static void put_sound(struct bytes *in, int32_t id)
{
    frames_put_head(in, FLAG_END_STREAM, id, SLICE(GET_LINES("/sound")));
}

/* Once more, with the output kept to look at. */
static void keep_output(struct trace *trace, struct slice input)
{
    struct h2_options options = H2_OPTIONS_DEFAULT;
    assert_true(trace_init(trace, &options));
    bytes_done(&trace->out);
    bytes_init(&trace->out, (size_t)16 * 1024 * 1024);
    trace_feed(trace, input);
    while (h2_wants_write(trace->h2)) {
        assert_int_equal(h2_write(trace->h2, &trace->out, SIZE_MAX), ERR_OK);
    }
    trace_feed(trace, SLICE(""));
}

static void takes_good_requests(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        const char *said;
    } cases[] = {
        {GET_LINES("/a?b=c?d"), "  path /a\n  query b=c?d\n  field host\n     is localhost:8080\n"},
        {GET_LINES("/a?"), "  path /a\n  query \n"},
        {GET_LINES("/a"), "  path /a\n  query (none)\n"},
        {":method: OPTIONS\n:scheme: http\n:path: *\n:authority: a\n", "  path *\n"},
        {":method: GET\n:scheme: https\n:path: /\nhost: h\n", "  field host\n     is h\n"},
        {GET_LINES("/") "host: localhost:8080\n", "  field host\n     is localhost:8080\n  length"},
        {GET_LINES("/") "te: trailers\n", "  field te\n     is trailers\n"},
        {GET_LINES("/") "cookie: a=1\nx: y\ncookie: b=2\ncookie: c=3\n",
         "  field cookie\n     is a=1; b=2; c=3\n  field x\n     is y\n  length"},
        {GET_LINES("/") "cookie: \ncookie: \n", "  field cookie\n     is \n  length"},
        {GET_LINES("/") "cookie: a\ncookie: \ncookie: b\ncookie: \n", "     is a; b\n  length"},
        {GET_LINES("/") "cookie: a=1\n", "  field cookie\n     is a=1\n"},
        {GET_LINES("/") "x: \xc3\xa9\n", "  field x\n     is \xc3\xa9\n"},
        {":method: BREW\n:scheme: http\n:path: /\n:authority: a\n", "  method BREW\n"},
        {GET_LINES("/") "priority: u=0, i\n", "  field priority\n"},
        {GET_LINES("/") "content-length: 0\n", "  length 0, expects continue 0\n"},
        {GET_LINES("/") "expect: 100-continue\n", "  length 0, expects continue 0\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes in;
        struct trace trace;
        bytes_init(&in, (size_t)1024 * 1024);
        frames_put_preface(&in);
        frames_put_head(&in, FLAG_END_STREAM, 1, slice_from_str(cases[i].lines));
        run_every_split(&trace, bytes_slice(&in), cases[i].lines);
        assert_said(&trace, cases[i].said, cases[i].lines);
        assert_int_equal(trace.ended, 1);
        assert_int_equal(trace.reset, 0);
        trace_done(&trace);
        bytes_done(&in);
    }
}

static void takes_bodies(void **state)
{
    (void)state;
    struct bytes in;
    struct trace trace;
    bytes_init(&in, (size_t)1024 * 1024);
    frames_put_preface(&in);
    frames_put_head(&in, 0, 1, SLICE(POST_LINES("/a") "content-length: 10\n"));
    frames_put_head(&in, 0, 3, SLICE(POST_LINES("/b") "expect: 100-continue\n"));
    frames_put_frame(&in, FRAME_DATA, 0, 1, SLICE("hello"));
    frames_put_frame(&in, FRAME_DATA, FLAG_PADDED, 3, SLICE("\x03second\0\0\0"));
    frames_put_frame(&in, FRAME_DATA, FLAG_END_STREAM, 1, SLICE("world"));
    frames_put_head(&in, FLAG_END_STREAM, 3, SLICE("x-trailer: dropped\n"));
    run_every_split(&trace, bytes_slice(&in), "bodies");
    assert_said(&trace, "1 end\n  body helloworld\n", "bodies");
    assert_said(&trace, "  length 10, expects continue 0\n", "bodies");
    assert_said(&trace, "3 end\n  body second\n", "bodies");
    assert_said(&trace, "  length 18446744073709551615, expects continue 1\n", "bodies");
    assert_null(memmem(trace.text.ptr, bytes_len(&trace.text), "dropped", 7));
    assert_int_equal(trace.ended, 2);
    trace_done(&trace);
    bytes_done(&in);
}

/* RFC 9113 section 8.1.1: RST_STREAM with PROTOCOL_ERROR; the connection lives on. */
static void resets_malformed_requests(void **state)
{
    (void)state;
    static const char *const cases[] = {
        ":scheme: http\n:path: /\n:authority: a\n",
        ":method: GET\n:path: /\n:authority: a\n",
        ":method: GET\n:scheme: http\n:authority: a\n",
        ":method: GET\n:scheme: http\n:path: /\n",
        GET_LINES("/") ":method: POST\n",
        GET_LINES("/") "x: y\n:path: /\n",
        GET_LINES("/") ":status: 200\n",
        GET_LINES("/") ":protocol: websocket\n",
        GET_LINES("") "x: y\n",
        GET_LINES("a") "x: y\n",
        GET_LINES("http://a/") "x: y\n",
        GET_LINES("*") "x: y\n",
        GET_LINES("/a b"),
        GET_LINES("/") "Upper: case\n",
        GET_LINES("/") "sp ace: x\n",
        GET_LINES("/") "x: a\rb\n",
        GET_LINES("/") "x:  leading\n",
        GET_LINES("/") "x: trailing \n",
        GET_LINES("/") "connection: close\n",
        GET_LINES("/") "keep-alive: 1\n",
        GET_LINES("/") "proxy-connection: close\n",
        GET_LINES("/") "transfer-encoding: chunked\n",
        GET_LINES("/") "upgrade: h2c\n",
        GET_LINES("/") "te: gzip\n",
        GET_LINES("/") "host: elsewhere\n",
        ":method: GET\n:scheme: http\n:path: /\nhost: a\nhost: a\n",
        ":method: GET\n:scheme: http\n:path: /\n:authority: user@a\n",
        ":method: GET\n:scheme: http\n:path: /\n:authority: a b\n",
        ":method: G T\n:scheme: http\n:path: /\n:authority: a\n",
        ":method: CONNECT\n:scheme: http\n:path: /\n:authority: a\n",
        GET_LINES("/") "content-length: x\n",
        GET_LINES("/") "content-length: -1\n",
        GET_LINES("/") "content-length: 1\n",
        GET_LINES("/") "content-length: 0\ncontent-length: 0\n",
        GET_LINES("/") "content-length: 99999999999999999999\n",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes in;
        struct trace trace;
        bytes_init(&in, (size_t)1024 * 1024);
        frames_put_preface(&in);
        frames_put_head(&in, FLAG_END_STREAM, 1, slice_from_str(cases[i]));
        put_sound(&in, 3);
        run_every_split(&trace, bytes_slice(&in), cases[i]);
        if (trace.heads != 1 || trace.ended != 1 || trace.reset != 1 || trace.result != H2_OK) {
            fail_msg("%s\nheads %u, ended %u, reset %u:\n%.*s", cases[i], trace.heads, trace.ended,
                     trace.reset, SLICE_FMT(slice_head(bytes_slice(&trace.text), 4000)));
        }
        assert_said(&trace, "3 end\n", cases[i]);
        trace_done(&trace);
        keep_output(&trace, bytes_slice(&in));
        assert_int_equal(reset_code(&trace, 1), H2_PROTOCOL_ERROR);
        assert_int_equal(goaway_code(&trace), -1);
        trace_done(&trace);
        bytes_done(&in);
    }
}

static void resets_bodies_of_the_wrong_length(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        unsigned flags;
    } cases[] = {{"four", FLAG_END_STREAM}, {"sixsix", 0}};
    for (size_t i = 0; i < 2; i++) {
        struct bytes in;
        struct trace trace;
        bytes_init(&in, (size_t)1024 * 1024);
        frames_put_preface(&in);
        frames_put_head(&in, 0, 1, SLICE(POST_LINES("/") "content-length: 5\n"));
        frames_put_frame(&in, FRAME_DATA, cases[i].flags, 1, slice_from_str(cases[i].body));
        put_sound(&in, 3);
        run_every_split(&trace, bytes_slice(&in), cases[i].body);
        assert_int_equal(trace.heads, 2);
        assert_int_equal(trace.ended, 1);
        assert_int_equal(trace.reset, 1);
        trace_done(&trace);
        bytes_done(&in);
    }
}

static void put_many_fields(struct bytes *block, size_t count, size_t value_bytes)
{
    static char value[H2_MAX_HEAD_BYTES];
    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < count; i++) {
        frames_put_field(block, SLICE("x"), slice_make(value, value_bytes));
    }
}

/* Sound HTTP/2, but nothing that is served: a status, and the connection lives on. */
static void refuses_with_a_status(void **state)
{
    (void)state;
    static char long_target[H1_MAX_TARGET_BYTES + 64];
    memset(long_target, '/', sizeof(long_target) - 1);
    static const struct {
        const char *lines;
        size_t fields;
        size_t value_bytes;
        int status;
    } cases[] = {
        {":method: CONNECT\n:authority: a:1\n", 0, 0, 501},
        {":method: GET\n:scheme: ftp\n:path: /\n:authority: a\n", 0, 0, 400},
        {GET_LINES("/a#b"), 0, 0, 400},
        {GET_LINES("/") "expect: the-unexpected\n", 0, 0, 417},
        {GET_LINES("/") "expect: 100-continue\n", H2_MAX_FIELDS, 1, 431},
        {GET_LINES("/"), H2_MAX_FIELDS + 1, 1, 431},
        {GET_LINES("/"), 1, H2_MAX_HEAD_BYTES - 100, 431},
        {GET_LINES("/"), 13, 10000, 431},
        {":method: GET\n:scheme: http\n:authority: a\n", 0, 1, 414},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes in;
        struct bytes block;
        struct trace trace;
        bytes_init(&in, (size_t)1024 * 1024);
        bytes_init(&block, (size_t)1024 * 1024);
        frames_put_preface(&in);
        if (cases[i].status == 414) {
            frames_put_field(&block, SLICE(":path"), slice_from_str(long_target));
        }
        frames_put_fields(&block, slice_from_str(cases[i].lines));
        put_many_fields(&block, cases[i].fields, cases[i].value_bytes);
        frames_put_block(&in, FLAG_END_STREAM, 1, bytes_slice(&block));
        put_sound(&in, 3);
        run_every_split(&trace, bytes_slice(&in), cases[i].lines);
        assert_int_equal(trace.refuse_status, cases[i].status);
        assert_int_equal(trace.refused, 1);
        assert_int_equal(trace.heads, 1);
        assert_int_equal(trace.reset, 0);
        assert_said(&trace, "3 end\n", cases[i].lines);
        trace_done(&trace);
        bytes_done(&block);
        bytes_done(&in);
    }
}

static void takes_what_is_within_the_limits(void **state)
{
    (void)state;
    static char long_target[H1_MAX_TARGET_BYTES + 1];
    memset(long_target, '/', sizeof(long_target) - 1);
    struct bytes in;
    struct bytes block;
    struct trace trace;
    bytes_init(&in, (size_t)1024 * 1024);
    bytes_init(&block, (size_t)1024 * 1024);
    frames_put_preface(&in);
    frames_put_field(&block, SLICE(":path"), slice_from_str(long_target));
    frames_put_fields(&block, SLICE(":method: GET\n:scheme: http\n:authority: a\n"));
    put_many_fields(&block, H2_MAX_FIELDS - 1, 380);
    frames_put_block(&in, FLAG_END_STREAM, 1, bytes_slice(&block));
    run_every_split(&trace, bytes_slice(&in), "limits");
    assert_int_equal(trace.ended, 1);
    trace_done(&trace);
    bytes_done(&block);
    bytes_done(&in);
}

/* Too many trailers come after the head was accepted: no status any more. */
static void resets_too_large_trailers(void **state)
{
    (void)state;
    struct bytes in;
    struct bytes block;
    struct trace trace;
    bytes_init(&in, (size_t)1024 * 1024);
    bytes_init(&block, (size_t)1024 * 1024);
    frames_put_preface(&in);
    frames_put_head(&in, 0, 1, SLICE(POST_LINES("/")));
    put_many_fields(&block, H2_MAX_FIELDS + 1, 1);
    frames_put_block(&in, FLAG_END_STREAM, 1, bytes_slice(&block));
    put_sound(&in, 3);
    run_every_split(&trace, bytes_slice(&in), "trailers");
    assert_int_equal(trace.heads, 2);
    assert_int_equal(trace.ended, 1);
    assert_int_equal(trace.reset, 1);
    trace_done(&trace);
    bytes_done(&block);
    bytes_done(&in);
}

/* What RFC 9113 calls a connection error. */
static void ends_broken_connections(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        unsigned flags;
        int32_t id;
        struct slice payload;
        int64_t code;
    } cases[] = {
        {FRAME_DATA, 0, 0, {"x", 1}, H2_PROTOCOL_ERROR},
        {FRAME_DATA, 0, 5, {"x", 1}, H2_PROTOCOL_ERROR},
        {FRAME_DATA, FLAG_PADDED, 1, {"\x09x", 2}, H2_PROTOCOL_ERROR},
        {FRAME_HEADERS, FLAG_END_HEADERS, 2, {"\x82", 1}, H2_PROTOCOL_ERROR},
        {FRAME_HEADERS, FLAG_END_HEADERS, 0, {"\x82", 1}, H2_PROTOCOL_ERROR},
        {FRAME_HEADERS, FLAG_END_HEADERS, 3, {"\xff\xff\xff\xff\xff", 5}, 9},
        {FRAME_SETTINGS, 0, 0, {"x", 1}, 6},
        {FRAME_SETTINGS, 0, 1, {"", 0}, H2_PROTOCOL_ERROR},
        {FRAME_SETTINGS, 0, 0, {"\0\4\xff\xff\xff\xff", 6}, 3},
        {FRAME_SETTINGS, FLAG_ACK, 0, {"\0\4\0\0\0\0", 6}, 6},
        {FRAME_PING, 0, 0, {"short", 5}, 6},
        {FRAME_PUSH_PROMISE, FLAG_END_HEADERS, 1, {"\0\0\0\2\x82", 5}, H2_PROTOCOL_ERROR},
        {FRAME_CONTINUATION, FLAG_END_HEADERS, 1, {"\x82", 1}, H2_PROTOCOL_ERROR},
        {FRAME_WINDOW_UPDATE, 0, 0, {"\0\0\0\0", 4}, H2_PROTOCOL_ERROR},
        {FRAME_WINDOW_UPDATE, 0, 0, {"\x7f\xff\xff\xff", 4}, 3},
        {FRAME_RST_STREAM, 0, 7, {"\0\0\0\0", 4}, H2_PROTOCOL_ERROR},
        {FRAME_GOAWAY, 0, 0, {"short", 5}, 6},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes in;
        struct trace trace;
        bytes_init(&in, (size_t)1024 * 1024);
        frames_put_preface(&in);
        frames_put_head(&in, 0, 1, SLICE(POST_LINES("/")));
        frames_put_frame(&in, cases[i].type, cases[i].flags, cases[i].id, cases[i].payload);
        put_sound(&in, 9);
        run_every_split(&trace, bytes_slice(&in), "broken");
        assert_int_equal(trace.result, H2_CLOSING);
        assert_int_equal(trace.error.code, ERR_INVALID);
        assert_true(h2_is_done(trace.h2));
        assert_int_equal(trace.ended, 0);
        trace_done(&trace);
        keep_output(&trace, bytes_slice(&in));
        if (goaway_code(&trace) != cases[i].code) {
            fail_msg("case %zu: GOAWAY with %lld", i, (long long)goaway_code(&trace));
        }
        trace_done(&trace);
        bytes_done(&in);
    }
}

static void ends_what_is_no_http2(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        struct trace trace;
        run_every_split(&trace, slice_from_str(cases[i]), cases[i]);
        assert_int_equal(trace.result, H2_CLOSING);
        assert_int_equal(trace.begun, 0);
        assert_true(h2_is_done(trace.h2));
        trace_done(&trace);
    }
}

/* Streams that the caller does not take, and streams past what SETTINGS allow. */
static void refuses_streams(void **state)
{
    (void)state;
    struct bytes in;
    struct trace trace;
    bytes_init(&in, (size_t)1024 * 1024);
    frames_put_preface(&in);
    for (int32_t i = 0; i < TRACE_STREAMS + 1; i++) {
        frames_put_head(&in, 0, 2 * i + 1, SLICE(POST_LINES("/")));
    }
    run_every_split(&trace, bytes_slice(&in), "refused");
    assert_int_equal(trace.begun, TRACE_STREAMS);
    assert_int_equal(trace.result, H2_OK);
    trace_done(&trace);
    keep_output(&trace, bytes_slice(&in));
    assert_int_equal(reset_code(&trace, 2 * TRACE_STREAMS + 1), H2_REFUSED_STREAM);
    assert_int_equal(reset_code(&trace, 2 * TRACE_STREAMS - 1), -1);
    trace_done(&trace);

    struct h2_options options = H2_OPTIONS_DEFAULT;
    options.max_concurrent_streams = 4;
    assert_true(trace_init(&trace, &options));
    trace.keeps_out = true;
    trace_feed(&trace, bytes_slice(&in));
    trace_write(&trace);
    assert_int_equal(trace.begun, 4);
    assert_int_equal(reset_code(&trace, 7), -1);
    assert_int_equal(reset_code(&trace, 9), H2_REFUSED_STREAM);
    trace_done(&trace);
    bytes_done(&in);
}

/* Every shape of request and answer on one connection. */
static void says_the_same_for_every_split(void **state)
{
    (void)state;
    struct bytes in;
    struct trace trace;
    bytes_init(&in, (size_t)1024 * 1024);
    frames_put_preface(&in);
    frames_put_head(&in, FLAG_END_STREAM, 1, SLICE(GET_LINES("/stream")));
    frames_put_head(&in, 0, 3, SLICE(POST_LINES("/early")));
    frames_put_head(&in, FLAG_END_STREAM, 5, SLICE(GET_LINES("/fail")));
    frames_put_frame(&in, FRAME_DATA, 0, 3, SLICE("not read"));
    frames_put_head(&in, FLAG_END_STREAM, 7, SLICE(GET_LINES("/big")));
    frames_put_head(&in, 0, 9, SLICE(POST_LINES("/reset")));
    frames_put_frame(&in, FRAME_PING, 0, 0, SLICE("12345678"));
    frames_put_frame(&in, FRAME_UNKNOWN, 0x55, 7, SLICE("whatever"));
    frames_put_head(&in, 0, 11, SLICE(POST_LINES("/") "content-length: 3\n"));
    frames_put_window(&in, 0, 100000);
    frames_put_window(&in, 7, 100000);
    frames_put_frame(&in, FRAME_DATA, FLAG_END_STREAM, 3, SLICE("nor this"));
    frames_put_frame(&in, FRAME_DATA, FLAG_END_STREAM, 11, SLICE("abc"));
    frames_put_head(&in, 0, 13, SLICE(POST_LINES("/")));
    frames_put_reset(&in, 13, H2_CANCEL);
    run_every_split(&trace, bytes_slice(&in), "all");
    assert_int_equal(trace.begun, 7);
    assert_int_equal(trace.ended, 4);
    assert_int_equal(trace.closed, 7);
    assert_int_equal(trace.reset, 3);
    trace_done(&trace);
    bytes_done(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_good_requests),
        cmocka_unit_test(takes_bodies),
        cmocka_unit_test(resets_malformed_requests),
        cmocka_unit_test(resets_bodies_of_the_wrong_length),
        cmocka_unit_test(refuses_with_a_status),
        cmocka_unit_test(takes_what_is_within_the_limits),
        cmocka_unit_test(resets_too_large_trailers),
        cmocka_unit_test(ends_broken_connections),
        cmocka_unit_test(ends_what_is_no_http2),
        cmocka_unit_test(refuses_streams),
        cmocka_unit_test(says_the_same_for_every_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
