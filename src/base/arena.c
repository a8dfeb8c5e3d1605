#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/checked.h"
#include "base/mem.h"

#define ARENA_ALIGN 16

struct arena_block {
    struct arena_block *next; /* the block before this one */
    size_t size;              /* of bytes[] */
    size_t used;
    size_t padding; /* keeps bytes[] aligned to ARENA_ALIGN */
    char bytes[];
};

_Static_assert(offsetof(struct arena_block, bytes) % ARENA_ALIGN == 0, "bytes[] must be aligned");

void arena_init(struct arena *arena, size_t block_bytes, size_t max_bytes)
{
    CHECK(block_bytes >= ARENA_ALIGN && block_bytes <= max_bytes);
    *arena = (struct arena){.block_bytes = block_bytes, .max_bytes = max_bytes};
}

static void free_newer(struct arena *arena, const struct arena_block *keep)
{
    while (arena->current != keep) {
        struct arena_block *block = arena->current;
        arena->current = block->next;
        arena->used_bytes -= block->size;
        mem_free(block);
    }
}

void arena_reset(struct arena *arena)
{
    free_newer(arena, arena->first);
    if (arena->first != NULL) {
        arena->first->used = 0;
    }
}

void arena_done(struct arena *arena)
{
    free_newer(arena, NULL);
    arena->first = NULL;
}

struct arena_mark arena_mark(const struct arena *arena)
{
    return (struct arena_mark){arena->current, arena->current == NULL ? 0 : arena->current->used};
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    if (mark.block == NULL) {
        arena_reset(arena);
        return;
    }
    free_newer(arena, mark.block);
    CHECK(mark.used <= arena->current->used);
    arena->current->used = mark.used;
}

static struct arena_block *add_block(struct arena *arena, size_t size)
{
    size_t total;
    if (size > arena->max_bytes - arena->used_bytes ||
        checked_add(sizeof(struct arena_block), size, &total)) {
        return NULL;
    }
    struct arena_block *block = mem_alloc(total);
    if (block == NULL) {
        return NULL;
    }
    *block = (struct arena_block){.next = arena->current, .size = size};
    arena->used_bytes += size;
    arena->current = block;
    return block;
}

static size_t aligned(size_t size)
{
    return size == 0 ? ARENA_ALIGN : (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - ARENA_ALIGN) {
        return NULL;
    }
    size = aligned(size);
    if (arena->first == NULL) {
        arena->first = add_block(arena, arena->block_bytes);
        if (arena->first == NULL) {
            return NULL;
        }
    }
    struct arena_block *block = arena->current;
    if (size > block->size - block->used) {
        block = add_block(arena, size > arena->block_bytes ? size : arena->block_bytes);
        if (block == NULL) {
            return NULL;
        }
    }
    void *result = block->bytes + block->used;
    block->used += size;
    return result;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (checked_mul(count, size, &total)) {
        return NULL;
    }
    void *result = arena_alloc(arena, total);
    if (result != NULL) {
        memset(result, 0, total);
    }
    return result;
}

void *arena_realloc(struct arena *arena, void *old, size_t old_size, size_t size)
{
    if (old == NULL) {
        return arena_alloc(arena, size);
    }
    struct arena_block *block = arena->current;
    size_t old_taken = aligned(old_size);
    if (size <= SIZE_MAX - ARENA_ALIGN && block->used >= old_taken &&
        (char *)old == block->bytes + (block->used - old_taken) &&
        aligned(size) <= block->size - (block->used - old_taken)) {
        block->used = block->used - old_taken + aligned(size);
        return old;
    }
    if (size <= old_size) {
        return old;
    }
    void *result = arena_alloc(arena, size);
    if (result != NULL) {
        memcpy(result, old, old_size);
    }
    return result;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    char *copy = bytes.len == SIZE_MAX ? NULL : arena_alloc(arena, bytes.len + 1);
    if (copy == NULL) {
        return (struct slice){NULL, 0};
    }
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    copy[bytes.len] = '\0';
    return (struct slice){copy, bytes.len};
}
