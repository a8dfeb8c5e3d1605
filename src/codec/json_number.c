/*
 * The inner loop of the service. Positions are passed by value and returned (NULL: not what was
 * expected), because a pointer in memory would be written back for every byte. Numbers of up to 53
 * bits and a power of ten up to 22 are exact products or quotients of two doubles (Clinger 1990),
 * computed here; base/num knows the others.
 */
#include "codec/json_number.h"

#include <math.h>
#include <string.h>

#include "base/num.h"

#define EXACT_DIGITS 19 /* always fit uint64_t */
#define EXACT_MANTISSA (UINT64_C(1) << 53)
#define EXACT_POWER 22

static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Eight bytes of text at once, the first in the lowest byte (all machines served are little-endian). */
#define EIGHT_ZEROS UINT64_C(0x3030303030303030)
#define EIGHT_SIXES UINT64_C(0x0606060606060606)
#define UPPER_HALVES UINT64_C(0xf0f0f0f0f0f0f0f0)

static const uint64_t whole_powers[9] = {1,      10,      100,      1000,     10000,
                                         100000, 1000000, 10000000, 100000000};

/* A number as it is written. The mantissa is meaningless past EXACT_DIGITS. */
struct written {
    bool negative;
    bool whole; /* neither point nor exponent */
    uint64_t mantissa;
    size_t digits;
    int exponent; /* of ten */
};

bool json_take_word(struct json_cursor *cursor, struct slice word)
{
    if (!slice_starts_with(slice_make(cursor->at, (size_t)(cursor->end - cursor->at)), word)) {
        return false;
    }
    cursor->at += word.len;
    return true;
}

static inline const char *skip_space(const char *at, const char *end)
{
    while (at < end && json_is_space(*at)) {
        at++;
    }
    return at;
}

/* To the next value of a run: behind the comma where it is not the first. NULL where none comes. */
static inline const char *find_value(const char *at, const char *end, bool first)
{
    at = skip_space(at, end);
    if (!first) {
        if (at == end || *at != ',') {
            return NULL;
        }
        at = skip_space(at + 1, end);
    }
    return at == end ? NULL : at;
}

/* Digits into the mantissa. The byte behind the text's last digit is there, and no digit. */
static inline const char *read_digits(const char *at, uint64_t *mantissa)
{
    uint64_t value = *mantissa;
    for (unsigned digit; (digit = (unsigned)(unsigned char)*at - '0') <= 9; at++) {
        value = value * 10 + digit;
    }
    *mantissa = value;
    return at;
}

/* How many bytes of the text that was loaded into `word` are digits, before the first that is none. */
static inline unsigned leading_digits(uint64_t word)
{
    /* A byte is a digit if both it and it plus 6 have the upper half of '0'. What carries over from a
     * byte that is none changes only bytes behind it. */
    uint64_t other = ((word & UPPER_HALVES) ^ EIGHT_ZEROS) |
                     (((word + EIGHT_SIXES) & UPPER_HALVES) ^ EIGHT_ZEROS);
    return other == 0 ? 8 : (unsigned)__builtin_ctzll(other) / 8;
}

/* The first `count` bytes (1 to 8) of `word`, which are digits: pairs, then fours, then eight. */
static inline uint64_t digits_value(uint64_t word, unsigned count)
{
    word = (word - EIGHT_ZEROS) << (8 * (8 - count)); /* zeros come before them */
    word = word * 10 + (word >> 8);
    return ((word & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
            (word >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >>
           32;
}

/* read_digits, eight at a time while so many bytes of the text are there. */
static inline const char *read_many_digits(const char *at, const char *end, uint64_t *mantissa)
{
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        unsigned count = leading_digits(word);
        if (count == 0) {
            return at;
        }
        *mantissa = *mantissa * whole_powers[count] + digits_value(word, count);
        at += count;
        if (count < 8) {
            return at;
        }
    }
    return read_digits(at, mantissa);
}

/* Behind the 'e'. What has more than four digits is left to num_parse. */
static const char *read_exponent(const char *at, struct written *number)
{
    bool negative = *at == '-';
    uint64_t exponent = 0;
    at += negative || *at == '+';
    const char *end = read_digits(at, &exponent);
    if (end - at > 4) {
        number->digits = EXACT_DIGITS + 1;
    } else {
        number->exponent += negative ? -(int)exponent : (int)exponent;
    }
    number->whole = false;
    return end == at ? NULL : end;
}

/*
 * RFC 8259 section 6. NULL when no number starts here. Not inline: woven into the loops that call it,
 * gcc 12 keeps its variables in memory and takes two thirds more time.
 */
static __attribute__((noinline)) const char *read_number(const char *at, const char *end,
                                                         struct written *ret_number)
{
    struct written number = {.whole = true};
    number.negative = *at == '-';
    at += number.negative;
    const char *start = at;
    at = read_digits(at, &number.mantissa);
    number.digits = (size_t)(at - start);
    if (number.digits == 0 || (*start == '0' && number.digits > 1)) {
        return NULL;
    }
    if (*at == '.') {
        const char *point = at;
        at = read_many_digits(at + 1, end, &number.mantissa);
        size_t fraction = (size_t)(at - point) - 1;
        number.whole = false;
        number.digits += fraction;
        number.exponent = fraction > EXACT_DIGITS ? 0 : -(int)fraction;
        if (fraction == 0) {
            return NULL;
        }
    }
    if (*at == 'e' || *at == 'E') {
        at = read_exponent(at + 1, &number);
    }
    *ret_number = number;
    return at;
}

static double parse_slowly(const char *start, const char *end)
{
    struct num num = num_parse(slice_make(start, (size_t)(end - start)));
    switch (num.kind) {
    case NUM_I64:
        return (double)num.as.i64;
    case NUM_U64:
        return (double)num.as.u64;
    default:
        return num.as.f64;
    }
}

/* Without a branch: the signs of a matrix are as good as random. */
static inline double signed_value(double magnitude, bool negative)
{
    uint64_t bits;
    memcpy(&bits, &magnitude, sizeof(bits));
    bits ^= (uint64_t)negative << 63;
    memcpy(&magnitude, &bits, sizeof(bits));
    return magnitude;
}

static inline double to_double(const struct written *number, const char *start, const char *end)
{
    double value;
    if (number->digits > EXACT_DIGITS) {
        return parse_slowly(start, end);
    }
    if (number->mantissa <= EXACT_MANTISSA && number->exponent >= -EXACT_POWER &&
        number->exponent <= EXACT_POWER) {
        value = (double)number->mantissa;
        value = number->exponent < 0 ? value / powers[-number->exponent]
                                     : value * powers[number->exponent];
    } else if (!num_from_decimal(number->mantissa, number->exponent, &value)) {
        return parse_slowly(start, end);
    }
    /* The integer -0 is the integer 0. */
    return signed_value(value, number->negative && !(number->whole && number->mantissa == 0));
}

/*
 * The float32 next to the double next to the number, where an approximation proves it. Two roundings
 * leave `value` within two units of its last place. Floats change over at doubles whose lower 29
 * bits are 1 and zeros: away from there the correctly rounded double gives the same float.
 */
static inline bool approximate_f32(const struct written *number, float *ret_value)
{
    static const uint64_t lower = (UINT64_C(1) << 29) - 1;
    static const uint64_t middle = UINT64_C(1) << 28;
    if (number->digits > EXACT_DIGITS || number->mantissa == 0 || number->exponent < -EXACT_POWER ||
        number->exponent > 0) {
        return false;
    }
    uint64_t bits;
    double value = (double)number->mantissa / powers[-number->exponent];
    memcpy(&bits, &value, sizeof(bits));
    if ((bits & lower) - (middle - 4) <= 8) {
        return false;
    }
    *ret_value = (float)signed_value(value, number->negative);
    return true;
}

static inline const char *number_f32(const char *at, const char *end, float *ret_value)
{
    struct written number;
    const char *behind = read_number(at, end, &number);
    if (behind != NULL && !approximate_f32(&number, ret_value)) {
        *ret_value = (float)to_double(&number, at, behind);
    }
    return behind;
}

static inline const char *number_f64(const char *at, const char *end, double *ret_value)
{
    struct written number;
    const char *behind = read_number(at, end, &number);
    if (behind != NULL) {
        *ret_value = to_double(&number, at, behind);
    }
    return behind;
}

/* What floats may be besides numbers. */
static const char *read_float_word(const char *at, const char *end, double *ret_value)
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
        if (slice_starts_with(slice_make(at, (size_t)(end - at)), words[i].word)) {
            *ret_value = words[i].value;
            return at + words[i].word.len;
        }
    }
    return NULL;
}

static inline const char *read_f64(const char *at, const char *end, double *ret_value)
{
    const char *behind = number_f64(at, end, ret_value);
    return behind != NULL ? behind : read_float_word(at, end, ret_value);
}

static inline const char *read_f32(const char *at, const char *end, float *ret_value)
{
    double value = 0;
    const char *behind = number_f32(at, end, ret_value);
    if (behind == NULL) {
        behind = read_float_word(at, end, &value);
        *ret_value = (float)value;
    }
    return behind;
}

static inline const char *read_whole(const char *at, const char *end, int64_t *ret_value)
{
    struct written number;
    at = read_number(at, end, &number);
    if (at == NULL || !number.whole || number.digits > EXACT_DIGITS ||
        number.mantissa > (uint64_t)INT64_MAX) {
        return NULL;
    }
    int64_t value = (int64_t)number.mantissa;
    *ret_value = number.negative ? -value : value;
    return at;
}

const char *json_number_f32(const char *at, const char *end, float *ret_value)
{
    return number_f32(at, end, ret_value);
}

const char *json_number_f64(const char *at, const char *end, double *ret_value)
{
    return number_f64(at, end, ret_value);
}

bool json_read_f32(struct json_cursor *cursor, size_t count, float *out)
{
    const char *at = cursor->at;
    const char *end = cursor->end;
    for (size_t i = 0; i < count; i++) {
        at = find_value(at, end, i == 0);
        at = at == NULL ? NULL : read_f32(at, end, &out[i]);
        if (at == NULL) {
            return false;
        }
    }
    cursor->at = at;
    return true;
}

bool json_read_f64(struct json_cursor *cursor, size_t count, double *out)
{
    const char *at = cursor->at;
    const char *end = cursor->end;
    for (size_t i = 0; i < count; i++) {
        at = find_value(at, end, i == 0);
        at = at == NULL ? NULL : read_f64(at, end, &out[i]);
        if (at == NULL) {
            return false;
        }
    }
    cursor->at = at;
    return true;
}

bool json_read_i64(struct json_cursor *cursor, size_t count, int64_t *out)
{
    const char *at = cursor->at;
    const char *end = cursor->end;
    for (size_t i = 0; i < count; i++) {
        at = find_value(at, end, i == 0);
        at = at == NULL ? NULL : read_whole(at, end, &out[i]);
        if (at == NULL) {
            return false;
        }
    }
    cursor->at = at;
    return true;
}
