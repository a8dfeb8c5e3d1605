/*
 * Runner threads: order, bounds, sharing, jobs that must not run, and the end of it all. Nothing here
 * waits for time to pass but the one test of the delay.
 */
#include "unit_tests/pool_fixture.h"

static void assert_own_rows(const struct request *request)
{
    assert_int_equal(request->done, 1);
    assert_int_equal(request->job.status, ERR_OK);
    assert_int_equal(request->job.fate, JOB_RAN);
    const struct tensor *answer = &request->value.tensor;
    assert_int_equal(tensor_bytes(answer), tensor_bytes(&request->input));
    assert_memory_equal(answer->at, request->input.at, tensor_bytes(&request->input));
}

static void what_waits_is_one_run(void **state)
{
    (void)state;
    struct owner owner;
    owner_init(&owner);
    struct pool_options options = options_of(1);
    struct pool *pool = make_pool(&options);
    struct request busy;
    struct request requests[8];
    occupy(pool, &owner, &busy, 1);
    for (size_t i = 0; i < 8; i++) {
        must_submit(pool, &owner, &requests[i], 2, (float)(10 * i));
    }
    struct pool_figures figures;
    pool_measure(pool, &figures);
    assert_int_equal(figures.busy, 1);
    assert_int_equal(figures.jobs, 8);
    assert_int_equal(figures.rows, 16);
    gate_set(false);
    owner_wait(&owner, 9);
    assert_int_equal(gate.runs, 2);
    assert_int_equal(owner.deliveries, 2); /* one for all that ran together */
    assert_false(owner.out_of_order);
    for (size_t i = 0; i < 8; i++) {
        assert_own_rows(&requests[i]);
        assert_int_equal(requests[i].job.shared_by, 8);
        assert_int_equal(requests[i].job.runs, i == 0 ? 1 : 0);
        assert_int_equal(requests[i].job.run_rows, i == 0 ? 16 : 0);
        request_end(&requests[i], true);
    }
    pool_free(pool);
    request_end(&busy, true);
}

static void each_owner_gets_its_own(void **state)
{
    (void)state;
    struct owner owners[3];
    struct pool_options options = options_of(1);
    struct pool *pool = make_pool(&options);
    struct request busy;
    struct request requests[9];
    for (size_t i = 0; i < 3; i++) {
        owner_init(&owners[i]);
    }
    occupy(pool, &owners[0], &busy, 1);
    for (size_t i = 0; i < 9; i++) {
        must_submit(pool, &owners[i % 3], &requests[i], 1, (float)i);
    }
    gate_set(false);
    for (size_t i = 0; i < 3; i++) {
        owner_wait(&owners[i], i == 0 ? 4 : 3);
        assert_int_equal(owners[i].deliveries, i == 0 ? 2 : 1);
        assert_false(owners[i].out_of_order);
    }
    pool_free(pool);
    for (size_t i = 0; i < 9; i++) {
        assert_own_rows(&requests[i]);
        request_end(&requests[i], true);
    }
    request_end(&busy, true);
}

static void dead_jobs_never_run(void **state)
{
    (void)state;
    struct owner owner;
    owner_init(&owner);
    struct pool_options options = options_of(1);
    struct pool *pool = make_pool(&options);
    struct request busy;
    struct request requests[3];
    occupy(pool, &owner, &busy, 1);
    request_init(&requests[0], 1, 2, 1);
    requests[0].job.owner = &owner.owner;
    requests[0].job.deadline_ns = 1; /* long ago */
    assert_int_equal(pool_submit(pool, &requests[0].job), ERR_OK);
    must_submit(pool, &owner, &requests[1], 1, 1);
    must_submit(pool, &owner, &requests[2], 1, 1);
    atomic_store(&requests[1].job.cancelled, true);
    gate_set(false);
    owner_wait(&owner, 4);
    assert_int_equal(gate.runs, 2);
    assert_int_equal(gate.rows, MAX_ROWS + 1);
    assert_int_equal(requests[0].job.fate, JOB_EXPIRED);
    assert_int_equal(requests[0].job.status, ERR_TIMEOUT);
    assert_int_equal(requests[1].job.fate, JOB_CANCELLED);
    assert_own_rows(&requests[2]);
    pool_free(pool);
    for (size_t i = 0; i < 3; i++) {
        request_end(&requests[i], i == 2);
    }
    request_end(&busy, true);
}

/* What the queue of a busy pool takes, by each of its bounds. A row here is 8 bytes. */
static void a_full_queue_refuses(void **state)
{
    (void)state;
    static const struct {
        size_t max_jobs;
        int64_t max_rows;
        uint64_t max_bytes;
        int64_t rows[3];
        bool taken[3];
    } cases[] = {
        {2, 100, 1000, {1, 1, 1}, {true, true, false}},
        {9, 5, 1000, {3, 2, 1}, {true, true, false}},
        {9, 5, 1000, {3, 3, 2}, {true, false, true}},
        {9, 100, 40, {3, 2, 1}, {true, true, false}},
        {9, 100, 40, {9, 1, 1}, {true, false, false}}, /* the first is taken however large */
        {9, 5, 1000, {9, 1, 1}, {true, false, false}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct owner owner;
        owner_init(&owner);
        struct pool_options options = options_of(1);
        options.max_jobs = cases[i].max_jobs;
        options.max_rows = cases[i].max_rows;
        options.max_bytes = cases[i].max_bytes;
        struct pool *pool = make_pool(&options);
        struct request busy;
        struct request requests[3];
        unsigned taken = 0;
        occupy(pool, &owner, &busy, 1);
        for (size_t j = 0; j < 3; j++) {
            int status = submit(pool, &owner, &requests[j], cases[i].rows[j], 1);
            assert_int_equal(status, cases[i].taken[j] ? ERR_OK : ERR_BUSY);
            taken += cases[i].taken[j];
        }
        gate_set(false);
        owner_wait(&owner, taken + 1);
        pool_free(pool);
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(requests[j].done, cases[i].taken[j]);
            request_end(&requests[j], cases[i].taken[j]);
        }
        request_end(&busy, true);
    }
}

static void only_the_guilty_fails(void **state)
{
    (void)state;
    struct owner owner;
    owner_init(&owner);
    struct pool_options options = options_of(1);
    struct pool *pool = make_pool(&options);
    struct request busy;
    struct request requests[4];
    occupy(pool, &owner, &busy, 1);
    for (size_t i = 0; i < 4; i++) {
        must_submit(pool, &owner, &requests[i], 1, i == 2 ? POISON - 5 : (float)i);
    }
    gate_set(false);
    owner_wait(&owner, 5);
    pool_free(pool);
    assert_int_equal(requests[0].job.runs, 5); /* together, then each alone */
    for (size_t i = 0; i < 4; i++) {
        if (i == 2) {
            assert_int_equal(requests[i].job.status, ERR_INVALID);
        } else {
            assert_own_rows(&requests[i]);
        }
        request_end(&requests[i], true);
    }
    request_end(&busy, true);
}

/* A model without a batch dimension: one by one, but on all runners. */
static void runners_work_side_by_side(void **state)
{
    (void)state;
    struct owner owner;
    owner_init(&owner);
    target.batchable = false;
    struct pool_options options = options_of(3);
    struct pool *pool = make_pool(&options);
    struct request requests[3];
    occupy(pool, &owner, requests, 3); /* returns when three runs are under way at once */
    gate_set(false);
    owner_wait(&owner, 3);
    pool_free(pool);
    assert_int_equal(gate.runs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_own_rows(&requests[i]);
        request_end(&requests[i], true);
    }
}

/* What one runner leaves because it does not fit its run, another takes at once. */
static void what_does_not_fit_wakes_another_runner(void **state)
{
    (void)state;
    struct owner owner;
    owner_init(&owner);
    struct pool_options options = options_of(2);
    struct pool *pool = make_pool(&options);
    struct request busy[2];
    struct request requests[2];
    occupy(pool, &owner, busy, 2);
    must_submit(pool, &owner, &requests[0], MAX_ROWS, 1);
    must_submit(pool, &owner, &requests[1], MAX_ROWS, 1);
    gate_set(false);
    owner_wait(&owner, 4);
    pool_free(pool);
    for (size_t i = 0; i < 2; i++) {
        assert_own_rows(&requests[i]);
        request_end(&requests[i], true);
        request_end(&busy[i], true);
    }
}

static void a_complete_batch_does_not_wait_for_the_delay(void **state)
{
    (void)state;
    struct owner owner;
    owner_init(&owner);
    struct pool_options options = options_of(2);
    options.max_delay_ns = 3600 * CLOCK_NS_PER_S;
    struct pool *pool = make_pool(&options);
    struct request requests[4];
    for (size_t i = 0; i < 4; i++) {
        request_init(&requests[i], MAX_ROWS / 4, 2, (float)i);
        requests[i].job.owner = &owner.owner;
        requests[i].job.submitted_ns = clock_monotonic_ns();
        assert_int_equal(pool_submit(pool, &requests[i].job), ERR_OK);
    }
    owner_wait(&owner, 4);
    assert_int_equal(gate.runs, 1);
    /* An incomplete one does wait, and a stop ends the wait. */
    struct request last;
    request_init(&last, 1, 2, 1);
    last.job.owner = &owner.owner;
    last.job.submitted_ns = clock_monotonic_ns();
    assert_int_equal(pool_submit(pool, &last.job), ERR_OK);
    struct pool_figures figures;
    pool_measure(pool, &figures);
    assert_int_equal(figures.jobs, 1);
    pool_free(pool);
    assert_own_rows(&last);
    request_end(&last, true);
    for (size_t i = 0; i < 4; i++) {
        assert_own_rows(&requests[i]);
        request_end(&requests[i], true);
    }
}

static void the_delay_ends(void **state)
{
    (void)state;
    struct owner owner;
    owner_init(&owner);
    struct pool_options options = options_of(2);
    options.max_delay_ns = 2 * CLOCK_NS_PER_MS;
    struct pool *pool = make_pool(&options);
    struct request request;
    request_init(&request, 1, 2, 1);
    request.job.owner = &owner.owner;
    request.job.submitted_ns = clock_monotonic_ns();
    assert_int_equal(pool_submit(pool, &request.job), ERR_OK);
    owner_wait(&owner, 1);
    assert_true(request.job.started_ns >= request.job.submitted_ns + options.max_delay_ns);
    pool_free(pool);
    request_end(&request, true);
}

/* Stopping while a run is under way: what waits is finished, or given up. */
struct stopper {
    struct pool *pool;
    bool give_up;
};

static void *stop(void *argument)
{
    struct stopper *stopper = argument;
    pool_stop(stopper->pool, stopper->give_up);
    return NULL;
}

static void stops_while_busy(void **state)
{
    (void)state;
    for (int give_up = 0; give_up < 2; give_up++) {
        struct owner owner;
        owner_init(&owner);
        struct pool_options options = options_of(1);
        struct pool *pool = make_pool(&options);
        struct request busy;
        struct request requests[5];
        struct request late;
        occupy(pool, &owner, &busy, 1);
        for (size_t i = 0; i < 5; i++) {
            must_submit(pool, &owner, &requests[i], 7, (float)i);
        }
        struct stopper stopper = {pool, give_up};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop, &stopper), 0);
        if (give_up) {
            owner_wait(&owner, 5); /* while the run that is under way goes on */
            assert_int_equal(busy.done, 0);
        }
        gate_set(false);
        pthread_join(thread, NULL);
        assert_int_equal(owner.delivered, 6);
        assert_own_rows(&busy);
        for (size_t i = 0; i < 5; i++) {
            if (give_up) {
                assert_int_equal(requests[i].done, 1);
                assert_int_equal(requests[i].job.status, ERR_UNAVAILABLE);
                assert_int_equal(requests[i].job.fate, JOB_STOPPED);
            } else {
                assert_own_rows(&requests[i]);
            }
            request_end(&requests[i], !give_up);
        }
        assert_int_equal(submit(pool, &owner, &late, 1, 1), ERR_UNAVAILABLE);
        request_end(&late, false);
        pool_free(pool);
        request_end(&busy, true);
    }
}

/* ---- many at once ---- */

#define PRODUCERS 4
#define PER_PRODUCER 400
#define WINDOW 32

struct producer {
    pthread_t thread;
    struct pool *pool;
    unsigned number;
    struct owner owner;
    struct request *requests;
    unsigned taken;
    unsigned refused;
};

static int64_t rows_of(unsigned i)
{
    return 1 + (int64_t)(i * 7 % 5) + (i % 97 == 0 ? MAX_ROWS : 0);
}

/* Cancels every third of its jobs, at whatever point of its life that finds it. */
static void *produce(void *argument)
{
    struct producer *producer = argument;
    for (unsigned i = 0; i < PER_PRODUCER; i++) {
        struct request *request = &producer->requests[i];
        float first = i % 61 == 0 ? POISON - 1000 : (float)(producer->number * 100000 + i * 50);
        request_init(request, rows_of(i), 2, first);
        request->job.owner = &producer->owner.owner;
        request->job.submitted_ns = i + 1;
        if (pool_submit(producer->pool, &request->job) == ERR_OK) {
            producer->taken++;
        } else {
            producer->refused++;
        }
        if (i % 3 == 0) {
            atomic_store(&request->job.cancelled, true);
        }
        if (producer->taken > WINDOW) {
            owner_wait(&producer->owner, producer->taken - WINDOW);
        }
    }
    owner_wait(&producer->owner, producer->taken);
    return NULL;
}

static void check_outcome(const struct request *request, unsigned i)
{
    if (request->done == 0) {
        return; /* refused */
    }
    assert_int_equal(request->done, 1);
    if (request->job.fate == JOB_CANCELLED) {
        assert_int_equal(i % 3, 0);
    } else if (i % 61 == 0) {
        assert_int_equal(request->job.status, ERR_INVALID);
    } else {
        assert_own_rows(request);
    }
}

static void many_producers(void **state)
{
    (void)state;
    struct pool_options options = options_of(3);
    options.max_jobs = 40;
    struct pool *pool = make_pool(&options);
    struct producer producers[PRODUCERS] = {0};
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i].pool = pool;
        producers[i].number = i;
        producers[i].requests = mem_zalloc(PER_PRODUCER, sizeof(struct request));
        assert_non_null(producers[i].requests);
        owner_init(&producers[i].owner);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    unsigned ran = 0;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        assert_int_equal(producers[i].taken + producers[i].refused, PER_PRODUCER);
        assert_int_equal(producers[i].owner.delivered, producers[i].taken);
        assert_false(producers[i].owner.out_of_order);
        for (unsigned j = 0; j < PER_PRODUCER; j++) {
            struct request *request = &producers[i].requests[j];
            check_outcome(request, j);
            bool has_run = request->done == 1 && request->job.fate == JOB_RAN;
            ran += has_run;
            request_end(request, has_run);
        }
        mem_free(producers[i].requests);
    }
    struct pool_figures figures;
    pool_measure(pool, &figures);
    assert_int_equal(figures.jobs, 0);
    assert_int_equal(figures.rows, 0);
    assert_true(ran > 0);
    assert_true(gate.most_rows <= MAX_ROWS + 5); /* the largest job, alone */
    pool_free(pool);
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    struct pool_options options = options_of(2);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct pool *pool = NULL;
        mem_fail_nth(nth);
        assert_int_equal(pool_new(&options, &pool, NULL), ERR_NO_MEMORY);
        mem_fail_nth(0);
        assert_null(pool);
    }
    pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_waits_is_one_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_owner_gets_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dead_jobs_never_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_queue_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_guilty_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runners_work_side_by_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_wakes_another_runner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_complete_batch_does_not_wait_for_the_delay, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_delay_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_while_busy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_producers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_failed_allocations, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
