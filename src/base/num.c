/*
 * Printing of integers and floating-point numbers. The digits of the latter come from decimal.c;
 * here they are laid out as Python's repr does. Digits are counted first and then stored where they
 * stay, two at a time: this is what a response body spends its time in.
 */
#include "base/num.h"

#include <string.h>

#include "base/check.h"
#include "base/decimal.h"

#define EXPONENT_PLAIN_MIN (-4)
#define EXPONENT_PLAIN_END 16

#define EIGHT_DIGITS 100000000

static const uint64_t powers_of_ten[] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
    UINT64_C(10000000000000000000),
};

static const char digit_pairs[] = "00010203040506070809"
                                  "10111213141516171819"
                                  "20212223242526272829"
                                  "30313233343536373839"
                                  "40414243444546474849"
                                  "50515253545556575859"
                                  "60616263646566676869"
                                  "70717273747576777879"
                                  "80818283848586878889"
                                  "90919293949596979899";

static inline void put_pair(char *at, uint32_t value)
{
    memcpy(at, digit_pairs + 2 * (size_t)value, 2);
}

static inline void put_eight(char *at, uint32_t value)
{
    uint32_t high = value / 10000;
    uint32_t low = value % 10000;
    put_pair(at, high / 100);
    put_pair(at + 2, high % 100);
    put_pair(at + 4, low / 100);
    put_pair(at + 6, low % 100);
}

/* 1 for 0. The logarithm is a little low, hence the comparison. */
static inline size_t count_digits(uint64_t value)
{
    size_t bits = (size_t)(64 - __builtin_clzll(value | 1));
    size_t log10 = bits * 1233 >> 12;
    return log10 + ((value | 1) >= powers_of_ten[log10]);
}

/* `count` must be count_digits(value). */
static inline void put_digits(char *at, size_t count, uint64_t value)
{
    char *end = at + count;
    while (value >= EIGHT_DIGITS) {
        put_eight(end -= 8, (uint32_t)(value % EIGHT_DIGITS));
        value /= EIGHT_DIGITS;
    }
    uint32_t rest = (uint32_t)value;
    for (; end - at >= 2; rest /= 100) {
        put_pair(end -= 2, rest % 100);
    }
    if (end > at) {
        *at = (char)('0' + rest);
    }
}

size_t num_print_u64(uint64_t value, char *text)
{
    size_t count = count_digits(value);
    put_digits(text, count, value);
    return count;
}

size_t num_print_i64(int64_t value, char *text)
{
    size_t sign = value < 0;
    uint64_t magnitude = sign != 0 ? 0 - (uint64_t)value : (uint64_t)value;
    *text = '-';
    return sign + num_print_u64(magnitude, text + sign);
}

/* The end of a text that ends in `end`, without the zeros behind its last other character. */
static inline char *strip_zeros(char *end)
{
    while (end[-1] == '0') {
        end--;
    }
    return end;
}

/* "e+16", "e-05": at least two digits. */
static char *put_exponent(char *at, int exponent)
{
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    uint32_t magnitude = (uint32_t)(exponent < 0 ? -exponent : exponent);
    if (magnitude >= 100) {
        *at++ = (char)('0' + magnitude / 100);
        magnitude %= 100;
    }
    put_pair(at, magnitude);
    return at + 2;
}

/* "1e+16", "1.5e-05". */
static size_t print_scientific(uint64_t digits, size_t count, int exponent, char *text)
{
    put_digits(text + 1, count, digits);
    text[0] = text[1];
    text[1] = '.';
    char *end = strip_zeros(text + 1 + count);
    end -= end[-1] == '.';
    return (size_t)(put_exponent(end, exponent) - text);
}

/* "0.00125": -4 <= exponent < 0. */
static size_t print_small(uint64_t digits, size_t count, int exponent, char *text)
{
    memset(text, '0', 5);
    text[1] = '.';
    char *at = text + 1 - exponent;
    put_digits(at, count, digits);
    return (size_t)(strip_zeros(at + count) - text);
}

/* "12.5", "1200.0": 0 <= exponent < 16. */
static size_t print_large(uint64_t digits, size_t count, int exponent, char *text)
{
    size_t whole = (size_t)exponent + 1;
    if (count > whole) {
        put_digits(text + 1, count, digits);
        for (size_t i = 0; i < whole; i++) {
            text[i] = text[i + 1];
        }
        text[whole] = '.';
        char *end = strip_zeros(text + 1 + count);
        end += end[-1] == '.'; /* one of the zeros after all */
        return (size_t)(end - text);
    }
    memset(text, '0', EXPONENT_PLAIN_END + 2);
    put_digits(text, count, digits);
    text[whole] = '.';
    return whole + 2;
}

static size_t print_decimal(struct decimal decimal, char *text)
{
    size_t count = count_digits(decimal.digits);
    int exponent = decimal.exponent + (int)count - 1;
    if (exponent < EXPONENT_PLAIN_MIN || exponent >= EXPONENT_PLAIN_END) {
        return print_scientific(decimal.digits, count, exponent, text);
    }
    return exponent < 0 ? print_small(decimal.digits, count, exponent, text)
                        : print_large(decimal.digits, count, exponent, text);
}

/* A whole number below 2^53: its digits are the shortest, because shorter ones are other integers. */
static size_t print_whole(uint64_t value, char *text)
{
    size_t len = num_print_u64(value, text);
    text[len] = '.';
    text[len + 1] = '0';
    return len + 2;
}

/*
 * An IEEE 754 interchange format of `fraction_bits` and `exponent_bits`, given as its bits without
 * the sign.
 */
static struct binary unpack(uint64_t bits, int fraction_bits, int exponent_bits)
{
    uint64_t fraction = bits & ((UINT64_C(1) << fraction_bits) - 1);
    int biased = (int)(bits >> fraction_bits);
    int bias = (1 << (exponent_bits - 1)) - 1 + fraction_bits;
    CHECK(biased < (1 << exponent_bits) - 1);
    if (biased == 0) {
        return (struct binary){.significand = fraction, .exponent = 1 - bias};
    }
    return (struct binary){
        .significand = fraction | (UINT64_C(1) << fraction_bits),
        .exponent = biased - bias,
        .lower_is_closer = fraction == 0 && biased > 1,
    };
}

size_t num_print_f64(double value, char *text)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    size_t sign = bits >> 63;
    text[0] = '-';
    text += sign;
    double magnitude = sign != 0 ? -value : value;
    if (magnitude < 0x1p53 && magnitude == (double)(int64_t)magnitude) {
        return sign + print_whole((uint64_t)magnitude, text);
    }
    struct binary binary = unpack(bits & ~(UINT64_C(1) << 63), 52, 11);
    return sign + print_decimal(decimal_shortest_wide(binary), text);
}

size_t num_print_f32(float value, char *text)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    size_t sign = bits >> 31;
    text[0] = '-';
    text += sign;
    float magnitude = sign != 0 ? -value : value;
    if (magnitude < 0x1p24f && magnitude == (float)(int32_t)magnitude) {
        return sign + print_whole((uint32_t)magnitude, text);
    }
    struct binary binary = unpack(bits & 0x7fffffff, 23, 8);
    return sign + print_decimal(decimal_shortest_narrow(binary), text);
}

/* binary16 and bfloat16: rare enough to go without the short cut for whole numbers. */
static size_t print_half(uint16_t bits, int fraction_bits, int exponent_bits, char *text)
{
    size_t sign = bits >> 15;
    text[0] = '-';
    text += sign;
    struct binary binary = unpack(bits & 0x7fff, fraction_bits, exponent_bits);
    if (binary.significand == 0) {
        return sign + print_whole(0, text);
    }
    return sign + print_decimal(decimal_shortest_narrow(binary), text);
}

size_t num_print_f16(uint16_t bits, char *text)
{
    return print_half(bits, 10, 5, text);
}

size_t num_print_bf16(uint16_t bits, char *text)
{
    return print_half(bits, 7, 8, text);
}
