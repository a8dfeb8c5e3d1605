#include "sched/policy.h"

#include "base/check.h"

static bool tensors_fit(const struct tensor *a, const struct tensor *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank) {
        return false;
    }
    for (unsigned i = 1; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}

bool policy_fits(const struct batch_target *target, const struct job *a, const struct job *b)
{
    for (size_t i = 0; i < target->input_count; i++) {
        if (!tensors_fit(&a->inputs[i], &b->inputs[i])) {
            return false;
        }
    }
    return true;
}

/* A job can be part of a shared run when every input has the job's rows as its first dimension. */
static bool has_plain_rows(const struct batch_target *target, const struct job *job)
{
    for (size_t i = 0; i < target->input_count; i++) {
        const struct tensor *input = &job->inputs[i];
        if (input->dtype == DTYPE_NONE || input->rank == 0 || input->dims[0] != job->rows) {
            return false;
        }
    }
    return job->rows > 0;
}

/* Whether `job` joins a batch of `rows` rows that `first` heads. */
static bool joins(const struct batch_target *target, int64_t max_rows, int64_t rows,
                  const struct job *first, const struct job *job)
{
    return job->rows <= max_rows - rows && has_plain_rows(target, job) &&
           policy_fits(target, first, job);
}

struct job *policy_take(const struct batch_target *target, int64_t max_rows,
                        struct job_queue *queue)
{
    struct job *first = queue_take_at(queue, &queue->first);
    if (!target->batchable || !has_plain_rows(target, first)) {
        return first;
    }
    int64_t rows = first->rows;
    struct job **taken_end = &first->next;
    for (struct job **at = &queue->first; *at != NULL && rows < max_rows;) {
        if (!joins(target, max_rows, rows, first, *at)) {
            at = &(*at)->next;
            continue;
        }
        struct job *job = queue_take_at(queue, at);
        *taken_end = job;
        taken_end = &job->next;
        rows += job->rows;
    }
    return first;
}

uint64_t policy_due_ns(const struct batch_target *target, int64_t max_rows, uint64_t delay_ns,
                       const struct job_queue *queue)
{
    const struct job *first = queue->first;
    CHECK(first != NULL);
    if (delay_ns == 0 || !target->batchable || !has_plain_rows(target, first)) {
        return 0;
    }
    int64_t rows = first->rows;
    for (const struct job *job = first->next; job != NULL && rows < max_rows; job = job->next) {
        if (joins(target, max_rows, rows, first, job)) {
            rows += job->rows;
        }
    }
    return rows >= max_rows ? 0 : first->submitted_ns + delay_ns;
}
