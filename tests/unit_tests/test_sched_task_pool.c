/* The threads for large bodies: every task runs once, goes home, and the end waits for all. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem.h"
#include "sched/task_pool.h"
#include "unit_tests/testing.h"

#define TASKS 200

struct counted {
    struct task task; /* first */
    unsigned runs;
    unsigned order;
    _Atomic unsigned delivered;
};

static _Atomic unsigned next_order;

static void run_counted(struct task *task)
{
    struct counted *counted = (struct counted *)(void *)task;
    counted->runs++;
    counted->order = atomic_fetch_add(&next_order, 1);
}

static void deliver_counted(struct task *task)
{
    struct counted *counted = (struct counted *)(void *)task;
    assert_int_equal(counted->runs, 1);
    atomic_fetch_add(&counted->delivered, 1);
}

static void submit_all(struct task_pool *pool, struct counted *counted)
{
    atomic_store(&next_order, 0);
    for (unsigned i = 0; i < TASKS; i++) {
        counted[i] = (struct counted){.task = {.run = run_counted, .deliver = deliver_counted}};
        task_pool_submit(pool, &counted[i].task);
    }
}

static void every_task_runs_once_and_goes_home(void **state)
{
    (void)state;
    static struct counted counted[TASKS];
    struct task_pool *pool;
    assert_int_equal(task_pool_new(3, &pool, NULL), ERR_OK);
    submit_all(pool, counted);
    task_pool_free(pool);
    for (unsigned i = 0; i < TASKS; i++) {
        assert_int_equal(atomic_load(&counted[i].delivered), 1);
    }
}

static void one_thread_keeps_the_order(void **state)
{
    (void)state;
    static struct counted counted[TASKS];
    struct task_pool *pool;
    assert_int_equal(task_pool_new(1, &pool, NULL), ERR_OK);
    submit_all(pool, counted);
    task_pool_free(pool);
    for (unsigned i = 0; i < TASKS; i++) {
        assert_int_equal(counted[i].order, i);
    }
}

/* A task that waits for another one, which therefore must run beside it. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned met;
} meeting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void meet(struct task *task)
{
    (void)task;
    pthread_mutex_lock(&meeting.lock);
    meeting.met++;
    pthread_cond_broadcast(&meeting.changed);
    while (meeting.met < 2) {
        pthread_cond_wait(&meeting.changed, &meeting.lock);
    }
    pthread_mutex_unlock(&meeting.lock);
}

static void deliver_nothing(struct task *task)
{
    (void)task;
}

static void two_threads_work_at_once(void **state)
{
    (void)state;
    struct task_pool *pool;
    struct task tasks[2] = {{.run = meet, .deliver = deliver_nothing},
                            {.run = meet, .deliver = deliver_nothing}};
    assert_int_equal(task_pool_new(2, &pool, NULL), ERR_OK);
    task_pool_submit(pool, &tasks[0]);
    task_pool_submit(pool, &tasks[1]);
    task_pool_free(pool);
    assert_int_equal(meeting.met, 2);
}

static void without_memory_there_is_no_pool(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct task_pool *pool = NULL;
        struct error error;
        mem_fail_nth(nth);
        assert_int_equal(task_pool_new(2, &pool, &error), ERR_NO_MEMORY);
        assert_null(pool);
    }
    mem_fail_nth(0);
    task_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once_and_goes_home),
        cmocka_unit_test(one_thread_keeps_the_order),
        cmocka_unit_test(two_threads_work_at_once),
        cmocka_unit_test(without_memory_there_is_no_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
