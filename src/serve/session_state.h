/*
 * What the parts of a session share: its state, and what a protocol is to it. Only session.c (which
 * chooses the protocol), session_h1.c, session_h2.c and session_stream.c include this.
 */
#ifndef SERVE_SESSION_STATE_H
#define SERVE_SESSION_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "http/h1.h"
#include "http/h2.h"
#include "net/conn.h"
#include "net/loop.h"
#include "serve/exchange.h"
#include "serve/io_thread.h"
#include "serve/session.h"

#define SESSION_MAGIC 0x73657373u
/* Bytes of a client's address and port: "[address]:port". */
#define SESSION_CLIENT_MAX 64
/* How long an idle connection may still bring a request once the server is stopping. */
#define SESSION_DRAIN_GRACE_NS (CLOCK_NS_PER_S / 2)

/* The events of net/conn, for a connection whose protocol is known. */
struct session_protocol {
    /* ERR_NO_MEMORY: the connection is closed. */
    int (*begin)(struct session *session);
    void (*on_input)(struct session *session);
    void (*on_eof)(struct session *session);
    void (*on_room)(struct session *session);
    void (*on_deadline)(struct session *session);
    void (*on_drain)(struct session *session);
    /* The connection has ended. */
    void (*done)(struct session *session);
};

extern const struct session_protocol session_h1, session_h2;

struct session_h1_state {
    struct h1 *h1;
    struct exchange *exchange; /* the request being read or answered; NULL before its first byte */
    bool reads_request;        /* the exchange's request is not complete yet */
    bool in_input;             /* on_input is on the stack: sending must not call it again */
};

struct session_h2_state {
    struct h2 *h2;
    struct loop_task flush_task; /* writes what a turn has brought */
    struct stream *streams;      /* all open ones, linked both ways */
    uint64_t wake_ns;            /* the conn's deadline, at or before the first one here; 0: none */
    uint64_t idle_ns;            /* since when there has been no stream */
    uint64_t moved_ns;           /* when the client last let a body go on */
    uint64_t drain_ns;           /* when new streams will be wanted no more; 0: not draining */
    size_t body_bytes;           /* of requests, held */
    size_t answer_bytes;         /* of large answers, held */
    bool is_leaving;             /* new streams are ignored: ends with the last one */
    bool is_closing;             /* nothing more is read: ends when its last frames are written */
};

struct session {
    unsigned magic;
    enum session_port port;
    struct io_thread *io;
    struct conn *conn;
    const struct session_protocol *protocol; /* NULL until the first bytes have told */
    bool begun;                              /* the first byte has come */
    bool ended; /* nothing more is read: the last answer was sent or decided */
    bool eof;   /* the client will send no more */
    struct session *previous, *next;
    struct slice client; /* for the access log and traces, else empty */
    char client_text[SESSION_CLIENT_MAX];
    union {
        struct session_h1_state h1;
        struct session_h2_state h2;
    };
};

/* The connection cannot go on: closes it, for want of memory to do `what`. */
void session_fail(struct session *session, const char *what);
/* All is answered: closes when what is queued has been sent. */
void session_end_after_write(struct session *session);

bool session_is_draining(const struct session *session);
/* Time from now on; a span of 0 is for ever. */
uint64_t session_after(const struct session *session, uint64_t span_ns);
/* How long a connection may wait for its next request. */
uint64_t session_idle_span_ns(const struct session *session);
/*
 * When an idle connection is to be closed: so long after the client took the last byte, or after the
 * last one if it still has bytes to take. `since_ns`: when the last answer was queued.
 */
uint64_t session_idle_end_ns(const struct session *session, uint64_t since_ns);

/* ---- between session_h2.c (the connection) and session_stream.c (its streams) ---- */

/* Has what there is to write be written at the end of this turn. */
void session_h2_flush_soon(struct session *session);
/* Has the deadlines of streams looked at, then or before. 0: no need. */
void session_h2_wake_at(struct session *session, uint64_t at_ns);
/* The last stream has closed. */
void session_h2_on_idle(struct session *session);

extern const struct h2_events session_stream_events;

/* Deals with streams whose time is over, and has the next deadlines watched. */
void session_stream_check_all(struct session *session);
/* The client will send no more: requests that are not complete will never be. */
void session_stream_on_eof(struct session *session);
/* Whether a request is still worked on: its answer has yet to come. */
bool session_stream_has_work(const struct session *session);
/* Ends the answers that would go on for ever. */
void session_stream_stop_open(struct session *session);

#endif
