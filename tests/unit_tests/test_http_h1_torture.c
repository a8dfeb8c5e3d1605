/*
 * Missing memory: every allocation fails in turn, and arenas of every size run out. The engine ends
 * the request with one clear error, or goes on as if nothing had been; never with wrong events.
 */
#include "unit_tests/h1_splits.h"

static const struct slice requests =
    SLICE("POST /invocations?a=b HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: torture\r\n"
          "F01: 1\r\nF02: 2\r\nF03: 3\r\nF04: 4\r\nF05: 5\r\nF06: 6\r\nF07: 7\r\nF08: 8\r\n"
          "F09: 9\r\nF10: 10\r\nF11: 11\r\nF12: 12\r\nF13: 13\r\nF14: 14\r\nF15: 15\r\n"
          "Transfer-Encoding: chunked\r\n\r\n5;extension=value\r\nhello\r\n0\r\nTrailer: t\r\n\r\n"
          "GET /second HTTP/1.1\r\nHost: a\r\n\r\n");

static const struct delivery deliveries[] = {
    {delivery_next_whole, 0, 0},  {delivery_next_byte, 0, 0},   {delivery_next_cut, 100, 0},
    {delivery_next_random, 0, 1}, {delivery_next_random, 0, 2},
};
#define DELIVERIES (sizeof(deliveries) / sizeof(deliveries[0]))

/* Either all went well and is as it should be, or the end is the memory error. */
static void assert_all_or_memory_error(const struct trace *trace, const struct trace *expected)
{
    struct slice text = bytes_slice(&trace->text);
    if (trace->error_status == 0) {
        assert_true(slice_eq(text, bytes_slice(&expected->text)));
        return;
    }
    assert_int_equal(trace->error_status, 500);
    assert_int_equal(trace->error_code, ERR_NO_MEMORY);
    assert_contains(trace, "no memory to read it into\n", "torture");
    size_t before_result =
        (size_t)((char *)memmem(text.ptr, text.len, "result error", 12) - text.ptr);
    assert_true(slice_starts_with(bytes_slice(&expected->text), slice_head(text, before_result)));
}

static void expect_all(struct trace *ret_trace)
{
    run_every_split(ret_trace, requests, "torture");
    assert_int_equal(ret_trace->ended, 2);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    struct trace expected;
    expect_all(&expected);
    for (size_t d = 0; d < DELIVERIES; d++) {
        unsigned failures = 0;
        for (uint64_t nth = 1; nth < 100; nth++) {
            struct trace trace;
            /* Small blocks, so that there are many allocations; the text has its room before. */
            assert_true(trace_init(&trace, 64, TEST_ARENA_MAX));
            assert_non_null(bytes_reserve(&trace.text, (size_t)16 * 1024));
            struct delivery delivery = deliveries[d];
            mem_fail_nth(nth);
            trace_run(&trace, requests, &delivery);
            mem_fail_nth(0);
            failures += trace.error_status != 0;
            assert_all_or_memory_error(&trace, &expected);
            trace_done(&trace);
        }
        assert_true(failures > 10);
    }
    trace_done(&expected);
}

static void survives_arenas_of_every_size(void **state)
{
    (void)state;
    struct trace expected;
    expect_all(&expected);
    for (size_t d = 0; d < DELIVERIES; d++) {
        unsigned failures = 0;
        unsigned successes = 0;
        for (size_t max = 32; max < 8192; max += 16) {
            struct trace trace;
            assert_true(trace_init(&trace, 32, max));
            struct delivery delivery = deliveries[d];
            trace_run(&trace, requests, &delivery);
            failures += trace.error_status != 0;
            successes += trace.error_status == 0;
            assert_all_or_memory_error(&trace, &expected);
            trace_done(&trace);
        }
        assert_true(failures > 10 && successes > 10);
    }
    trace_done(&expected);
}

static void has_no_engine_without_memory(void **state)
{
    (void)state;
    mem_fail_nth(1);
    struct h1 *none = h1_new(&trace_events, NULL);
    mem_fail_nth(0);
    assert_null(none);
    h1_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_every_failed_allocation),
        cmocka_unit_test(survives_arenas_of_every_size),
        cmocka_unit_test(has_no_engine_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
