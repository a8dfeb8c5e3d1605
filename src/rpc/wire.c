#include "rpc/wire.h"

#include <limits.h>
#include <stdbool.h>

#include "base/utf8.h"

#define TAG_MAX_BYTES 5
#define LENGTH_MAX_BYTES 5
#define FIELD_NUMBER_MAX ((UINT32_C(1) << 29) - 1)

/* ---- reading ---- */

static int broken(const char *what, size_t at, struct error *error)
{
    return error_set(error, ERR_INVALID, "protobuf: %s at byte offset %zu", what, at);
}

/* Takes a varint of at most `max_bytes` off the message; false where there is none. */
static bool take_varint(struct wire_reader *reader, size_t max_bytes, uint64_t *ret_value)
{
    struct slice rest = slice_head(slice_tail(reader->message, reader->at), max_bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char byte = (unsigned char)rest.ptr[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            reader->at += i + 1;
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* Finds the field's value behind its tag; what is written there may not be all there. */
static int find_value(struct wire_reader *reader, struct wire_field *field, size_t *ret_len,
                      struct error *error)
{
    size_t start = reader->at;
    uint64_t value;
    switch (field->type) {
    case WIRE_VARINT:
        if (!take_varint(reader, WIRE_VARINT_MAX_BYTES, &value)) {
            return broken("a varint without an end", start, error);
        }
        *ret_len = reader->at - start;
        reader->at = start;
        return ERR_OK;
    case WIRE_FIXED64:
        *ret_len = 8;
        return ERR_OK;
    case WIRE_FIXED32:
        *ret_len = 4;
        return ERR_OK;
    case WIRE_BYTES:
        if (!take_varint(reader, LENGTH_MAX_BYTES, &value) || value > INT_MAX) {
            return broken("no length of a field", start, error);
        }
        *ret_len = (size_t)value;
        return ERR_OK;
    default:
        return broken("a field of no known wire type", field->at, error);
    }
}

int wire_read_field(struct wire_reader *reader, struct wire_field *ret_field, struct error *error)
{
    struct wire_field field = {.at = reader->at};
    uint64_t tag;
    if (!take_varint(reader, TAG_MAX_BYTES, &tag)) {
        return broken("no tag of a field", field.at, error);
    }
    if (tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX) {
        return broken("a field number out of range", field.at, error);
    }
    field.number = (uint32_t)(tag >> 3);
    field.type = (enum wire_type)(tag & 7);
    size_t len = 0;
    int status = find_value(reader, &field, &len, error);
    if (status != ERR_OK) {
        return status;
    }
    if (len > reader->message.len - reader->at) {
        return broken("a field that is longer than the message", field.at, error);
    }
    field.bytes = slice_make(reader->message.ptr + reader->at, len);
    reader->at += len;
    *ret_field = field;
    return ERR_OK;
}

int wire_read_bytes(const struct wire_field *field, const char *name, struct slice *ret_value,
                    struct error *error)
{
    if (field->type != WIRE_BYTES) {
        return error_set(error, ERR_INVALID,
                         "protobuf: field %s at byte offset %zu has another wire type", name,
                         field->at);
    }
    *ret_value = field->bytes;
    return ERR_OK;
}

int wire_read_text(const struct wire_field *field, const char *name, struct slice *ret_value,
                   struct error *error)
{
    struct slice text = field->bytes;
    int status = wire_read_bytes(field, name, &text, error);
    if (status != ERR_OK) {
        return status;
    }
    if (utf8_valid_bytes(text) < text.len) {
        return error_set(error, ERR_INVALID, "protobuf: field %s at byte offset %zu is not UTF-8",
                         name, field->at);
    }
    *ret_value = text;
    return ERR_OK;
}

/* ---- writing ---- */

static uint64_t bytes_tag(uint32_t number)
{
    return (uint64_t)number << 3 | WIRE_BYTES;
}

size_t wire_varint_bytes(uint64_t value)
{
    size_t bytes = 1;
    for (; value >= 0x80; value >>= 7) {
        bytes++;
    }
    return bytes;
}

size_t wire_field_bytes(uint32_t number, size_t len)
{
    return wire_varint_bytes(bytes_tag(number)) + wire_varint_bytes(len) + len;
}

static int put_varint(struct bytes *out, uint64_t value)
{
    char text[WIRE_VARINT_MAX_BYTES];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7) {
        text[len++] = (char)(unsigned char)(value | 0x80);
    }
    text[len++] = (char)value;
    return bytes_put(out, slice_make(text, len));
}

int wire_put_bytes_head(struct bytes *out, uint32_t number, size_t len)
{
    int status = put_varint(out, bytes_tag(number));
    return status == ERR_OK ? put_varint(out, len) : status;
}

int wire_put_bytes(struct bytes *out, uint32_t number, struct slice value)
{
    int status = wire_put_bytes_head(out, number, value.len);
    return status == ERR_OK ? bytes_put(out, value) : status;
}
