/*
 * Threads for work that would hold a loop up: decoding and encoding large bodies. Tasks run in the
 * order of their submission, as many at once as there are threads, and go back to whoever submitted
 * them. What waits is bounded by the callers: a task is embedded in what it works for.
 */
#ifndef SCHED_TASK_POOL_H
#define SCHED_TASK_POOL_H

#include "base/error.h"

struct task_pool;

/* Embed; borrowed from submission until `deliver`. */
struct task {
    struct task *next; /* the pool's */
    /* The work, on one of the pool's threads. */
    void (*run)(struct task *task);
    /*
     * Called there after `run`; must not wait. The task is its owner's again, who takes it over to
     * its own thread.
     */
    void (*deliver)(struct task *task);
};

/* Starts the threads (at least one). ERR_NO_MEMORY, ERR_INTERNAL when there are none to be had. */
MUST_CHECK int task_pool_new(unsigned threads, struct task_pool **ret_pool, struct error *error);
/* Any thread. Never fails, never waits for a task. */
void task_pool_submit(struct task_pool *pool, struct task *task);
/* Finishes what was submitted, ends the threads and frees; NULL is fine. */
void task_pool_free(struct task_pool *pool);

#endif
