/*
 * The one inference handler: bytes of a request to bytes of an answer, by way of codec, scheduler
 * and model. It knows nothing of HTTP or gRPC, sockets or sessions; both protocols call it with the
 * same arguments and get the same bytes. What is large is decoded and encoded on other threads, so
 * that one client's 6 MB do not stand in the way of everybody else on the loop.
 */
#ifndef SERVE_INFER_H
#define SERVE_INFER_H

#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "codec/codec.h"
#include "obs/metrics.h"
#include "sched/inline.h"
#include "sched/job.h"
#include "serve/deployment.h"
#include "serve/errand.h"

/* A body in gzip of so many bytes is decoded off the loop: each may stand for a thousand. */
#define INFER_LARGE_GZIP_BYTES ((size_t)1024)
/* A body of so many bytes is decoded, and an answer of so many numbers encoded, off the loop. */
#define INFER_LARGE_BODY_BYTES ((size_t)256 * 1024)
#define INFER_LARGE_ANSWER_CELLS ((uint64_t)16 * 1024)
/* The largest body of an answer. */
#define INFER_REPLY_MAX_BYTES ((size_t)63 * 1024 * 1024)

/* One inference of one request. Embed; zero-initialise; lives until `finished` has returned. */
struct inference {
    /* Set by the caller before infer_start; all borrowed until `finished`. */
    struct arena *arena;
    struct slice content_type; /* as it came; empty: the default */
    struct slice accept;       /* as it came; empty: the default */
    struct slice body;
    size_t packed_max_bytes; /* not 0: the body is gzip, of at most so many bytes when decoded */
    struct bytes *scratch;   /* of the loop: emptied, then holds the body of a small answer */
    struct metrics_shard *metrics;
    uint64_t (*clock_ns)(void);
    uint64_t deadline_ns;    /* 0: none */
    struct job_owner *owner; /* brings the job back to this thread */
    struct loop *loop;       /* this thread's */
    struct task_pool *tasks; /* for what is large; NULL: it is done on this thread */
    struct job_trace *trace; /* of its job; NULL: it is not traced */
    /* Called once, on the loop's thread, when the answer or the error is there. */
    void (*finished)(struct inference *inference);

    /* Valid in `finished`. */
    enum error_code status; /* ERR_OK: reply and media are set; else error */
    struct bytes *reply; /* the answer's body: `scratch`, or own_reply, which may be taken over */
    enum media media;    /* of the reply */
    int64_t rows;

    /* Private. */
    struct deployment *deployment;
    struct inline_queue *queue;
    struct codec_inputs inputs;
    enum media body_media, accept_media;
    struct bytes own_reply;
    struct errand errand;
    uint64_t began_ns, decoded_ns, encoded_ns;
    struct job job;
    struct error error; /* valid in `finished`; last, as in a job */
};

/*
 * Decodes and submits. A request that cannot be decoded, or that no runner has room for (ERR_BUSY),
 * may finish before this returns. The deployment is referenced until `finished` has returned. The
 * queue is this loop's; by the time a large body is decoded it may serve a later deployment.
 */
void infer_start(struct inference *inference, struct deployment *deployment,
                 struct inline_queue *queue);
/* The client has gone: the job is dropped if it has not run. `finished` is still called. */
void infer_cancel(struct inference *inference);
/* Frees what a finished inference still holds: an own reply that nobody took. */
void infer_done(struct inference *inference);

#endif
