/* Blocks with their links in front. */
#include "http/h2_heap.h"

#include <stdalign.h>
#include <string.h>

#include "base/checked.h"
#include "base/mem.h"

_Static_assert(sizeof(struct h2_block) % alignof(max_align_t) == 0, "what follows must be aligned");

static void link_block(struct h2_heap *heap, struct h2_block *block)
{
    *block = (struct h2_block){.next = heap->first};
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

void *h2_heap_alloc(size_t size, void *heap)
{
    size_t total;
    if (checked_add(size, sizeof(struct h2_block), &total)) {
        return NULL;
    }
    struct h2_block *block = mem_alloc(total);
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
    size_t total;
    if (old == NULL) {
        return h2_heap_alloc(size, heap);
    }
    if (checked_add(size, sizeof(struct h2_block), &total)) {
        return NULL;
    }
    struct h2_block *block = (struct h2_block *)old - 1;
    struct h2_block before = *block;
    struct h2_block *grown = mem_realloc(block, total);
    if (grown == NULL) {
        return NULL;
    }
    unlink_block(heap, &before);
    link_block(heap, grown);
    return grown + 1;
}

void h2_heap_free(void *block, void *heap)
{
    if (block != NULL) {
        struct h2_block *links = (struct h2_block *)block - 1;
        unlink_block(heap, links);
        mem_free(links);
    }
}

void h2_heap_done(struct h2_heap *heap)
{
    while (heap->first != NULL) {
        h2_heap_free(heap->first + 1, heap);
    }
}
