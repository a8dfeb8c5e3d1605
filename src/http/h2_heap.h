/*
 * The heap of one nghttp2 session: base/mem, with a list of what is in use. A session that ran out of
 * memory in the middle of something may point to what it has freed already, and must not be asked to
 * free itself; its heap is emptied instead. Small blocks are kept for reuse, so that a connection
 * which serves one request after another allocates nothing; not under a sanitizer, so that a use
 * after free is seen.
 */
#ifndef HTTP_H2_HEAP_H
#define HTTP_H2_HEAP_H

#include <stddef.h>

#define H2_HEAP_CLASSES 6 /* 64 bytes to 2 KiB */
/* Of all classes together, unused: what the streams of a busy connection need at a time. */
#define H2_HEAP_KEPT_BYTES (16 * 1024)

struct h2_block {
    struct h2_block *previous;
    struct h2_block *next;
    size_t capacity; /* of what follows */
    size_t padding;  /* keeps it aligned to 16 bytes */
};

/* Zeroed: empty. Stays where it is once used. */
struct h2_heap {
    struct h2_block *first;
    struct h2_block *kept[H2_HEAP_CLASSES];
    size_t kept_bytes;
};

/* As struct nghttp2_mem has them; `heap` is a struct h2_heap. NULL without memory. */
void *h2_heap_alloc(size_t size, void *heap);
void *h2_heap_zalloc(size_t count, size_t size, void *heap);
void *h2_heap_realloc(void *old, size_t size, void *heap);
void h2_heap_free(void *block, void *heap);

/* Frees all that is in use or kept. */
void h2_heap_done(struct h2_heap *heap);

#endif
