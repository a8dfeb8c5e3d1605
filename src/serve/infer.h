/*
 * The one inference handler: bytes of a request to bytes of an answer, by way of codec, scheduler
 * and model. It knows nothing of HTTP or gRPC, sockets or sessions; both protocols call it with the
 * same arguments and get the same bytes.
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

/* One inference of one request. Embed; zero-initialise; lives until `finished` has returned. */
struct inference {
    /* Set by the caller before infer_start; all borrowed until `finished`. */
    struct arena *arena;
    struct slice content_type; /* as it came; empty: the default */
    struct slice accept;       /* as it came; empty: the default */
    struct slice body;
    struct bytes *reply; /* shared scratch: emptied, then holds the answer's body */
    struct metrics_shard *metrics;
    uint64_t (*clock_ns)(void);
    uint64_t deadline_ns;    /* 0: none */
    struct job_owner *owner; /* brings the job back to this thread */
    /* Called once, on the loop's thread, when the answer or the error is there. */
    void (*finished)(struct inference *inference);

    /* Valid in `finished`. */
    enum error_code status; /* ERR_OK: reply and media are set; else error */
    struct error error;
    enum media media; /* of the reply */
    int64_t rows;

    /* Private. */
    struct deployment *deployment;
    struct codec_inputs inputs;
    enum media accept_media;
    struct job job;
};

/*
 * Decodes and submits. A request that cannot be decoded, or that no runner has room for (ERR_BUSY),
 * finishes before this returns. The deployment is referenced until `finished` has returned.
 */
void infer_start(struct inference *inference, struct deployment *deployment,
                 struct inline_queue *queue);
/* The client has gone: the job is dropped if it has not run. `finished` is still called. */
void infer_cancel(struct inference *inference);

#endif
