/*
 * Numbers from and to text, locale-free, without allocation. Parsing takes the whole slice or
 * fails; printing writes no NUL and returns the length. Any thread.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Enough room for any number printed here. */
#define NUM_TEXT_MAX 32

enum num_kind {
    NUM_NONE, /* not a number */
    NUM_I64,  /* an integer that fits int64_t, but not "-0": its sign is worth keeping */
    NUM_U64,  /* a positive integer that fits uint64_t only */
    NUM_F64,  /* everything else: fractions, exponents, larger integers, nan, inf */
};

struct num {
    enum num_kind kind;
    union {
        int64_t i64;
        uint64_t u64;
        double f64;
    } as;
};

/*
 * A decimal number as Python's float() reads it: optional sign (+ too), digits with or without a
 * point (".5", "5."), exponent; "nan", "inf", "infinity" in any case. No hex, no underscores, no
 * spaces. Doubles are correctly rounded; what is past the range becomes infinity or zero.
 * NUM_NONE when the slice is anything else.
 */
struct num num_parse(struct slice text);

/*
 * mantissa * 10^exponent, correctly rounded, for callers that have read the digits themselves. False
 * for the few that two quick ways leave undecided; num_parse of the text decides these.
 */
bool num_from_decimal(uint64_t mantissa, int exponent, double *ret_value);

/* Decimal digits only, no sign, no spaces, at least one digit; false on anything else or overflow. */
bool num_parse_u64(struct slice text, uint64_t *ret_value);
/* Optional '-', then as above. */
bool num_parse_i64(struct slice text, int64_t *ret_value);

/* Into text[NUM_TEXT_MAX]; returns the number of bytes. */
size_t num_print_i64(int64_t value, char *text);
size_t num_print_u64(uint64_t value, char *text);
/*
 * The fewest digits that read back to the same value of the type (the closest of those), always
 * looking like a float: "6.0", "0.1", "1e-10", "1.0000000150474662e+30", "-0.0". Plain notation for
 * decimal exponents -4 <= e < 16, as Python's repr. Not for nan and infinity (checked).
 */
size_t num_print_f64(double value, char *text);
size_t num_print_f32(float value, char *text);
/* IEEE 754 binary16 and bfloat16, given as their bits. */
size_t num_print_f16(uint16_t bits, char *text);
size_t num_print_bf16(uint16_t bits, char *text);

/* Conversions of the 16-bit formats; to 16 bits rounds to nearest even, overflow gives infinity. */
float num_f16_to_f32(uint16_t bits);
uint16_t num_f32_to_f16(float value);
float num_bf16_to_f32(uint16_t bits);
uint16_t num_f32_to_bf16(float value);

#endif
