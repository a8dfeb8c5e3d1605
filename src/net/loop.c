/*
 * The event loop. It knows descriptors and times, not what they mean. Everything belongs to the
 * loop's thread except three words that others touch: the mailbox, `asleep` and `stopping`.
 *
 * Waking a loop is a write to an eventfd, and only needed while it sleeps: the loop sets `asleep`,
 * then looks at the mailbox, then waits; a sender posts, then looks at `asleep`. All of it is
 * sequentially consistent, so at least one of the two sees the other. Whoever turns `asleep` back
 * to false writes, so that a thousand posts to a sleeping loop are one write, and posts to a busy
 * one none. The eventfd is edge-triggered: it is never read.
 */
#include "net/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/chunks.h"
#include "net/mailbox.h"
#include "net/timers.h"

#define LOOP_MAGIC UINT32_C(0x6c6f6f70)
#define LOOP_EVENTS_MAX 256

struct loop {
    uint32_t magic;
    int epoll_fd;
    int wake_fd;
    bool running; /* a turn or loop_run is on `thread` */
    pthread_t thread;
    uint64_t now_ns;
    size_t sources;
    int fetched;  /* how many of `events` the last wait filled */
    int dispatch; /* the next of them to serve; == fetched outside the dispatch */
    struct timers timers;
    struct chunks chunks;
    struct loop_task tasks; /* circular lists: these are their heads */
    struct loop_task last_tasks;
    struct loop_task next_tasks;
    struct mailbox mailbox;
    atomic_bool asleep;
    atomic_bool stopping;
    struct epoll_event events[LOOP_EVENTS_MAX];
};

static void check_thread(const struct loop *loop)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    CHECK(!loop->running || pthread_equal(loop->thread, pthread_self()));
}

static void list_init(struct loop_task *head)
{
    head->next = head->previous = head;
}

static bool list_is_empty(const struct loop_task *head)
{
    return head->next == head;
}

static void list_append(struct loop_task *head, struct loop_task *task)
{
    task->next = head;
    task->previous = head->previous;
    head->previous->next = task;
    head->previous = task;
}

static void list_remove(struct loop_task *task)
{
    task->previous->next = task->next;
    task->next->previous = task->previous;
    task->next = task->previous = NULL;
}

static bool has_tasks(const struct loop *loop)
{
    return !list_is_empty(&loop->tasks) || !list_is_empty(&loop->last_tasks) ||
           !list_is_empty(&loop->next_tasks);
}

static int open_descriptors(struct loop *loop, struct error *error)
{
    loop->epoll_fd = sys_epoll_create();
    if (loop->epoll_fd < 0) {
        return error_set(error, ERR_INTERNAL, "epoll_create1: %s", sys_error_text(errno));
    }
    loop->wake_fd = sys_eventfd();
    if (loop->wake_fd < 0) {
        return error_set(error, ERR_INTERNAL, "eventfd: %s", sys_error_text(errno));
    }
    /* A NULL source: waking is all it is for. */
    if (sys_epoll_set(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, EPOLLIN | EPOLLET, NULL) != 0) {
        return error_set(error, ERR_INTERNAL, "epoll_ctl: %s", sys_error_text(errno));
    }
    return ERR_OK;
}

int loop_new(struct loop **ret_loop, struct error *error)
{
    struct loop *loop = mem_zalloc(1, sizeof(*loop));
    if (loop == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for an event loop");
    }
    loop->magic = LOOP_MAGIC;
    loop->epoll_fd = loop->wake_fd = -1;
    loop->now_ns = sys_monotonic_ns();
    timers_init(&loop->timers);
    chunks_init(&loop->chunks, CHUNKS_KEPT_MAX_BYTES);
    list_init(&loop->tasks);
    list_init(&loop->last_tasks);
    list_init(&loop->next_tasks);
    mailbox_init(&loop->mailbox);
    atomic_init(&loop->asleep, false);
    atomic_init(&loop->stopping, false);
    int status = open_descriptors(loop, error);
    if (status != ERR_OK) {
        loop_free(loop);
        return status;
    }
    *ret_loop = loop;
    return ERR_OK;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    check_thread(loop);
    CHECK(!loop->running && loop->sources == 0);
    CHECK(!has_tasks(loop));
    timers_done(&loop->timers);
    chunks_done(&loop->chunks);
    if (loop->wake_fd >= 0) {
        sys_close(loop->wake_fd);
    }
    if (loop->epoll_fd >= 0) {
        sys_close(loop->epoll_fd);
    }
    loop->magic = 0;
    mem_free(loop);
}

/* How long the wait may take: not past the next timer, rounded up so that it is not early. */
static int wait_ms(const struct loop *loop, int max_wait_ms)
{
    uint64_t next_ns = timers_next_ns(&loop->timers);
    if (has_tasks(loop) || next_ns <= loop->now_ns) {
        return 0;
    }
    if (next_ns == UINT64_MAX) {
        return max_wait_ms;
    }
    uint64_t ms = (next_ns - loop->now_ns - 1) / CLOCK_NS_PER_MS + 1;
    int most_ms = max_wait_ms < 0 ? INT_MAX : max_wait_ms;
    return ms > (uint64_t)most_ms ? most_ms : (int)ms;
}

static void wait_for_events(struct loop *loop, int max_wait_ms)
{
    int timeout_ms = wait_ms(loop, max_wait_ms);
    if (timeout_ms != 0) {
        atomic_store(&loop->asleep, true);
        if (!mailbox_is_empty(&loop->mailbox) || atomic_load(&loop->stopping)) {
            timeout_ms = 0;
        }
    }
    int count = sys_epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, timeout_ms);
    atomic_store(&loop->asleep, false);
    loop->now_ns = sys_monotonic_ns();
    loop->dispatch = 0;
    loop->fetched = count < 0 ? 0 : count;
}

static void deliver_mail(struct loop *loop)
{
    struct loop_mail *mail = mailbox_take(&loop->mailbox);
    while (mail != NULL) {
        struct loop_mail *next = mail->next; /* deliver may free it */
        mail->deliver(mail);
        mail = next;
    }
}

static void serve_sources(struct loop *loop)
{
    while (loop->dispatch < loop->fetched) {
        struct epoll_event *event = &loop->events[loop->dispatch++];
        struct loop_source *source = event->data.ptr;
        if (source != NULL) {
            source->on_ready(source, event->events);
        }
    }
}

static void fire_timers(struct loop *loop)
{
    /* No more than there are now: one that sets itself to the past must not hold the turn. */
    for (size_t most = loop->timers.count; most > 0; most--) {
        struct loop_timer *timer = timers_take_due(&loop->timers, loop->now_ns);
        if (timer == NULL) {
            break;
        }
        timer->on_due(timer);
    }
}

static void run_tasks(struct loop_task *head)
{
    while (!list_is_empty(head)) {
        struct loop_task *task = head->next;
        list_remove(task);
        task->run(task);
    }
}

/* Before anything of this turn can defer to the next one. */
static void take_next_tasks(struct loop *loop)
{
    while (!list_is_empty(&loop->next_tasks)) {
        struct loop_task *task = loop->next_tasks.next;
        list_remove(task);
        list_append(&loop->tasks, task);
    }
}

static void run_last_tasks(struct loop *loop)
{
    if (list_is_empty(&loop->last_tasks)) {
        return;
    }
    /* They move to a list of this turn's own: what is deferred meanwhile is the next turn's. */
    struct loop_task now;
    list_append(&loop->last_tasks, &now);
    list_remove(&loop->last_tasks);
    list_init(&loop->last_tasks);
    run_tasks(&now);
}

static void turn(struct loop *loop, int max_wait_ms)
{
    wait_for_events(loop, max_wait_ms);
    take_next_tasks(loop);
    deliver_mail(loop);
    serve_sources(loop);
    fire_timers(loop);
    run_tasks(&loop->tasks);
    run_last_tasks(loop);
    run_tasks(&loop->tasks);
}

static void enter(struct loop *loop)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    CHECK(!loop->running);
    loop->thread = pthread_self();
    loop->running = true;
    loop->now_ns = sys_monotonic_ns(); /* it may have rested for long */
}

void loop_run(struct loop *loop)
{
    enter(loop);
    while (!atomic_load(&loop->stopping)) {
        turn(loop, -1);
    }
    turn(loop, 0); /* mail that was posted before the stop */
    loop->running = false;
}

void loop_turn(struct loop *loop, int max_wait_ms)
{
    enter(loop);
    turn(loop, max_wait_ms);
    loop->running = false;
}

/* After the change that the loop is to see. */
static void wake(struct loop *loop)
{
    if (atomic_load(&loop->asleep) && atomic_exchange(&loop->asleep, false)) {
        sys_eventfd_signal(loop->wake_fd);
    }
}

void loop_stop(struct loop *loop)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    atomic_store(&loop->stopping, true);
    wake(loop);
}

void loop_post(struct loop *loop, struct loop_mail *mail)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    mailbox_post(&loop->mailbox, mail);
    wake(loop);
}

uint64_t loop_now_ns(const struct loop *loop)
{
    return loop->now_ns;
}

struct chunks *loop_chunks(struct loop *loop)
{
    return &loop->chunks;
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events, struct error *error)
{
    check_thread(loop);
    CHECK(source->on_ready != NULL);
    if (sys_epoll_set(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, events, source) != 0) {
        return error_set(error, ERR_INTERNAL, "epoll_ctl: %s", sys_error_text(errno));
    }
    loop->sources++;
    return ERR_OK;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
    check_thread(loop);
    /*
     * Closing the descriptor would take it out as well, but not while a child process between fork
     * and exec still holds a copy of it.
     */
    sys_epoll_remove(loop->epoll_fd, source->fd);
    loop->sources--;
    for (int i = loop->dispatch; i < loop->fetched; i++) {
        if (loop->events[i].data.ptr == source) {
            loop->events[i].data.ptr = NULL;
        }
    }
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ns)
{
    check_thread(loop);
    return timers_set(&loop->timers, timer, at_ns);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    check_thread(loop);
    timers_cancel(&loop->timers, timer);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    check_thread(loop);
    if (task->next == NULL) {
        list_append(&loop->tasks, task);
    }
}

void loop_defer_last(struct loop *loop, struct loop_task *task)
{
    check_thread(loop);
    if (task->next == NULL) {
        list_append(&loop->last_tasks, task);
    }
}

void loop_defer_next(struct loop *loop, struct loop_task *task)
{
    check_thread(loop);
    if (task->next == NULL) {
        list_append(&loop->next_tasks, task);
    }
}

void loop_undefer(struct loop *loop, struct loop_task *task)
{
    check_thread(loop);
    if (task->next != NULL) {
        list_remove(task);
    }
}
