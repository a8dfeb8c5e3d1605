#include "tensor/tensor.h"

#include <string.h>

#include "base/check.h"
#include "base/checked.h"

int64_t tensor_elements(const struct tensor *tensor)
{
    int64_t elements = 1;
    for (unsigned i = 0; i < tensor->rank; i++) {
        elements *= tensor->dims[i];
    }
    return elements;
}

int64_t tensor_row_elements(const struct tensor *tensor)
{
    int64_t elements = 1;
    for (unsigned i = 1; i < tensor->rank; i++) {
        elements *= tensor->dims[i];
    }
    return elements;
}

int64_t tensor_rows(const struct tensor *tensor)
{
    return tensor->rank == 0 ? 1 : tensor->dims[0];
}

size_t tensor_bytes(const struct tensor *tensor)
{
    return (size_t)tensor_elements(tensor) * dtype_size(tensor->dtype);
}

/* Bytes of a shape; false where a dimension is negative or the product cannot be addressed. */
static bool shape_bytes(enum dtype dtype, unsigned rank, const int64_t *dims, size_t *ret_bytes)
{
    int64_t elements = 1;
    for (unsigned i = 0; i < rank; i++) {
        if (dims[i] < 0 || checked_mul_i64(elements, dims[i], &elements)) {
            return false;
        }
    }
    return !checked_mul((size_t)elements, dtype_size(dtype), ret_bytes) &&
           *ret_bytes <= (size_t)INT64_MAX;
}

int tensor_new(enum dtype dtype, unsigned rank, const int64_t *dims, struct tensor *ret_tensor,
               struct error *error)
{
    CHECK(rank <= TENSOR_MAX_RANK && dtype_size(dtype) > 0);
    size_t size_bytes;
    if (!shape_bytes(dtype, rank, dims, &size_bytes)) {
        return error_set(error, ERR_INVALID, "the shape is too large");
    }
    struct buffer *buffer = buffer_new(size_bytes);
    if (buffer == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a tensor of %zu bytes", size_bytes);
    }
    *ret_tensor =
        (struct tensor){.dtype = dtype, .rank = rank, .buffer = buffer, .at = buffer->ptr};
    memcpy(ret_tensor->dims, dims, rank * sizeof(dims[0]));
    return ERR_OK;
}

static bool text_bytes(const struct slice *strings, size_t count, size_t *total)
{
    for (size_t i = 0; i < count; i++) {
        if (checked_add(*total, strings[i].len, total)) {
            return false;
        }
    }
    return true;
}

int tensor_new_strings(unsigned rank, const int64_t *dims, const struct slice *strings,
                       struct tensor *ret_tensor, struct error *error)
{
    CHECK(rank <= TENSOR_MAX_RANK);
    size_t total;
    if (!shape_bytes(DTYPE_STRING, rank, dims, &total)) {
        return error_set(error, ERR_INVALID, "the shape is too large");
    }
    size_t count = total / sizeof(struct slice);
    if (!text_bytes(strings, count, &total)) {
        return error_set(error, ERR_INVALID, "the strings are too large");
    }
    struct buffer *buffer = buffer_new(total);
    if (buffer == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a tensor of %zu bytes", total);
    }
    struct slice *slots = buffer->ptr;
    char *text = (char *)(slots + count);
    for (size_t i = 0; i < count; i++) {
        if (strings[i].len > 0) {
            memcpy(text, strings[i].ptr, strings[i].len);
        }
        slots[i] = slice_make(text, strings[i].len);
        text += strings[i].len;
    }
    *ret_tensor =
        (struct tensor){.dtype = DTYPE_STRING, .rank = rank, .buffer = buffer, .at = buffer->ptr};
    memcpy(ret_tensor->dims, dims, rank * sizeof(dims[0]));
    return ERR_OK;
}

struct tensor tensor_row_view(const struct tensor *whole, int64_t first, int64_t rows)
{
    CHECK(whole->rank >= 1 && first >= 0 && rows >= 0 && first + rows <= whole->dims[0]);
    struct tensor view = *whole;
    size_t row_bytes = (size_t)tensor_row_elements(whole) * dtype_size(whole->dtype);
    view.dims[0] = rows;
    view.at = (char *)whole->at + (size_t)first * row_bytes;
    if (view.buffer != NULL) {
        buffer_ref(view.buffer);
    }
    return view;
}

void tensor_done(struct tensor *tensor)
{
    buffer_unref(tensor->buffer);
    *tensor = (struct tensor){.dtype = DTYPE_NONE};
}

int64_t value_rows(const struct value *value)
{
    switch (value->kind) {
    case VALUE_TENSOR:
        return tensor_rows(&value->tensor);
    case VALUE_SEQUENCE:
        return (int64_t)value->item_count;
    case VALUE_MAP:
        return 1;
    case VALUE_NONE:
        break;
    }
    return 0;
}

/*
 * Sequences nest as deep as the model's own output type, not as deep as input says: recursion is
 * bounded by the graph that was loaded.
 */
void value_done(struct value *value)
{
    for (size_t i = 0; i < value->item_count; i++) {
        value_done(&value->items[i]);
    }
    tensor_done(&value->tensor);
    tensor_done(&value->keys);
    tensor_done(&value->mapped);
    *value = (struct value){.kind = VALUE_NONE};
}
