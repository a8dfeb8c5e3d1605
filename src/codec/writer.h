/*
 * Direct stores into a byte queue: room is reserved in blocks and committed when a block is full or
 * the writer is done, so that a cell costs one comparison. One owner thread at a time. Nothing else
 * may touch the queue between writer_init and writer_commit.
 */
#ifndef CODEC_WRITER_H
#define CODEC_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct writer {
    struct bytes *out; /* borrowed */
    char *begin;       /* of what is not committed yet */
    char *at;          /* the next byte goes here */
    char *end;
};

static inline void writer_init(struct writer *writer, struct bytes *out)
{
    *writer = (struct writer){.out = out};
}

/* Makes what was written part of the queue. The writer may go on after it. */
void writer_commit(struct writer *writer);

/* The slow half of writer_has_room. */
MUST_CHECK bool writer_grow(struct writer *writer, size_t size);

/* Room for `size` bytes at writer->at; false past the queue's maximum or without memory. */
MUST_CHECK static inline bool writer_has_room(struct writer *writer, size_t size)
{
    return (size_t)(writer->end - writer->at) >= size || writer_grow(writer, size);
}

/* ERR_NO_MEMORY when there is no room. */
MUST_CHECK static inline int writer_put(struct writer *writer, struct slice text)
{
    if (text.len == 0) {
        return ERR_OK;
    }
    if (!writer_has_room(writer, text.len)) {
        return ERR_NO_MEMORY;
    }
    memcpy(writer->at, text.ptr, text.len);
    writer->at += text.len;
    return ERR_OK;
}

MUST_CHECK static inline int writer_put_byte(struct writer *writer, char byte)
{
    if (!writer_has_room(writer, 1)) {
        return ERR_NO_MEMORY;
    }
    *writer->at++ = byte;
    return ERR_OK;
}

#endif
