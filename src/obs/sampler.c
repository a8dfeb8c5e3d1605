#include "obs/sampler.h"

#include <math.h>

#define IDS 18446744073709551616.0 /* 2^64 */

struct sampler sampler_make(enum sampler_kind root, bool parent_based, double ratio)
{
    struct sampler sampler = {.root = root, .parent_based = parent_based};
    double bound = rint(ratio * IDS);
    sampler.takes_all = bound >= IDS;
    sampler.bound = sampler.takes_all || !(bound > 0) ? 0 : (uint64_t)bound;
    return sampler;
}

bool sampler_decide(const struct sampler *sampler, const struct span_context *parent,
                    const struct trace_id *id)
{
    if (sampler->parent_based && parent->is_valid) {
        return parent->is_sampled;
    }
    switch (sampler->root) {
    case SAMPLER_ALWAYS_ON:
        return true;
    case SAMPLER_ALWAYS_OFF:
        return false;
    case SAMPLER_RATIO:
        break;
    }
    return sampler->takes_all || trace_id_low(id) < sampler->bound;
}
