/* Which waiting jobs share a run, when it starts, and who is taken out before. */
#include "sched/policy.h"
#include "unit_tests/sched_testing.h"

#define JOBS_MAX 4
#define MAX_ROWS 4

static struct batch_target target_of(bool batchable)
{
    return (struct batch_target){.input_count = 1, .batchable = batchable, .max_rows = MAX_ROWS};
}

/* Shapes without rows and columns (0 columns) end the list. Returns how many there are. */
static size_t fill(struct job_queue *queue, struct request *requests, const int64_t shapes[][2])
{
    size_t count = 0;
    queue_init(queue);
    while (count < JOBS_MAX && shapes[count][1] > 0) {
        request_init(&requests[count], shapes[count][0], shapes[count][1], 1);
        queue_push(queue, &requests[count].job);
        count++;
    }
    return count;
}

static void end(struct request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        request_end(&requests[i], false);
    }
    buffer_recycler_done();
}

/* The positions of the jobs in a list, as a text: "02". */
static const char *places(const struct request *requests, const struct job *jobs)
{
    static char text[JOBS_MAX + 1];
    size_t length = 0;
    for (; jobs != NULL; jobs = jobs->next) {
        assert_true(length < JOBS_MAX);
        text[length++] = (char)('0' + ((const struct request *)(const void *)jobs - requests));
    }
    text[length] = '\0';
    return text;
}

static void assert_sums(const struct job_queue *queue, struct job *const *last_link)
{
    size_t jobs = 0;
    int64_t rows = 0;
    struct job *const *link = &queue->first;
    for (; *link != NULL; link = &(*link)->next) {
        jobs++;
        rows += (*link)->rows;
    }
    assert_int_equal(queue->jobs, jobs);
    assert_int_equal(queue->rows, rows);
    assert_ptr_equal(last_link, link);
}

/* rows x columns of each waiting job, and which of them the first batch takes and leaves. */
static void takes_what_fits(void **state)
{
    (void)state;
    static const struct {
        int64_t shapes[JOBS_MAX][2];
        bool batchable;
        int64_t max_rows;
        const char *taken;
        const char *left;
    } cases[] = {
        {{{1, 3}}, true, 4, "0", ""},
        {{{1, 3}, {1, 3}, {1, 3}, {1, 3}}, true, 4, "0123", ""},
        {{{1, 3}, {1, 3}, {1, 3}, {1, 3}}, true, 3, "012", "3"},
        {{{1, 3}, {1, 3}, {1, 3}, {1, 3}}, true, 1, "0", "123"},
        {{{1, 3}, {1, 3}, {1, 3}, {1, 3}}, false, 4, "0", "123"},
        {{{2, 3}, {3, 3}, {2, 3}, {1, 3}}, true, 4, "02", "13"}, /* the 3 in between waits */
        {{{9, 3}, {1, 3}, {1, 3}, {1, 3}}, true, 4, "0", "123"}, /* larger than all: alone */
        {{{1, 3}, {9, 3}, {1, 3}, {1, 3}}, true, 4, "023", "1"},
        {{{1, 3}, {1, 4}, {1, 3}, {1, 4}}, true, 4, "02", "13"}, /* another shape waits */
        {{{0, 3}, {1, 3}, {1, 3}, {1, 3}}, true, 4, "0", "123"}, /* no rows: alone */
        {{{1, 3}, {0, 3}, {1, 3}, {1, 3}}, true, 4, "023", "1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct batch_target target = target_of(cases[i].batchable);
        struct request requests[JOBS_MAX];
        struct job_queue queue;
        size_t count = fill(&queue, requests, cases[i].shapes);
        struct job *taken = policy_take(&target, cases[i].max_rows, &queue);
        assert_string_equal(places(requests, taken), cases[i].taken);
        assert_string_equal(places(requests, queue.first), cases[i].left);
        assert_sums(&queue, queue.end);
        end(requests, count);
    }
}

/* When a batch starts, for a delay of 100 after its first job came at 1000. */
static void waits_only_for_what_can_still_come(void **state)
{
    (void)state;
    static const struct {
        int64_t shapes[JOBS_MAX][2];
        bool batchable;
        uint64_t delay_ns;
        uint64_t due_ns;
    } cases[] = {
        {{{1, 3}}, true, 0, 0},
        {{{1, 3}, {1, 3}}, true, 0, 0},
        {{{1, 3}}, true, 100, 1100},
        {{{1, 3}}, false, 100, 0},                           /* nobody can join it */
        {{{0, 3}}, true, 100, 0},                            /* likewise */
        {{{1, 3}, {2, 3}}, true, 100, 1100},                 /* one row is free */
        {{{2, 3}, {2, 3}}, true, 100, 0},                    /* complete */
        {{{2, 3}, {3, 3}}, true, 100, 1100},                 /* the second does not fit */
        {{{2, 3}, {3, 3}, {2, 3}}, true, 100, 0},            /* the third does */
        {{{4, 3}}, true, 100, 0},                            /* complete by itself */
        {{{5, 3}}, true, 100, 0},                            /* more than that */
        {{{3, 3}, {1, 4}, {1, 4}, {1, 4}}, true, 100, 1100}, /* others have another shape */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct batch_target target = target_of(cases[i].batchable);
        struct request requests[JOBS_MAX];
        struct job_queue queue;
        size_t count = fill(&queue, requests, cases[i].shapes);
        for (size_t j = 0; j < count; j++) {
            requests[j].job.submitted_ns = 1000 + j;
        }
        assert_int_equal(policy_due_ns(&target, MAX_ROWS, cases[i].delay_ns, &queue),
                         cases[i].due_ns);
        assert_sums(&queue, queue.end);
        end(requests, count);
    }
}

/* One letter a job: c cancelled, e expired, b both, d due later, n no deadline. */
static void takes_out_the_dead(void **state)
{
    (void)state;
    static const struct {
        const char *jobs;
        const char *dead;
        const char *left;
    } cases[] = {
        {"nnnn", "", "0123"}, {"cccc", "0123", ""}, {"cnen", "02", "13"}, {"dnde", "3", "012"},
        {"bddb", "03", "12"}, {"e", "0", ""},       {"d", "", "0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static const int64_t shapes[JOBS_MAX][2] = {{1, 3}, {2, 3}, {3, 3}, {4, 3}};
        struct request requests[JOBS_MAX];
        struct job_queue queue;
        size_t all = fill(&queue, requests, shapes);
        queue_init(&queue);
        size_t count = strlen(cases[i].jobs);
        for (size_t j = 0; j < count; j++) {
            char kind = cases[i].jobs[j];
            struct job *job = &requests[j].job;
            atomic_store(&job->cancelled, kind == 'c' || kind == 'b');
            job->deadline_ns = kind == 'e' || kind == 'b' ? 500 : kind == 'd' ? 501 : 0;
            queue_push(&queue, job);
        }
        struct job *dead = queue_take_dead(&queue, 500);
        assert_string_equal(places(requests, dead), cases[i].dead);
        assert_string_equal(places(requests, queue.first), cases[i].left);
        assert_sums(&queue, queue.end);
        for (; dead != NULL; dead = dead->next) {
            assert_int_equal(dead->status, ERR_TIMEOUT);
            assert_int_equal(dead->fate,
                             atomic_load(&dead->cancelled) ? JOB_CANCELLED : JOB_EXPIRED);
        }
        end(requests, all);
    }
}

static void a_stopped_queue_gives_all_back(void **state)
{
    (void)state;
    static const int64_t shapes[JOBS_MAX][2] = {{1, 3}, {2, 3}, {3, 3}, {4, 3}};
    struct request requests[JOBS_MAX];
    struct job_queue queue;
    size_t count = fill(&queue, requests, shapes);
    struct job *stopped = queue_take_stopped(&queue);
    assert_string_equal(places(requests, stopped), "0123");
    assert_int_equal(requests[3].job.status, ERR_UNAVAILABLE);
    assert_int_equal(requests[3].job.fate, JOB_STOPPED);
    assert_sums(&queue, queue.end);
    assert_true(queue_is_empty(&queue));
    end(requests, count);
}

/*
 * The last batch, finished at 5000, the newest job, and how many should be there before the next one
 * starts, at the latest when. A run takes 800 ns at least.
 */
static void expects_the_last_ones_back(void **state)
{
    (void)state;
    static const struct {
        bool batchable;
        size_t recent_jobs, waiting;
        uint64_t newest_ns;
        size_t jobs;
        uint64_t until_ns;
    } cases[] = {
        {true, 0, 0, 0, 0, 0},         {true, 1, 0, 4000, 0, 0},       {true, 0, 9, 4000, 0, 0},
        {false, 64, 0, 4000, 0, 0},    {true, 2, 0, 4000, 2, 5100},    {true, 8, 0, 4000, 7, 5100},
        {true, 64, 0, 5000, 56, 5100}, {true, 64, 0, 5050, 56, 5150}, /* a wave goes on */
        {true, 64, 0, 5699, 56, 5799}, {true, 64, 0, 5750, 56, 5800}, /* but not for ever */
        {true, 1, 1, 4900, 2, 5100},   {true, 32, 32, 4999, 60, 5100},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct batch_target target = target_of(cases[i].batchable);
        struct policy_recent recent = {.jobs = cases[i].recent_jobs,
                                       .waiting = cases[i].waiting,
                                       .finished_ns = 5000,
                                       .submitted_ns = cases[i].newest_ns};
        struct run_line line = {.fixed_ns = 800, .row_ns = 20};
        uint64_t until_ns = 1;
        assert_int_equal(policy_company(&target, &recent, line, &until_ns), cases[i].jobs);
        assert_int_equal(until_ns, cases[i].until_ns);
    }
}

/* A run takes 300 ns and 20 more for each row; four rows are a full batch. */
static void predicts_when_a_job_would_be_done(void **state)
{
    (void)state;
    static const struct {
        bool batchable;
        struct policy_load load;
        int64_t rows;
        uint64_t wait_ns;
    } cases[] = {
        {true, {.instances = 1}, 1, 320},
        {true, {.instances = 4}, 1, 320}, /* one job does not run in parts */
        {true, {.jobs = 3, .rows = 3, .instances = 1}, 1, 380},
        {true, {.jobs = 4, .rows = 4, .instances = 1}, 1, 700},
        {false, {.jobs = 3, .rows = 3, .instances = 1}, 1, 1280},
        {false, {.jobs = 3, .rows = 3, .instances = 2}, 1, 640},
        {true, {.busy = 1, .busy_rows = 4, .instances = 1}, 1, 510},
        {true, {.busy = 2, .busy_rows = 8, .instances = 2}, 1, 350},
        {true, {.instances = 1}, 100, 300 * 25 + 2000}, /* larger than a batch: pessimistic */
    };
    struct run_line line = {.fixed_ns = 300, .row_ns = 20};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct batch_target target = target_of(cases[i].batchable);
        assert_int_equal(policy_wait_ns(&target, &cases[i].load, cases[i].rows, line),
                         cases[i].wait_ns);
        struct run_line unknown = {0};
        assert_int_equal(policy_wait_ns(&target, &cases[i].load, cases[i].rows, unknown), 0);
    }
}

static void refuses_what_leaves_no_time_to_spare(void **state)
{
    (void)state;
    static const struct {
        uint64_t wait_ns, now_ns, deadline_ns;
        bool late;
    } cases[] = {
        {1000000, 5000, 0, false}, {75, 5000, 5100, false}, {76, 5000, 5100, true},
        {0, 5000, 5000, false},    {1, 5000, 5000, true},   {1, 5000, 4000, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(policy_is_late(cases[i].wait_ns, cases[i].now_ns, cases[i].deadline_ns),
                         cases[i].late);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expects_the_last_ones_back),
        cmocka_unit_test(predicts_when_a_job_would_be_done),
        cmocka_unit_test(refuses_what_leaves_no_time_to_spare),
        cmocka_unit_test(takes_what_fits),
        cmocka_unit_test(waits_only_for_what_can_still_come),
        cmocka_unit_test(takes_out_the_dead),
        cmocka_unit_test(a_stopped_queue_gives_all_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
