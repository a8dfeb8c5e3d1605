/*
 * Runner threads under load: what is refused because it would come too late, what is waited for, and
 * what a loop with too much to do may hand over. The pool's clock is the test's.
 */
#include <sched.h>

#include "sched/execution.h"
#include "unit_tests/pool_fixture.h"

#define MS CLOCK_NS_PER_MS
#define START_NS (1000 * MS)

static _Atomic uint64_t now_ns = START_NS;

static uint64_t test_clock(void)
{
    return atomic_load(&now_ns);
}

/* Clients of earlier batches do not come back here: the runner waits for them for a while. */
static void owner_wait_while_time_passes(struct owner *owner, unsigned delivered)
{
    bool all = false;
    while (!all) {
        pthread_mutex_lock(&owner->lock);
        all = owner->delivered >= delivered;
        pthread_mutex_unlock(&owner->lock);
        atomic_fetch_add(&now_ns, all ? 0 : MS / 100);
        sched_yield();
    }
}

/* A model whose run takes 10 ms, and 1 ms more for each row, as far as anybody knows. */
static struct execution execution;

static struct pool *make_timed_pool(unsigned instances)
{
    execution_init(&execution, EXECUTION_POOLED, 0);
    execution_seed(&execution, 1, 11 * MS);
    execution_seed(&execution, 11, 21 * MS);
    target.execution = &execution;
    atomic_store(&now_ns, START_NS);
    struct pool_options options = options_of(instances);
    options.clock_ns = test_clock;
    return make_pool(&options);
}

static int submit_until(struct pool *pool, struct owner *owner, struct request *request,
                        uint64_t deadline_ns)
{
    request_init(request, 1, 2, 1);
    request->job.owner = &owner->owner;
    request->job.deadline_ns = deadline_ns;
    return pool_submit(pool, &request->job);
}

static void what_would_come_too_late_is_refused(void **state)
{
    (void)state;
    struct pool *pool = make_timed_pool(1);
    struct owner owner;
    struct request requests[4];
    owner_init(&owner);
    /* Nobody is refused by a runner that has nothing to do. */
    assert_false(pool_is_late(pool, START_NS + 1));
    /* A run of 16 rows (26 ms, half of it left) and one of 16 + 1 rows are before the next. */
    occupy(pool, &owner, requests, 1);
    must_submit(pool, &owner, &requests[1], MAX_ROWS, 1);
    assert_true(pool_is_late(pool, START_NS + 65 * MS));
    assert_false(pool_is_late(pool, START_NS + 68 * MS));
    assert_false(pool_is_late(pool, 0));
    assert_int_equal(submit_until(pool, &owner, &requests[2], START_NS + 65 * MS), ERR_TIMEOUT);
    request_end(&requests[2], false);
    assert_int_equal(submit_until(pool, &owner, &requests[2], START_NS + 68 * MS), ERR_OK);
    gate_set(false);
    owner_wait_while_time_passes(&owner, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(requests[i].done, 1);
        request_end(&requests[i], true);
    }
    pool_free(pool);
}

static void more_runners_take_less_time(void **state)
{
    (void)state;
    struct pool *pool = make_timed_pool(2);
    struct owner owner;
    struct request requests[3];
    owner_init(&owner);
    occupy(pool, &owner, requests, 2);
    must_submit(pool, &owner, &requests[2], MAX_ROWS, 1);
    /* (26 / 2 + 26 / 2 + 20 + 17) / 2 = 31.5 ms; the estimate must leave a quarter. */
    assert_true(pool_is_late(pool, START_NS + 40 * MS));
    assert_false(pool_is_late(pool, START_NS + 44 * MS));
    gate_set(false);
    owner_wait_while_time_passes(&owner, 3);
    for (int i = 0; i < 3; i++) {
        request_end(&requests[i], true);
    }
    pool_free(pool);
}

/* Two clients had their answers from one run. When the first asks again the other is waited for. */
static void a_wave_is_one_run_again(void **state)
{
    (void)state;
    struct pool *pool = make_timed_pool(1);
    struct owner owner;
    struct request requests[5];
    owner_init(&owner);
    occupy(pool, &owner, requests, 1);
    must_submit(pool, &owner, &requests[1], 1, 1);
    must_submit(pool, &owner, &requests[2], 1, 1);
    gate_set(false);
    owner_wait_while_time_passes(&owner, 3);
    assert_int_equal(gate.runs, 2);
    /* Whatever the runner does, with a clock that stands still it must not start before both came. */
    must_submit(pool, &owner, &requests[3], 1, 1);
    must_submit(pool, &owner, &requests[4], 1, 1);
    owner_wait(&owner, 5);
    assert_int_equal(gate.runs, 3);
    assert_int_equal(requests[3].job.shared_by, 2);
    for (int i = 0; i < 5; i++) {
        request_end(&requests[i], true);
    }
    pool_free(pool);
}

static void nobody_is_waited_for_when_the_wave_is_over(void **state)
{
    (void)state;
    struct pool *pool = make_timed_pool(1);
    struct owner owner;
    struct request requests[4];
    owner_init(&owner);
    occupy(pool, &owner, requests, 1);
    must_submit(pool, &owner, &requests[1], 1, 1);
    must_submit(pool, &owner, &requests[2], 1, 1);
    gate_set(false);
    owner_wait_while_time_passes(&owner, 3);
    atomic_fetch_add(&now_ns, 2 * MS); /* an eighth of 10 ms, and more */
    must_submit(pool, &owner, &requests[3], 1, 1);
    owner_wait(&owner, 4);
    assert_int_equal(gate.runs, 3);
    assert_int_equal(requests[3].job.shared_by, 1);
    for (int i = 0; i < 4; i++) {
        request_end(&requests[i], true);
    }
    pool_free(pool);
}

static void a_free_runner_takes_over(void **state)
{
    (void)state;
    struct pool *pool = make_timed_pool(1);
    struct owner owner;
    struct request requests[4];
    struct job_queue jobs;
    owner_init(&owner);
    queue_init(&jobs);
    for (int i = 0; i < 2; i++) {
        request_init(&requests[i], 1, 2, (float)i);
        requests[i].job.owner = &owner.owner;
        queue_push(&jobs, &requests[i].job);
    }
    assert_true(pool_take_over(pool, &jobs));
    assert_true(queue_is_empty(&jobs));
    assert_int_equal(jobs.jobs, 0);
    owner_wait(&owner, 2);
    assert_int_equal(gate.runs, 1);
    assert_int_equal(requests[0].job.shared_by, 2);
    /* A busy one does not. */
    atomic_fetch_add(&now_ns, 100 * MS); /* past the time the last two are waited for */
    occupy(pool, &owner, &requests[2], 1);
    request_init(&requests[3], 1, 2, 1);
    requests[3].job.owner = &owner.owner;
    queue_push(&jobs, &requests[3].job);
    assert_false(pool_take_over(pool, &jobs));
    assert_ptr_equal(jobs.first, &requests[3].job);
    gate_set(false);
    owner_wait_while_time_passes(&owner, 3);
    for (int i = 0; i < 3; i++) {
        request_end(&requests[i], true);
    }
    request_end(&requests[3], false);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_would_come_too_late_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_runners_take_less_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wave_is_one_run_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_is_waited_for_when_the_wave_is_over, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_free_runner_takes_over, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
