/*
 * The way home for jobs that ran on other threads: runners put them here, and the loop that owns them
 * takes them out on its own thread. However many come while the loop is busy, one mail is on its way.
 */
#ifndef SERVE_RETURNS_H
#define SERVE_RETURNS_H

#include <stdatomic.h>

#include "net/loop.h"
#include "obs/metrics.h"
#include "sched/job.h"

struct returns {
    struct job_owner owner; /* what jobs carry; first, so that it is found again */
    struct loop *loop;
    struct metrics_shard *metrics;
    struct loop_mail mail;
    atomic_bool mail_sent;
    _Atomic(struct job *) newest; /* linked through `next` to the oldest */
};

/* Both borrowed. The loop must live until every job with this owner is back. */
void returns_init(struct returns *returns, struct loop *loop, struct metrics_shard *metrics);

#endif
