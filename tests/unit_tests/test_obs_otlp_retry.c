/* What is tried again, when, and how often failures are told. */
#include "testing.h"

#include "base/clock.h"
#include "obs/otlp_retry.h"

#define S CLOCK_NS_PER_S

static void test_what_is_tried_again(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum otlp_outcome outcome;
    } cases[] = {
        {200, OTLP_TAKEN},   {202, OTLP_TAKEN},   {204, OTLP_TAKEN},   {301, OTLP_REFUSED},
        {307, OTLP_REFUSED}, {400, OTLP_REFUSED}, {401, OTLP_REFUSED}, {404, OTLP_REFUSED},
        {408, OTLP_REFUSED}, {413, OTLP_REFUSED}, {429, OTLP_LATER},   {500, OTLP_REFUSED},
        {501, OTLP_REFUSED}, {502, OTLP_LATER},   {503, OTLP_LATER},   {504, OTLP_LATER},
        {505, OTLP_REFUSED}, {0, OTLP_LATER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(otlp_judge(cases[i].status), cases[i].outcome);
    }
}

static void test_delays_double_and_spread(void **state)
{
    (void)state;
    static const uint64_t seconds[] = {1, 2, 4, 8, 16, 32, 32, 32};
    for (unsigned i = 0; i < 8; i++) {
        uint64_t delay_ns = seconds[i] * S;
        uint64_t spread_ns = delay_ns / 5;
        assert_int_equal(otlp_retry_delay_ns(i + 1, 0, 0), delay_ns - spread_ns);
        assert_int_equal(otlp_retry_delay_ns(i + 1, 0, 2 * spread_ns), delay_ns + spread_ns);
        assert_int_equal(otlp_retry_delay_ns(i + 1, 0, 2 * spread_ns + 1), delay_ns - spread_ns);
    }
    assert_int_equal(otlp_retry_delay_ns(1, 7 * S, 0), 7 * S);
    assert_true(otlp_retry_delay_ns(6, 7 * S, 0) > 7 * S);
}

static void test_one_line_a_minute(void **state)
{
    (void)state;
    struct otlp_complaints complaints = {.told_ns = 0};
    struct otlp_complaints since;
    assert_true(otlp_complain(&complaints, 1, 5, 100 * S, &since));
    assert_int_equal(since.exports, 1);
    assert_int_equal(since.spans, 5);
    for (unsigned i = 1; i < 60; i++) {
        assert_false(otlp_complain(&complaints, 1, 1, (100 + i) * S, &since));
    }
    assert_true(otlp_complain(&complaints, 1, 1, 160 * S, &since));
    assert_int_equal(since.exports, 60);
    assert_int_equal(since.spans, 60);
    assert_false(otlp_complain(&complaints, 1, 1, 161 * S, &since));
    assert_false(otlp_complain(&complaints, 0, 7, 162 * S, &since)); /* not an export's */
    assert_true(otlp_complain(&complaints, 0, 0, 220 * S, &since));
    assert_int_equal(since.exports, 1);
    assert_int_equal(since.spans, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_tried_again),
        cmocka_unit_test(test_delays_double_and_spread),
        cmocka_unit_test(test_one_line_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
