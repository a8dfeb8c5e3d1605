/*
 * Element types of tensors: the ones ONNX has (onnx.proto, TensorProto.DataType).
 */
#ifndef TENSOR_DTYPE_H
#define TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum dtype {
    DTYPE_NONE, /* no tensor, or not a tensor */
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_F32,
    DTYPE_F64,
    DTYPE_I8,
    DTYPE_I16,
    DTYPE_I32,
    DTYPE_I64,
    DTYPE_U8,
    DTYPE_U16,
    DTYPE_U32,
    DTYPE_U64,
    DTYPE_BOOL,   /* one byte, 0 or 1 */
    DTYPE_STRING, /* struct slice an element, UTF-8 */
    DTYPE_OTHER,  /* complex, 4-bit and 8-bit floats: known to the runtime, refused by codecs */
    DTYPE_COUNT
};

/* Bytes an element; sizeof(struct slice) for strings, 0 for NONE and OTHER. */
size_t dtype_size(enum dtype dtype);
/* "float32", "int64", "string", ... ("none", "unsupported"). Static. */
const char *dtype_name(enum dtype dtype);
/*
 * The names above and their short forms (f16 f32 f64 bf16 i8 .. i64 u8 .. u64 boolean str, double,
 * float, long, int), any case. DTYPE_NONE when unknown.
 */
enum dtype dtype_parse(struct slice name);

static inline bool dtype_is_float(enum dtype dtype)
{
    return dtype >= DTYPE_F16 && dtype <= DTYPE_F64;
}

static inline bool dtype_is_integer(enum dtype dtype)
{
    return dtype >= DTYPE_I8 && dtype <= DTYPE_U64;
}

#endif
