#include "sched/policy.h"

#include <math.h>

#include "base/check.h"

/* Of a wave so many parts may be missing: clients leave, or are slow. */
#define COMPANY_MISSING_PART 8
/* A wave is over when nothing has come for this part of what a run costs at least. */
#define WAVE_GAP_PART 8
/* This part of a job's time is kept for what the estimate does not know. */
#define SPARE_PART 4

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

/* Whether two jobs agree in everything but their rows: dtype, rank and all other dimensions. */
static bool fits(const struct batch_target *target, const struct job *a, const struct job *b)
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
    return job->rows <= max_rows - rows && has_plain_rows(target, job) && fits(target, first, job);
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

size_t policy_company(const struct batch_target *target, const struct policy_recent *recent,
                      struct run_line line, uint64_t *ret_until_ns)
{
    *ret_until_ns = 0;
    if (!target->batchable || recent->jobs == 0 || recent->jobs + recent->waiting < 2) {
        return 0;
    }
    uint64_t fixed_ns = (uint64_t)line.fixed_ns;
    uint64_t newest_ns =
        recent->submitted_ns > recent->finished_ns ? recent->submitted_ns : recent->finished_ns;
    uint64_t wave_over_ns = newest_ns + fixed_ns / WAVE_GAP_PART;
    uint64_t most_ns = recent->finished_ns + fixed_ns;
    *ret_until_ns = wave_over_ns < most_ns ? wave_over_ns : most_ns;
    return recent->waiting + recent->jobs - recent->jobs / COMPANY_MISSING_PART;
}

uint64_t policy_wait_ns(const struct batch_target *target, const struct policy_load *load,
                        int64_t rows, struct run_line line)
{
    CHECK(load->instances >= 1);
    double all_rows = (double)load->rows + (double)rows;
    double runs =
        target->batchable ? ceil(all_rows / (double)target->max_rows) : (double)load->jobs + 1;
    double queued_ns = runs * line.fixed_ns + all_rows * line.row_ns;
    /* Of a run under way half is left, as far as can be told. */
    double running_ns = (load->busy * line.fixed_ns + (double)load->busy_rows * line.row_ns) / 2;
    double shared_ns = (queued_ns + running_ns) / load->instances;
    double alone_ns = line.fixed_ns + (double)rows * line.row_ns;
    return (uint64_t)(shared_ns > alone_ns ? shared_ns : alone_ns);
}

bool policy_is_late(uint64_t wait_ns, uint64_t now_ns, uint64_t deadline_ns)
{
    if (deadline_ns == 0) {
        return false;
    }
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    return wait_ns > left_ns - left_ns / SPARE_PART;
}
