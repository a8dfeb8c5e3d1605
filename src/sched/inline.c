#include "sched/inline.h"

#include "base/check.h"

#define SCRATCH_BLOCK_BYTES (16 * 1024)
#define SCRATCH_MAX_BYTES (64 * 1024 * 1024)

void inline_queue_init(struct inline_queue *queue, struct metrics_shard *metrics,
                       uint64_t (*clock_ns)(void))
{
    *queue = (struct inline_queue){.metrics = metrics, .clock_ns = clock_ns};
    queue->end = &queue->first;
    arena_init(&queue->scratch, SCRATCH_BLOCK_BYTES, SCRATCH_MAX_BYTES);
}

void inline_queue_done(struct inline_queue *queue)
{
    CHECK(inline_queue_is_empty(queue));
    arena_done(&queue->scratch);
}

void inline_queue_set_target(struct inline_queue *queue, const struct batch_target *target)
{
    CHECK(inline_queue_is_empty(queue));
    queue->target = target;
}

void inline_queue_submit(struct inline_queue *queue, struct job *job)
{
    CHECK(queue->target != NULL);
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
}

bool inline_queue_is_empty(const struct inline_queue *queue)
{
    return queue->first == NULL;
}

static void find_end(struct inline_queue *queue)
{
    queue->end = &queue->first;
    while (*queue->end != NULL) {
        queue->end = &(*queue->end)->next;
    }
}

static bool is_dropped(const struct inline_queue *queue, struct job *job, uint64_t now_ns)
{
    bool cancelled = atomic_load_explicit(&job->cancelled, memory_order_relaxed);
    bool expired = job->deadline_ns != 0 && job->deadline_ns <= now_ns;
    if (!cancelled && !expired) {
        return false;
    }
    metrics_count(queue->metrics, METRIC_JOBS_DROPPED, cancelled ? DROP_CANCELLED : DROP_EXPIRED,
                  1);
    job->status = (enum error_code)error_set(&job->error, ERR_TIMEOUT,
                                             cancelled ? "the request was cancelled"
                                                       : "the request's time limit has passed");
    return true;
}

/* Takes dropped jobs out of the queue and ends them. */
static void drop_dead(struct inline_queue *queue, uint64_t now_ns)
{
    struct job *dropped = NULL;
    for (struct job **at = &queue->first; *at != NULL;) {
        struct job *job = *at;
        if (is_dropped(queue, job, now_ns)) {
            *at = job->next;
            job->next = dropped;
            dropped = job;
        } else {
            at = &job->next;
        }
    }
    find_end(queue);
    while (dropped != NULL) {
        struct job *job = dropped;
        dropped = job->next;
        job->done(job);
    }
}

static void finish(struct inline_queue *queue, struct job *jobs, const struct batch_report *report,
                   uint64_t started_ns)
{
    uint64_t finished_ns = queue->clock_ns();
    metrics_count(queue->metrics, METRIC_JOBS, SERIES_NONE, report->jobs);
    metrics_count(queue->metrics, METRIC_RUNS, SERIES_NONE, report->runs);
    metrics_observe(queue->metrics, METRIC_RUN_ROWS, SERIES_NONE, (uint64_t)report->rows);
    metrics_observe(queue->metrics, METRIC_COMPUTE_DURATION, SERIES_NONE, finished_ns - started_ns);
    while (jobs != NULL) {
        struct job *job = jobs;
        jobs = job->next; /* `done` may free the job */
        job->started_ns = started_ns;
        job->finished_ns = finished_ns;
        metrics_observe(queue->metrics, METRIC_QUEUE_DURATION, SERIES_NONE,
                        started_ns - job->submitted_ns);
        job->done(job);
    }
}

void inline_queue_run(struct inline_queue *queue, uint64_t now_ns)
{
    drop_dead(queue, now_ns);
    if (queue->first == NULL) {
        return;
    }
    struct job *jobs = batch_take(queue->target, &queue->first);
    find_end(queue);
    uint64_t started_ns = queue->clock_ns();
    struct batch_report report;
    batch_run(queue->target, jobs, &queue->scratch, &report);
    finish(queue, jobs, &report, started_ns);
    arena_reset(&queue->scratch);
}
