/*
 * One request and its response, whatever the protocol: the session fills the request, a style (REST
 * or gRPC) decides and answers, the session sends. It belongs to one I/O thread for life and is
 * recycled. Loop thread only.
 */
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "http/gzip.h"
#include "http/h2.h"
#include "http/message.h"
#include "obs/metrics.h"
#include "obs/trace_context.h"
#include "serve/infer.h"
#include "serve/router.h"

struct exchange;
struct exchange_trace;
struct grpc_call;
struct io_thread;

#define EXCHANGE_FIELDS_MAX 10
/* A reply that is larger is not copied: its buffer is kept, and the thread gets a new one. */
#define EXCHANGE_COPIED_BYTES ((size_t)64 * 1024)
#define EXCHANGE_REQUEST_ID_MAX 128
#define EXCHANGE_REQUEST_ID_MADE 32 /* bytes of one that was made here */
#define EXCHANGE_ANSWERED (-1)      /* no code of an error: what comes is for nobody */

/* The way out of an exchange: what its session does for it. */
struct exchange_outlet {
    enum metric_protocol protocol; /* of HTTP; a call of gRPC is known by its style */
    /*
     * Sends the answer, at once or as the client takes it, and then lets go of the exchange with
     * exchange_abandon: perhaps before this returns.
     */
    void (*send)(struct exchange *exchange);
    /* Whether an answer of so many bytes can be kept until its client takes it. */
    bool (*takes)(const struct exchange *exchange, size_t bytes);
    /* There is more of an answer that goes on (`stream`): pull again. */
    void (*resume)(struct exchange *exchange);
};

/* How requests of one kind are judged, read and answered: serve/rest.h and serve/grpc.h. */
struct exchange_style {
    int (*on_head)(struct exchange *exchange);
    int (*on_body)(struct exchange *exchange, struct slice piece);
    void (*on_end)(struct exchange *exchange);
    /* Answers with exchange->error as it stands. */
    void (*refuse)(struct exchange *exchange);
    /* The client did not send its request in time. */
    void (*on_late)(struct exchange *exchange);
    /* Says what is to be inferred: content_type, accept and body of exchange->inference. */
    void (*describe)(struct exchange *exchange);
    /* The inference has its reply: answers with it. */
    void (*on_reply)(struct exchange *exchange);
    /* Lets go of what the style has taken for the request. */
    void (*done)(struct exchange *exchange);
};

struct exchange {
    unsigned magic;
    struct io_thread *io;
    struct exchange *next; /* of the free list or the queue for a slot */
    const struct exchange_style *style;

    /* The session's. `owner` is NULL once the client has gone. */
    void *owner;
    const struct exchange_outlet *outlet;

    struct arena arena;
    struct http_request request;
    struct bytes body;      /* as it came; of gRPC the message at hand */
    uint64_t started_ns;    /* of the turn in which the request began */
    uint64_t deadline_ns;   /* when it must have run; 0: never */
    uint64_t request_bytes; /* of the body as it came */
    struct slice client;    /* address and port, the session's; empty where nobody asks for it */
    struct slice version;   /* of HTTP: "1.1"; static */

    struct slice request_id; /* see exchange_request_id */
    char made_request_id[EXCHANGE_REQUEST_ID_MADE];

    /* Of serve/exchange_trace. */
    struct span_context span;                           /* not valid: the request is in no trace */
    char span_digits[TRACE_ID_DIGITS + SPAN_ID_DIGITS]; /* its ids as text, where it is valid */
    struct exchange_trace *trace; /* in the arena; NULL where no spans are recorded */

    /* Of serve/rest. */
    bool is_gzip; /* the body's Content-Encoding */
    struct route route;
    enum metric_method method;
    /* Of serve/grpc, in the arena; else NULL. */
    struct grpc_call *call;

    struct arena_mark inference_mark; /* what the arena holds from here on is the inference's */
    uint64_t slot_deadline_ns;        /* while it waits for a slot */
    bool waits_for_slot;
    bool has_slot;
    bool is_elsewhere;        /* another thread works on the answer (exchange_leave) */
    atomic_bool is_abandoned; /* ... for nobody: for that thread to look at */

    /*
     * The answer. Its body lies in the arena, is static, belongs to the inference, or stands in the
     * I/O thread's reply buffer: then it must be sent, or taken out (exchange_keep_body), before
     * anything else is answered.
     */
    struct http_response response;
    struct http_field fields[EXCHANGE_FIELDS_MAX];
    struct slice response_body;
    struct bytes *response_storage; /* holds response_body alone and may be taken over; else NULL */
    struct bytes kept_reply;        /* a reply buffer that was taken out whole */
    /* Over HTTP/2 only: what comes before and after the body, and trailers (static or in the arena). */
    struct slice before_body, after_body;
    const struct http_field *trailers;
    size_t trailer_count;
    struct h2_body stream; /* with `pull`: instead of all of these, an answer that goes on */

    /* Last: from inference.job.error on nothing is cleared when the exchange is recycled. */
    struct inference inference;
    struct error error;
};

/* From the thread's recycler, its style REST's; NULL without memory. */
MUST_CHECK struct exchange *exchange_new(struct io_thread *io);
/*
 * The session is done with it: it was answered, or the client has gone. It is recycled, at once or
 * when what it waits for is over.
 */
void exchange_abandon(struct exchange *exchange);
/* Frees a recycled one for good. */
void exchange_destroy(struct exchange *exchange);

/* ---- for sessions ---- */

/*
 * The head is there (request and all it points to live in exchange->arena). ERR_OK: read the body.
 * Else the answer is decided without the body, and is sent by exchange_refuse: the session stops
 * reading.
 */
MUST_CHECK int exchange_on_head(struct exchange *exchange);
/*
 * A piece of the body. ERR_TOO_LARGE, ERR_NO_MEMORY, and of gRPC also ERR_INVALID, ERR_PROTOCOL,
 * ERR_METHOD or ERR_BUSY (of reflection, whose client takes no answers): as above, or the end of an
 * answer that goes on. EXCHANGE_ANSWERED: it has ended before, and the rest of the body is for nobody;
 * exchange->error is not set, and exchange_refuse does nothing.
 */
MUST_CHECK int exchange_on_body(struct exchange *exchange, struct slice piece);
/* The request is complete: answers now or later through the outlet. */
void exchange_on_end(struct exchange *exchange);
/* Answers with exchange->error as it stands. */
void exchange_refuse(struct exchange *exchange);
/* The rest of the request did not come in time: answers so. */
void exchange_on_late(struct exchange *exchange);
/*
 * Makes the body of the answer last until the exchange is let go of; that of the request is dropped.
 * ERR_NO_MEMORY.
 */
MUST_CHECK int exchange_keep_body(struct exchange *exchange);

/* ---- for styles ---- */

void exchange_add_field(struct exchange *exchange, struct slice name, struct slice value);
/* What X-Request-Id said where that is short and plain, else made anew; for logs and the answer. */
struct slice exchange_request_id(struct exchange *exchange);
/* Adds X-Request-Id to the answer. */
void exchange_add_request_id(struct exchange *exchange);
/* How long the request has taken when it is answered: up to the last byte of an inference's answer. */
uint64_t exchange_took_ns(const struct exchange *exchange);
/* Logs the text of a failure of ours, which the client will not be told. Returns `status`. */
int exchange_log_failure(struct exchange *exchange, int status);
/* What a log line says of the request it belongs to. Valid as long as the exchange's request. */
struct log_context exchange_log_context(struct exchange *exchange);
/* A line of the request. */
#define exchange_log_error(exchange, ...)                                                          \
    do {                                                                                           \
        struct log_context log_context_ = exchange_log_context(exchange);                          \
        log_at(LOG_ERROR, &log_context_, __VA_ARGS__);                                             \
    } while (0)
/* ERR_UNAVAILABLE where there is no model. */
MUST_CHECK int exchange_check_ready(struct exchange *exchange);
/* Infers: takes a slot, now or later, and calls the style's on_reply or refuse at the end. */
void exchange_infer(struct exchange *exchange);
/*
 * Another thread works on the answer from now on, until exchange_return: false when the client has
 * gone meanwhile, and the exchange with it.
 */
void exchange_leave(struct exchange *exchange);
MUST_CHECK bool exchange_return(struct exchange *exchange);
/* Between the two, on that thread: nobody waits for the answer any more, so it need not be made. */
static inline bool exchange_is_abandoned(const struct exchange *exchange)
{
    return atomic_load_explicit(&exchange->is_abandoned, memory_order_relaxed);
}

/* ---- for io_thread ---- */

/* A slot was given to a request that waited for one, or its time to wait is over. */
void exchange_on_slot(struct exchange *exchange);
void exchange_on_no_slot(struct exchange *exchange);

#endif
