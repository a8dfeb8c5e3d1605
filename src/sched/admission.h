/*
 * Execution slots of the whole server (MAX_INFLIGHT). Atomic: any thread. Who finds none free waits
 * in a queue of its own loop; this only counts.
 */
#ifndef SCHED_ADMISSION_H
#define SCHED_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/check.h"

struct admission {
    unsigned slots;
    _Atomic unsigned in_use;
    _Atomic unsigned waiting; /* requests in all loops' queues */
};

static inline void admission_init(struct admission *admission, unsigned slots)
{
    admission->slots = slots;
    atomic_init(&admission->in_use, 0);
    atomic_init(&admission->waiting, 0);
}

/* True: the caller holds a slot and gives it back with admission_leave. */
static inline bool admission_enter(struct admission *admission)
{
    /*
     * Sequentially consistent, the load too: who waits has counted itself before it looks here, and
     * who leaves gives its slot back before it looks at the count. One of them sees the other.
     */
    unsigned in_use = atomic_load(&admission->in_use);
    while (in_use < admission->slots) {
        if (atomic_compare_exchange_weak(&admission->in_use, &in_use, in_use + 1)) {
            return true;
        }
    }
    return false;
}

/* True when somebody, perhaps on another loop, waits for the slot that is free now. */
static inline bool admission_leave(struct admission *admission)
{
    unsigned before = atomic_fetch_sub(&admission->in_use, 1);
    CHECK(before > 0);
    return atomic_load(&admission->waiting) > 0;
}

#endif
