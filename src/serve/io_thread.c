#include "serve/io_thread.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "net/conn.h"
#include "http/gzip.h"
#include "serve/grpc.h"
#include "serve/session.h"
#include "serve/spread.h"

/* An answer fits a conn's queue behind its head, whatever a client has pipelined before. */
_Static_assert(INFER_REPLY_MAX_BYTES <= CONN_OUTPUT_MAX_BYTES - 2 * CONN_OUTPUT_HIGH_BYTES,
               "an answer must fit a connection's queue");

static struct io_thread *of_mail(struct loop_mail *mail, size_t offset)
{
    return (struct io_thread *)(void *)((char *)mail - offset);
}

/* ---- the model ---- */

static void on_health_mail(struct loop_mail *mail)
{
    struct io_thread *io = of_mail(mail, offsetof(struct io_thread, health_mail));
    atomic_store(&io->health_mail_sent, false); /* before the look: what changes later is mailed */
    grpc_tell_watchers(io);
}

void io_threads_tell_health(struct server_shared *shared)
{
    for (unsigned i = 0; i < shared->thread_count; i++) {
        struct io_thread *io = &shared->threads[i];
        if (!atomic_exchange(&io->health_mail_sent, true)) {
            loop_post(io->loop, &io->health_mail);
        }
    }
}

static void on_deploy_mail(struct loop_mail *mail)
{
    struct io_thread *io = of_mail(mail, offsetof(struct io_thread, deploy_mail));
    struct deployment *next = atomic_exchange(&io->deploy_next, NULL);
    if (next == NULL) {
        return; /* a later deployment came with the same mail */
    }
    while (!inline_queue_is_empty(&io->queue)) {
        inline_queue_run(&io->queue, loop_now_ns(io->loop)); /* the old model's last jobs */
    }
    metrics_shard_use_model(io->metrics, next->metrics_model);
    inline_queue_set_target(&io->queue, &next->target);
    struct deployment *old = io->deployment;
    io->deployment = next;
    if (old == NULL && atomic_fetch_add(&io->shared->deployed, 1) + 1 == io->shared->thread_count) {
        io_threads_tell_health(io->shared);
    }
    deployment_unref(old);
    grpc_tell_watchers(io);
}

void io_thread_deploy(struct io_thread *io, struct deployment *deployment)
{
    struct deployment *overtaken = atomic_exchange(&io->deploy_next, deployment);
    if (overtaken != NULL) {
        deployment_unref(overtaken); /* its mail is on the way and will find this one */
        return;
    }
    loop_post(io->loop, &io->deploy_mail);
}

static void run_turn(struct loop_task *task)
{
    struct io_thread *io =
        (struct io_thread *)(void *)((char *)task - offsetof(struct io_thread, turn_task));
    if (!inline_queue_is_empty(&io->queue)) {
        inline_queue_run(&io->queue, loop_now_ns(io->loop));
    }
    if (!inline_queue_is_empty(&io->queue)) {
        size_t jobs = placement_hand_over(&io->deployment->placement, &io->queue);
        metrics_count(io->metrics, METRIC_JOBS_HANDED_OVER, SERIES_NONE, jobs);
    }
    if (!inline_queue_is_empty(&io->queue)) {
        /* What did not fit this run is not kept waiting by what arrives, nor the reverse. */
        loop_defer_next(io->loop, &io->turn_task);
    }
}

static void on_job(struct inline_queue *queue)
{
    struct io_thread *io =
        (struct io_thread *)(void *)((char *)queue - offsetof(struct io_thread, queue));
    loop_defer(io->loop, &io->turn_task);
}

static void stop_when_idle(struct io_thread *io)
{
    if (atomic_load(&io->shared->draining) && io->sessions == NULL && io->inferences == 0 &&
        atomic_load(&io->arriving) == 0) {
        loop_stop(io->loop);
    }
}

/* ---- execution slots ---- */

static void set_slot_timer(struct io_thread *io)
{
    uint64_t due_ns = io->slot_first == NULL ? UINT64_MAX : io->slot_first->slot_deadline_ns;
    /* Set since io_thread_init: moving it cannot fail. */
    CHECK(loop_timer_set(io->loop, &io->slot_timer, due_ns) == ERR_OK);
}

static struct exchange *take_waiting(struct io_thread *io)
{
    struct exchange *exchange = io->slot_first;
    io->slot_first = exchange->next;
    if (io->slot_first == NULL) {
        io->slot_end = &io->slot_first;
    }
    exchange->next = NULL;
    exchange->waits_for_slot = false;
    atomic_fetch_sub(&io->slot_waiting, 1);
    atomic_fetch_sub(&io->shared->admission.waiting, 1);
    return exchange;
}

static void serve_waiting(struct io_thread *io)
{
    while (io->slot_first != NULL && admission_enter(&io->shared->admission)) {
        struct exchange *exchange = take_waiting(io);
        exchange->has_slot = true;
        exchange_on_slot(exchange);
    }
    set_slot_timer(io);
}

static void on_slot_due(struct loop_timer *timer)
{
    struct io_thread *io =
        (struct io_thread *)(void *)((char *)timer - offsetof(struct io_thread, slot_timer));
    set_slot_timer(io); /* first of all, while it cannot fail */
    while (io->slot_first != NULL && io->slot_first->slot_deadline_ns <= loop_now_ns(io->loop)) {
        exchange_on_no_slot(take_waiting(io));
    }
    set_slot_timer(io);
}

static void on_wake_mail(struct loop_mail *mail)
{
    struct io_thread *io = of_mail(mail, offsetof(struct io_thread, wake_mail));
    atomic_store(&io->wake_mail_sent, false);
    serve_waiting(io);
    stop_when_idle(io);
}

void io_thread_enter_slot(struct io_thread *io, struct exchange *exchange)
{
    if (io->slot_first == NULL && admission_enter(&io->shared->admission)) {
        exchange->has_slot = true;
        exchange_on_slot(exchange);
        return;
    }
    exchange->waits_for_slot = true;
    exchange->slot_deadline_ns = loop_now_ns(io->loop) + io->shared->settings.acquire_timeout_ns;
    exchange->next = NULL;
    *io->slot_end = exchange;
    io->slot_end = &exchange->next;
    atomic_fetch_add(&io->slot_waiting, 1);
    atomic_fetch_add(&io->shared->admission.waiting, 1);
    /* Counted first, tried again after: a slot given back in between is not missed. */
    serve_waiting(io);
}

void io_thread_wake(struct io_thread *io)
{
    if (!atomic_exchange(&io->wake_mail_sent, true)) {
        loop_post(io->loop, &io->wake_mail);
    }
}

static void wake_waiting_threads(struct io_thread *io)
{
    for (unsigned i = 0; i < io->shared->thread_count; i++) {
        struct io_thread *other = &io->shared->threads[i];
        if (atomic_load(&other->slot_waiting) > 0) {
            io_thread_wake(other);
        }
    }
}

void io_thread_leave_slot(struct io_thread *io)
{
    if (admission_leave(&io->shared->admission)) {
        wake_waiting_threads(io);
    }
}

void io_thread_stop_waiting(struct io_thread *io, struct exchange *exchange)
{
    for (struct exchange **at = &io->slot_first; *at != NULL; at = &(*at)->next) {
        if (*at == exchange) {
            *at = exchange->next;
            if (*at == NULL) {
                io->slot_end = at;
            }
            exchange->next = NULL;
            exchange->waits_for_slot = false;
            atomic_fetch_sub(&io->slot_waiting, 1);
            atomic_fetch_sub(&io->shared->admission.waiting, 1);
            break;
        }
    }
    set_slot_timer(io);
}

/* ---- memory ---- */

/* Once a flood, or once a second of one: what it costs is nothing to that. */
#define TRIM_DELAY_NS CLOCK_NS_PER_S

static void on_trim_due(struct loop_timer *timer)
{
    struct io_thread *io =
        (struct io_thread *)(void *)((char *)timer - offsetof(struct io_thread, trim_timer));
    CHECK(loop_timer_set(io->loop, &io->trim_timer, UINT64_MAX) == ERR_OK);
    io->trim_is_due = false;
    mem_trim();
}

void io_thread_trim_soon(struct io_thread *io)
{
    if (!io->trim_is_due) {
        io->trim_is_due = true;
        uint64_t due_ns = loop_now_ns(io->loop) + TRIM_DELAY_NS;
        CHECK(loop_timer_set(io->loop, &io->trim_timer, due_ns) == ERR_OK);
    }
}

/* ---- connections ---- */

static void on_accept(void *user, int fd)
{
    spread_accept(user, fd, SESSION_PORT_ANY);
}

static void on_grpc_accept(void *user, int fd)
{
    spread_accept(user, fd, SESSION_PORT_GRPC);
}

/* Clients must not wait in the kernel's queue for nobody. */
static void stop_accepting(struct acceptor *acceptor, int listen_fd)
{
    if (acceptor != NULL) {
        acceptor_stop(acceptor);
        listener_shut(listen_fd);
    }
}

void io_thread_on_session_end(struct io_thread *io)
{
    stop_when_idle(io);
}

static void on_drain_mail(struct loop_mail *mail)
{
    struct io_thread *io = of_mail(mail, offsetof(struct io_thread, drain_mail));
    stop_accepting(io->acceptor, io->shared->listen_fd);
    stop_accepting(io->grpc_acceptor, io->shared->grpc_listen_fd);
    session_drain_all(io);
    grpc_tell_watchers(io);
    stop_when_idle(io);
}

void io_thread_drain(struct io_thread *io)
{
    loop_post(io->loop, &io->drain_mail);
}

/* ---- small things ---- */

struct slice io_thread_date(struct io_thread *io)
{
    uint64_t now_ns = loop_now_ns(io->loop);
    if (io->date_len == 0 || now_ns - io->date_made_ns >= CLOCK_NS_PER_S / 2) {
        time_t seconds = (time_t)(clock_realtime_ns() / CLOCK_NS_PER_S);
        struct tm utc;
        gmtime_r(&seconds, &utc);
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        char text[64];
        int len = snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                           days + utc.tm_wday * 3, utc.tm_mday, months + utc.tm_mon * 3,
                           utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
        CHECK(len > 0 && (size_t)len < sizeof(io->date));
        memcpy(io->date, text, (size_t)len);
        io->date_len = (size_t)len;
        io->date_made_ns = now_ns;
    }
    return slice_make(io->date, io->date_len);
}

void io_thread_make_request_id(struct io_thread *io, char text[32])
{
    for (int half = 0; half < 2; half++) {
        uint64_t bits = random_next(&io->random);
        hex_put_bits(text + half * 16, (uint32_t)bits);
        hex_put_bits(text + half * 16 + 8, (uint32_t)(bits >> 32));
    }
}

/* ---- life ---- */

static int open_acceptors(struct io_thread *io, struct error *error)
{
    struct server_shared *shared = io->shared;
    int status = acceptor_new(io->loop, shared->listen_fd, on_accept, io, &io->acceptor, error);
    if (status == ERR_OK && shared->grpc_listen_fd >= 0) {
        status = acceptor_new(io->loop, shared->grpc_listen_fd, on_grpc_accept, io,
                              &io->grpc_acceptor, error);
    }
    return status;
}

int io_thread_init(struct io_thread *io, struct server_shared *shared, struct error *error)
{
    *io = (struct io_thread){.shared = shared};
    io->slot_end = &io->slot_first;
    io->slot_timer.on_due = on_slot_due;
    io->trim_timer.on_due = on_trim_due;
    io->wake_mail.deliver = on_wake_mail;
    io->deploy_mail.deliver = on_deploy_mail;
    io->drain_mail.deliver = on_drain_mail;
    io->health_mail.deliver = on_health_mail;
    io->turn_task.run = run_turn;
    bytes_init(&io->reply, INFER_REPLY_MAX_BYTES);
    bytes_init(&io->frame, INFER_REPLY_MAX_BYTES);
    random_seed(&io->random);
    io->metrics = metrics_add_shard(shared->metrics);
    if (io->metrics == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory");
    }
    io->spans = tracing_ring(shared->tracing, (unsigned)(io - shared->threads));
    inline_queue_init(&io->queue, io->metrics, shared->clock_ns, on_job);
    int status = loop_new(&io->loop, error);
    /* Set once, so that moving them cannot fail. */
    if (status == ERR_OK && (loop_timer_set(io->loop, &io->slot_timer, UINT64_MAX) != ERR_OK ||
                             loop_timer_set(io->loop, &io->trim_timer, UINT64_MAX) != ERR_OK)) {
        status = error_set(error, ERR_NO_MEMORY, "no memory for a timer");
    }
    if (status == ERR_OK) {
        returns_init(&io->returns, io->loop, io->metrics);
        status = open_acceptors(io, error);
    }
    return status;
}

/* What is the thread's own; its loop stays for those who may still post to it. */
static void release(struct io_thread *io)
{
    acceptor_free(io->acceptor); /* first: no new connection after this */
    acceptor_free(io->grpc_acceptor);
    io->acceptor = io->grpc_acceptor = NULL; /* mail that comes below may ask for them */
    session_close_all(io);
    if (io->loop != NULL) {
        loop_turn(io->loop, 0); /* lets closed connections end */
        loop_timer_cancel(io->loop, &io->slot_timer);
        loop_timer_cancel(io->loop, &io->trim_timer);
        loop_undefer(io->loop, &io->turn_task);
    }
    while (io->free_exchanges != NULL) {
        struct exchange *exchange = io->free_exchanges;
        io->free_exchanges = exchange->next;
        exchange_destroy(exchange);
    }
    CHECK(io->inferences == 0);
    inline_queue_done(&io->queue);
    bytes_done(&io->reply);
    bytes_done(&io->frame);
    gzip_free(io->gzip);
    deployment_unref(io->deployment);
    io->deployment = NULL;
    io->released = true;
}

void io_thread_drop_next(struct io_thread *io)
{
    deployment_unref(atomic_exchange(&io->deploy_next, NULL));
}

void io_thread_done(struct io_thread *io)
{
    if (io->metrics == NULL) {
        return; /* init did not come far */
    }
    if (!io->released) {
        release(io);
    }
    io_thread_drop_next(io);
    loop_free(io->loop);
}

static void *run(void *argument)
{
    struct io_thread *io = argument;
    loop_run(io->loop);
    release(io);
    buffer_recycler_done();
    return NULL;
}

int io_thread_start(struct io_thread *io, struct error *error)
{
    int failed = pthread_create(&io->thread, NULL, run, io);
    if (failed != 0) {
        return error_set(error, ERR_INTERNAL, "no I/O thread: %s", strerrordesc_np(failed));
    }
    return ERR_OK;
}

void io_thread_join(struct io_thread *io)
{
    pthread_join(io->thread, NULL);
}
