/*
 * Runner threads for a model that is too slow for the I/O loops. Jobs of all loops wait in one
 * bounded queue; each time a runner is free it takes all that fits one run, so that batches form
 * while the runners are busy and nobody waits for one to fill (unless a delay is asked for). A pool
 * belongs to one model and ends before it.
 */
#ifndef SCHED_POOL_H
#define SCHED_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sched/batch.h"
#include "sched/job.h"

struct pool;

struct pool_options {
    const struct batch_target *target; /* borrowed until pool_free has returned */
    unsigned instances;                /* runner threads, at least 1 */
    uint64_t max_delay_ns;             /* how long an incomplete batch may wait for more */
    /* Bounds of what waits. A job that finds the queue empty is taken however large it is. */
    size_t max_jobs;
    int64_t max_rows;
    uint64_t max_bytes;         /* of the inputs */
    uint64_t (*clock_ns)(void); /* CLOCK_MONOTONIC */
};

struct pool_figures {
    unsigned instances;
    unsigned busy; /* of them, running a batch now */
    size_t jobs;   /* that wait */
    int64_t rows;
};

/* Starts the threads. ERR_NO_MEMORY, ERR_INTERNAL when there are no threads to be had. */
MUST_CHECK int pool_new(const struct pool_options *options, struct pool **ret_pool,
                        struct error *error);

/*
 * Any thread. ERR_OK: the job, which has an owner, is borrowed until it is delivered there. Otherwise
 * it was not taken: ERR_BUSY, a bound of the queue is reached; ERR_UNAVAILABLE, the pool was stopped.
 */
MUST_CHECK int pool_submit(struct pool *pool, struct job *job);

/*
 * Takes no more jobs and waits for the runners' end. What waits is finished first, or with
 * `give_up` answered with ERR_UNAVAILABLE without running; a run under way is always finished. Not
 * on a runner; calling it again is harmless.
 */
void pool_stop(struct pool *pool, bool give_up);
/* Stops (finishing what waits) and frees; NULL is fine. */
void pool_free(struct pool *pool);

/* Any thread. */
void pool_measure(struct pool *pool, struct pool_figures *ret_figures);

#endif
