/*
 * One I/O thread's event loop on epoll: sources (descriptors), timers, tasks at the end of a turn,
 * and a mailbox, the only way in from other threads. A turn is: wait, take mail, serve ready
 * sources, fire timers, then run deferred tasks until there are none. `now` is read once a turn.
 * Everything but loop_stop and loop_post runs on the loop's own thread (checked).
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct loop;

/* Embed in what owns the descriptor. */
struct loop_source {
    int fd;
    /* `ready` is EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR | EPOLLRDHUP as epoll gave them. */
    void (*on_ready)(struct loop_source *source, uint32_t ready);
};

/* Embed; zero-initialise; position belongs to the loop. */
struct loop_timer {
    uint64_t at_ns;
    size_t position; /* 1 + index in the heap; 0 when not set */
    void (*on_due)(struct loop_timer *timer);
};

/* Work for the end of this turn; embed; zero-initialise. */
struct loop_task {
    struct loop_task *next;
    bool queued;
    void (*run)(struct loop_task *task);
};

/* A message from any thread; embed; the receiver's `deliver` runs on the loop's thread. */
struct loop_mail {
    struct loop_mail *next;
    void (*deliver)(struct loop_mail *mail);
};

/* Owned; ERR_INTERNAL with the system's reason, ERR_NO_MEMORY. */
MUST_CHECK int loop_new(struct loop **ret_loop, struct error *error);
void loop_free(struct loop *loop); /* after loop_run has returned */

/* Runs turns on the calling thread, which becomes the loop's, until loop_stop. */
void loop_run(struct loop *loop);
/* One turn, waiting at most `max_wait_ms` (-1: for ever). For tests. */
void loop_turn(struct loop *loop, int max_wait_ms);
void loop_stop(struct loop *loop); /* any thread */

/* CLOCK_MONOTONIC at the start of this turn. */
uint64_t loop_now_ns(const struct loop *loop);

/* `events` is an epoll mask (EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET, EPOLLEXCLUSIVE). */
MUST_CHECK int loop_add(struct loop *loop, struct loop_source *source, uint32_t events,
                        struct error *error);
MUST_CHECK int loop_change(struct loop *loop, struct loop_source *source, uint32_t events,
                           struct error *error);
/*
 * Takes the source out; does not close it. Safe inside on_ready of any source: an event already
 * fetched for this one is not delivered.
 */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Sets or moves a timer. ERR_NO_MEMORY. Resolution: one millisecond, never early. */
MUST_CHECK int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* At the end of this turn, once, however often it was deferred. Tasks may defer tasks. */
void loop_defer(struct loop *loop, struct loop_task *task);
void loop_undefer(struct loop *loop, struct loop_task *task);

/* Any thread; never fails; mail is delivered in the order of its posting from one thread. */
void loop_post(struct loop *loop, struct loop_mail *mail);

#endif
