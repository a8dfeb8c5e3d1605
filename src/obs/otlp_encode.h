/*
 * Spans as protobuf: ExportTraceServiceRequest of the OpenTelemetry protocol, version 1 of its
 * messages (opentelemetry-proto), and what the collector answers. Written by hand, see
 * docs/decisions/0005-spans-by-hand.md. Pure functions; any thread.
 */
#ifndef OBS_OTLP_ENCODE_H
#define OBS_OTLP_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "obs/span.h"

/* An attribute of the resource. */
struct otlp_attribute {
    struct slice key;
    struct slice text;
    int64_t number; /* where text.ptr is NULL */
};

/* Where spans come from: a resource and a scope, written once for all requests. */
struct otlp_origin {
    struct bytes resource, scope;
};

/* ERR_NO_MEMORY: there is nothing to end. */
MUST_CHECK int otlp_origin_init(struct otlp_origin *origin, const struct otlp_attribute *attributes,
                                size_t count, struct slice scope_version);
void otlp_origin_done(struct otlp_origin *origin);

/*
 * A request: begin it in an empty queue, put spans, end it. Then `out` holds it whole. ERR_NO_MEMORY:
 * nothing was appended.
 */
MUST_CHECK int otlp_begin(struct bytes *out, const struct otlp_origin *origin);
/* `offset_ns` is what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC. */
MUST_CHECK int otlp_put_span(struct bytes *out, const struct span_record *record,
                             const struct span *span, uint64_t offset_ns);
void otlp_end(struct bytes *out, const struct otlp_origin *origin);

/* What an ExportTraceServiceResponse says. Zero and empty where all was taken. */
struct otlp_verdict {
    uint64_t rejected_spans;
    struct slice message; /* borrowed from the body */
};

/* ERR_INVALID where the body is no such message. */
MUST_CHECK int otlp_read_response(struct slice body, struct otlp_verdict *ret_verdict,
                                  struct error *error);

#endif
