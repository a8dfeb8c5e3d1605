/*
 * Reads without a bounds check a digit: a text is taken only when its last byte is a bracket, which
 * ends every run of digits. Numbers of up to 53 bits and a power of ten up to 22 are exact products
 * or quotients of two doubles (Clinger 1990); num_parse reads the others.
 */
#include "codec/json_number.h"

#include <math.h>

#include "base/num.h"

#define EXACT_DIGITS 19 /* always fit uint64_t */
#define EXACT_MANTISSA (UINT64_C(1) << 53)
#define EXACT_POWER 22

bool json_take_word(struct json_cursor *cursor, struct slice word)
{
    if (!slice_starts_with(slice_make(cursor->at, (size_t)(cursor->end - cursor->at)), word)) {
        return false;
    }
    cursor->at += word.len;
    return true;
}

static unsigned digit_of(char byte)
{
    return (unsigned)(unsigned char)byte - '0';
}

/* A number as it is written. The mantissa is meaningless past EXACT_DIGITS. */
struct written {
    const char *start;
    bool negative;
    bool whole; /* neither point nor exponent */
    uint64_t mantissa;
    size_t digits;
    int exponent; /* of ten */
};

/* Digits into the mantissa; returns how many there were. */
static size_t read_digits(struct json_cursor *cursor, uint64_t *mantissa)
{
    const char *start = cursor->at;
    uint64_t value = *mantissa;
    for (unsigned digit; (digit = digit_of(*cursor->at)) <= 9; cursor->at++) {
        value = value * 10 + digit;
    }
    *mantissa = value;
    return (size_t)(cursor->at - start);
}

/* Behind the 'e'. What has more than four digits is left to num_parse. */
static bool read_exponent(struct json_cursor *cursor, struct written *number)
{
    bool negative = *cursor->at == '-';
    uint64_t exponent = 0;
    cursor->at += negative || *cursor->at == '+';
    size_t digits = read_digits(cursor, &exponent);
    if (digits > 4) {
        number->digits = EXACT_DIGITS + 1;
    } else {
        number->exponent += negative ? -(int)exponent : (int)exponent;
    }
    return digits > 0;
}

/* RFC 8259 section 6. False when no number starts here. */
static bool read_number(struct json_cursor *cursor, struct written *ret_number)
{
    struct written number = {.start = cursor->at, .whole = true};
    number.negative = *cursor->at == '-';
    cursor->at += number.negative;
    bool zero = *cursor->at == '0';
    number.digits = read_digits(cursor, &number.mantissa);
    if (number.digits == 0 || (zero && number.digits > 1)) {
        return false;
    }
    if (*cursor->at == '.') {
        cursor->at++;
        size_t fraction = read_digits(cursor, &number.mantissa);
        if (fraction == 0) {
            return false;
        }
        number.whole = false;
        number.digits += fraction;
        number.exponent = fraction > EXACT_DIGITS ? 0 : -(int)fraction;
    }
    if (*cursor->at == 'e' || *cursor->at == 'E') {
        cursor->at++;
        number.whole = false;
        if (!read_exponent(cursor, &number)) {
            return false;
        }
    }
    *ret_number = number;
    return true;
}

static double parse_slowly(const struct written *number, const char *end)
{
    struct num num = num_parse(slice_make(number->start, (size_t)(end - number->start)));
    return num.kind == NUM_I64   ? (double)num.as.i64
           : num.kind == NUM_U64 ? (double)num.as.u64
                                 : num.as.f64;
}

static double to_double(const struct written *number, const char *end)
{
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (number->digits > EXACT_DIGITS || number->mantissa > EXACT_MANTISSA ||
        number->exponent < -EXACT_POWER || number->exponent > EXACT_POWER) {
        return parse_slowly(number, end);
    }
    double value = (double)number->mantissa;
    value =
        number->exponent < 0 ? value / powers[-number->exponent] : value * powers[number->exponent];
    /* The integer -0 is the integer 0. */
    return number->negative && !(number->whole && number->mantissa == 0) ? -value : value;
}

/* What floats may be besides numbers. */
static bool read_float_word(struct json_cursor *cursor, double *ret_value)
{
    static const struct {
        struct slice word;
        double value;
    } words[] = {
        {{"null", 4}, (double)NAN},
        {{"NaN", 3}, (double)NAN},
        {{"Infinity", 8}, (double)INFINITY},
        {{"-Infinity", 9}, -(double)INFINITY},
        {{"true", 4}, 1.0},
        {{"false", 5}, 0.0},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (json_take_word(cursor, words[i].word)) {
            *ret_value = words[i].value;
            return true;
        }
    }
    return false;
}

static bool read_float(struct json_cursor *cursor, double *ret_value)
{
    struct written number;
    const char *start = cursor->at;
    if (!read_number(cursor, &number)) {
        cursor->at = start;
        return read_float_word(cursor, ret_value);
    }
    *ret_value = to_double(&number, cursor->at);
    return true;
}

bool json_read_whole(struct json_cursor *cursor, int64_t *ret_value)
{
    struct written number;
    if (!read_number(cursor, &number) || !number.whole || number.digits > EXACT_DIGITS ||
        number.mantissa > (uint64_t)INT64_MAX) {
        return false;
    }
    int64_t value = (int64_t)number.mantissa;
    *ret_value = number.negative ? -value : value;
    return true;
}

bool json_read_f32(struct json_cursor *cursor, size_t count, float *out)
{
    double value;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && !json_take(cursor, ',')) {
            return false;
        }
        json_skip_space(cursor);
        if (cursor->at == cursor->end || !read_float(cursor, &value)) {
            return false;
        }
        out[i] = (float)value;
    }
    return true;
}

bool json_read_f64(struct json_cursor *cursor, size_t count, double *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && !json_take(cursor, ',')) {
            return false;
        }
        json_skip_space(cursor);
        if (cursor->at == cursor->end || !read_float(cursor, &out[i])) {
            return false;
        }
    }
    return true;
}

bool json_read_i64(struct json_cursor *cursor, size_t count, int64_t *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && !json_take(cursor, ',')) {
            return false;
        }
        json_skip_space(cursor);
        if (cursor->at == cursor->end || !json_read_whole(cursor, &out[i])) {
            return false;
        }
    }
    return true;
}
