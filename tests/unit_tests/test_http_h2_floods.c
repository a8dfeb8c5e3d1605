/*
 * Clients that make work or take memory on purpose: each is cut off after a bounded number of
 * frames, and what piles up meanwhile is bounded. Honest clients that do the same things in measure
 * are served.
 */
#include "http/h2_budget.h"
#include "http/h2_head.h"
#include "unit_tests/h2_splits.h"

/* One more frame, or some, of the kind. */
typedef void put_more(struct bytes *in, unsigned number);

static void put_ping(struct bytes *in, unsigned number)
{
    (void)number;
    frames_put_frame(in, FRAME_PING, 0, 0, SLICE("12345678"));
}

static void put_ping_ack(struct bytes *in, unsigned number)
{
    (void)number;
    frames_put_frame(in, FRAME_PING, FLAG_ACK, 0, SLICE("12345678"));
}

static void put_settings(struct bytes *in, unsigned number)
{
    (void)number;
    frames_put_frame(in, FRAME_SETTINGS, 0, 0, SLICE("\0\4\0\0\xff\xff"));
}

static void put_priority(struct bytes *in, unsigned number)
{
    frames_put_frame(in, FRAME_PRIORITY, 0, (int32_t)(2 * (number % 1000) + 3),
                     SLICE("\0\0\0\0\1"));
}

static void put_unknown(struct bytes *in, unsigned number)
{
    (void)number;
    frames_put_frame(in, FRAME_UNKNOWN, 0, 0, SLICE(""));
}

static void put_priority_update(struct bytes *in, unsigned number)
{
    (void)number;
    frames_put_frame(in, 0x10, 0, 0, SLICE("\0\0\0\1u=0"));
}

static void put_empty_data(struct bytes *in, unsigned number)
{
    (void)number;
    frames_put_frame(in, FRAME_DATA, 0, 1, SLICE(""));
}

static void put_padding(struct bytes *in, unsigned number)
{
    (void)number;
    frames_put_frame(in, FRAME_DATA, FLAG_PADDED, 1, SLICE("\3\0\0\0"));
}

static void put_small_window(struct bytes *in, unsigned number)
{
    (void)number;
    frames_put_window(in, 1, 1);
}

static int32_t next_stream(unsigned number)
{
    return (int32_t)(2 * number + 3);
}

static void put_rapid_reset(struct bytes *in, unsigned number)
{
    frames_put_head(in, FLAG_END_STREAM, next_stream(number), SLICE(GET_LINES("/")));
    frames_put_reset(in, next_stream(number), H2_CANCEL);
}

/* The server is made to reset streams by bodies longer than they were said to be. */
static void put_made_to_reset(struct bytes *in, unsigned number)
{
    frames_put_head(in, 0, next_stream(number), SLICE(POST_LINES("/") "content-length: 1\n"));
    frames_put_frame(in, FRAME_DATA, 0, next_stream(number), SLICE("22"));
}

static void put_malformed(struct bytes *in, unsigned number)
{
    frames_put_head(in, FLAG_END_STREAM, next_stream(number), SLICE(GET_LINES("/") "A: b\n"));
}

static void put_not_taken(struct bytes *in, unsigned number)
{
    if (number == 0) {
        for (int32_t i = 0; i < TRACE_STREAMS; i++) {
            frames_put_head(in, 0, 3 + 2 * i, SLICE(POST_LINES("/")));
        }
    }
    frames_put_head(in, 0, next_stream(number) + 2 * TRACE_STREAMS, SLICE(POST_LINES("/")));
}

static void put_reset_of_closed(struct bytes *in, unsigned number)
{
    (void)number;
    frames_put_reset(in, 1, H2_CANCEL);
}

/* Until the engine has had enough; returns after how many. Output is read, or it is not. */
static unsigned flood(struct trace *trace, put_more *put, bool reads, const char *what)
{
    struct h2_options options = H2_OPTIONS_DEFAULT;
    struct bytes in;
    unsigned number = 0;
    bytes_init(&in, (size_t)1024 * 1024);
    assert_true(trace_init(trace, &options));
    trace->keeps_out = true; /* the last of it, to look at */
    frames_put_preface(&in);
    frames_put_head(&in, 0, 1, SLICE(POST_LINES("/")));
    while (trace->result == H2_OK && number < 10 * H2_BUDGET_MAX) {
        put(&in, number++);
        trace_feed(trace, bytes_slice(&in));
        bytes_reset(&in, (size_t)1024 * 1024);
        if (reads && trace->result == H2_OK) {
            bytes_reset(&trace->out, TRACE_OUT_MAX);
            trace_write(trace);
        }
    }
    bytes_done(&in);
    if (trace->result == H2_OK) { /* newer versions of nghttp2 have limits of their own */
        trace_write(trace);
        trace_feed(trace, SLICE(""));
    }
    if (trace->result != H2_CLOSING) {
        fail_msg("%s go on for ever", what);
    }
    assert_int_equal(trace->error.code, ERR_INVALID);
    while (!h2_is_done(trace->h2)) { /* which leaves less than it had to start with */
        assert_int_equal(h2_write(trace->h2, &trace->out, TRACE_OUT_MAX - H2_WRITE_ROOM_BYTES),
                         ERR_OK);
    }
    return number;
}

static const struct {
    const char *what;
    put_more *put;
    unsigned cost;
} floods[] = {
    {"pings", put_ping, H2_COST_FRAME},
    {"answers to no ping", put_ping_ack, H2_COST_FRAME},
    {"settings", put_settings, H2_COST_SETTINGS},
    {"priorities", put_priority, H2_COST_FRAME},
    {"unknown frames", put_unknown, H2_COST_FRAME},
    {"priority updates", put_priority_update, H2_COST_FRAME},
    {"empty data", put_empty_data, H2_COST_FRAME},
    {"padding", put_padding, H2_COST_FRAME},
    {"small windows", put_small_window, H2_COST_SMALL_WINDOW},
    {"rapid resets", put_rapid_reset, H2_COST_STREAM},
    {"provoked resets", put_made_to_reset, H2_COST_STREAM},
    {"malformed requests", put_malformed, H2_COST_STREAM},
    {"resets of a closed stream", put_reset_of_closed, H2_COST_STREAM},
};

static void cuts_off_floods(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        struct trace trace;
        unsigned count = flood(&trace, floods[i].put, true, floods[i].what);
        /* A frame that is an error may cost twice; the first SETTINGS are counted too. */
        if (count > H2_BUDGET_MAX / floods[i].cost || count < H2_BUDGET_MAX / floods[i].cost / 3) {
            fail_msg("%s: cut off after %u", floods[i].what, count);
        }
        assert_int_equal(goaway_code(&trace), H2_ENHANCE_YOUR_CALM);
        trace_done(&trace);
    }
}

/* Each is refused for what others do: its client may try again as often as it likes. */
static void bears_who_is_not_taken_and_tries_again(void **state)
{
    (void)state;
    struct h2_options options = H2_OPTIONS_DEFAULT;
    struct trace trace;
    struct bytes in;
    bytes_init(&in, (size_t)1024 * 1024);
    assert_true(trace_init(&trace, &options));
    frames_put_preface(&in);
    frames_put_head(&in, 0, 1, SLICE(POST_LINES("/")));
    for (unsigned i = 0; i < 2 * H2_BUDGET_MAX; i++) {
        put_not_taken(&in, i);
        trace_feed(&trace, bytes_slice(&in));
        bytes_reset(&in, (size_t)1024 * 1024);
        trace_write(&trace);
    }
    assert_int_equal(trace.result, H2_OK);
    assert_int_equal(trace.begun, TRACE_STREAMS);
    frames_put_frame(&in, FRAME_DATA, FLAG_END_STREAM, 1, SLICE(""));
    trace_feed(&trace, bytes_slice(&in));
    trace_write(&trace);
    assert_int_equal(trace.ended, 1);
    assert_int_equal(trace.closed, 1);
    trace_done(&trace);
    bytes_done(&in);

    /* What it does not read of the refusals stays small. */
    unsigned count = flood(&trace, put_not_taken, false, "streams that are not taken");
    assert_true(count <= H2_BUDGET_MAX);
    assert_int_equal(h2_stream_count(trace.h2), TRACE_STREAMS);
    trace_done(&trace);
}

/* Whose output is not read: what waits for it stays small. */
static void cuts_off_floods_of_who_does_not_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        struct trace trace;
        unsigned count = flood(&trace, floods[i].put, false, floods[i].what);
        /* Streams whose RST_STREAM is not read stay open; past them others are refused for nothing. */
        assert_true(count <= H2_BUDGET_MAX);
        assert_true(h2_stream_count(trace.h2) <= TRACE_STREAMS);
        trace_done(&trace);
    }
}

/* Who reads no credit gets none: the window that stands open is all that can be sent. */
static void cuts_off_uploads_of_who_does_not_read(void **state)
{
    (void)state;
    static char data[H2_MAX_DATA_BYTES];
    struct h2_options options = H2_OPTIONS_DEFAULT;
    struct trace trace;
    struct bytes in;
    bytes_init(&in, (size_t)64 * 1024 * 1024);
    assert_true(trace_init(&trace, &options));
    frames_put_preface(&in);
    frames_put_head(&in, 0, 1, SLICE(POST_LINES("/")));
    while (bytes_len(&in) < 3 * (size_t)H2_CONNECTION_WINDOW_BYTES) {
        frames_put_frame(&in, FRAME_DATA, 0, 1, slice_make(data, sizeof(data)));
    }
    uint64_t before = mem_allocations();
    trace_feed(&trace, bytes_slice(&in));
    assert_true(mem_allocations() - before < 200);
    assert_true(bytes_len(&trace.streams[0].body) <= 3 * (size_t)H2_STREAM_WINDOW_BYTES);
    trace_write(&trace);
    trace_feed(&trace, SLICE(""));
    assert_int_equal(trace.result, H2_CLOSING);
    assert_true(h2_is_done(trace.h2));
    trace_done(&trace);
    bytes_done(&in);
}

static void serves_who_cancels_and_pings_in_measure(void **state)
{
    (void)state;
    struct h2_options options = H2_OPTIONS_DEFAULT;
    struct trace trace;
    struct bytes in;
    bytes_init(&in, (size_t)1024 * 1024);
    assert_true(trace_init(&trace, &options));
    frames_put_preface(&in);
    for (int32_t i = 0; i < 10000; i++) {
        frames_put_head(&in, FLAG_END_STREAM, 6 * i + 1, SLICE(GET_LINES("/")));
        frames_put_head(&in, 0, 6 * i + 3, SLICE(POST_LINES("/")));
        frames_put_reset(&in, 6 * i + 3, H2_CANCEL);
        frames_put_head(&in, 0, 6 * i + 5, SLICE(POST_LINES("/")));
        frames_put_reset(&in, 6 * i + 5, H2_CANCEL);
        frames_put_frame(&in, FRAME_PING, 0, 0, SLICE("12345678"));
        frames_put_window(&in, 0, 2);
        trace_feed(&trace, bytes_slice(&in));
        trace_write(&trace);
        bytes_reset(&in, (size_t)1024 * 1024);
        bytes_reset(&trace.text, 0);
    }
    assert_int_equal(trace.result, H2_OK);
    assert_int_equal(trace.ended, 10000);
    trace_done(&trace);
    bytes_done(&in);
}

/* Three times as many requests as there may be streams, and all are cancelled. */
static void serves_whose_deadlines_pass(void **state)
{
    (void)state;
    struct bytes in;
    struct trace trace;
    struct h2_options options = H2_OPTIONS_DEFAULT;
    bytes_init(&in, (size_t)1024 * 1024);
    assert_true(trace_init(&trace, &options));
    frames_put_preface(&in);
    int32_t id = 1;
    for (int round = 0; round < H2_MAX_CONCURRENT_STREAMS / TRACE_STREAMS * 3; round++) {
        for (int i = 0; i < TRACE_STREAMS; i++) {
            frames_put_head(&in, 0, id + 2 * i, SLICE(POST_LINES("/")));
        }
        for (int i = 0; i < TRACE_STREAMS; i++) {
            frames_put_reset(&in, id + 2 * i, H2_CANCEL);
        }
        id += 2 * TRACE_STREAMS;
    }
    trace_feed(&trace, bytes_slice(&in));
    trace_write(&trace);
    assert_int_equal(trace.result, H2_OK);
    assert_int_equal(trace.reset, H2_MAX_CONCURRENT_STREAMS * 3);
    trace_done(&trace);
    bytes_done(&in);
}

/* A head that never ends, empty or not, of a stream that is served or one that is ignored. */
static void cuts_off_continuations(void **state)
{
    (void)state;
    static const char *const parts[] = {"", "\x82", "\0\1x\1y"};
    static const size_t sizes[] = {0, 1, 5};
    for (size_t i = 0; i < 6; i++) {
        struct bytes in;
        struct trace trace;
        struct slice part = slice_make(parts[i % 3], sizes[i % 3]);
        bytes_init(&in, (size_t)1024 * 1024);
        frames_put_preface(&in);
        if (i >= 3) {
            frames_put_head(&in, FLAG_END_STREAM, 1, SLICE(GET_LINES("/reset")));
        }
        frames_put_frame(&in, FRAME_HEADERS, 0, 1, SLICE(""));
        for (int k = 0; k < 9; k++) {
            frames_put_frame(&in, FRAME_CONTINUATION, 0, 1, part);
        }
        run_every_split(&trace, bytes_slice(&in), "continuations");
        assert_int_equal(trace.result, H2_CLOSING);
        trace_done(&trace);
        bytes_done(&in);
    }
}

/*
 * RFC 7541: a field of 4,000 bytes is put into the dynamic table once, and then named by one byte
 * again and again. 431 as long as it is within reason, the end of the connection after that.
 */
static void bears_no_hpack_bomb(void **state)
{
    (void)state;
    static const struct {
        size_t repeats;
        bool ends;
    } cases[] = {{20, false},
                 {H2_MAX_HEAD_BYTES * H2_HEAD_FLOOD_FACTOR / 4033 - 2, false},
                 {H2_MAX_HEAD_BYTES * H2_HEAD_FLOOD_FACTOR / 4033 + 2, true},
                 {100000, true}};
    static char value[4000];
    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < 4; i++) {
        struct bytes in;
        struct bytes block;
        struct trace trace;
        struct h2_options options = H2_OPTIONS_DEFAULT;
        bytes_init(&in, (size_t)1024 * 1024);
        bytes_init(&block, (size_t)1024 * 1024);
        frames_put_preface(&in);
        frames_put_fields(&block, SLICE(GET_LINES("/")));
        frames_put(&block, SLICE("\x40\1x")); /* a literal that is indexed: entry 62 */
        frames_put_integer(&block, sizeof(value));
        frames_put(&block, slice_make(value, sizeof(value)));
        for (size_t k = 0; k < cases[i].repeats; k++) {
            frames_put(&block, SLICE("\xbe"));
        }
        frames_put_block(&in, FLAG_END_STREAM, 1, bytes_slice(&block));
        assert_true(trace_init(&trace, &options));
        uint64_t before = mem_allocations();
        trace_feed(&trace, bytes_slice(&in));
        assert_true(mem_allocations() - before < 200);
        trace_write(&trace);
        assert_int_equal(trace.result, cases[i].ends ? H2_CLOSING : H2_OK);
        assert_int_equal(trace.refuse_status, cases[i].ends ? 0 : 431);
        trace_done(&trace);
        bytes_done(&block);
        bytes_done(&in);
    }
}

/* All streams ask for large answers and no window is ever opened: nothing is pulled. */
static void keeps_nothing_for_stalled_clients(void **state)
{
    (void)state;
    struct bytes in;
    struct trace trace;
    struct h2_options options = H2_OPTIONS_DEFAULT;
    bytes_init(&in, (size_t)1024 * 1024);
    assert_true(trace_init(&trace, &options));
    trace.keeps_out = true;
    frames_put(&in, SLICE(H2_PREFACE));
    frames_put_frame(&in, FRAME_SETTINGS, 0, 0, SLICE("\0\4\0\0\0\0")); /* windows of 0 */
    for (int32_t i = 0; i < TRACE_STREAMS; i++) {
        frames_put_head(&in, FLAG_END_STREAM, 2 * i + 1, SLICE(GET_LINES("/big")));
    }
    trace_feed(&trace, bytes_slice(&in));
    trace_write(&trace);
    assert_int_equal(h2_stream_count(trace.h2), TRACE_STREAMS);
    assert_false(h2_wants_write(trace.h2));
    assert_true(bytes_len(&trace.out) < 2048); /* heads, that is */
    for (size_t i = 0; i < TRACE_STREAMS; i++) {
        assert_int_equal(trace.streams[i].whole.rest.len, TRACE_BIG_BYTES);
    }
    trace_done(&trace);
    bytes_done(&in);
}

static void keeps_its_budget(void **state)
{
    (void)state;
    struct h2_budget budget;
    h2_budget_init(&budget);
    h2_budget_earn(&budget, H2_GAIN_ANSWER);
    assert_int_equal(budget.left, H2_BUDGET_MAX);
    assert_true(h2_budget_spend(&budget, H2_COST_SETTINGS));
    h2_budget_earn(&budget, H2_GAIN_ANSWER);
    assert_int_equal(budget.left, H2_BUDGET_MAX);
    for (unsigned i = 1; i < H2_BUDGET_MAX; i++) {
        assert_true(h2_budget_spend(&budget, H2_COST_FRAME));
    }
    assert_false(h2_budget_spend(&budget, H2_COST_FRAME));
    assert_false(h2_budget_spend(&budget, H2_COST_SETTINGS));
    assert_int_equal(budget.left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_off_floods),
        cmocka_unit_test(bears_who_is_not_taken_and_tries_again),
        cmocka_unit_test(cuts_off_floods_of_who_does_not_read),
        cmocka_unit_test(cuts_off_uploads_of_who_does_not_read),
        cmocka_unit_test(serves_who_cancels_and_pings_in_measure),
        cmocka_unit_test(serves_whose_deadlines_pass),
        cmocka_unit_test(cuts_off_continuations),
        cmocka_unit_test(bears_no_hpack_bomb),
        cmocka_unit_test(keeps_nothing_for_stalled_clients),
        cmocka_unit_test(keeps_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
