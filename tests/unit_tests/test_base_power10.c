/* The table of powers of ten, each entry against long arithmetic. */
#include "base/power10.h"

#include "unit_tests/testing.h"

#define LIMBS 44 /* of 32 bits: holds 10^325, and 2^1407 to divide 342 times */

/* Little-endian. */
struct long_number {
    uint32_t limbs[LIMBS];
};

static void multiply_by_ten(struct long_number *number)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < LIMBS; i++) {
        carry += (uint64_t)number->limbs[i] * 10;
        number->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    assert_true(carry == 0);
}

/* Rounds down; doing so twice is the same as dividing by 100 and rounding down once. */
static void divide_by_ten(struct long_number *number)
{
    uint64_t rest = 0;
    for (size_t i = LIMBS; i-- > 0;) {
        rest = rest << 32 | number->limbs[i];
        number->limbs[i] = (uint32_t)(rest / 10);
        rest %= 10;
    }
}

static int bit_length(const struct long_number *number)
{
    for (size_t i = LIMBS; i-- > 0;) {
        if (number->limbs[i] != 0) {
            return (int)(32 * i) + 32 - __builtin_clz(number->limbs[i]);
        }
    }
    return 0;
}

/* The leading 128 bits, with zeros behind a shorter number. */
static unsigned __int128 leading_bits(const struct long_number *number)
{
    unsigned __int128 result = 0;
    int length = bit_length(number);
    for (int bit = length - 1; bit >= length - 128; bit--) {
        uint32_t one = bit < 0 ? 0 : number->limbs[bit / 32] >> (bit % 32) & 1;
        result = result << 1 | one;
    }
    return result;
}

/* `number` is 10^k * 2^scale, rounded down. */
static void check_entry(int k, const struct long_number *number, int scale)
{
    struct power10 entry = power10_get(k);
    unsigned __int128 expected = leading_bits(number) + 1;
    assert_true(entry.high == (uint64_t)(expected >> 64));
    assert_true(entry.low == (uint64_t)expected);
    assert_true(entry.low != 0 && entry.high != UINT64_MAX); /* what the users build on */
    assert_int_equal(power10_floor_log2(k), bit_length(number) - 1 - scale);
}

static void holds_the_leading_bits(void **state)
{
    (void)state;
    struct long_number number = {{1}};
    for (int k = 0; k <= POWER10_LAST; k++) {
        check_entry(k, &number, 0);
        multiply_by_ten(&number);
    }
    const int scale = 32 * LIMBS - 1;
    number = (struct long_number){{0}};
    number.limbs[LIMBS - 1] = UINT32_C(1) << 31;
    for (int k = -1; k >= POWER10_FIRST; k--) {
        divide_by_ten(&number);
        check_entry(k, &number, scale);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(holds_the_leading_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
