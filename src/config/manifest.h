/*
 * manifest.json, the optional file beside a model that gives its tensors names and meaning: read
 * strictly (an unknown key is an error that names its JSON path) and compared with the loaded
 * model, so that a wrong one is found at the start and not by a client. Nothing here logs. A
 * manifest never changes after it was read: any thread may read it.
 */
#ifndef CONFIG_MANIFEST_H
#define CONFIG_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "config/settings.h"
#include "tensor/dtype.h"
#include "tensor/signature.h"
#include "tensor/tensor.h"

#define MANIFEST_FILE_NAME "manifest.json"
#define MANIFEST_MAX_BYTES ((size_t)1 << 20)

/* What a manifest says of one input or output. Slices are empty where it says nothing. */
struct manifest_port {
    struct slice name; /* never empty, unique among the inputs or the outputs */
    enum dtype dtype;  /* DTYPE_NONE: not said */
    bool has_shape;
    unsigned rank;
    int64_t dims[TENSOR_MAX_RANK];     /* -1: free */
    const struct slice *feature_names; /* of the last dimension's elements, unique */
    size_t feature_name_count;
    const struct slice *class_labels; /* by class index */
    size_t class_label_count;
    const struct slice *units; /* one for all elements or, with units_each, one a feature */
    size_t unit_count;
    bool units_each;
    struct slice description;
};

/* A request body: the warm-up sample, the example of the documentation. */
struct manifest_sample {
    bool given;
    struct slice content_type; /* "application/json" where the manifest does not say */
    struct slice body;         /* text as it is, or a JSON value printed without spaces */
};

struct manifest {
    struct slice name, version, description;
    const struct manifest_port *inputs;
    size_t input_count;
    const struct manifest_port *outputs;
    size_t output_count;
    const struct settings_pair *settings; /* allowed names, checked values: for settings_load */
    size_t setting_count;
    struct manifest_sample warmup;
    struct manifest_sample example;
    struct arena arena; /* holds all of the above */
};

/*
 * Reads a manifest's text, which is not kept. ERR_CONFIG with line and column (invalid JSON) or the
 * path of the member at fault ("$.inputs[0].shpae: unknown; did you mean \"shape\"?"), and for text
 * over MANIFEST_MAX_BYTES; ERR_NO_MEMORY. On success *manifest is ended with manifest_done; on failure there is nothing to
 * end.
 */
MUST_CHECK int manifest_parse(struct manifest *manifest, struct slice text, struct error *error);
/*
 * Reads manifest.json in `directory`. Without such a file *manifest is empty, *ret_found false and
 * the result ERR_OK. Errors as above, with the file's path in front, and for what is no regular
 * file, is larger than MANIFEST_MAX_BYTES or cannot be read. Blocking.
 */
MUST_CHECK int manifest_load(struct manifest *manifest, const char *directory, bool *ret_found,
                             struct error *error);
void manifest_done(struct manifest *manifest);

/* What the manifest says of the input or output with this name, or NULL. Borrowed. */
const struct manifest_port *manifest_find_input(const struct manifest *manifest, struct slice name);
const struct manifest_port *manifest_find_output(const struct manifest *manifest,
                                                 struct slice name);

/*
 * Compares a manifest with its model. Calls `report` once for every contradiction with one line
 * that names the field, what the manifest says and what the model says:
 * "inputs[0].dtype: the manifest says float64, the model says float32 (input \"X\")".
 * Returns how many there were. A manifest may be narrower than the model (a fixed dimension where
 * the model's is free) and may leave inputs and outputs out. Settings that name inputs or outputs are
 * compared too. The manifest's settings may be overridden; this looks at what the manifest says.
 */
size_t manifest_check(const struct manifest *manifest, const struct signature *signature,
                      void (*report)(void *argument, const char *line), void *argument);

#endif
