/*
 * The side of the pool that runners and the model's owner see. The lock is held for moments only; the
 * supervisor is woken where a worker is to be ended and at the end, never for a run.
 */
#include "backend/worker_pool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "backend/worker_slot.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/mem.h"
#include "base/sys.h"

#define POOL_MAGIC 0x77706f6fu

/* With the lock held. */
static struct worker *find_idle(struct worker_pool *pool)
{
    for (unsigned i = 0; i < pool->options.count; i++) {
        if (pool->workers[i].state == WORKER_IDLE) {
            return &pool->workers[i];
        }
    }
    return NULL;
}

/* With the lock held: whether every process has failed, and its next try is not near. */
static bool is_put_off(const struct worker_pool *pool)
{
    uint64_t near_ns = clock_monotonic_ns() + WORKER_NEAR_NS;
    for (unsigned i = 0; i < pool->options.count; i++) {
        const struct worker *worker = &pool->workers[i];
        if (worker->state != WORKER_VACANT || worker->failures == 0 || worker->due_ns <= near_ns) {
            return false;
        }
    }
    return true;
}

/* With the lock held. False: the deadline has passed. */
static bool wait_for_change(struct worker_pool *pool, uint64_t deadline_ns)
{
    if (deadline_ns == 0) {
        pthread_cond_wait(&pool->changed, &pool->lock);
        return true;
    }
    return cond_wait_until(&pool->changed, &pool->lock, deadline_ns);
}

int worker_pool_take(struct worker_pool *pool, uint64_t deadline_ns, struct worker **ret_worker,
                     struct error *error)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    int status = ERR_OK;
    pthread_mutex_lock(&pool->lock);
    struct worker *worker = find_idle(pool);
    for (bool in_time = true; worker == NULL && status == ERR_OK; worker = find_idle(pool)) {
        if (is_put_off(pool)) {
            status = error_set(error, ERR_UNAVAILABLE, "no worker is alive, and all have failed");
        } else if (!in_time) {
            status = error_set(error, ERR_TIMEOUT, "no worker was free in time");
        } else {
            in_time = wait_for_change(pool, deadline_ns);
        }
    }
    if (worker != NULL) {
        status = ERR_OK;
        worker->state = WORKER_BUSY;
        *ret_worker = worker;
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}

struct worker_process *worker_pool_process(struct worker *worker)
{
    return &worker->process;
}

uint64_t worker_pool_number(struct worker *worker)
{
    return ++worker->number;
}

void worker_pool_give(struct worker_pool *pool, struct worker *worker, bool answered)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    pthread_mutex_lock(&pool->lock);
    CHECK(worker->state == WORKER_BUSY);
    if (worker->trims) {
        worker->trims = false;
        pthread_mutex_unlock(&pool->lock);
        worker_process_trim(&worker->process);
        pthread_mutex_lock(&pool->lock);
    }
    if (answered) {
        worker->runs++;
        worker->failures = 0;
        worker->falls = 0;
    }
    if (worker->has_ended && !worker->killed) {
        worker_doom(worker, WORKER_END_DIED, true, NULL);
    }
    bool goes = worker->retires || worker->killed;
    worker->state = goes ? WORKER_OVER : WORKER_IDLE;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    if (goes) {
        sys_eventfd_signal(pool->wake);
    }
}

/* With the lock held: an idle one whose pages are to go back. */
static struct worker *find_untrimmed(struct worker_pool *pool)
{
    for (unsigned i = 0; i < pool->options.count; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->state == WORKER_IDLE && worker->trims) {
            return worker;
        }
    }
    return NULL;
}

/* Each is taken for the moment that it takes, and giving it back does the work. */
void worker_pool_trim(struct worker_pool *pool)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->options.count; i++) {
        pool->workers[i].trims = worker_is_alive(&pool->workers[i]);
    }
    for (struct worker *worker; (worker = find_untrimmed(pool)) != NULL;) {
        worker->state = WORKER_BUSY;
        pthread_mutex_unlock(&pool->lock);
        worker_pool_give(pool, worker, false);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}

enum worker_end worker_pool_drop(struct worker_pool *pool, struct worker *worker,
                                 enum worker_end end, const char *reason)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    pthread_mutex_lock(&pool->lock);
    CHECK(worker->state == WORKER_BUSY);
    if (!worker->killed) {
        worker_doom(worker, end, true, reason);
    }
    end = worker->end;
    worker->state = WORKER_OVER;
    pthread_mutex_unlock(&pool->lock);
    sys_eventfd_signal(pool->wake);
    return end;
}

void worker_doom(struct worker *worker, enum worker_end end, bool kill, const char *reason)
{
    worker->state = WORKER_OVER;
    worker->end = end;
    worker->killed = kill;
    snprintf(worker->reason, sizeof(worker->reason), "%s", reason == NULL ? "" : reason);
}

struct slice worker_pool_signature(const struct worker_pool *pool)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    return slice_make(pool->signature, pool->signature_bytes);
}

/* Files of /proc are read without the lock: runs do not wait for that, and one that has gone meanwhile has 0. */
void worker_pool_measure(struct worker_pool *pool, struct backend_figures *ret_figures)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    unsigned workers = 0;
    uint64_t resident_bytes = 0;
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->options.count; i++) {
        const struct worker *worker = &pool->workers[i];
        workers += worker_is_alive(worker);
        if (worker->state == WORKER_VACANT) {
            continue;
        }
        pid_t pid = worker->process.pid;
        pthread_mutex_unlock(&pool->lock);
        resident_bytes += pool->options.timing.rss(pid);
        pthread_mutex_lock(&pool->lock);
    }
    *ret_figures = pool->figures;
    pthread_mutex_unlock(&pool->lock);
    ret_figures->workers = workers;
    ret_figures->resident_bytes = resident_bytes;
}

/* ---- life ---- */

static void free_pool(struct worker_pool *pool)
{
    if (pool->wake >= 0) {
        sys_close(pool->wake);
    }
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    pool->magic = 0;
    mem_free(pool->signature);
    mem_free(pool->fds);
    mem_free(pool->workers);
    mem_free(pool);
}

void worker_pool_close(struct worker_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    CHECK_MAGIC(pool, POOL_MAGIC);
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->options.count; i++) {
        CHECK(pool->workers[i].state != WORKER_BUSY);
    }
    pool->closing = true;
    pthread_mutex_unlock(&pool->lock);
    sys_eventfd_signal(pool->wake);
    pthread_join(pool->supervisor, NULL);
    free_pool(pool);
}

static void set_timing(struct worker_pool_timing *timing)
{
    const struct worker_pool_timing usual = {
        .first_delay_ns = 100 * CLOCK_NS_PER_MS,
        .last_delay_ns = 30 * CLOCK_NS_PER_S,
        .memory_interval_ns = 250 * CLOCK_NS_PER_MS,
        .end_grace_ns = CLOCK_NS_PER_S,
        .rss = worker_process_rss,
    };
    timing->first_delay_ns =
        timing->first_delay_ns == 0 ? usual.first_delay_ns : timing->first_delay_ns;
    timing->last_delay_ns =
        timing->last_delay_ns == 0 ? usual.last_delay_ns : timing->last_delay_ns;
    timing->memory_interval_ns =
        timing->memory_interval_ns == 0 ? usual.memory_interval_ns : timing->memory_interval_ns;
    timing->end_grace_ns = timing->end_grace_ns == 0 ? usual.end_grace_ns : timing->end_grace_ns;
    timing->rss = timing->rss == NULL ? usual.rss : timing->rss;
}

/*
 * A process of our user may otherwise read our environment and memory and take our sockets
 * (ptrace(2), access mode checks), and workers are such processes.
 */
static void shut_others_out(void)
{
    CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
}

/* With all signals blocked: they are for the threads that wait for them. */
static int start_supervisor(struct worker_pool *pool)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
    int failed = pthread_create(&pool->supervisor, NULL, worker_supervise, pool);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return failed;
}

static int begin(struct worker_pool *pool, struct error *error)
{
    unsigned count = pool->options.count;
    pool->workers = mem_zalloc(count, sizeof(pool->workers[0]));
    pool->fds = mem_zalloc((size_t)count * WORKER_FD_COUNT + 1, sizeof(pool->fds[0]));
    if (pool->workers == NULL || pool->fds == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for workers");
    }
    pool->wake = sys_eventfd();
    if (pool->wake < 0) {
        return error_set(error, ERR_INTERNAL, "no eventfd: %s", sys_error_text(errno));
    }
    shut_others_out();
    int failed = start_supervisor(pool);
    if (failed != 0) {
        return error_set(error, ERR_INTERNAL, "no thread for workers: %s", sys_error_text(failed));
    }
    return ERR_OK;
}

int worker_pool_open(const struct worker_pool_options *options, struct worker_pool **ret_pool,
                     struct error *error)
{
    CHECK(options->count >= 1);
    struct worker_pool *pool = mem_zalloc(1, sizeof(*pool));
    if (pool == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for workers");
    }
    pool->magic = POOL_MAGIC;
    pool->options = *options;
    set_timing(&pool->options.timing);
    cond_init(&pool->changed);
    pthread_mutex_init(&pool->lock, NULL);
    pool->wake = -1;
    int status = begin(pool, error);
    if (status != ERR_OK) {
        free_pool(pool);
        return status;
    }
    pthread_mutex_lock(&pool->lock);
    while (pool->opening == WORKER_OPENING) {
        pthread_cond_wait(&pool->changed, &pool->lock);
    }
    bool opened = pool->opening == WORKER_OPENED;
    struct error why = pool->open_error;
    pthread_mutex_unlock(&pool->lock);
    if (!opened) {
        worker_pool_close(pool);
        return error_set(error, why.code, "%s", why.text);
    }
    *ret_pool = pool;
    return ERR_OK;
}
