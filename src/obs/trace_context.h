/*
 * W3C Trace Context, Level 1: what a request says of the trace it belongs to (traceparent and
 * tracestate), and ids of our own. Parsing is to the letter: what is not valid counts as not there.
 * Pure functions; no thread rule.
 */
#ifndef OBS_TRACE_CONTEXT_H
#define OBS_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/random.h"
#include "base/slice.h"

#define TRACE_ID_BYTES 16
#define SPAN_ID_BYTES 8
#define TRACE_ID_DIGITS 32
#define SPAN_ID_DIGITS 16

/* section 3.2.2.5: the only flag of version 00; what else is set there is not passed on. */
#define TRACE_FLAG_SAMPLED 1u

struct trace_id {
    uint8_t bytes[TRACE_ID_BYTES]; /* in the order of the text; all zero: none */
};

struct span_id {
    uint8_t bytes[SPAN_ID_BYTES]; /* likewise */
};

/* A span as the rest of its trace knows it. All zero: there is none. */
struct span_context {
    struct trace_id trace_id;
    struct span_id span_id;
    bool is_valid;
    bool is_sampled;
};

/*
 * The value of the one traceparent field, without white space around it. False where it is not valid:
 * the trace begins here. Of versions after 00 what this one knows is read, whatever follows behind a
 * dash (section 3.2.4).
 */
bool trace_context_parse(struct slice traceparent, struct span_context *ret_context);

/* Limits of section 3.3. */
#define TRACE_STATE_MEMBERS_MAX 32
/* What of tracestate is kept: section 3.3.1.5 asks for this much at least. */
#define TRACE_STATE_MAX_BYTES 512

/* The members of the tracestate fields of a request, one field after the other. */
struct trace_state {
    bool is_broken; /* a member is invalid, a key comes twice, or they are too many */
    unsigned count;
    struct slice members[TRACE_STATE_MEMBERS_MAX]; /* "key=value", borrowed */
};

/* Adds a further field's value. Zero-initialise before the first. */
void trace_state_add(struct trace_state *state, struct slice value);
/*
 * Writes the list in its shortest form and returns its length: 0 where it is empty or broken. What is
 * too long loses members of more than 128 bytes first, then the last ones (section 3.3.1.5).
 */
size_t trace_state_write(struct trace_state *state, char text[TRACE_STATE_MAX_BYTES]);

/* New ids, never all zero. */
struct trace_id trace_id_make(struct random *random);
struct span_id span_id_make(struct random *random);

/* Lower-case hexadecimal digits, without a NUL. */
void trace_id_print(const struct trace_id *id, char text[TRACE_ID_DIGITS]);
void span_id_print(const struct span_id *id, char text[SPAN_ID_DIGITS]);

/* The last eight bytes as a number: what samplers by ratio look at. */
uint64_t trace_id_low(const struct trace_id *id);

static inline bool span_id_is_set(const struct span_id *id)
{
    static const struct span_id none;
    return memcmp(id, &none, sizeof(none)) != 0;
}

#endif
