/*
 * Batching: jobs that wait together run together where they can. Which of them share a run is a
 * pure function of the queue; gathering joins their rows, scattering gives each its own back.
 */
#ifndef SCHED_BATCH_H
#define SCHED_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/arena.h"
#include "sched/job.h"

/* What runs the jobs. Borrowed, read-only. */
struct batch_target {
    const struct backend *backend;
    struct backend_model *model;
    size_t input_count;
    const size_t *wanted; /* output indices */
    size_t wanted_count;
    bool batchable;   /* the model's shape and the settings allow shared runs */
    int64_t max_rows; /* of a shared run; a larger job runs alone */
};

/* Whether two jobs agree in everything but their rows: dtype, rank and all other dimensions. */
bool batch_fits(const struct batch_target *target, const struct job *a, const struct job *b);

/*
 * Takes the first job off *queue (not empty) and, when runs may be shared, every later one that
 * fits it while the rows stay within max_rows. Returns them linked through `next` in their order;
 * the others stay, in theirs.
 */
struct job *batch_take(const struct batch_target *target, struct job **queue);

/* What a call of batch_run did, for metrics. */
struct batch_report {
    unsigned runs;
    unsigned jobs;
    int64_t rows;
};

/*
 * Runs the jobs linked through `next` as one call of the backend and fills their status, values and
 * error; does not call done. When a shared run fails, each of its jobs runs again alone, and only
 * those that fail alone carry an error. The rows that came back are checked against the rows that
 * went in: a model that answers with another number in a shared run has its jobs run alone. `arena`
 * is scratch, reset by the caller after. Any thread.
 */
void batch_run(const struct batch_target *target, struct job *jobs, struct arena *arena,
               struct batch_report *report);

#endif
