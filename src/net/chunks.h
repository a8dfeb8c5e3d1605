/*
 * One loop's pool of storage for socket bytes. A connection has storage only while bytes are in its
 * queues: it is lent a chunk when it becomes readable or is about to write, and gives it back when
 * the queue is empty again. So idle connections cost no buffers, and busy ones allocate none. The
 * newest chunk is lent first (it is still in the cache). One owner thread.
 */
#ifndef NET_CHUNKS_H
#define NET_CHUNKS_H

#include <stddef.h>

#include "base/bytes.h"

/* The smallest chunk; each class is twice the one before, as a growing `struct bytes` is. */
#define CHUNKS_LEAST_BYTES ((size_t)16 * 1024)
#define CHUNKS_CLASSES 5 /* the largest: 256 KiB */
/* What a pool keeps for the next use at most; the rest goes back to the heap. */
#define CHUNKS_KEPT_MAX_BYTES ((size_t)8 * 1024 * 1024)

struct chunk;

struct chunks {
    struct chunk *kept[CHUNKS_CLASSES];
    size_t kept_bytes;
    size_t kept_max_bytes;
};

void chunks_init(struct chunks *chunks, size_t kept_max_bytes);
void chunks_done(struct chunks *chunks);

/*
 * Storage for a queue that has none: a chunk of at least `wanted` bytes, as far as the largest
 * class and the queue's maximum (at least CHUNKS_LEAST_BYTES) go. Without memory the queue stays without (and tries by itself
 * when written to). A queue that has storage is left alone.
 */
void chunks_lend(struct chunks *chunks, struct bytes *bytes, size_t wanted);
/* Takes the storage of an empty queue, wherever it came from; one with bytes keeps it. */
void chunks_reclaim(struct chunks *chunks, struct bytes *bytes);

#endif
