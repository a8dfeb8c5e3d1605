#include "backend/worker_life.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define FAILURES_TO_BE_ILL 3
#define OPENING_TRIES 3
#define LOG_TAIL_BYTES ((size_t)1024 * 1024) /* read after the end; a pipe holds less */

__attribute__((format(printf, 3, 4))) static void say(const struct worker_pool *pool,
                                                      enum log_level level, const char *format, ...)
{
    const struct backend_observer *observer = pool->options.observer;
    if (observer == NULL || observer->line == NULL) {
        return;
    }
    char text[WORKER_REASON_MAX + 256];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0) {
        text[0] = '\0';
    }
    va_end(args);
    observer->line(observer->user, level, text);
}

static void tell_health(const struct worker_pool *pool, bool healthy)
{
    const struct backend_observer *observer = pool->options.observer;
    if (observer != NULL && observer->health != NULL) {
        observer->health(observer->user, healthy);
    }
}

/* ---- after an end ---- */

static uint64_t doubled_ns(uint64_t first_ns, uint64_t last_ns, unsigned times)
{
    uint64_t delay_ns = first_ns;
    for (unsigned i = 1; i < times && delay_ns < last_ns; i++) {
        delay_ns *= 2;
    }
    return times == 0 ? 0 : delay_ns > last_ns ? last_ns : delay_ns;
}

/*
 * With the lock held. One that never was of use (it cannot load the model, it is too large, it breaks the
 * protocol) makes the next wait longer and longer. One that was ready and died of its first run, or was killed in
 * it, may have been sent it by anybody: the wait stays within what runs wait for, and nobody is told of an
 * illness.
 */
static uint64_t choose_delay(const struct worker_pool *pool, struct worker *worker,
                             enum worker_end end)
{
    const struct worker_pool_timing *timing = &pool->options.timing;
    bool fell = worker->was_ready && (end == WORKER_END_DIED || end == WORKER_END_TIMEOUT ||
                                      (end == WORKER_END_MEMORY && worker->killed));
    worker->falls = worker->runs == 0 && fell ? worker->falls + 1 : 0;
    worker->failures = worker->runs == 0 && !fell ? worker->failures + 1 : 0;
    if (worker->falls > 0) {
        uint64_t near_ns =
            timing->last_delay_ns < WORKER_NEAR_NS ? timing->last_delay_ns : WORKER_NEAR_NS;
        return doubled_ns(timing->first_delay_ns, near_ns, worker->falls);
    }
    return doubled_ns(timing->first_delay_ns, timing->last_delay_ns, worker->failures);
}

/* With the lock held. */
static bool is_ill(const struct worker_pool *pool)
{
    bool failing = false;
    for (unsigned i = 0; i < pool->options.count; i++) {
        const struct worker *worker = &pool->workers[i];
        if (worker_is_alive(worker)) {
            return false;
        }
        failing = failing || worker->failures >= FAILURES_TO_BE_ILL;
    }
    return failing;
}

/* What became of a worker, for the log and for who waits for the first one. */
struct verdict {
    enum log_level level;
    char text[WORKER_REASON_MAX + 64];
    bool is_final; /* the next one would fare no better */
    struct error opening;
};

/* A process has gone, or could not be started: when is the next one? */
static void vacate(struct worker_pool *pool, struct worker *worker, enum worker_end end,
                   const struct verdict *verdict)
{
    pthread_mutex_lock(&pool->lock);
    uint64_t delay = choose_delay(pool, worker, end);
    unsigned failures = worker->failures + worker->falls;
    worker->state = WORKER_VACANT;
    worker->due_ns = clock_monotonic_ns() + delay;
    if (pool->retiring == worker && end != WORKER_END_MEMORY) {
        pool->retiring = NULL;
    }
    if (pool->opening == WORKER_OPENING && end != WORKER_END_CLOSED &&
        (verdict->is_final || worker->failures >= OPENING_TRIES)) {
        pool->opening = WORKER_NOT_OPENED;
        pool->open_error = verdict->opening;
    }
    bool quiet = pool->closing || pool->opening == WORKER_NOT_OPENED;
    bool fell_ill = !quiet && !pool->unhealthy && is_ill(pool);
    pool->unhealthy = pool->unhealthy || fell_ill;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    if (quiet) {
        return; /* who opens or closes is told otherwise, and nothing comes next */
    }
    if (failures == 0) {
        say(pool, verdict->level, "%s; another one is started", verdict->text);
    } else {
        say(pool, verdict->level, "%s; failures in a row: %u, the next start is in %" PRIu64 " ms",
            verdict->text, failures, delay / CLOCK_NS_PER_MS);
    }
    if (fell_ill) {
        tell_health(pool, false);
    }
}

static void describe_end(const struct worker *worker, int pid, int status, struct verdict *verdict)
{
    char how[96];
    worker_status_text(status, how, sizeof(how));
    const char *reason = worker->reason[0] == '\0' ? how : worker->reason;
    const char *became = "has gone";
    verdict->level = LOG_WARNING;
    verdict->is_final = worker->end != WORKER_END_DIED;
    switch (worker->end) {
    case WORKER_END_DIED:
    case WORKER_END_CLOSED:
        break;
    case WORKER_END_TIMEOUT:
        became = "was killed";
        break;
    case WORKER_END_MEMORY:
        became = worker->killed     ? "was killed"
                 : worker->runs < 2 ? "is replaced after a single run"
                                    : "is replaced";
        verdict->level = worker->killed || worker->runs < 2 ? LOG_WARNING : LOG_INFO;
        break;
    case WORKER_END_PROTOCOL:
        became = "was killed, it broke the protocol";
        break;
    case WORKER_END_REFUSED:
        became = "cannot be used";
        verdict->level = LOG_ERROR;
        break;
    }
    snprintf(verdict->text, sizeof(verdict->text), "worker %d %s: %s", pid, became, reason);
    error_set(&verdict->opening, ERR_CONFIG, "%s%s",
              worker->end == WORKER_END_REFUSED ? "" : "no worker was ready: ", reason);
}

/* With the lock held. */
static void count_end(struct worker_pool *pool, enum worker_end end)
{
    switch (end) {
    case WORKER_END_DIED:
        pool->figures.deaths++;
        break;
    case WORKER_END_TIMEOUT:
        pool->figures.kills[BACKEND_KILL_TIMEOUT]++;
        break;
    case WORKER_END_MEMORY:
        pool->figures.kills[BACKEND_KILL_MEMORY]++;
        break;
    case WORKER_END_PROTOCOL:
        pool->figures.kills[BACKEND_KILL_PROTOCOL]++;
        break;
    case WORKER_END_REFUSED:
    case WORKER_END_CLOSED:
        break;
    }
}

void worker_life_end(struct worker_pool *pool, struct worker *worker)
{
    int status = worker_process_wait(&worker->process, 0, NULL);
    uint64_t now_ns = clock_monotonic_ns();
    if (worker->has_log) {
        (void)worker_log_read(&worker->log, worker->process.log, LOG_TAIL_BYTES, now_ns);
    }
    worker_log_end(&worker->log, now_ns);
    struct verdict verdict;
    describe_end(worker, (int)worker->process.pid, status, &verdict);
    pthread_mutex_lock(&pool->lock);
    struct worker_process process = worker->process;
    worker->process.pid = 0; /* nobody looks at it any more */
    count_end(pool, worker->end);
    pthread_mutex_unlock(&pool->lock);
    worker_process_end(&process, NULL);
    vacate(pool, worker, worker->end, &verdict);
}

/* It has so long to end by itself. */
static void let_leave(struct worker_pool *pool, struct worker *worker)
{
    pthread_mutex_lock(&pool->lock);
    worker->state = WORKER_LEAVING;
    worker->due_ns = clock_monotonic_ns() + pool->options.timing.end_grace_ns;
    pthread_mutex_unlock(&pool->lock);
}

void worker_life_dismiss(struct worker_pool *pool, struct worker *worker)
{
    const struct worker_packet farewell = {.type = WORKER_END, .version = WORKER_VERSION};
    struct error error;
    if (!worker->killed && worker_process_send(&worker->process, &farewell, &error) == ERR_OK) {
        let_leave(pool, worker);
    } else {
        worker_life_end(pool, worker);
    }
}

/* ---- the beginning ---- */

/* One that cannot be told has ended already, which is seen soon. */
static int greet(const struct worker_pool *pool, struct worker_process *process,
                 struct error *error)
{
    struct slice hello = pool->options.hello;
    int status = worker_area_reserve(&process->input, hello.len, error);
    if (status != ERR_OK) {
        return status;
    }
    memcpy(process->input.at, hello.ptr, hello.len);
    const struct worker_packet packet = {
        .type = WORKER_HELLO,
        .version = WORKER_VERSION,
        .oldest = WORKER_VERSION,
        .newest = WORKER_VERSION,
        .area_bytes = process->input.mapped_bytes,
        .offset = 0,
        .size_bytes = hello.len,
    };
    struct error unheard;
    (void)!worker_process_send(process, &packet, &unheard);
    return ERR_OK;
}

void worker_life_start(struct worker_pool *pool, struct worker *worker)
{
    struct worker_process process;
    struct error error;
    int status = worker_process_start(&pool->options.command, &process, &error);
    if (status == ERR_OK) {
        status = greet(pool, &process, &error);
        if (status != ERR_OK) {
            worker_process_end(&process, NULL);
        }
    }
    if (status != ERR_OK) {
        struct verdict verdict = {
            .level = LOG_ERROR, .is_final = status == ERR_CONFIG, .opening = error};
        snprintf(verdict.text, sizeof(verdict.text), "no worker: %s", error.text);
        worker->runs = 0;
        worker->was_ready = false;
        vacate(pool, worker, WORKER_END_DIED, &verdict);
        return;
    }
    worker_log_init(&worker->log, process.pid, pool->options.observer);
    worker->has_log = true;
    uint64_t timeout_ns = pool->options.start_timeout_ns;
    pthread_mutex_lock(&pool->lock);
    pool->figures.starts++;
    worker->process = process;
    worker->state = WORKER_GREETED;
    worker->due_ns = timeout_ns == 0 ? 0 : clock_monotonic_ns() + timeout_ns;
    worker->runs = 0;
    worker->was_ready = false;
    worker->has_ended = false;
    worker->retires = false;
    worker->killed = false;
    pthread_mutex_unlock(&pool->lock);
}

static void condemn(struct worker_pool *pool, struct worker *worker, enum worker_end end,
                    const char *reason)
{
    pthread_mutex_lock(&pool->lock);
    worker_doom(worker, end, true, reason);
    pthread_mutex_unlock(&pool->lock);
}

/* The signature in a READY, still in shared memory. ERR_PROTOCOL, or what worker_area_follow returns. */
static int find_signature(struct worker_process *process, const struct worker_packet *ready,
                          struct slice *ret_signature, struct error *error)
{
    int status =
        worker_area_follow(&process->output, ready->area_bytes, WORKER_OUTPUT_MAX_BYTES, error);
    if (status != ERR_OK) {
        return status;
    }
    if (ready->size_bytes > WORKER_SIGNATURE_MAX_BYTES || ready->offset > ready->area_bytes ||
        ready->size_bytes > ready->area_bytes - ready->offset) {
        error_set(error, ERR_PROTOCOL, "its signature is too large or outside its area");
        return ERR_PROTOCOL;
    }
    *ret_signature = slice_make(process->output.at + ready->offset, ready->size_bytes);
    return ERR_OK;
}

/* The first signature is the model's; false where this one is another. */
static bool keep_signature(struct worker_pool *pool, struct slice signature, const char **ret_why)
{
    if (pool->signature != NULL) {
        *ret_why = "the model has changed on disk; a reload (SIGHUP) takes the new one";
        return slice_eq(signature, slice_make(pool->signature, pool->signature_bytes));
    }
    char *copy = mem_alloc(signature.len);
    if (copy == NULL) {
        *ret_why = "no memory for its signature";
        return false;
    }
    memcpy(copy, signature.ptr, signature.len);
    pool->signature = copy; /* others look after open has returned, which takes the lock */
    pool->signature_bytes = signature.len;
    return true;
}

static void welcome(struct worker_pool *pool, struct worker *worker)
{
    pthread_mutex_lock(&pool->lock);
    worker->state = WORKER_IDLE;
    worker->was_ready = true;
    worker->due_ns = 0;
    if (pool->retiring == worker) {
        pool->retiring = NULL;
    }
    if (pool->opening == WORKER_OPENING) {
        pool->opening = WORKER_OPENED;
    }
    bool recovered = pool->unhealthy;
    pool->unhealthy = false;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    say(pool, LOG_INFO, "worker %d is ready", (int)worker->process.pid);
    if (recovered) {
        tell_health(pool, true);
    }
}

/* One that has more than it may with the model alone would be replaced for ever. */
static bool fits_in_memory(const struct worker_pool *pool, const struct worker *worker,
                           char reason[WORKER_REASON_MAX])
{
    uint64_t limit = pool->options.max_rss_bytes;
    uint64_t resident = limit == 0 ? 0 : pool->options.timing.rss(worker->process.pid);
    if (resident <= limit) {
        return true;
    }
    snprintf(reason, WORKER_REASON_MAX,
             "with the model loaded and no run yet it has %" PRIu64
             " MiB in memory, and WORKER_MAX_RSS_MB is %" PRIu64,
             resident / MEBIBYTE, limit / MEBIBYTE);
    return false;
}

static void hear_ready(struct worker_pool *pool, struct worker *worker,
                       const struct worker_packet *ready)
{
    struct slice signature = {NULL, 0};
    struct error error;
    const char *why;
    char reason[WORKER_REASON_MAX];
    int status = find_signature(&worker->process, ready, &signature, &error);
    if (status != ERR_OK) {
        condemn(pool, worker, status == ERR_PROTOCOL ? WORKER_END_PROTOCOL : WORKER_END_REFUSED,
                error.text);
    } else if (!keep_signature(pool, signature, &why)) {
        condemn(pool, worker, WORKER_END_REFUSED, why);
    } else if (!fits_in_memory(pool, worker, reason)) {
        condemn(pool, worker, WORKER_END_REFUSED, reason);
    } else {
        welcome(pool, worker);
    }
}

static void hear_packet(struct worker_pool *pool, struct worker *worker,
                        const struct worker_packet *packet)
{
    char reason[64];
    if (packet->type == WORKER_FAILED) {
        struct error cut; /* to one line */
        error_set(&cut, ERR_CONFIG, "%.*s", SLICE_FMT(packet->text));
        condemn(pool, worker, WORKER_END_REFUSED, cut.text);
    } else if (packet->version != WORKER_VERSION) {
        snprintf(reason, sizeof(reason), "it speaks version %u", packet->version);
        condemn(pool, worker, WORKER_END_PROTOCOL, reason);
    } else if (packet->type == WORKER_WELCOME && worker->state == WORKER_GREETED) {
        pthread_mutex_lock(&pool->lock);
        worker->state = WORKER_LOADING;
        pthread_mutex_unlock(&pool->lock);
    } else if (packet->type == WORKER_READY && worker->state == WORKER_LOADING) {
        hear_ready(pool, worker, packet);
    } else {
        snprintf(reason, sizeof(reason), "a packet of type %d is out of turn", (int)packet->type);
        condemn(pool, worker, WORKER_END_PROTOCOL, reason);
    }
}

/* One that is ready may be taken by others from that moment on. */
static bool still_starting(struct worker_pool *pool, const struct worker *worker)
{
    pthread_mutex_lock(&pool->lock);
    bool starting = worker_is_starting(worker);
    pthread_mutex_unlock(&pool->lock);
    return starting;
}

void worker_life_hear(struct worker_pool *pool, struct worker *worker)
{
    while (still_starting(pool, worker)) {
        struct worker_packet packet;
        struct error error;
        switch (worker_process_receive(&worker->process, 1, pool->packet, &packet, &error)) {
        case WORKER_ANSWERED:
            hear_packet(pool, worker, &packet);
            break;
        case WORKER_SILENT:
            return;
        case WORKER_BREACH:
            condemn(pool, worker, WORKER_END_PROTOCOL, error.text);
            break;
        case WORKER_GONE:
        case WORKER_UNHEARD:
            pthread_mutex_lock(&pool->lock);
            worker_doom(worker, WORKER_END_DIED, true, NULL);
            pthread_mutex_unlock(&pool->lock);
            let_leave(pool, worker); /* its exit code comes a moment later */
            return;
        }
    }
}
