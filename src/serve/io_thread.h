/*
 * One I/O thread: an event loop with its connections, exchanges, inline queue, metrics shard and its
 * reference to the model in service. Threads share read-only settings, atomics and mailboxes.
 * Everything here but io_thread_start, _deploy, _drain and _join runs on the thread itself.
 */
#ifndef SERVE_IO_THREAD_H
#define SERVE_IO_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/random.h"
#include "net/listener.h"
#include "net/loop.h"
#include "sched/admission.h"
#include "sched/inline.h"
#include "serve/deployment.h"
#include "serve/exchange.h"
#include "serve/returns.h"
#include "serve/tracing.h"

/* What all I/O threads share. Made before them, freed after them. */
struct server_shared {
    struct settings settings; /* of the service; what concerns the model stands in the deployment */
    struct metrics *metrics;
    struct admission admission;
    struct task_pool *tasks; /* decodes and encodes what is large; NULL: the loops do */
    struct tracing *tracing; /* NULL: off */
    int listen_fd;           /* of PORT; the server's */
    int grpc_listen_fd;      /* of GRPC_PORT; -1: none */
    _Atomic unsigned connections;
    _Atomic unsigned streams;    /* of HTTP/2, open: MAX_STREAMS */
    _Atomic unsigned calls;      /* of gRPC, that GRPC_MAX_CONCURRENT_RPCS counts */
    _Atomic unsigned long_calls; /* of gRPC, that go on: half of MAX_STREAMS at most */
    atomic_bool loaded;          /* a model was put in service */
    _Atomic unsigned deployed;   /* threads that have taken one over: ready when all have */
    atomic_bool draining;        /* stopping: no new connections, readiness is false */
    struct io_thread *threads;
    unsigned thread_count;
    uint64_t (*clock_ns)(void);
};

/* What readiness means to whoever asks, whatever the protocol. `deployment` may be NULL. Any thread. */
static inline bool server_is_ready(const struct server_shared *shared,
                                   const struct deployment *deployment)
{
    return atomic_load(&shared->deployed) >= shared->thread_count && deployment != NULL &&
           atomic_load(&deployment->healthy) && !atomic_load(&shared->draining);
}

struct session;
struct gzip;

struct io_thread {
    struct server_shared *shared;
    pthread_t thread;
    struct loop *loop;
    struct acceptor *acceptor;
    struct acceptor *grpc_acceptor; /* NULL: gRPC has no port of its own */
    bool released;                  /* all but the loop was let go */
    struct metrics_shard *metrics;
    struct span_ring *spans;       /* NULL: none are recorded */
    struct deployment *deployment; /* NULL until the first is loaded */

    struct inline_queue queue;
    struct loop_task turn_task; /* runs the queue at the end of a turn */
    struct returns returns;     /* jobs that come back from runners */
    unsigned scrapes;           /* of the metrics, that task threads have in hand */
    unsigned inferences;        /* begun and not finished: the loop does not end before them */
    struct bytes reply;         /* body of the answer being made */
    struct bytes frame;         /* of gRPC: what comes around it */
    struct gzip *gzip;          /* of gRPC: made when it is first needed */
    struct grpc_call *watchers; /* calls that are told of readiness, linked both ways */

    struct exchange *free_exchanges;
    unsigned free_exchange_count;
    struct loop_timer trim_timer; /* after exchanges that were too many to be kept */
    bool trim_is_due;
    struct exchange *slot_first; /* waiting for an execution slot, oldest first */
    struct exchange **slot_end;
    struct loop_timer slot_timer;
    struct loop_mail wake_mail; /* of io_thread_wake */
    atomic_bool wake_mail_sent;
    _Atomic unsigned slot_waiting;

    struct session *sessions;  /* all open ones, linked both ways */
    _Atomic unsigned open;     /* how many they are, for other threads */
    _Atomic unsigned arriving; /* accepted by others, on their way here */
    struct loop_mail deploy_mail;
    _Atomic(struct deployment *) deploy_next; /* takes the place of `deployment` */
    struct loop_mail drain_mail;
    struct loop_mail health_mail;
    atomic_bool health_mail_sent;

    char date[32]; /* IMF-fixdate, without a NUL */
    size_t date_len;
    uint64_t date_made_ns;
    struct random random; /* of ids */
};

/*
 * Prepares loop, queue and acceptor of one thread; io_thread_done ends it, started or not. A thread
 * lets go of all but its loop when it ends: other threads and the loader may still post to that, so
 * io_thread_done comes after all of them have been joined.
 */
MUST_CHECK int io_thread_init(struct io_thread *io, struct server_shared *shared,
                              struct error *error);
void io_thread_done(struct io_thread *io);
/* Gives back a deployment that came when the thread had ended. After the thread was joined. */
void io_thread_drop_next(struct io_thread *io);
MUST_CHECK int io_thread_start(struct io_thread *io, struct error *error);
void io_thread_join(struct io_thread *io);

/* Any thread. Takes one reference of the caller's. */
void io_thread_deploy(struct io_thread *io, struct deployment *deployment);
/* Any thread: a slot may be free, or nothing may be left to stay for. */
void io_thread_wake(struct io_thread *io);
/* Any thread: readiness may have changed, and whoever watches it is to be told by every loop. */
void io_threads_tell_health(struct server_shared *shared);
/* Any thread. The loop stops by itself when its last connection is closed. */
void io_thread_drain(struct io_thread *io);

static inline bool io_thread_is_ready(const struct io_thread *io)
{
    return server_is_ready(io->shared, io->deployment);
}
/* The Date field's text, made anew once a second. */
struct slice io_thread_date(struct io_thread *io);
/* The exchange asked for a slot; calls exchange_on_slot now or later, or exchange_on_no_slot. */
void io_thread_enter_slot(struct io_thread *io, struct exchange *exchange);
void io_thread_leave_slot(struct io_thread *io);
/* Exchanges were freed for good: soon their memory is given back to the system. */
void io_thread_trim_soon(struct io_thread *io);
/* Takes an exchange that waits out of the queue. */
void io_thread_stop_waiting(struct io_thread *io, struct exchange *exchange);
/*
 * After a session, or an inference whose client had gone, has ended: a draining loop stops with its
 * last one.
 */
void io_thread_on_session_end(struct io_thread *io);
/* 32 hexadecimal digits that no other request of this process has. */
void io_thread_make_request_id(struct io_thread *io, char text[32]);

#endif
