/* The estimate of a run's time, and what it decides. */
#include <math.h>

#include "base/clock.h"
#include "sched/execution.h"
#include "unit_tests/testing.h"

#define US CLOCK_NS_PER_US
#define LIMIT_NS (250 * US)

/* Asserts that the prediction for `rows` is within a part in a thousand. */
static void assert_predicts(const struct run_cost *cost, int64_t rows, double us)
{
    double got_us = run_cost_predict_ns(cost, (double)rows) / (double)US;
    if (fabs(got_us - us) > us / 1000 + 1e-6) {
        fail_msg("%lld rows: %g us, not %g", (long long)rows, got_us, us);
    }
}

static void knows_nothing_at_first(void **state)
{
    (void)state;
    struct run_cost cost = {0};
    assert_predicts(&cost, 1, 0);
    assert_int_equal(run_cost_rows_within(&cost, LIMIT_NS, 64), 1);
}

static void finds_the_line(void **state)
{
    (void)state;
    static const struct {
        uint64_t fixed_us, row_us;
        int64_t within; /* rows of a run that stays within the limit, of 64 at most */
    } cases[] = {
        {100, 5, 30}, {0, 20, 12},  {40, 0, 64}, {200, 1, 50},
        {240, 20, 1}, {1000, 5, 1}, {10, 1, 64},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct run_cost cost = {0};
        for (int64_t n = 0; n < 200; n++) {
            int64_t rows = 1 + n % 16;
            uint64_t us = cases[i].fixed_us + cases[i].row_us * (uint64_t)rows;
            run_cost_observe(&cost, rows, us * US);
        }
        for (int64_t rows = 1; rows <= 64; rows += 21) {
            assert_predicts(&cost, rows,
                            (double)(cases[i].fixed_us + cases[i].row_us * (uint64_t)rows));
        }
        assert_int_equal(run_cost_rows_within(&cost, LIMIT_NS, 64), cases[i].within);
    }
}

/* What a further row costs was seen once: it is not forgotten while all runs are alike. */
static void keeps_the_slope(void **state)
{
    (void)state;
    struct run_cost cost = {0};
    for (int64_t n = 0; n < 100; n++) {
        run_cost_observe(&cost, 1 + n % 16, (uint64_t)(100 + 5 * (1 + n % 16)) * US);
    }
    for (int i = 0; i < 1000; i++) {
        run_cost_observe(&cost, 8, 140 * US);
    }
    assert_predicts(&cost, 1, 105);
    assert_predicts(&cost, 64, 420);
    struct run_line line = run_cost_line(&cost);
    assert_true(fabs(line.fixed_ns / (double)US - 100) < 0.1);
    assert_true(fabs(line.row_ns / (double)US - 5) < 0.01);
}

static void seeds_of_two_sizes_are_a_line(void **state)
{
    (void)state;
    struct execution execution;
    execution_init(&execution, EXECUTION_AUTO, LIMIT_NS);
    execution_seed(&execution, 1, 105 * US);
    execution_seed(&execution, 16, 180 * US);
    struct run_line line = execution_line(&execution);
    assert_true(fabs(line.fixed_ns / (double)US - 100) < 0.1);
    assert_true(fabs(line.row_ns / (double)US - 5) < 0.01);
    /* A typical job still has one row. */
    assert_true(execution_is_inline(&execution, 1));
    assert_int_equal(atomic_load(&execution.job_ns) / US, 105);
    struct run_line none = execution_line(NULL);
    assert_true(none.fixed_ns == 0 && none.row_ns == 0);
}

/* Runs that all have as many rows tell nothing of others: the estimate errs to the slow side. */
static void is_pessimistic_without_variety(void **state)
{
    (void)state;
    struct run_cost cost = {0};
    for (int i = 0; i < 50; i++) {
        run_cost_observe(&cost, 10, 100 * US);
    }
    assert_predicts(&cost, 1, 100);
    assert_predicts(&cost, 10, 100);
    assert_predicts(&cost, 20, 200);
    assert_int_equal(run_cost_rows_within(&cost, LIMIT_NS, 64), 25);
}

static void noise_never_gives_nonsense(void **state)
{
    (void)state;
    struct run_cost cost = {0};
    uint64_t random = 12345;
    for (int i = 0; i < 5000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        run_cost_observe(&cost, (int64_t)(random >> 40) % 300, (random >> 33) % (5000 * US));
        double one = run_cost_predict_ns(&cost, 1);
        double many = run_cost_predict_ns(&cost, 300);
        assert_true(one >= 0 && many >= one && isfinite(many));
        int64_t within = run_cost_rows_within(&cost, LIMIT_NS, INT64_MAX);
        assert_true(within >= 1);
        if (within > 1 && within < INT64_MAX) {
            assert_true(run_cost_predict_ns(&cost, (double)within) <= (double)LIMIT_NS * 1.0001);
        }
    }
}

static void one_odd_run_is_no_trend(void **state)
{
    (void)state;
    struct run_cost cost = {0};
    for (int i = 0; i < 100; i++) {
        run_cost_observe(&cost, 1, 50 * US);
    }
    run_cost_observe(&cost, 1, 1000000 * US);
    assert_true(run_cost_predict_ns(&cost, 1) < 65 * US);
    for (int i = 0; i < 200; i++) { /* but a trend is */
        run_cost_observe(&cost, 1, 1000 * US);
    }
    assert_true(run_cost_predict_ns(&cost, 1) > 950 * US);
}

static void decides_with_hysteresis(void **state)
{
    (void)state;
    static const struct {
        bool pooled;
        double job_us;
        bool decision;
    } cases[] = {
        {false, 249, false}, {false, 251, true}, {true, 251, true},
        {true, 200, true},   {true, 149, false}, {false, 200, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(execution_decide(cases[i].pooled, cases[i].job_us * (double)US, LIMIT_NS),
                         cases[i].decision);
    }
}

/* ---- the shared one ---- */

static unsigned changes;

static void on_change(const struct execution *execution, void *user)
{
    (void)execution, (void)user;
    changes++;
}

static void make(struct execution *execution, enum execution_rule rule)
{
    execution_init(execution, rule, LIMIT_NS);
    execution->on_change = on_change;
    changes = 0;
}

static void observe(struct execution *execution, unsigned times, unsigned jobs, int64_t rows,
                    uint64_t us)
{
    struct job job = {.status = ERR_OK};
    struct batch_report report = {.runs = 1, .jobs = jobs, .rows = rows};
    while (times-- > 0) {
        execution_observe(execution, &job, &report, us * US);
    }
}

static void auto_pools_until_it_knows(void **state)
{
    (void)state;
    struct execution execution;
    make(&execution, EXECUTION_AUTO);
    observe(&execution, EXECUTION_WARMUP_RUNS - 1, 1, 1, 20);
    assert_false(execution_is_inline(&execution, 1));
    observe(&execution, 1, 1, 1, 20);
    assert_true(execution_is_inline(&execution, 1));
    assert_int_equal(changes, 1);
}

static void a_seed_decides_at_once(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        bool is_inline;
    } cases[] = {{20, true}, {200, true}, {300, false}}; /* 200: above the way back, no matter */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct execution execution;
        make(&execution, EXECUTION_AUTO);
        execution_seed(&execution, 1, cases[i].us * US);
        assert_int_equal(execution_is_inline(&execution, 1), cases[i].is_inline);
        assert_int_equal(changes, 0);
    }
}

static void auto_follows_the_model(void **state)
{
    (void)state;
    struct execution execution;
    make(&execution, EXECUTION_AUTO);
    execution_seed(&execution, 1, 50 * US);
    assert_true(execution_is_inline(&execution, 1));
    observe(&execution, 200, 1, 1, 400);
    assert_false(execution_is_inline(&execution, 1));
    observe(&execution, 200, 1, 1, 200); /* between the two limits: stays */
    assert_false(execution_is_inline(&execution, 1));
    observe(&execution, 200, 1, 1, 50);
    assert_true(execution_is_inline(&execution, 1));
    assert_int_equal(changes, 2);
}

/* What is too much for one inline run goes to the runners; what is not is cut to fit. */
static void large_jobs_of_a_fast_model_are_pooled(void **state)
{
    (void)state;
    struct execution execution;
    make(&execution, EXECUTION_AUTO);
    execution_seed(&execution, 1, 30 * US);
    for (int64_t i = 0; i < 300; i++) {
        int64_t rows = 1 + i % 8;
        observe(&execution, 1, (unsigned)rows, rows, 10 + 20 * (uint64_t)rows);
    }
    assert_true(execution_is_inline(&execution, 12));
    assert_false(execution_is_inline(&execution, 13));
    assert_int_equal(execution_inline_rows(&execution, 64), 12);
    assert_int_equal(execution_inline_rows(&execution, 5), 5);
    assert_int_equal(execution_inline_rows(NULL, 64), 64);
}

/* Jobs of many rows each are what the model is asked: that they are slow counts. */
static void a_typical_job_decides(void **state)
{
    (void)state;
    struct execution execution;
    make(&execution, EXECUTION_AUTO);
    execution_seed(&execution, 1, 30 * US);
    for (int64_t i = 0; i < 300; i++) {
        int64_t rows = 90 + i % 21;
        observe(&execution, 1, 1, rows, 10 + 20 * (uint64_t)rows);
    }
    assert_false(execution_is_inline(&execution, 1));
    assert_true(atomic_load(&execution.job_ns) > 1500 * US);
}

static void failed_and_repeated_runs_say_nothing(void **state)
{
    (void)state;
    struct execution execution;
    make(&execution, EXECUTION_AUTO);
    execution_seed(&execution, 1, 50 * US);
    uint64_t before_ns = atomic_load(&execution.job_ns);
    struct job failed = {.status = ERR_INVALID};
    struct job good = {.status = ERR_OK};
    struct batch_report once = {.runs = 1, .jobs = 1, .rows = 1};
    struct batch_report repeated = {.runs = 3, .jobs = 2, .rows = 2};
    for (int i = 0; i < 100; i++) {
        execution_observe(&execution, &failed, &once, 9000 * US);
        execution_observe(&execution, &good, &repeated, 9000 * US);
        execution_observe(NULL, &good, &once, 9000 * US);
    }
    assert_int_equal(atomic_load(&execution.job_ns), before_ns);
}

static void the_setting_rules(void **state)
{
    (void)state;
    struct execution execution;
    make(&execution, EXECUTION_INLINE);
    observe(&execution, 100, 1, 1, 9000);
    assert_true(execution_is_inline(&execution, 1 << 20));
    assert_int_equal(execution_inline_rows(&execution, 64), 64);
    make(&execution, EXECUTION_POOLED);
    execution_seed(&execution, 1, 1 * US);
    observe(&execution, 100, 1, 1, 1);
    assert_false(execution_is_inline(&execution, 1));
    assert_int_equal(changes, 0);
    assert_int_equal(atomic_load(&execution.job_ns), 1 * US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_nothing_at_first),
        cmocka_unit_test(finds_the_line),
        cmocka_unit_test(keeps_the_slope),
        cmocka_unit_test(seeds_of_two_sizes_are_a_line),
        cmocka_unit_test(is_pessimistic_without_variety),
        cmocka_unit_test(noise_never_gives_nonsense),
        cmocka_unit_test(one_odd_run_is_no_trend),
        cmocka_unit_test(decides_with_hysteresis),
        cmocka_unit_test(auto_pools_until_it_knows),
        cmocka_unit_test(a_seed_decides_at_once),
        cmocka_unit_test(auto_follows_the_model),
        cmocka_unit_test(large_jobs_of_a_fast_model_are_pooled),
        cmocka_unit_test(a_typical_job_decides),
        cmocka_unit_test(failed_and_repeated_runs_say_nothing),
        cmocka_unit_test(the_setting_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
