/*
 * The streams of an HTTP/2 connection: makes an exchange of each, has its body read and its answer
 * pulled, and holds each to its deadlines and all of them to what one connection may have in hand. A
 * stream's struct lives in its exchange's arena; the exchange stays until the engine has closed the
 * stream, so that the answer needs no copy.
 */
#include "base/check.h"
#include "base/log.h"
#include "serve/grpc.h"
#include "serve/rest.h"
#include "serve/session_state.h"

#define STREAM_MAGIC 0x73747265u
/*
 * Bytes of request bodies that one connection may have in hand, in streams that are being read or in
 * work, past one body of any size: past it a request is answered with 429.
 */
#define BODIES_MAX_BYTES ((size_t)64 * 1024 * 1024)
/* The same of answers that were not copied, past the last one; past it an answer is given up. */
#define ANSWERS_MAX_BYTES ((size_t)128 * 1024 * 1024)

enum phase {
    PHASE_HEAD,   /* the head is being read */
    PHASE_BODY,   /* the body is being read */
    PHASE_WORK,   /* the answer is being made */
    PHASE_OPEN,   /* the answer goes on, perhaps while the body is read */
    PHASE_ANSWER, /* the answer is queued, its body is pulled */
};

enum part { PART_BEFORE, PART_BODY, PART_AFTER, PARTS };

struct stream {
    unsigned magic;
    int32_t id;
    enum phase phase;
    struct session *session;
    struct exchange *exchange;
    struct stream *previous, *next;
    uint64_t late_ns;          /* when the client, or an open answer, is too late; 0: never */
    uint64_t moved_ns;         /* when a part of the answer last went on; 0: nothing waits */
    size_t body_bytes;         /* counted in the session's, like these: */
    size_t answer_bytes;       /* of storage that is the answer's own */
    struct slice parts[PARTS]; /* what is left of the answer */
};

static struct session *session_of(void *user)
{
    struct session *session = user;
    CHECK_MAGIC(session, SESSION_MAGIC);
    return session;
}

static struct stream *stream_of(void *pointer)
{
    struct stream *stream = pointer;
    CHECK_MAGIC(stream, STREAM_MAGIC);
    return stream;
}

/* What the metrics count the request under. */
static enum metric_protocol protocol_of(const struct exchange *exchange)
{
    return exchange->style == &grpc_style ? PROTOCOL_GRPC : PROTOCOL_HTTP2;
}

static uint64_t now_of(const struct stream *stream)
{
    return loop_now_ns(stream->session->io->loop);
}

/* ---- bytes in hand ---- */

static void count_body(struct stream *stream, size_t bytes)
{
    stream->session->h2.body_bytes += bytes - stream->body_bytes;
    stream->body_bytes = bytes;
}

static void count_answer(struct stream *stream, size_t bytes)
{
    stream->session->h2.answer_bytes += bytes - stream->answer_bytes;
    stream->answer_bytes = bytes;
}

/* With one alone a connection has only the limit of a body. */
static int check_bodies(struct stream *stream)
{
    struct exchange *exchange = stream->exchange;
    count_body(stream, bytes_len(&exchange->body));
    size_t others = stream->session->h2.body_bytes - stream->body_bytes;
    if (others == 0 || others + stream->body_bytes <= BODIES_MAX_BYTES) {
        return ERR_OK;
    }
    metrics_count(exchange->io->metrics, METRIC_REJECTIONS, REJECTION_CONNECTION_FULL, 1);
    return error_set(&exchange->error, ERR_BUSY, "too_many_requests");
}

static bool takes_answer(const struct exchange *exchange, size_t bytes)
{
    (void)bytes;
    return stream_of(exchange->owner)->session->h2.answer_bytes <= ANSWERS_MAX_BYTES;
}

/* ---- deadlines ---- */

static uint64_t stall_end_ns(const struct stream *stream)
{
    return stream->moved_ns == 0 ? 0 : stream->moved_ns + CONN_FLUSH_MAX_NS;
}

static void watch(struct stream *stream)
{
    session_h2_wake_at(stream->session, stream->late_ns);
    session_h2_wake_at(stream->session, stall_end_ns(stream));
}

static void expect_in(struct stream *stream, uint64_t span_ns)
{
    stream->late_ns = session_after(stream->session, span_ns);
    session_h2_wake_at(stream->session, stream->late_ns);
}

/*
 * No byte of an answer has gone on for a while. That is the client's will where the stream has no
 * credit; else the connection is slow, and fast enough if it moves at all.
 */
static void check_stall(struct stream *stream, uint64_t now_ns)
{
    struct session *session = stream->session;
    if (h2_is_starved(session->h2.h2, stream->id)) {
        stream->moved_ns = 0;
        h2_reset(session->h2.h2, stream->id, H2_CANCEL);
        session_h2_flush_soon(session);
        return;
    }
    uint64_t sent_ns = conn_sent_ns(session->conn);
    uint64_t moved_ns = sent_ns > session->h2.moved_ns ? sent_ns : session->h2.moved_ns;
    if (moved_ns + CONN_FLUSH_MAX_NS > now_ns) {
        stream->moved_ns = moved_ns;
        return;
    }
    session->ended = true;
    conn_close(session->conn);
}

/* A head that stops half-way stops its connection: there is nobody to answer. */
static void on_late(struct stream *stream)
{
    stream->late_ns = 0;
    if (stream->phase == PHASE_HEAD) {
        stream->session->ended = true;
        conn_close(stream->session->conn);
    } else {
        exchange_on_late(stream->exchange);
    }
}

static void check(struct stream *stream, uint64_t now_ns)
{
    if (stream->late_ns != 0 && stream->late_ns <= now_ns) {
        on_late(stream);
    }
    uint64_t end_ns = stall_end_ns(stream);
    if (!stream->session->ended && end_ns != 0 && end_ns <= now_ns) {
        check_stall(stream, now_ns);
    }
    watch(stream);
}

void session_stream_check_all(struct session *session)
{
    uint64_t now_ns = loop_now_ns(session->io->loop);
    struct stream *stream = session->h2.streams;
    for (; stream != NULL && !session->ended; stream = stream->next) {
        check(stream, now_ns);
    }
}

/* ---- answers ---- */

/* Something of the answer waits to be written. */
static void begin_moving(struct stream *stream)
{
    stream->moved_ns = now_of(stream);
    watch(stream);
}

static enum part next_part(const struct stream *stream)
{
    enum part part = PART_BEFORE;
    while (part < PARTS && stream->parts[part].len == 0) {
        part++;
    }
    return part;
}

static enum h2_pull pull_parts(struct stream *stream, size_t max, struct h2_piece *ret_piece)
{
    enum part part = next_part(stream);
    if (part < PARTS) {
        ret_piece->bytes = slice_head(stream->parts[part], max);
        stream->parts[part] = slice_tail(stream->parts[part], ret_piece->bytes.len);
    }
    if (next_part(stream) < PARTS) {
        return H2_PULL_PIECE;
    }
    ret_piece->trailers = stream->exchange->trailers;
    ret_piece->trailer_count = stream->exchange->trailer_count;
    return H2_PULL_LAST;
}

static enum h2_pull pull(void *source, size_t max, struct h2_piece *ret_piece)
{
    struct stream *stream = stream_of(source);
    const struct h2_body *more = &stream->exchange->stream;
    enum h2_pull pulled = more->pull == NULL ? pull_parts(stream, max, ret_piece)
                                             : more->pull(more->source, max, ret_piece);
    stream->moved_ns = pulled == H2_PULL_LATER ? 0 : now_of(stream);
    stream->session->h2.moved_ns = now_of(stream);
    return pulled;
}

/* HTTP/1.1 and REST date their answers; calls have no use for it. */
static struct slice date_of(const struct exchange *exchange)
{
    return exchange->call == NULL ? io_thread_date(exchange->io) : (struct slice){NULL, 0};
}

static int respond(struct stream *stream)
{
    struct exchange *exchange = stream->exchange;
    if (exchange->stream.pull == NULL && exchange_keep_body(exchange) != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    stream->parts[PART_BEFORE] = exchange->before_body;
    stream->parts[PART_BODY] = exchange->response_body;
    stream->parts[PART_AFTER] = exchange->after_body;
    const struct h2_body body = {pull, stream};
    bool has_body =
        exchange->stream.pull != NULL || next_part(stream) < PARTS || exchange->trailer_count > 0;
    return h2_respond(stream->session->h2.h2, stream->id, &exchange->response, date_of(exchange),
                      has_body ? &body : NULL);
}

static void send_answer(struct exchange *exchange)
{
    struct stream *stream = stream_of(exchange->owner);
    struct session *session = stream->session;
    bool goes_on = exchange->stream.pull != NULL;
    stream->phase = goes_on ? PHASE_OPEN : PHASE_ANSWER;
    stream->late_ns = goes_on ? exchange->deadline_ns : 0;
    if (session->ended) {
        return;
    }
    if (respond(stream) != ERR_OK) {
        exchange_log_error(exchange, "no memory to send an answer");
        h2_reset(session->h2.h2, stream->id, H2_INTERNAL_ERROR);
    }
    count_body(stream, 0);
    count_answer(stream, exchange->response_storage == NULL && exchange->kept_reply.ptr == NULL
                             ? 0
                             : exchange->response_body.len);
    begin_moving(stream);
    session_h2_flush_soon(session);
}

static void resume_answer(struct exchange *exchange)
{
    struct stream *stream = stream_of(exchange->owner);
    if (!stream->session->ended) {
        h2_resume(stream->session->h2.h2, stream->id);
        if (stream->moved_ns == 0) {
            begin_moving(stream);
        }
        session_h2_flush_soon(stream->session);
    }
}

static const struct exchange_outlet outlet = {.protocol = PROTOCOL_HTTP2,
                                              .send = send_answer,
                                              .takes = takes_answer,
                                              .resume = resume_answer};

/* ---- the connection ---- */

void session_stream_on_eof(struct session *session)
{
    for (struct stream *stream = session->h2.streams; stream != NULL; stream = stream->next) {
        if (stream->phase != PHASE_WORK && stream->phase != PHASE_ANSWER) {
            h2_reset(session->h2.h2, stream->id, H2_CANCEL);
        }
    }
}

bool session_stream_has_work(const struct session *session)
{
    const struct stream *stream = session->h2.streams;
    while (stream != NULL && stream->phase != PHASE_WORK) {
        stream = stream->next;
    }
    return stream != NULL;
}

void session_stream_stop_open(struct session *session)
{
    for (struct stream *stream = session->h2.streams; stream != NULL; stream = stream->next) {
        bool has_end = stream->exchange->trailer_count > 0;
        if (stream->phase == PHASE_OPEN && !has_end) {
            error_set(&stream->exchange->error, ERR_UNAVAILABLE, "the server is stopping");
            exchange_refuse(stream->exchange);
        }
    }
}

/* ---- events of the engine ---- */

static void link_stream(struct stream *stream)
{
    struct session *session = stream->session;
    stream->next = session->h2.streams;
    if (stream->next != NULL) {
        stream->next->previous = stream;
    }
    session->h2.streams = stream;
}

static void unlink_stream(struct stream *stream)
{
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        stream->session->h2.streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
}

static void leave(struct session *session)
{
    atomic_fetch_sub_explicit(&session->io->shared->streams, 1, memory_order_relaxed);
}

/* True: the stream is one of MAX_STREAMS and goes with `leave`. */
static bool enter(struct session *session)
{
    struct server_shared *shared = session->io->shared;
    unsigned before = atomic_fetch_add_explicit(&shared->streams, 1, memory_order_relaxed);
    if (before < shared->settings.max_streams) {
        return true;
    }
    leave(session);
    metrics_count(session->io->metrics, METRIC_REJECTIONS, REJECTION_STREAMS, 1);
    log_warning("an HTTP/2 request is refused: MAX_STREAMS (%u) are open",
                shared->settings.max_streams);
    return false;
}

/* NULL without memory. */
static struct stream *make_stream(struct session *session)
{
    struct exchange *exchange = exchange_new(session->io);
    struct stream *stream =
        exchange == NULL ? NULL : arena_zalloc(&exchange->arena, 1, sizeof(*stream));
    if (stream != NULL) {
        stream->exchange = exchange;
    } else if (exchange != NULL) {
        exchange_abandon(exchange);
    }
    return stream;
}

static int on_begin(void *user, int32_t stream_id, void **ret_stream, struct arena **ret_arena)
{
    struct session *session = session_of(user);
    if (!enter(session)) {
        return ERR_BUSY;
    }
    struct stream *stream = make_stream(session);
    if (stream == NULL) {
        log_error("no memory for a request");
        leave(session);
        return ERR_NO_MEMORY;
    }
    struct exchange *exchange = stream->exchange;
    stream->magic = STREAM_MAGIC;
    stream->id = stream_id;
    stream->session = session;
    exchange->owner = stream;
    exchange->outlet = &outlet;
    exchange->client = session->client;
    exchange->version = SLICE("2");
    link_stream(stream);
    metrics_raise(session->io->metrics, METRIC_IN_PROGRESS, protocol_of(exchange));
    expect_in(stream, session->io->shared->settings.header_timeout_ns);
    *ret_stream = stream;
    *ret_arena = &exchange->arena;
    return ERR_OK;
}

static bool is_grpc(const struct session *session, const struct http_request *request)
{
    return session->io->shared->settings.grpc_enabled &&
           (session->port == SESSION_PORT_GRPC || grpc_is_call(request));
}

/* Answers without the rest of the request where it is refused. */
static int refuse_unless(struct stream *stream, int status)
{
    if (status != ERR_OK) {
        exchange_refuse(stream->exchange);
    }
    return status;
}

static int on_head(void *user, void *pointer, const struct http_request *request)
{
    struct session *session = session_of(user);
    struct stream *stream = stream_of(pointer);
    struct exchange *exchange = stream->exchange;
    exchange->request = *request;
    if (is_grpc(session, request)) {
        metrics_lower(session->io->metrics, METRIC_IN_PROGRESS, protocol_of(exchange));
        exchange->style = &grpc_style;
        metrics_raise(session->io->metrics, METRIC_IN_PROGRESS, protocol_of(exchange));
    }
    stream->phase = PHASE_BODY;
    expect_in(stream, session->io->shared->settings.request_timeout_ns);
    int status = exchange_on_head(exchange);
    if (status == ERR_OK && request->expect_continue && request->content_length != 0 &&
        h2_put_continue(session->h2.h2, stream->id) != ERR_OK) {
        status = exchange_log_failure(exchange, error_set(&exchange->error, ERR_NO_MEMORY,
                                                          "no memory for an interim answer"));
    }
    uint64_t end_ns = exchange->deadline_ns;
    if (end_ns != 0 && (stream->late_ns == 0 || end_ns < stream->late_ns)) {
        stream->late_ns = end_ns; /* as a call may ask for */
        watch(stream);
    }
    return refuse_unless(stream, status);
}

static int on_body(void *user, void *pointer, struct slice piece)
{
    (void)user;
    struct stream *stream = stream_of(pointer);
    if (stream->phase == PHASE_ANSWER) {
        return EXCHANGE_ANSWERED; /* without it */
    }
    int status = exchange_on_body(stream->exchange, piece);
    if (status == ERR_OK) {
        status = check_bodies(stream);
    }
    return refuse_unless(stream, status);
}

static void on_end(void *user, void *pointer)
{
    (void)user;
    struct stream *stream = stream_of(pointer);
    if (stream->phase == PHASE_ANSWER) {
        return;
    }
    if (stream->phase == PHASE_BODY) {
        stream->phase = PHASE_WORK;
        stream->late_ns = 0;
    }
    exchange_on_end(stream->exchange);
}

static void on_refuse(void *user, void *pointer, int status, const struct error *error)
{
    (void)user;
    rest_refuse_status(stream_of(pointer)->exchange, status, slice_from_str(error->text));
}

static void on_closed(void *user, void *pointer, bool reset)
{
    (void)reset;
    struct session *session = session_of(user);
    struct stream *stream = stream_of(pointer);
    struct exchange *exchange = stream->exchange;
    count_body(stream, 0);
    count_answer(stream, 0);
    unlink_stream(stream);
    metrics_lower(session->io->metrics, METRIC_IN_PROGRESS, protocol_of(exchange));
    stream->magic = 0;
    exchange_abandon(exchange);
    leave(session);
    if (session->h2.streams == NULL) {
        session_h2_on_idle(session);
    }
}

const struct h2_events session_stream_events = {
    .on_begin = on_begin,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_refuse = on_refuse,
    .on_closed = on_closed,
};
