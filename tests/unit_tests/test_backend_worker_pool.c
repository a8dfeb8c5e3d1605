/*
 * What becomes of a worker's place when it ends: restarts, delays, health, memory, a model that has
 * changed. Delays are short here and memory is what the test says; what is waited for is said by the
 * observer.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/worker_pool.h"
#include "backend/worker_slot.h"
#include "base/clock.h"
#include "unit_tests/worker_fixture.h"

#define DELAY_NS (2 * CLOCK_NS_PER_MS)
#define LONG_NS (3600 * CLOCK_NS_PER_S)
#define LIMIT (100 * MEBIBYTE)

/* ---- memory as the test says ---- */

static _Atomic pid_t fat_pid; /* who has fat_bytes; 0: all */
static _Atomic uint64_t fat_bytes;
static _Atomic unsigned looks;

static uint64_t told_rss(pid_t pid)
{
    pid_t fat = atomic_load(&fat_pid);
    atomic_fetch_add(&looks, 1);
    return fat == 0 || fat == pid ? atomic_load(&fat_bytes) : MEBIBYTE;
}

/* Until the supervisor has looked at all of them with what was said last. */
static void await_looks(void)
{
    unsigned before = atomic_load(&looks);
    while (atomic_load(&looks) < before + 16) {
        const struct timespec moment = {0, 100000};
        nanosleep(&moment, NULL);
    }
}

/* ---- a pool of stand-ins ---- */

static char folder[] = "/tmp/onnxd-pool-XXXXXX";
static char model_path[64];

static void write_model(const char *text)
{
    int fd = open(model_path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static char hello[256];

/* argv lies with the caller until close. */
static struct worker_pool_options options_for(const char *const *argv, unsigned count)
{
    static const char *const environment[] = {NULL};
    struct worker_option model = {SLICE("model"), slice_from_str(model_path)};
    size_t size = worker_options_size(&model, 1);
    assert_true(size <= sizeof(hello));
    worker_options_write(&model, 1, hello);
    return (struct worker_pool_options){
        .command = {.argv = (char *const *)(uintptr_t)argv,
                    .environment = (char *const *)(uintptr_t)environment,
                    .program_fd = -1},
        .hello = slice_make(hello, size),
        .count = count,
        .start_timeout_ns = 60 * CLOCK_NS_PER_S,
        .observer = &observer,
        .timing = {.first_delay_ns = DELAY_NS, .last_delay_ns = 8 * DELAY_NS},
    };
}

static const char *const plain[] = {WORKER_STAND_IN, NULL};

static struct worker_pool *open_pool(const struct worker_pool_options *options)
{
    struct worker_pool *pool = NULL;
    struct error error = {.text = ""};
    if (worker_pool_open(options, &pool, &error) != ERR_OK) {
        fail_msg("%s", error.text);
    }
    return pool;
}

static struct worker *take(struct worker_pool *pool)
{
    struct worker *worker = NULL;
    struct error error;
    assert_int_equal(worker_pool_take(pool, 0, &worker, &error), ERR_OK);
    return worker;
}

/* As if it had answered a run; who it was. */
static pid_t run_once(struct worker_pool *pool)
{
    struct worker *worker = take(pool);
    pid_t pid = worker_pool_process(worker)->pid;
    worker_pool_give(pool, worker, true);
    return pid;
}

static struct backend_figures measure(struct worker_pool *pool)
{
    struct backend_figures figures;
    worker_pool_measure(pool, &figures);
    return figures;
}

/* ---- taking ---- */

static void who_comes_late_waits(void **state)
{
    (void)state;
    struct worker_pool_options options = options_for(plain, 1);
    struct worker_pool *pool = open_pool(&options);
    struct worker *worker = take(pool);
    struct worker *other = NULL;
    struct error error;
    assert_int_equal(worker_pool_take(pool, 1, &other, &error), ERR_TIMEOUT);
    assert_int_equal(worker_pool_take(pool, clock_monotonic_ns() + CLOCK_NS_PER_MS, &other, &error),
                     ERR_TIMEOUT);
    assert_null(other);
    worker_pool_give(pool, worker, true);
    assert_int_equal(worker_pool_take(pool, 1, &other, &error), ERR_OK);
    assert_ptr_equal(other, worker);
    worker_pool_give(pool, other, true);
    worker_pool_close(pool);
}

/* ---- giving memory back ---- */

/* As a large run leaves it. */
static void fill_areas(struct worker *worker)
{
    struct worker_process *process = worker_pool_process(worker);
    struct error error;
    assert_int_equal(worker_area_reserve(&process->input, MEBIBYTE, &error), ERR_OK);
    assert_int_equal(worker_area_follow(&process->output, MEBIBYTE, MEBIBYTE, &error), ERR_OK);
    memset(process->input.at, 1, MEBIBYTE);
    memset(process->output.at, 1, MEBIBYTE);
}

/* Of idle ones at once, of one that is busy when it is given back, of none twice. */
static void pages_go_back_when_nobody_uses_them(void **state)
{
    (void)state;
    struct worker_pool_options options = options_for(plain, 2);
    struct worker_pool *pool = open_pool(&options);
    told_until(" is ready", 2);
    struct worker *busy = take(pool);
    struct worker *idle = take(pool);
    fill_areas(busy);
    fill_areas(idle);
    worker_pool_give(pool, idle, true);
    assert_int_equal(area_bytes(), 4 * MEBIBYTE);
    worker_pool_trim(pool);
    assert_in_range(area_bytes(), 1, 2 * MEBIBYTE + MEBIBYTE / 4);
    assert_int_equal(worker_pool_process(busy)->input.at[MEBIBYTE - 1], 1);
    worker_pool_give(pool, busy, true);
    assert_in_range(area_bytes(), 1, MEBIBYTE / 2);
    busy = take(pool);
    fill_areas(busy);
    worker_pool_give(pool, busy, true);
    assert_in_range(area_bytes(), 2 * MEBIBYTE, 3 * MEBIBYTE);
    worker_pool_close(pool);
}

/* ---- failing again and again ---- */

/* Delays double up to the last, and the third failure is told. */
static void fail_repeatedly(struct worker_pool *pool)
{
    pid_t pid = (pid_t)strtol(told_until(" is ready", 1) + strlen("worker "), NULL, 10);
    assert_int_equal(kill(pid, SIGKILL), 0);
    told_until("failures in a row: 1, the next start is in 2 ms", 1);
    told_until("cannot be used: told to fail; failures in a row: 2, the next start is in 4 ms", 1);
    assert_int_equal(told.health_changes, 0);
    told_until("failures in a row: 3, the next start is in 8 ms", 1);
    told_until_health(1, false);
    told_until("failures in a row: 4, the next start is in 16 ms", 1);
    told_until("failures in a row: 5, the next start is in 16 ms", 1);
    assert_int_equal(measure(pool).workers, 0);
}

static void delays_double_and_health_is_told(void **state)
{
    (void)state;
    const char *const argv[] = {WORKER_STAND_IN, "fails_when_changed", NULL};
    struct worker_pool_options options = options_for(argv, 1);
    write_model("1");
    struct worker_pool *pool = open_pool(&options);
    write_model("2");
    fail_repeatedly(pool);
    write_model("1");
    told_until(" is ready", 2);
    told_until_health(2, true);
    /* Ready is not yet good: only an answer forgets what was. */
    assert_int_equal(kill(run_once(pool), SIGKILL), 0);
    told_until("; another one is started", 1);
    told_until(" is ready", 3);
    worker_pool_close(pool);
    assert_int_equal(told.health_changes, 2);
}

static void refuses_at_once_while_put_off(void **state)
{
    (void)state;
    struct worker_pool_options options = options_for(plain, 1);
    options.timing.first_delay_ns = LONG_NS;
    options.timing.last_delay_ns = LONG_NS;
    struct worker_pool *pool = open_pool(&options);
    struct worker *worker = take(pool);
    assert_int_equal(worker_pool_drop(pool, worker, WORKER_END_PROTOCOL, "said by the test"),
                     WORKER_END_PROTOCOL);
    struct error error;
    /* It waits while the old one is ended, and no longer. */
    assert_int_equal(worker_pool_take(pool, 0, &worker, &error), ERR_UNAVAILABLE);
    told_until("was killed, it broke the protocol: said by the test; failures in a row: 1", 1);
    assert_int_equal(measure(pool).kills[BACKEND_KILL_PROTOCOL], 1);
    worker_pool_close(pool);
}

static void another_that_lives_keeps_it_healthy(void **state)
{
    (void)state;
    const char *const argv[] = {WORKER_STAND_IN, "fails_when_changed", NULL};
    struct worker_pool_options options = options_for(argv, 2);
    write_model("1");
    struct worker_pool *pool = open_pool(&options);
    told_until(" is ready", 2);
    write_model("2");
    struct worker *worker = take(pool);
    (void)worker_pool_drop(pool, worker, WORKER_END_DIED, "said by the test");
    told_until("failures in a row: 4", 1);
    assert_int_equal(told.health_changes, 0);
    worker = take(pool);
    worker_pool_give(pool, worker, true);
    worker_pool_close(pool);
    assert_int_equal(told.health_changes, 0);
}

/* ---- failing before the first is ready ---- */

static void a_death_while_opening_is_tried_again(void **state)
{
    (void)state;
    char once[80];
    write_model("1");
    snprintf(once, sizeof(once), "crash_once=%s", model_path);
    const char *const argv[] = {WORKER_STAND_IN, once, NULL};
    struct worker_pool_options options = options_for(argv, 1);
    struct worker_pool *pool = open_pool(&options);
    told_until("failures in a row: 1, the next start is in 2 ms", 1);
    told_until(" is ready", 1);
    assert_int_equal(measure(pool).starts, 2);
    assert_int_equal(measure(pool).deaths, 1);
    worker_pool_close(pool);
}

static void deaths_while_opening_have_an_end(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        unsigned tries;
    } cases[] = {{"crash", 3}, {"fail=2", 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const argv[] = {WORKER_STAND_IN, cases[i].argument, NULL};
        struct worker_pool_options options = options_for(argv, 1);
        struct worker_pool *pool = NULL;
        struct error error = {.text = ""};
        told_reset();
        assert_int_equal(worker_pool_open(&options, &pool, &error), ERR_CONFIG);
        assert_int_equal(told_count("failures in a row"), cases[i].tries - 1);
        assert_int_equal(told.health_changes, 0);
    }
}

/* ---- another model ---- */

static void a_changed_model_is_refused(void **state)
{
    (void)state;
    struct worker_pool_options options = options_for(plain, 1);
    write_model("1");
    struct worker_pool *pool = open_pool(&options);
    pid_t pid = run_once(pool);
    write_model("2");
    assert_int_equal(kill(pid, SIGKILL), 0);
    told_until("cannot be used: the model has changed on disk; a reload (SIGHUP) takes the new one",
               3);
    told_until_health(1, false);
    write_model("1");
    told_until_health(2, true);
    worker_pool_close(pool);
}

/* ---- memory ---- */

static struct worker_pool_options memory_options(unsigned count)
{
    struct worker_pool_options options = options_for(plain, count);
    options.max_rss_bytes = LIMIT;
    options.timing.memory_interval_ns = CLOCK_NS_PER_MS / 2;
    options.timing.rss = told_rss;
    atomic_store(&fat_pid, -1);
    atomic_store(&fat_bytes, LIMIT + 1);
    return options;
}

static void a_fat_worker_is_replaced_when_idle(void **state)
{
    (void)state;
    struct worker_pool_options options = memory_options(1);
    struct worker_pool *pool = open_pool(&options);
    run_once(pool);
    pid_t pid = run_once(pool);
    atomic_store(&fat_bytes, 10 * LIMIT); /* nothing is lost when it is idle: it may say farewell */
    atomic_store(&fat_pid, pid);
    told_until("is replaced: it had 1000 MiB in memory, and may have 100; another one is started",
               1);
    told_until(" is ready", 2);
    assert_int_equal(measure(pool).kills[BACKEND_KILL_MEMORY], 1);
    assert_int_equal(measure(pool).deaths, 0);
    worker_pool_close(pool);
}

static void a_fat_worker_finishes_its_run(void **state)
{
    (void)state;
    struct worker_pool_options options = memory_options(1);
    struct worker_pool *pool = open_pool(&options);
    struct worker *worker = take(pool);
    pid_t pid = worker_pool_process(worker)->pid;
    atomic_store(&fat_pid, pid);
    await_looks();
    assert_int_equal(measure(pool).workers, 1);
    assert_int_equal(kill(pid, 0), 0);
    worker_pool_give(pool, worker, true);
    told_until("is replaced after a single run: it had 100 MiB in memory", 1);
    told_until(" is ready", 2);
    worker_pool_close(pool);
}

static void a_very_fat_worker_is_killed_in_its_run(void **state)
{
    (void)state;
    struct worker_pool_options options = memory_options(1);
    struct worker_pool *pool = open_pool(&options);
    struct worker *worker = take(pool);
    atomic_store(&fat_bytes, LIMIT + LIMIT / 2 + 1);
    atomic_store(&fat_pid, worker_pool_process(worker)->pid);
    int status = worker_process_wait(worker_pool_process(worker), LONG_NS, NULL);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(worker_pool_drop(pool, worker, WORKER_END_DIED, "died"), WORKER_END_MEMORY);
    told_until("was killed: it had 150 MiB in memory, and may have 100; failures in a row: 1", 1);
    assert_int_equal(measure(pool).kills[BACKEND_KILL_MEMORY], 1);
    assert_int_equal(measure(pool).deaths, 0);
    told_until(" is ready", 2);
    worker_pool_close(pool);
}

/* One client's large batch, sent again and again, is no illness of the model's. */
static void very_fat_first_runs_do_not_make_it_ill(void **state)
{
    (void)state;
    struct worker_pool_options options = memory_options(1);
    struct worker_pool *pool = open_pool(&options);
    atomic_store(&fat_bytes, 2 * LIMIT);
    for (unsigned i = 1; i <= 5; i++) {
        char says[40];
        struct worker *worker = take(pool);
        atomic_store(&fat_pid, worker_pool_process(worker)->pid);
        (void)worker_process_wait(worker_pool_process(worker), LONG_NS, NULL);
        assert_int_equal(worker_pool_drop(pool, worker, WORKER_END_DIED, "died"),
                         WORKER_END_MEMORY);
        snprintf(says, sizeof(says), "failures in a row: %u", i);
        told_until(says, 1);
    }
    told_until(" is ready", 6);
    assert_int_equal(told.health_changes, 0);
    worker_pool_close(pool);
}

/* Both are too fat: the second goes when the first one's successor is there. */
static void fat_workers_go_one_at_a_time(void **state)
{
    (void)state;
    struct worker_pool_options options = memory_options(2);
    struct worker_pool *pool = open_pool(&options);
    told_until(" is ready", 2);
    struct worker *workers[] = {take(pool), take(pool)};
    worker_pool_give(pool, workers[0], true);
    worker_pool_give(pool, workers[1], true);
    workers[0] = take(pool);
    workers[1] = take(pool);
    worker_pool_give(pool, workers[0], true);
    worker_pool_give(pool, workers[1], true);
    workers[0] = take(pool);
    workers[1] = take(pool);
    atomic_store(&fat_pid, 0);
    await_looks();
    atomic_store(&fat_pid, -1);
    /* Of two that are busy one was chosen. */
    worker_pool_give(pool, workers[0], true);
    worker_pool_give(pool, workers[1], true);
    told_until(" is replaced: ", 1);
    told_until(" is ready", 3);
    assert_int_equal(told_count(" is replaced: "), 1);
    assert_int_equal(measure(pool).workers, 2);
    worker_pool_close(pool);
}

/* A model that is too large for its limit must not be started in a circle without a pause. */
static void too_fat_from_the_start_is_a_failure(void **state)
{
    (void)state;
    struct worker_pool_options options = memory_options(1);
    struct worker_pool *pool = NULL;
    struct error error = {.text = ""};
    atomic_store(&fat_bytes, 3 * LIMIT);
    atomic_store(&fat_pid, 0);
    assert_int_equal(worker_pool_open(&options, &pool, &error), ERR_CONFIG);
    assert_string_equal(error.text,
                        "with the model loaded and no run yet it has 300 MiB in memory, "
                        "and WORKER_MAX_RSS_MB is 100");
    /* The same of one that comes later: the delays grow, and it is told. */
    atomic_store(&fat_pid, -1);
    pool = open_pool(&options);
    pid_t pid = run_once(pool);
    atomic_store(&fat_pid, 0);
    assert_true(kill(pid, SIGKILL) == 0 || errno == ESRCH);
    told_until("cannot be used: with the model loaded and no run yet it has 300 MiB", 3);
    told_until_health(1, false);
    worker_pool_close(pool);
}

static struct worker_pool *measured;

/* Nobody who measures, on a thread of low priority, keeps a run from its worker. */
static uint64_t rss_without_lock(pid_t pid)
{
    struct timespec due;
    assert_true(pid > 0);
    clock_gettime(CLOCK_REALTIME, &due);
    due.tv_sec += PATIENCE_S;
    assert_int_equal(pthread_mutex_timedlock(&measured->lock, &due), 0);
    pthread_mutex_unlock(&measured->lock);
    return MEBIBYTE;
}

static void measuring_holds_no_lock(void **state)
{
    (void)state;
    struct worker_pool_options options = options_for(plain, 2);
    options.timing.rss = rss_without_lock;
    measured = open_pool(&options);
    told_until(" is ready", 2);
    assert_int_equal(measure(measured).resident_bytes, 2 * MEBIBYTE);
    assert_int_equal(measure(measured).workers, 2);
    worker_pool_close(measured);
}

/* Without an injected figure: the kernel's. */
static void sees_real_memory(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    options.worker.max_rss_bytes = 150 * MEBIBYTE;
    struct backend_model *model = open_stand_in(&options);
    struct error error;
    assert_int_equal(run_stand_in(model, 1, &error), ERR_OK);
    assert_in_range(figures_of(model).resident_bytes, 1, 100 * MEBIBYTE);
    (void)run_stand_in(model, STAND_IN_GROW, &error); /* it may be seen in the run, or after it */
    told_until(" is ready", 2);
    assert_int_equal(figures_of(model).kills[BACKEND_KILL_MEMORY], 1);
    backend_worker.close(model);
}

/* ---- the end ---- */

static void kills_who_does_not_leave(void **state)
{
    (void)state;
    const char *const argv[] = {WORKER_STAND_IN, "mute", NULL};
    struct worker_pool_options options = options_for(argv, 3);
    options.timing.end_grace_ns = CLOCK_NS_PER_MS;
    struct worker_pool *pool = open_pool(&options);
    worker_pool_close(pool); /* some are still starting */
}

static void ends_while_the_next_start_is_put_off(void **state)
{
    (void)state;
    const char *const argv[] = {WORKER_STAND_IN, "idle_exit", NULL};
    struct worker_pool_options options = options_for(argv, 2);
    options.timing.first_delay_ns = LONG_NS;
    options.timing.last_delay_ns = LONG_NS;
    struct worker_pool *pool = NULL;
    struct error error;
    /* The first may be ready when the second is not: both have happened, and neither leaves a trace. */
    if (worker_pool_open(&options, &pool, &error) == ERR_OK) {
        told_until("has gone: it ended with exit code 5; failures in a row: 1", 1);
        worker_pool_close(pool);
    }
}

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(model_path, sizeof(model_path), "%s/model", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(model_path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIDY(who_comes_late_waits),
        TIDY(pages_go_back_when_nobody_uses_them),
        TIDY(delays_double_and_health_is_told),
        TIDY(refuses_at_once_while_put_off),
        TIDY(another_that_lives_keeps_it_healthy),
        TIDY(a_death_while_opening_is_tried_again),
        TIDY(deaths_while_opening_have_an_end),
        TIDY(a_changed_model_is_refused),
        TIDY(a_fat_worker_is_replaced_when_idle),
        TIDY(a_fat_worker_finishes_its_run),
        TIDY(a_very_fat_worker_is_killed_in_its_run),
        TIDY(very_fat_first_runs_do_not_make_it_ill),
        TIDY(fat_workers_go_one_at_a_time),
        TIDY(too_fat_from_the_start_is_a_failure),
        TIDY(measuring_holds_no_lock),
        TIDY(sees_real_memory),
        TIDY(kills_who_does_not_leave),
        TIDY(ends_while_the_next_start_is_put_off),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
