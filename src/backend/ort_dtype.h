/*
 * Element types of the runtime and ours. Pure functions, any thread.
 */
#ifndef BACKEND_ORT_DTYPE_H
#define BACKEND_ORT_DTYPE_H

#include "backend/ort_api.h"
#include "tensor/dtype.h"

/* DTYPE_OTHER for types codecs have no form for, DTYPE_NONE for UNDEFINED. */
enum dtype ort_dtype_from(ONNXTensorElementDataType type);
/* UNDEFINED for NONE and OTHER. */
ONNXTensorElementDataType ort_dtype_to(enum dtype dtype);
/* "float32", and also the names of types that are only DTYPE_OTHER to us: "float8e4m3fn". Static. */
const char *ort_dtype_name(ONNXTensorElementDataType type);

#endif
