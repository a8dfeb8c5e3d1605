/*
 * Printing of integers and floating-point numbers. The digits of the latter come from decimal.c;
 * here they are laid out as Python's repr does. Digits are stored two at a time and text is moved in
 * whole words: this is what a response body spends its time in.
 */
#include "base/num.h"

#include <string.h>

#include "base/check.h"
#include "base/decimal.h"

/* No number has more digits: they are copied as one block, the bytes behind them are overwritten. */
#define DIGITS_BLOCK 24

#define EXPONENT_PLAIN_MIN (-4)
#define EXPONENT_PLAIN_END 16

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

static void put_pair(char *at, unsigned value)
{
    memcpy(at, digit_pairs + 2 * value, 2);
}

/* Writes the digits so that they end at `end`; returns where they begin. */
static char *put_digits_before(char *end, uint64_t value)
{
    while (value > UINT32_MAX) {
        put_pair(end -= 2, (unsigned)(value % 100));
        value /= 100;
    }
    uint32_t rest = (uint32_t)value; /* half the price of 64-bit divisions */
    while (rest >= 100) {
        put_pair(end -= 2, rest % 100);
        rest /= 100;
    }
    if (rest >= 10) {
        put_pair(end -= 2, rest);
    } else {
        *--end = (char)('0' + rest);
    }
    return end;
}

size_t num_print_u64(uint64_t value, char *text)
{
    char buffer[2 * DIGITS_BLOCK] = {0};
    const char *end = buffer + DIGITS_BLOCK;
    const char *begin = put_digits_before(buffer + DIGITS_BLOCK, value);
    memcpy(text, begin, DIGITS_BLOCK);
    return (size_t)(end - begin);
}

size_t num_print_i64(int64_t value, char *text)
{
    if (value >= 0) {
        return num_print_u64((uint64_t)value, text);
    }
    text[0] = '-';
    return 1 + num_print_u64(0 - (uint64_t)value, text + 1);
}

/* "1e+16", "1.5e-05": at least two digits of exponent. */
static size_t layout_scientific(const char *digits, size_t count, int exponent, char *text)
{
    char *at = text;
    *at++ = digits[0];
    if (count > 1) {
        *at++ = '.';
        memcpy(at, digits + 1, DIGITS_BLOCK - 1);
        at += count - 1;
    }
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    unsigned magnitude = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (magnitude >= 100) {
        *at++ = (char)('0' + magnitude / 100);
        magnitude %= 100;
    }
    put_pair(at, magnitude);
    return (size_t)(at + 2 - text);
}

/* "0.00125", "12.5", "1200.0" for decimal exponents within the plain range. */
static size_t layout_plain(const char *digits, size_t count, int exponent, char *text)
{
    if (exponent < 0) {
        size_t zeros = (size_t)(-exponent);
        memcpy(text, "0.000000", 8);
        memcpy(text + 1 + zeros, digits, DIGITS_BLOCK);
        return 1 + zeros + count;
    }
    size_t whole = (size_t)exponent + 1;
    if (count > whole) {
        memcpy(text, digits, EXPONENT_PLAIN_END);
        text[whole] = '.';
        memcpy(text + whole + 1, digits + whole, EXPONENT_PLAIN_END);
        return count + 1;
    }
    memset(text, '0', EXPONENT_PLAIN_END);
    memcpy(text, digits, count);
    memcpy(text + whole, ".0", 2);
    return whole + 2;
}

static size_t print_decimal(struct decimal decimal, char *text)
{
    /* Room behind the digits, so that the layouts can copy whole blocks. */
    char buffer[DIGITS_BLOCK + DIGITS_BLOCK + EXPONENT_PLAIN_END] = {0};
    const char *end = buffer + DIGITS_BLOCK;
    const char *digits = put_digits_before(buffer + DIGITS_BLOCK, decimal.digits);
    int exponent = decimal.exponent + (int)(end - digits) - 1;
    while (end - digits > 1 && end[-1] == '0') {
        end--;
    }
    size_t count = (size_t)(end - digits);
    bool plain = exponent >= EXPONENT_PLAIN_MIN && exponent < EXPONENT_PLAIN_END;
    return plain ? layout_plain(digits, count, exponent, text)
                 : layout_scientific(digits, count, exponent, text);
}

/* A whole number below 2^53: its digits are the shortest, because shorter ones are other integers. */
static size_t print_whole(uint64_t value, char *text)
{
    size_t len = num_print_u64(value, text);
    memcpy(text + len, ".0", 2);
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
