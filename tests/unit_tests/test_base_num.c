/* Numbers to text and back, against tables, libc and exhaustive or random bit patterns. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "unit_tests/random_numbers.h"
#include "unit_tests/testing.h"

#define RANDOM_ROUNDS 500000

/* ---- printing ---- */

static void prints_integers(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {7, "7"},
        {-1, "-1"},
        {10, "10"},
        {99, "99"},
        {100, "100"},
        {-12345, "-12345"},
        {4294967295, "4294967295"},
        {4294967296, "4294967296"},
        {999999999999, "999999999999"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    char text[NUM_TEXT_MAX];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = num_print_i64(cases[i].value, text);
        assert_true(slice_eq(slice_make(text, len), slice_from_str(cases[i].text)));
    }
    size_t len = num_print_u64(UINT64_MAX, text);
    assert_true(slice_eq(slice_make(text, len), SLICE("18446744073709551615")));
}

static void prints_every_integer_length(void **state)
{
    (void)state;
    char text[NUM_TEXT_MAX];
    char expected[32];
    for (uint64_t power = 1; power <= UINT64_C(1000000000000000000); power *= 10) {
        for (uint64_t value = power - 1; value <= power + 1; value++) {
            int wanted = snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
            size_t len = num_print_u64(value, text);
            assert_true(slice_eq(slice_make(text, len), slice_make(expected, (size_t)wanted)));
        }
    }
}

/* The expected texts are what Python 3.11 prints for repr(). */
static void prints_doubles_as_repr(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.0, "-1.0"},
        {6.0, "6.0"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3.0, "0.3333333333333333"},
        {2.0 / 3.0, "0.6666666666666666"},
        {-12.5, "-12.5"},
        {123456.789, "123456.789"},
        {0.0001, "0.0001"},
        {0.00012345678901234567, "0.00012345678901234567"},
        {-0.00012345678901234567, "-0.00012345678901234567"},
        {0.00001, "1e-05"},
        {0.000012345, "1.2345e-05"},
        {1e-10, "1e-10"},
        {1e15, "1000000000000000.0"},
        {9007199254740991.0, "9007199254740991.0"},
        {9007199254740992.0, "9007199254740992.0"},
        {9007199254740994.0, "9007199254740994.0"},
        {9999999999999998.0, "9999999999999998.0"},
        {1234567890123456.7, "1234567890123456.8"},
        {1e16, "1e+16"},
        {1e17, "1e+17"},
        {1e21, "1e+21"},
        {1e22, "1e+22"},
        {1e23, "1e+23"},
        {9.5367431640625e-07, "9.5367431640625e-07"},
        {1.0000000150474662e+30, "1.0000000150474662e+30"},
        {1e99, "1e+99"},
        {1e100, "1e+100"},
        {1e-100, "1e-100"},
        {1.7976931348623157e+308, "1.7976931348623157e+308"},
        {-1.7976931348623157e+308, "-1.7976931348623157e+308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {2.225073858507201e-308, "2.225073858507201e-308"},
        {5e-324, "5e-324"},
        {-5e-324, "-5e-324"},
        {1e-323, "1e-323"},
        {9007199254740993.0, "9007199254740992.0"},
        {0x1p63, "9.223372036854776e+18"},
        {0x1p-1022, "2.2250738585072014e-308"},
        {0x1p1023, "8.98846567431158e+307"},
        {2e-44, "2e-44"},
        {4.35, "4.35"},
        {100.0, "100.0"},
        {1200.0, "1200.0"},
    };
    char text[NUM_TEXT_MAX];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = num_print_f64(cases[i].value, text);
        if (!slice_eq(slice_make(text, len), slice_from_str(cases[i].text))) {
            fail_msg("%s came out as %.*s", cases[i].text, (int)len, text);
        }
    }
}

static void prints_floats_shortest(void **state)
{
    (void)state;
    static const struct {
        float value;
        const char *text;
    } cases[] = {
        {0.0f, "0.0"},
        {-0.0f, "-0.0"},
        {1.0f, "1.0"},
        {0.1f, "0.1"},
        {-0.1f, "-0.1"},
        {0.3f, "0.3"},
        {3.4028235e38f, "3.4028235e+38"},
        {-3.4028235e38f, "-3.4028235e+38"},
        {1.1754944e-38f, "1.1754944e-38"},
        {1e-45f, "1e-45"},
        {1.4e-45f, "1e-45"},
        {3e-45f, "3e-45"},
        {1e-5f, "1e-05"},
        {1e-4f, "0.0001"},
        {0.00012345679f, "0.00012345679"},
        {16777215.0f, "16777215.0"},
        {16777216.0f, "16777216.0"},
        {33554432.0f, "33554432.0"},
        {1e10f, "10000000000.0"},
        {1e15f, "1000000000000000.0"},
        {9.999999e15f, "9999999000000000.0"},
        {1e16f, "1e+16"},
        {1e30f, "1e+30"},
        {0.97f, "0.97"},
        {0.33333334f, "0.33333334"},
        {123456.79f, "123456.79"},
        {8388607.5f, "8388607.5"},
    };
    char text[NUM_TEXT_MAX];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = num_print_f32(cases[i].value, text);
        if (!slice_eq(slice_make(text, len), slice_from_str(cases[i].text))) {
            fail_msg("%s came out as %.*s", cases[i].text, (int)len, text);
        }
    }
}

/* What a printed text says: significant digits without zeros at either end, and whether it is a float. */
static size_t count_digits(const char *text, char *ret_digits)
{
    size_t count = 0;
    for (; *text != '\0' && *text != 'e'; text++) {
        bool digit = *text >= '0' && *text <= '9';
        if (digit && (count > 0 || *text != '0')) {
            ret_digits[count++] = *text;
        }
    }
    while (count > 0 && ret_digits[count - 1] == '0') {
        count--;
    }
    ret_digits[count] = '\0';
    return count;
}

/*
 * A text must look like a float, have no fewer-digit rounding of the value that reads back, and be
 * the closest of those with as many digits wherever that one reads back.
 */
static void check_shortest(const char *text, double value, double (*read_back)(const char *))
{
    char digits[64];
    char other[400];
    char other_digits[400];
    if (strpbrk(text, ".e") == NULL || strlen(text) > 24) {
        fail_msg("%s does not look like a float", text);
    }
    size_t count = count_digits(text, digits);
    if (count > 1) {
        snprintf(other, sizeof(other), "%.*g", (int)count - 1, value);
        if (read_back(other) == value) {
            fail_msg("%s is longer than %s", text, other);
        }
    }
    if (count > 0) {
        snprintf(other, sizeof(other), "%.*e", (int)count - 1, value);
        count_digits(other, other_digits);
        if (read_back(other) == value && strcmp(digits, other_digits) != 0) {
            fail_msg("%s is not as close as %s", text, other);
        }
    }
}

static double read_f64(const char *text)
{
    return strtod(text, NULL);
}

static double read_f32(const char *text)
{
    return (double)strtof(text, NULL);
}

static void check_f64(uint64_t bits)
{
    char text[NUM_TEXT_MAX];
    double value = double_of(bits);
    if (!isfinite(value)) {
        return;
    }
    text[num_print_f64(value, text)] = '\0';
    if (bits_of_double(strtod(text, NULL)) != bits) {
        fail_msg("%s is not %a", text, value);
    }
    check_shortest(text, value, read_f64);
    struct num parsed = num_parse(slice_from_str(text));
    if (parsed.kind != NUM_F64 || bits_of_double(parsed.as.f64) != bits) {
        fail_msg("num_parse misreads %s", text);
    }
}

static void check_f32(uint32_t bits)
{
    char text[NUM_TEXT_MAX];
    float value = float_of(bits);
    if (!isfinite(value)) {
        return;
    }
    text[num_print_f32(value, text)] = '\0';
    if (bits_of_float(strtof(text, NULL)) != bits) {
        fail_msg("%s is not %a", text, (double)value);
    }
    check_shortest(text, (double)value, read_f32);
}

static void prints_random_doubles(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < RANDOM_ROUNDS; i++) {
        check_f64(next_random(&seed));
        /* Numbers people use: near 1, with few bits. */
        uint64_t bits = next_random(&seed);
        uint64_t exponent = 1023 - 40 + bits % 80;
        check_f64(exponent << 52 | (bits & UINT64_C(0xfffff00000000)));
    }
}

static void prints_random_floats(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (int i = 0; i < RANDOM_ROUNDS; i++) {
        uint64_t bits = next_random(&seed);
        check_f32((uint32_t)bits);
        check_f32((uint32_t)(127 - 20 + (bits >> 32) % 40) << 23 | (uint32_t)(bits >> 41));
    }
}

static void prints_powers_of_two_and_their_neighbours(void **state)
{
    (void)state;
    for (uint64_t exponent = 0; exponent < 2047; exponent++) {
        uint64_t bits = exponent << 52;
        check_f64(bits);
        check_f64(bits + 1);
        check_f64(bits + (UINT64_C(1) << 52) - 1);
    }
    for (uint64_t bits = 1; bits < UINT64_C(1) << 52; bits *= 2) {
        check_f64(bits); /* subnormal */
        check_f64(bits | UINT64_C(1) << 63);
    }
    for (uint32_t exponent = 0; exponent < 255; exponent++) {
        check_f32(exponent << 23);
        check_f32((exponent << 23) + 1);
        check_f32((exponent << 23) + 0x7fffff);
    }
    for (uint32_t bits = 1; bits < 1U << 23; bits *= 2) {
        check_f32(bits);
    }
}

static void prints_powers_of_ten_and_their_neighbours(void **state)
{
    (void)state;
    for (int exponent = -323; exponent <= 308; exponent++) {
        char text[32];
        snprintf(text, sizeof(text), "1e%d", exponent);
        uint64_t bits = bits_of_double(strtod(text, NULL));
        check_f64(bits - 1);
        check_f64(bits);
        check_f64(bits + 1);
        if (exponent >= -45 && exponent <= 38) {
            uint32_t narrow = bits_of_float(strtof(text, NULL));
            check_f32(narrow - 1);
            check_f32(narrow);
            check_f32(narrow + 1);
        }
    }
}

/* ---- the 16-bit formats ---- */

/* A 16-bit format by its definition (IEEE 754-2008 section 3.4); NaN and infinity as such. */
static double half_value(uint16_t bits, int fraction_bits, int exponent_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1;
    int biased = bits >> fraction_bits & ((1 << exponent_bits) - 1);
    int fraction = bits & ((1 << fraction_bits) - 1);
    double magnitude;
    if (biased == (1 << exponent_bits) - 1) {
        magnitude = fraction == 0 ? (double)INFINITY : (double)NAN;
    } else if (biased == 0) {
        magnitude = ldexp(fraction, 1 - bias - fraction_bits);
    } else {
        magnitude = ldexp(fraction + (1 << fraction_bits), biased - bias - fraction_bits);
    }
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

static double f16_value(uint16_t bits)
{
    return half_value(bits, 10, 5);
}

static double bf16_value(uint16_t bits)
{
    return half_value(bits, 7, 8);
}

/* Reads a text as a 16-bit format by bisection over all its values, ties to even. */
static uint16_t nearest_half(double value, double (*value_of)(uint16_t), uint16_t infinity)
{
    double magnitude = fabs(value);
    uint16_t low = 0;
    uint16_t high = infinity;
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        *(value_of(middle) <= magnitude ? &low : &high) = middle;
    }
    /* Past the last finite value the format goes on as if it had one more binade. */
    double above =
        high == infinity ? 2 * value_of(low) - value_of((uint16_t)(low - 1)) : value_of(high);
    double middle = (value_of(low) + above) / 2;
    uint16_t result = magnitude < middle || (magnitude == middle && low % 2 == 0) ? low : high;
    return (uint16_t)(result | (signbit(value) ? 0x8000 : 0));
}

static double read_f16(const char *text)
{
    return f16_value(nearest_half(strtod(text, NULL), f16_value, 0x7c00));
}

static double read_bf16(const char *text)
{
    return bf16_value(nearest_half(strtod(text, NULL), bf16_value, 0x7f80));
}

static void prints_every_f16(void **state)
{
    (void)state;
    char text[NUM_TEXT_MAX];
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        if ((bits & 0x7c00) != 0x7c00) {
            double value = f16_value((uint16_t)bits);
            text[num_print_f16((uint16_t)bits, text)] = '\0';
            assert_int_equal(nearest_half(strtod(text, NULL), f16_value, 0x7c00), bits);
            check_shortest(text, value, read_f16);
        }
    }
}

static void prints_every_bf16(void **state)
{
    (void)state;
    char text[NUM_TEXT_MAX];
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        if ((bits & 0x7f80) != 0x7f80) {
            double value = bf16_value((uint16_t)bits);
            text[num_print_bf16((uint16_t)bits, text)] = '\0';
            assert_int_equal(nearest_half(strtod(text, NULL), bf16_value, 0x7f80), bits);
            check_shortest(text, value, read_bf16);
        }
    }
}

static void prints_halves_of_note(void **state)
{
    (void)state;
    static const struct {
        uint16_t bits;
        const char *f16;
        const char *bf16;
    } cases[] = {
        {0x0000, "0.0", "0.0"},     {0x8000, "-0.0", "-0.0"},        {0x3c00, "1.0", "0.0078"},
        {0x0001, "6e-08", "9e-41"}, {0x7bff, "65500.0", "2.65e+36"}, {0x3555, "0.3333", "7.93e-07"},
        {0x3f80, "1.875", "1.0"},   {0x2e66, "0.1", "5.23e-11"},
    };
    char text[NUM_TEXT_MAX];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text[num_print_f16(cases[i].bits, text)] = '\0';
        assert_string_equal(text, cases[i].f16);
        text[num_print_bf16(cases[i].bits, text)] = '\0';
        assert_string_equal(text, cases[i].bf16);
    }
}

static void widens_every_half(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        uint16_t bits = (uint16_t)i;
        double f16 = f16_value(bits);
        double bf16 = bf16_value(bits);
        if (isnan(f16)) {
            assert_true(isnan(num_f16_to_f32(bits)));
            assert_true(isnan(num_f16_to_f32(num_f32_to_f16(num_f16_to_f32(bits)))));
        } else {
            assert_int_equal(bits_of_float(num_f16_to_f32(bits)), bits_of_float((float)f16));
            assert_int_equal(num_f32_to_f16((float)f16), bits);
        }
        if (isnan(bf16)) {
            assert_true(isnan(num_bf16_to_f32(bits)));
            assert_true(isnan(num_bf16_to_f32(num_f32_to_bf16(num_bf16_to_f32(bits)))));
        } else {
            assert_int_equal(bits_of_float(num_bf16_to_f32(bits)), bits_of_float((float)bf16));
            assert_int_equal(num_f32_to_bf16((float)bf16), bits);
        }
    }
}

/* Between every two neighbours: the middle goes to the even one, what is beside it to the nearer. */
static void narrows_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x7c00; bits++) {
        float low = (float)f16_value((uint16_t)bits);
        float high = bits == 0x7bff ? 65536.0f : (float)f16_value((uint16_t)(bits + 1));
        float middle = (low + high) / 2;
        assert_int_equal(num_f32_to_f16(middle), bits + bits % 2);
        assert_int_equal(num_f32_to_f16(nextafterf(middle, 0.0f)), bits);
        assert_int_equal(num_f32_to_f16(-nextafterf(middle, 1e9f)), 0x8000 | (bits + 1));
    }
    for (uint32_t bits = 0; bits < 0x7f80; bits++) {
        uint32_t middle = bits << 16 | 0x8000;
        assert_int_equal(num_f32_to_bf16(float_of(middle)), bits + bits % 2);
        assert_int_equal(num_f32_to_bf16(float_of(middle - 1)), bits);
        assert_int_equal(num_f32_to_bf16(float_of(middle + 1)), bits + 1);
    }
    assert_int_equal(num_f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(num_f32_to_f16(-1e30f), 0xfc00);
    assert_int_equal(num_f32_to_f16(1e-30f), 0);
    assert_true(isnan(num_f16_to_f32(num_f32_to_f16(float_of(0x7f800001)))));
    assert_int_equal(num_f32_to_bf16(-INFINITY), 0xff80);
    assert_true(isnan(num_bf16_to_f32(num_f32_to_bf16(float_of(0x7f800001)))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_integers),
        cmocka_unit_test(prints_every_integer_length),
        cmocka_unit_test(prints_doubles_as_repr),
        cmocka_unit_test(prints_floats_shortest),
        cmocka_unit_test(prints_random_doubles),
        cmocka_unit_test(prints_random_floats),
        cmocka_unit_test(prints_powers_of_two_and_their_neighbours),
        cmocka_unit_test(prints_powers_of_ten_and_their_neighbours),
        cmocka_unit_test(prints_every_f16),
        cmocka_unit_test(prints_every_bf16),
        cmocka_unit_test(prints_halves_of_note),
        cmocka_unit_test(widens_every_half),
        cmocka_unit_test(narrows_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
