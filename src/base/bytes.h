/*
 * A growing, bounded queue of bytes in one contiguous piece: written at the tail, consumed at the
 * head. Socket input, request bodies and responses live in these. It has its maximum from birth;
 * writing past it fails and leaves the queue as it was. One owner thread at a time.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

struct bytes {
    char *ptr;
    size_t head; /* first unread byte */
    size_t tail; /* one past the last byte */
    size_t capacity;
    size_t max;
};

void bytes_init(struct bytes *bytes, size_t max); /* allocates nothing yet */
void bytes_done(struct bytes *bytes);
/* Empties it. Keeps at most `keep` bytes of capacity for the next use. */
void bytes_reset(struct bytes *bytes, size_t keep);

static inline size_t bytes_len(const struct bytes *bytes)
{
    return bytes->tail - bytes->head;
}

static inline struct slice bytes_slice(const struct bytes *bytes)
{
    return slice_make(bytes->ptr == NULL ? "" : bytes->ptr + bytes->head, bytes_len(bytes));
}

/*
 * Room for `size` more bytes: returns where to write them, NULL past the maximum or without memory.
 * The bytes count only after bytes_commit(). The pointer is valid until the next call.
 */
MUST_CHECK char *bytes_reserve(struct bytes *bytes, size_t size);
void bytes_commit(struct bytes *bytes, size_t size);
/* Room that can be written without growing. */
size_t bytes_room(const struct bytes *bytes);
/* 0, or ERR_NO_MEMORY past the maximum or without memory. */
MUST_CHECK int bytes_put(struct bytes *bytes, struct slice more);
MUST_CHECK int bytes_put_byte(struct bytes *bytes, char byte);
MUST_CHECK int bytes_printf(struct bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops `size` bytes from the head (size <= len). */
void bytes_consume(struct bytes *bytes, size_t size);
/* Drops all but the first `len` bytes (len <= the length): takes back what was written last. */
void bytes_truncate(struct bytes *bytes, size_t len);

/*
 * For pools. Gives a queue without storage `size` bytes that came from mem_alloc (size <= max); they
 * are the queue's own from then on.
 */
void bytes_adopt(struct bytes *bytes, char *storage, size_t size);
/*
 * Takes the storage out of an empty queue: owned by the caller, NULL if there is none. *ret_size is
 * its size.
 */
MUST_CHECK char *bytes_take_storage(struct bytes *bytes, size_t *ret_size);

#endif
