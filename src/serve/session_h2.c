/*
 * HTTP/2 on a connection, as far as it concerns all of its streams: bytes in, frames out, idleness,
 * draining. What a turn has brought for all of them is written once, at its end, up to a mark; the
 * rest of large answers stays where it is until the socket has taken some.
 */
#include "base/check.h"
#include "base/log.h"
#include "serve/session_state.h"

static struct session *of_task(struct loop_task *task)
{
    struct session *session =
        (struct session *)(void *)((char *)task - offsetof(struct session, h2.flush_task));
    CHECK_MAGIC(session, SESSION_MAGIC);
    return session;
}

/* ---- deadlines ---- */

/* A later one leaves the conn's deadline where it is: nothing is done per request. */
void session_h2_wake_at(struct session *session, uint64_t at_ns)
{
    struct session_h2_state *state = &session->h2;
    if (at_ns != 0 && !session->ended && (state->wake_ns == 0 || at_ns < state->wake_ns)) {
        state->wake_ns = at_ns;
        conn_set_deadline(session->conn, at_ns);
    }
}

/* Says goodbye; the connection ends with its last stream. */
static void leave(struct session *session)
{
    if (!session->h2.is_leaving) {
        session->h2.is_leaving = true;
        h2_drain_end(session->h2.h2);
        session_h2_flush_soon(session);
    }
}

void session_h2_on_idle(struct session *session)
{
    struct session_h2_state *state = &session->h2;
    state->idle_ns = loop_now_ns(session->io->loop);
    if (session->ended) {
        return;
    }
    if (session->io->shared->settings.keepalive_timeout_ns == 0) {
        leave(session);
    }
    session_h2_wake_at(session, state->idle_ns + session_idle_span_ns(session));
}

/* Who still takes bytes of the last answers is not idle yet. */
static void check_idle(struct session *session, uint64_t now_ns)
{
    uint64_t end_ns = session_idle_end_ns(session, session->h2.idle_ns);
    if (end_ns > now_ns) {
        uint64_t idle_end_ns = now_ns + session_idle_span_ns(session);
        session_h2_wake_at(session, end_ns < idle_end_ns ? end_ns : idle_end_ns);
    } else if (conn_unsent_bytes(session->conn) > 0) {
        session->ended = true;
        conn_close(session->conn);
    } else {
        leave(session);
    }
}

/* A round trip after the notice: streams that were on their way have come. */
static void check_drain(struct session *session, uint64_t now_ns)
{
    struct session_h2_state *state = &session->h2;
    if (state->drain_ns == 0 || state->is_leaving) {
        return;
    }
    if (now_ns < state->drain_ns) {
        session_h2_wake_at(session, state->drain_ns);
        return;
    }
    leave(session);
    session_stream_stop_open(session);
}

static void on_deadline(struct session *session)
{
    struct session_h2_state *state = &session->h2;
    uint64_t now_ns = loop_now_ns(session->io->loop);
    state->wake_ns = 0;
    if (session->ended) {
        return;
    }
    check_drain(session, now_ns);
    session_stream_check_all(session);
    if (!session->ended && h2_is_idle(state->h2)) {
        check_idle(session, now_ns);
    }
}

/* ---- output ---- */

void session_h2_flush_soon(struct session *session)
{
    if (!session->ended) {
        loop_defer(session->io->loop, &session->h2.flush_task);
    }
}

/* All that can still be said has been written. */
static bool is_over(const struct session *session)
{
    const struct session_h2_state *state = &session->h2;
    if (h2_is_done(state->h2)) {
        return true;
    }
    if (h2_wants_write(state->h2)) {
        return false;
    }
    /* Answers that wait for the client's flow control wait in vain once it sends nothing more. */
    bool is_stuck = session->eof && !session_stream_has_work(session);
    return state->is_closing || is_stuck || (state->is_leaving && h2_is_idle(state->h2));
}

static void flush(struct loop_task *task)
{
    struct session *session = of_task(task);
    struct session_h2_state *state = &session->h2;
    if (session->ended) {
        return;
    }
    if (h2_wants_write(state->h2) &&
        h2_write(state->h2, conn_output(session->conn), CONN_OUTPUT_HIGH_BYTES) != ERR_OK) {
        session_fail(session, "to write HTTP/2 frames");
        return;
    }
    if (is_over(session)) {
        session_end_after_write(session);
    }
}

static void on_room(struct session *session)
{
    if (!session->ended) {
        session_h2_flush_soon(session);
    }
}

/* ---- input ---- */

static void on_input(struct session *session)
{
    struct session_h2_state *state = &session->h2;
    struct bytes *input = conn_input(session->conn);
    struct error error;
    enum h2_result result = h2_feed(state->h2, bytes_slice(input), &error);
    bytes_consume(input, bytes_len(input));
    if (result == H2_CLOSING && !state->is_closing) {
        state->is_closing = true;
        if (error.code == ERR_NO_MEMORY) {
            log_error("%s", error.text);
        }
    }
    session_h2_flush_soon(session);
}

static void on_eof(struct session *session)
{
    if (!session->ended) {
        session_stream_on_eof(session);
        session_h2_flush_soon(session);
    }
}

/* ---- life ---- */

static void on_drain(struct session *session)
{
    struct session_h2_state *state = &session->h2;
    if (state->drain_ns == 0) {
        state->drain_ns = loop_now_ns(session->io->loop) + SESSION_DRAIN_GRACE_NS;
        h2_drain(state->h2);
        session_h2_wake_at(session, state->drain_ns);
        session_h2_flush_soon(session);
    }
}

static int begin(struct session *session)
{
    const struct h2_options options = H2_OPTIONS_DEFAULT;
    session->h2 = (struct session_h2_state){
        .h2 = h2_new(&options, &session_stream_events, session),
        .flush_task = {.run = flush},
        .idle_ns = loop_now_ns(session->io->loop),
    };
    if (session->h2.h2 == NULL) {
        return ERR_NO_MEMORY;
    }
    session_h2_wake_at(session, session->h2.idle_ns + session_idle_span_ns(session));
    if (session_is_draining(session)) {
        on_drain(session);
    }
    return ERR_OK;
}

static void done(struct session *session)
{
    loop_undefer(session->io->loop, &session->h2.flush_task);
    h2_free(session->h2.h2); /* closes what streams there are */
    CHECK(session->h2.streams == NULL);
}

const struct session_protocol session_h2 = {
    .begin = begin,
    .on_input = on_input,
    .on_eof = on_eof,
    .on_room = on_room,
    .on_deadline = on_deadline,
    .on_drain = on_drain,
    .done = done,
};
