/*
 * Reference-counted bytes of tensors. They outlive the request that made them (a client may leave
 * in the middle of a run) and may belong to the runtime: a release callback gives them back.
 * Counting is atomic: any thread may ref and unref. The bytes themselves have one writer before the
 * buffer is shared and none after.
 */
#ifndef TENSOR_BUFFER_H
#define TENSOR_BUFFER_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/error.h"

struct buffer {
    _Atomic unsigned refs;
    unsigned size_class; /* of the recycler; buffer.c only */
    void *ptr;           /* aligned to 64 bytes when made by buffer_new */
    size_t size_bytes;
    void (*release)(
        struct buffer *buffer); /* called once, by the last unref; frees the struct too */
    void *owner;                /* for release */
};

/*
 * A buffer of at least `size_bytes`, not zeroed, with one reference. Small sizes come from a
 * per-thread recycler, so that the steady state does not touch the heap. NULL without memory.
 */
MUST_CHECK struct buffer *buffer_new(size_t size_bytes);
/*
 * Wraps foreign memory: `release` is called with the buffer when the last reference goes; it gives
 * `owner` back and must end with buffer_free_wrapper(). NULL without memory (nothing is released).
 */
MUST_CHECK struct buffer *buffer_wrap(void *ptr, size_t size_bytes,
                                      void (*release)(struct buffer *), void *owner);
void buffer_free_wrapper(struct buffer *buffer);

struct buffer *buffer_ref(struct buffer *buffer);
void buffer_unref(struct buffer *buffer); /* NULL is fine */

/* Frees what this thread's recycler keeps. Call before the thread ends. */
void buffer_recycler_done(void);

#endif
