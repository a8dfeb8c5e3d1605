/*
 * Condition variables that wait by CLOCK_MONOTONIC, the clock of all our deadlines (pthread_cond_timedwait(3)
 * by itself goes by the wall clock, which may be set).
 */
#ifndef BASE_COND_H
#define BASE_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Ended with pthread_cond_destroy. */
void cond_init(pthread_cond_t *cond);
/* With the lock held, as pthread_cond_wait(3). False: `due_ns` (CLOCK_MONOTONIC) has passed. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t due_ns);

#endif
