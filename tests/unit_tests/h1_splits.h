/* Delivers the same bytes to HTTP/1.1 engines in every way and asserts that all say the same. */
#ifndef H1_SPLITS_H
#define H1_SPLITS_H

#include "unit_tests/testing.h"

#include "unit_tests/h1_trace.h"

#define TEST_ARENA_BLOCK ((size_t)16 * 1024)
#define TEST_ARENA_MAX ((size_t)1024 * 1024)
#define RANDOM_DELIVERIES 8
/* Inputs over this length are not cut at each position but at this many. */
#define MOST_CUTS 512

static inline void run_once(struct trace *trace, struct slice input, struct delivery delivery,
                            bool quiet_body)
{
    assert_true(trace_init(trace, TEST_ARENA_BLOCK, TEST_ARENA_MAX));
    trace->quiet_body = quiet_body;
    trace_run(trace, input, &delivery);
}

static inline void assert_same(const struct trace *whole, struct slice input,
                               struct delivery delivery, const char *what)
{
    struct trace other;
    size_t cut = delivery.cut;
    run_once(&other, input, delivery, whole->quiet_body);
    if (!slice_eq(bytes_slice(&whole->text), bytes_slice(&other.text))) {
        fail_msg("%s, delivered otherwise (cut %zu, seed %llu):\n%.*s\n--- instead of\n%.*s", what,
                 cut, (unsigned long long)delivery.seed,
                 SLICE_FMT(slice_head(bytes_slice(&other.text), 4000)),
                 SLICE_FMT(slice_head(bytes_slice(&whole->text), 4000)));
    }
    trace_done(&other);
}

/* *whole is what came of the bytes in one piece; every other delivery gave the same. */
static inline void run_every_split(struct trace *whole, struct slice input, const char *what)
{
    bool quiet_body = input.len > 4096;
    run_once(whole, input, (struct delivery){delivery_next_whole, 0, 0}, quiet_body);
    assert_same(whole, input, (struct delivery){delivery_next_byte, 0, 0}, what);
    size_t step = input.len / MOST_CUTS + 1;
    for (size_t cut = 1; cut < input.len; cut += step) {
        assert_same(whole, input, (struct delivery){delivery_next_cut, cut, 0}, what);
    }
    for (uint64_t seed = 1; seed <= RANDOM_DELIVERIES; seed++) {
        assert_same(whole, input, (struct delivery){delivery_next_random, 0, seed}, what);
    }
}

static inline bool trace_contains(const struct trace *trace, const char *text)
{
    struct slice all = bytes_slice(&trace->text);
    return memmem(all.ptr, all.len, text, strlen(text)) != NULL;
}

static inline void assert_contains(const struct trace *trace, const char *text, const char *what)
{
    if (!trace_contains(trace, text)) {
        fail_msg("%s: \"%s\" is not in\n%.*s", what, text,
                 SLICE_FMT(slice_head(bytes_slice(&trace->text), 4000)));
    }
}

/* The request was refused as it should be, and none was reported complete. */
static inline void assert_refused(const struct trace *trace, int status, const char *text,
                                  const char *what)
{
    if (trace->error_status != status || trace->ended != 0) {
        fail_msg("%s: status %d instead of %d, %u requests ended\n%.*s", what, trace->error_status,
                 status, trace->ended, SLICE_FMT(slice_head(bytes_slice(&trace->text), 4000)));
    }
    assert_int_equal(trace->error_code, ERR_INVALID);
    assert_contains(trace, text, what);
    assert_false(trace_contains(trace, "/smuggled"));
}

#endif
