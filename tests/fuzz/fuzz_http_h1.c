/*
 * The HTTP/1.1 engine over any bytes, as a connection full of pipelined requests: what it says when
 * they come in one piece, byte by byte, and in pieces whose sizes follow from the bytes themselves
 * must be the same to the letter. What holds of every request that is let through is checked in the
 * trace.
 */
#include "../unit_tests/h1_trace.h"

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

static void run(struct trace *trace, struct slice input, struct delivery delivery)
{
    CHECK(trace_init(trace, 4096, (size_t)1024 * 1024));
    trace_run(trace, input, &delivery);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(size == 0 ? (const void *)"" : data, size);
    struct trace whole;
    run(&whole, input, (struct delivery){delivery_next_whole, 0, 0});
    const struct delivery others[] = {
        {delivery_next_byte, 0, 0},
        {delivery_next_random, 0, seed_of(input)},
        {delivery_next_cut, size == 0 ? 0 : (size_t)(seed_of(input) % size), 0},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct trace other;
        run(&other, input, others[i]);
        CHECK(slice_eq(bytes_slice(&whole.text), bytes_slice(&other.text)));
        trace_done(&other);
    }
    trace_done(&whole);
    return 0;
}
