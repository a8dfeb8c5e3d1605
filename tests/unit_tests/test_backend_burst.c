/* When memory is given back, with a clock of the test's own. */
#include "backend/burst.h"
#include "unit_tests/testing.h"

static uint64_t the_time;
static unsigned times_asked;

static uint64_t test_clock(void)
{
    times_asked++;
    return the_time;
}

static unsigned note_runs(struct burst *burst, unsigned count, size_t input_bytes)
{
    unsigned over = 0;
    for (unsigned i = 0; i < count; i++) {
        over += burst_note_run(burst, input_bytes, test_clock);
    }
    return over;
}

static void small_models_pay_nothing(void **state)
{
    (void)state;
    struct burst burst = {.peak_bytes = 0};
    times_asked = 0;
    assert_int_equal(note_runs(&burst, 1000, BURST_LEAST_BYTES - 1), 0);
    assert_int_equal(note_runs(&burst, 1000, 0), 0);
    assert_int_equal(times_asked, 0);
}

static void gives_back_once_after_a_burst(void **state)
{
    (void)state;
    struct burst burst = {.peak_bytes = 0};
    the_time = 5 * BURST_QUIET_NS;
    assert_int_equal(note_runs(&burst, 10, (size_t)8 << 20), 0);
    assert_int_equal(note_runs(&burst, 1000, 4096), 0); /* too soon */
    the_time += BURST_QUIET_NS - 1;
    assert_int_equal(note_runs(&burst, 1000, 4096), 0);
    the_time += 1;
    assert_int_equal(note_runs(&burst, 1, 4096), 1);
    the_time += 10 * BURST_QUIET_NS;
    assert_int_equal(note_runs(&burst, 1000, 4096), 0);
    assert_int_equal(note_runs(&burst, 1, (size_t)8 << 20), 0); /* and again */
    the_time += BURST_QUIET_NS;
    assert_int_equal(note_runs(&burst, BURST_SMALL_RUNS - 1, 4096), 0);
    assert_int_equal(note_runs(&burst, 1, 4096), 1);
}

/* A large run now and then is load, not a burst that is over. */
static void large_runs_in_between_keep_it(void **state)
{
    (void)state;
    struct burst burst = {.peak_bytes = 0};
    the_time = 0;
    for (unsigned i = 0; i < 100; i++) {
        the_time += BURST_QUIET_NS;
        assert_int_equal(note_runs(&burst, BURST_SMALL_RUNS - 1, 0), 0);
        assert_int_equal(note_runs(&burst, 1, BURST_LEAST_BYTES), 0);
    }
}

/* Runs that are not so much smaller than the peak may need its memory soon. */
static void runs_of_like_size_are_no_decline(void **state)
{
    (void)state;
    struct burst burst = {.peak_bytes = 0};
    the_time = 0;
    assert_int_equal(note_runs(&burst, 1, (size_t)1 << 20), 0);
    the_time = 10 * BURST_QUIET_NS;
    assert_int_equal(note_runs(&burst, 100, ((size_t)1 << 20) / BURST_RATIO), 0);
    the_time = 20 * BURST_QUIET_NS;
    assert_int_equal(note_runs(&burst, 100, ((size_t)1 << 20) / BURST_RATIO - 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_models_pay_nothing),
        cmocka_unit_test(gives_back_once_after_a_burst),
        cmocka_unit_test(large_runs_in_between_keep_it),
        cmocka_unit_test(runs_of_like_size_are_no_decline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
