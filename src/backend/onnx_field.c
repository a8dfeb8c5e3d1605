#include "backend/onnx_field.h"

#define VARINT_MAX_BYTES 10

enum { WIRE_FIXED64 = 1, WIRE_FIXED32 = 5 };

static bool take_varint(struct slice *rest, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < VARINT_MAX_BYTES && i < rest->len; i++) {
        unsigned char byte = (unsigned char)rest->ptr[i];
        value |= (uint64_t)(byte & 0x7f)
                 << (7 * i); /* bits past the 64th fall off, as they should */
        if ((byte & 0x80) == 0) {
            *rest = slice_tail(*rest, i + 1);
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct slice *rest, uint64_t len, struct slice *ret_bytes)
{
    if (len > rest->len) {
        return false;
    }
    *ret_bytes = slice_head(*rest, (size_t)len);
    *rest = slice_tail(*rest, (size_t)len);
    return true;
}

static bool take_content(struct slice *rest, struct onnx_field *field)
{
    struct slice fixed;
    uint64_t len;
    switch (field->type) {
    case ONNX_WIRE_VARINT:
        return take_varint(rest, &field->varint);
    case ONNX_WIRE_BYTES:
        return take_varint(rest, &len) && take_bytes(rest, len, &field->body);
    case WIRE_FIXED64:
        return take_bytes(rest, 8, &fixed);
    case WIRE_FIXED32:
        return take_bytes(rest, 4, &fixed);
    default:
        return false;
    }
}

bool onnx_field_next(struct slice *message, struct onnx_field *field)
{
    struct slice rest = *message;
    uint64_t tag;
    if (!take_varint(&rest, &tag) || tag >> 3 == 0) {
        return false;
    }
    field->number = tag >> 3;
    field->type = (unsigned)(tag & 7);
    if (!take_content(&rest, field)) {
        return false;
    }
    field->whole = slice_head(*message, message->len - rest.len);
    *message = rest;
    return true;
}
