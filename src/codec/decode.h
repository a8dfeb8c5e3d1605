/*
 * One request while it is decoded: what every encoding's decoder shares. A decoder opens the sinks
 * of the inputs that the payload gives and fills them; codec_decode takes the tensors out, sees that
 * none is missing and that their rows agree. One thread a request.
 */
#ifndef CODEC_DECODE_H
#define CODEC_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "codec/plan.h"
#include "codec/sink.h"

struct decode {
    const struct codec_plan *plan;
    struct slice body;
    const struct codec_origin *origin; /* for places in messages */
    struct arena *arena;
    struct sink *sinks; /* one a model input, closed where the payload gives nothing */
    bool copies_text;   /* strings do not stay where they are read until the tensors are taken */
};

/* The decoders; errors as codec_decode's. Sinks they leave open on failure are dropped for them. */
MUST_CHECK int decode_json(struct decode *decode, struct error *error);
MUST_CHECK int decode_jsonl(struct decode *decode, struct error *error);
MUST_CHECK int decode_csv(struct decode *decode, struct error *error);
MUST_CHECK int decode_npy(struct decode *decode, struct error *error);

/* ERR_INVALID `too_many_records: <n> > <max>`. */
MUST_CHECK int decode_check_records(const struct decode *decode, uint64_t records,
                                    struct error *error);
/*
 * Opens the sink of a field's input for rows of this shape, at most `rows_max` of them; fewer where
 * the body is too short for so many. Errors as sink_open's, and of decode_check_features for the
 * input of the matrix.
 */
MUST_CHECK int decode_open(struct decode *decode, const struct field *field,
                           const struct row_shape *row, uint64_t rows_max, struct error *error);
/* Rows that lines of text can give: at most the lines there are, one past MAX_RECORDS. */
uint64_t decode_rows_bound(const struct decode *decode, uint64_t lines);

/* The offset in the whole payload of byte `at` of the body. */
static inline size_t decode_byte(const struct decode *decode, size_t at)
{
    return at + (size_t)decode->origin->bytes;
}

/* ERR_INVALID naming the inputs that a bare matrix leaves out, where there are any. */
MUST_CHECK int decode_check_matrix(const struct decode *decode, struct error *error);

/* "\"a\", \"b\"": names for messages, as many as fit. Returns `text`. */
#define NAMES_TEXT_MAX 240
const char *decode_list_inputs(const struct decode *decode, char text[NAMES_TEXT_MAX]);

#endif
