/*
 * The protobuf wire format, field by field, over a message in memory: for what looks at every node of
 * a graph, where onnx_header's window over a file would be in the way. Nothing is copied. Bytes from
 * outside: every length is checked. Any thread.
 */
#ifndef BACKEND_ONNX_FIELD_H
#define BACKEND_ONNX_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum onnx_wire_type { ONNX_WIRE_VARINT = 0, ONNX_WIRE_BYTES = 2 }; /* those that are asked for */

struct onnx_field {
    uint64_t number;
    unsigned type;
    uint64_t varint;    /* of ONNX_WIRE_VARINT */
    struct slice body;  /* of ONNX_WIRE_BYTES */
    struct slice whole; /* with its tag and length, as it stands in the message */
};

/*
 * Takes the first field off *message, which must not be empty. False where it is malformed (cut off,
 * number 0, a wire type that ONNX does not use); *message and *field are of no use then.
 */
bool onnx_field_next(struct slice *message, struct onnx_field *field);

static inline bool onnx_field_is_bytes(const struct onnx_field *field, uint64_t number)
{
    return field->number == number && field->type == ONNX_WIRE_BYTES;
}

static inline bool onnx_field_is_varint(const struct onnx_field *field, uint64_t number)
{
    return field->number == number && field->type == ONNX_WIRE_VARINT;
}

#endif
