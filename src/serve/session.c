/*
 * HTTP/1.1 on a connection: feeds bytes to the engine, makes an exchange of each request, sends the
 * answers in order. One request of a connection is in work at a time; what a client pipelines waits
 * in the connection's queue and TCP pushes back when that is full.
 */
#include "serve/session.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "http/h1.h"
#include "net/conn.h"
#include "serve/exchange.h"
#include "serve/io_thread.h"

#define SESSION_MAGIC 0x73657373u
/* How long an idle connection may still bring a request once the server is stopping. */
#define DRAIN_GRACE_NS (CLOCK_NS_PER_S / 2)

struct session {
    unsigned magic;
    struct io_thread *io;
    struct conn *conn;
    struct h1 *h1;
    struct exchange *exchange; /* the request being read or answered; NULL before its first byte */
    bool reads_request;        /* the exchange's request is not complete yet */
    bool in_input;             /* on_input is on the stack: sending must not call it again */
    bool ended;                /* nothing more is read: the last answer was sent or decided */
    bool eof;                  /* the client will send no more */
    struct session *previous, *next;
};

static struct session *of_conn(struct conn *conn)
{
    struct session *session = conn_user(conn);
    CHECK_MAGIC(session, SESSION_MAGIC);
    return session;
}

static bool is_draining(const struct session *session)
{
    return atomic_load_explicit(&session->io->shared->draining, memory_order_relaxed);
}

static uint64_t after(const struct session *session, uint64_t span_ns)
{
    return span_ns == 0 ? 0 : loop_now_ns(session->io->loop) + span_ns;
}

/* ---- deadlines ---- */

/* How long a connection may wait for its next request. */
static uint64_t idle_span_ns(const struct session *session)
{
    const struct settings *settings = &session->io->shared->settings;
    if (is_draining(session)) {
        return DRAIN_GRACE_NS;
    }
    /* Without keep-alive a connection waits for its first request only. */
    return settings->keepalive_timeout_ns == 0 ? settings->header_timeout_ns
                                               : settings->keepalive_timeout_ns;
}

static void expect_request(struct session *session)
{
    conn_set_deadline(session->conn, after(session, idle_span_ns(session)));
}

/*
 * The deadline of an idle connection has come: true when it goes on, because the client was still
 * taking an answer. It is idle from its last byte on; an answer may stand still as long as one that
 * is flushed.
 */
static bool still_takes_answer(struct session *session)
{
    uint64_t idle_ns = idle_span_ns(session);
    uint64_t span_ns = conn_unsent_bytes(session->conn) > 0 ? CONN_FLUSH_MAX_NS : idle_ns;
    uint64_t end_ns = conn_sent_ns(session->conn) + span_ns;
    uint64_t now_ns = loop_now_ns(session->io->loop);
    if (end_ns <= now_ns) {
        return false;
    }
    /* Looked at again before: it may become idle meanwhile. */
    conn_set_deadline(session->conn, end_ns < now_ns + idle_ns ? end_ns : now_ns + idle_ns);
    return true;
}

static void expect_head(struct session *session)
{
    conn_set_deadline(session->conn,
                      after(session, session->io->shared->settings.header_timeout_ns));
}

static void expect_rest(struct session *session)
{
    conn_set_deadline(session->conn,
                      after(session, session->io->shared->settings.request_timeout_ns));
}

/* ---- answers ---- */

static void end_after_write(struct session *session)
{
    session->ended = true;
    conn_set_deadline(session->conn, 0); /* the conn bounds its own last words */
    conn_close_after_write(session->conn);
}

static void count_answer(const struct exchange *exchange, uint64_t body_bytes)
{
    struct metrics_shard *metrics = exchange->io->metrics;
    enum metric_handler handler = exchange->route.handler;
    unsigned series = series_handler_method(handler, exchange->method);
    uint64_t took_ns = exchange->io->shared->clock_ns() - exchange->started_ns;
    enum metric_status status = (enum metric_status)(exchange->response.status / 100 - 1);
    metrics_count(metrics, METRIC_HTTP_REQUESTS, series_request(handler, exchange->method, status),
                  1);
    metrics_observe(metrics, METRIC_HTTP_DURATION, series, took_ns);
    metrics_observe(metrics, METRIC_HTTP_DURATION_HIGHR, SERIES_NONE, took_ns);
    metrics_observe(metrics, METRIC_HTTP_REQUEST_SIZE, handler, exchange->request_bytes);
    metrics_observe(metrics, METRIC_HTTP_RESPONSE_SIZE, handler, body_bytes);
}

static int put_answer(struct session *session, struct exchange *exchange, bool close)
{
    struct bytes *out = conn_output(session->conn);
    struct slice body = exchange->method == METHOD_HEAD ? SLICE("") : exchange->response_body;
    exchange->response.content_length = exchange->response_body.len;
    int status =
        h1_put_head(session->h1, &exchange->response, io_thread_date(session->io), close, out);
    if (status == ERR_OK && exchange->response_storage != NULL && body.len > 0) {
        status = conn_take_output(session->conn, exchange->response_storage);
    } else if (status == ERR_OK) {
        status = bytes_put(out, body);
    }
    count_answer(exchange, body.len);
    return status;
}

/* exchange->send: the answer goes into the connection's queue, the exchange is over. */
static void send_answer(struct exchange *exchange)
{
    struct session *session = exchange->owner;
    CHECK_MAGIC(session, SESSION_MAGIC);
    bool asked_all = session->eof && bytes_len(conn_input(session->conn)) == 0;
    bool close = session->reads_request || asked_all || is_draining(session) ||
                 !h1_keeps_alive(session->h1) ||
                 session->io->shared->settings.keepalive_timeout_ns == 0;
    int status = put_answer(session, exchange, close);
    session->exchange = NULL;
    session->reads_request = false;
    exchange->owner = NULL;
    exchange_free(exchange);
    if (status != ERR_OK) {
        log_error("no memory to send an answer");
        session->ended = true;
        conn_close(session->conn);
        return;
    }
    conn_wants_write(session->conn);
    if (close) {
        end_after_write(session);
        return;
    }
    expect_request(session);
    if (!session->in_input && bytes_len(conn_input(session->conn)) > 0) {
        conn_resume(session->conn); /* a pipelined request waits */
    }
}

/* ---- requests ---- */

static int on_head(void *user, const struct http_request *request)
{
    struct session *session = user;
    struct exchange *exchange = session->exchange;
    exchange->request = *request;
    expect_rest(session);
    int status = exchange_on_head(exchange);
    if (status == ERR_OK && request->expect_continue && request->content_length != 0) {
        status = h1_put_continue(conn_output(session->conn));
        conn_wants_write(session->conn);
        if (status != ERR_OK) {
            log_error("no memory for an interim answer");
            error_set(&exchange->error, ERR_NO_MEMORY, "no memory for an interim answer");
        }
    }
    return status;
}

static int on_body(void *user, struct slice piece)
{
    struct session *session = user;
    return exchange_on_body(session->exchange, piece);
}

static void on_message_end(void *user)
{
    struct session *session = user;
    session->reads_request = false;
}

/* The first byte of a request: everything it needs lives in an exchange of its own. */
static bool begin_request(struct session *session)
{
    session->exchange = exchange_new(session->io);
    if (session->exchange == NULL) {
        log_error("no memory for a request");
        session->ended = true;
        conn_close(session->conn);
        return false;
    }
    session->exchange->owner = session;
    session->exchange->send = send_answer;
    session->reads_request = true;
    h1_next(session->h1, &session->exchange->arena);
    expect_head(session);
    return true;
}

static void refuse(struct session *session, const struct error *error)
{
    exchange_refuse_status(session->exchange, h1_error_status(session->h1),
                           slice_from_str(error->text));
}

static void feed(struct session *session, struct bytes *input)
{
    struct error error;
    size_t consumed = 0;
    enum h1_result result = h1_feed(session->h1, bytes_slice(input), &consumed, &error);
    bytes_consume(input, consumed);
    switch (result) {
    case H1_MORE:
        break;
    case H1_DONE:
        /* A request that follows waits; the timer now guards the answer, not the client. */
        conn_set_deadline(session->conn, 0);
        exchange_on_end(session->exchange);
        break;
    case H1_STOPPED:
        exchange_refuse(session->exchange);
        break;
    case H1_ERROR:
        refuse(session, &error);
        break;
    }
}

/* The client has closed its side, and all that it asked completely has been answered. */
static bool is_asked_out(const struct session *session)
{
    bool answering = session->exchange != NULL && !session->reads_request;
    return session->eof && !session->ended && !answering &&
           bytes_len(conn_input(session->conn)) == 0;
}

/* Empty lines before a request belong to no request (RFC 9112 section 2.2). */
static void read_input(struct session *session)
{
    struct bytes *input = conn_input(session->conn);
    session->in_input = true;
    while (!session->ended && bytes_len(input) > 0) {
        bool answering = session->exchange != NULL && !session->reads_request;
        if (answering || conn_unsent_bytes(session->conn) > CONN_OUTPUT_HIGH_BYTES) {
            break;
        }
        if (session->exchange == NULL && !begin_request(session)) {
            break;
        }
        feed(session, input);
    }
    session->in_input = false;
    if (is_asked_out(session)) {
        end_after_write(session);
    }
}

/* ---- the connection's events ---- */

static void on_input(struct conn *conn)
{
    read_input(of_conn(conn));
}

/* The client closed its side. What it asked completely is still answered. */
static void on_eof(struct conn *conn)
{
    struct session *session = of_conn(conn);
    session->eof = true;
    if (is_asked_out(session)) {
        end_after_write(session);
    }
}

static void on_deadline(struct conn *conn)
{
    struct session *session = of_conn(conn);
    if (!session->ended && session->exchange != NULL && session->reads_request &&
        !h1_is_idle(session->h1)) {
        exchange_refuse_status(session->exchange, 408, SLICE("the request did not arrive in time"));
        return;
    }
    if (!session->ended && session->exchange == NULL && still_takes_answer(session)) {
        return;
    }
    session->ended = true;
    conn_close(conn);
}

static void unlink_session(struct session *session)
{
    if (session->previous != NULL) {
        session->previous->next = session->next;
    } else {
        session->io->sessions = session->next;
    }
    if (session->next != NULL) {
        session->next->previous = session->previous;
    }
}

static void on_end(struct conn *conn, enum conn_end end)
{
    (void)end;
    struct session *session = of_conn(conn);
    struct io_thread *io = session->io;
    if (session->exchange != NULL) {
        session->exchange->owner = NULL;
        if (session->reads_request) {
            exchange_free(session->exchange);
        } else {
            exchange_abandon(session->exchange);
        }
    }
    unlink_session(session);
    h1_free(session->h1);
    session->magic = 0;
    mem_free(session);
    atomic_fetch_sub(&io->shared->connections, 1);
    io_thread_on_session_end(io);
}

static const struct conn_events conn_events = {
    .on_input = on_input,
    .on_eof = on_eof,
    .on_deadline = on_deadline,
    .on_end = on_end,
};

static const struct h1_events h1_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_message_end,
};

/* ---- life ---- */

static struct session *make_session(struct io_thread *io, int fd)
{
    struct error error;
    struct session *session = mem_zalloc(1, sizeof(*session));
    if (session == NULL) {
        return NULL;
    }
    session->magic = SESSION_MAGIC;
    session->io = io;
    session->h1 = h1_new(&h1_events, session);
    if (session->h1 == NULL ||
        conn_new(io->loop, fd, &conn_events, session, &session->conn, &error) != ERR_OK) {
        h1_free(session->h1);
        mem_free(session);
        return NULL;
    }
    return session;
}

void session_accept(struct io_thread *io, int fd)
{
    unsigned before = atomic_fetch_add(&io->shared->connections, 1);
    struct session *session =
        before < io->shared->settings.max_connections ? make_session(io, fd) : NULL;
    if (session == NULL) {
        atomic_fetch_sub(&io->shared->connections, 1);
        metrics_count(io->metrics, METRIC_REJECTIONS, REJECTION_CONNECTIONS, 1);
        sys_close(fd);
        return;
    }
    session->next = io->sessions;
    if (io->sessions != NULL) {
        io->sessions->previous = session;
    }
    io->sessions = session;
    expect_request(session);
}

void session_drain_all(struct io_thread *io)
{
    for (struct session *session = io->sessions; session != NULL; session = session->next) {
        if (session->exchange == NULL) {
            expect_request(session);
        }
    }
}

void session_close_all(struct io_thread *io)
{
    for (struct session *session = io->sessions; session != NULL; session = session->next) {
        session->ended = true;
        conn_close(session->conn);
    }
}
