/*
 * The ONNX Runtime as a shared library: found, loaded and initialised once for the process, and the
 * way its errors become ours.
 */
#ifndef BACKEND_ORT_LIBRARY_H
#define BACKEND_ORT_LIBRARY_H

#include "backend/ort_api.h"
#include "base/error.h"

/* Lives until the process ends: sessions and values may outlast whoever loaded it. */
struct ort_library {
    const OrtApi *api;
    OrtEnv *env;
    OrtMemoryInfo *memory;   /* describes buffers of ours to the runtime */
    OrtAllocator *allocator; /* the runtime's default one, not owned */
    const char *version;     /* "1.32.0" */
    char path[512];          /* what was given to the loader */
};

/*
 * Loads the runtime from the file `path`, or along the search path when it is NULL: lib/onnxd/ beside
 * the executable's directory, lib/ in it, the build tree's .deps/, then the system's loader. The
 * first call that succeeds counts; later ones return the same (a different `path` is an error:
 * ERR_CONFIG). A failure leaves nothing behind and may be tried again. ERR_CONFIG names what was
 * tried. Any thread; but it sets an environment variable, so the first call belongs before threads
 * that read the environment.
 */
MUST_CHECK int ort_library_load(const char *path, const struct ort_library **ret_library,
                                struct error *error);

/* The library, once a load has succeeded (checked). Any thread. */
const struct ort_library *ort_library_loaded(void);

/*
 * Take a status of the runtime: ERR_OK for NULL, otherwise `code` (or, for a run, the code that says
 * whose fault it was) with the cleaned text in *error. The status is released.
 */
MUST_CHECK int ort_take_status(OrtStatus *status, enum error_code code, struct error *error);
MUST_CHECK int ort_take_run_status(OrtStatus *status, struct error *error);
/* For calls that only give something back, where a failure changes nothing. */
void ort_drop_status(OrtStatus *status);

#endif
