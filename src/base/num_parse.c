/*
 * Parsing of numbers (num.h). Doubles are correctly rounded by three ways, each for what the one
 * before cannot decide: exact arithmetic (W. D. Clinger, "How to read floating point numbers
 * accurately", 1990), bounds on a 128-bit product (the idea of D. Lemire, "Number parsing at a
 * gigabyte per second", 2021, with the bounds written out), and libc's strtod on a bounded copy.
 */
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/num.h"
#include "base/power10.h"

/* A double halfway between two others has at most 767 significant digits; one more breaks a tie. */
#define SIGNIFICANT_MAX 800
/* Decimal digits that always fit uint64_t. */
#define MANTISSA_DIGITS 19
/* More than any slice can hold, so that sums with digit counts neither overflow nor mislead. */
#define EXPONENT_MAX (INT64_C(1) << 60)

/* A number as it was written: mantissa * 10^exponent, or a little more where `cut` says so. */
struct written {
    bool negative;
    bool whole;          /* no point and no exponent */
    bool cut;            /* digits other than 0 follow those of the mantissa */
    uint64_t mantissa;   /* the first MANTISSA_DIGITS significant digits */
    int64_t significant; /* how many significant digits there are in all */
    int64_t exponent;
    struct slice digits; /* with the point, without sign and exponent */
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

bool num_parse_u64(struct slice text, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value)) {
            return false;
        }
    }
    if (text.len == 0) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* False where the magnitude with this sign does not fit. */
static bool to_i64(uint64_t magnitude, bool negative, int64_t *ret_value)
{
    if (magnitude > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *ret_value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

bool num_parse_i64(struct slice text, int64_t *ret_value)
{
    if (text.len == 0) {
        return false;
    }
    bool negative = text.ptr[0] == '-';
    uint64_t magnitude;
    return num_parse_u64(slice_tail(text, negative), &magnitude) &&
           to_i64(magnitude, negative, ret_value);
}

/* Takes a run of digits off *rest into the mantissa; returns how many there were. */
static size_t scan_digits(struct slice *rest, struct written *number)
{
    size_t count = 0;
    for (; count < rest->len && is_digit(rest->ptr[count]); count++) {
        uint64_t digit = (uint64_t)(rest->ptr[count] - '0');
        if (number->significant < MANTISSA_DIGITS) {
            number->mantissa = number->mantissa * 10 + digit;
            number->significant += number->mantissa != 0;
        } else {
            number->cut |= digit != 0;
            number->significant++;
        }
    }
    *rest = slice_tail(*rest, count);
    return count;
}

/* "e5", "E-12"; nothing at all is fine too. False when something else is there. */
static bool scan_exponent(struct slice rest, struct written *number)
{
    if (rest.len == 0) {
        return true;
    }
    if (rest.ptr[0] != 'e' && rest.ptr[0] != 'E') {
        return false;
    }
    rest = slice_tail(rest, 1);
    bool negative = rest.len > 0 && rest.ptr[0] == '-';
    bool positive = rest.len > 0 && rest.ptr[0] == '+';
    rest = slice_tail(rest, negative || positive);
    int64_t exponent = 0;
    for (size_t i = 0; i < rest.len; i++) {
        if (!is_digit(rest.ptr[i])) {
            return false;
        }
        if (exponent < EXPONENT_MAX / 10) {
            exponent = exponent * 10 + (rest.ptr[i] - '0');
        }
    }
    number->whole = false;
    number->exponent += negative ? -exponent : exponent;
    return rest.len > 0;
}

/* The text behind the sign. */
static bool scan_number(struct slice text, struct written *number)
{
    struct slice rest = text;
    number->whole = true;
    size_t digits = scan_digits(&rest, number);
    if (rest.len > 0 && rest.ptr[0] == '.') {
        number->whole = false;
        rest = slice_tail(rest, 1);
        size_t fraction = scan_digits(&rest, number);
        number->exponent = -(int64_t)fraction;
        digits += fraction;
    }
    number->digits = slice_head(text, text.len - rest.len);
    if (number->significant > MANTISSA_DIGITS) {
        number->exponent += number->significant - MANTISSA_DIGITS;
    }
    return digits > 0 && scan_exponent(rest, number);
}

/* Both factors and so the result are exact doubles, rounded once. */
static bool convert_exactly(const struct written *number, double *ret_value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (number->cut || number->mantissa > (UINT64_C(1) << 53) || number->exponent < -22 ||
        number->exponent > 22) {
        return false;
    }
    double value = (double)number->mantissa;
    *ret_value =
        number->exponent < 0 ? value / powers[-number->exponent] : value * powers[number->exponent];
    return true;
}

/* To nearest, ties to even, of value / 2^shift. */
static uint64_t round_shift(unsigned __int128 value, int shift)
{
    unsigned __int128 half = (unsigned __int128)1 << (shift - 1);
    unsigned __int128 rest = value & (2 * half - 1);
    uint64_t result = (uint64_t)(value >> shift);
    return result + (rest > half || (rest == half && (result & 1) != 0));
}

/*
 * Bounds the number by two 128-bit integers; where both round to the same double, that is it. False
 * for the rest: exact ties, subnormals, and those too close to a tie.
 */
static bool convert_by_bounds(const struct written *number, double *ret_value)
{
    if (number->exponent < POWER10_FIRST || number->exponent > POWER10_LAST) {
        return false;
    }
    int power = (int)number->exponent;
    struct power10 g = power10_get(power);
    int zeros = __builtin_clzll(number->mantissa);
    uint64_t mantissa = number->mantissa << zeros;
    /* g is at most 1 too large and the cut low half at most 1: below - 1 <= number <= below + 1. */
    unsigned __int128 product = (unsigned __int128)mantissa * g.high +
                                (uint64_t)((unsigned __int128)mantissa * g.low >> 64);
    unsigned __int128 above = number->cut ? ((unsigned __int128)g.high + 1) << zeros : 0;
    if (product + above + 1 < product) {
        return false;
    }
    int shift = product >> 127 != 0 ? 128 - 53 : 127 - 53;
    uint64_t significand = round_shift(product - 1, shift);
    int exponent = shift + power10_floor_log2(power) - 63 - zeros;
    if (significand != round_shift(product + above + 1, shift) || exponent < -1074 ||
        exponent > 971) {
        return false;
    }
    /* A significand of 2^53 carries into the exponent, at the top of the range to infinity. */
    uint64_t bits = ((uint64_t)(exponent + 1075) << 52) + (significand - (UINT64_C(1) << 52));
    memcpy(ret_value, &bits, sizeof(bits));
    return true;
}

bool num_from_decimal(uint64_t mantissa, int exponent, double *ret_value)
{
    struct written number = {.mantissa = mantissa, .exponent = exponent};
    if (mantissa == 0) {
        *ret_value = 0.0;
        return true;
    }
    return convert_exactly(&number, ret_value) || convert_by_bounds(&number, ret_value);
}

/* Hands libc the first SIGNIFICANT_MAX digits, and a last 1 for whatever there is behind them. */
static double convert_by_libc(const struct written *number)
{
    char text[SIGNIFICANT_MAX + 1 + 1 + NUM_TEXT_MAX + 1];
    size_t len = 0;
    size_t dropped = 0;
    bool sticky = false;
    for (size_t i = 0; i < number->digits.len; i++) {
        char byte = number->digits.ptr[i];
        if (byte == '.' || (len == 0 && byte == '0')) {
            continue;
        }
        if (len < SIGNIFICANT_MAX) {
            text[len++] = byte;
        } else {
            sticky |= byte != '0';
            dropped++;
        }
    }
    /* The exponent counts from the end of the mantissa; here it counts from the last digit kept. */
    int64_t exponent = number->exponent + (int64_t)dropped;
    if (number->significant > MANTISSA_DIGITS) {
        exponent -= number->significant - MANTISSA_DIGITS;
    }
    if (sticky) {
        text[len++] = '1';
        exponent--;
    }
    text[len++] = 'e';
    len += num_print_i64(exponent, text + len);
    text[len] = '\0';
    /* Costs nothing: libc keeps the "C" locale as a constant, and no thread's locale is touched. */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    CHECK(c_locale != (locale_t)0);
    double value = strtod_l(text, NULL, c_locale);
    freelocale(c_locale);
    return value;
}

static double to_double(const struct written *number)
{
    double value;
    if (number->mantissa == 0 || number->exponent < -400) {
        value = 0.0; /* the mantissa is below 10^19, the smallest double above 10^-324 */
    } else if (number->exponent > 400) {
        value = (double)INFINITY;
    } else if (!convert_exactly(number, &value) && !convert_by_bounds(number, &value)) {
        value = convert_by_libc(number);
    }
    return number->negative ? -value : value;
}

static struct num make_f64(double value)
{
    return (struct num){.kind = NUM_F64, .as.f64 = value};
}

/* Of a whole number: an integer kind if it fits one. */
static bool to_integer(const struct written *number, struct num *ret_num)
{
    uint64_t magnitude = number->mantissa;
    int64_t value;
    if (number->significant > MANTISSA_DIGITS && !num_parse_u64(number->digits, &magnitude)) {
        return false;
    }
    if (to_i64(magnitude, number->negative, &value)) {
        *ret_num = (struct num){.kind = NUM_I64, .as.i64 = value};
        return magnitude != 0 || !number->negative;
    }
    *ret_num = (struct num){.kind = NUM_U64, .as.u64 = magnitude};
    return !number->negative;
}

static struct num parse_word(struct slice word, bool negative)
{
    if (slice_eq_nocase(word, SLICE("nan"))) {
        return make_f64((double)NAN);
    }
    if (slice_eq_nocase(word, SLICE("inf")) || slice_eq_nocase(word, SLICE("infinity"))) {
        return make_f64(negative ? -(double)INFINITY : (double)INFINITY);
    }
    return (struct num){.kind = NUM_NONE};
}

struct num num_parse(struct slice text)
{
    if (text.len == 0) {
        return (struct num){.kind = NUM_NONE};
    }
    struct written number = {.negative = text.ptr[0] == '-'};
    struct slice rest = slice_tail(text, number.negative || text.ptr[0] == '+');
    if (!scan_number(rest, &number)) {
        return parse_word(rest, number.negative);
    }
    struct num result;
    if (number.whole && to_integer(&number, &result)) {
        return result;
    }
    return make_f64(to_double(&number));
}
