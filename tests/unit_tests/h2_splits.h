/* Delivers the same bytes to HTTP/2 engines in every way and asserts that all say the same. */
#ifndef H2_SPLITS_H
#define H2_SPLITS_H

#include "unit_tests/testing.h"

#include "unit_tests/h2_frames.h"
#include "unit_tests/h2_trace.h"

#define RANDOM_DELIVERIES 8
/* Inputs over this length are not cut at each position but at this many. */
#define MOST_CUTS 256
/* Output is taken each time that much input has gone in, or at the end. */
static const size_t split_turns[] = {SIZE_MAX, 100};

static inline void run_once(struct trace *trace, struct slice input, struct delivery delivery,
                            size_t turn_bytes)
{
    struct h2_options options = H2_OPTIONS_DEFAULT;
    assert_true(trace_init(trace, &options));
    trace->turn_bytes = turn_bytes;
    trace_run(trace, input, &delivery);
}

static inline void assert_same(const struct trace *whole, struct slice input,
                               struct delivery delivery, const char *what)
{
    struct trace other;
    size_t cut = delivery.cut;
    run_once(&other, input, delivery, whole->turn_bytes);
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
    for (size_t turn = 0; turn < 2; turn++) {
        if (turn > 0) {
            trace_done(whole);
        }
        run_once(whole, input, (struct delivery){delivery_next_whole, 0, 0}, split_turns[turn]);
        assert_same(whole, input, (struct delivery){delivery_next_byte, 0, 0}, what);
        size_t step = input.len / MOST_CUTS + 1;
        for (size_t cut = 1; cut < input.len; cut += step) {
            assert_same(whole, input, (struct delivery){delivery_next_cut, cut, 0}, what);
        }
        for (uint64_t seed = 1; seed <= RANDOM_DELIVERIES; seed++) {
            assert_same(whole, input, (struct delivery){delivery_next_random, 0, seed}, what);
        }
    }
}

static inline void assert_said(const struct trace *trace, const char *text, const char *what)
{
    struct slice all = bytes_slice(&trace->text);
    if (memmem(all.ptr, all.len, text, strlen(text)) == NULL) {
        fail_msg("%s: \"%s\" is not in\n%.*s", what, text, SLICE_FMT(slice_head(all, 4000)));
    }
}

/* The error code of the RST_STREAM that was written for a stream, or -1. */
static inline int64_t reset_code(const struct trace *trace, int32_t id)
{
    struct slice rest = bytes_slice(&trace->out);
    while (rest.len >= 9) {
        const unsigned char *header = (const unsigned char *)rest.ptr;
        size_t size = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
        int32_t stream = header[5] << 24 | header[6] << 16 | header[7] << 8 | header[8];
        if (header[3] == FRAME_RST_STREAM && stream == id) {
            return (int64_t)header[9] << 24 | header[10] << 16 | header[11] << 8 | header[12];
        }
        rest = slice_tail(rest, 9 + size);
    }
    return -1;
}

/* The error code of the first GOAWAY that was written, or -1. */
static inline int64_t goaway_code(const struct trace *trace)
{
    struct slice rest = bytes_slice(&trace->out);
    while (rest.len >= 9) {
        const unsigned char *header = (const unsigned char *)rest.ptr;
        size_t size = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
        if (header[3] == FRAME_GOAWAY) {
            return (int64_t)header[13] << 24 | header[14] << 16 | header[15] << 8 | header[16];
        }
        rest = slice_tail(rest, 9 + size);
    }
    return -1;
}

#endif
