/*
 * Gathering, running and scattering. Gathered inputs are copies (rows must be contiguous
 * for the runtime); scattered tensors are views on the run's own output buffers.
 */
#include "sched/batch.h"

#include <string.h>

#include "base/check.h"
#include "sched/execution.h"

/* Of run_timeout_ns, and of the time that is expected, what a shared run may take, */
#define SHARED_TIMEOUT_PART 8
#define SHARED_TIMEOUT_EXPECTED 4.0
/* and of run_timeout_ns what a job alone may take after it, or what is expected and to spare. */
#define ALONE_TIMEOUT_PART 2
/* Of run_timeout_ns, and of the time that is expected, what a wait has to leave for the run. */
#define LEAST_PART 4
#define LEAST_EXPECTED (4.0 / 3)
/* Of run_timeout_ns, what a wait may take however long runs are. */
#define WAIT_PART 8

/* What a run of so many rows is expected to take, times `factor`; 0 while nothing is known. */
static uint64_t expected_ns(const struct batch_target *target, int64_t rows, double factor)
{
    struct run_line line = execution_line(target->execution);
    return (uint64_t)(factor * (line.fixed_ns + line.row_ns * (double)rows));
}

static uint64_t within(uint64_t least, uint64_t value, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/*
 * What must be left of run_timeout_ns for a run that does not begin at once: what it is expected to take
 * with a quarter of that time to spare, as of a job that is to be queued (policy_is_late). A quarter of the
 * whole at least: a worker that was waited for is a fresh one, whose first run is slower than those that were
 * timed. The last eighth is never asked for: else a model whose runs take nearly all the time could wait for
 * nothing.
 */
static uint64_t least_ns(const struct batch_target *target, int64_t rows)
{
    uint64_t whole_ns = target->run_timeout_ns;
    return within(whole_ns / LEAST_PART, expected_ns(target, rows, LEAST_EXPECTED),
                  whole_ns - whole_ns / WAIT_PART);
}

/* run_ns: of the run itself; 0: none but the target's. */
static struct backend_limits limits_of(const struct batch_target *target, int64_t rows,
                                       uint64_t run_ns)
{
    return (struct backend_limits){
        .run_ns = run_ns, .whole_ns = target->run_timeout_ns, .least_ns = least_ns(target, rows)};
}

static int run_for(const struct batch_target *target, const struct tensor *inputs,
                   const struct backend_limits *limits, struct arena *arena, struct value *values,
                   struct error *error)
{
    const struct backend *backend = target->backend;
    if (backend->run_within == NULL) {
        return backend->run(target->model, inputs, target->wanted, target->wanted_count, arena,
                            values, error);
    }
    return backend->run_within(target->model, inputs, target->wanted, target->wanted_count, limits,
                               arena, values, error);
}

int batch_run_inputs(const struct batch_target *target, const struct tensor *inputs,
                     struct arena *arena, struct value *values, struct error *error)
{
    const struct backend_limits limits = limits_of(target, 0, 0);
    return run_for(target, inputs, &limits, arena, values, error);
}

/* 0: none. */
static uint64_t shared_limit_ns(const struct batch_target *target, int64_t rows)
{
    return within(target->run_timeout_ns / SHARED_TIMEOUT_PART,
                  expected_ns(target, rows, SHARED_TIMEOUT_EXPECTED), target->run_timeout_ns);
}

static void run_alone(const struct batch_target *target, struct job *job,
                      const struct backend_limits *limits, struct batch_report *report)
{
    job->status =
        (enum error_code)run_for(target, job->inputs, limits, job->arena, job->values, &job->error);
    report->runs++;
}

/*
 * After the shared run has failed: the time of all of them goes on. What has no time left any more does not
 * begin, since a run past its time costs the worker.
 */
static void run_apart(const struct batch_target *target, struct job *jobs, uint64_t started_ns,
                      uint64_t (*clock_ns)(void), struct batch_report *report)
{
    uint64_t whole_ns = target->backend->run_within == NULL ? 0 : target->run_timeout_ns;
    for (struct job *job = jobs; job != NULL; job = job->next) {
        uint64_t now_ns = clock_ns();
        if (job_end_if_dead(job, now_ns)) {
            continue;
        }
        uint64_t spent_ns = now_ns - started_ns;
        struct backend_limits limits = limits_of(target, job->rows, whole_ns / ALONE_TIMEOUT_PART);
        limits.run_ns = limits.run_ns > limits.least_ns ? limits.run_ns : limits.least_ns;
        if (whole_ns != 0 && spent_ns + limits.least_ns > whole_ns) {
            job_end_unrun(job, JOB_EXPIRED, ERR_TIMEOUT,
                          "no time is left to run the request alone");
            continue;
        }
        limits.whole_ns -= whole_ns == 0 ? 0 : spent_ns;
        run_alone(target, job, &limits, report);
    }
}

/* The rows of input `i` of all jobs, one behind the other, in a tensor of their own. */
static int gather_input(const struct job *jobs, size_t i, int64_t rows, struct tensor *ret_tensor,
                        struct error *error)
{
    CHECK(jobs != NULL);
    const struct tensor *first = &jobs->inputs[i];
    int64_t dims[TENSOR_MAX_RANK];
    memcpy(dims, first->dims, sizeof(dims));
    dims[0] = rows;
    int status = tensor_new(first->dtype, first->rank, dims, ret_tensor, error);
    if (status != ERR_OK) {
        return status;
    }
    char *at = ret_tensor->at;
    for (const struct job *job = jobs; job != NULL; job = job->next) {
        size_t size_bytes = tensor_bytes(&job->inputs[i]);
        if (size_bytes > 0) {
            memcpy(at, job->inputs[i].at, size_bytes);
        }
        at += size_bytes;
    }
    return ERR_OK;
}

/* The strings' bytes stay with the jobs' own buffers, which outlive the run. */
static int gather(const struct batch_target *target, const struct job *jobs, int64_t rows,
                  struct tensor *inputs, struct error *error)
{
    for (size_t i = 0; i < target->input_count; i++) {
        int status = gather_input(jobs, i, rows, &inputs[i], error);
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

static bool splits_by_rows(const struct value *value, int64_t rows)
{
    switch (value->kind) {
    case VALUE_TENSOR:
        return value->tensor.rank >= 1 && value->tensor.dims[0] == rows;
    case VALUE_SEQUENCE:
        return value->item_count == (size_t)rows;
    case VALUE_MAP:
    case VALUE_NONE:
        break;
    }
    return false;
}

/* A job's rows of one shared value. Items of a sequence move to the job that owns their row. */
static struct value take_rows(struct value *shared, int64_t first, int64_t rows)
{
    if (shared->kind == VALUE_TENSOR) {
        return (struct value){.kind = VALUE_TENSOR,
                              .tensor = tensor_row_view(&shared->tensor, first, rows)};
    }
    return (struct value){
        .kind = VALUE_SEQUENCE, .items = shared->items + first, .item_count = (size_t)rows};
}

/* The item structs live in the run's arena: each job gets copies in its own, which lasts longer. */
static int own_items(struct value *value, struct arena *arena)
{
    if (value->kind != VALUE_SEQUENCE) {
        return ERR_OK;
    }
    struct value *items = arena_alloc(arena, value->item_count * sizeof(items[0]));
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(items, value->items, value->item_count * sizeof(items[0]));
    value->items = items;
    return ERR_OK;
}

/* Ends what scatter left in the shared values: all tensors, and the items that were not moved. */
static void end_shared(struct value *shared, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        value_done(&shared[i]);
    }
}

static void scatter_to(const struct batch_target *target, struct value *shared, struct job *job,
                       int64_t first)
{
    job->status = ERR_OK;
    for (size_t i = 0; i < target->wanted_count; i++) {
        job->values[i] = take_rows(&shared[i], first, job->rows);
    }
    for (size_t i = 0; i < target->wanted_count && job->status == ERR_OK; i++) {
        job->status = (enum error_code)own_items(&job->values[i], job->arena);
    }
    if (job->status != ERR_OK) {
        error_set(&job->error, ERR_NO_MEMORY, "no memory for the values of a request");
    }
    for (size_t i = 0; i < target->wanted_count; i++) {
        if (job->status != ERR_OK && job->values[i].kind == VALUE_TENSOR) {
            tensor_done(&job->values[i].tensor);
        } else if (job->status == ERR_OK && shared[i].kind == VALUE_SEQUENCE) {
            /* Moved out: the shared sequence must not end them too. */
            memset(shared[i].items + first, 0, (size_t)job->rows * sizeof(struct value));
        }
    }
}

static bool scatter(const struct batch_target *target, struct value *shared, struct job *jobs,
                    int64_t rows)
{
    bool splits = true;
    for (size_t i = 0; i < target->wanted_count; i++) {
        splits = splits && splits_by_rows(&shared[i], rows);
    }
    int64_t first = 0;
    for (struct job *job = jobs; splits && job != NULL; job = job->next) {
        scatter_to(target, shared, job, first);
        first += job->rows;
    }
    CHECK(!splits || first == rows);
    end_shared(shared, target->wanted_count);
    return splits;
}

/* ERR_OK when the shared run gave every job its rows. */
static int run_shared(const struct batch_target *target, struct job *jobs, int64_t rows,
                      struct arena *arena, struct batch_report *report, struct error *error)
{
    struct tensor *inputs = arena_zalloc(arena, target->input_count, sizeof(inputs[0]));
    struct value *values = arena_zalloc(arena, target->wanted_count, sizeof(values[0]));
    if (inputs == NULL || values == NULL) {
        return ERR_NO_MEMORY;
    }
    int status = gather(target, jobs, rows, inputs, error);
    if (status == ERR_OK) {
        const struct backend_limits limits = limits_of(target, rows, shared_limit_ns(target, rows));
        report->runs++;
        status = run_for(target, inputs, &limits, arena, values, error);
    }
    if (status == ERR_OK && !scatter(target, values, jobs, rows)) {
        status = ERR_INTERNAL;
    }
    for (size_t i = 0; i < target->input_count; i++) {
        tensor_done(&inputs[i]);
    }
    return status;
}

static void run_together(const struct batch_target *target, struct job *jobs,
                         uint64_t (*clock_ns)(void), struct arena *arena,
                         struct batch_report *report)
{
    struct error error;
    uint64_t started_ns = clock_ns();
    int status = run_shared(target, jobs, report->rows, arena, report, &error);
    if (status != ERR_OK && status != ERR_UNAVAILABLE) {
        run_apart(target, jobs, started_ns, clock_ns, report);
        return;
    }
    for (struct job *job = jobs; job != NULL; job = job->next) {
        if (status == ERR_OK) {
            job->shared_by = report->jobs;
        } else { /* nothing has run, and nothing would */
            job->status = (enum error_code)error_set(&job->error, error.code, "%s", error.text);
        }
    }
}

void batch_run(const struct batch_target *target, struct job *jobs, uint64_t (*clock_ns)(void),
               struct arena *arena, struct batch_report *report)
{
    CHECK(jobs != NULL);
    *report = (struct batch_report){0};
    for (struct job *job = jobs; job != NULL; job = job->next) {
        report->jobs++;
        report->rows += job->rows;
        job->fate = JOB_RAN;
        job->shared_by = 1;
    }
    if (report->jobs > 1) {
        run_together(target, jobs, clock_ns, arena, report);
    } else {
        const struct backend_limits limits = limits_of(target, jobs->rows, 0);
        run_alone(target, jobs, &limits, report);
    }
}

/* One span stands for the run, in the trace of the first job that has one; the others point to it. */
static void share_trace(struct job *job, const struct job_trace **leader, int64_t rows)
{
    struct job_trace *trace = job->trace;
    if (trace == NULL || job->shared_by < 2) {
        return;
    }
    trace->leads_run = *leader == NULL;
    *leader = trace->leads_run ? trace : *leader;
    trace->was_shared = true;
    trace->shared_trace_id = (*leader)->trace_id;
    trace->shared_run_id = (*leader)->run_id;
    trace->shared_rows = rows;
}

void batch_finish(struct job *jobs, const struct batch_report *report, uint64_t started_ns,
                  uint64_t finished_ns)
{
    const struct job_trace *leader = NULL;
    jobs->runs = report->runs;
    jobs->run_rows = report->rows;
    jobs->run_jobs = report->jobs;
    for (struct job *job = jobs; job != NULL; job = job->next) {
        share_trace(job, &leader, report->rows);
        job->started_ns = started_ns;
        job->finished_ns = finished_ns;
        if (job != jobs) {
            job->runs = 0;
        }
    }
}
