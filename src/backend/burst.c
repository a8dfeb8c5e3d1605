#include "backend/burst.h"

/* A model whose runs were never large comes through with one load and no store. */
bool burst_note_run(struct burst *burst, size_t input_bytes, uint64_t (*now_ns)(void))
{
    size_t peak = atomic_load_explicit(&burst->peak_bytes, memory_order_relaxed);
    if (peak < BURST_LEAST_BYTES && input_bytes < BURST_LEAST_BYTES) {
        return false;
    }
    if (input_bytes >= peak / BURST_RATIO) {
        if (input_bytes > peak) {
            atomic_store_explicit(&burst->peak_bytes, input_bytes, memory_order_relaxed);
        }
        atomic_store_explicit(&burst->last_large_ns, now_ns(), memory_order_relaxed);
        atomic_store_explicit(&burst->small_runs, 0, memory_order_relaxed);
        return false;
    }
    unsigned small = atomic_fetch_add_explicit(&burst->small_runs, 1, memory_order_relaxed) + 1;
    if (small < BURST_SMALL_RUNS ||
        now_ns() - atomic_load_explicit(&burst->last_large_ns, memory_order_relaxed) <
            BURST_QUIET_NS) {
        return false;
    }
    return atomic_compare_exchange_strong_explicit(&burst->peak_bytes, &peak, 0,
                                                   memory_order_relaxed, memory_order_relaxed);
}
