/*
 * Where a model runs: on the I/O loops (inline) or on runner threads (pooled). A moving estimate of
 * the time of a run, as a straight line over its rows, decides for EXECUTION=auto: a model whose
 * typical job takes longer than a limit is pooled, and comes back only well below it. The same line
 * tells policy.h how long a job would wait. The estimate is a pure function of what it is told; struct
 * execution shares one between threads without a lock.
 */
#ifndef SCHED_EXECUTION_H
#define SCHED_EXECUTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sched/batch.h"
#include "sched/job.h"

/* Runs until an estimate that nothing else has vouched for is trusted. */
#define EXECUTION_WARMUP_RUNS 8

/* Moving means and (co)variances of rows and time. Zero: nothing is known. One thread at a time. */
struct run_cost {
    unsigned observed; /* stops counting where more makes no difference */
    double rows;
    double time_ns;
    double rows_variance;
    double covariance;
    bool slope_known; /* runs of different sizes were seen, perhaps long ago */
    double slope_ns;  /* of one more row, as it was then */
};

/* What a run of so many rows takes: fixed_ns + rows * row_ns. All zero: not known. */
struct run_line {
    double fixed_ns;
    double row_ns;
};

/* One run. A single odd one (a preempted thread) moves the estimate by a bounded step. */
void run_cost_observe(struct run_cost *cost, int64_t rows, uint64_t time_ns);
/* Never negative, never falling with rows. 0 while nothing is known. */
double run_cost_predict_ns(const struct run_cost *cost, double rows);
/* The same as a line. While runs have all been of one size, time is taken to be in proportion. */
struct run_line run_cost_line(const struct run_cost *cost);
/* The most rows, from 1 to `most`, whose predicted time stays within `limit_ns`. */
int64_t run_cost_rows_within(const struct run_cost *cost, uint64_t limit_ns, int64_t most);

/* Whether the model should be pooled now, when it was (`pooled`) until now. */
bool execution_decide(bool pooled, double job_ns, uint64_t inline_max_ns);

enum execution_rule { EXECUTION_AUTO, EXECUTION_INLINE, EXECUTION_POOLED };

struct execution {
    /* Set by the owner at the start. */
    enum execution_rule rule;
    uint64_t inline_max_ns; /* of auto */
    /* auto has changed its mind. On the thread whose run did it; may be NULL. */
    void (*on_change)(const struct execution *execution, void *user);
    void *user;

    atomic_flag observing; /* who holds it may touch the next two; who does not get it goes on */
    struct run_cost cost;
    double job_rows; /* moving mean of a job's rows */
    atomic_bool pooled;
    _Atomic uint64_t job_ns; /* estimate for a job of job_rows rows that runs alone; 0: unknown */
    _Atomic int64_t inline_rows; /* most rows of an inline run */
    _Atomic uint64_t fixed_ns;   /* of the line */
    _Atomic uint64_t row_ps;     /* likewise, in picoseconds */
};

/* Until something is known, auto pools: no loop stands still for a model nobody has timed. */
void execution_init(struct execution *execution, enum execution_rule rule, uint64_t inline_max_ns);
/*
 * A trusted measurement of a run of `jobs` jobs of one row each, from a trial before service; may be
 * repeated. It decides at once, without on_change. Before other threads know the execution.
 */
void execution_seed(struct execution *execution, unsigned jobs, uint64_t time_ns);
/*
 * A batch has run in `time_ns`. Failed and repeated runs are left out: they say little of what a
 * run takes. NULL is fine. Any thread.
 */
void execution_observe(struct execution *execution, const struct job *jobs,
                       const struct batch_report *report, uint64_t time_ns);
/* Whether a job of so many rows should run inline. Any thread. */
bool execution_is_inline(const struct execution *execution, int64_t rows);
/* What a run takes, as far as is known. NULL is fine: nothing is. Any thread. */
struct run_line execution_line(const struct execution *execution);
/* The most rows of an inline run, not above `max_rows`. NULL: max_rows. Any thread. */
int64_t execution_inline_rows(const struct execution *execution, int64_t max_rows);

#endif
