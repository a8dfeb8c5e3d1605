/*
 * Which jobs of a queue share the next run, when it starts, and how long a further job would wait:
 * functions of the queue, the time and the estimate of a run alone. The inline queue and the pool
 * choose by the same rules.
 */
#ifndef SCHED_POLICY_H
#define SCHED_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/batch.h"
#include "sched/execution.h"
#include "sched/queue.h"

/*
 * Takes the first job off the queue (not empty) and, when runs may be shared, every later one that
 * fits it while the rows stay within `max_rows`. Returns them linked through `next` in their order;
 * the others stay, in theirs. A first job of more rows than that runs alone.
 */
struct job *policy_take(const struct batch_target *target, int64_t max_rows,
                        struct job_queue *queue);

/*
 * When the batch that policy_take would take should start, at the latest: 0 (now) when nothing that
 * comes could join it, because there is no delay, the first job cannot share, or the rows are
 * complete; otherwise `delay_ns` after its oldest job came. The queue is not empty.
 */
uint64_t policy_due_ns(const struct batch_target *target, int64_t max_rows, uint64_t delay_ns,
                       const struct job_queue *queue);

/* The batch that was finished last, and what has come since. */
struct policy_recent {
    size_t jobs;
    size_t waiting; /* other jobs, when it was finished */
    uint64_t finished_ns;
    uint64_t submitted_ns; /* of the newest job */
};

/*
 * How many jobs should be there before a runner that has just become free starts again: those that
 * waited and nearly all of the last batch. Clients that wait for their answers ask again in a wave; a
 * run for the first of them alone would make all others wait for it, and two halves that run by turns
 * pay for every run twice. *ret_until_ns: when to start with fewer. That is the fixed part of a run's
 * time after the last one, since to wait so long costs no more than the run that is saved by it, but
 * no longer than an eighth of it after the newest job: then it is no wave. 0: start with what there
 * is.
 */
size_t policy_company(const struct batch_target *target, const struct policy_recent *recent,
                      struct run_line line, uint64_t *ret_until_ns);

/* What stands before a job that comes to the runners now. */
struct policy_load {
    size_t jobs; /* that wait */
    int64_t rows;
    unsigned busy; /* runs under way */
    int64_t busy_rows;
    unsigned instances;
};

/* When a job of so many rows would be done, in nanoseconds from now. 0 while nothing is known. */
uint64_t policy_wait_ns(const struct batch_target *target, const struct policy_load *load,
                        int64_t rows, struct run_line line);
/*
 * Whether a job that would be done in `wait_ns` had better be refused at once: the estimate must leave
 * a quarter of its time to spare, for work that expires in the queue is work lost for all. A deadline
 * of 0 is none.
 */
bool policy_is_late(uint64_t wait_ns, uint64_t now_ns, uint64_t deadline_ns);

#endif
