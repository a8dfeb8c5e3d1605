/*
 * The timers of one loop: a binary heap ordered by due time. It reads no clock. Timers due at the
 * same time come in no particular order. One owner thread.
 */
#ifndef NET_TIMERS_H
#define NET_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/loop.h"

/* Far more than a process has descriptors. */
#define TIMERS_MAX ((size_t)1 << 24)

struct timers_slot {
    uint64_t at_ns; /* a copy: comparing must not touch the timers */
    struct loop_timer *timer;
};

struct timers {
    struct timers_slot *heap;
    size_t count;
    size_t capacity; /* never shrinks */
};

void timers_init(struct timers *timers); /* allocates nothing yet */
void timers_done(struct timers *timers); /* no timer is set any more (checked) */

/*
 * Sets the timer, or moves it where it is set already: moving never fails. Neither does setting
 * again the timer that timers_take_due has just returned. ERR_NO_MEMORY: not set.
 */
MUST_CHECK int timers_set(struct timers *timers, struct loop_timer *timer, uint64_t at_ns);
void timers_cancel(struct timers *timers, struct loop_timer *timer); /* fine when not set */

/* When the next is due; UINT64_MAX when none is set. */
uint64_t timers_next_ns(const struct timers *timers);
/* Takes out one timer that is due at `now_ns` or before; NULL when none is. */
struct loop_timer *timers_take_due(struct timers *timers, uint64_t now_ns);

#endif
