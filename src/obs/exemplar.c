#include "obs/exemplar.h"

#include <string.h>

#define TRIES 4

void exemplar_put(struct exemplar *exemplar, uint64_t value, const struct metrics_trace *trace)
{
    uint64_t words[EXEMPLAR_WORDS];
    memcpy(&words[0], trace->trace_id, 16);
    memcpy(&words[2], trace->span_id, 8);
    words[3] = trace->unix_ns;
    words[4] = value;
    uint64_t sequence = atomic_load_explicit(&exemplar->sequence, memory_order_relaxed);
    atomic_store_explicit(&exemplar->sequence, sequence + 1, memory_order_relaxed);
    /* Who sees one of these sees the odd number, too. */
    for (int i = 0; i < EXEMPLAR_WORDS; i++) {
        atomic_store_explicit(&exemplar->words[i], words[i], memory_order_release);
    }
    atomic_store_explicit(&exemplar->sequence, sequence + 2, memory_order_release);
}

bool exemplar_get(const struct exemplar *exemplar, struct exemplar_copy *ret_copy)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t words[EXEMPLAR_WORDS];
        uint64_t before = atomic_load_explicit(&exemplar->sequence, memory_order_acquire);
        for (int word = 0; word < EXEMPLAR_WORDS; word++) {
            words[word] = atomic_load_explicit(&exemplar->words[word], memory_order_acquire);
        }
        uint64_t after = atomic_load_explicit(&exemplar->sequence, memory_order_relaxed);
        if (before == 0) {
            return false;
        }
        if (before == after && before % 2 == 0) {
            memcpy(ret_copy->trace.trace_id, &words[0], 16);
            memcpy(ret_copy->trace.span_id, &words[2], 8);
            ret_copy->trace.unix_ns = words[3];
            ret_copy->value = words[4];
            return true;
        }
    }
    return false;
}
