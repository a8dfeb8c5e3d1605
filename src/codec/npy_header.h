/*
 * The header of an npy file (NumPy format versions 1.0, 2.0 and 3.0): a Python dict literal with
 * exactly the keys descr, fortran_order and shape. Pure functions: any thread.
 */
#ifndef CODEC_NPY_HEADER_H
#define CODEC_NPY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

struct npy_header {
    enum dtype dtype; /* a float, an integer or bool */
    bool swapped;     /* the elements' bytes are not in this machine's order */
    bool fortran_order;
    unsigned rank;
    int64_t dims[TENSOR_MAX_RANK];
    size_t elements;
    size_t bytes_before; /* where the elements start */
};

/*
 * ERR_INVALID saying what is wrong: not npy, another version, a type that no tensor has (objects,
 * text, complex), a shape that is too large. Whether the elements are all there is not looked at.
 */
MUST_CHECK int npy_header_parse(struct slice file, struct npy_header *ret_header,
                                struct error *error);

/* Room for any header that is printed here. */
#define NPY_HEADER_MAX 512

/*
 * A header in version 1.0, with everything before the elements: padded to a multiple of 64 bytes as
 * NumPy does and to at least `least_bytes` (<= 256). Of the header dtype, swapped, fortran_order,
 * rank and dims count. Returns the length.
 */
size_t npy_header_print(const struct npy_header *header, size_t least_bytes,
                        char text[NPY_HEADER_MAX]);
/* Whether arrays have elements of this type. */
bool npy_has_type(enum dtype dtype);

#endif
