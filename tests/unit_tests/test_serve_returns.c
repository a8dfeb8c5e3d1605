/* Jobs on their way home: in order, each once, from many threads to a loop that is busy or asleep. */
#include <pthread.h>

#include "serve/returns.h"
#include "unit_tests/testing.h"

#define RUNNERS 3
#define BATCHES 200
#define BATCH_JOBS 5

struct item {
    struct job job; /* first: a job is its item */
    unsigned runner;
    unsigned number;
};

struct fixture {
    struct metrics *metrics;
    struct loop *loop;
    struct returns returns;
    unsigned done;
    unsigned next_number[RUNNERS];
};

static struct fixture fixture;
static struct item items[RUNNERS][BATCHES * BATCH_JOBS];

static void on_done(struct job *job)
{
    struct item *item = (struct item *)(void *)job;
    assert_int_equal(item->number, fixture.next_number[item->runner]);
    fixture.next_number[item->runner]++;
    fixture.done++;
    if (fixture.done == RUNNERS * BATCHES * BATCH_JOBS) {
        loop_stop(fixture.loop);
    }
}

static int set_up(void **state)
{
    (void)state;
    fixture = (struct fixture){.metrics = metrics_new("test")};
    assert_non_null(fixture.metrics);
    struct metrics_shard *shard = metrics_add_shard(fixture.metrics);
    assert_non_null(shard);
    assert_int_equal(loop_new(&fixture.loop, NULL), ERR_OK);
    returns_init(&fixture.returns, fixture.loop, shard);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(fixture.loop);
    metrics_free(fixture.metrics);
    return 0;
}

/* The jobs of one run, linked, delivered at once. */
static void deliver(unsigned runner, unsigned batch)
{
    struct job *jobs = NULL;
    for (unsigned i = BATCH_JOBS; i-- > 0;) {
        struct item *item = &items[runner][batch * BATCH_JOBS + i];
        *item = (struct item){.runner = runner, .number = batch * BATCH_JOBS + i};
        item->job.done = on_done;
        item->job.owner = &fixture.returns.owner;
        item->job.next = jobs;
        jobs = &item->job;
    }
    fixture.returns.owner.deliver(&fixture.returns.owner, jobs);
}

static void many_deliveries_are_one_mail(void **state)
{
    (void)state;
    deliver(0, 0);
    deliver(0, 1);
    deliver(1, 0);
    assert_int_equal(fixture.done, 0); /* nothing happens on the runner's thread */
    loop_turn(fixture.loop, -1);
    assert_int_equal(fixture.done, 3 * BATCH_JOBS);
    deliver(0, 2); /* and the next one is mail again */
    loop_turn(fixture.loop, -1);
    assert_int_equal(fixture.done, 4 * BATCH_JOBS);
}

static void *run(void *argument)
{
    unsigned runner = *(const unsigned *)argument;
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        deliver(runner, batch);
    }
    return NULL;
}

static void every_job_comes_home_in_order(void **state)
{
    (void)state;
    pthread_t threads[RUNNERS];
    unsigned numbers[RUNNERS];
    for (unsigned i = 0; i < RUNNERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run, &numbers[i]), 0);
    }
    loop_run(fixture.loop); /* until the last one is back */
    for (unsigned i = 0; i < RUNNERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(fixture.next_number[i], BATCHES * BATCH_JOBS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_deliveries_are_one_mail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_job_comes_home_in_order, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
