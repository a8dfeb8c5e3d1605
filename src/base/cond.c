#include "base/cond.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"

void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t due_ns)
{
    struct timespec due = {.tv_sec = (time_t)(due_ns / CLOCK_NS_PER_S),
                           .tv_nsec = (long)(due_ns % CLOCK_NS_PER_S)};
    return pthread_cond_timedwait(cond, lock, &due) != ETIMEDOUT;
}
