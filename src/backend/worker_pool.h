/*
 * The worker processes of one model: so many at a time, each taken by one runner for one run. A thread
 * of the pool's own starts them, reads what they log, sees them end, and starts others in their place:
 * at once where the last one has answered a run, else after a delay that doubles.
 */
#ifndef BACKEND_WORKER_POOL_H
#define BACKEND_WORKER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "backend/worker_process.h"
#include "base/error.h"
#include "base/slice.h"

struct worker_pool;
struct worker; /* one of them, while a runner has it */

/* For tests; a member that is 0 stands for the value in the comment. */
struct worker_pool_timing {
    uint64_t first_delay_ns;     /* after the first failure: 100 ms */
    uint64_t last_delay_ns;      /* the delay grows up to here: 30 s */
    uint64_t memory_interval_ns; /* between two looks at their memory: 250 ms */
    uint64_t end_grace_ns;       /* from END to the kill: 1 s */
    uint64_t (*rss)(pid_t pid);  /* worker_process_rss */
};

struct worker_pool_options {
    struct worker_command command;           /* borrowed until close, like all it points to */
    struct slice hello;                      /* the options of HELLO as bytes; likewise */
    unsigned count;                          /* >= 1 */
    uint64_t start_timeout_ns;               /* until READY; 0: no limit */
    uint64_t max_rss_bytes;                  /* 0: no limit */
    const struct backend_observer *observer; /* borrowed until close; NULL: nobody */
    struct worker_pool_timing timing;
};

/* Why a worker has ended. */
enum worker_end {
    WORKER_END_DIED,
    WORKER_END_TIMEOUT,
    WORKER_END_MEMORY,
    WORKER_END_PROTOCOL,
    WORKER_END_REFUSED, /* it cannot load the model, or not within its memory, or loads another */
    WORKER_END_CLOSED   /* the pool is closed */
};

/*
 * Starts the workers and waits until the first is ready; the others go on starting. One that dies before
 * that is tried again, after a delay, twice; one that says that it cannot load the model, takes too long or
 * breaks the protocol is not. On failure ERR_CONFIG with what is wrong, ERR_NO_MEMORY, ERR_INTERNAL, and none
 * is left. Blocking.
 */
MUST_CHECK int worker_pool_open(const struct worker_pool_options *options,
                                struct worker_pool **ret_pool, struct error *error);
/* Ends all of them; nobody has one. Blocking. NULL is fine. */
void worker_pool_close(struct worker_pool *pool);

/* The signature of the first one as bytes, borrowed until close; that of all others is the same. */
struct slice worker_pool_signature(const struct worker_pool *pool);

/*
 * Takes a free worker, or waits for one until `deadline_ns` (CLOCK_MONOTONIC; 0: for ever). ERR_TIMEOUT;
 * ERR_UNAVAILABLE at once where none is alive and the next start is put off for more than a second. Any thread.
 */
MUST_CHECK int worker_pool_take(struct worker_pool *pool, uint64_t deadline_ns,
                                struct worker **ret_worker, struct error *error);
/* Its process, for the one who has taken it. */
struct worker_process *worker_pool_process(struct worker *worker);
/* A number for its next run, which it has not had before; likewise. */
uint64_t worker_pool_number(struct worker *worker);
/* Gives it back, in order. `answered`: it has answered a run. */
void worker_pool_give(struct worker_pool *pool, struct worker *worker, bool answered);
/*
 * Gives one back that cannot go on; `reason` says why, for the log. Returns why it really ended:
 * WORKER_END_MEMORY where the pool had it killed before that.
 */
enum worker_end worker_pool_drop(struct worker_pool *pool, struct worker *worker,
                                 enum worker_end end, const char *reason);

/*
 * A burst of large runs is over: gives the pages of the areas back, of idle workers at once, of others with
 * their run's end. Nobody waits longer for a worker than that takes. Any thread that has none.
 */
void worker_pool_trim(struct worker_pool *pool);

/* Any thread. */
void worker_pool_measure(struct worker_pool *pool, struct backend_figures *ret_figures);

#endif
