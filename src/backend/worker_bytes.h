/*
 * What the files behind worker_wire.h share: the protocol's little-endian integers, which need not be
 * aligned, and its bound on shapes. Pure functions: any thread.
 */
#ifndef BACKEND_WORKER_BYTES_H
#define BACKEND_WORKER_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/checked.h"

/* The most elements of a shape, with its free and its empty dimensions left out. */
#define WORKER_ELEMENTS_MAX ((size_t)1 << 30)

static inline uint16_t worker_get_u16(const char *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return le16toh(value);
}

static inline uint32_t worker_get_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static inline uint64_t worker_get_u64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

/* These return where the next one goes. */
static inline char *worker_put_u16(char *at, uint16_t value)
{
    value = htole16(value);
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

static inline char *worker_put_u32(char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

static inline char *worker_put_u64(char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

/*
 * Whether the product of the dimensions above 0 is within bounds. A shape with no elements is held to it
 * too: others multiply its dimensions, and go through its rows.
 */
static inline bool worker_shape_is_bounded(const int64_t *dims, unsigned rank)
{
    size_t elements = 1;
    for (unsigned i = 0; i < rank; i++) {
        if (dims[i] > 0 &&
            (checked_mul(elements, (size_t)dims[i], &elements) || elements > WORKER_ELEMENTS_MAX)) {
            return false;
        }
    }
    return true;
}

#endif
