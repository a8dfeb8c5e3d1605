/*
 * Converts single tensors. Which of them are inputs, outputs or pieces of a map is the caller's.
 */
#include "backend/ort_tensor.h"

#include <string.h>

#include "backend/ort_dtype.h"
#include "base/check.h"
#include "base/checked.h"

/* Each element is written in place: the runtime's other way wants NUL-terminated copies. */
static int lend_strings(const struct ort_library *library, const struct tensor *tensor,
                        OrtValue **ret_value, struct error *error)
{
    const OrtApi *api = library->api;
    OrtValue *value;
    int status =
        ort_take_status(api->CreateTensorAsOrtValue(library->allocator, tensor->dims, tensor->rank,
                                                    ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value),
                        ERR_INTERNAL, error);
    if (status != ERR_OK) {
        return status;
    }
    const struct slice *strings = tensor->at;
    size_t count = (size_t)tensor_elements(tensor);
    for (size_t i = 0; status == ERR_OK && i < count; i++) {
        char *into;
        status = ort_take_status(
            api->GetResizedStringTensorElementBuffer(value, i, strings[i].len, &into), ERR_INTERNAL,
            error);
        if (status == ERR_OK && strings[i].len > 0) {
            memcpy(into, strings[i].ptr, strings[i].len);
        }
    }
    if (status != ERR_OK) {
        api->ReleaseValue(value);
        return status;
    }
    *ret_value = value;
    return ERR_OK;
}

int ort_tensor_lend(const struct ort_library *library, const struct tensor *tensor,
                    OrtValue **ret_value, struct error *error)
{
    static char nothing; /* the runtime wants an address also where there are no elements */
    if (tensor->dtype == DTYPE_STRING) {
        return lend_strings(library, tensor, ret_value, error);
    }
    CHECK(dtype_size(tensor->dtype) > 0);
    void *at = tensor->at != NULL ? tensor->at : &nothing;
    return ort_take_status(library->api->CreateTensorWithDataAsOrtValue(
                               library->memory, at, tensor_bytes(tensor), tensor->dims,
                               tensor->rank, ort_dtype_to(tensor->dtype), ret_value),
                           ERR_INTERNAL, error);
}

/* Fills dtype, rank and dims. */
static int read_shape(const struct ort_library *library, const OrtValue *value,
                      struct tensor *tensor, struct error *error)
{
    const OrtApi *api = library->api;
    OrtTensorTypeAndShapeInfo *info;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    int status = ort_take_status(api->GetTensorTypeAndShape(value, &info), ERR_INTERNAL, error);
    if (status != ERR_OK) {
        return status;
    }
    OrtStatus *failed = api->GetTensorElementType(info, &type);
    if (failed == NULL) {
        failed = api->GetDimensionsCount(info, &rank);
    }
    if (failed == NULL && rank <= TENSOR_MAX_RANK) {
        failed = api->GetDimensions(info, tensor->dims, rank);
    }
    api->ReleaseTensorTypeAndShapeInfo(info);
    if (failed == NULL && rank > TENSOR_MAX_RANK) {
        return error_set(error, ERR_INVALID, "an output has %zu dimensions, at most %d are served",
                         rank, TENSOR_MAX_RANK);
    }
    tensor->dtype = ort_dtype_from(type);
    tensor->rank = (unsigned)rank;
    return ort_take_status(failed, ERR_INTERNAL, error);
}

static void release_value(struct buffer *buffer)
{
    ort_library_loaded()->api->ReleaseValue(buffer->owner);
    buffer_free_wrapper(buffer);
}

/* Puts a buffer over the runtime's memory into the tensor; the buffer takes `owned`. */
static int wrap(const struct ort_library *library, OrtValue *owned, struct tensor *tensor,
                struct error *error)
{
    void *at = NULL;
    int status =
        ort_take_status(library->api->GetTensorMutableData(owned, &at), ERR_INTERNAL, error);
    if (status != ERR_OK) {
        return status;
    }
    tensor->buffer = buffer_wrap(at, tensor_bytes(tensor), release_value, owned);
    if (tensor->buffer == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for an output");
    }
    tensor->at = at;
    return ERR_OK;
}

/* The buffer holds the slices, then the offsets the runtime gives, then the text. */
static int copy_strings(const struct ort_library *library, const OrtValue *value,
                        struct tensor *tensor, struct error *error)
{
    size_t count = (size_t)tensor_elements(tensor);
    size_t text_bytes = 0;
    size_t index_bytes;
    size_t size_bytes;
    int status = ort_take_status(library->api->GetStringTensorDataLength(value, &text_bytes),
                                 ERR_INTERNAL, error);
    if (status != ERR_OK) {
        return status;
    }
    if (checked_mul(count, sizeof(struct slice) + sizeof(size_t), &index_bytes) ||
        checked_add(index_bytes, text_bytes, &size_bytes)) {
        return error_set(error, ERR_NO_MEMORY, "no memory for an output of strings");
    }
    struct buffer *buffer = buffer_new(size_bytes);
    if (buffer == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for an output of %zu bytes", size_bytes);
    }
    struct slice *slices = buffer->ptr;
    size_t *offsets = (size_t *)(slices + count);
    char *text = (char *)(offsets + count);
    status = ort_take_status(
        library->api->GetStringTensorContent(value, text, text_bytes, offsets, count), ERR_INTERNAL,
        error);
    if (status != ERR_OK) {
        buffer_unref(buffer);
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        size_t end = i + 1 < count ? offsets[i + 1] : text_bytes;
        slices[i] = slice_make(text + offsets[i], end - offsets[i]);
    }
    tensor->buffer = buffer;
    tensor->at = slices;
    return ERR_OK;
}

int ort_tensor_take(const struct ort_library *library, OrtValue *owned, struct tensor *ret_tensor,
                    struct error *error)
{
    struct tensor tensor = {.dtype = DTYPE_NONE};
    int status = read_shape(library, owned, &tensor, error);
    bool is_string = tensor.dtype == DTYPE_STRING;
    if (status == ERR_OK) {
        status = is_string ? copy_strings(library, owned, &tensor, error)
                           : wrap(library, owned, &tensor, error);
    }
    if (status != ERR_OK || is_string) {
        library->api->ReleaseValue(owned);
    }
    if (status == ERR_OK) {
        *ret_tensor = tensor;
    }
    return status;
}
