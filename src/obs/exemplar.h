/*
 * The last exemplar of a histogram's bucket. One thread writes, any thread reads, nobody waits: a
 * number before and after tells a reader that what it has read is of one piece.
 */
#ifndef OBS_EXEMPLAR_H
#define OBS_EXEMPLAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "obs/metrics.h"

enum { EXEMPLAR_WORDS = 5 };

/* All zero: there is none yet. */
struct exemplar {
    _Atomic uint64_t sequence; /* odd while it is being written */
    _Atomic uint64_t words[EXEMPLAR_WORDS];
};

struct exemplar_copy {
    struct metrics_trace trace;
    uint64_t value;
};

/* The writer's thread only. */
void exemplar_put(struct exemplar *exemplar, uint64_t value, const struct metrics_trace *trace);
/* False: there is none, or it changes faster than it can be read. Any thread. */
bool exemplar_get(const struct exemplar *exemplar, struct exemplar_copy *ret_copy);

#endif
