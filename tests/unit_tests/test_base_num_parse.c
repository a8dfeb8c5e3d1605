/* Reading numbers: what is one and what is not, exact integers, correctly rounded doubles. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "unit_tests/random_numbers.h"
#include "unit_tests/testing.h"

#define RANDOM_ROUNDS 1000000
#define LONG_TEXT 3000000

static bool same_double(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void finds_the_kind(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum num_kind kind;
    } cases[] = {
        {"0", NUM_I64},
        {"+0", NUM_I64},
        {"-0", NUM_F64},
        {"-00", NUM_F64},
        {"007", NUM_I64},
        {"9223372036854775807", NUM_I64},
        {"9223372036854775808", NUM_U64},
        {"+9223372036854775808", NUM_U64},
        {"-9223372036854775808", NUM_I64},
        {"-9223372036854775809", NUM_F64},
        {"00000000000000000000009223372036854775807", NUM_I64},
        {"18446744073709551615", NUM_U64},
        {"18446744073709551616", NUM_F64},
        {"99999999999999999999999", NUM_F64},
        {"1.0", NUM_F64},
        {"1e2", NUM_F64},
        {"1.", NUM_F64},
        {".5", NUM_F64},
        {"-.5", NUM_F64},
        {"+.5e+3", NUM_F64},
        {"nan", NUM_F64},
        {"-NaN", NUM_F64},
        {"Inf", NUM_F64},
        {"-infinity", NUM_F64},
        {"+INFINITY", NUM_F64},
        {"", NUM_NONE},
        {"+", NUM_NONE},
        {"-", NUM_NONE},
        {".", NUM_NONE},
        {"+.", NUM_NONE},
        {"e5", NUM_NONE},
        {".e5", NUM_NONE},
        {"1e", NUM_NONE},
        {"1e+", NUM_NONE},
        {"1e-", NUM_NONE},
        {"1e+-5", NUM_NONE},
        {"1e5.0", NUM_NONE},
        {"1e5 ", NUM_NONE},
        {" 1", NUM_NONE},
        {"1 ", NUM_NONE},
        {"1\n", NUM_NONE},
        {"1.2.3", NUM_NONE},
        {"1,5", NUM_NONE},
        {"--1", NUM_NONE},
        {"+-1", NUM_NONE},
        {"0x10", NUM_NONE},
        {"0x1p3", NUM_NONE},
        {"1_000", NUM_NONE},
        {"1f", NUM_NONE},
        {"nan(1)", NUM_NONE},
        {"nano", NUM_NONE},
        {"infinit", NUM_NONE},
        {"in", NUM_NONE},
        {"abc", NUM_NONE},
        {"\xd9\xa1", NUM_NONE}, /* ARABIC-INDIC DIGIT ONE */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (num_parse(slice_from_str(cases[i].text)).kind != cases[i].kind) {
            fail_msg("'%s' is of another kind", cases[i].text);
        }
    }
    assert_int_equal(num_parse(slice_make(NULL, 0)).kind, NUM_NONE);
    assert_int_equal(num_parse(slice_make("1\0", 2)).kind, NUM_NONE);
    assert_int_equal(num_parse(slice_make("12", 1)).as.i64, 1);
}

static void reads_integers_exactly(void **state)
{
    (void)state;
    assert_true(num_parse(SLICE("9223372036854775807")).as.i64 == INT64_MAX);
    assert_true(num_parse(SLICE("-9223372036854775808")).as.i64 == INT64_MIN);
    assert_true(num_parse(SLICE("18446744073709551615")).as.u64 == UINT64_MAX);
    assert_true(num_parse(SLICE("9007199254740993")).as.i64 == 9007199254740993);
    assert_true(num_parse(SLICE("-00012")).as.i64 == -12);
    assert_true(num_parse(SLICE("+12")).as.i64 == 12);
    assert_true(signbit(num_parse(SLICE("-0")).as.f64));
    uint64_t seed = 3;
    for (int i = 0; i < RANDOM_ROUNDS / 10; i++) {
        char text[NUM_TEXT_MAX];
        uint64_t value = next_random(&seed) >> (i % 64);
        uint64_t parsed;
        struct slice printed = slice_make(text, num_print_u64(value, text));
        assert_true(num_parse_u64(printed, &parsed) && parsed == value);
        int64_t negative = (int64_t)(0 - (value | UINT64_C(1) << 63));
        printed = slice_make(text, num_print_i64(negative, text));
        assert_true(num_parse(printed).as.i64 == negative);
    }
}

static void parses_plain_integers_strictly(void **state)
{
    (void)state;
    static const char *refused[] = {"",
                                    "-",
                                    "+1",
                                    " 1",
                                    "1 ",
                                    "1.0",
                                    "a",
                                    "1a",
                                    "--1",
                                    "18446744073709551616",
                                    "99999999999999999999"};
    uint64_t wide = 7;
    int64_t narrow = 7;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_false(num_parse_u64(slice_from_str(refused[i]), &wide));
        assert_false(num_parse_i64(slice_from_str(refused[i]), &narrow));
    }
    assert_false(num_parse_u64(SLICE("-1"), &wide));
    assert_false(num_parse_i64(SLICE("9223372036854775808"), &narrow));
    assert_false(num_parse_i64(SLICE("-9223372036854775809"), &narrow));
    assert_false(num_parse_u64(slice_make(NULL, 0), &wide));
    assert_false(num_parse_i64(slice_make(NULL, 0), &narrow));
    assert_true(wide == 7 && narrow == 7); /* written only on success */
    assert_true(num_parse_u64(SLICE("00018446744073709551615"), &wide) && wide == UINT64_MAX);
    assert_true(num_parse_i64(SLICE("-9223372036854775808"), &narrow) && narrow == INT64_MIN);
    assert_true(num_parse_i64(SLICE("-0"), &narrow) && narrow == 0);
}

/* As a double whatever the kind. */
static double parse_double(struct slice text)
{
    struct num parsed = num_parse(text);
    assert_int_not_equal(parsed.kind, NUM_NONE);
    return parsed.kind == NUM_F64   ? parsed.as.f64
           : parsed.kind == NUM_I64 ? (double)parsed.as.i64
                                    : (double)parsed.as.u64;
}

static void check_against_libc(const char *text)
{
    if (!same_double(parse_double(slice_from_str(text)), strtod(text, NULL))) {
        fail_msg("%s is misread", text);
    }
}

static void rounds_hard_cases_as_libc(void **state)
{
    (void)state;
    static const char *cases[] = {
        "0.1",
        "0.30000000000000004",
        "123456789012345678",
        "1e22",
        "1e23",
        "-1e-22",
        "1e-23",
        /* exact ties and what is beside them */
        "9007199254740993.0",
        "9007199254740993.00000000000000000000000000000000001",
        "9007199254740992.99999999999999999999999999999999999",
        "9007199254740995.0",
        "0.500000000000000166533453693773481063544750213623046875",
        "0.50000000000000016653345369377348106354475021362304687500000000000000000001",
        "3.518437208883201171875e13",
        "6.9294956446009195e15",
        "89255.0e-22",
        /* around 2^53, 2^63, 2^64, 2^128 */
        "9007199254740991.5",
        "9223372036854775807.5",
        "18446744073709551615.5",
        "18446744073709551616e0",
        "340282366920938463463374607431768211455.0",
        /* the end of the range: the largest double, and half a last place above it */
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
        "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
        "342711559699508093042880.0",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
        "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
        "342711559699508093042879.9",
        "1e309",
        "-1e400",
        "1e9999999999999999999999",
        "-1e99999999999999999999",
        /* subnormals */
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.47032822920623272088284396434110686182e-324",
        "1e-323",
        "1.5e-323",
        "1e-324",
        "1e-400",
        "-1e-999999999999999999999",
        "0e999999999999999999",
        "-0.0e-5",
        "0.0000",
        /* more digits than a mantissa holds */
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "7.2057594037927933e+16",
        "12345678901234567890123456789e-10",
        "0.000000000000000000000000000000000000012345678901234567890123456789",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_against_libc(cases[i]);
    }
}

/* The exact middle between two neighbours (up to 768 digits), and a little to either side of it. */
static void rounds_random_ties_as_libc(void **state)
{
    (void)state;
    static char text[1200];
    uint64_t seed = 4;
    for (int i = 0; i < 2000; i++) {
        uint64_t bits = next_random(&seed) & ~(UINT64_C(1) << 63);
        if (i % 4 == 0) {
            bits &= (UINT64_C(1) << 52) - 1; /* subnormal */
        }
        if (!isfinite(double_of(bits + 1))) {
            continue;
        }
        /* Exact: long double has at least 64 bits where we run. */
        long double middle = ((long double)double_of(bits) + (long double)double_of(bits + 1)) / 2;
        int len = snprintf(text, sizeof(text) - 2, "%.1100Le", middle);
        assert_true(len > 0 && (size_t)len < sizeof(text) - 2);
        check_against_libc(text);
        char *last = strchr(text, 'e') - 1;
        *last = '1'; /* behind the last of the exact digits */
        check_against_libc(text);
    }
}

static void reads_random_texts_as_libc(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int i = 0; i < RANDOM_ROUNDS; i++) {
        char text[64];
        size_t len = 0;
        uint64_t random = next_random(&seed);
        int digits = 1 + (int)(random % 24);
        int point = (int)(random >> 8) % 25;
        for (int digit = 0; digit < digits; digit++) {
            if (digit == point) {
                text[len++] = '.';
            }
            text[len++] = (char)('0' + next_random(&seed) % 10);
        }
        int exponent = (int)(random >> 32) % ((random & 1) != 0 ? 30 : 345);
        snprintf(text + len, sizeof(text) - len, "e%d", exponent);
        check_against_libc(text);
    }
}

static void reads_random_doubles_back(void **state)
{
    (void)state;
    uint64_t seed = 6;
    for (int i = 0; i < RANDOM_ROUNDS / 2; i++) {
        double value = double_of(next_random(&seed));
        char text[40];
        if (isfinite(value)) {
            snprintf(text, sizeof(text), "%.*e", 16 + i % 8, value);
            if (!same_double(parse_double(slice_from_str(text)), value)) {
                fail_msg("%s is misread", text);
            }
        }
    }
}

static void scales_decimals_as_libc(void **state)
{
    (void)state;
    uint64_t seed = 7;
    unsigned undecided = 0;
    for (int i = 0; i < RANDOM_ROUNDS / 2; i++) {
        uint64_t mantissa = next_random(&seed) >> next_random(&seed) % 64;
        int exponent = (int)(next_random(&seed) % 700) - 350;
        double value;
        char text[40];
        snprintf(text, sizeof(text), "%" PRIu64 "e%d", mantissa, exponent);
        if (!num_from_decimal(mantissa, exponent, &value)) {
            undecided++;
        } else if (!same_double(value, strtod(text, NULL))) {
            fail_msg("%s is misread", text);
        }
    }
    /* Of the exponents about one in twelve is below or above all doubles. */
    assert_true(undecided < RANDOM_ROUNDS / 2 / 8);
    double zero;
    assert_true(num_from_decimal(0, 400, &zero) && same_double(zero, 0.0));
}

/* Millions of digits: right, and without memory of their size. */
static void reads_endless_texts(void **state)
{
    (void)state;
    static char text[LONG_TEXT + 64];
    memset(text, '0', LONG_TEXT);
    memcpy(text, "0.", 2);
    int len = LONG_TEXT + snprintf(text + LONG_TEXT, 64, "12e%d", LONG_TEXT);
    assert_true(same_double(parse_double(slice_make(text, (size_t)len)), 12.0));

    memcpy(text, "1", 1);
    memset(text + 1, '0', LONG_TEXT);
    len = LONG_TEXT + snprintf(text + LONG_TEXT, 64, "e-%d", LONG_TEXT - 1);
    assert_true(same_double(parse_double(slice_make(text, (size_t)len)), 1.0));

    /* The exact middle between 1 and the next double; a digit far behind decides. */
    static const char tie[] = "1.00000000000000011102230246251565404236316680908203125";
    memset(text, '0', LONG_TEXT);
    memcpy(text, tie, sizeof(tie) - 1);
    assert_true(same_double(parse_double(slice_make(text, LONG_TEXT)), 1.0));
    text[LONG_TEXT - 1] = '1';
    assert_true(same_double(parse_double(slice_make(text, LONG_TEXT)), 0x1.0000000000001p0));

    memset(text, '9', LONG_TEXT);
    assert_true(isinf(parse_double(slice_make(text, LONG_TEXT))));
    text[0] = '.';
    assert_true(same_double(parse_double(slice_make(text, LONG_TEXT)), 1.0));
    memset(text, '0', LONG_TEXT);
    assert_true(num_parse(slice_make(text, LONG_TEXT)).as.i64 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_kind),
        cmocka_unit_test(reads_integers_exactly),
        cmocka_unit_test(parses_plain_integers_strictly),
        cmocka_unit_test(rounds_hard_cases_as_libc),
        cmocka_unit_test(rounds_random_ties_as_libc),
        cmocka_unit_test(reads_random_texts_as_libc),
        cmocka_unit_test(reads_random_doubles_back),
        cmocka_unit_test(scales_decimals_as_libc),
        cmocka_unit_test(reads_endless_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
