/*
 * The life of a session: accepted, given its protocol by the first bytes, drained, ended. A first
 * byte that no preface of HTTP/2 begins with decides at once, so HTTP/1.1 pays nothing for the choice.
 */
#include "serve/session.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "serve/session_state.h"

/* What HTTP/1.1 gets from the port of gRPC (RFC 9110 section 15.6.6). */
#define GRPC_PORT_TEXT "this port speaks gRPC alone: HTTP/2 with prior knowledge\n"
#define GRPC_PORT_TEXT_BYTES "57"
#define GRPC_PORT_ANSWER                                                                           \
    SLICE("HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain; charset=utf-8\r\n" \
          "Content-Length: " GRPC_PORT_TEXT_BYTES "\r\nConnection: close\r\n\r\n" GRPC_PORT_TEXT)

_Static_assert(sizeof(GRPC_PORT_TEXT) - 1 == 57, "Content-Length is written by hand");

static struct session *of_conn(struct conn *conn)
{
    struct session *session = conn_user(conn);
    CHECK_MAGIC(session, SESSION_MAGIC);
    return session;
}

/* ---- for the protocols ---- */

bool session_is_draining(const struct session *session)
{
    return atomic_load_explicit(&session->io->shared->draining, memory_order_relaxed);
}

uint64_t session_after(const struct session *session, uint64_t span_ns)
{
    return span_ns == 0 ? 0 : loop_now_ns(session->io->loop) + span_ns;
}

uint64_t session_idle_span_ns(const struct session *session)
{
    const struct settings *settings = &session->io->shared->settings;
    if (session_is_draining(session)) {
        return SESSION_DRAIN_GRACE_NS;
    }
    /* Without keep-alive a connection waits for its first request only. */
    return settings->keepalive_timeout_ns == 0 ? settings->header_timeout_ns
                                               : settings->keepalive_timeout_ns;
}

uint64_t session_idle_end_ns(const struct session *session, uint64_t since_ns)
{
    uint64_t span_ns =
        conn_unsent_bytes(session->conn) > 0 ? CONN_FLUSH_MAX_NS : session_idle_span_ns(session);
    uint64_t sent_ns = conn_sent_ns(session->conn);
    return (sent_ns > since_ns ? sent_ns : since_ns) + span_ns;
}

void session_end_after_write(struct session *session)
{
    session->ended = true;
    conn_set_deadline(session->conn, 0); /* the conn bounds its own last words */
    conn_close_after_write(session->conn);
}

void session_fail(struct session *session, const char *what)
{
    log_error("no memory %s", what);
    session->ended = true;
    conn_close(session->conn);
}

/* ---- the choice ---- */

/* What the metrics say it speaks. */
static enum metric_wire wire_of(const struct session *session)
{
    if (session->protocol == NULL) {
        return WIRE_UNDECIDED;
    }
    return session->protocol == &session_h2 ? WIRE_HTTP2 : WIRE_HTTP1;
}

static void set_protocol(struct session *session, const struct session_protocol *protocol)
{
    struct metrics_shard *metrics = session->io->metrics;
    metrics_lower(metrics, METRIC_CONNECTIONS, wire_of(session));
    session->protocol = protocol;
    metrics_raise(metrics, METRIC_CONNECTIONS, wire_of(session));
}

static bool choose(struct session *session, const struct session_protocol *protocol)
{
    set_protocol(session, protocol);
    if (protocol->begin(session) != ERR_OK) {
        set_protocol(session, NULL);
        session_fail(session, "for a connection's protocol");
        return false;
    }
    metrics_count(session->io->metrics, METRIC_CONNECTIONS_OPENED, wire_of(session), 1);
    return true;
}

static void refuse_http1(struct session *session)
{
    bytes_consume(conn_input(session->conn), bytes_len(conn_input(session->conn)));
    if (bytes_put(conn_output(session->conn), GRPC_PORT_ANSWER) != ERR_OK) {
        session_fail(session, "to send an answer");
        return;
    }
    session_end_after_write(session);
}

static bool choose_http1(struct session *session)
{
    if (session->port == SESSION_PORT_GRPC) {
        refuse_http1(session);
        return false;
    }
    return choose(session, &session_h1);
}

/* True when the protocol is known. */
static bool look(struct session *session)
{
    switch (h2_preface_match(bytes_slice(conn_input(session->conn)))) {
    case H2_PREFACE_NO:
        return choose_http1(session);
    case H2_PREFACE_YES:
        return choose(session, &session_h2);
    case H2_PREFACE_MORE:
        break;
    }
    if (!session->begun) {
        session->begun = true;
        conn_set_deadline(session->conn,
                          session_after(session, session->io->shared->settings.header_timeout_ns));
    }
    return false;
}

/* No more will come: what looks like the start of a preface is a bad request of HTTP/1.1. */
static bool look_at_rest(struct session *session)
{
    if (session->ended || bytes_len(conn_input(session->conn)) == 0 || !choose_http1(session)) {
        return false;
    }
    session->protocol->on_input(session);
    return !session->ended;
}

/* ---- the connection's events ---- */

static void on_input(struct conn *conn)
{
    struct session *session = of_conn(conn);
    if (!session->ended && (session->protocol != NULL || look(session))) {
        session->protocol->on_input(session);
    }
}

/* The client closed its side. What it asked completely is still answered. */
static void on_eof(struct conn *conn)
{
    struct session *session = of_conn(conn);
    session->eof = true;
    if (session->protocol != NULL || look_at_rest(session)) {
        session->protocol->on_eof(session);
    } else if (!session->ended) {
        session_end_after_write(session);
    }
}

static void on_room(struct conn *conn)
{
    struct session *session = of_conn(conn);
    if (session->protocol != NULL) {
        session->protocol->on_room(session);
    }
}

static void on_deadline(struct conn *conn)
{
    struct session *session = of_conn(conn);
    if (session->protocol != NULL || look_at_rest(session)) {
        session->protocol->on_deadline(session);
    } else if (!session->ended) {
        session->ended = true;
        conn_close(conn);
    }
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
    session->ended = true;
    if (session->protocol != NULL) {
        session->protocol->done(session);
    } else {
        metrics_count(io->metrics, METRIC_CONNECTIONS_OPENED, WIRE_UNDECIDED, 1);
    }
    metrics_lower(io->metrics, METRIC_CONNECTIONS, wire_of(session));
    unlink_session(session);
    session->magic = 0;
    mem_free(session);
    atomic_fetch_sub(&io->shared->connections, 1);
    atomic_fetch_sub(&io->open, 1);
    io_thread_on_session_end(io);
}

static const struct conn_events conn_events = {
    .on_input = on_input,
    .on_eof = on_eof,
    .on_room = on_room,
    .on_deadline = on_deadline,
    .on_end = on_end,
};

/* ---- who is there ---- */

/* The address and port at the other end of a socket, written into `text`; empty where it has none. */
static struct slice look_up_client(int fd, char text[SESSION_CLIENT_MAX])
{
    struct sockaddr_storage address;
    char host[INET6_ADDRSTRLEN];
    if (sys_peer_address(fd, &address) != 0) {
        return SLICE("");
    }
    int len = 0;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        len = snprintf(text, SESSION_CLIENT_MAX, "%s:%u", host, (unsigned)ntohs(in->sin_port));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&address;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        len = snprintf(text, SESSION_CLIENT_MAX, "[%s]:%u", host, (unsigned)ntohs(in6->sin6_port));
    }
    return slice_make(text, (size_t)len);
}

/* ---- life ---- */

static void expect_first_byte(struct session *session)
{
    conn_set_deadline(session->conn, session_after(session, session_idle_span_ns(session)));
}

static struct session *make_session(struct io_thread *io, int fd, enum session_port port)
{
    struct error error;
    struct session *session = mem_zalloc(1, sizeof(*session));
    if (session == NULL) {
        return NULL;
    }
    session->magic = SESSION_MAGIC;
    session->io = io;
    session->port = port;
    if (io->shared->settings.access_log || io->spans != NULL) {
        session->client = look_up_client(fd, session->client_text);
    }
    if (conn_new(io->loop, fd, &conn_events, session, &session->conn, &error) != ERR_OK) {
        mem_free(session);
        return NULL;
    }
    return session;
}

void session_accept(struct io_thread *io, int fd, enum session_port port)
{
    unsigned before = atomic_fetch_add(&io->shared->connections, 1);
    struct session *session =
        before < io->shared->settings.max_connections ? make_session(io, fd, port) : NULL;
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
    atomic_fetch_add(&io->open, 1);
    metrics_raise(io->metrics, METRIC_CONNECTIONS, WIRE_UNDECIDED);
    expect_first_byte(session);
}

void session_drain_all(struct io_thread *io)
{
    for (struct session *session = io->sessions; session != NULL; session = session->next) {
        if (session->ended) {
            continue;
        }
        if (session->protocol != NULL) {
            session->protocol->on_drain(session);
        } else {
            expect_first_byte(session);
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
