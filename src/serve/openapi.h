/*
 * The served OpenAPI document: docs/openapi.yaml (embedded in the binary) with one marked block
 * replaced by one written for the loaded model. Pure; any thread.
 */
#ifndef SERVE_OPENAPI_H
#define SERVE_OPENAPI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "codec/codec.h"
#include "tensor/signature.h"

/* Room that the document of any model fits in; give `out` at least this as its maximum. */
#define OPENAPI_MAX_BYTES (1024 * 1024)

/* What the document says of the loaded model. Everything is borrowed for the call. */
struct openapi_model {
    struct slice name, version;          /* of the manifest, else the file's; may be empty */
    const struct signature *signature;   /* may be NULL where `ready` is false */
    const struct codec_options *options; /* how bodies are read; NULL: codec_options_default() */
    struct slice
        example_content_type; /* of the manifest's example; empty: built from the signature */
    struct slice example_body;
    const struct slice *feature_names; /* of the matrix input; may be NULL */
    size_t feature_name_count;
    bool ready; /* false: the document is the general one */
};

/*
 * Appends the document. An example of the manifest that cannot stand in it (not JSON although its
 * type says so, nested deeper than YAML_MAX_DEPTH) is replaced by a built one. ERR_NO_MEMORY, and
 * then `out` holds a part of it.
 */
MUST_CHECK int openapi_write(const struct openapi_model *model, struct bytes *out,
                             struct error *error);

/* The same from another document, for tests. ERR_INTERNAL where it lacks the two marks. */
MUST_CHECK int openapi_write_from(struct slice document, const struct openapi_model *model,
                                  struct bytes *out, struct error *error);

#endif
