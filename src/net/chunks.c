/*
 * Free lists of chunks by size class, threaded through the chunks themselves. Under AddressSanitizer
 * nothing is kept, so that a use after the chunk was given back is seen.
 */
#include "net/chunks.h"

#include "base/check.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define CHUNKS_RECYCLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHUNKS_RECYCLE 0
#endif
#endif
#ifndef CHUNKS_RECYCLE
#define CHUNKS_RECYCLE 1
#endif

struct chunk {
    struct chunk *next;
};

void chunks_init(struct chunks *chunks, size_t kept_max_bytes)
{
    *chunks = (struct chunks){.kept_max_bytes = CHUNKS_RECYCLE ? kept_max_bytes : 0};
}

void chunks_done(struct chunks *chunks)
{
    for (int class = 0; class < CHUNKS_CLASSES; class ++) {
        while (chunks->kept[class] != NULL) {
            struct chunk *chunk = chunks->kept[class];
            chunks->kept[class] = chunk->next;
            mem_free(chunk);
        }
    }
    chunks->kept_bytes = 0;
}

static size_t class_bytes(int class)
{
    return CHUNKS_LEAST_BYTES << class;
}

void chunks_lend(struct chunks *chunks, struct bytes *bytes, size_t wanted)
{
    if (bytes->ptr != NULL) {
        return;
    }
    CHECK(bytes->max >= CHUNKS_LEAST_BYTES);
    int class = 0;
    while (class < CHUNKS_CLASSES - 1 && class_bytes(class) < wanted) {
        class ++;
    }
    while (class > 0 && class_bytes(class) > bytes->max) {
        class --;
    }
    void *storage = chunks->kept[class];
    if (storage != NULL) {
        chunks->kept[class] = chunks->kept[class]->next;
        chunks->kept_bytes -= class_bytes(class);
    } else {
        storage = mem_alloc(class_bytes(class));
    }
    if (storage != NULL) {
        bytes_adopt(bytes, storage, class_bytes(class));
    }
}

void chunks_reclaim(struct chunks *chunks, struct bytes *bytes)
{
    if (bytes->ptr == NULL || bytes_len(bytes) > 0) {
        return;
    }
    size_t size;
    void *storage = bytes_take_storage(bytes, &size);
    int class = 0;
    while (class < CHUNKS_CLASSES && class_bytes(class) != size) {
        class ++;
    }
    if (class == CHUNKS_CLASSES || size > chunks->kept_max_bytes - chunks->kept_bytes) {
        mem_free(storage);
        return;
    }
    struct chunk *chunk = storage;
    chunk->next = chunks->kept[class];
    chunks->kept[class] = chunk;
    chunks->kept_bytes += size;
}
