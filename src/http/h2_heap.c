/* Blocks with their links in front, in powers of two where they are small. */
#include "http/h2_heap.h"

#include <stdalign.h>
#include <string.h>

#include "base/checked.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RECYCLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RECYCLE 0
#endif
#endif
#ifndef RECYCLE
#define RECYCLE 1
#endif

#define SMALLEST_CAPACITY 64

_Static_assert(sizeof(struct h2_block) % alignof(max_align_t) == 0, "what follows must be aligned");

static size_t class_capacity(unsigned class)
{
    return (size_t)SMALLEST_CAPACITY << class;
}

/* H2_HEAP_CLASSES for what is too large to be kept. */
static unsigned class_of(size_t size)
{
    unsigned class = 0;
    while (class < H2_HEAP_CLASSES && class_capacity(class) < size) {
        class ++;
    }
    return class;
}

static void link_block(struct h2_heap *heap, struct h2_block *block)
{
    block->previous = NULL;
    block->next = heap->first;
    if (block->next != NULL) {
        block->next->previous = block;
    }
    heap->first = block;
}

static void unlink_block(struct h2_heap *heap, const struct h2_block *block)
{
    *(block->previous == NULL ? &heap->first : &block->previous->next) = block->next;
    if (block->next != NULL) {
        block->next->previous = block->previous;
    }
}

static struct h2_block *take_kept(struct h2_heap *heap, unsigned class)
{
    struct h2_block *block = class < H2_HEAP_CLASSES ? heap->kept[class] : NULL;
    if (block != NULL) {
        heap->kept[class] = block->next;
        heap->kept_bytes -= block->capacity;
    }
    return block;
}

static struct h2_block *make_block(size_t capacity)
{
    size_t total;
    struct h2_block *block =
        checked_add(capacity, sizeof(*block), &total) ? NULL : mem_alloc(total);
    if (block != NULL) {
        block->capacity = capacity;
    }
    return block;
}

void *h2_heap_alloc(size_t size, void *heap)
{
    unsigned class = class_of(size);
    struct h2_block *block = take_kept(heap, class);
    if (block == NULL) {
        block = make_block(class < H2_HEAP_CLASSES ? class_capacity(class) : size);
    }
    if (block == NULL) {
        return NULL;
    }
    link_block(heap, block);
    return block + 1;
}

void *h2_heap_zalloc(size_t count, size_t size, void *heap)
{
    size_t total;
    void *block = checked_mul(count, size, &total) ? NULL : h2_heap_alloc(total, heap);
    if (block != NULL) {
        memset(block, 0, total);
    }
    return block;
}

void *h2_heap_realloc(void *old, size_t size, void *heap)
{
    size_t capacity = old == NULL ? 0 : ((struct h2_block *)old - 1)->capacity;
    if (old != NULL && size <= capacity) {
        return old;
    }
    void *grown = h2_heap_alloc(size, heap);
    if (grown != NULL && old != NULL) {
        memcpy(grown, old, capacity);
        h2_heap_free(old, heap);
    }
    return grown;
}

static bool has_place(const struct h2_heap *heap, const struct h2_block *block, unsigned class)
{
    return RECYCLE && class < H2_HEAP_CLASSES &&
           heap->kept_bytes + block->capacity <= H2_HEAP_KEPT_BYTES;
}

static void put_away(struct h2_heap *heap, struct h2_block *block)
{
    unsigned class = class_of(block->capacity);
    if (!has_place(heap, block, class)) {
        mem_free(block);
        return;
    }
    block->next = heap->kept[class];
    heap->kept[class] = block;
    heap->kept_bytes += block->capacity;
}

void h2_heap_free(void *block, void *heap)
{
    if (block != NULL) {
        struct h2_block *links = (struct h2_block *)block - 1;
        unlink_block(heap, links);
        put_away(heap, links);
    }
}

void h2_heap_done(struct h2_heap *heap)
{
    while (heap->first != NULL) {
        h2_heap_free(heap->first + 1, heap);
    }
    for (unsigned class = 0; class < H2_HEAP_CLASSES; class ++) {
        for (struct h2_block *block; (block = take_kept(heap, class)) != NULL;) {
            mem_free(block);
        }
    }
}
