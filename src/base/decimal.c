/*
 * Schubfach, after Raffaello Giulietti, "The Schubfach way to render doubles" (2020). The number
 * and the two ends of its rounding interval are scaled by one power of ten such that the interval
 * is 1 to 10 units wide; then only the two integers around the number, and the two multiples of ten
 * around it, can be the answer. Section numbers below are the paper's.
 */
#include "base/decimal.h"

#include "base/check.h"
#include "base/power10.h"

/* What is in the interval, in quarters of a unit of 10^k, as rounded to odd (section 9.3). */
struct scaled {
    uint64_t lower;
    uint64_t value;
    uint64_t upper;
    int k;
};

/* floor(log10(2^exponent)), or of three quarters of it; right for |exponent| <= 1500. */
static int floor_log10_of(struct binary number)
{
    int bias = number.lower_is_closer ? 524031 : 0;
    return (number.exponent * 1262611 - bias) >> 22;
}

/*
 * factor * g / 2^128, its last bit set when anything was cut off. The error of g stays below one in
 * the next 64 bits (section 9.4), hence the comparison with 1.
 */
static uint64_t scale_wide(struct power10 g, uint64_t factor)
{
    unsigned __int128 low = (unsigned __int128)g.low * factor;
    unsigned __int128 sum = (unsigned __int128)g.high * factor + (uint64_t)(low >> 64);
    return (uint64_t)(sum >> 64) | ((uint64_t)sum > 1);
}

/* The same with 64 bits of g: factor * g / 2^64, factor below 2^32. */
static uint64_t scale_narrow(uint64_t g, uint64_t factor)
{
    unsigned __int128 product = (unsigned __int128)g * factor;
    return (uint64_t)(product >> 64) | ((uint32_t)(product >> 32) > 1);
}

/* Section 8: a multiple of ten in the interval if there is one, else the closest integer in it. */
static struct decimal choose(struct scaled at)
{
    uint64_t units = at.value >> 2;
    if (units >= 10) {
        uint64_t tens = units / 10;
        bool below = at.lower <= 40 * tens;
        bool above = 40 * tens + 40 <= at.upper;
        if (below != above) {
            return (struct decimal){tens + above, at.k + 1};
        }
    }
    bool below = at.lower <= 4 * units;
    bool above = 4 * units + 4 <= at.upper;
    if (below != above) {
        return (struct decimal){units + above, at.k};
    }
    uint64_t middle = 4 * units + 2;
    bool up = at.value > middle || (at.value == middle && (units & 1) != 0);
    return (struct decimal){units + up, at.k};
}

struct decimal decimal_shortest_narrow(struct binary number)
{
    CHECK(number.significand < (UINT64_C(1) << 24));
    int k = floor_log10_of(number);
    int shift = number.exponent + power10_floor_log2(-k) + 1;
    uint64_t g = power10_get(-k).high + 1;
    uint64_t quarters = number.significand * 4;
    uint64_t odd = number.significand & 1; /* then the ends themselves are not in the interval */
    return choose((struct scaled){
        .lower = scale_narrow(g, (quarters - (number.lower_is_closer ? 1 : 2)) << shift) + odd,
        .value = scale_narrow(g, quarters << shift),
        .upper = scale_narrow(g, (quarters + 2) << shift) - odd,
        .k = k,
    });
}

struct decimal decimal_shortest_wide(struct binary number)
{
    CHECK(number.significand < (UINT64_C(1) << 53));
    int k = floor_log10_of(number);
    int shift = number.exponent + power10_floor_log2(-k) + 1;
    struct power10 g = power10_get(-k);
    uint64_t quarters = number.significand * 4;
    uint64_t odd = number.significand & 1;
    return choose((struct scaled){
        .lower = scale_wide(g, (quarters - (number.lower_is_closer ? 1 : 2)) << shift) + odd,
        .value = scale_wide(g, quarters << shift),
        .upper = scale_wide(g, (quarters + 2) << shift) - odd,
        .k = k,
    });
}
