/*
 * One input's tensor while it is being filled, row by row. A sink checks the shape of the rows
 * against the model's input before it takes the first, and has room for as many rows as the payload
 * can hold from the start: nothing grows. One request's thread.
 */
#ifndef CODEC_SINK_H
#define CODEC_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "codec/fields.h"
#include "codec/scalar.h"
#include "tensor/signature.h"
#include "tensor/tensor.h"

/* Dimensions of one row; a row is one value where the rank is 0. */
struct row_shape {
    unsigned rank; /* < TENSOR_MAX_RANK */
    int64_t dims[TENSOR_MAX_RANK];
    size_t elements;
};

struct sink {
    const struct port *port; /* NULL: not open */
    enum dtype through;
    enum dtype dtype;
    struct row_shape row;  /* as it is stored */
    struct tensor tensor;  /* the first dimension is the room; strings are not here */
    struct slice *strings; /* in the arena */
    char *at;              /* the first element of the current row; not of strings */
    size_t element_bytes;
    int64_t rows; /* complete ones */
    int64_t rows_max;
    struct arena *arena;
    bool fed; /* the current row was given (for rows that come by name) */
};

/*
 * Opens a sink for at most `rows_max` rows. ERR_INVALID where they do not fit (naming the
 * input, what it takes and what came) or cannot be addressed, ERR_NO_MEMORY. Ended by sink_take or sink_drop.
 */
MUST_CHECK int sink_open(struct sink *sink, const struct port *port, enum dtype through,
                         const struct row_shape *row, int64_t rows_max, struct arena *arena,
                         struct error *error);

/*
 * Element `index` of the current row (index < row.elements, rows < rows_max). The text of a string
 * is kept as it is until sink_take copies it.
 */
enum scalar_fault sink_put(struct sink *sink, size_t index, const struct scalar *value);
/* The current row is complete. */
void sink_end_row(struct sink *sink);

/*
 * Moves the tensor out, without its first `skipped` rows, and closes the sink. ERR_INVALID where the
 * model wants another number of rows, ERR_NO_MEMORY.
 */
MUST_CHECK int sink_take(struct sink *sink, int64_t skipped, struct tensor *ret_tensor,
                         struct error *error);
void sink_drop(struct sink *sink); /* a closed one is fine */

#endif
