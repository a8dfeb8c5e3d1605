/*
 * Reference-counted tensor bytes with a small recycler a thread: powers of two up to 1 MiB are kept
 * for reuse, a bounded number of each. A buffer goes to the recycler of the thread that drops the
 * last reference. Under a sanitizer nothing is recycled, so that a use after free is seen.
 */
#include "tensor/buffer.h"

#include <stdint.h>

#include "base/check.h"
#include "base/mem.h"

#define BUFFER_ALIGN 64
#define SMALLEST_CLASS 8 /* 256 bytes */
#define LARGEST_CLASS 20 /* 1 MiB */
#define CLASS_COUNT (LARGEST_CLASS - SMALLEST_CLASS + 1)
#define NOT_RECYCLED CLASS_COUNT
#define KEPT_BYTES_PER_CLASS (1u << 20)
#define KEPT_MAX 256

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

struct free_list {
    struct buffer *first; /* linked through `owner` */
    unsigned count;
};

static _Thread_local struct free_list free_lists[CLASS_COUNT];

static unsigned class_of(size_t size_bytes)
{
    if (!RECYCLE || size_bytes > (size_t)1 << LARGEST_CLASS) {
        return NOT_RECYCLED;
    }
    unsigned size_class = 0;
    while (((size_t)1 << (SMALLEST_CLASS + size_class)) < size_bytes) {
        size_class++;
    }
    return size_class;
}

static unsigned kept_max(unsigned size_class)
{
    unsigned fit = KEPT_BYTES_PER_CLASS >> (SMALLEST_CLASS + size_class);
    return fit > KEPT_MAX ? KEPT_MAX : fit;
}

static void release_own(struct buffer *buffer)
{
    unsigned size_class = buffer->size_class;
    if (size_class < CLASS_COUNT && free_lists[size_class].count < kept_max(size_class)) {
        struct free_list *list = &free_lists[size_class];
        buffer->owner = list->first;
        list->first = buffer;
        list->count++;
        return;
    }
    mem_free(buffer);
}

static struct buffer *take_kept(unsigned size_class)
{
    struct free_list *list = &free_lists[size_class];
    struct buffer *buffer = list->first;
    if (buffer != NULL) {
        list->first = buffer->owner;
        list->count--;
        buffer->owner = NULL;
        atomic_store_explicit(&buffer->refs, 1, memory_order_relaxed);
    }
    return buffer;
}

/* The struct and its bytes are one allocation; the bytes start at the next multiple of the alignment. */
struct buffer *buffer_new(size_t size_bytes)
{
    unsigned size_class = class_of(size_bytes);
    if (size_class < CLASS_COUNT) {
        struct buffer *kept = take_kept(size_class);
        if (kept != NULL) {
            return kept;
        }
        size_bytes = (size_t)1 << (SMALLEST_CLASS + size_class);
    }
    if (size_bytes > SIZE_MAX - sizeof(struct buffer) - BUFFER_ALIGN) {
        return NULL;
    }
    struct buffer *buffer = mem_alloc(sizeof(*buffer) + BUFFER_ALIGN + size_bytes);
    if (buffer == NULL) {
        return NULL;
    }
    uintptr_t bytes = ((uintptr_t)(buffer + 1) + BUFFER_ALIGN - 1) & ~(uintptr_t)(BUFFER_ALIGN - 1);
    atomic_init(&buffer->refs, 1);
    buffer->size_class = size_class;
    buffer->ptr = (char *)buffer + (bytes - (uintptr_t)buffer);
    buffer->size_bytes = size_bytes;
    buffer->release = release_own;
    buffer->owner = NULL;
    return buffer;
}

struct buffer *buffer_wrap(void *ptr, size_t size_bytes, void (*release)(struct buffer *),
                           void *owner)
{
    /* A wrapper is the smallest recycled buffer whose own bytes go unused. */
    struct buffer *buffer = buffer_new(0);
    if (buffer != NULL) {
        buffer->ptr = ptr;
        buffer->size_bytes = size_bytes;
        buffer->release = release;
        buffer->owner = owner;
    }
    return buffer;
}

void buffer_free_wrapper(struct buffer *buffer)
{
    uintptr_t bytes = ((uintptr_t)(buffer + 1) + BUFFER_ALIGN - 1) & ~(uintptr_t)(BUFFER_ALIGN - 1);
    buffer->ptr = (char *)buffer + (bytes - (uintptr_t)buffer);
    buffer->size_bytes =
        buffer->size_class < CLASS_COUNT ? (size_t)1 << (SMALLEST_CLASS + buffer->size_class) : 0;
    buffer->release = release_own;
    buffer->owner = NULL;
    release_own(buffer);
}

struct buffer *buffer_ref(struct buffer *buffer)
{
    unsigned before = atomic_fetch_add_explicit(&buffer->refs, 1, memory_order_relaxed);
    CHECK(before > 0);
    return buffer;
}

void buffer_unref(struct buffer *buffer)
{
    if (buffer == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&buffer->refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        buffer->release(buffer);
    }
}

void buffer_recycler_done(void)
{
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
        struct buffer *buffer;
        while ((buffer = take_kept(size_class)) != NULL) {
            mem_free(buffer);
        }
    }
}
