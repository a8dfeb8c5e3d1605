/*
 * One accepted TCP connection on its loop: reads into a bounded queue, hands it up, writes what it
 * was given once a turn. It knows nothing of protocols. Loop thread only.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "net/loop.h"

struct conn;

enum conn_end {
    CONN_END_EOF,     /* the client closed its side */
    CONN_END_ERROR,   /* reset, or a write failed */
    CONN_END_TIMEOUT, /* conn_set_deadline passed */
    CONN_END_LOCAL,   /* conn_close or conn_close_after_write was called here */
};

struct conn_events {
    /*
     * Bytes are there: conn_input(conn) holds them all; consume with bytes_consume what was used.
     * Called again when more arrive or conn_resume was called.
     */
    void (*on_input)(struct conn *conn);
    /* The client will send no more (half close); what is written still goes out. */
    void (*on_eof)(struct conn *conn);
    /* The deadline passed. The connection is still open: answer and close, or just close. */
    void (*on_deadline)(struct conn *conn);
    /* The last event. The conn is freed when it returns. */
    void (*on_end)(struct conn *conn, enum conn_end end);
};

/*
 * Takes the socket (non-blocking; closed by the conn). ERR_NO_MEMORY or ERR_INTERNAL: then the
 * socket is still the caller's. Freed by itself after on_end.
 */
MUST_CHECK int conn_new(struct loop *loop, int fd, const struct conn_events *events, void *user,
                        struct conn **ret_conn, struct error *error);

void *conn_user(const struct conn *conn);
struct loop *conn_loop(const struct conn *conn);
/* Unread bytes. Reading stops by itself while it is full and goes on when it was consumed. */
struct bytes *conn_input(struct conn *conn);
/* Bytes to send: append; they go out at the end of this turn, and on as the socket takes them. */
struct bytes *conn_output(struct conn *conn);
/* Call after appending to conn_output: schedules the write. */
void conn_wants_write(struct conn *conn);

/* No on_input until conn_resume (the socket is not read either: TCP pushes back). */
void conn_pause(struct conn *conn);
/* on_input is called at the end of this turn if bytes are there. */
void conn_resume(struct conn *conn);

/* 0 takes it away. Moving it is cheap. */
void conn_set_deadline(struct conn *conn, uint64_t at_ns);

/*
 * Sends what is queued, then closes: shuts the sending side down first and drains what the client
 * still sends for a short, bounded time, so that it can read the answer (RFC 9112 section 9.6).
 */
void conn_close_after_write(struct conn *conn);
/* Closes at once; on_end follows at the end of this turn. */
void conn_close(struct conn *conn);

#endif
