#include "sched/inline.h"

#include "base/check.h"
#include "sched/execution.h"
#include "sched/policy.h"

#define SCRATCH_BLOCK_BYTES (16 * 1024)
#define SCRATCH_MAX_BYTES (64 * 1024 * 1024)

void inline_queue_init(struct inline_queue *queue, struct metrics_shard *metrics,
                       uint64_t (*clock_ns)(void), void (*on_job)(struct inline_queue *queue))
{
    *queue = (struct inline_queue){.metrics = metrics, .clock_ns = clock_ns, .on_job = on_job};
    queue_init(&queue->jobs);
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
    bool first = inline_queue_is_empty(queue);
    job_measure(job, queue->target->input_count);
    queue_push(&queue->jobs, job);
    if (first) {
        queue->on_job(queue);
    }
}

bool inline_queue_is_empty(const struct inline_queue *queue)
{
    return queue_is_empty(&queue->jobs);
}

static void give_back(struct inline_queue *queue, struct job *jobs)
{
    while (jobs != NULL) {
        struct job *job = jobs;
        jobs = job->next; /* `done` may free the job */
        job_count(job, queue->metrics);
        job->done(job);
    }
}

static void run_batch(struct inline_queue *queue, const struct batch_target *target,
                      struct job *jobs)
{
    uint64_t started_ns = queue->clock_ns();
    struct batch_report report;
    batch_run(target, jobs, queue->clock_ns, &queue->scratch, &report);
    uint64_t finished_ns = queue->clock_ns();
    batch_finish(jobs, &report, started_ns, finished_ns);
    execution_observe(target->execution, jobs, &report, finished_ns - started_ns);
    give_back(queue, jobs);
    arena_reset(&queue->scratch);
}

void inline_queue_run(struct inline_queue *queue, uint64_t now_ns)
{
    give_back(queue, queue_take_dead(&queue->jobs, now_ns));
    if (inline_queue_is_empty(queue)) {
        return;
    }
    const struct batch_target *target = queue->target;
    int64_t max_rows = execution_inline_rows(target->execution, target->max_rows);
    run_batch(queue, target, policy_take(target, max_rows, &queue->jobs));
}

void inline_queue_run_one(struct inline_queue *queue, const struct batch_target *target,
                          struct job *job)
{
    struct job_queue one;
    queue_init(&one);
    queue_push(&one, job);
    give_back(queue, queue_take_dead(&one, queue->clock_ns()));
    if (!queue_is_empty(&one)) {
        run_batch(queue, target, queue_take_at(&one, &one.first));
    }
}
