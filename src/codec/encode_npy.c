/*
 * Tensors as .npy, version 1.0 (NumPy Enhancement Proposal 1, "A simple file format for NumPy
 * arrays"): magic, length of the header, the header as a Python dictionary, the elements.
 */
#include "base/check.h"
#include "base/num.h"
#include "codec/encode.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are written as they lie");

#define NPY_PREFIX_BYTES 10 /* magic, version, length */
#define NPY_ALIGN 64        /* the elements start at a multiple of this */
/* Of the text before padding: the words take 60, a dimension at most 22. */
#define NPY_HEADER_MAX (80 + TENSOR_MAX_RANK * (NUM_TEXT_MAX + 2))

static const struct slice descriptors[DTYPE_COUNT] = {
    [DTYPE_F16] = {"<f2", 3}, [DTYPE_F32] = {"<f4", 3}, [DTYPE_F64] = {"<f8", 3},
    [DTYPE_I8] = {"|i1", 3},  [DTYPE_I16] = {"<i2", 3}, [DTYPE_I32] = {"<i4", 3},
    [DTYPE_I64] = {"<i8", 3}, [DTYPE_U8] = {"|u1", 3},  [DTYPE_U16] = {"<u2", 3},
    [DTYPE_U32] = {"<u4", 3}, [DTYPE_U64] = {"<u8", 3}, [DTYPE_BOOL] = {"|b1", 3},
};

static char *put_text(char *at, struct slice text)
{
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

/* "()", "(3,)", "(3, 4)": a Python tuple. */
static char *put_shape(char *at, const struct tensor *tensor)
{
    *at++ = '(';
    for (unsigned i = 0; i < tensor->rank; i++) {
        if (i > 0) {
            *at++ = ' ';
        }
        at += num_print_i64(tensor->dims[i], at);
        if (i == 0 || i + 1 < tensor->rank) {
            *at++ = ',';
        }
    }
    *at++ = ')';
    return at;
}

/* The header's text into room of NPY_HEADER_MAX + NPY_ALIGN bytes, padded; returns its end. */
static char *put_header(char *begin, const struct tensor *tensor)
{
    char *at = put_text(begin, SLICE("{'descr': '"));
    at = put_text(at, descriptors[tensor->dtype]);
    at = put_text(at, SLICE("', 'fortran_order': False, 'shape': "));
    at = put_shape(at, tensor);
    at = put_text(at, SLICE(", }"));
    while ((NPY_PREFIX_BYTES + (size_t)(at - begin) + 1) % NPY_ALIGN != 0) {
        *at++ = ' ';
    }
    *at++ = '\n';
    return at;
}

int encode_npy(struct encode_output output, struct writer *writer, struct error *error)
{
    const struct tensor *tensor = &output.value->tensor;
    if (output.value->kind != VALUE_TENSOR) {
        return encode_refuse(output.port, "npy", "it is not a tensor", error);
    }
    if (descriptors[tensor->dtype].len == 0) {
        return encode_refuse_type(output.port, "npy", tensor->dtype, error);
    }
    if (!writer_has_room(writer, NPY_PREFIX_BYTES + NPY_HEADER_MAX + NPY_ALIGN)) {
        return ERR_NO_MEMORY;
    }
    char *begin = put_text(writer->at, SLICE("\x93NUMPY\x01")) + 3;
    char *end = put_header(begin, tensor);
    size_t len = (size_t)(end - begin);
    begin[-3] = 0; /* minor version */
    begin[-2] = (char)(len & 0xff);
    begin[-1] = (char)(len >> 8);
    writer->at = end;
    return writer_put(writer, slice_make(tensor->at, tensor_bytes(tensor)));
}
