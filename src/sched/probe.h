/*
 * A trial of a freshly loaded model with made-up inputs: it is warm afterwards, and whether two
 * rows answer alike alone and together is known. A first dimension can be free without being a
 * batch (a sequence, a graph's nodes): sharing runs would then mix the answers of strangers.
 */
#ifndef SCHED_PROBE_H
#define SCHED_PROBE_H

#include "base/arena.h"
#include "sched/batch.h"
#include "tensor/signature.h"

enum probe_result {
    PROBE_REFUSED,     /* the model does not run on made-up inputs: nothing is known */
    PROBE_INDEPENDENT, /* rows answer alike alone and together */
    PROBE_DEPENDENT    /* they do not: runs must not be shared */
};

/*
 * Runs the model three times, or until it refuses, each within the target's limit. Free dimensions but
 * the first become 1. `arena` is scratch. Blocking; any thread.
 */
enum probe_result probe_rows(const struct batch_target *target, const struct signature *signature,
                             struct arena *arena);

/*
 * The same question asked with rows that somebody gave, for a model that refuses made-up ones: the
 * first few of them together and each alone. Every input has `rows` rows. PROBE_REFUSED also where
 * there is but one. `arena` is scratch. Blocking; any thread.
 */
enum probe_result probe_given_rows(const struct batch_target *target, const struct tensor *inputs,
                                   int64_t rows, struct arena *arena);

/*
 * One made-up input set of `rows` rows for every input of the model: tensors in the arena, ended by
 * the caller with tensor_done. Row r of a numeric input holds (first + r + 1) / 2 in floats,
 * first + r in integers; strings are "a", "b", ... ERR_NO_MEMORY, or ERR_INVALID where an input is no
 * tensor or too large to make up.
 */
MUST_CHECK int probe_make_inputs(const struct signature *signature, int64_t first, int64_t rows,
                                 struct arena *arena, struct tensor **ret_inputs);

#endif
