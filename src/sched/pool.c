/*
 * One lock guards the queue and the counts; it is never held while a model runs, a job is delivered
 * or memory is allocated. Idle runners sleep on one condition: who adds a job, and who leaves some
 * behind, wakes one. No metrics and no log here: jobs carry home what is to be counted.
 */
#include "sched/pool.h"

#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/cond.h"
#include "base/mem.h"
#include "sched/execution.h"
#include "sched/policy.h"
#include "sched/queue.h"

#define POOL_MAGIC 0x706f6f6cu
#define SCRATCH_BLOCK_BYTES ((size_t)16 * 1024)
#define SCRATCH_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct pool {
    unsigned magic;
    struct pool_options options;
    pthread_t *runners;
    unsigned started; /* of them; whoever makes and stops the pool */
    bool joined;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct job_queue queue;
    size_t wake_jobs; /* nobody need be woken for fewer */
    struct policy_recent recent;
    unsigned busy;
    int64_t busy_rows;
    bool stopping;
};

/* Gives each owner its jobs at once, so that its loop is woken once. They are gone afterwards. */
static void deliver(struct job *jobs)
{
    while (jobs != NULL) {
        struct job_owner *owner = jobs->owner;
        struct job *own = NULL, **own_end = &own;
        struct job *others = NULL, **others_end = &others;
        while (jobs != NULL) {
            struct job ***end = jobs->owner == owner ? &own_end : &others_end;
            **end = jobs;
            *end = &jobs->next;
            jobs = jobs->next;
        }
        *own_end = NULL;
        *others_end = NULL;
        jobs = others;
        owner->deliver(owner, own);
    }
}

/* Returns when it was finished. */
static uint64_t run(const struct pool *pool, struct job *jobs, struct arena *scratch)
{
    const struct batch_target *target = pool->options.target;
    struct batch_report report;
    uint64_t started_ns = pool->options.clock_ns();
    batch_run(target, jobs, pool->options.clock_ns, scratch, &report);
    uint64_t finished_ns = pool->options.clock_ns();
    batch_finish(jobs, &report, started_ns, finished_ns);
    execution_observe(target->execution, jobs, &report, finished_ns - started_ns);
    return finished_ns;
}

/* Waits, with the lock held, for what may still join the next batch. False: nothing is waited for. */
static bool wait_for_company(struct pool *pool, uint64_t now_ns)
{
    const struct pool_options *options = &pool->options;
    const struct batch_target *target = options->target;
    size_t company = 0;
    uint64_t due_ns = 0;
    if (options->max_delay_ns > 0) {
        due_ns = policy_due_ns(target, target->max_rows, options->max_delay_ns, &pool->queue);
    } else {
        company = policy_company(target, &pool->recent, execution_line(target->execution), &due_ns);
    }
    bool complete =
        company > 0 && (pool->queue.jobs >= company || pool->queue.rows >= target->max_rows);
    if (pool->stopping || due_ns <= now_ns || complete) {
        return false;
    }
    pool->wake_jobs = company;
    (void)cond_wait_until(&pool->changed, &pool->lock, due_ns);
    pool->wake_jobs = 0;
    return true;
}

/*
 * Waits, with the lock held, for a batch to run (*ret_jobs) or jobs that are dead (*ret_dead). False
 * when the pool ends and nothing is left to do.
 */
static bool next_jobs(struct pool *pool, struct job **ret_jobs, struct job **ret_dead)
{
    const struct pool_options *options = &pool->options;
    const struct batch_target *target = options->target;
    for (;;) {
        uint64_t now_ns = options->clock_ns();
        *ret_jobs = NULL;
        *ret_dead = queue_take_dead(&pool->queue, now_ns);
        if (*ret_dead != NULL) {
            return true;
        }
        if (queue_is_empty(&pool->queue)) {
            if (pool->stopping) {
                return false;
            }
            pthread_cond_wait(&pool->changed, &pool->lock);
            continue;
        }
        if (wait_for_company(pool, now_ns)) {
            continue;
        }
        pool->wake_jobs = 0; /* what another runner may have waited for is taken */
        *ret_jobs = policy_take(target, target->max_rows, &pool->queue);
        return true;
    }
}

/* With the lock let go, which is held before and after. */
static void deliver_unlocked(struct pool *pool, struct job *jobs)
{
    pthread_mutex_unlock(&pool->lock);
    deliver(jobs);
    pthread_mutex_lock(&pool->lock);
}

/* Runs with the lock let go; it is held before and after. */
static void run_locked(struct pool *pool, struct job *jobs, struct arena *scratch)
{
    int64_t rows = 0;
    size_t count = 0;
    for (const struct job *job = jobs; job != NULL; job = job->next) {
        rows += job->rows;
        count++;
    }
    pool->busy++;
    pool->busy_rows += rows;
    pthread_mutex_unlock(&pool->lock);
    uint64_t finished_ns = run(pool, jobs, scratch);
    pthread_mutex_lock(&pool->lock);
    pool->busy--;
    pool->busy_rows -= rows;
    pool->recent = (struct policy_recent){.jobs = count,
                                          .waiting = pool->queue.jobs,
                                          .finished_ns = finished_ns,
                                          .submitted_ns = pool->recent.submitted_ns};
    /* Whoever is answered may ask again at once, and is to find this runner free. */
    deliver_unlocked(pool, jobs);
    arena_reset(scratch);
}

static void *run_jobs(void *argument)
{
    struct pool *pool = argument;
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BLOCK_BYTES, SCRATCH_MAX_BYTES);
    struct job *jobs;
    struct job *dead;
    pthread_mutex_lock(&pool->lock);
    while (next_jobs(pool, &jobs, &dead)) {
        if (!queue_is_empty(&pool->queue)) {
            pthread_cond_signal(&pool->changed); /* another runner can have the rest */
        }
        if (jobs != NULL) {
            run_locked(pool, jobs, &scratch);
        } else {
            deliver_unlocked(pool, dead);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    arena_done(&scratch);
    buffer_recycler_done();
    return NULL;
}

/* ---- from outside ---- */

static bool is_full(const struct pool *pool, const struct job *job)
{
    const struct pool_options *options = &pool->options;
    const struct job_queue *queue = &pool->queue;
    return !queue_is_empty(queue) &&
           (queue->jobs >= options->max_jobs || job->rows > options->max_rows - queue->rows ||
            queue->bytes >= options->max_bytes ||
            job->input_bytes > options->max_bytes - queue->bytes);
}

/* With the lock held. */
static bool is_late(const struct pool *pool, int64_t rows, uint64_t deadline_ns)
{
    const struct batch_target *target = pool->options.target;
    if (queue_is_empty(&pool->queue) && pool->busy < pool->started) {
        return false;
    }
    struct policy_load load = {.jobs = pool->queue.jobs,
                               .rows = pool->queue.rows,
                               .busy = pool->busy,
                               .busy_rows = pool->busy_rows,
                               .instances = pool->started};
    uint64_t wait_ns = policy_wait_ns(target, &load, rows, execution_line(target->execution));
    return policy_is_late(wait_ns, pool->options.clock_ns(), deadline_ns);
}

bool pool_is_late(struct pool *pool, uint64_t deadline_ns)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    if (deadline_ns == 0) {
        return false;
    }
    pthread_mutex_lock(&pool->lock);
    bool late = is_late(pool, 1, deadline_ns);
    pthread_mutex_unlock(&pool->lock);
    return late;
}

int pool_submit(struct pool *pool, struct job *job)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    CHECK(job->owner != NULL);
    job_measure(job, pool->options.target->input_count);
    int status = ERR_OK;
    pthread_mutex_lock(&pool->lock);
    if (pool->stopping) {
        status = ERR_UNAVAILABLE;
    } else if (is_full(pool, job)) {
        status = ERR_BUSY;
    } else if (job->deadline_ns != 0 && is_late(pool, job->rows, job->deadline_ns)) {
        status = ERR_TIMEOUT;
    } else {
        queue_push(&pool->queue, job);
        pool->recent.submitted_ns = job->submitted_ns;
        if (pool->queue.jobs >= pool->wake_jobs ||
            pool->queue.rows >= pool->options.target->max_rows) {
            pthread_cond_signal(&pool->changed);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}

bool pool_take_over(struct pool *pool, struct job_queue *jobs)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    CHECK(!queue_is_empty(jobs));
    pthread_mutex_lock(&pool->lock);
    bool free = !pool->stopping && pool->busy < pool->started && queue_is_empty(&pool->queue);
    if (free) {
        for (struct job *job = jobs->first; job != NULL;) {
            struct job *next = job->next;
            queue_push(&pool->queue, job);
            job = next;
        }
        queue_init(jobs);
        pool->recent.jobs = 0; /* others stay with the loop: nobody is waited for */
        pthread_cond_signal(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
    return free;
}

void pool_measure(struct pool *pool, struct pool_figures *ret_figures)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    pthread_mutex_lock(&pool->lock);
    *ret_figures = (struct pool_figures){.instances = pool->started,
                                         .busy = pool->busy,
                                         .jobs = pool->queue.jobs,
                                         .rows = pool->queue.rows};
    pthread_mutex_unlock(&pool->lock);
}

/* ---- life ---- */

void pool_stop(struct pool *pool, bool give_up)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    struct job *stopped = give_up ? queue_take_stopped(&pool->queue) : NULL;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    deliver(stopped);
    for (unsigned i = 0; !pool->joined && i < pool->started; i++) {
        pthread_join(pool->runners[i], NULL);
    }
    pool->joined = true;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pool_stop(pool, false);
    CHECK(queue_is_empty(&pool->queue) && pool->busy == 0);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    pool->magic = 0;
    mem_free(pool->runners);
    mem_free(pool);
}

int pool_new(const struct pool_options *options, struct pool **ret_pool, struct error *error)
{
    CHECK(options->instances >= 1 && options->target->max_rows >= 1);
    struct pool *pool = mem_zalloc(1, sizeof(*pool));
    pthread_t *runners = mem_zalloc(options->instances, sizeof(runners[0]));
    if (pool == NULL || runners == NULL) {
        mem_free(runners);
        mem_free(pool);
        return error_set(error, ERR_NO_MEMORY, "no memory for runner threads");
    }
    pool->magic = POOL_MAGIC;
    pool->options = *options;
    pool->runners = runners;
    queue_init(&pool->queue);
    cond_init(&pool->changed);
    pthread_mutex_init(&pool->lock, NULL);
    for (unsigned i = 0; i < options->instances; i++) {
        int failed = pthread_create(&runners[i], NULL, run_jobs, pool);
        if (failed != 0) {
            pool_free(pool);
            return error_set(error, ERR_INTERNAL, "no runner thread: %s", strerrordesc_np(failed));
        }
        pool->started++;
    }
    *ret_pool = pool;
    return ERR_OK;
}
