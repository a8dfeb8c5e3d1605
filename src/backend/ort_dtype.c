/*
 * One table for both directions.
 */
#include "backend/ort_dtype.h"

static const struct {
    enum dtype dtype;
    const char *other_name; /* of a type that is DTYPE_OTHER */
} types[] = {
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED] = {DTYPE_NONE, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT] = {DTYPE_F32, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8] = {DTYPE_U8, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8] = {DTYPE_I8, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16] = {DTYPE_U16, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16] = {DTYPE_I16, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32] = {DTYPE_I32, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64] = {DTYPE_I64, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING] = {DTYPE_STRING, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL] = {DTYPE_BOOL, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16] = {DTYPE_F16, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE] = {DTYPE_F64, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32] = {DTYPE_U32, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64] = {DTYPE_U64, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX64] = {DTYPE_OTHER, "complex64"},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX128] = {DTYPE_OTHER, "complex128"},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16] = {DTYPE_BF16, NULL},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN] = {DTYPE_OTHER, "float8e4m3fn"},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ] = {DTYPE_OTHER, "float8e4m3fnuz"},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2] = {DTYPE_OTHER, "float8e5m2"},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ] = {DTYPE_OTHER, "float8e5m2fnuz"},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4] = {DTYPE_OTHER, "uint4"},
    [ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4] = {DTYPE_OTHER, "int4"},
};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

enum dtype ort_dtype_from(ONNXTensorElementDataType type)
{
    /* A newer runtime may have types this header does not know. */
    return (size_t)type < TYPE_COUNT ? types[type].dtype : DTYPE_OTHER;
}

ONNXTensorElementDataType ort_dtype_to(enum dtype dtype)
{
    for (size_t i = 0; i < TYPE_COUNT && dtype != DTYPE_OTHER; i++) {
        if (types[i].dtype == dtype) {
            return (ONNXTensorElementDataType)i;
        }
    }
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

const char *ort_dtype_name(ONNXTensorElementDataType type)
{
    const char *other = (size_t)type < TYPE_COUNT ? types[type].other_name : NULL;
    return other != NULL ? other : dtype_name(ort_dtype_from(type));
}
