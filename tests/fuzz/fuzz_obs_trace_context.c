/*
 * Any bytes as traceparent, and as tracestate fields, one a line: what is taken as valid has the form
 * of the standard, and what is written of tracestate is read back as the same.
 */
#include <string.h>

#include "base/check.h"
#include "obs/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parent(struct slice text)
{
    struct span_context context;
    if (!trace_context_parse(text, &context)) {
        return;
    }
    char trace[TRACE_ID_DIGITS];
    char span[SPAN_ID_DIGITS];
    trace_id_print(&context.trace_id, trace);
    span_id_print(&context.span_id, span);
    CHECK(context.is_valid && text.len >= 55);
    CHECK(memcmp(text.ptr + 3, trace, sizeof(trace)) == 0);
    CHECK(memcmp(text.ptr + 36, span, sizeof(span)) == 0);
}

static void check_state(struct slice fields)
{
    struct trace_state state = {.count = 0};
    char text[TRACE_STATE_MAX_BYTES];
    while (fields.ptr != NULL) {
        trace_state_add(&state, slice_cut(&fields, '\n'));
    }
    size_t len = trace_state_write(&state, text);
    CHECK(len <= sizeof(text) && (!state.is_broken || len == 0));
    struct trace_state again = {.count = 0};
    char text_again[TRACE_STATE_MAX_BYTES];
    trace_state_add(&again, slice_make(text, len));
    CHECK(!again.is_broken && again.count <= TRACE_STATE_MEMBERS_MAX);
    CHECK(trace_state_write(&again, text_again) == len && memcmp(text, text_again, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(size == 0 ? (const uint8_t *)"" : data, size);
    check_parent(input);
    check_state(input);
    return 0;
}
