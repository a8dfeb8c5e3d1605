/*
 * Work for one request that would hold its loop up: done on a thread of sched/task_pool, and then
 * gone on with on the loop.
 */
#ifndef SERVE_ERRAND_H
#define SERVE_ERRAND_H

#include "net/loop.h"
#include "sched/task_pool.h"

/* Embed; borrowed from errand_run until `done`. It may be run anew from there. */
struct errand {
    struct task task;
    struct loop_mail mail;
    struct loop *loop;
    void (*work)(struct errand *errand);
    void (*done)(struct errand *errand);
};

/* Loop thread. `work` is called on a thread of the pool, then `done` on this loop's, which lives. */
void errand_run(struct errand *errand, struct task_pool *pool, struct loop *loop,
                void (*work)(struct errand *errand), void (*done)(struct errand *errand));

#endif
