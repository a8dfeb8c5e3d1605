/*
 * Which file of a model directory is the model, and of which kind (README, "A model directory"). Opening
 * it is somebody else's.
 */
#ifndef BACKEND_ARTIFACT_H
#define BACKEND_ARTIFACT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum model_kind { MODEL_ONNX, MODEL_SKLEARN, MODEL_PYTORCH, MODEL_TENSORFLOW, MODEL_FAKE };

struct artifact_query {
    struct slice directory;  /* SM_MODEL_DIR */
    struct slice model_type; /* MODEL_TYPE; empty: by the file's name */
    struct slice file_name;  /* MODEL_FILENAME; only its base name counts; empty: default names */
    bool allow_fake;         /* tests: *.fake is a model too, and "fake" a type */
};

struct artifact {
    enum model_kind kind;
    struct slice path; /* NUL-terminated; a directory for a TensorFlow saved model */
};

/*
 * Finds the model; *ret_artifact's memory is the arena's. ERR_CONFIG when the settings cannot be
 * meant (an unknown type, a name without a base, an extension that says nothing), ERR_NOT_FOUND when
 * nothing is there, with what was looked for: files may still arrive. ERR_NO_MEMORY. Any thread.
 */
MUST_CHECK int artifact_find(const struct artifact_query *query, struct arena *arena,
                             struct artifact *ret_artifact, struct error *error);

/* "onnx", "sklearn", "pytorch", "tensorflow", "fake". Static. */
const char *model_kind_name(enum model_kind kind);

#endif
