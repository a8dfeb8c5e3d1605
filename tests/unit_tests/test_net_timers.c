/* The timer heap, against a list that is searched. */
#include "net/timers.h"

#include "base/mem.h"
#include "unit_tests/testing.h"

#define MANY 200

static void takes_in_order_of_time(void **state)
{
    (void)state;
    static const uint64_t times[] = {50, 10, 40, 10, 99, 1, 70, 20, UINT64_MAX, 30};
    enum { COUNT = sizeof(times) / sizeof(times[0]) };
    struct timers timers;
    struct loop_timer each[COUNT] = {0};
    timers_init(&timers);
    assert_true(timers_next_ns(&timers) == UINT64_MAX);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(timers_set(&timers, &each[i], times[i]), ERR_OK);
    }
    assert_int_equal(timers_next_ns(&timers), 1);
    assert_null(timers_take_due(&timers, 0));
    uint64_t last = 0;
    size_t taken = 0;
    struct loop_timer *timer;
    while ((timer = timers_take_due(&timers, 70)) != NULL) {
        assert_true(timer->at_ns >= last && timer->at_ns <= 70);
        assert_int_equal(timer->position, 0);
        last = timer->at_ns;
        taken++;
    }
    assert_int_equal(taken, 8);
    assert_int_equal(timers_next_ns(&timers), 99);
    timers_cancel(&timers, &each[4]);
    timers_cancel(&timers, &each[4]);
    timers_cancel(&timers, &each[8]);
    timers_done(&timers);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void expect_earliest(struct timers *timers, const struct loop_timer *each)
{
    uint64_t earliest = UINT64_MAX;
    size_t set = 0;
    for (size_t i = 0; i < MANY; i++) {
        if (each[i].position != 0) {
            set++;
            earliest = each[i].at_ns < earliest ? each[i].at_ns : earliest;
        }
    }
    assert_int_equal(timers->count, set);
    assert_true(timers_next_ns(timers) == earliest);
}

static void agrees_with_a_searched_list(void **state)
{
    (void)state;
    struct timers timers;
    static struct loop_timer each[MANY];
    uint32_t seed = 7;
    timers_init(&timers);
    for (int round = 0; round < 20000; round++) {
        struct loop_timer *timer = &each[next_random(&seed) % MANY];
        switch (next_random(&seed) % 4) {
        case 0:
        case 1:
            assert_int_equal(timers_set(&timers, timer, next_random(&seed) % 1000), ERR_OK);
            break;
        case 2:
            timers_cancel(&timers, timer);
            assert_int_equal(timer->position, 0);
            break;
        default: {
            uint64_t next = timers_next_ns(&timers);
            struct loop_timer *due = timers_take_due(&timers, 500);
            assert_true(due == NULL ? next > 500 : due->at_ns == next);
        }
        }
        expect_earliest(&timers, each);
    }
    for (size_t i = 0; i < MANY; i++) {
        timers_cancel(&timers, &each[i]);
    }
    timers_done(&timers);
}

static void only_growing_can_fail(void **state)
{
    (void)state;
    struct timers timers;
    struct loop_timer each[17] = {0};
    timers_init(&timers);
    mem_fail_nth(1);
    assert_int_equal(timers_set(&timers, &each[0], 5), ERR_NO_MEMORY);
    assert_int_equal(each[0].position, 0);
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(timers_set(&timers, &each[i], i), ERR_OK);
    }
    mem_fail_nth(1);
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(timers_set(&timers, &each[i], 100 - i), ERR_OK);
    }
    struct loop_timer *due = timers_take_due(&timers, 100);
    assert_int_equal(timers_set(&timers, due, 200), ERR_OK);
    assert_int_equal(timers_set(&timers, &each[16], 0), ERR_NO_MEMORY); /* the 17th */
    assert_int_equal(timers.count, 16);
    assert_int_equal(timers_set(&timers, &each[16], 0), ERR_OK);
    for (size_t i = 0; i < 17; i++) {
        timers_cancel(&timers, &each[i]);
    }
    timers_done(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_in_order_of_time),
        cmocka_unit_test(agrees_with_a_searched_list),
        cmocka_unit_test(only_growing_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
