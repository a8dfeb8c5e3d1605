/* The inline queue: order, sharing, and jobs that are dropped before they run. */
#include <string.h>

#include "obs/metrics_text.h"
#include "sched/inline.h"
#include "unit_tests/testing.h"

static uint64_t fake_now_ns;
static unsigned backend_runs;
static bool shared_runs_fail;

static uint64_t fake_clock(void)
{
    return fake_now_ns;
}

/* Takes 1000 ns and answers with its input, or with a failure. */
static int echo_run(struct backend_model *model, const struct tensor *inputs, const size_t *wanted,
                    size_t wanted_count, struct arena *arena, struct value *values,
                    struct error *error)
{
    (void)model, (void)wanted, (void)wanted_count, (void)arena;
    backend_runs++;
    fake_now_ns += 1000;
    if (shared_runs_fail && inputs->dims[0] > 1) {
        return error_set(error, ERR_INVALID, "a failure");
    }
    values[0] =
        (struct value){.kind = VALUE_TENSOR, .tensor = tensor_row_view(inputs, 0, inputs->dims[0])};
    return ERR_OK;
}

static const struct backend echo = {.name = "echo", .run = echo_run};
static const size_t first_output[] = {0};
static const struct batch_target target = {.backend = &echo,
                                           .input_count = 1,
                                           .wanted = first_output,
                                           .wanted_count = 1,
                                           .batchable = true,
                                           .max_rows = 64};

static unsigned queue_wishes; /* how often the queue has asked for a turn */

static void on_job(struct inline_queue *queue)
{
    assert_false(inline_queue_is_empty(queue));
    queue_wishes++;
}

struct request {
    struct job job;
    struct tensor input;
    struct value value;
    struct arena arena;
    unsigned done;
};

static void on_done(struct job *job)
{
    struct request *request = (struct request *)(void *)job;
    request->done++;
}

static void make_request(struct request *request, uint64_t deadline_ns)
{
    int64_t dims[2] = {1, 3};
    memset(request, 0, sizeof(*request));
    assert_int_equal(tensor_new(DTYPE_I64, 2, dims, &request->input, NULL), ERR_OK);
    memset(request->input.at, 1, tensor_bytes(&request->input));
    arena_init(&request->arena, 1024, 1 << 20);
    request->job.inputs = &request->input;
    request->job.rows = 1;
    request->job.deadline_ns = deadline_ns;
    request->job.submitted_ns = fake_now_ns;
    request->job.arena = &request->arena;
    request->job.values = &request->value;
    request->job.done = on_done;
}

static void submit(struct inline_queue *queue, struct request *request, uint64_t deadline_ns)
{
    make_request(request, deadline_ns);
    inline_queue_submit(queue, &request->job);
}

static void end_request(struct request *request)
{
    if (request->job.status == ERR_OK) {
        value_done(&request->value);
    }
    tensor_done(&request->input);
    arena_done(&request->arena);
}

struct fixture {
    struct metrics *metrics;
    struct inline_queue queue;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fake_now_ns = 5000;
    backend_runs = 0;
    shared_runs_fail = false;
    fixture.metrics = metrics_new("test");
    assert_non_null(fixture.metrics);
    struct metrics_shard *shard = metrics_add_shard(fixture.metrics);
    assert_non_null(shard);
    assert_int_equal(metrics_use_model(fixture.metrics, SLICE("m")), 0);
    queue_wishes = 0;
    inline_queue_init(&fixture.queue, shard, fake_clock, on_job);
    inline_queue_set_target(&fixture.queue, &target);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    inline_queue_done(&fixture->queue);
    metrics_free(fixture->metrics);
    buffer_recycler_done();
    return 0;
}

static void assert_metric(const struct fixture *fixture, const char *line)
{
    struct bytes text;
    bytes_init(&text, 1 << 20);
    assert_int_equal(metrics_write(fixture->metrics, &(struct metrics_view){0}, &text), ERR_OK);
    assert_int_equal(bytes_put_byte(&text, '\0'), ERR_OK);
    if (strstr(text.ptr, line) == NULL) {
        fail_msg("%s is not in the metrics:\n%s", line, text.ptr);
    }
    bytes_done(&text);
}

static void a_turn_is_one_run(void **state)
{
    struct fixture *fixture = *state;
    struct request requests[5];
    for (size_t i = 0; i < 5; i++) {
        submit(&fixture->queue, &requests[i], 0);
    }
    assert_int_equal(queue_wishes, 1);
    inline_queue_run(&fixture->queue, fake_now_ns);
    assert_true(inline_queue_is_empty(&fixture->queue));
    assert_int_equal(backend_runs, 1);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(requests[i].done, 1);
        assert_int_equal(requests[i].job.status, ERR_OK);
        assert_int_equal(requests[i].job.shared_by, 5);
        assert_int_equal(requests[i].job.finished_ns - requests[i].job.started_ns, 1000);
        end_request(&requests[i]);
    }
    assert_metric(fixture, "\nonnxd_jobs_total{model=\"m\"} 5\n");
    assert_metric(fixture, "\nonnxd_runs_total{model=\"m\"} 1\n");
    assert_metric(fixture, "\nonnxd_run_rows_bucket{model=\"m\",le=\"8.0\"} 1\n");
    assert_metric(fixture, "\nonnxd_run_jobs_bucket{model=\"m\",le=\"4.0\"} 0\n");
    assert_metric(fixture, "\nonnxd_run_jobs_bucket{model=\"m\",le=\"8.0\"} 1\n");
}

static void dead_jobs_never_run(void **state)
{
    struct fixture *fixture = *state;
    struct request requests[3];
    submit(&fixture->queue, &requests[0], fake_now_ns - 1);
    submit(&fixture->queue, &requests[1], 0);
    submit(&fixture->queue, &requests[2], fake_now_ns + 1);
    atomic_store(&requests[1].job.cancelled, true);
    inline_queue_run(&fixture->queue, fake_now_ns);
    assert_int_equal(requests[0].job.status, ERR_TIMEOUT);
    assert_int_equal(requests[1].job.status, ERR_TIMEOUT);
    assert_int_equal(requests[2].job.status, ERR_OK);
    assert_int_equal(backend_runs, 1);
    assert_metric(fixture, "\nonnxd_jobs_total{model=\"m\"} 1\n");
    assert_metric(fixture, "\nonnxd_jobs_dropped_total{model=\"m\",reason=\"expired\"} 1\n");
    assert_metric(fixture, "\nonnxd_jobs_dropped_total{model=\"m\",reason=\"cancelled\"} 1\n");
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(requests[i].done, 1);
        end_request(&requests[i]);
    }
}

static void a_queue_of_dead_jobs_runs_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct request request;
    submit(&fixture->queue, &request, fake_now_ns);
    inline_queue_run(&fixture->queue, fake_now_ns);
    assert_int_equal(request.done, 1);
    assert_int_equal(backend_runs, 0);
    assert_true(inline_queue_is_empty(&fixture->queue));
    end_request(&request);
}

/* The first of a batch, which carries what is to be counted of the runs, has come too late for its own. */
static void runs_are_counted_whatever_became_of_the_first(void **state)
{
    struct fixture *fixture = *state;
    struct request requests[2];
    shared_runs_fail = true;
    submit(&fixture->queue, &requests[0], fake_now_ns + 1);
    submit(&fixture->queue, &requests[1], 0);
    inline_queue_run(&fixture->queue, fake_now_ns);
    assert_int_equal(requests[0].job.status, ERR_TIMEOUT);
    assert_int_equal(requests[1].job.status, ERR_OK);
    assert_int_equal(backend_runs, 2);
    assert_metric(fixture, "\nonnxd_jobs_total{model=\"m\"} 1\n");
    assert_metric(fixture, "\nonnxd_runs_total{model=\"m\"} 2\n");
    assert_metric(fixture, "\nonnxd_jobs_dropped_total{model=\"m\",reason=\"expired\"} 1\n");
    end_request(&requests[0]);
    end_request(&requests[1]);
}

static void a_job_of_an_earlier_model_runs_at_once(void **state)
{
    struct fixture *fixture = *state;
    const struct batch_target earlier = target;
    struct request waiting;
    struct request request;
    submit(&fixture->queue, &waiting, 0);
    make_request(&request, 0);
    inline_queue_run_one(&fixture->queue, &earlier, &request.job);
    assert_int_equal(request.done, 1);
    assert_int_equal(request.job.status, ERR_OK);
    assert_int_equal(waiting.done, 0);
    inline_queue_run(&fixture->queue, fake_now_ns);
    assert_int_equal(waiting.done, 1);
    assert_int_equal(backend_runs, 2);
    end_request(&request);
    end_request(&waiting);
}

static void a_dead_job_of_an_earlier_model_does_not_run(void **state)
{
    struct fixture *fixture = *state;
    struct request request;
    make_request(&request, fake_now_ns);
    inline_queue_run_one(&fixture->queue, &target, &request.job);
    assert_int_equal(request.done, 1);
    assert_int_equal(request.job.status, ERR_TIMEOUT);
    assert_int_equal(backend_runs, 0);
    end_request(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_turn_is_one_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dead_jobs_never_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_queue_of_dead_jobs_runs_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_are_counted_whatever_became_of_the_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_job_of_an_earlier_model_runs_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_job_of_an_earlier_model_does_not_run, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
