/*
 * Runner threads for a model that is too slow for the I/O loops. Jobs of all loops wait in one
 * bounded queue; each time a runner is free it takes all that fits one run, so that batches form
 * while the runners are busy. Nobody waits for a batch to fill, unless a delay is asked for, but for a
 * moment where the clients of the last one are expected back (policy_company). A pool belongs to one
 * model and ends before it.
 */
#ifndef SCHED_POOL_H
#define SCHED_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sched/batch.h"
#include "sched/job.h"
#include "sched/queue.h"

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
 * it was not taken: ERR_BUSY, a bound of the queue is reached; ERR_TIMEOUT, it would have to wait and
 * then come too late for its deadline (policy_is_late); ERR_UNAVAILABLE, the pool was stopped.
 */
MUST_CHECK int pool_submit(struct pool *pool, struct job *job);
/*
 * Whether pool_submit would say ERR_TIMEOUT to a job of one row: asked before a request is decoded.
 * Any thread.
 */
bool pool_is_late(struct pool *pool, uint64_t deadline_ns);
/*
 * Takes all the jobs of another queue of the same model, at least one, if a runner is free to begin
 * with them now. False: they stay. Any thread that owns `jobs`.
 */
bool pool_take_over(struct pool *pool, struct job_queue *jobs);

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
