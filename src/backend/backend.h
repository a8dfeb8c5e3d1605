/*
 * What runs a model: one vtable, so that ONNX Runtime, worker processes and the test double are the
 * same to everything above. A backend knows nothing of protocols, batching or settings.
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "tensor/signature.h"
#include "tensor/tensor.h"

/* For models that processes of their own run. All borrowed for the call of open. */
struct backend_worker_options {
    const char *kind;          /* "sklearn", "pytorch", "tensorflow" */
    const char *manifest;      /* path of the manifest; NULL: there is none */
    struct slice output;       /* MODEL_OUTPUT; empty: not set */
    unsigned count;            /* processes, >= 1 */
    unsigned threads;          /* of a run, >= 1 */
    const char *python;        /* the interpreter; NULL: python3 in PATH */
    struct slice command;      /* another worker program, words with spaces between; empty: ours */
    struct slice environment;  /* "A,B": more variables to pass on */
    uint64_t max_rss_bytes;    /* a process with more is replaced; 0: no limit */
    uint64_t start_timeout_ns; /* until it is ready */
};

/* How long a run may take that another process computes. 0: no limit. */
struct backend_limits {
    uint64_t run_ns;   /* from the moment a process has it */
    uint64_t whole_ns; /* with the wait for a process */
    uint64_t least_ns; /* of whole_ns, not above it: what a wait has to leave for the run */
};

/*
 * Told of what happens to a model after it was opened, on threads of the backend, never two calls at
 * once. Borrowed until close; members may be NULL.
 */
struct backend_observer {
    void (*line)(void *user, enum log_level level, const char *text); /* for the log */
    void (*health)(void *user, bool healthy); /* whether it can run; it can when open returns */
    void *user;
};

/* How to open a model. Everything but the observer is borrowed for the call. */
struct backend_options {
    const char *path;             /* the model file (or directory, for formats that are one) */
    const char *library;          /* the runtime's shared library; NULL: the search path decides */
    struct slice providers;       /* "CPUExecutionProvider,..." in order of preference */
    unsigned intra_op_threads;    /* >= 1 */
    unsigned inter_op_threads;    /* >= 1 */
    struct slice graph_opt_level; /* disable | basic | extended | all */
    struct backend_worker_options worker;
    const struct backend_observer *observer; /* NULL: nobody */
};

/* Why a process was ended by us. */
enum backend_kill {
    BACKEND_KILL_TIMEOUT,
    BACKEND_KILL_MEMORY,
    BACKEND_KILL_PROTOCOL,
    BACKEND_KILLS
};

/* What a model's processes have done since it was opened. */
struct backend_figures {
    unsigned workers; /* alive and ready */
    uint64_t starts;  /* processes started */
    uint64_t deaths;  /* that ended by themselves or by somebody's signal */
    uint64_t kills[BACKEND_KILLS];
    uint64_t resident_bytes; /* of all of them */
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
     * inputs caused it (a shape the graph refuses, an index out of range), ERR_UNAVAILABLE where
     * nothing is left that could run it, else ERR_INTERNAL; the text is the runtime's first line.
     * Any thread, several at once.
     */
    int (*run)(struct backend_model *model, const struct tensor *inputs, const size_t *wanted,
               size_t wanted_count, struct arena *arena, struct value *values, struct error *error);
    /* The same run, ended with ERR_TIMEOUT past one of the limits. NULL: runs cannot be ended. */
    int (*run_within)(struct backend_model *model, const struct tensor *inputs,
                      const size_t *wanted, size_t wanted_count,
                      const struct backend_limits *limits, struct arena *arena,
                      struct value *values, struct error *error);
    void (*close)(struct backend_model *model);
    /*
     * How many runs go on side by side, where that is not the callers' affair: such runs wait for
     * another process, which may hang, so they never belong on an I/O thread. NULL: a run is computed
     * by the thread that asks. Any thread.
     */
    unsigned (*instances)(const struct backend_model *model);
    /* NULL where there are no processes. Any thread. */
    void (*measure)(struct backend_model *model, struct backend_figures *ret_figures);
    /* The runtime's version text, static; loads the library when needed. NULL when it cannot. */
    const char *(*version)(const char *library, struct error *error);
};

extern const struct backend backend_ort;
extern const struct backend backend_worker; /* scikit-learn, PyTorch, TensorFlow */
extern const struct backend backend_fake; /* tests only: linked into onnxd-fake, never into onnxd */

#endif
