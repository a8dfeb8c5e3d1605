/*
 * Batching: jobs that wait together run together where they can. Which of them share a run is
 * decided in policy.h; here gathering joins their rows, and scattering gives each its own back.
 */
#ifndef SCHED_BATCH_H
#define SCHED_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/arena.h"
#include "sched/job.h"

struct execution;

/* What runs the jobs. Borrowed, read-only. */
struct batch_target {
    const struct backend *backend;
    struct backend_model *model;
    size_t input_count;
    const size_t *wanted; /* output indices */
    size_t wanted_count;
    bool batchable;              /* the model's shape and the settings allow shared runs */
    int64_t max_rows;            /* of a shared run; a larger job runs alone */
    uint64_t run_timeout_ns;     /* of a run that can be ended, with the wait before; 0: no limit */
    struct execution *execution; /* is told of each run's time; NULL: nobody is */
};

/* What a call of batch_run did. */
struct batch_report {
    unsigned runs;
    unsigned jobs;
    int64_t rows;
};

/*
 * One run of one set of inputs, within run_timeout_ns where runs can be ended; returns what
 * backend.run does, or ERR_TIMEOUT. Any thread.
 */
MUST_CHECK int batch_run_inputs(const struct batch_target *target, const struct tensor *inputs,
                                struct arena *arena, struct value *values, struct error *error);

/*
 * Runs the jobs linked through `next` as one call of the backend and fills their status, values, error
 * and fate; does not call done. When a shared run fails, each of its jobs runs again alone, and only
 * those that fail alone carry an error. The rows that came back are checked against the rows that
 * went in: a model that answers with another number in a shared run has its jobs run alone. `arena`
 * is scratch, reset by the caller after. Any thread.
 *
 * One job may hang a run that others share. So where a run can be ended (backend.run_within) a shared
 * one gets an eighth of run_timeout_ns, or four times what is expected of its rows if that is more,
 * and each of its jobs that then runs alone gets half of it, or what is expected and a third more: the others
 * are answered while there is time.
 * All of that happens within run_timeout_ns, by `clock_ns` (CLOCK_MONOTONIC): a job that finds too little
 * of it left, or has been cancelled or passed its deadline meanwhile, is ended unrun. ERR_UNAVAILABLE ends
 * all of them at once.
 */
void batch_run(const struct batch_target *target, struct job *jobs, uint64_t (*clock_ns)(void),
               struct arena *arena, struct batch_report *report);

/* Notes in each job of the batch when it ran, and in the first what the run was. */
void batch_finish(struct job *jobs, const struct batch_report *report, uint64_t started_ns,
                  uint64_t finished_ns);

#endif
