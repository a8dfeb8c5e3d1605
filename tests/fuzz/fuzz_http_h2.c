/*
 * The HTTP/2 engine over any bytes that follow a client's preface: what it says of requests and of
 * the connection must be the same to the letter when they come in one piece, byte by byte, and in
 * pieces whose sizes follow from the bytes themselves. The first byte says how often output is taken.
 * What holds of every request that is let through is checked in the trace.
 */
#include "../unit_tests/h2_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* FNV-1a: every change of the input shuffles its pieces anew. */
static uint64_t seed_of(struct slice input)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < input.len; i++) {
        hash = (hash ^ (unsigned char)input.ptr[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void run(struct trace *trace, struct slice input, size_t turn_bytes,
                struct delivery delivery)
{
    struct h2_options options = H2_OPTIONS_DEFAULT;
    options.max_concurrent_streams = TRACE_STREAMS - 4;
    options.max_head_bytes = 1024;
    options.max_fields = 16;
    CHECK(trace_init(trace, &options));
    trace_feed(trace, SLICE(H2_PREFACE));
    trace->turn_bytes = turn_bytes;
    trace_run(trace, input, &delivery);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(size == 0 ? (const void *)"" : data, size);
    unsigned char turn = size == 0 ? 0 : data[0];
    size_t turn_bytes = turn == 0 ? SIZE_MAX : turn;
    input = slice_tail(input, size == 0 ? 0 : 1);
    struct trace whole;
    run(&whole, input, turn_bytes, (struct delivery){delivery_next_whole, 0, 0});
    const struct delivery others[] = {
        {delivery_next_byte, 0, 0},
        {delivery_next_random, 0, seed_of(input)},
        {delivery_next_cut, input.len == 0 ? 0 : (size_t)(seed_of(input) % input.len), 0},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct trace other;
        run(&other, input, turn_bytes, others[i]);
        CHECK(slice_eq(bytes_slice(&whole.text), bytes_slice(&other.text)));
        trace_done(&other);
    }
    trace_done(&whole);
    return 0;
}
