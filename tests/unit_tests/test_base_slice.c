/* Slices: cutting, comparing, trimming. */
#include "base/slice.h"
#include "unit_tests/testing.h"

static void cuts_every_piece(void **state)
{
    (void)state;
    struct slice rest = SLICE("a,,bc,");
    const char *pieces[] = {"a", "", "bc", ""};
    size_t count = 0;
    while (rest.ptr != NULL) {
        struct slice piece = slice_cut(&rest, ',');
        assert_true(count < 4);
        assert_true(slice_eq(piece, slice_from_str(pieces[count])));
        count++;
    }
    assert_int_equal(count, 4);
}

static void compares_without_case(void **state)
{
    (void)state;
    assert_true(slice_eq_nocase(SLICE("Content-TYPE"), SLICE("content-type")));
    assert_false(slice_eq_nocase(SLICE("a"), SLICE("ab")));
    assert_false(slice_eq_nocase(SLICE("["), SLICE("{")));
    assert_true(slice_ends_with_nocase(SLICE("application/problem+JSON"), SLICE("+json")));
    assert_false(slice_ends_with_nocase(SLICE("json"), SLICE("+json")));
}

static void trims_optional_white_space(void **state)
{
    (void)state;
    assert_true(slice_eq(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
    assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
    assert_int_equal(slice_trim(SLICE("")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_every_piece),
        cmocka_unit_test(compares_without_case),
        cmocka_unit_test(trims_optional_white_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
