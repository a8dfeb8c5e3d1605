/* Numbers of JSON arrays: every way to a value gives what libc's correctly rounded strtod gives. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json_number.h"
#include "unit_tests/testing.h"

static void check_number(const char *digits)
{
    char text[400];
    float f32 = 0;
    double f64 = 0;
    int len = snprintf(text, sizeof(text), "%s]", digits);
    double wanted = strcmp(digits, "-0") == 0 ? 0.0 : strtod(digits, NULL); /* an integer */
    float narrow = (float)wanted;
    assert_ptr_equal(json_number_f32(text, text + len, &f32), text + len - 1);
    assert_ptr_equal(json_number_f64(text, text + len, &f64), text + len - 1);
    if (memcmp(&f64, &wanted, sizeof(f64)) != 0 || memcmp(&f32, &narrow, sizeof(f32)) != 0) {
        fail_msg("%s: got %.17g and %.9g, want %.17g", digits, f64, (double)f32, wanted);
    }
}

/* Deterministic: a 64-bit linear congruential generator (Knuth's MMIX constants). */
static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 16;
}

static void rounds_like_libc(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (unsigned i = 0; i < 100000; i++) {
        char digits[64];
        double value = (double)next_random(&seed) / (double)(next_random(&seed) | 1);
        int precision = (int)(next_random(&seed) % 20);
        value = i % 3 == 0 ? -value : value;
        snprintf(digits, sizeof(digits), i % 2 == 0 ? "%.*g" : "%.*f", precision, value);
        check_number(digits);
    }
}

/* Doubles halfway between two floats and their neighbours, with all the digits there are. */
static void rounds_ties_like_libc(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (unsigned i = 0; i < 20000; i++) {
        char digits[64];
        float narrow = (float)(next_random(&seed) % 1000000) / 1024.0F + 1e-3F;
        double middle = ((double)narrow + (double)nextafterf(narrow, INFINITY)) / 2;
        for (int step = -6; step <= 6; step++) {
            double value = middle;
            for (int ulp = 0; ulp < abs(step); ulp++) {
                value = nextafter(value, step < 0 ? 0 : (double)INFINITY);
            }
            snprintf(digits, sizeof(digits), "%.*f", (int)(i % 5) + 12, value);
            check_number(digits);
            snprintf(digits, sizeof(digits), "%.17g", value);
            check_number(digits);
        }
    }
}

static void reads_single_numbers(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0",
        "0.0",
        "-0.0",
        "1",
        "-1",
        "1e5",
        "1E+5",
        "1e-5",
        "1e22",
        "1e23",
        "123456789e-30",
        "9007199254740991",
        "9007199254740993",
        "9999999999999999999",
        "99999999999999999999",
        "0.00000000000000000000000000000000000001",
        "1.7976931348623157e308",
        "1e309",
        "5e-324",
        "2e-324",
        "1e00005",
        "1e-00005",
        "3.4028235677973366e38",
        "3.4028235677973365e38",
        "1.1754942807573643e-38",
        "7.006492321624085e-46",
        "7.006492321624086e-46",
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        check_number(numbers[i]);
    }
}

static void refuses_what_is_no_number(void **state)
{
    (void)state;
    static const char *const texts[] = {"]",    "-]",   "+1]", ".5]",   "00]",
                                        "01]",  "-01]", "1.]", "1.e5]", "1e]",
                                        "1e+]", "e5]",  "a]",  "null]", "--1]"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        float f32;
        double f64;
        const char *end = texts[i] + strlen(texts[i]);
        assert_null(json_number_f32(texts[i], end, &f32));
        assert_null(json_number_f64(texts[i], end, &f64));
    }
}

static void reads_runs(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        bool floats;
        bool integers;
    } cases[] = {
        {"1,2,3]", 3, true, true},
        {" 1 ,\n2 , 3 ]", 3, true, true},
        {"1,2]", 3, false, false},
        {"1,2,]", 3, false, false},
        {"1 2]", 2, false, false},
        {",1]", 1, false, false},
        {"1.0,2]", 2, true, false},
        {"null,NaN]", 2, true, false},
        {"true,false]", 2, true, false},
        {"Infinity,-Infinity]", 2, true, false},
        {"nul,1]", 2, false, false},
        {"-NaN]", 1, false, false},
        {"9223372036854775808]", 1, true, false},
        {"-9223372036854775807]", 1, true, true},
        {"]", 0, true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        float f32[3];
        double f64[3];
        int64_t i64[3];
        const char *end = cases[i].text + strlen(cases[i].text);
        struct json_cursor cursors[3] = {
            {cases[i].text, end}, {cases[i].text, end}, {cases[i].text, end}};
        assert_int_equal(json_read_f32(&cursors[0], cases[i].count, f32), cases[i].floats);
        assert_int_equal(json_read_f64(&cursors[1], cases[i].count, f64), cases[i].floats);
        assert_int_equal(json_read_i64(&cursors[2], cases[i].count, i64), cases[i].integers);
        for (size_t c = 0; cases[i].floats && c < 2; c++) {
            assert_true(json_take(&cursors[c], ']'));
            assert_ptr_equal(cursors[c].at, end);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_like_libc),     cmocka_unit_test(rounds_ties_like_libc),
        cmocka_unit_test(reads_single_numbers), cmocka_unit_test(refuses_what_is_no_number),
        cmocka_unit_test(reads_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
