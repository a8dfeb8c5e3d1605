/*
 * A codec's options checked against a model's signature and looked up once: which input a bare
 * matrix feeds, which key feeds which input, which outputs are wanted. Made by codec_plan_new
 * (codec.h), read-only afterwards, shared by decoders and encoders.
 */
#ifndef CODEC_PLAN_H
#define CODEC_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "codec/codec.h"
#include "codec/fields.h"
#include "codec/selector.h"

struct codec_plan {
    const struct codec_options *options;
    const struct signature *signature;
    size_t *wanted; /* output indices: of the output map's entries in order, or the one output */
    size_t wanted_count;

    /* Decoders only from here on. */
    struct field matrix;    /* the input a bare matrix feeds */
    struct fields inputs;   /* the model's tensor inputs by their own names */
    struct fields mapped;   /* ONNX_INPUT_MAP_JSON; empty: tabular mode */
    struct fields features; /* the manifest's feature names; field.index is the feature's column */
    struct selector ids;    /* TABULAR_ID_COLUMNS */
    struct selector chosen; /* TABULAR_FEATURE_COLUMNS */
};

/*
 * What settings mean together:
 * - TABULAR_DTYPE (and a type in the input map) is a stop on the way, not the tensor's type, which is
 *   always the model's: a value has to fit it and is rounded to it, then goes on to the model's type
 *   by the same rules. It concerns the matrix alone; inputs fed by name have their own types.
 * - TABULAR_FEATURE_COLUMNS and TABULAR_ID_COLUMNS both count the columns as they came; a column
 *   that both name is an id. They concern the matrix alone.
 * - A CSV header that names all inputs a request has to give feeds these. Else one with all the
 *   manifest's feature names orders the columns by these and drops all others, unless
 *   TABULAR_FEATURE_COLUMNS is set; with only some of the names it is refused. Else columns count by
 *   position.
 */

/* Inputs that a request has to give: all but optional ones. */
bool plan_input_required(const struct codec_plan *plan, size_t input);
/* Whether an array nested `depth` deep, not under the input's name, is one row of this input. */
bool plan_is_row(const struct port *port, unsigned depth);

#endif
