/*
 * Exponentially weighted linear regression of time over rows. Early on the weights are those of a
 * plain mean, so that the first observations count alike.
 */
#include "sched/execution.h"

#include "base/check.h"

/* How many of the last runs matter, about: each counts this part less than the one after it. */
#define WEIGHT_RUNS 32
/* One observation counts as at most so many times what was expected: a preempted thread is no trend. */
#define OUTLIER_FACTOR 8.0
/* Rows that vary by less than a twentieth of their mean tell no slope. */
#define LEAST_VARIATION (1.0 / 400)
#define PS_PER_NS 1000.0
/* A pooled model comes back when it takes less than this part of the limit. */
#define RETURN_PART 0.6

static double weight_of(unsigned observed)
{
    return 1.0 / (double)(observed < WEIGHT_RUNS ? observed : WEIGHT_RUNS);
}

/* Once known the slope is kept while all runs are of one size. */
static void learn_slope(struct run_cost *cost)
{
    if (cost->rows_variance > LEAST_VARIATION * cost->rows * cost->rows) {
        cost->slope_known = true;
        cost->slope_ns = cost->covariance / cost->rows_variance;
    }
}

/* Time of one more row: not negative, and not so much that no rows would take less than no time. */
static double slope_ns(const struct run_cost *cost)
{
    double most = cost->time_ns / cost->rows;
    return cost->slope_ns < 0 ? 0 : cost->slope_ns > most ? most : cost->slope_ns;
}

void run_cost_observe(struct run_cost *cost, int64_t rows, uint64_t time_ns)
{
    double x = rows > 0 ? (double)rows : 1;
    double y = (double)time_ns;
    if (cost->observed >= EXECUTION_WARMUP_RUNS) {
        double most = OUTLIER_FACTOR * run_cost_predict_ns(cost, x);
        y = most > 0 && y > most ? most : y;
    }
    cost->observed += cost->observed < WEIGHT_RUNS;
    if (cost->observed == 1) {
        *cost = (struct run_cost){.observed = 1, .rows = x, .time_ns = y};
        return;
    }
    double weight = weight_of(cost->observed);
    double dx = x - cost->rows;
    double dy = y - cost->time_ns;
    cost->rows += weight * dx;
    cost->time_ns += weight * dy;
    cost->rows_variance = (1 - weight) * (cost->rows_variance + weight * dx * dx);
    cost->covariance = (1 - weight) * (cost->covariance + weight * dx * dy);
    learn_slope(cost);
}

double run_cost_predict_ns(const struct run_cost *cost, double rows)
{
    if (cost->observed == 0) {
        return 0;
    }
    if (cost->slope_known) {
        return cost->time_ns + slope_ns(cost) * (rows - cost->rows);
    }
    /* The pessimistic end both ways: fewer rows take as long, more rows take in proportion. */
    return rows <= cost->rows ? cost->time_ns : cost->time_ns * rows / cost->rows;
}

struct run_line run_cost_line(const struct run_cost *cost)
{
    if (cost->observed == 0) {
        return (struct run_line){0};
    }
    double row_ns = cost->slope_known ? slope_ns(cost) : cost->time_ns / cost->rows;
    return (struct run_line){.fixed_ns = cost->time_ns - row_ns * cost->rows, .row_ns = row_ns};
}

int64_t run_cost_rows_within(const struct run_cost *cost, uint64_t limit_ns, int64_t most)
{
    CHECK(most >= 1);
    double limit = (double)limit_ns;
    if (cost->observed == 0 || run_cost_predict_ns(cost, 1) > limit) {
        return 1;
    }
    if (run_cost_predict_ns(cost, (double)most) <= limit) {
        return most;
    }
    /* The limit lies between two points of a line that rises. */
    double rows = cost->rows + (limit - cost->time_ns) / run_cost_line(cost).row_ns;
    return rows < 1 ? 1 : rows >= (double)most ? most : (int64_t)rows;
}

bool execution_decide(bool pooled, double job_ns, uint64_t inline_max_ns)
{
    double limit = (double)inline_max_ns;
    return job_ns > (pooled ? RETURN_PART * limit : limit);
}

void execution_init(struct execution *execution, enum execution_rule rule, uint64_t inline_max_ns)
{
    *execution = (struct execution){.rule = rule, .inline_max_ns = inline_max_ns};
    atomic_flag_clear(&execution->observing);
    atomic_init(&execution->pooled, rule != EXECUTION_INLINE);
    atomic_init(&execution->job_ns, 0);
    atomic_init(&execution->inline_rows, 1);
    atomic_init(&execution->fixed_ns, 0);
    atomic_init(&execution->row_ps, 0);
}

/* What the estimate means now. True when that is another decision. */
static bool publish(struct execution *execution)
{
    double job_ns = run_cost_predict_ns(&execution->cost, execution->job_rows);
    atomic_store_explicit(&execution->job_ns, (uint64_t)job_ns, memory_order_relaxed);
    atomic_store_explicit(
        &execution->inline_rows,
        run_cost_rows_within(&execution->cost, execution->inline_max_ns, INT64_MAX),
        memory_order_relaxed);
    struct run_line line = run_cost_line(&execution->cost);
    atomic_store_explicit(&execution->fixed_ns, line.fixed_ns < 0 ? 0 : (uint64_t)line.fixed_ns,
                          memory_order_relaxed);
    atomic_store_explicit(&execution->row_ps, (uint64_t)(line.row_ns * PS_PER_NS),
                          memory_order_relaxed);
    bool before = atomic_load_explicit(&execution->pooled, memory_order_relaxed);
    if (execution->rule != EXECUTION_AUTO || execution->cost.observed < EXECUTION_WARMUP_RUNS) {
        return false;
    }
    bool pooled = execution_decide(before, job_ns, execution->inline_max_ns);
    atomic_store_explicit(&execution->pooled, pooled, memory_order_relaxed);
    return pooled != before;
}

static void observe_rows(struct execution *execution, int64_t rows, unsigned jobs, uint64_t time_ns)
{
    run_cost_observe(&execution->cost, rows, time_ns);
    double job_rows = (double)(rows > 0 ? rows : 1) / (double)jobs;
    execution->job_rows += weight_of(execution->cost.observed) * (job_rows - execution->job_rows);
}

void execution_seed(struct execution *execution, unsigned jobs, uint64_t time_ns)
{
    do {
        observe_rows(execution, jobs, jobs, time_ns);
    } while (execution->cost.observed < EXECUTION_WARMUP_RUNS);
    /* No hysteresis between a guess and the first figure. */
    atomic_store_explicit(&execution->pooled, execution->rule == EXECUTION_POOLED,
                          memory_order_relaxed);
    publish(execution);
}

void execution_observe(struct execution *execution, const struct job *jobs,
                       const struct batch_report *report, uint64_t time_ns)
{
    if (execution == NULL || report->runs != 1 || jobs->status != ERR_OK ||
        atomic_flag_test_and_set_explicit(&execution->observing, memory_order_acquire)) {
        return;
    }
    observe_rows(execution, report->rows, report->jobs, time_ns);
    bool changed = publish(execution);
    atomic_flag_clear_explicit(&execution->observing, memory_order_release);
    if (changed && execution->on_change != NULL) {
        execution->on_change(execution, execution->user);
    }
}

bool execution_is_inline(const struct execution *execution, int64_t rows)
{
    if (atomic_load_explicit(&execution->pooled, memory_order_relaxed)) {
        return false;
    }
    return execution->rule == EXECUTION_INLINE ||
           rows <= atomic_load_explicit(&execution->inline_rows, memory_order_relaxed);
}

struct run_line execution_line(const struct execution *execution)
{
    if (execution == NULL) {
        return (struct run_line){0};
    }
    return (struct run_line){
        .fixed_ns = (double)atomic_load_explicit(&execution->fixed_ns, memory_order_relaxed),
        .row_ns =
            (double)atomic_load_explicit(&execution->row_ps, memory_order_relaxed) / PS_PER_NS,
    };
}

int64_t execution_inline_rows(const struct execution *execution, int64_t max_rows)
{
    if (execution == NULL || execution->rule != EXECUTION_AUTO) {
        return max_rows;
    }
    int64_t rows = atomic_load_explicit(&execution->inline_rows, memory_order_relaxed);
    return rows < max_rows ? rows : max_rows;
}
