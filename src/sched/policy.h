/*
 * Which jobs of a queue share the next run, and when it starts: functions of the queue and the time
 * alone. The inline queue and the pool choose by the same rules.
 */
#ifndef SCHED_POLICY_H
#define SCHED_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/batch.h"
#include "sched/queue.h"

/* Whether two jobs agree in everything but their rows: dtype, rank and all other dimensions. */
bool policy_fits(const struct batch_target *target, const struct job *a, const struct job *b);

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

#endif
