/*
 * The queue of one I/O loop for a model that runs on the loop itself: jobs of a turn are collected,
 * and at the turn's end they run, together where they can. Nothing waits for a batch to fill. Loop
 * thread only.
 */
#ifndef SCHED_INLINE_H
#define SCHED_INLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "obs/metrics.h"
#include "sched/batch.h"
#include "sched/job.h"
#include "sched/queue.h"

struct inline_queue {
    const struct batch_target *target; /* borrowed; NULL until a model is there */
    struct metrics_shard *metrics;
    uint64_t (*clock_ns)(void);
    void (*on_job)(struct inline_queue *queue); /* the queue is not empty any more */
    struct job_queue jobs;
    struct arena scratch; /* of one run */
};

void inline_queue_init(struct inline_queue *queue, struct metrics_shard *metrics,
                       uint64_t (*clock_ns)(void), void (*on_job)(struct inline_queue *queue));
void inline_queue_done(struct inline_queue *queue); /* the queue must be empty */

/* Only while the queue is empty. */
void inline_queue_set_target(struct inline_queue *queue, const struct batch_target *target);

/* Borrows the job until its `done`. A target must be set. */
void inline_queue_submit(struct inline_queue *queue, struct job *job);
/*
 * Runs one job now, if it is not dead, on a model that the queue has had for its target before. Calls
 * its `done`.
 */
void inline_queue_run_one(struct inline_queue *queue, const struct batch_target *target,
                          struct job *job);
bool inline_queue_is_empty(const struct inline_queue *queue);

/*
 * Runs one batch: the first job and what can share its run, within what the target's `execution`
 * predicts to be a short run; calls `done` of each. Jobs that were cancelled, or whose deadline is before `now_ns`, are dropped (ERR_TIMEOUT) without running.
 */
void inline_queue_run(struct inline_queue *queue, uint64_t now_ns);

#endif
