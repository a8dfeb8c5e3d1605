/*
 * Lower-case hexadecimal digits, many at a time: every answer carries some. Pure functions.
 */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The eight digits of 32 bits, lowest first, side by side in one word. */
static inline void hex_put_bits(char *at, uint32_t bits)
{
    uint64_t word = bits;
    word = (word | word << 16) & UINT64_C(0x0000ffff0000ffff);
    word = (word | word << 8) & UINT64_C(0x00ff00ff00ff00ff);
    word = (word | word << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    /* 6 more carries 10 to 15 into the upper half, which tells letters from digits. */
    uint64_t letters = (word + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    word += UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
    memcpy(at, &word, sizeof(word));
}

/* Two digits a byte, the upper half first, of a multiple of four bytes. No NUL. */
static inline void hex_put_bytes(char *at, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i + 4 <= size; i += 4) {
        uint32_t bits;
        memcpy(&bits, bytes + i, sizeof(bits));
        bits = (bits >> 4 & 0x0f0f0f0f) | (bits & 0x0f0f0f0f) << 4;
        hex_put_bits(at + 2 * i, bits);
    }
}

/* The value of a digit, lower case only, or -1. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
