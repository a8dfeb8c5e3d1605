/*
 * Missing memory: every allocation of a connection fails in turn, ours and nghttp2's, and arenas of
 * every size run out. Either all goes on as if nothing had been, or single streams are given up, or
 * the connection ends; every stream gets its last event, and nothing is left behind.
 */
#include "unit_tests/h2_splits.h"

static void put_all(struct bytes *in)
{
    frames_put_preface(in);
    frames_put_head(in, FLAG_END_STREAM, 1, SLICE(GET_LINES("/stream")));
    frames_put_head(in, 0, 3, SLICE(POST_LINES("/early")));
    frames_put_head(in, FLAG_END_STREAM, 5, SLICE(GET_LINES("/big")));
    frames_put_head(in, 0, 7, SLICE(POST_LINES("/") "expect: 100-continue\n"));
    frames_put_head(in, FLAG_END_STREAM, 9,
                    SLICE(GET_LINES("/c") "cookie: a\nf1: 1\nf2: 2\nf3: 3\nf4: 4\nf5: 5\nf6: 6\n"
                                          "f7: 7\nf8: 8\nf9: 9\nfa: a\nfb: b\nfc: c\nfd: d\nfe: e\n"
                                          "ff: f\ncookie: b\n"));
    frames_put_frame(in, FRAME_PING, 0, 0, SLICE("12345678"));
    frames_put_frame(in, FRAME_DATA, FLAG_END_STREAM, 7, SLICE("hello"));
    frames_put_head(in, FLAG_END_STREAM, 11, SLICE(GET_LINES("/") "Bad: a\n"));
    frames_put_head(in, FLAG_END_STREAM, 13, SLICE(GET_LINES("/fail")));
    frames_put_head(in, FLAG_END_STREAM, 15, SLICE(GET_LINES("/reset")));
    frames_put_window(in, 5, 100000);
    frames_put_window(in, 0, 100000);
}

static const struct delivery deliveries[] = {
    {delivery_next_whole, 0, 0},
    {delivery_next_byte, 0, 0},
    {delivery_next_random, 0, 1},
};

/* Runs with the nth allocation failing; false where none was left to fail. */
static bool torture(struct slice input, struct delivery delivery, size_t turn_bytes, uint64_t nth)
{
    struct h2_options options = H2_OPTIONS_DEFAULT;
    struct trace trace;
    uint64_t before = mem_allocations();
    mem_fail_nth(nth);
    bool made = trace_init(&trace, &options);
    if (made) {
        trace.turn_bytes = turn_bytes;
        /* What the test itself needs is there before. */
        uint64_t left = mem_allocations() - before;
        mem_fail_nth(0);
        assert_non_null(bytes_reserve(&trace.text, (size_t)256 * 1024));
        if (left < nth) {
            before = mem_allocations() - left;
            mem_fail_nth(nth - left);
        }
        trace_run(&trace, input, &delivery);
        if (trace.result == H2_CLOSING) {
            assert_int_equal(trace.error.code, ERR_NO_MEMORY);
        }
        h2_drain(trace.h2);
        h2_drain_end(trace.h2);
        trace_write(&trace);
    } else {
        assert_null(trace.h2);
    }
    bool failed = mem_allocations() - before >= nth;
    mem_fail_nth(0);
    if (made) {
        trace_done(&trace);
    } else {
        bytes_done(&trace.text);
        bytes_done(&trace.out);
    }
    return failed;
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    static const size_t turns[] = {SIZE_MAX, 50};
    struct bytes in;
    bytes_init(&in, (size_t)1024 * 1024);
    put_all(&in);
    for (size_t i = 0; i < 6; i++) {
        uint64_t nth = 1;
        while (torture(bytes_slice(&in), deliveries[i % 3], turns[i / 3], nth)) {
            nth++;
        }
        assert_true(nth > 50);
    }
    bytes_done(&in);
}

/* An arena that runs out costs its own stream only. */
static void survives_small_arenas(void **state)
{
    (void)state;
    struct bytes in;
    bytes_init(&in, (size_t)1024 * 1024);
    put_all(&in);
    unsigned refused = 0;
    unsigned served = 0;
    for (size_t max = 64; max < 4096; max += 64) {
        struct h2_options options = H2_OPTIONS_DEFAULT;
        struct trace trace;
        assert_true(trace_init(&trace, &options));
        trace.arena_max = max;
        struct delivery delivery = deliveries[0];
        trace_run(&trace, bytes_slice(&in), &delivery);
        assert_int_equal(trace.result, H2_OK);
        refused += trace.refused;
        served += trace.ended;
        assert_true(trace.refused == 0 || trace.refuse_status == 500);
        trace_done(&trace);
    }
    assert_true(refused > 20 && served > 100);
    bytes_done(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_every_failed_allocation),
        cmocka_unit_test(survives_small_arenas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
