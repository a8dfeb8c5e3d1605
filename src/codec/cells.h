/*
 * Runs of tensor elements as text: one loop per element type, shared by JSON and CSV, which differ
 * in the words for what is not a number and in how they write strings.
 */
#ifndef CODEC_CELLS_H
#define CODEC_CELLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "codec/writer.h"
#include "tensor/dtype.h"

struct cell_style {
    struct slice yes, no;                          /* booleans */
    struct slice nan, infinity, negative_infinity; /* at most 16 bytes each */
    bool refuse_nonfinite;                         /* instead of writing these three */
    char delimiter;                                /* CSV: what makes quotes necessary */
    /* ERR_NO_MEMORY */
    int (*put_string)(struct writer *writer, struct slice text, const struct cell_style *style);
};

/* Whether elements of this type have a text. */
bool cells_are_supported(enum dtype dtype);

/*
 * Writes `count` elements of a supported type, `separator` between them. ERR_NO_MEMORY, or ERR_INVALID
 * where the style refuses a value: *ret_refused is then its position. Neither sets a message.
 */
MUST_CHECK int cells_put(struct writer *writer, const struct cell_style *style, char separator,
                         enum dtype dtype, const void *cells, size_t count, size_t *ret_refused);

#endif
