/* Ways to cut the same bytes into pieces, for parsers that must not care. */
#ifndef DELIVERIES_H
#define DELIVERIES_H

#include <stddef.h>
#include <stdint.h>

/* How bytes are delivered: `cut` bytes and then the rest, or pieces whose sizes `next` gives. */
struct delivery {
    size_t (*next)(struct delivery *delivery); /* at least 1 */
    size_t cut;
    uint64_t seed;
};

static inline size_t delivery_next_whole(struct delivery *delivery)
{
    (void)delivery;
    return SIZE_MAX;
}

static inline size_t delivery_next_byte(struct delivery *delivery)
{
    (void)delivery;
    return 1;
}

/* The first piece has `cut` bytes, the second all the rest. */
static inline size_t delivery_next_cut(struct delivery *delivery)
{
    size_t size = delivery->cut == 0 ? SIZE_MAX : delivery->cut;
    delivery->cut = 0;
    return size;
}

/* Mostly short pieces, now and then a long one, from a seed (splitmix64). */
static inline size_t delivery_next_random(struct delivery *delivery)
{
    uint64_t bits = delivery->seed += UINT64_C(0x9e3779b97f4a7c15);
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    bits ^= bits >> 31;
    size_t limit = (bits & 7) == 0 ? 256 : 8;
    return 1 + (size_t)((bits >> 8) % limit);
}

#endif
