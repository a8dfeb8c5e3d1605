/*
 * Numbers for ids: unique, fast, not secret. xorshift128+ (Vigna, 2014), seeded by the kernel; one
 * thread a generator.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state[2];
};

/* Seeds it by the kernel, or, where that has nothing to give, by time and place. Never fails. */
void random_seed(struct random *random);

/* Of a generator that was seeded. */
static inline uint64_t random_next(struct random *random)
{
    uint64_t a = random->state[0];
    uint64_t b = random->state[1];
    a ^= a << 23;
    random->state[0] = b;
    random->state[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return random->state[1] + b;
}

#endif
