/*
 * Example request bodies made from a model's signature: the right names, dtypes, ranks and counts,
 * every free dimension 1, so that the service answers them with 200 unless the model itself minds
 * the values. For the served OpenAPI document and the start-up banner. Pure, any thread.
 */
#ifndef SERVE_EXAMPLE_H
#define SERVE_EXAMPLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/error.h"
#include "codec/codec.h"
#include "tensor/signature.h"

/* A model with more input elements gets no example: a page could not show it. */
#define EXAMPLE_MAX_ELEMENTS 4096

/* Everything is borrowed. */
struct example_model {
    const struct signature *signature;
    const struct codec_options *options;
};

/* Columns of a matrix request that feeds `input`; 0 where the model takes no matrix there. */
size_t example_columns(const struct example_model *model, const struct port *input);
/* The one input a matrix feeds (ONNX_INPUT_NAME, or the only one); NULL where there is none. */
const struct port *example_matrix_input(const struct example_model *model);

/*
 * Appends a body of the encoding. ERR_NOT_FOUND where there is no such body for this model (it has
 * inputs that are no tensors, too many elements, or the encoding cannot hold them), and then `out`
 * is as it was; ERR_NO_MEMORY.
 */
MUST_CHECK int example_put(const struct example_model *model, enum media media, struct bytes *out);

#endif
