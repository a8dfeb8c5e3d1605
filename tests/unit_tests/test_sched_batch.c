/* Batching: who shares a run, whose rows come back, and who is harmed by a failing neighbour. */
#include <string.h>

#include "base/mem.h"
#include "sched/batch.h"
#include "sched/execution.h"
#include "unit_tests/testing.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* As the backends below have it pass. */
static uint64_t now_ns;

static uint64_t told_clock(void)
{
    return now_ns;
}

/* A backend that doubles every number, fails on a negative one and can answer a row too many. */
struct double_model {
    unsigned runs;
    int64_t extra_rows;
    bool as_sequence;
    enum error_code shared_failure;  /* of runs of more than one row, at once; ERR_OK: they hang */
    uint64_t run_ns;                 /* that one takes */
    struct backend_limits limits[4]; /* of runs that had some, by their number */
};

static int double_tensor(const struct tensor *input, int64_t rows, struct value *ret_value)
{
    int64_t dims[2] = {rows, input->dims[1]};
    struct tensor output;
    int status = tensor_new(DTYPE_F32, 2, dims, &output, NULL);
    if (status == ERR_OK) {
        const float *from = input->at;
        float *to = output.at;
        for (int64_t i = 0; i < rows * dims[1]; i++) {
            to[i] = i < tensor_elements(input) ? 2 * from[i] : 0;
        }
        *ret_value = (struct value){.kind = VALUE_TENSOR, .tensor = output};
    }
    return status;
}

/* One item a row, each the row's own tensor. */
static int double_rows(const struct tensor *input, struct arena *arena, struct value *ret_value)
{
    int64_t rows = input->dims[0];
    struct value *items = arena_zalloc(arena, (size_t)rows, sizeof(items[0]));
    for (int64_t i = 0; i < rows; i++) {
        struct tensor row = tensor_row_view(input, i, 1);
        int status = double_tensor(&row, 1, &items[i]);
        tensor_done(&row);
        if (status != ERR_OK) {
            return status;
        }
    }
    *ret_value = (struct value){.kind = VALUE_SEQUENCE, .items = items, .item_count = (size_t)rows};
    return ERR_OK;
}

static int double_run(struct backend_model *model, const struct tensor *inputs,
                      const size_t *wanted, size_t wanted_count, struct arena *arena,
                      struct value *values, struct error *error)
{
    (void)wanted;
    struct double_model *state = (struct double_model *)(void *)model;
    assert_int_equal(wanted_count, 1);
    state->runs++;
    for (int64_t i = 0; i < tensor_elements(inputs); i++) {
        if (((const float *)inputs->at)[i] < 0) {
            return error_set(error, ERR_INVALID, "a negative number");
        }
    }
    if (state->as_sequence) {
        return double_rows(inputs, arena, values);
    }
    return double_tensor(inputs, inputs->dims[0] + state->extra_rows, values);
}

static const struct backend double_backend = {.name = "double", .run = double_run};
static const size_t first_output[] = {0};

static struct batch_target target_of(struct double_model *model)
{
    return (struct batch_target){.backend = &double_backend,
                                 .model = (struct backend_model *)(void *)model,
                                 .input_count = 1,
                                 .wanted = first_output,
                                 .wanted_count = 1,
                                 .batchable = true,
                                 .max_rows = 4};
}

struct request {
    struct job job;
    struct tensor input;
    struct value value;
    struct arena arena;
};

static void make_request(struct request *request, int64_t rows, int64_t columns, float first)
{
    int64_t dims[2] = {rows, columns};
    memset(request, 0, sizeof(*request));
    assert_int_equal(tensor_new(DTYPE_F32, 2, dims, &request->input, NULL), ERR_OK);
    for (int64_t i = 0; i < rows * columns; i++) {
        ((float *)request->input.at)[i] = first + (float)i;
    }
    arena_init(&request->arena, 1024, 1 << 20);
    request->job.inputs = &request->input;
    request->job.rows = rows;
    request->job.arena = &request->arena;
    request->job.values = &request->value;
}

static void end_request(struct request *request)
{
    if (request->job.status == ERR_OK) {
        value_done(&request->value);
    }
    tensor_done(&request->input);
    arena_done(&request->arena);
}

static struct job *chain(struct request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        requests[i].job.next = i + 1 < count ? &requests[i + 1].job : NULL;
    }
    return &requests[0].job;
}

/* Ends what the run needed for itself: the answers must not need it. */
static struct batch_report run_batch(const struct batch_target *target, struct request *requests,
                                     size_t count)
{
    struct arena scratch;
    struct batch_report report;
    arena_init(&scratch, 1024, 1 << 20);
    now_ns = 1000000;
    batch_run(target, chain(requests, count), told_clock, &scratch, &report);
    arena_done(&scratch);
    return report;
}

static void end_requests(struct request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        end_request(&requests[i]);
    }
}

static void assert_doubled(const struct tensor *answer, const struct tensor *input)
{
    assert_int_equal(answer->dims[0], input->dims[0]);
    for (int64_t i = 0; i < tensor_elements(input); i++) {
        assert_true(((const float *)answer->at)[i] == 2 * ((const float *)input->at)[i]);
    }
}

static void gives_each_its_own_rows(void **state)
{
    (void)state;
    for (int as_sequence = 0; as_sequence < 2; as_sequence++) {
        struct double_model model = {.as_sequence = as_sequence};
        struct batch_target target = target_of(&model);
        struct request requests[3];
        make_request(&requests[0], 1, 2, 10);
        make_request(&requests[1], 2, 2, 20);
        make_request(&requests[2], 1, 2, 30);
        struct batch_report report = run_batch(&target, requests, 3);
        assert_int_equal(report.runs, 1);
        assert_int_equal(report.jobs, 3);
        assert_int_equal(report.rows, 4);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(requests[i].job.status, ERR_OK);
            assert_int_equal(requests[i].job.shared_by, 3);
            assert_int_equal(value_rows(&requests[i].value), requests[i].job.rows);
            if (!as_sequence) {
                assert_doubled(&requests[i].value.tensor, &requests[i].input);
            } else {
                struct tensor row = tensor_row_view(&requests[i].input, 0, 1);
                assert_doubled(&requests[i].value.items[0].tensor, &row);
                tensor_done(&row);
            }
            end_request(&requests[i]);
        }
    }
}

static void only_the_guilty_fails(void **state)
{
    (void)state;
    struct double_model model = {0};
    struct batch_target target = target_of(&model);
    struct request requests[3];
    make_request(&requests[0], 1, 2, 1);
    make_request(&requests[1], 1, 2, -5);
    make_request(&requests[2], 1, 2, 3);
    struct batch_report report = run_batch(&target, requests, 3);
    assert_int_equal(report.runs, 4); /* one together, then each alone */
    assert_int_equal(requests[0].job.status, ERR_OK);
    assert_int_equal(requests[1].job.status, ERR_INVALID);
    assert_string_equal(requests[1].job.error.text, "a negative number");
    assert_int_equal(requests[2].job.status, ERR_OK);
    assert_doubled(&requests[2].value.tensor, &requests[2].input);
    end_requests(requests, 3);
}

/* What hangs takes all the time it has. */
static int hang(const struct backend_limits *limits, struct error *error)
{
    now_ns += limits->run_ns < limits->whole_ns ? limits->run_ns : limits->whole_ns;
    return error_set(error, ERR_TIMEOUT, "too long");
}

/* A run of more than one row fails, or hangs like one of a negative number. */
static int hanging_run_within(struct backend_model *model, const struct tensor *inputs,
                              const size_t *wanted, size_t wanted_count,
                              const struct backend_limits *limits, struct arena *arena,
                              struct value *values, struct error *error)
{
    struct double_model *state = (struct double_model *)(void *)model;
    state->limits[state->runs % COUNT_OF(state->limits)] = *limits;
    assert_in_range(limits->least_ns, 1, limits->whole_ns);
    if (tensor_rows(inputs) > 1 && state->shared_failure != ERR_OK) {
        state->runs++;
        return error_set(error, state->shared_failure, "a failure");
    }
    if (tensor_rows(inputs) > 1 || ((const float *)inputs->at)[0] < 0) {
        state->runs++;
        return hang(limits, error);
    }
    now_ns += state->run_ns;
    return double_run(model, inputs, wanted, wanted_count, arena, values, error);
}

static const struct backend hanging_backend = {
    .name = "hanging", .run = double_run, .run_within = hanging_run_within};

static void one_that_hangs_costs_its_company_little(void **state)
{
    (void)state;
    struct double_model model = {0};
    struct batch_target target = target_of(&model);
    target.backend = &hanging_backend;
    target.run_timeout_ns = 80;
    struct request requests[3];
    make_request(&requests[0], 1, 2, -5);
    make_request(&requests[1], 1, 2, 1);
    make_request(&requests[2], 1, 2, 3);
    struct batch_report report = run_batch(&target, requests, 3);
    assert_int_equal(report.runs, 4);
    assert_int_equal(requests[0].job.status, ERR_TIMEOUT);
    assert_int_equal(requests[1].job.status, ERR_OK);
    assert_int_equal(requests[2].job.status, ERR_OK);
    static const uint64_t whole_ns[] = {80, 70, 30, 30}; /* what the runs before have left */
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(model.limits[i].run_ns, i == 0 ? 10 : 40); /* an eighth, then a half */
        assert_int_equal(model.limits[i].whole_ns, whole_ns[i]);
        assert_int_equal(model.limits[i].least_ns, 20);
    }
    end_requests(requests, 3);
}

/* Runs that are known to take long get four times as long, never more than the whole. */
static void a_slow_model_is_given_its_time(void **state)
{
    (void)state;
    static const struct {
        uint64_t row_ns, limit_ns, least_ns;
    } cases[] = {
        {1, 1000, 2000},   {100, 1200, 2000},  {600, 7200, 2400},
        {900, 8000, 3600}, {2000, 8000, 7000},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct double_model model = {.shared_failure = ERR_INTERNAL};
        struct execution execution;
        execution_init(&execution, EXECUTION_POOLED, 0);
        execution_seed(&execution, 1, cases[i].row_ns);
        struct batch_target target = target_of(&model);
        target.backend = &hanging_backend;
        target.execution = &execution;
        target.run_timeout_ns = 8000;
        struct request requests[3];
        for (size_t j = 0; j < 3; j++) {
            make_request(&requests[j], 1, 2, 1);
        }
        (void)run_batch(&target, requests, 3);
        assert_int_equal(model.limits[0].run_ns, cases[i].limit_ns);
        assert_int_equal(model.limits[0].whole_ns, 8000);
        assert_int_equal(model.limits[0].least_ns, cases[i].least_ns);
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(requests[j].job.status, ERR_OK);
            end_request(&requests[j]);
        }
    }
}

/* A job that nobody shares with may take all the time there is. */
static void one_alone_is_not_hurried(void **state)
{
    (void)state;
    struct double_model model = {0};
    struct batch_target target = target_of(&model);
    target.backend = &hanging_backend;
    target.run_timeout_ns = 80;
    struct request request;
    make_request(&request, 1, 2, 1);
    (void)run_batch(&target, &request, 1);
    assert_int_equal(request.job.status, ERR_OK);
    assert_int_equal(model.limits[0].run_ns, 0);
    assert_int_equal(model.limits[0].whole_ns, 80);
    end_request(&request);
}

/* Three jobs whose shared run fails at once and that take `run_ns` each when they run alone. */
static struct batch_report run_apart(struct double_model *model, struct request *requests)
{
    struct execution execution;
    execution_init(&execution, EXECUTION_POOLED, 0);
    execution_seed(&execution, 1, model->run_ns);
    struct batch_target target = target_of(model);
    target.backend = &hanging_backend;
    target.execution = &execution;
    target.run_timeout_ns = 8000;
    return run_batch(&target, requests, 3);
}

static void make_requests(struct request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        make_request(&requests[i], 1, 2, 1);
    }
}

/* The limit is that of the batch: who would be late does not begin, since the worker would pay for it. */
static void all_of_a_batch_share_its_time(void **state)
{
    (void)state;
    struct double_model model = {.shared_failure = ERR_INTERNAL, .run_ns = 2500};
    struct request requests[3];
    make_requests(requests, 3);
    struct batch_report report = run_apart(&model, requests);
    assert_int_equal(report.runs, 3);
    assert_int_equal(model.limits[1].run_ns, 4000);
    assert_int_equal(model.limits[1].whole_ns, 8000);
    assert_int_equal(model.limits[2].whole_ns, 5500);
    assert_int_equal(requests[1].job.status, ERR_OK);
    assert_int_equal(requests[1].job.fate, JOB_RAN);
    assert_int_equal(requests[2].job.status, ERR_TIMEOUT);
    assert_int_equal(requests[2].job.fate, JOB_EXPIRED);
    end_requests(requests, 3);
}

/* Half of the time would end every run of a model that is known to need more. */
static void one_alone_gets_what_it_is_known_to_need(void **state)
{
    (void)state;
    struct double_model model = {.shared_failure = ERR_INTERNAL, .run_ns = 4500};
    struct request requests[3];
    make_requests(requests, 3);
    (void)run_apart(&model, requests);
    assert_int_equal(model.limits[1].run_ns, 6000);
    assert_int_equal(requests[0].job.status, ERR_OK);
    assert_int_equal(requests[1].job.status, ERR_TIMEOUT);
    end_requests(requests, 3);
}

static void the_dead_of_a_batch_do_not_run_alone(void **state)
{
    (void)state;
    struct double_model model = {.shared_failure = ERR_INTERNAL, .run_ns = 100};
    struct request requests[3];
    make_requests(requests, 3);
    requests[0].job.deadline_ns = 1000000; /* now */
    requests[1].job.deadline_ns = 1000001;
    atomic_store(&requests[2].job.cancelled, true);
    struct batch_report report = run_apart(&model, requests);
    assert_int_equal(report.runs, 2);
    assert_int_equal(requests[0].job.fate, JOB_EXPIRED);
    assert_int_equal(requests[1].job.status, ERR_OK);
    assert_int_equal(requests[2].job.fate, JOB_CANCELLED);
    end_requests(requests, 3);
}

/* Nothing has run that could be at fault, and there is nothing to run the jobs alone. */
static void without_a_worker_all_fail_at_once(void **state)
{
    (void)state;
    struct double_model model = {.shared_failure = ERR_UNAVAILABLE};
    struct request requests[3];
    make_requests(requests, 3);
    struct batch_report report = run_apart(&model, requests);
    assert_int_equal(report.runs, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(requests[i].job.status, ERR_UNAVAILABLE);
        assert_string_equal(requests[i].job.error.text, "a failure");
    }
    end_requests(requests, 3);
}

static void a_wrong_row_count_is_not_shared(void **state)
{
    (void)state;
    struct double_model model = {.extra_rows = 1};
    struct batch_target target = target_of(&model);
    struct request requests[2];
    make_request(&requests[0], 1, 2, 1);
    make_request(&requests[1], 1, 2, 5);
    struct batch_report report = run_batch(&target, requests, 2);
    assert_int_equal(report.runs, 3);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(requests[i].job.status, ERR_OK);
        assert_int_equal(requests[i].job.shared_by, 1);
        assert_int_equal(requests[i].value.tensor.dims[0], 2); /* its own answer, whole */
        end_request(&requests[i]);
    }
}

/* Without memory at any point: no leak, no crash, and each job either answered or failed. */
static void survives_every_failed_allocation(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct double_model model = {.as_sequence = nth % 2 == 0};
        struct batch_target target = target_of(&model);
        struct request requests[2];
        make_request(&requests[0], 1, 700, 1);
        make_request(&requests[1], 2, 700, 5);
        struct arena scratch;
        arena_init(&scratch, 1024, 1 << 20);
        struct batch_report report;
        uint64_t before = mem_allocations();
        mem_fail_nth(nth);
        batch_run(&target, chain(requests, 2), told_clock, &scratch, &report);
        mem_fail_nth(0);
        bool reached = mem_allocations() - before >= nth;
        for (size_t i = 0; i < 2; i++) {
            assert_true(requests[i].job.status == ERR_OK ||
                        requests[i].job.status == ERR_NO_MEMORY);
            end_request(&requests[i]);
        }
        arena_done(&scratch);
        buffer_recycler_done();
        if (!reached) {
            break;
        }
    }
}

/* The first traced job has the run's span, and all traced ones know it; who ran alone knows none. */
static void traced_jobs_know_the_run_they_shared(void **state)
{
    (void)state;
    struct job_trace traces[3] = {{.trace_id = {{1}}, .run_id = {{11}}},
                                  {.trace_id = {{2}}, .run_id = {{12}}},
                                  {.trace_id = {{3}}, .run_id = {{13}}}};
    struct job jobs[4] = {{.shared_by = 3},
                          {.shared_by = 3, .trace = &traces[0]},
                          {.shared_by = 3, .trace = &traces[1]},
                          {.shared_by = 1, .trace = &traces[2]}};
    const struct batch_report shared = {.runs = 1, .jobs = 3, .rows = 7};
    const struct batch_report alone = {.runs = 1, .jobs = 1, .rows = 1};
    jobs[0].next = &jobs[1];
    jobs[1].next = &jobs[2];
    batch_finish(jobs, &shared, 10, 20);
    batch_finish(&jobs[3], &alone, 10, 20);
    for (size_t i = 0; i < 2; i++) {
        assert_true(traces[i].was_shared);
        assert_int_equal(traces[i].leads_run, i == 0);
        assert_memory_equal(&traces[i].shared_trace_id, &traces[0].trace_id, TRACE_ID_BYTES);
        assert_memory_equal(&traces[i].shared_run_id, &traces[0].run_id, SPAN_ID_BYTES);
        assert_int_equal(traces[i].shared_rows, 7);
    }
    assert_false(traces[2].was_shared);
    assert_false(traces[2].leads_run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_each_its_own_rows),
        cmocka_unit_test(only_the_guilty_fails),
        cmocka_unit_test(one_that_hangs_costs_its_company_little),
        cmocka_unit_test(a_slow_model_is_given_its_time),
        cmocka_unit_test(one_alone_is_not_hurried),
        cmocka_unit_test(all_of_a_batch_share_its_time),
        cmocka_unit_test(one_alone_gets_what_it_is_known_to_need),
        cmocka_unit_test(the_dead_of_a_batch_do_not_run_alone),
        cmocka_unit_test(without_a_worker_all_fail_at_once),
        cmocka_unit_test(a_wrong_row_count_is_not_shared),
        cmocka_unit_test(survives_every_failed_allocation),
        cmocka_unit_test(traced_jobs_know_the_run_they_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
