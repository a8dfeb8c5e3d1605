/*
 * One I/O thread's event loop on epoll: sources (descriptors), timers, tasks at the end of a turn,
 * and a mailbox, the only way in from other threads. A turn is: wait, take mail, serve ready
 * sources, fire timers, run deferred tasks until there are none, then the last tasks (writing what
 * the turn has produced), then the tasks that these deferred. `now` is read once a turn. Loops share
 * nothing with each other. Everything but loop_stop and loop_post runs on the loop's own thread:
 * while a turn runs that is the thread that runs it (checked); before and after, whoever owns the
 * loop.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct chunks;

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

/* Work for the end of this turn; embed; zero-initialise; next and previous belong to the loop. */
struct loop_task {
    struct loop_task *next; /* NULL when not queued */
    struct loop_task *previous;
    void (*run)(struct loop_task *task);
};

/* A message from any thread; embed; the receiver's `deliver` runs on the loop's thread. */
struct loop_mail {
    struct loop_mail *next;
    void (*deliver)(struct loop_mail *mail);
};

/* Owned; ERR_INTERNAL with the system's reason, ERR_NO_MEMORY. */
MUST_CHECK int loop_new(struct loop **ret_loop, struct error *error);
/*
 * After loop_run has returned. All sources, timers and tasks have been taken out before (checked).
 * Mail that came after loop_run had returned is not delivered. NULL is fine.
 */
void loop_free(struct loop *loop);

/*
 * Runs turns on the calling thread, which becomes the loop's, until loop_stop; a loop that was
 * stopped stays so. Mail posted before loop_stop is still delivered.
 */
void loop_run(struct loop *loop);
/* One turn, waiting at most `max_wait_ms` (-1: for ever). For tests. */
void loop_turn(struct loop *loop, int max_wait_ms);
void loop_stop(struct loop *loop); /* any thread, and a signal handler */

/* CLOCK_MONOTONIC at the start of this turn. */
uint64_t loop_now_ns(const struct loop *loop);

/* `events` is an epoll mask (EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET, EPOLLEXCLUSIVE). */
MUST_CHECK int loop_add(struct loop *loop, struct loop_source *source, uint32_t events,
                        struct error *error);
/*
 * Takes the source out; does not close it (close it afterwards, not before). Safe inside on_ready of
 * any source: an event already fetched for this one is not delivered.
 */
void loop_remove(struct loop *loop, struct loop_source *source);

/*
 * Sets or moves a timer. Resolution: one millisecond, never early; UINT64_MAX never comes. A timer
 * is not set any more when on_due is called. ERR_NO_MEMORY: it is not set; moving one that is set
 * never fails, nor does setting a timer again first thing in its own on_due.
 */
MUST_CHECK int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/*
 * At the end of this turn, in the order of deferring, once, however often it was deferred. Tasks may
 * defer tasks (themselves too: then the turn does not end before they stop).
 */
void loop_defer(struct loop *loop, struct loop_task *task);
/*
 * Once, after all deferred tasks of this turn. What is deferred here from then on waits for the end
 * of the next turn, which follows without waiting: so a last task runs at most once a turn.
 */
void loop_defer_last(struct loop *loop, struct loop_task *task);
/* Like loop_defer, but in the next turn, which follows without waiting. */
void loop_defer_next(struct loop *loop, struct loop_task *task);
/* Of any kind; fine when not queued. */
void loop_undefer(struct loop *loop, struct loop_task *task);

/* The pool that sources on this loop take their buffers from. Lives as long as the loop. */
struct chunks *loop_chunks(struct loop *loop);

/*
 * Any thread, while the loop lives; never fails. The mail is the loop's until `deliver` is called.
 * One thread's mail is delivered in the order of its posting.
 */
void loop_post(struct loop *loop, struct loop_mail *mail);

#endif
