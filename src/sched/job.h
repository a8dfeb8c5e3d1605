/*
 * One inference: the inputs of one request on their way to a model and its values on the way back.
 * A job belongs to whoever submitted it; the scheduler borrows it from submission until `done`.
 */
#ifndef SCHED_JOB_H
#define SCHED_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "obs/trace_context.h"
#include "tensor/tensor.h"

struct job;
struct metrics_shard;

/* Who takes jobs back from other threads. Embed. */
struct job_owner {
    /*
     * Called on a runner's thread with jobs of this owner, linked through `next` in the order of
     * their submission. Must not wait. The jobs are the owner's again: it calls `done` of each on
     * its own thread.
     */
    void (*deliver)(struct job_owner *owner, struct job *jobs);
};

/* What a traced job and a run that it shares learn of each other. */
struct job_trace {
    /* Set by the owner before submission. */
    struct trace_id trace_id;
    struct span_id run_id; /* of the run's span, in case that is this trace's */
    /* Set where the run was shared: the run's span, which the first traced job of it records. */
    bool was_shared;
    bool leads_run;
    struct trace_id shared_trace_id;
    struct span_id shared_run_id;
    int64_t shared_rows;
};

enum job_fate {
    JOB_RAN,
    JOB_CANCELLED, /* before it ran, like the rest */
    JOB_EXPIRED,
    JOB_STOPPED /* the pool ended first */
};

struct job {
    struct job *next; /* the scheduler's */

    /* Set by the owner before submission. */
    const struct tensor *inputs; /* one for each input of the model, in order */
    int64_t rows;                /* of every input that has a free first dimension */
    uint64_t submitted_ns;
    uint64_t deadline_ns;    /* 0: none */
    atomic_bool cancelled;   /* the owner may set it at any time: a job not yet run is dropped */
    struct arena *arena;     /* for the structs behind `values` */
    struct value *values;    /* room for as many as outputs are wanted */
    struct job_owner *owner; /* needed by the pool only */
    struct job_trace *trace; /* NULL: it is not traced */

    /* Called once, on the owner's thread. */
    void (*done)(struct job *job);

    /* Valid in `done`. */
    enum error_code status; /* ERR_OK: values are set, and the owner ends them with value_done */
    uint64_t started_ns;    /* of the run that held it */
    uint64_t finished_ns;
    unsigned shared_by; /* jobs in that run */
    enum job_fate fate;
    unsigned runs;        /* of the model for the batch that this job was the first of, else 0 */
    int64_t run_rows;     /* rows of that batch */
    unsigned run_jobs;    /* and its jobs */
    uint64_t input_bytes; /* the scheduler's */
    struct error
        error; /* why, where status is not ERR_OK; last, since it is large and not cleared */
};

/* Ends a job that has not run: its status, error and fate. */
void job_end_unrun(struct job *job, enum job_fate fate, enum error_code code, const char *why);
/* True, and it is ended, where it must not run any more: cancelled, or its deadline not after `now_ns`. */
bool job_end_if_dead(struct job *job, uint64_t now_ns);

/* Sets what the bounds of a queue count: the bytes of all inputs. */
void job_measure(struct job *job, size_t input_count);
/* Counts a finished job, and the run it was the first of. The shard's thread. */
void job_count(const struct job *job, struct metrics_shard *metrics);

#endif
