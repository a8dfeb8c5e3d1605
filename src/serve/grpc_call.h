/*
 * What the parts of the gRPC interface share: a call, its methods, and the ways to answer it. Only
 * grpc.c (requests), grpc_reply.c (answers), grpc_health.c and grpc_reflection.c include this.
 */
#ifndef SERVE_GRPC_CALL_H
#define SERVE_GRPC_CALL_H

#include "http/grpc.h"
#include "rpc/health.h"
#include "rpc/inference.h"
#include "serve/errand.h"
#include "serve/exchange.h"
#include "serve/io_thread.h"

enum grpc_service {
    GRPC_INFERENCE,
    GRPC_HEALTH,
    GRPC_REFLECTION_V1,
    GRPC_REFLECTION_V1ALPHA,
    GRPC_SERVICES
};

struct grpc_method {
    enum grpc_service service;
    const char *name;
    enum metric_rpc rpc;
    bool goes_on;    /* the answer does: no time limit but the client's own */
    bool takes_many; /* messages; else exactly one */
};

/* One call; in its exchange's arena. */
struct grpc_call {
    struct exchange *exchange;
    const struct grpc_method *method; /* NULL: unknown */
    struct grpc_reader reader;
    int http_status;               /* not 0: it is no call, and is refused with this */
    bool wants_gzip;               /* accepts it, and has sent it itself */
    bool is_counted;               /* in the server's `calls` */
    bool is_long;                  /* ... and in its `long_calls` */
    bool is_open;                  /* its answer has begun and goes on */
    bool is_finished;              /* its status is known */
    struct http_field trailers[4]; /* status, message, ids of the trace */
    char status_text[3];

    struct predict_request predict; /* borrows from the exchange's body */

    /* A reply that is compressed on another thread. */
    struct errand errand;
    struct slice plain[3]; /* the message, in pieces */
    struct bytes packed;
    int packed_status;

    /* Of Watch. */
    struct grpc_call *previous, *next; /* among those that watch */
    bool is_watching;
    bool is_known_service;
    enum health_status told;
    char message[GRPC_PREFIX_BYTES + 4];

    /* Of reflection: answers that wait, and those that the client is taking. */
    struct bytes waiting, leaving;

    struct slice rest; /* of the message that is being pulled */
};

/* ---- answers (grpc_reply.c) ---- */

/* Ends the call with an error and no message, or no further one. The text is the client's. */
void grpc_reply_status(struct exchange *exchange, enum grpc_status status, struct slice text);
/* The same by exchange->error: what is ours is not told. */
void grpc_reply_error(struct exchange *exchange);
/*
 * Answers with the message that was written behind grpc_message_begin into the I/O thread's reply
 * buffer, or with that of the inference.
 */
void grpc_reply_message(struct exchange *exchange);
void grpc_reply_predict(struct exchange *exchange);
/* Begins an answer that goes on: `pull` has the call for its source. */
void grpc_reply_open(struct exchange *exchange,
                     enum h2_pull (*pull)(void *source, size_t max, struct h2_piece *ret_piece));
/* For `pull`: what is left of a message, or the end where the call is finished, or nothing yet. */
enum h2_pull grpc_pull_rest(struct grpc_call *call, size_t max, struct h2_piece *ret_piece);
/* The call's status is known: sets its trailers, and counts it. */
void grpc_finish(struct grpc_call *call, enum grpc_status status, struct slice text);

/* ---- grpc.health.v1.Health (grpc_health.c) ---- */

void grpc_health_check(struct exchange *exchange);
void grpc_health_watch(struct exchange *exchange);
void grpc_health_unwatch(struct grpc_call *call);

/* ---- grpc.reflection (grpc_reflection.c) ---- */

/* A message is there in exchange->body. ERR_* with exchange->error: the call ends. */
MUST_CHECK int grpc_reflection_on_message(struct exchange *exchange);
/* The client asks no more. */
void grpc_reflection_on_end(struct exchange *exchange);

#endif
