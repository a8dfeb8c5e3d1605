/*
 * Which traces are recorded: the samplers of OTEL_TRACES_SAMPLER (OpenTelemetry, "Tracing SDK",
 * section "Built-in samplers"). Pure functions; any thread.
 */
#ifndef OBS_SAMPLER_H
#define OBS_SAMPLER_H

#include <stdbool.h>

#include "obs/trace_context.h"

enum sampler_kind { SAMPLER_ALWAYS_ON, SAMPLER_ALWAYS_OFF, SAMPLER_RATIO };

struct sampler {
    enum sampler_kind root; /* decides where there is no parent to go by */
    bool parent_based;      /* a parent's decision stands */
    bool takes_all;         /* the ratio is 1 */
    uint64_t bound;         /* of the ratio: ids below it are recorded */
};

/* `ratio`, 0 to 1, counts for SAMPLER_RATIO only. */
struct sampler sampler_make(enum sampler_kind root, bool parent_based, double ratio);

/*
 * The decision for a span of the trace. `parent` is not valid where the trace begins here. The ratio
 * looks at the id's last eight bytes as the SDKs do, so services of one ratio record the same traces.
 */
bool sampler_decide(const struct sampler *sampler, const struct span_context *parent,
                    const struct trace_id *id);

#endif
