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
#include "tensor/tensor.h"

struct job {
    struct job *next; /* the scheduler's */

    /* Set by the owner before submission. */
    const struct tensor *inputs; /* one for each input of the model, in order */
    int64_t rows;                /* of every input that has a free first dimension */
    uint64_t submitted_ns;
    uint64_t deadline_ns;  /* 0: none */
    atomic_bool cancelled; /* the owner may set it at any time: a job not yet run is dropped */
    struct arena *arena;   /* for the structs behind `values` */
    struct value *values;  /* room for as many as outputs are wanted */

    /* Called once, on the thread that ran the job (inline: the owner's). */
    void (*done)(struct job *job);

    /* Valid in `done`. */
    enum error_code status; /* ERR_OK: values are set, and the owner ends them with value_done */
    struct error error;     /* else why */
    uint64_t started_ns;    /* of the run that held it */
    uint64_t finished_ns;
    unsigned shared_by; /* jobs in that run */
};

#endif
