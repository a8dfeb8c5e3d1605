/*
 * The two 16-bit floating-point formats as float and back (num.h). Every value of theirs is a
 * float, so only the way to 16 bits rounds. Assumes round-to-nearest, which nothing here changes.
 */
#include <string.h>

#include "base/num.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

float num_f16_to_f32(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t exponent = (bits >> 10) & 0x1f;
    uint32_t fraction = bits & 0x3ff;
    if (exponent == 0x1f) {
        return float_of(sign | 0x7f800000 | fraction << 13);
    }
    if (exponent == 0) {
        return float_of(sign | bits_of((float)fraction * 0x1p-24f));
    }
    return float_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

uint16_t num_f32_to_f16(float value)
{
    const uint32_t infinity = 0x7f800000;
    const uint32_t rounds_to_infinity = 0x477ff000; /* 65520 */
    const uint32_t smallest_normal = 0x38800000;    /* 2^-14 */
    uint32_t bits = bits_of(value);
    uint32_t sign = (bits >> 16) & 0x8000;
    bits &= 0x7fffffff;
    if (bits > infinity) {
        return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff)); /* a quiet NaN */
    }
    if (bits >= rounds_to_infinity) {
        return (uint16_t)(sign | 0x7c00);
    }
    if (bits < smallest_normal) {
        /* The last place of a float in [0.5, 1) is 2^-24, that of subnormals here. */
        return (uint16_t)(sign | (bits_of(float_of(bits) + 0.5f) - bits_of(0.5f)));
    }
    bits += 0xfff + (bits >> 13 & 1); /* to nearest, ties to even; a carry moves the exponent up */
    return (uint16_t)(sign | (bits - ((uint32_t)(127 - 15) << 23)) >> 13);
}

float num_bf16_to_f32(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

uint16_t num_f32_to_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        return (uint16_t)(bits >> 16 | 0x40);
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
