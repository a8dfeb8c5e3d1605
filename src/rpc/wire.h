/*
 * The protobuf encoding, field by field, for messages whose bytes must not be copied. Stricter than
 * protobuf-c in one thing, the range of field numbers; groups, which proto3 does not have, are refused.
 * Pure functions: any thread.
 */
#ifndef RPC_WIRE_H
#define RPC_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

/* "Protocol Buffers, Encoding": the low three bits of a tag. */
enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2, /* strings, bytes, messages */
    WIRE_FIXED32 = 5,
};

#define WIRE_VARINT_MAX_BYTES 10

/* Where a reader stands in a message. */
struct wire_reader {
    struct slice message;
    size_t at;
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    size_t at;          /* the offset of its tag in the message */
    struct slice bytes; /* of WIRE_BYTES: the content, borrowed; else the value as it is written */
};

/* Whether there is a field to read. */
static inline bool wire_reader_has_field(const struct wire_reader *reader)
{
    return reader->at < reader->message.len;
}

/* Reads the next field. ERR_INVALID naming the offset of what is broken. */
MUST_CHECK int wire_read_field(struct wire_reader *reader, struct wire_field *ret_field,
                               struct error *error);

/*
 * The value of a field that holds bytes, or text. ERR_INVALID where it has another type, or the text is
 * no UTF-8; `name` is the field's, for the message.
 */
MUST_CHECK int wire_read_bytes(const struct wire_field *field, const char *name,
                               struct slice *ret_value, struct error *error);
MUST_CHECK int wire_read_text(const struct wire_field *field, const char *name,
                              struct slice *ret_value, struct error *error);

/* The bytes that a varint takes, and a WIRE_BYTES field with its tag and length. */
size_t wire_varint_bytes(uint64_t value);
size_t wire_field_bytes(uint32_t number, size_t len);

/*
 * Append; ERR_NO_MEMORY past the maximum or without memory. The tag and the length of a WIRE_BYTES
 * field whose `len` bytes the caller appends.
 */
MUST_CHECK int wire_put_bytes_head(struct bytes *out, uint32_t number, size_t len);
/* A whole WIRE_BYTES field. */
MUST_CHECK int wire_put_bytes(struct bytes *out, uint32_t number, struct slice value);

#endif
