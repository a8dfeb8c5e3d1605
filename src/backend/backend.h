/*
 * What runs a model: one vtable, so that ONNX Runtime, worker processes and the test double are the
 * same to everything above. A backend knows nothing of protocols, batching or settings.
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "tensor/signature.h"
#include "tensor/tensor.h"

/* How to open a model. Everything is borrowed for the call. */
struct backend_options {
    const char *path;             /* the model file (or directory, for formats that are one) */
    const char *library;          /* the runtime's shared library; NULL: the search path decides */
    struct slice providers;       /* "CPUExecutionProvider,..." in order of preference */
    unsigned intra_op_threads;    /* >= 1 */
    unsigned inter_op_threads;    /* >= 1 */
    struct slice graph_opt_level; /* disable | basic | extended | all */
};

struct backend_model; /* each backend's own */

struct backend {
    const char *name; /* "onnx", "fake" */
    /*
     * Loads a model. On success *ret_model is owned by the caller (close it); on failure a code
     * (ERR_CONFIG for anything wrong with the file or the options) and one line saying why.
     * Blocking; any thread.
     */
    int (*open)(const struct backend_options *options, struct backend_model **ret_model,
                struct error *error);
    /* Borrowed, valid until close. Any thread. */
    const struct signature *(*signature)(const struct backend_model *model);
    /*
     * From now on runs ask for these outputs alone (others are a programming error), so the others
     * need not be computed; the signature stays what it was. May be NULL: the backend computes
     * only what a run asks for, or has no other way. On failure, with one line saying why, the model
     * computes what it did before; ERR_OK also where it does so because nothing can be saved.
     * Blocking; once, by the model's only user.
     */
    int (*narrow)(struct backend_model *model, const size_t *wanted, size_t wanted_count,
                  struct error *error);
    /*
     * One run. inputs[i] belongs to signature input i, dtype and rank as declared (an input whose
     * dtype is DTYPE_NONE is left out: the model may have a default); wanted[] are output indices.
     * On success values[0..wanted_count) are set: structs in `arena`, buffers counted, the caller
     * ends them with value_done. On failure nothing is set, and the code is ERR_INVALID where the
     * inputs caused it (a shape the graph refuses, an index out of range), else ERR_INTERNAL; the
     * text is the runtime's first line. Any thread, several at once.
     */
    int (*run)(struct backend_model *model, const struct tensor *inputs, const size_t *wanted,
               size_t wanted_count, struct arena *arena, struct value *values, struct error *error);
    void (*close)(struct backend_model *model);
    /* The runtime's version text, static; loads the library when needed. NULL when it cannot. */
    const char *(*version)(const char *library, struct error *error);
};

extern const struct backend backend_ort;
extern const struct backend backend_fake; /* tests only: linked into onnxd-fake, never into onnxd */

#endif
