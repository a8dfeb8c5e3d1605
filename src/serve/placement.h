/*
 * Where a deployment's model runs: on the I/O loops, on runner threads of its own, or (auto) as its
 * run time asks. Binds sched/execution and sched/pool to the settings; part of a deployment.
 */
#ifndef SERVE_PLACEMENT_H
#define SERVE_PLACEMENT_H

#include "base/error.h"
#include "config/settings.h"
#include "obs/metrics.h"
#include "sched/batch.h"
#include "sched/execution.h"
#include "sched/inline.h"
#include "sched/pool.h"
#include "tensor/signature.h"

struct placement {
    struct execution execution;
    struct pool *pool; /* NULL where nothing is ever pooled */
};

/*
 * Times a run of the model, which is warm, where it takes made-up inputs, and starts its runners where it
 * may need some. The target learns of the execution; it and the placement are not moved after. Blocking; any
 * thread.
 * `intra_op_threads` is what one run occupies. A model that processes of its own run is always pooled, with
 * a runner a process. ERR_NO_MEMORY, ERR_INTERNAL.
 */
MUST_CHECK int placement_init(struct placement *placement, const struct settings *settings,
                              struct batch_target *target, const struct signature *signature,
                              bool takes_made_up, unsigned intra_op_threads, struct error *error);
/* Ends the runners; no job is there any more. Fine for one that is all zero. */
void placement_done(struct placement *placement);

/*
 * Hands the job to the loop's queue or to the runners. ERR_OK: it comes back by way of `done`, perhaps
 * before this returns: where the queue meanwhile serves another deployment than that of `target`.
 * Otherwise it was not taken: ERR_BUSY, or ERR_TIMEOUT where it would come too late. The queue's
 * thread.
 */
MUST_CHECK int placement_submit(struct placement *placement, const struct batch_target *target,
                                struct inline_queue *queue, struct job *job);

/*
 * Whether the job of a request that comes now would be refused as too late; asked before decoding.
 * Any thread.
 */
bool placement_is_late(struct placement *placement, uint64_t deadline_ns);
/*
 * Jobs are left after this turn's inline run: hands them to a runner where one is free and there is
 * enough to do for it. How many. The queue's thread.
 */
size_t placement_hand_over(struct placement *placement, struct inline_queue *queue);

/* Sets the gauges of `model` (metrics_use_model) that speak of execution and runners. Any thread. */
void placement_measure(const struct placement *placement, struct metrics *metrics, unsigned model);

#endif
