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

/* Inputs that a request has to give: all but optional ones. */
bool plan_input_required(const struct codec_plan *plan, size_t input);

#endif
