/*
 * The thread that starts the workers, which therefore must outlive them (PR_SET_PDEATHSIG), and watches
 * over them. It waits in one poll(2) for all of them, so that one that hangs keeps nobody up, and has no
 * timer where there is nothing to be late for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backend/worker_life.h"
#include "backend/worker_slot.h"
#include "base/clock.h"
#include "base/sys.h"
#include "tensor/buffer.h"

#define LOG_TURN_BYTES ((size_t)16 * 1024) /* of one worker's log a turn */

/* ---- memory ---- */

/* With the lock held. */
static void judge_memory(struct worker_pool *pool, struct worker *worker)
{
    uint64_t limit = pool->options.max_rss_bytes;
    uint64_t resident = pool->options.timing.rss(worker->process.pid);
    if (resident <= limit) {
        return;
    }
    char reason[WORKER_REASON_MAX];
    snprintf(reason, sizeof(reason), "it had %" PRIu64 " MiB in memory, and may have %" PRIu64,
             resident / MEBIBYTE, limit / MEBIBYTE);
    if (worker->state == WORKER_BUSY && resident - limit > limit / 2) {
        worker_doom(worker, WORKER_END_MEMORY, true, reason);
        worker->state = WORKER_BUSY; /* until its runner has seen it */
        worker_process_kill(&worker->process);
    } else if (pool->retiring == NULL) {
        pool->retiring = worker; /* one at a time: the others go on */
        bool busy = worker->state == WORKER_BUSY;
        worker_doom(worker, WORKER_END_MEMORY, false, reason);
        worker->state = busy ? WORKER_BUSY : WORKER_OVER;
        worker->retires = true;
    }
}

static void look_at_memory(struct worker_pool *pool, uint64_t now_ns)
{
    if (pool->options.max_rss_bytes == 0 || now_ns < pool->memory_due_ns) {
        return;
    }
    pool->memory_due_ns = now_ns + pool->options.timing.memory_interval_ns;
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->options.count; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker_is_alive(worker) && !worker->killed && !worker->has_ended) {
            judge_memory(pool, worker);
        }
    }
    pthread_mutex_unlock(&pool->lock);
}

/* ---- one worker ---- */

/* With the lock held: what time and the pool's own end mean for it. */
static void review(struct worker_pool *pool, struct worker *worker, bool stops, bool is_due)
{
    char reason[WORKER_REASON_MAX];
    if (worker->state == WORKER_IDLE && worker->has_ended) {
        worker_doom(worker, WORKER_END_DIED, true, NULL);
    } else if (worker->state == WORKER_IDLE && stops) {
        worker_doom(worker, WORKER_END_CLOSED, false, NULL);
    } else if (worker_is_starting(worker) && stops) {
        worker_doom(worker, WORKER_END_CLOSED, true, NULL);
    } else if (worker_is_starting(worker) && is_due) {
        snprintf(reason, sizeof(reason), "it was not ready within %" PRIu64 " ms",
                 pool->options.start_timeout_ns / CLOCK_NS_PER_MS);
        worker_doom(worker, WORKER_END_TIMEOUT, true, reason);
    } else if (worker_is_starting(worker) && worker->has_ended) {
        worker_doom(worker, WORKER_END_DIED, true, NULL);
    } else if (worker->state == WORKER_LEAVING && is_due && worker->end == WORKER_END_DIED) {
        snprintf(worker->reason, sizeof(worker->reason), "it has closed its socket");
    }
}

static void tend(struct worker_pool *pool, struct worker *worker, uint64_t now_ns)
{
    pthread_mutex_lock(&pool->lock);
    bool stops = pool->closing || pool->opening == WORKER_NOT_OPENED;
    bool is_due = worker->due_ns != 0 && worker->due_ns <= now_ns;
    review(pool, worker, stops, is_due);
    enum worker_state state = worker->state;
    bool has_ended = worker->has_ended;
    bool starts = !stops && (is_due || worker->due_ns == 0);
    pthread_mutex_unlock(&pool->lock);
    if (state == WORKER_VACANT && starts) {
        worker_life_start(pool, worker);
    } else if (state == WORKER_OVER) {
        worker_life_dismiss(pool, worker);
    } else if (state == WORKER_LEAVING && (has_ended || is_due)) {
        worker_life_end(pool, worker);
    }
}

/* ---- all of them ---- */

static void sooner(uint64_t *due_ns, uint64_t other_ns)
{
    if (other_ns != 0 && (*due_ns == 0 || other_ns < *due_ns)) {
        *due_ns = other_ns;
    }
}

/* What to wait for; returns until when at most, 0 for ever. */
static uint64_t prepare(struct worker_pool *pool)
{
    uint64_t due_ns = 0;
    bool alive = false;
    pool->fds[0] = (struct pollfd){.fd = pool->wake, .events = POLLIN};
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->options.count; i++) {
        const struct worker *worker = &pool->workers[i];
        struct pollfd *fds = &pool->fds[1 + i * WORKER_FD_COUNT];
        for (int each = 0; each < WORKER_FD_COUNT; each++) {
            fds[each] = (struct pollfd){.fd = -1, .events = POLLIN};
        }
        if (worker->state == WORKER_VACANT) {
            sooner(&due_ns, pool->closing ? 0 : worker->due_ns);
            continue;
        }
        fds[WORKER_FD_END].fd = worker->has_ended ? -1 : worker->process.pidfd;
        fds[WORKER_FD_LOG].fd = worker->has_log ? worker->process.log : -1;
        fds[WORKER_FD_SOCKET].fd = worker_is_starting(worker) ? worker->process.socket : -1;
        sooner(&due_ns, worker_is_alive(worker) ? 0 : worker->due_ns);
        sooner(&due_ns, worker_log_due_ns(&worker->log));
        alive = alive || worker_is_alive(worker);
    }
    pthread_mutex_unlock(&pool->lock);
    sooner(&due_ns, alive && pool->options.max_rss_bytes != 0 ? pool->memory_due_ns : 0);
    return due_ns;
}

static void attend(struct worker_pool *pool, struct worker *worker, const struct pollfd *fds,
                   uint64_t now_ns)
{
    if (fds[WORKER_FD_LOG].fd >= 0 && fds[WORKER_FD_LOG].revents != 0) {
        worker->has_log =
            worker_log_read(&worker->log, worker->process.log, LOG_TURN_BYTES, now_ns);
    }
    worker_log_tick(&worker->log, now_ns);
    bool ended = fds[WORKER_FD_END].fd >= 0 && fds[WORKER_FD_END].revents != 0;
    bool starting = fds[WORKER_FD_SOCKET].fd >= 0;
    if (starting && (ended || fds[WORKER_FD_SOCKET].revents != 0)) {
        worker_life_hear(pool, worker); /* before its end: it may have said why */
    }
    if (ended) {
        pthread_mutex_lock(&pool->lock);
        worker->has_ended = true;
        pthread_mutex_unlock(&pool->lock);
    }
}

static bool all_gone(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool gone = pool->closing;
    for (unsigned i = 0; gone && i < pool->options.count; i++) {
        gone = pool->workers[i].state == WORKER_VACANT;
    }
    pthread_mutex_unlock(&pool->lock);
    return gone;
}

void *worker_supervise(void *argument)
{
    struct worker_pool *pool = argument;
    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        look_at_memory(pool, now_ns);
        for (unsigned i = 0; i < pool->options.count; i++) {
            tend(pool, &pool->workers[i], now_ns);
        }
        if (all_gone(pool)) {
            break;
        }
        uint64_t due_ns = prepare(pool);
        if (worker_poll(pool->fds, (nfds_t)1 + pool->options.count * WORKER_FD_COUNT, due_ns) < 0) {
            continue; /* no memory for it: the next turn tries again */
        }
        uint64_t woken;
        (void)!sys_read(pool->wake, &woken, sizeof(woken));
        now_ns = clock_monotonic_ns();
        for (unsigned i = 0; i < pool->options.count; i++) {
            attend(pool, &pool->workers[i], &pool->fds[1 + i * WORKER_FD_COUNT], now_ns);
        }
    }
    buffer_recycler_done();
    return NULL;
}
