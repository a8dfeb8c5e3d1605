/*
 * What the pool of workers (worker_pool.c) and its supervisor thread (worker_supervisor.c) share. The
 * pool's lock guards a worker's state and what stands with it; the process itself belongs to the
 * supervisor, but for its socket and areas while a runner has it.
 */
#ifndef BACKEND_WORKER_SLOT_H
#define BACKEND_WORKER_SLOT_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/worker_log.h"
#include "backend/worker_pool.h"
#include "backend/worker_process.h"

enum worker_state {
    WORKER_VACANT,  /* no process; the next one starts at due_ns */
    WORKER_GREETED, /* has HELLO, owes WELCOME; until due_ns, like the next */
    WORKER_LOADING, /* owes READY */
    WORKER_IDLE,    /* free to be taken */
    WORKER_BUSY,    /* a runner has it */
    WORKER_OVER,    /* to be ended by the supervisor, because of `end` */
    WORKER_LEAVING  /* ends by itself, or is killed at due_ns */
};

/* A start that is so near is waited for. */
#define WORKER_NEAR_NS CLOCK_NS_PER_S

#define WORKER_REASON_MAX ERROR_TEXT_MAX
#define MEBIBYTE ((uint64_t)1 << 20)

struct worker {
    struct worker_process process;
    enum worker_state state;        /* with the lock, like all down to `reason` */
    uint64_t due_ns;                /* of some states; 0: never, of a vacant one at once */
    uint64_t runs;                  /* answered since it was ready */
    uint64_t number;                /* of the last run it was told; its runner's */
    unsigned failures;              /* processes in a row that were never of use */
    unsigned falls;                 /* processes in a row that their first run has ended */
    bool was_ready;                 /* this process */
    bool has_ended;                 /* its pidfd has said so */
    bool retires;                   /* goes after its run */
    bool trims;                     /* its areas' pages go back when it is given back */
    bool killed;                    /* or dead, or no longer to be trusted: it is not told END */
    enum worker_end end;            /* of one that goes */
    char reason[WORKER_REASON_MAX]; /* behind `end`, for people; may be empty */
    bool has_log;                   /* the supervisor's: its log pipe is open */
    struct worker_log log;          /* the supervisor's */
};

enum worker_opening { WORKER_OPENING, WORKER_OPENED, WORKER_NOT_OPENED };

struct worker_pool {
    unsigned magic;
    struct worker_pool_options options;
    struct worker *workers;
    struct pollfd *fds; /* the supervisor's */
    pthread_t supervisor;
    int wake;                       /* eventfd: the supervisor has to look */
    uint64_t memory_due_ns;         /* the supervisor's: when memory is looked at next */
    char packet[WORKER_PACKET_MAX]; /* the supervisor's: room for one */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum worker_opening opening;
    struct error open_error;
    char *signature; /* of the first that was ready; never changes then */
    size_t signature_bytes;
    bool closing;
    bool unhealthy;                 /* what the observer was told last */
    const struct worker *retiring;  /* whose successor is not ready yet */
    struct backend_figures figures; /* workers and resident_bytes are counted when asked for */
};

/* Three descriptors a worker, behind the pool's own. */
enum worker_fd { WORKER_FD_END, WORKER_FD_LOG, WORKER_FD_SOCKET, WORKER_FD_COUNT };

static inline bool worker_is_alive(const struct worker *worker)
{
    return worker->state == WORKER_IDLE || worker->state == WORKER_BUSY;
}

static inline bool worker_is_starting(const struct worker *worker)
{
    return worker->state == WORKER_GREETED || worker->state == WORKER_LOADING;
}

/* With the lock held: it is to go. `reason` may be NULL. */
void worker_doom(struct worker *worker, enum worker_end end, bool kill, const char *reason);

/* The thread of a pool (its argument); ends when that is closing and no process is left. */
void *worker_supervise(void *argument);

#endif
