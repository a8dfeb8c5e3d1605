/*
 * One request and its response, whatever the protocol: the session fills the request, the exchange
 * decides and answers, the session sends. It belongs to one I/O thread for life and is recycled.
 * Loop thread only.
 */
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "http/message.h"
#include "obs/metrics.h"
#include "http/gzip.h"
#include "serve/infer.h"
#include "serve/router.h"

struct io_thread;

#define EXCHANGE_FIELDS_MAX 8
#define EXCHANGE_REQUEST_ID_MAX 128

struct exchange {
    unsigned magic;
    struct io_thread *io;
    struct exchange *next; /* of the free list or the queue for a slot */

    /* The session's: how the answer goes out. `owner` is NULL once the client has gone. */
    void *owner;
    /* Sends `response` and `body`, then calls exchange_free. */
    void (*send)(struct exchange *exchange);

    struct arena arena;
    struct http_request request;
    struct bytes body;     /* decoded of its Content-Encoding */
    struct gunzip *gunzip; /* for a compressed body; else NULL */
    struct route route;
    enum metric_method method;
    uint64_t started_ns;
    uint64_t request_bytes; /* of the body as it came */

    struct inference inference;
    uint64_t slot_deadline_ns; /* while it waits for a slot */
    bool waits_for_slot;
    bool has_slot;

    /* The answer. */
    struct http_response response;
    struct http_field fields[EXCHANGE_FIELDS_MAX];
    struct slice response_body;     /* in the arena, static, or the I/O thread's reply buffer */
    struct bytes *response_storage; /* holds the body alone and may be taken over; else NULL */
    struct error error;
};

/* From the thread's recycler; NULL without memory. */
MUST_CHECK struct exchange *exchange_new(struct io_thread *io);
void exchange_free(struct exchange *exchange);
/* Frees a recycled one for good. */
void exchange_destroy(struct exchange *exchange);

/*
 * The head is there (request and all it points to live in exchange->arena). ERR_OK: read the body.
 * Else the answer is decided without the body, and is sent by exchange_refuse: the session stops
 * reading and closes after it.
 */
MUST_CHECK int exchange_on_head(struct exchange *exchange);
/* A piece of the body. ERR_TOO_LARGE or ERR_INVALID: as above. */
MUST_CHECK int exchange_on_body(struct exchange *exchange, struct slice piece);
/* The request is complete: answers now or later through `send`. */
void exchange_on_end(struct exchange *exchange);
/* Answers with exchange->error as it stands. */
void exchange_refuse(struct exchange *exchange);
/*
 * Answers with this status and {"error": text}; for what the protocol engine found. The text of a 500
 * goes to the log alone.
 */
void exchange_refuse_status(struct exchange *exchange, int status, struct slice text);
/* The client has gone; the exchange frees itself when what it waits for is over. */
void exchange_abandon(struct exchange *exchange);

/* For handlers: the answer is this. Fields are added before with exchange_add_field. */
void exchange_add_field(struct exchange *exchange, struct slice name, struct slice value);
void exchange_respond(struct exchange *exchange, int status, struct slice content_type,
                      struct slice body);
void exchange_respond_error(struct exchange *exchange, int status, struct slice text);

/* A slot was given to a request that waited for one, or its time to wait is over. */
void exchange_on_slot(struct exchange *exchange);
void exchange_on_no_slot(struct exchange *exchange);

#endif
