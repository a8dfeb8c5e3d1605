/*
 * Memory that is freed all at once: bump allocation in blocks, for what lives as long as one
 * exchange (headers, parsed documents, small objects). An arena has a maximum from birth. Reset
 * keeps the first block, so that the steady state allocates nothing. One owner thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *first;   /* kept over resets */
    struct arena_block *current; /* where the next small allocation goes */
    size_t block_bytes;          /* size of an ordinary block */
    size_t used_bytes;           /* of all blocks, first included */
    size_t max_bytes;
};

/* Allocates nothing yet. An allocation larger than block_bytes gets a block of its own. */
void arena_init(struct arena *arena, size_t block_bytes, size_t max_bytes);
/* Everything allocated is gone; the first block stays for the next use. */
void arena_reset(struct arena *arena);
void arena_done(struct arena *arena);

/* Where an arena stands. */
struct arena_mark {
    struct arena_block *block;
    size_t used;
};
struct arena_mark arena_mark(const struct arena *arena);
/* What was allocated since the mark is gone; no reset and no earlier rewind lies between. */
void arena_rewind(struct arena *arena, struct arena_mark mark);

/* Aligned to 16 bytes, not zeroed. NULL past the maximum or without memory. Size 0 gives non-NULL. */
MUST_CHECK void *arena_alloc(struct arena *arena, size_t size);
/* Zeroed; NULL also when count * size overflows. */
MUST_CHECK void *arena_zalloc(struct arena *arena, size_t count, size_t size);
/*
 * Grows or shrinks `old` of `old_size` bytes; in place where it was the newest allocation,
 * otherwise by a copy (the old bytes stay taken until the reset). NULL leaves `old` valid.
 */
MUST_CHECK void *arena_realloc(struct arena *arena, void *old, size_t old_size, size_t size);
/* A copy of the bytes with a NUL behind them. ret->ptr is NULL without memory. */
struct slice arena_copy(struct arena *arena, struct slice bytes);

#endif
