/*
 * Powers of ten to 128 bits, for printing and parsing floating-point numbers. A generated, constant
 * table: any thread.
 */
#ifndef BASE_POWER10_H
#define BASE_POWER10_H

#include <stdint.h>

#define POWER10_FIRST (-342)
#define POWER10_LAST 324

/* high * 2^64 + low = floor(10^k * 2^s) + 1 with 2^127 <= it < 2^128; low is never 0. */
struct power10 {
    uint64_t high;
    uint64_t low;
};

extern const struct power10 power10_table[POWER10_LAST - POWER10_FIRST + 1];

/* POWER10_FIRST <= k <= POWER10_LAST. */
static inline struct power10 power10_get(int k)
{
    return power10_table[k - POWER10_FIRST];
}

/* floor(log2(10^k)), which is 127 - s of the entry; right for |k| <= 1233. */
static inline int power10_floor_log2(int k)
{
    return (k * 1741647) >> 19;
}

#endif
