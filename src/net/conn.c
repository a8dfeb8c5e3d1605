/*
 * A connection. Its life is a line of four states (enum state); on the way down it only ever goes
 * forward. Reading happens when epoll says so and hands up at once; writing happens in a last task
 * of the turn; everything that is decided about the conn as a whole (handing up again, giving
 * storage back, what to watch for, the end) in a task between the two, settle().
 *
 * In the steady state a request costs one read and one send, no epoll_ctl and no allocation: the
 * socket is registered once, edge-triggered, for reading and writing, and the conn remembers what it
 * was told (readable, write_ready) until it has read or written as far as the socket goes; a short
 * read is not followed by another to see EAGAIN; deadlines that move to a later time leave the timer
 * where it is.
 */
#include "net/conn.h"

#include <errno.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/chunks.h"

#define CONN_MAGIC UINT32_C(0x636f6e6e)
/* Reads of one conn in one turn, where it has so much: others shall have their turn too. */
#define CONN_READS_A_TURN 4
/* A read is not worth its call for less room than this, while the queue may grow. */
#define CONN_READ_LEAST_BYTES ((size_t)4 * 1024)

#define CONN_READ_EVENTS ((uint32_t)(EPOLLIN | EPOLLRDHUP))
#define CONN_GONE_EVENTS ((uint32_t)(EPOLLHUP | EPOLLERR))
#define CONN_WATCHED_EVENTS                                                                        \
    (CONN_READ_EVENTS | (uint32_t)EPOLLPRI | (uint32_t)EPOLLOUT | (uint32_t)EPOLLET)
/* After these a short read is not the last of what is there: the end, and urgent data in between. */
#define CONN_UNEVEN_EVENTS ((uint32_t)(EPOLLRDHUP | EPOLLPRI) | CONN_GONE_EVENTS)

enum state {
    STATE_OPEN,
    STATE_FLUSHING,  /* conn_close_after_write: sends what is left; input is dropped */
    STATE_LINGERING, /* all sent and the sending side shut; input is dropped */
    STATE_ENDED,     /* the socket is closed; settle() reports and frees */
};

struct conn {
    uint32_t magic;
    enum state state;
    enum conn_end end;
    struct loop *loop;
    const struct conn_events *events;
    void *user;
    struct loop_source source;
    struct loop_task read_task; /* reading goes on in the next turn */
    struct loop_task settle_task;
    struct loop_task write_task;
    struct loop_timer timer; /* always set: at deadline_ns or before, or at UINT64_MAX */
    uint64_t deadline_ns;    /* 0: none */
    uint64_t sent_ns;        /* when the socket last took bytes */
    struct bytes input;
    struct bytes output;
    struct bytes behind; /* storage that was taken over, sent after the output */
    size_t output_peak;  /* how much was queued last time: what storage to ask for next time */
    size_t dropped_bytes;
    bool readable;    /* the socket may have bytes, or its end, that were not read yet */
    bool reads_on;    /* a short read tells nothing (CONN_UNEVEN_EVENTS): until EAGAIN or the end */
    bool gone;        /* likewise that the peer takes no more bytes either */
    bool hand_up;     /* settle() is to call on_input and on_eof where there is cause */
    bool made_room;   /* settle() is to call on_room */
    bool in_on_input; /* the input is looked at anyway when on_input returns */
    bool in_deadline; /* closing now is a timeout */
    bool flush_bounded; /* the deadline is that of a flush that stands still */
    bool eof;           /* read returned 0 */
    bool eof_told;      /* on_eof was called */
    bool write_blocked; /* the socket was full: EPOLLOUT is waited for */
    bool write_ready;   /* and has come */
};

static struct conn *conn_of_source(struct loop_source *source)
{
    return (struct conn *)((char *)source - offsetof(struct conn, source));
}

static struct conn *conn_of_timer(struct loop_timer *timer)
{
    return (struct conn *)((char *)timer - offsetof(struct conn, timer));
}

static void end(struct conn *conn, enum conn_end why)
{
    if (conn->state == STATE_ENDED) {
        return;
    }
    conn->state = STATE_ENDED;
    conn->end = why;
    loop_remove(conn->loop, &conn->source);
    loop_timer_cancel(conn->loop, &conn->timer);
    loop_undefer(conn->loop, &conn->read_task);
    loop_undefer(conn->loop, &conn->write_task);
    sys_close(conn->source.fd);
    conn->source.fd = -1;
    loop_defer(conn->loop, &conn->settle_task);
}

static enum conn_end local_end(const struct conn *conn)
{
    if (conn->in_deadline) {
        return CONN_END_TIMEOUT;
    }
    return conn->eof_told ? CONN_END_EOF : CONN_END_LOCAL;
}

/* A later deadline leaves the timer where it is; on_due moves it on. */
static void set_deadline(struct conn *conn, uint64_t at_ns)
{
    conn->deadline_ns = at_ns;
    if (at_ns != 0 && at_ns < conn->timer.at_ns) {
        CHECK(loop_timer_set(conn->loop, &conn->timer, at_ns) == ERR_OK);
    }
}

static size_t unsent_bytes(const struct conn *conn)
{
    return bytes_len(&conn->output) + bytes_len(&conn->behind);
}

/* The layer above is not to make more output, nor to get input that it would make some of. */
static bool is_full(const struct conn *conn)
{
    return unsent_bytes(conn) >= CONN_OUTPUT_HIGH_BYTES;
}

static bool can_read(const struct conn *conn)
{
    if (conn->eof) {
        return false;
    }
    switch (conn->state) {
    case STATE_OPEN:
        return !is_full(conn) && bytes_len(&conn->input) < CONN_INPUT_MAX_BYTES;
    case STATE_FLUSHING:
        return conn->dropped_bytes < CONN_LINGER_MAX_BYTES;
    case STATE_LINGERING:
        return true;
    case STATE_ENDED:
        break;
    }
    return false;
}

/* There is something to read again, or still: not in this turn, in which others wait for theirs. */
static void read_on(struct conn *conn)
{
    if (conn->readable && can_read(conn)) {
        loop_defer_next(conn->loop, &conn->read_task);
    }
}

static void tell_eof(struct conn *conn)
{
    if (conn->eof && !conn->eof_told && conn->state == STATE_OPEN) {
        conn->eof_told = true;
        conn->events->on_eof(conn);
    }
}

static void hand_up(struct conn *conn)
{
    if (conn->state != STATE_OPEN || is_full(conn)) {
        return;
    }
    conn->hand_up = false;
    if (bytes_len(&conn->input) > 0) {
        conn->in_on_input = true;
        conn->events->on_input(conn);
        conn->in_on_input = false;
    }
    tell_eof(conn);
}

/* Drops what has come since the layer above took leave. */
static void drop_input(struct conn *conn)
{
    conn->dropped_bytes += bytes_len(&conn->input);
    bytes_consume(&conn->input, bytes_len(&conn->input));
    if (conn->state == STATE_LINGERING &&
        (conn->eof || conn->dropped_bytes >= CONN_LINGER_MAX_BYTES)) {
        end(conn, conn->end);
    }
}

/* One read. Forgets that the socket is readable where nothing more can be there. */
static void fill_input(struct conn *conn)
{
    chunks_lend(loop_chunks(conn->loop), &conn->input, CHUNKS_LEAST_BYTES);
    size_t left = CONN_INPUT_MAX_BYTES - bytes_len(&conn->input);
    char *at =
        bytes_reserve(&conn->input, left < CONN_READ_LEAST_BYTES ? left : CONN_READ_LEAST_BYTES);
    if (at == NULL) {
        end(conn, CONN_END_ERROR);
        return;
    }
    size_t room = bytes_room(&conn->input);
    ssize_t count = sys_read(conn->source.fd, at, room);
    if (count > 0) {
        bytes_commit(&conn->input, (size_t)count);
        conn->readable = (size_t)count == room || conn->reads_on;
        return;
    }
    conn->readable = false;
    if (count == 0) {
        conn->eof = true;
    } else if (errno != EAGAIN) {
        end(conn, CONN_END_ERROR);
    }
}

static void read_some(struct conn *conn)
{
    for (int reads = 0; reads < CONN_READS_A_TURN && conn->readable && can_read(conn); reads++) {
        size_t before = bytes_len(&conn->input);
        fill_input(conn);
        if (conn->state == STATE_FLUSHING || conn->state == STATE_LINGERING) {
            drop_input(conn);
        } else if (conn->state == STATE_OPEN && bytes_len(&conn->input) > before) {
            hand_up(conn);
        } else {
            tell_eof(conn);
        }
    }
    chunks_reclaim(loop_chunks(conn->loop), &conn->input);
    if (conn->gone && !can_read(conn)) {
        end(conn, CONN_END_ERROR);
    }
    read_on(conn);
}

static void go_on_reading(struct loop_task *task)
{
    struct conn *conn = (struct conn *)((char *)task - offsetof(struct conn, read_task));
    CHECK_MAGIC(conn, CONN_MAGIC);
    read_some(conn);
}

static void on_ready(struct loop_source *source, uint32_t ready)
{
    struct conn *conn = conn_of_source(source);
    CHECK_MAGIC(conn, CONN_MAGIC);
    if ((ready & EPOLLOUT) != 0 && conn->write_blocked) {
        conn->write_ready = true;
        loop_defer_last(conn->loop, &conn->write_task);
    }
    if ((ready & (CONN_READ_EVENTS | CONN_UNEVEN_EVENTS)) == 0) {
        return;
    }
    conn->readable = true;
    conn->gone |= (ready & CONN_GONE_EVENTS) != 0;
    conn->reads_on |= (ready & CONN_UNEVEN_EVENTS) != 0;
    read_some(conn);
}

static void drop_output(struct conn *conn)
{
    bytes_consume(&conn->output, bytes_len(&conn->output));
    chunks_reclaim(loop_chunks(conn->loop), &conn->output);
    bytes_done(&conn->behind);
}

static void free_conn(struct conn *conn)
{
    bytes_consume(&conn->input, bytes_len(&conn->input));
    drop_output(conn);
    chunks_reclaim(loop_chunks(conn->loop), &conn->input);
    loop_undefer(conn->loop, &conn->read_task);
    loop_undefer(conn->loop, &conn->settle_task);
    loop_undefer(conn->loop, &conn->write_task);
    conn->magic = 0;
    mem_free(conn);
}

static void tell_room(struct conn *conn)
{
    bool told = !conn->made_room;
    conn->made_room = false;
    if (!told && conn->events->on_room != NULL) {
        conn->events->on_room(conn);
    }
}

static void settle(struct loop_task *task)
{
    struct conn *conn = (struct conn *)((char *)task - offsetof(struct conn, settle_task));
    CHECK_MAGIC(conn, CONN_MAGIC);
    if (conn->state == STATE_ENDED) {
        conn->events->on_end(conn, conn->end);
        free_conn(conn);
        return;
    }
    if (conn->state != STATE_OPEN) {
        drop_input(conn);
    } else {
        tell_room(conn);
        if (conn->hand_up) {
            hand_up(conn);
        }
    }
    chunks_reclaim(loop_chunks(conn->loop), &conn->input);
    read_on(conn);
}

/* Everything is sent: says so to the client, and waits for its end. */
static void start_lingering(struct conn *conn)
{
    if (conn->eof || conn->dropped_bytes >= CONN_LINGER_MAX_BYTES) {
        end(conn, conn->end);
        return;
    }
    if (sys_shutdown(conn->source.fd, SHUT_WR) != 0) {
        end(conn, CONN_END_ERROR);
        return;
    }
    conn->state = STATE_LINGERING;
    set_deadline(conn, loop_now_ns(conn->loop) + CONN_LINGER_MAX_NS);
}

/* So many bytes were sent. What is behind moves up as soon as all before it has gone. */
static void consume_output(struct conn *conn, size_t count)
{
    size_t own = bytes_len(&conn->output);
    own = own < count ? own : count;
    bytes_consume(&conn->output, own);
    if (bytes_len(&conn->behind) == 0) {
        return;
    }
    bytes_consume(&conn->behind, count - own);
    if (bytes_len(&conn->output) == 0) {
        chunks_reclaim(loop_chunks(conn->loop), &conn->output);
        conn->output = conn->behind;
        bytes_init(&conn->behind, CONN_OUTPUT_MAX_BYTES);
    }
}

static void send_some(struct conn *conn)
{
    struct slice unsent = bytes_slice(&conn->output);
    if (conn->output.head == 0) {
        conn->output_peak = unsent.len;
    }
    ssize_t count = bytes_len(&conn->behind) == 0
                        ? sys_send(conn->source.fd, unsent.ptr, unsent.len)
                        : sys_send_two(conn->source.fd, unsent, bytes_slice(&conn->behind));
    if (count < 0 && errno != EAGAIN) {
        end(conn, CONN_END_ERROR);
        return;
    }
    if (count > 0) {
        consume_output(conn, (size_t)count);
        conn->sent_ns = loop_now_ns(conn->loop);
    }
    /*
     * A refusal is what makes any socket tell when it has room again: after a short write the next
     * turn asks for it.
     */
    conn->write_blocked = count < 0;
    if (count > 0 && unsent_bytes(conn) > 0) {
        loop_defer_next(conn->loop, &conn->write_task);
    }
}

/* Once a turn, as a last task: all that this turn has appended goes out together. */
static void write_out(struct loop_task *task)
{
    struct conn *conn = (struct conn *)((char *)task - offsetof(struct conn, write_task));
    CHECK_MAGIC(conn, CONN_MAGIC);
    if (conn->write_blocked && !conn->write_ready) {
        return;
    }
    conn->write_ready = false;
    bool was_full = is_full(conn);
    if (conn->state == STATE_LINGERING) {
        drop_output(conn); /* appended too late */
    } else if (unsent_bytes(conn) > 0) {
        send_some(conn);
    }
    chunks_reclaim(loop_chunks(conn->loop), &conn->output);
    if (conn->state == STATE_FLUSHING && unsent_bytes(conn) == 0) {
        start_lingering(conn);
    }
    if (was_full && !is_full(conn)) {
        conn->made_room = true;
        conn->hand_up = true;
        loop_defer(conn->loop, &conn->settle_task);
    }
    read_on(conn);
}

/* Who still takes bytes of the last answer gets it whole. */
static bool flushes_on(struct conn *conn)
{
    if (conn->state != STATE_FLUSHING || !conn->flush_bounded ||
        conn->sent_ns + CONN_FLUSH_MAX_NS <= loop_now_ns(conn->loop)) {
        return false;
    }
    set_deadline(conn, conn->sent_ns + CONN_FLUSH_MAX_NS);
    return true;
}

static void on_due(struct loop_timer *timer)
{
    struct conn *conn = conn_of_timer(timer);
    CHECK_MAGIC(conn, CONN_MAGIC);
    bool passed = conn->deadline_ns != 0 && conn->deadline_ns <= loop_now_ns(conn->loop);
    if (passed) {
        conn->deadline_ns = 0;
    }
    /* First of all, while it cannot fail. */
    CHECK(loop_timer_set(conn->loop, timer,
                         conn->deadline_ns == 0 ? UINT64_MAX : conn->deadline_ns) == ERR_OK);
    if (!passed || flushes_on(conn)) {
        return;
    }
    if (conn->state == STATE_OPEN) {
        conn->in_deadline = true;
        conn->events->on_deadline(conn);
        conn->in_deadline = false;
    } else {
        end(conn, conn->state == STATE_FLUSHING ? CONN_END_TIMEOUT : conn->end);
    }
}

int conn_new(struct loop *loop, int fd, const struct conn_events *events, void *user,
             struct conn **ret_conn, struct error *error)
{
    CHECK(events->on_input != NULL && events->on_eof != NULL && events->on_deadline != NULL &&
          events->on_end != NULL);
    struct conn *conn = mem_zalloc(1, sizeof(*conn));
    if (conn == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a connection");
    }
    conn->magic = CONN_MAGIC;
    conn->loop = loop;
    conn->events = events;
    conn->user = user;
    conn->source = (struct loop_source){.fd = fd, .on_ready = on_ready};
    conn->read_task.run = go_on_reading;
    conn->settle_task.run = settle;
    conn->write_task.run = write_out;
    conn->timer.on_due = on_due;
    bytes_init(&conn->input, CONN_INPUT_MAX_BYTES);
    bytes_init(&conn->output, CONN_OUTPUT_MAX_BYTES);
    bytes_init(&conn->behind, CONN_OUTPUT_MAX_BYTES);
    int status = loop_timer_set(loop, &conn->timer, UINT64_MAX);
    if (status != ERR_OK) {
        (void)error_set(error, ERR_NO_MEMORY, "no memory for a connection's timer");
        goto out;
    }
    status = loop_add(loop, &conn->source, CONN_WATCHED_EVENTS, error);
    if (status == ERR_OK) {
        *ret_conn = conn;
        return ERR_OK;
    }
out:
    loop_timer_cancel(loop, &conn->timer);
    mem_free(conn);
    return status;
}

void *conn_user(const struct conn *conn)
{
    return conn->user;
}

struct bytes *conn_input(struct conn *conn)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    /* Consumed from elsewhere than on_input: there may be storage to give back, or room again. */
    if (!conn->in_on_input && conn->input.ptr != NULL) {
        loop_defer(conn->loop, &conn->settle_task);
    }
    return &conn->input;
}

struct bytes *conn_output(struct conn *conn)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    conn_wants_write(conn);
    if (bytes_len(&conn->behind) > 0) {
        return &conn->behind;
    }
    chunks_lend(loop_chunks(conn->loop), &conn->output, conn->output_peak);
    return &conn->output;
}

int conn_take_output(struct conn *conn, struct bytes *more)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    conn_wants_write(conn);
    if (bytes_len(&conn->behind) > 0) {
        int status = bytes_put(&conn->behind, bytes_slice(more));
        bytes_done(more);
        return status;
    }
    bytes_done(&conn->behind);
    conn->behind = *more;
    conn->behind.max = CONN_OUTPUT_MAX_BYTES;
    bytes_init(more, more->max);
    if (bytes_len(&conn->output) == 0) {
        consume_output(conn, 0);
    }
    return ERR_OK;
}

size_t conn_unsent_bytes(const struct conn *conn)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    return unsent_bytes(conn);
}

uint64_t conn_sent_ns(const struct conn *conn)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    return conn->sent_ns;
}

void conn_wants_write(struct conn *conn)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    if (conn->state != STATE_ENDED) {
        loop_defer_last(conn->loop, &conn->write_task);
    }
}

void conn_resume(struct conn *conn)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    conn->hand_up = true;
    loop_defer(conn->loop, &conn->settle_task);
}

void conn_set_deadline(struct conn *conn, uint64_t at_ns)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    if (conn->state == STATE_OPEN || conn->state == STATE_FLUSHING) {
        set_deadline(conn, at_ns);
    }
}

void conn_close_after_write(struct conn *conn)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    if (conn->state != STATE_OPEN) {
        return;
    }
    conn->state = STATE_FLUSHING;
    conn->end = local_end(conn);
    if (conn->deadline_ns == 0) {
        conn->flush_bounded = true;
        set_deadline(conn, loop_now_ns(conn->loop) + CONN_FLUSH_MAX_NS);
    }
    loop_defer(conn->loop, &conn->settle_task);
    loop_defer_last(conn->loop, &conn->write_task);
}

void conn_close(struct conn *conn)
{
    CHECK_MAGIC(conn, CONN_MAGIC);
    end(conn, conn->state == STATE_OPEN ? local_end(conn) : conn->end);
}
