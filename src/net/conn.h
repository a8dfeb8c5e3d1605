/*
 * One accepted TCP connection on its loop: reads into a bounded queue, hands it up, writes what it
 * was given once a turn. It knows nothing of protocols. Loop thread only. Its queues have storage
 * only while they hold bytes: an idle connection costs this struct and the kernel's.
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

/* Unread bytes that are kept for the layer above; while there are so many, the socket rests. */
#define CONN_INPUT_MAX_BYTES ((size_t)64 * 1024)
/* The largest output queue; appending past it fails. */
#define CONN_OUTPUT_MAX_BYTES ((size_t)64 * 1024 * 1024)
/*
 * While so many bytes wait to be sent, nothing is read and on_input is not called; when there are
 * fewer it is called again if bytes are there.
 */
#define CONN_OUTPUT_HIGH_BYTES ((size_t)256 * 1024)
/*
 * After conn_close_after_write: how long sending may stand still where no deadline is set; then how
 * much of what the client still sends is read, and for how long, before the socket is closed. The
 * bytes cover a body just past the default MAX_BODY_BYTES, so that its sender sees the refusal.
 */
#define CONN_FLUSH_MAX_NS (UINT64_C(30) * 1000000000)
#define CONN_LINGER_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define CONN_LINGER_MAX_NS (UINT64_C(2) * 1000000000)

/* Why it ended: the first of these that happened. */
enum conn_end {
    CONN_END_EOF,     /* closed from here after the client had closed its side (on_eof) */
    CONN_END_ERROR,   /* reset, a write failed, or no memory */
    CONN_END_TIMEOUT, /* closed in on_deadline, or the deadline passed with bytes still unsent */
    CONN_END_LOCAL,   /* conn_close or conn_close_after_write was called here */
};

/* Only on_room may be NULL. Every function below may be called in each; after on_end none. */
struct conn_events {
    /*
     * Bytes are there: conn_input(conn) holds them all; consume with bytes_consume what was used.
     * Called again when more arrive or conn_resume was called; perhaps without cause.
     */
    void (*on_input)(struct conn *conn);
    /*
     * The client will send no more (half close); what is written still goes out. Once, after the
     * on_input of its last bytes. The conn stays open until it is closed here.
     */
    void (*on_eof)(struct conn *conn);
    /*
     * Sending has made room: fewer than CONN_OUTPUT_HIGH_BYTES wait where as many or more did. For
     * a layer above that makes output as there is room for it. An on_input that was held back follows.
     */
    void (*on_room)(struct conn *conn);
    /*
     * The deadline passed and is taken away. The connection is still open: answer and close, or
     * just close. Not called after conn_close_after_write.
     */
    void (*on_deadline)(struct conn *conn);
    /* The last event. The conn is freed when it returns. */
    void (*on_end)(struct conn *conn, enum conn_end end);
};

/*
 * Takes the socket (non-blocking; closed by the conn). ERR_NO_MEMORY or ERR_INTERNAL: then the
 * socket is still the caller's. Freed by itself after on_end. `events` is borrowed for its life.
 */
MUST_CHECK int conn_new(struct loop *loop, int fd, const struct conn_events *events, void *user,
                        struct conn **ret_conn, struct error *error);

void *conn_user(const struct conn *conn);
/*
 * Unread bytes. Reading stops by itself while it is full and goes on when it was consumed. Ask anew
 * in each turn, do not keep the pointer: asking is what makes the conn look at it again.
 */
struct bytes *conn_input(struct conn *conn);
/*
 * Bytes to send: append; they go out at the end of this turn, in one call, and on as the socket
 * takes them. Ask anew in each turn, as it is given its storage here.
 */
struct bytes *conn_output(struct conn *conn);
/* How many bytes wait to be sent, and when the socket last took some (0: never). */
size_t conn_unsent_bytes(const struct conn *conn);
uint64_t conn_sent_ns(const struct conn *conn);
/*
 * Takes over the storage of a filled queue, which is left empty, and sends its bytes behind what was
 * appended before: a large body is not copied. What is appended from then on follows it.
 * ERR_NO_MEMORY where one that was taken before has not gone out yet and this must be appended to it.
 */
MUST_CHECK int conn_take_output(struct conn *conn, struct bytes *more);
/* Call after appending to conn_output: schedules the write. */
void conn_wants_write(struct conn *conn);

/*
 * on_input is called at the end of this turn if bytes are there: for a layer above that left some
 * because it was busy.
 */
void conn_resume(struct conn *conn);

/* 0 takes it away. Moving it is cheap. */
void conn_set_deadline(struct conn *conn, uint64_t at_ns);

/*
 * Sends what is queued, then closes: shuts the sending side down first and drains what the client
 * still sends for a short, bounded time, so that it can read the answer (RFC 9112 section 9.6).
 * on_end follows after that; there is no other event from here on. A deadline still ends it.
 */
void conn_close_after_write(struct conn *conn);
/* Closes at once; what is queued is lost. on_end follows at the end of this turn. */
void conn_close(struct conn *conn);

#endif
