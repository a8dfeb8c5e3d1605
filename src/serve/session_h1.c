/*
 * HTTP/1.1 on a connection: feeds bytes to the engine, makes an exchange of each request, sends the
 * answers in order. One request of a connection is in work at a time; what a client pipelines waits
 * in the connection's queue and TCP pushes back when that is full.
 */
#include "base/check.h"
#include "serve/rest.h"
#include "serve/session_state.h"

/* ---- deadlines ---- */

static void expect_request(struct session *session)
{
    conn_set_deadline(session->conn, session_after(session, session_idle_span_ns(session)));
}

/*
 * The deadline of an idle connection has come: true when it goes on, because the client was still
 * taking an answer. It is idle from its last byte on; an answer may stand still as long as one that
 * is flushed.
 */
static bool still_takes_answer(struct session *session)
{
    uint64_t end_ns = session_idle_end_ns(session, 0);
    uint64_t now_ns = loop_now_ns(session->io->loop);
    if (end_ns <= now_ns) {
        return false;
    }
    /* Looked at again before: it may become idle meanwhile. */
    uint64_t idle_end_ns = now_ns + session_idle_span_ns(session);
    conn_set_deadline(session->conn, end_ns < idle_end_ns ? end_ns : idle_end_ns);
    return true;
}

static void expect_head(struct session *session)
{
    conn_set_deadline(session->conn,
                      session_after(session, session->io->shared->settings.header_timeout_ns));
}

static void expect_rest(struct session *session)
{
    conn_set_deadline(session->conn,
                      session_after(session, session->io->shared->settings.request_timeout_ns));
}

/* ---- answers ---- */

static int put_answer(struct session *session, struct exchange *exchange, bool close)
{
    struct bytes *out = conn_output(session->conn);
    struct slice body = exchange->method == METHOD_HEAD ? SLICE("") : exchange->response_body;
    int status =
        h1_put_head(session->h1.h1, &exchange->response, io_thread_date(session->io), close, out);
    if (status == ERR_OK && exchange->response_storage != NULL && body.len > 0) {
        status = conn_take_output(session->conn, exchange->response_storage);
    } else if (status == ERR_OK) {
        status = bytes_put(out, body);
    }
    return status;
}

static void end_request(struct session *session)
{
    struct exchange *exchange = session->h1.exchange;
    session->h1.exchange = NULL;
    session->h1.reads_request = false;
    metrics_lower(session->io->metrics, METRIC_IN_PROGRESS, PROTOCOL_HTTP1);
    exchange_abandon(exchange);
}

/* The answer goes into the connection's queue, the exchange is over. */
static void send_answer(struct exchange *exchange)
{
    struct session *session = exchange->owner;
    CHECK_MAGIC(session, SESSION_MAGIC);
    struct session_h1_state *state = &session->h1;
    bool asked_all = session->eof && bytes_len(conn_input(session->conn)) == 0;
    bool close = state->reads_request || asked_all || session_is_draining(session) ||
                 !h1_keeps_alive(state->h1) ||
                 session->io->shared->settings.keepalive_timeout_ns == 0;
    int status = put_answer(session, exchange, close);
    end_request(session);
    if (status != ERR_OK) {
        session_fail(session, "to send an answer");
        return;
    }
    conn_wants_write(session->conn);
    if (close) {
        session_end_after_write(session);
        return;
    }
    expect_request(session);
    if (!state->in_input && bytes_len(conn_input(session->conn)) > 0) {
        conn_resume(session->conn); /* a pipelined request waits */
    }
}

/* The one answer of a connection may be as long as its queue, which says so where it is not. */
static bool takes_answer(const struct exchange *exchange, size_t bytes)
{
    (void)exchange;
    (void)bytes;
    return true;
}

static const struct exchange_outlet outlet = {
    .protocol = PROTOCOL_HTTP1, .send = send_answer, .takes = takes_answer};

/* ---- requests ---- */

static int on_head(void *user, const struct http_request *request)
{
    struct session *session = user;
    struct exchange *exchange = session->h1.exchange;
    exchange->request = *request;
    exchange->version = h1_minor(session->h1.h1) == 0 ? SLICE("1.0") : SLICE("1.1");
    expect_rest(session);
    int status = exchange_on_head(exchange);
    if (status == ERR_OK && request->expect_continue && request->content_length != 0) {
        status = h1_put_continue(conn_output(session->conn));
        conn_wants_write(session->conn);
        if (status != ERR_OK) {
            exchange_log_error(exchange, "no memory for an interim answer");
            error_set(&exchange->error, ERR_NO_MEMORY, "no memory for an interim answer");
        }
    }
    return status;
}

static int on_body(void *user, struct slice piece)
{
    struct session *session = user;
    return exchange_on_body(session->h1.exchange, piece);
}

static void on_message_end(void *user)
{
    struct session *session = user;
    session->h1.reads_request = false;
}

/* The first byte of a request: everything it needs lives in an exchange of its own. */
static bool begin_request(struct session *session)
{
    struct session_h1_state *state = &session->h1;
    state->exchange = exchange_new(session->io);
    if (state->exchange == NULL) {
        session_fail(session, "for a request");
        return false;
    }
    state->exchange->owner = session;
    state->exchange->outlet = &outlet;
    state->exchange->client = session->client;
    state->reads_request = true;
    metrics_raise(session->io->metrics, METRIC_IN_PROGRESS, PROTOCOL_HTTP1);
    h1_next(state->h1, &state->exchange->arena);
    expect_head(session);
    return true;
}

static void feed(struct session *session, struct bytes *input)
{
    struct session_h1_state *state = &session->h1;
    struct error error;
    size_t consumed = 0;
    enum h1_result result = h1_feed(state->h1, bytes_slice(input), &consumed, &error);
    bytes_consume(input, consumed);
    switch (result) {
    case H1_MORE:
        break;
    case H1_DONE:
        /* A request that follows waits; the timer now guards the answer, not the client. */
        conn_set_deadline(session->conn, 0);
        exchange_on_end(state->exchange);
        break;
    case H1_STOPPED:
        exchange_refuse(state->exchange);
        break;
    case H1_ERROR:
        rest_refuse_status(state->exchange, h1_error_status(state->h1), slice_from_str(error.text));
        break;
    }
}

static bool is_answering(const struct session *session)
{
    return session->h1.exchange != NULL && !session->h1.reads_request;
}

/* The client has closed its side, and all that it asked completely has been answered. */
static bool is_asked_out(const struct session *session)
{
    return session->eof && !session->ended && !is_answering(session) &&
           bytes_len(conn_input(session->conn)) == 0;
}

/* Empty lines before a request belong to no request (RFC 9112 section 2.2). */
static void on_input(struct session *session)
{
    struct bytes *input = conn_input(session->conn);
    session->h1.in_input = true;
    while (!session->ended && bytes_len(input) > 0) {
        if (is_answering(session) || conn_unsent_bytes(session->conn) > CONN_OUTPUT_HIGH_BYTES) {
            break;
        }
        if (session->h1.exchange == NULL && !begin_request(session)) {
            break;
        }
        feed(session, input);
    }
    session->h1.in_input = false;
    if (is_asked_out(session)) {
        session_end_after_write(session);
    }
}

/* ---- other events ---- */

static void on_eof(struct session *session)
{
    if (is_asked_out(session)) {
        session_end_after_write(session);
    }
}

/* An answer is made whole; a request that waits behind it is handed up by the conn. */
static void on_room(struct session *session)
{
    (void)session;
}

static void on_deadline(struct session *session)
{
    struct session_h1_state *state = &session->h1;
    if (!session->ended && state->exchange != NULL && state->reads_request &&
        !h1_is_idle(state->h1)) {
        exchange_on_late(state->exchange);
        return;
    }
    if (!session->ended && state->exchange == NULL && still_takes_answer(session)) {
        return;
    }
    session->ended = true;
    conn_close(session->conn);
}

static void on_drain(struct session *session)
{
    if (session->h1.exchange == NULL) {
        expect_request(session);
    }
}

static const struct h1_events events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_message_end,
};

static int begin(struct session *session)
{
    session->h1 = (struct session_h1_state){.h1 = h1_new(&events, session)};
    return session->h1.h1 == NULL ? ERR_NO_MEMORY : ERR_OK;
}

static void done(struct session *session)
{
    if (session->h1.exchange != NULL) {
        end_request(session);
    }
    h1_free(session->h1.h1);
}

const struct session_protocol session_h1 = {
    .begin = begin,
    .on_input = on_input,
    .on_eof = on_eof,
    .on_room = on_room,
    .on_deadline = on_deadline,
    .on_drain = on_drain,
    .done = done,
};
