/* Records as a request leaves them, for the tests of what becomes of them. */
#ifndef SPAN_FIXTURE_H
#define SPAN_FIXTURE_H

#include "obs/span.h"

#define SPAN_START_NS UINT64_C(1000000)

/* A prediction that led a run it shared with others. */
#define SPAN_PREDICTION                                                                            \
    ((struct span_stages){.started_ns = SPAN_START_NS,                                             \
                          .invoked_ns = SPAN_START_NS + 1,                                         \
                          .decode_began_ns = SPAN_START_NS + 1,                                    \
                          .decode_ended_ns = SPAN_START_NS + 2,                                    \
                          .submitted_ns = SPAN_START_NS + 2,                                       \
                          .run_began_ns = SPAN_START_NS + 3,                                       \
                          .run_ended_ns = SPAN_START_NS + 4,                                       \
                          .encode_ended_ns = SPAN_START_NS + 5,                                    \
                          .ended_ns = SPAN_START_NS + 6,                                           \
                          .leads_run = true})

/* `number` tells it from others. */
static inline void span_fill(struct span_record *record, unsigned number)
{
    struct trace_id trace = {{1, [15] = 2}};
    struct span_id server = {{3, [7] = 4}};
    struct span_id parent = {{5, [7] = 6}};
    struct span_id run = {{7, [7] = 8}};
    trace.bytes[4] = (uint8_t)(number >> 8);
    trace.bytes[5] = (uint8_t)number;
    record->trace_id = record->run_trace_id = trace;
    record->server_id = server;
    record->parent_id = parent;
    record->run_id = run;
    record->stages = SPAN_PREDICTION;
    record->spans = SPAN_ROLES;
    record->protocol = SPAN_HTTP;
    record->run_requests = 3;
    record->run_rows = 12;
    record->rows = 4;
    record->status = 200;
    record->request_bytes = 99;
    record->scheme = SLICE("http");
    record->version = SLICE("1.1");
    record->route = SLICE("/invocations");
    record->response_type = SLICE("application/json");
    record->method = span_put_text(record, SLICE("POST"), 32);
    record->path = span_put_text(record, SLICE("/invocations"), 256);
    record->request_type = span_put_text(record, SLICE("text/csv"), 128);
}

#endif
