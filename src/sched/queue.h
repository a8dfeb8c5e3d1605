/*
 * Jobs that wait, oldest first, with their sums. Shared by the inline queue and the pool. No lock of
 * its own: one thread at a time.
 */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/job.h"

struct job_queue {
    struct job *first;
    struct job **end;
    size_t jobs;
    int64_t rows;
    uint64_t bytes; /* of the inputs */
};

void queue_init(struct job_queue *queue); /* not to be moved after */
static inline bool queue_is_empty(const struct job_queue *queue)
{
    return queue->first == NULL;
}
void queue_push(struct job_queue *queue, struct job *job);
/* Takes out the job that *at, a link of this queue, points to; *at is then the one behind it. */
struct job *queue_take_at(struct job_queue *queue, struct job **at);
/*
 * Takes out the jobs that must not run any more, cancelled or with a deadline not after `now_ns`, and
 * sets their status, error and fate. Linked in their order; NULL when there are none.
 */
struct job *queue_take_dead(struct job_queue *queue, uint64_t now_ns);
/* Takes out all, in their order, as stopped: ERR_UNAVAILABLE. */
struct job *queue_take_stopped(struct job_queue *queue);

#endif
