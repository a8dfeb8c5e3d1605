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

struct job *queue_take_dead(struct job_queue *queue, uint64_t now_ns)
{
    struct job *dead = NULL;
    struct job **dead_end = &dead;
    for (struct job **at = &queue->first; *at != NULL;) {
        if (job_end_if_dead(*at, now_ns)) {
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
        job_end_unrun(job, JOB_STOPPED, ERR_UNAVAILABLE, "the model was stopped");
    }
    queue_init(queue);
    return stopped;
}
