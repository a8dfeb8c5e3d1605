#include "sched/queue.h"

#include "base/check.h"

void queue_init(struct job_queue *queue)
{
    *queue = (struct job_queue){0};
    queue->end = &queue->first;
}

void queue_push(struct job_queue *queue, struct job *job)
{
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
    queue->jobs++;
    queue->rows += job->rows;
    queue->bytes += job->input_bytes;
}

struct job *queue_take_at(struct job_queue *queue, struct job **at)
{
    struct job *job = *at;
    CHECK(job != NULL && queue->jobs > 0);
    *at = job->next;
    if (*at == NULL) {
        queue->end = at;
    }
    job->next = NULL;
    queue->jobs--;
    queue->rows -= job->rows;
    queue->bytes -= job->input_bytes;
    return job;
}

static void end_unrun(struct job *job, enum job_fate fate, enum error_code code, const char *why)
{
    job->fate = fate;
    job->status = (enum error_code)error_set(&job->error, code, "%s", why);
}

/* True, and its end is set, when the job must not run any more. */
static bool is_dead(struct job *job, uint64_t now_ns)
{
    if (atomic_load_explicit(&job->cancelled, memory_order_relaxed)) {
        end_unrun(job, JOB_CANCELLED, ERR_TIMEOUT, "the request was cancelled");
        return true;
    }
    if (job->deadline_ns != 0 && job->deadline_ns <= now_ns) {
        end_unrun(job, JOB_EXPIRED, ERR_TIMEOUT, "the request's time limit has passed");
        return true;
    }
    return false;
}

struct job *queue_take_dead(struct job_queue *queue, uint64_t now_ns)
{
    struct job *dead = NULL;
    struct job **dead_end = &dead;
    for (struct job **at = &queue->first; *at != NULL;) {
        if (is_dead(*at, now_ns)) {
            *dead_end = queue_take_at(queue, at);
            dead_end = &(*dead_end)->next;
        } else {
            at = &(*at)->next;
        }
    }
    return dead;
}

struct job *queue_take_stopped(struct job_queue *queue)
{
    struct job *stopped = queue->first;
    for (struct job *job = stopped; job != NULL; job = job->next) {
        end_unrun(job, JOB_STOPPED, ERR_UNAVAILABLE, "the model was stopped");
    }
    queue_init(queue);
    return stopped;
}
