/*
 * The size of a job, its end without a run, and what metrics say of it. Counting is the owner's, when a job
 * is back: so the thread that ran it needs no cells of its own, and a pool can come and go with its model.
 */
#include "sched/job.h"

#include "obs/metrics.h"

void job_measure(struct job *job, size_t input_count)
{
    job->input_bytes = 0;
    for (size_t i = 0; i < input_count; i++) {
        job->input_bytes += tensor_bytes(&job->inputs[i]);
    }
}

void job_end_unrun(struct job *job, enum job_fate fate, enum error_code code, const char *why)
{
    job->fate = fate;
    job->runs = 0;
    job->shared_by = 1;
    job->status = (enum error_code)error_set(&job->error, code, "%s", why);
}

bool job_end_if_dead(struct job *job, uint64_t now_ns)
{
    if (atomic_load_explicit(&job->cancelled, memory_order_relaxed)) {
        job_end_unrun(job, JOB_CANCELLED, ERR_TIMEOUT, "the request was cancelled");
        return true;
    }
    if (job->deadline_ns != 0 && job->deadline_ns <= now_ns) {
        job_end_unrun(job, JOB_EXPIRED, ERR_TIMEOUT, "the request's time limit has passed");
        return true;
    }
    return false;
}

/* Of the batch that it was the first of, whatever became of the job itself. */
static void count_runs(const struct job *job, struct metrics_shard *metrics)
{
    if (job->runs == 0) {
        return;
    }
    metrics_count(metrics, METRIC_RUNS, SERIES_NONE, job->runs);
    metrics_observe(metrics, METRIC_RUN_ROWS, SERIES_NONE, (uint64_t)job->run_rows);
    metrics_observe(metrics, METRIC_RUN_JOBS, SERIES_NONE, job->run_jobs);
    metrics_observe(metrics, METRIC_COMPUTE_DURATION, SERIES_NONE,
                    job->finished_ns - job->started_ns);
}

void job_count(const struct job *job, struct metrics_shard *metrics)
{
    count_runs(job, metrics);
    switch (job->fate) {
    case JOB_CANCELLED:
        metrics_count(metrics, METRIC_JOBS_DROPPED, DROP_CANCELLED, 1);
        return;
    case JOB_EXPIRED:
        metrics_count(metrics, METRIC_JOBS_DROPPED, DROP_EXPIRED, 1);
        return;
    case JOB_STOPPED:
        metrics_count(metrics, METRIC_JOBS_DROPPED, DROP_STOPPED, 1);
        return;
    case JOB_RAN:
        break;
    }
    metrics_count(metrics, METRIC_JOBS, SERIES_NONE, 1);
    metrics_observe(metrics, METRIC_QUEUE_DURATION, SERIES_NONE,
                    job->started_ns - job->submitted_ns);
}
