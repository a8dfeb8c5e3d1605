#include "serve/placement.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/cpu_quota.h"
#include "sched/policy.h"
#include "sched/probe.h"

#define TRIAL_RUNS 3
/* No more runs once they have taken so long: the figure is then clear enough. */
#define TRIAL_MAX_NS (20 * CLOCK_NS_PER_MS)
/* Rows of the second trial, which tells what a further row costs. */
#define TRIAL_ROWS 16
/* Waking a runner and taking jobs back costs about a tenth of this. */
#define HAND_OVER_MIN_NS (100 * CLOCK_NS_PER_US)
#define SCRATCH_BLOCK_BYTES ((size_t)16 * 1024)
#define SCRATCH_MAX_BYTES ((size_t)256 * 1024 * 1024)

static enum execution_rule rule_of(const struct settings *settings,
                                   const struct batch_target *target)
{
    static const enum execution_rule rules[] = {
        [SETTING_EXECUTION_AUTO] = EXECUTION_AUTO,
        [SETTING_EXECUTION_INLINE] = EXECUTION_INLINE,
        [SETTING_EXECUTION_POOLED] = EXECUTION_POOLED,
    };
    if (target->backend->instances != NULL) {
        if (settings->execution == SETTING_EXECUTION_INLINE) {
            log_warning("EXECUTION=inline has no effect: worker processes run the model");
        }
        return EXECUTION_POOLED;
    }
    return rules[settings->execution];
}

/* ---- the first figure ---- */

/* One run on made-up inputs. 0 when the model does not take them. */
static uint64_t time_run(const struct batch_target *target, const struct tensor *inputs,
                         struct arena *scratch)
{
    struct error error;
    struct value *values = arena_zalloc(scratch, target->wanted_count, sizeof(values[0]));
    uint64_t before_ns = clock_monotonic_ns();
    if (values == NULL || batch_run_inputs(target, inputs, scratch, values, &error) != ERR_OK) {
        return 0;
    }
    uint64_t time_ns = clock_monotonic_ns() - before_ns;
    for (size_t i = 0; i < target->wanted_count; i++) {
        value_done(&values[i]);
    }
    return time_ns == 0 ? 1 : time_ns;
}

/* The shortest of a few runs: what stands in the way of the others is not the model's. */
static uint64_t time_model(const struct batch_target *target, const struct signature *signature,
                           int64_t rows, struct arena *scratch)
{
    struct tensor *inputs;
    if (probe_make_inputs(signature, 0, rows, scratch, &inputs) != ERR_OK) {
        return 0;
    }
    uint64_t best_ns = 0;
    uint64_t spent_ns = 0;
    for (int i = 0; i < TRIAL_RUNS && spent_ns < TRIAL_MAX_NS; i++) {
        uint64_t time_ns = time_run(target, inputs, scratch);
        if (time_ns == 0) {
            break;
        }
        best_ns = best_ns == 0 || time_ns < best_ns ? time_ns : best_ns;
        spent_ns += time_ns;
    }
    for (size_t i = 0; i < signature->input_count; i++) {
        tensor_done(&inputs[i]);
    }
    return best_ns;
}

static void seed(struct placement *placement, const struct batch_target *target,
                 const struct signature *signature)
{
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BLOCK_BYTES, SCRATCH_MAX_BYTES);
    uint64_t time_ns = time_model(target, signature, 1, &scratch);
    if (time_ns > 0) {
        execution_seed(&placement->execution, 1, time_ns);
    }
    int64_t rows = target->max_rows < TRIAL_ROWS ? target->max_rows : TRIAL_ROWS;
    if (target->batchable && rows > 1 && time_ns > 0 && time_ns < TRIAL_MAX_NS) {
        arena_reset(&scratch);
        time_ns = time_model(target, signature, rows, &scratch);
        if (time_ns > 0) {
            execution_seed(&placement->execution, (unsigned)rows, time_ns);
        }
    }
    arena_done(&scratch);
}

/* ---- the decision, for people ---- */

static void log_decision(const struct execution *execution, const char *word)
{
    uint64_t job_ns = atomic_load_explicit(&execution->job_ns, memory_order_relaxed);
    bool pooled = atomic_load_explicit(&execution->pooled, memory_order_relaxed);
    if (job_ns == 0) {
        log_info("execution %s %s: the model's run time is not known", word,
                 pooled ? "pooled" : "inline");
        return;
    }
    log_info("execution %s %s: a request takes the model about %llu us, inline up to %llu us", word,
             pooled ? "pooled" : "inline", (unsigned long long)(job_ns / CLOCK_NS_PER_US),
             (unsigned long long)(execution->inline_max_ns / CLOCK_NS_PER_US));
}

static void on_change(const struct execution *execution, void *user)
{
    (void)user;
    log_decision(execution, "changes to");
}

void placement_measure(const struct placement *placement, struct metrics *metrics, unsigned model)
{
    const struct execution *execution = &placement->execution;
    struct pool_figures figures = {0};
    if (placement->pool != NULL) {
        pool_measure(placement->pool, &figures);
    }
    const struct {
        enum metric metric;
        uint64_t value;
    } gauges[] = {
        {METRIC_EXECUTION_POOLED, atomic_load_explicit(&execution->pooled, memory_order_relaxed)},
        {METRIC_EXECUTION_TIME, atomic_load_explicit(&execution->job_ns, memory_order_relaxed)},
        {METRIC_RUNNERS, figures.instances},
        {METRIC_RUNNERS_BUSY, figures.busy},
        {METRIC_QUEUE_JOBS, figures.jobs},
        {METRIC_QUEUE_ROWS, (uint64_t)figures.rows},
    };
    for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        metrics_set_of_model(metrics, model, gauges[i].metric, SERIES_NONE, gauges[i].value);
    }
}

/* ---- life ---- */

/* So many that runners x threads a run stay within the quota. */
static unsigned instance_count(const struct settings *settings, const struct batch_target *target,
                               unsigned intra_op_threads)
{
    if (target->backend->instances != NULL) {
        return target->backend->instances(target->model);
    }
    if (settings->model_instances != 0) {
        return settings->model_instances;
    }
    unsigned fit = cpu_quota() / intra_op_threads;
    return fit == 0 ? 1 : fit;
}

int placement_init(struct placement *placement, const struct settings *settings,
                   struct batch_target *target, const struct signature *signature,
                   bool takes_made_up, unsigned intra_op_threads, struct error *error)
{
    enum execution_rule rule = rule_of(settings, target);
    struct execution *execution = &placement->execution;
    execution_init(execution, rule, settings->inline_max_us * CLOCK_NS_PER_US);
    execution->on_change = on_change;
    if (takes_made_up) {
        struct batch_target trial = *target;
        trial.run_timeout_ns = settings->worker_start_timeout_ns;
        seed(placement, &trial, signature);
    }
    target->execution = execution;
    if (rule == EXECUTION_INLINE) {
        return ERR_OK;
    }
    struct pool_options options = {
        .target = target,
        .instances = instance_count(settings, target, intra_op_threads),
        .max_delay_ns = settings->max_queue_delay_us * CLOCK_NS_PER_US,
        .max_jobs = settings->max_inflight,
        .max_rows = settings->max_queue_rows,
        .max_bytes = settings->max_queue_bytes,
        .clock_ns = clock_monotonic_ns,
    };
    int status = pool_new(&options, &placement->pool, error);
    if (status == ERR_OK) {
        log_decision(execution, rule == EXECUTION_AUTO ? "begins" : "is");
    }
    return status;
}

void placement_done(struct placement *placement)
{
    pool_free(placement->pool);
    placement->pool = NULL;
}

int placement_submit(struct placement *placement, const struct batch_target *target,
                     struct inline_queue *queue, struct job *job)
{
    bool current = queue->target == target;
    if (placement->pool == NULL && !current) {
        inline_queue_run_one(queue, target, job);
        return ERR_OK;
    }
    if (placement->pool == NULL ||
        (current && execution_is_inline(&placement->execution, job->rows))) {
        inline_queue_submit(queue, job);
        return ERR_OK;
    }
    int status = pool_submit(placement->pool, job);
    return status == ERR_OK || status == ERR_TIMEOUT ? status : ERR_BUSY;
}

bool placement_is_late(struct placement *placement, uint64_t deadline_ns)
{
    return placement->pool != NULL && !execution_is_inline(&placement->execution, 1) &&
           pool_is_late(placement->pool, deadline_ns);
}

size_t placement_hand_over(struct placement *placement, struct inline_queue *queue)
{
    const struct batch_target *target = queue->target;
    if (placement->pool == NULL || placement->execution.rule != EXECUTION_AUTO) {
        return 0;
    }
    struct policy_load load = {
        .jobs = queue->jobs.jobs - 1, .rows = queue->jobs.rows - 1, .instances = 1};
    uint64_t work_ns = policy_wait_ns(target, &load, 1, execution_line(target->execution));
    size_t jobs = queue->jobs.jobs;
    return work_ns >= HAND_OVER_MIN_NS && pool_take_over(placement->pool, &queue->jobs) ? jobs : 0;
}
