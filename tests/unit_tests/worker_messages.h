/*
 * The worker's half of the protocol, as far as tests and fuzz targets need it: integers and texts put
 * one behind the other, a signature as READY points to it, and an area of outputs.
 */
#ifndef WORKER_MESSAGES_H
#define WORKER_MESSAGES_H

#include <stdlib.h>
#include <string.h>

#include "backend/worker_bytes.h"
#include "backend/worker_wire.h"
#include "base/bytes.h"
#include "base/check.h"

/* The protocol's numbers, as its page lists them. */
static const uint32_t message_dtypes[DTYPE_COUNT] = {
    [DTYPE_F32] = 1,  [DTYPE_U8] = 2,   [DTYPE_I8] = 3,     [DTYPE_U16] = 4,   [DTYPE_I16] = 5,
    [DTYPE_I32] = 6,  [DTYPE_I64] = 7,  [DTYPE_STRING] = 8, [DTYPE_BOOL] = 9,  [DTYPE_F16] = 10,
    [DTYPE_F64] = 11, [DTYPE_U32] = 12, [DTYPE_U64] = 13,   [DTYPE_BF16] = 16,
};

static inline void message_put(struct bytes *message, const void *ptr, size_t len)
{
    CHECK(bytes_put(message, slice_make(ptr, len)) == ERR_OK);
}

static inline void message_put_u32(struct bytes *message, uint32_t value)
{
    char bytes[sizeof(value)];
    worker_put_u32(bytes, value);
    message_put(message, bytes, sizeof(bytes));
}

static inline void message_put_u64(struct bytes *message, uint64_t value)
{
    char bytes[sizeof(value)];
    worker_put_u64(bytes, value);
    message_put(message, bytes, sizeof(bytes));
}

static inline void message_put_text(struct bytes *message, struct slice text)
{
    message_put_u32(message, (uint32_t)text.len);
    message_put(message, text.ptr, text.len);
}

static inline void message_put_texts(struct bytes *message, const struct slice *texts, size_t count)
{
    message_put_u32(message, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        message_put_text(message, texts[i]);
    }
}

static inline void message_put_port(struct bytes *message, const struct port *port)
{
    message_put_text(message, port->name);
    message_put_u32(message, message_dtypes[port->dtype]);
    message_put_u32(message, port->rank_known ? port->rank : UINT32_MAX);
    for (unsigned i = 0; port->rank_known && i < port->rank; i++) {
        message_put_u64(message, (uint64_t)port->dims[i]);
    }
    message_put_texts(message, port->feature_names, port->feature_name_count);
    message_put_texts(message, port->class_labels, port->class_label_count);
}

static inline void message_put_signature(struct bytes *message, const struct signature *signature)
{
    message_put_text(message, signature->producer);
    message_put_text(message, signature->producer_version);
    message_put_u32(message, (uint32_t)signature->input_count);
    message_put_u32(message, (uint32_t)signature->output_count);
    for (size_t i = 0; i < signature->input_count; i++) {
        message_put_port(message, &signature->inputs[i]);
    }
    for (size_t i = 0; i < signature->output_count; i++) {
        message_put_port(message, &signature->outputs[i]);
    }
}

/* An area with these outputs, aligned to 64 bytes, to be freed. Records and data are written as onnxd writes inputs. */
static inline char *message_outputs(const struct tensor *outputs, size_t count, size_t *ret_size)
{
    CHECK(worker_run_size(outputs, count, 0, ret_size, NULL) == ERR_OK);
    char *area = aligned_alloc(64, (*ret_size + 63) / 64 * 64);
    CHECK(area != NULL);
    memset(area, 0, *ret_size);
    worker_run_write(outputs, count, NULL, 0, area);
    return area;
}

#endif
