/*
 * Models in worker processes, seen from above: runs and what goes wrong in them, with the stand-in as the
 * program. What is waited for is said by the observer, or is the answer itself.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/worker_pool.h"
#include "base/clock.h"
#include "base/mem.h"
#include "unit_tests/worker_fixture.h"

#define DIED "a worker ended during the run: "

static void assert_starts_with(const char *text, const char *start)
{
    if (strncmp(text, start, strlen(start)) != 0) {
        fail_msg("\"%s\" does not start with \"%s\"", text, start);
    }
}

/* "worker 123 ...": 123. */
static pid_t pid_in(const char *line)
{
    return (pid_t)strtol(line + strlen("worker "), NULL, 10);
}

static void answers(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    const struct signature *signature = backend_worker.signature(model);
    assert_int_equal(signature->input_count, 1);
    assert_int_equal(signature->output_count, 2);
    assert_string_equal(signature->outputs[1].name.ptr, "sum");
    assert_int_equal(backend_worker.instances(model), 1);
    struct error error;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(run_stand_in(model, i, &error), ERR_OK);
    }
    struct backend_figures figures = figures_of(model);
    assert_int_equal(figures.workers, 1);
    assert_int_equal(figures.starts, 1);
    assert_int_equal(figures.deaths, 0);
    assert_true(figures.resident_bytes > 0);
    backend_worker.close(model);
}

/* Inputs and outputs grow their areas; nothing at all is a run too. */
static void carries_any_size(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    static const int64_t rows[] = {0, 1, 20000, 3};
    static const size_t wanted[] = {1};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tensor x;
        struct value sum;
        struct error error = {.text = ""};
        assert_int_equal(tensor_new(DTYPE_F64, 2, (const int64_t[]){rows[i], 4}, &x, &error), 0);
        memset(x.at, 0, tensor_bytes(&x));
        assert_int_equal(backend_worker.run(model, &x, wanted, 1, NULL, &sum, &error), ERR_OK);
        assert_int_equal(sum.tensor.dims[0], rows[i]);
        value_done(&sum);
        tensor_done(&x);
    }
    backend_worker.close(model);
}

/* Both outputs of so many rows; the answer is checked. */
static void run_rows(struct backend_model *model, int64_t rows)
{
    static const size_t wanted[] = {0, 1};
    struct tensor x;
    struct value values[2];
    struct error error = {.text = ""};
    assert_int_equal(tensor_new(DTYPE_F64, 2, (const int64_t[]){rows, 4}, &x, &error), ERR_OK);
    for (int64_t i = 0; i < rows * 4; i++) {
        ((double *)x.at)[i] = (double)-i;
    }
    assert_int_equal(backend_worker.run(model, &x, wanted, 2, NULL, values, &error), ERR_OK);
    assert_memory_equal(values[0].tensor.at, x.at, tensor_bytes(&x));
    for (int64_t i = 0; i < rows; i++) {
        assert_true(((double *)values[1].tensor.at)[i] == (double)(-16 * i - 6));
    }
    value_done(&values[0]);
    value_done(&values[1]);
    tensor_done(&x);
}

/* However many small runs that takes: they have to go on for BURST_QUIET_NS. */
static void a_burst_leaves_no_memory_behind(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    for (unsigned bursts = 0; bursts < 2; bursts++) {
        run_rows(model, 20000);
        assert_true(area_bytes() > UINT64_C(1000000));
        do {
            run_rows(model, 3);
        } while (area_bytes() > UINT64_C(2) * 64 * 1024);
        run_rows(model, 3);
    }
    run_rows(model, 20000);
    assert_int_equal(figures_of(model).starts, 1);
    backend_worker.close(model);
}

static void tells_whose_fault_it_is(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    struct error error;
    assert_int_equal(run_stand_in(model, STAND_IN_BLAME, &error), ERR_INVALID);
    assert_string_equal(error.text, "x is not to my taste");
    assert_int_equal(run_stand_in(model, STAND_IN_FAIL, &error), ERR_INTERNAL);
    assert_string_equal(error.text, "I am not well");
    assert_int_equal(run_stand_in(model, 1, &error), ERR_OK);
    assert_int_equal(figures_of(model).starts, 1);
    backend_worker.close(model);
}

/* A death in a run is that run's failure alone; the next worker comes at once after one that had answered. */
static void a_death_fails_its_run_alone(void **state)
{
    (void)state;
    static const struct {
        enum stand_in_command command;
        const char *says;
        unsigned
            deaths; /* a run that somebody killed from outside, as it seems, is begun anew once */
    } cases[] = {
        {STAND_IN_KILL, DIED "it was killed by signal 9 (Killed)", 2},
        {STAND_IN_EXIT, DIED "it ended with exit code 3", 1},
        {STAND_IN_ORPHAN, DIED "it ended with exit code 6", 1},
        {STAND_IN_CLOSE, DIED "it was killed by signal 9 (Killed)", 1},
    };
    unsigned deaths = 0;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    struct error error;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(run_stand_in(model, 1, &error), ERR_OK);
        assert_int_equal(run_stand_in(model, cases[i].command, &error), ERR_INTERNAL);
        assert_string_equal(error.text, cases[i].says);
        assert_int_equal(run_stand_in(model, 2, &error), ERR_OK);
        deaths += cases[i].deaths;
        told_until(" has gone: ", deaths);
        struct backend_figures figures = figures_of(model);
        assert_int_equal(figures.starts, deaths + 1);
        assert_int_equal(figures.deaths, deaths);
    }
    assert_int_equal(told.health_changes, 0);
    backend_worker.close(model);
}

static void a_breach_ends_the_worker(void **state)
{
    (void)state;
    static const enum stand_in_command commands[] = {
        STAND_IN_SHORT, STAND_IN_EMPTY, STAND_IN_LONG,  STAND_IN_MAGIC, STAND_IN_NUMBER,
        STAND_IN_TYPE,  STAND_IN_AREA,  STAND_IN_PLACE, STAND_IN_DTYPE, STAND_IN_COUNT,
    };
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    struct error error;
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        assert_int_equal(run_stand_in(model, 1, &error), ERR_OK);
        assert_int_equal(run_stand_in(model, commands[i], &error), ERR_INTERNAL);
        assert_starts_with(error.text, "a worker broke the protocol: ");
        assert_int_equal(run_stand_in(model, 2, &error), ERR_OK);
        assert_int_equal(figures_of(model).kills[BACKEND_KILL_PROTOCOL], i + 1);
        assert_int_equal(figures_of(model).deaths, 0);
    }
    backend_worker.close(model);
}

static void a_run_past_its_time_is_killed(void **state)
{
    (void)state;
    static const struct backend_limits limits[] = {
        {.run_ns = 200 * CLOCK_NS_PER_MS},
        {.whole_ns = 200 * CLOCK_NS_PER_MS},
        {.run_ns = 200 * CLOCK_NS_PER_MS, .whole_ns = PATIENCE_S * CLOCK_NS_PER_S},
        {.run_ns = PATIENCE_S * CLOCK_NS_PER_S, .whole_ns = 200 * CLOCK_NS_PER_MS},
    };
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct error error;
        assert_int_equal(run_stand_in_within(model, STAND_IN_HANG, &limits[i], &error),
                         ERR_TIMEOUT);
        assert_string_equal(error.text, "a run took longer than 200 ms");
        told_until("was killed: a run took longer than 200 ms", i + 1);
        told_until(" is ready", i + 2);
        assert_int_equal(figures_of(model).kills[BACKEND_KILL_TIMEOUT], i + 1);
        assert_int_equal(figures_of(model).deaths, 0);
    }
    backend_worker.close(model);
}

/* Dead before the run: another worker has it, and nobody learns of it but the log. */
static void an_idle_death_costs_no_run(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    struct error error;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(run_stand_in(model, STAND_IN_LEAVE, &error), ERR_OK);
        assert_int_equal(run_stand_in(model, i, &error), ERR_OK);
    }
    pid_t pid = pid_in(told_until(" is ready", 21));
    assert_int_equal(kill(pid, SIGKILL), 0);
    /* Until it is dead: the kernel may still hand a run to one that only has to be told so. */
    siginfo_t about;
    int gone = waitid(P_PID, (id_t)pid, &about, WEXITED | WNOWAIT);
    assert_true(gone == 0 || errno == ECHILD);
    assert_int_equal(run_stand_in(model, 1, &error), ERR_OK);
    told_until(" is ready", 22);
    assert_int_equal(figures_of(model).deaths, 21);
    /* Nobody asks for this one: its end is seen all the same. */
    pid = pid_in(told_until(" is ready", 22));
    assert_int_equal(kill(pid, SIGKILL), 0);
    told_until(" is ready", 23);
    backend_worker.close(model);
}

struct asker {
    struct backend_model *model;
    struct backend_limits limits;
    double first;
    int runs;
    int failed;
    struct error error; /* of the last run */
};

static void *ask(void *argument)
{
    struct asker *asker = argument;
    for (int i = 0; i < asker->runs; i++) {
        asker->failed += run_stand_in_within(asker->model, asker->first + i, &asker->limits,
                                             &asker->error) != ERR_OK;
    }
    buffer_recycler_done();
    return NULL;
}

/* Told of the run, but dead before it has read that: the run had not begun. */
static void a_run_that_was_not_heard_goes_to_another(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    struct error error;
    pid_t pid = pid_in(told_until(" is ready", 1));
    assert_int_equal(run_stand_in(model, STAND_IN_STOP, &error), ERR_OK);
    siginfo_t about;
    assert_int_equal(waitid(P_PID, (id_t)pid, &about, WSTOPPED), 0);
    struct asker asker = {.model = model, .first = 5, .runs = 1};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask, &asker), 0);
    while (figures_of(model).workers == 0) {
    } /* it is alive, taken or not: the same to the outcome */
    assert_int_equal(kill(pid, SIGKILL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(asker.failed, 0);
    told_until(" is ready", 2);
    backend_worker.close(model);
}

#define WAIT_NS (1000 * CLOCK_NS_PER_MS)
#define WHOLE_NS (1500 * CLOCK_NS_PER_MS)

/*
 * Two runs that hang want the only worker, one for WAIT_NS, the next for WHOLE_NS with its wait. Whether the
 * next ends before it could if its time began with the worker, which it has after WAIT_NS at the earliest.
 */
static bool wait_is_counted(struct backend_model *model, unsigned earlier)
{
    struct asker first = {
        .model = model, .limits = {.run_ns = WAIT_NS}, .first = STAND_IN_WAIT, .runs = 1};
    struct asker second = {
        .model = model, .limits = {.whole_ns = WHOLE_NS}, .first = STAND_IN_WAIT, .runs = 1};
    pthread_t thread;
    pthread_t other;
    uint64_t begin_ns = clock_monotonic_ns();
    assert_int_equal(pthread_create(&thread, NULL, ask, &first), 0);
    told_until(": in the run", earlier + 1);
    assert_int_equal(pthread_create(&other, NULL, ask, &second), 0);
    pthread_join(thread, NULL);
    pthread_join(other, NULL);
    uint64_t took_ns = clock_monotonic_ns() - begin_ns;
    assert_int_equal(first.failed + second.failed, 2);
    return took_ns < WAIT_NS + WHOLE_NS && strstr(second.error.text, "a run took longer") != NULL;
}

/* A machine that is too busy to tell is asked again: where the time begins anew no try succeeds. */
static void the_wait_for_a_worker_is_of_the_runs_time(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    bool is_counted = false;
    for (unsigned tries = 0; !is_counted && tries < 20; tries++) {
        is_counted = wait_is_counted(model, told_count(": in the run"));
    }
    assert_true(is_counted);
    backend_worker.close(model);
}

/*
 * The run that hangs keeps the only worker until the test ends it, or far longer; another one that needs all
 * of its time does not wait for that. It begins where a worker is free.
 */
static void a_wait_leaves_the_run_its_time(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    struct asker first = {.model = model,
                          .limits = {.run_ns = PATIENCE_S * CLOCK_NS_PER_S},
                          .first = STAND_IN_WAIT,
                          .runs = 1};
    const struct backend_limits no_wait = {.whole_ns = 10 * PATIENCE_S * CLOCK_NS_PER_S,
                                           .least_ns = 10 * PATIENCE_S * CLOCK_NS_PER_S};
    pthread_t thread;
    struct error error;
    assert_int_equal(pthread_create(&thread, NULL, ask, &first), 0);
    told_until(": in the run", 1);
    assert_int_equal(run_stand_in_within(model, 1, &no_wait, &error), ERR_TIMEOUT);
    assert_string_equal(error.text, "no worker was free in time");
    for (unsigned i = 1; i <= 2; i++) { /* the run begins anew, once */
        told_until(": in the run", i);
        assert_int_equal(kill(pid_in(told_until(" is ready", i)), SIGKILL), 0);
    }
    pthread_join(thread, NULL);
    assert_int_equal(first.failed, 1);
    told_until(" is ready", 3);
    assert_int_equal(run_stand_in_within(model, 1, &no_wait, &error), ERR_OK);
    assert_int_equal(figures_of(model).kills[BACKEND_KILL_TIMEOUT], 0);
    backend_worker.close(model);
}

/* Killed by somebody, as it seems, when too little time is left for another worker. */
static void a_run_does_not_begin_anew_too_late(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    options.worker.count = 2;
    struct backend_model *model = open_stand_in(&options);
    const struct backend_limits limits = {.whole_ns = PATIENCE_S * CLOCK_NS_PER_S,
                                          .least_ns = PATIENCE_S * CLOCK_NS_PER_S};
    struct error error;
    told_until(" is ready", 2);
    assert_int_equal(run_stand_in_within(model, STAND_IN_KILL, &limits, &error), ERR_TIMEOUT);
    assert_string_equal(error.text, "a worker has gone, too late for another one");
    told_until(" is ready", 3);
    assert_int_equal(figures_of(model).deaths, 1);
    backend_worker.close(model);
}

static void many_run_side_by_side(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    options.worker.count = 3;
    struct backend_model *model = open_stand_in(&options);
    told_until(" is ready", 3);
    assert_int_equal(figures_of(model).workers, 3);
    pthread_t threads[6];
    struct asker askers[6];
    for (int i = 0; i < 6; i++) {
        askers[i] = (struct asker){.model = model, .first = 1000 * i, .runs = 200};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    struct error error;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(run_stand_in(model, STAND_IN_EXIT, &error), ERR_INTERNAL);
        assert_true(figures_of(model).workers <= 3);
        told_until(" is ready", 4 + i); /* so that two of three always live */
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(askers[i].failed, 0);
    }
    backend_worker.close(model);
    assert_int_equal(told.health_changes, 0);
}

static void its_lines_reach_the_log(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = open_stand_in(&options);
    struct error error;
    assert_int_equal(run_stand_in(model, STAND_IN_CHATTER, &error), ERR_OK);
    backend_worker.close(model);
    assert_in_range(told_count(": line "), 100, 900); /* more than 100: it took over a second */
    assert_true(told_count(" lines left out") >= 1);
}

static void tells_why_it_cannot_be_opened(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        const char *says;
    } cases[] = {
        {"/nowhere/python3 -m worker", "/nowhere/python3: No such file or directory"},
        {" ", "the worker's command is empty"},
        {WORKER_STAND_IN " fail=1", "told?to fail"},
        {WORKER_STAND_IN "  fail=2", "told?to fail"},
        {WORKER_STAND_IN " crash", "no worker was ready: it was killed by signal 9 (Killed)"},
        {"/bin/true", "no worker was ready: it ended with exit code 0"},
        {"/bin/false", "no worker was ready: it ended with exit code 1"},
        {WORKER_STAND_IN " early", "no worker was ready: a packet of type 3 is out of turn"},
        {WORKER_STAND_IN " version=2", "no worker was ready: "},
        {WORKER_STAND_IN " outside", "no worker was ready: "},
        {WORKER_STAND_IN " no_welcome", "no worker was ready: it was not ready within 300 ms"},
        {WORKER_STAND_IN " no_ready", "no worker was ready: it was not ready within 300 ms"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct backend_options options = stand_in_options(cases[i].command);
        options.worker.count = 2;
        if (strstr(cases[i].says, "300 ms") != NULL) {
            options.worker.start_timeout_ns = 300 * CLOCK_NS_PER_MS;
        }
        struct backend_model *model = NULL;
        struct error error = {.text = ""};
        assert_int_equal(backend_worker.open(&options, &model, &error), ERR_CONFIG);
        assert_starts_with(error.text, cases[i].says);
        assert_null(model);
    }
    assert_int_equal(told_count(": last words") >= 1, 1);
}

static void works_with_nobody_watching(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    options.observer = NULL;
    struct backend_model *model = open_stand_in(&options);
    struct error error;
    assert_int_equal(run_stand_in(model, STAND_IN_CHATTER, &error), ERR_OK);
    assert_int_equal(run_stand_in(model, STAND_IN_KILL, &error), ERR_INTERNAL);
    assert_int_equal(run_stand_in(model, 1, &error), ERR_OK);
    backend_worker.close(model);
}

/* Each allocation of open and of a run fails once; nothing is left and the next one works. */
static void survives_every_lack_of_memory(void **state)
{
    (void)state;
    struct backend_options options = stand_in_options(WORKER_STAND_IN);
    struct backend_model *model = NULL;
    for (uint64_t nth = 1; model == NULL; nth++) {
        struct error error;
        mem_fail_nth(nth);
        int status = backend_worker.open(&options, &model, &error);
        mem_fail_nth(0);
        assert_true(status == ERR_OK || status == ERR_NO_MEMORY || status == ERR_CONFIG);
        assert_true((model != NULL) == (status == ERR_OK));
        assert_true(nth < 200);
    }
    struct error error;
    assert_int_equal(run_stand_in(model, 1, &error), ERR_OK);
    backend_worker.close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIDY(answers),
        TIDY(carries_any_size),
        TIDY(a_burst_leaves_no_memory_behind),
        TIDY(tells_whose_fault_it_is),
        TIDY(a_death_fails_its_run_alone),
        TIDY(a_breach_ends_the_worker),
        TIDY(a_run_past_its_time_is_killed),
        TIDY(an_idle_death_costs_no_run),
        TIDY(a_run_that_was_not_heard_goes_to_another),
        TIDY(the_wait_for_a_worker_is_of_the_runs_time),
        TIDY(a_wait_leaves_the_run_its_time),
        TIDY(a_run_does_not_begin_anew_too_late),
        TIDY(many_run_side_by_side),
        TIDY(its_lines_reach_the_log),
        TIDY(tells_why_it_cannot_be_opened),
        TIDY(works_with_nobody_watching),
        TIDY(survives_every_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
