/*
 * The rows of an npy file: how many bytes each takes, and a header for some of them.
 */
#ifndef CLI_NPY_ROWS_H
#define CLI_NPY_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "codec/codec.h"
#include "codec/npy_header.h"

struct npy_rows {
    struct npy_header header;
    uint64_t rows;    /* that the header promises */
    size_t row_bytes; /* 0: the array is not stored row by row, is one row or has none */
};

/* ERR_INVALID as npy_header_parse, of what is there of the file. */
MUST_CHECK int npy_rows_open(struct npy_rows *npy, const struct codec_plan *plan,
                             struct slice start, struct error *error);
/* The header of an array of `rows` of the rows; returns its length. */
size_t npy_rows_print_header(const struct npy_rows *npy, uint64_t rows, char text[NPY_HEADER_MAX]);

#endif
