/*
 * The shortest decimal number that reads back as a given binary one: the digits only, not their
 * layout (num.c prints them). Pure functions: any thread.
 */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

/* A finite positive number, significand * 2^exponent, and where its neighbours are. */
struct binary {
    uint64_t significand; /* not 0 */
    int exponent;
    bool lower_is_closer; /* a power of two whose lower neighbour is half as far as the upper one */
};

/* digits * 10^exponent; the digits may end in zeros. */
struct decimal {
    uint64_t digits;
    int exponent;
};

/*
 * The decimal with the fewest digits that lies in the number's rounding interval (its ends included
 * where the significand is even), the closest to it where there are several.
 * The narrow one takes formats up to 24 bits whose exponents lie within -149..120 (binary32,
 * binary16, bfloat16), the wide one up to 53 bits within -1074..971 (binary64).
 */
struct decimal decimal_shortest_narrow(struct binary number);
struct decimal decimal_shortest_wide(struct binary number);

#endif
