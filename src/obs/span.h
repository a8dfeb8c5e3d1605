/*
 * What was traced, on its way from the I/O threads to the exporter. A traced request is one record of
 * fixed size, written when the request ends: its spans are made of it later, off the request's thread.
 * Records wait in rings, one an I/O thread, each with one writer and one reader: no lock, no
 * allocation. What finds no room is dropped and counted.
 */
#ifndef OBS_SPAN_H
#define OBS_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/random.h"
#include "base/slice.h"
#include "obs/trace_context.h"

/* ---- records ---- */

enum span_protocol { SPAN_HTTP, SPAN_GRPC };

/* A text of a record: it stands in the record itself. */
struct span_text {
    uint16_t at, len;
};

#define SPAN_RECORD_TEXT_BYTES 896

/* How far a request came. Times are CLOCK_MONOTONIC; 0: not so far. */
struct span_stages {
    uint64_t started_ns, ended_ns;             /* the request */
    uint64_t invoked_ns;                       /* its inference began; ends with the request */
    uint64_t decode_began_ns, decode_ended_ns; /* both or none, as below */
    uint64_t submitted_ns;
    uint64_t run_began_ns, run_ended_ns;
    uint64_t encode_ended_ns; /* encoding begins when the run has ended */
    bool leads_run;           /* the span of a run that it shared belongs to this request */
};

/* One traced request. Slices are of static text, and empty where there is nothing to say. */
struct span_record {
    struct span_stages stages;
    unsigned spans; /* that it stands for */
    struct trace_id trace_id;
    struct span_id server_id, parent_id; /* no parent: the trace begins here */
    enum span_protocol protocol;

    /* A run that was shared with others, whichever of them its span belongs to. */
    struct trace_id run_trace_id;
    struct span_id run_id;
    bool run_failed;
    unsigned run_requests; /* that shared the run */
    int64_t run_rows, rows;

    int status; /* of HTTP or gRPC; -1: the client had gone before there was one */
    bool is_error;
    struct slice error_type; /* as the conventions want it: "500", "INTERNAL"; else empty */
    struct slice exception_type;
    struct span_text exception_text;
    uint64_t request_bytes;
    uint16_t client_port, server_port; /* 0: not known */
    struct slice scheme, version;      /* of HTTP */
    struct slice route;
    struct slice response_type;
    struct slice rpc_service, rpc_method;
    struct span_text method, path, server, client, user_agent, request_type, trace_state;

    size_t text_used;
    char text[SPAN_RECORD_TEXT_BYTES];
};

/* Keeps a copy of at most `max` bytes of the text, or of what fits; none of an empty one. */
struct span_text span_put_text(struct span_record *record, struct slice text, size_t max);
struct slice span_text(const struct span_record *record, struct span_text text);

/* ---- spans ---- */

enum span_role {
    SPAN_SERVER,
    SPAN_INVOCATIONS, /* in it: */
    SPAN_DECODE,
    SPAN_QUEUE,
    SPAN_PREDICT, /* in it: */
    SPAN_RUN,     /* a run of several requests, once for all of them */
    SPAN_ENCODE,
    SPAN_ROLES /* the most spans a record may stand for */
};

struct span {
    enum span_role role;
    struct span_id id, parent_id;
    uint64_t began_ns, ended_ns;
};

/* How many spans there are of a request that came so far. */
unsigned span_count(const struct span_stages *stages);
/* Makes them, the outer before the inner; ids that nobody else knows are new. Returns record->spans. */
unsigned span_expand(const struct span_record *record, struct random *random,
                     struct span spans[SPAN_ROLES]);

/* ---- the way to the exporter ---- */

struct span_queue;
/* An I/O thread's end of it. */
struct span_ring;

/*
 * `max_spans` may wait, over all rings. The eventfd `wake_fd` (borrowed) is signalled when `wake_spans`
 * wait, when there might be no room for the next record, and when a ring is half full. ERR_NO_MEMORY.
 */
MUST_CHECK int span_queue_new(unsigned rings, unsigned max_spans, unsigned wake_spans, int wake_fd,
                              struct span_queue **ret_queue, struct error *error);
void span_queue_free(struct span_queue *queue); /* NULL is fine */
struct span_ring *span_queue_ring(struct span_queue *queue, unsigned number);

/*
 * Room for a request that came so far; all but the stages and the text is zero. Fill it and hand it
 * over with span_ring_put before the next. NULL: there is none, its spans are counted as dropped. The
 * ring's thread only, like span_ring_put.
 */
MUST_CHECK struct span_record *span_ring_take(struct span_ring *ring,
                                              const struct span_stages *stages);
void span_ring_put(struct span_ring *ring);

/* Any thread. */
unsigned span_queue_waiting(const struct span_queue *queue); /* spans */
uint64_t span_queue_dropped(const struct span_queue *queue); /* spans, since the start */

/*
 * The reader's: the next record, one ring after the other, until span_queue_drop_front; NULL when none
 * waits.
 */
const struct span_record *span_queue_front(struct span_queue *queue);
void span_queue_drop_front(struct span_queue *queue);

#endif
