/*
 * A dense, row-major n-dimensional array, and the other values a model can answer with (sequences
 * and maps). Everything after a codec and before a backend is one of these, whatever the protocol.
 */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

#define TENSOR_MAX_RANK 8

struct tensor {
    enum dtype dtype;
    unsigned rank;
    int64_t dims[TENSOR_MAX_RANK]; /* all >= 0; the first is the rows where there are rows */
    struct buffer *buffer;         /* one reference of ours to what holds `at`; may be NULL */
    void
        *at; /* the first element; for strings struct slice[], whose bytes live in the buffer too */
};

/* Product of the dimensions; 1 for rank 0. Checked when the tensor was made. */
int64_t tensor_elements(const struct tensor *tensor);
/* Elements a row: the product of all dimensions but the first (1 for rank <= 1). */
int64_t tensor_row_elements(const struct tensor *tensor);
/* dims[0], or 1 for rank 0. */
int64_t tensor_rows(const struct tensor *tensor);
/* Bytes of the elements (of the slice array alone for strings). */
size_t tensor_bytes(const struct tensor *tensor);

/*
 * A new tensor with a buffer of its own, elements not set. ERR_INVALID when the shape is too large
 * to address, ERR_NO_MEMORY; *ret_tensor is written only on success.
 */
MUST_CHECK int tensor_new(enum dtype dtype, unsigned rank, const int64_t *dims,
                          struct tensor *ret_tensor, struct error *error);
/*
 * A new 1-D-storage string tensor: copies the slices' bytes into one buffer. `strings` has as many
 * elements as the shape.
 */
MUST_CHECK int tensor_new_strings(unsigned rank, const int64_t *dims, const struct slice *strings,
                                  struct tensor *ret_tensor, struct error *error);
/* Rows [first, first + rows) of `whole`, sharing its buffer (one more reference). Rank >= 1. */
struct tensor tensor_row_view(const struct tensor *whole, int64_t first, int64_t rows);
/* Gives the buffer's reference back and clears the tensor. */
void tensor_done(struct tensor *tensor);

enum value_kind { VALUE_NONE, VALUE_TENSOR, VALUE_SEQUENCE, VALUE_MAP };

/* What an output of a model is. The structs live in the arena of whoever asked; buffers are counted. */
struct value {
    enum value_kind kind;
    struct tensor tensor; /* VALUE_TENSOR */
    struct value *items;  /* VALUE_SEQUENCE: item_count of them */
    size_t item_count;
    struct tensor keys;   /* VALUE_MAP: a vector of int64 or string */
    struct tensor mapped; /* VALUE_MAP: a vector as long, of any dtype */
};

/* Rows of an output: tensor rows, or items of a sequence; 1 for maps. */
int64_t value_rows(const struct value *value);
void value_done(struct value *value);

#endif
