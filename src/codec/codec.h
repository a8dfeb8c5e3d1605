/*
 * Payloads to tensors and back: pure functions of bytes, options and a signature. Nothing here
 * knows of HTTP, gRPC, sockets or clocks. One decoder and one encoder an encoding, found by media
 * type in one registry; the options are compiled once per model into a plan.
 */
#ifndef CODEC_CODEC_H
#define CODEC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "tensor/signature.h"
#include "tensor/tensor.h"

enum media { MEDIA_NONE, MEDIA_JSON, MEDIA_JSONL, MEDIA_CSV, MEDIA_NPY };

/*
 * The encoding of a Content-Type value (RFC 9110 section 8.3.1): parameters and case are ignored,
 * any "+json" suffix is JSON. MEDIA_NONE when unsupported.
 */
enum media media_parse(struct slice content_type);
/*
 * The encoding an Accept value asks for (RFC 9110 section 12.5.1, q-values honoured; of equal ones
 * the first listed): MEDIA_CSV, MEDIA_NPY or MEDIA_JSON. An empty value, a wildcard, or a list with
 * nothing we can give means `fallback`.
 */
enum media media_negotiate(struct slice accept, enum media fallback);
/* "application/json", "text/csv", "application/x-npy": the Content-Type of an answer. */
struct slice media_content_type(enum media media);

enum csv_header { CSV_HEADER_AUTO, CSV_HEADER_TRUE, CSV_HEADER_FALSE };
enum json_nonfinite { JSON_NONFINITE_LITERAL, JSON_NONFINITE_NULL, JSON_NONFINITE_ERROR };

/* A key of the request or response body and the model's name for it. */
struct codec_mapping {
    struct slice key;
    struct slice port;
    enum dtype dtype; /* of an input, where set; else DTYPE_NONE */
};

/*
 * The settings that concern payloads (README, "Payload"), borrowed from the configuration.
 * Zero-initialised members mean "not set" except where a default stands in codec_options_default.
 */
struct codec_options {
    struct slice json_key_instances; /* "instances" */
    struct slice jsonl_features_key; /* "features" */
    char csv_delimiter;              /* ',' */
    enum csv_header csv_has_header;
    bool csv_skip_blank_lines;    /* true */
    struct slice id_columns;      /* TABULAR_ID_COLUMNS: "a:b" or "i,j,k" */
    struct slice feature_columns; /* TABULAR_FEATURE_COLUMNS */
    uint64_t num_features;        /* 0: not checked */
    enum dtype tabular_dtype;     /* DTYPE_NONE: the model's own */
    uint64_t max_records;
    struct slice input_name;               /* ONNX_INPUT_NAME: which input takes the matrix */
    struct slice output_name;              /* ONNX_OUTPUT_NAME */
    uint64_t output_index;                 /* ONNX_OUTPUT_INDEX, clamped to the last */
    const struct codec_mapping *input_map; /* ONNX_INPUT_MAP_JSON + ONNX_INPUT_DTYPE_MAP_JSON */
    size_t input_map_count;
    const struct codec_mapping *output_map; /* ONNX_OUTPUT_MAP_JSON */
    size_t output_map_count;
    bool dynamic_batch;           /* ONNX_DYNAMIC_BATCH: batch dimensions must agree */
    bool predictions_only;        /* RETURN_PREDICTIONS_ONLY */
    struct slice json_output_key; /* "predictions" */
    enum json_nonfinite json_nonfinite;
    const struct slice
        *feature_names; /* of the manifest: a CSV header with these reorders columns */
    size_t feature_name_count;
};

struct codec_options codec_options_default(void);

/*
 * Options checked against a signature, ready for use: which input each column or key feeds, which
 * outputs are wanted. Read-only after codec_plan_new: any thread.
 */
struct codec_plan;

/*
 * Both arguments are borrowed for the plan's life. ERR_CONFIG with the setting's environment name in
 * the text when an option does not fit the signature. *ret_plan is owned: codec_plan_free.
 */
MUST_CHECK int codec_plan_new(const struct codec_options *options,
                              const struct signature *signature, struct codec_plan **ret_plan,
                              struct error *error);
void codec_plan_free(struct codec_plan *plan); /* NULL is fine */
/* The version of yyjson this was built with. Static. */
const char *codec_library_version(void);
/* Output indices a run has to ask for, in the order codec_encode expects their values. */
const size_t *codec_plan_wanted(const struct codec_plan *plan, size_t *ret_count);

/* One request's inputs: signature->input_count tensors, in order; DTYPE_NONE where not given. */
struct codec_inputs {
    struct tensor *tensors; /* array in the arena, buffers counted */
    size_t count;
    int64_t rows; /* for MAX_RECORDS, metadata and batching */
};

/*
 * Decodes a whole body. Errors are ERR_INVALID (the text names row, column, byte offset or input) or
 * ERR_NO_MEMORY; *ret_inputs is written only on success and ended with codec_inputs_done. The body
 * is borrowed and not kept. `arena` holds the parsed document; reset it after the exchange.
 */
MUST_CHECK int codec_decode(const struct codec_plan *plan, enum media media, struct slice body,
                            struct arena *arena, struct codec_inputs *ret_inputs,
                            struct error *error);
void codec_inputs_done(struct codec_inputs *inputs);

/*
 * Where a body stands in a payload too large to be decoded at once, which therefore comes in pieces.
 * Every piece but the first starts with the payload's first line or record once more: it decides
 * what only a first one can (whether there is a header, the form of the rows, their columns and
 * shape), so that every piece is read as the whole would be.
 */
struct codec_origin {
    int64_t rows; /* added to row numbers in messages; likewise lines and byte offsets */
    int64_t lines;
    int64_t bytes;
    int64_t skipped_rows; /* rows at the start of the body that are left out of the tensors */
};

/* codec_decode for a piece: its skipped rows count nowhere, its messages name places in the whole. */
MUST_CHECK int codec_decode_piece(const struct codec_plan *plan, enum media media,
                                  struct slice body, const struct codec_origin *origin,
                                  struct arena *arena, struct codec_inputs *ret_inputs,
                                  struct error *error);
/*
 * Whether a CSV body whose first row is complete starts with a header. Errors as codec_decode's where
 * the first row is wrong.
 */
MUST_CHECK int codec_csv_has_header(const struct codec_plan *plan, struct slice body,
                                    struct arena *arena, bool *ret_has_header, struct error *error);
/*
 * Whether a bare array (JSON, npy) of values nested `depth` deep is one row of the matrix rather
 * than an array of rows. Records of several inputs are always rows.
 */
bool codec_array_is_row(const struct codec_plan *plan, unsigned depth);

/*
 * Appends the answer to `out`. values[] are those of codec_plan_wanted. *ret_media is what was
 * written (a response with an output map is JSON whatever was asked). ERR_INVALID where a value has
 * no such encoding (complex numbers; JSON_NONFINITE=error; a 3-D tensor as CSV flattens each row),
 * ERR_NO_MEMORY.
 */
MUST_CHECK int codec_encode(const struct codec_plan *plan, enum media media,
                            const struct value *values, struct bytes *out, enum media *ret_media,
                            struct error *error);

#endif
