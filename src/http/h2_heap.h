/*
 * The heap of one nghttp2 session: base/mem, with a list of what is in use. A session that ran out of
 * memory in the middle of something may point to what it has freed already, and must not be asked to
 * free itself; its heap is emptied instead.
 */
#ifndef HTTP_H2_HEAP_H
#define HTTP_H2_HEAP_H

#include <stddef.h>

struct h2_block {
    struct h2_block *previous;
    struct h2_block *next;
};

/* Zeroed: empty. Stays where it is once used. */
struct h2_heap {
    struct h2_block *first;
};

/* As struct nghttp2_mem has them; `heap` is a struct h2_heap. NULL without memory. */
void *h2_heap_alloc(size_t size, void *heap);
void *h2_heap_zalloc(size_t count, size_t size, void *heap);
void *h2_heap_realloc(void *old, size_t size, void *heap);
void h2_heap_free(void *block, void *heap);

/* Frees all that is in use. */
void h2_heap_done(struct h2_heap *heap);

#endif
