/*
 * A sound HTTP/2 client, nghttp2's, at the far end of a fixture's connection, and the messages that
 * gRPC puts on it.
 */
#ifndef H2_PEER_H
#define H2_PEER_H

#include "unit_tests/serve_fixture.h"

#include "http/grpc.h"
#include "unit_tests/h2_client.h"

#define PEER_READ_BYTES ((size_t)256 * 1024)

struct peer {
    struct fixture *fixture;
    int fd;
    bool ended;
    struct client client;
};

static inline void peer_init(struct peer *peer, struct fixture *fixture, enum session_port port,
                             bool takes_all)
{
    client_init(&peer->client, NULL, takes_all);
    peer->fixture = fixture;
    peer->fd = fixture_connect_to(fixture, port);
    peer->ended = false;
}

static inline void peer_done(struct peer *peer)
{
    close(peer->fd);
    fixture_turn(peer->fixture, 3);
    client_done(&peer->client);
}

/* What the client has to say, as far as the socket takes it. True when it took some. */
static inline bool peer_say(struct peer *peer)
{
    const uint8_t *frame;
    ssize_t size;
    struct bytes *wire = &peer->client.wire;
    while ((size = nghttp2_session_mem_send(peer->client.session, &frame)) > 0) {
        assert_int_equal(bytes_put(wire, slice_make(frame, (size_t)size)), ERR_OK);
    }
    struct slice unsent = bytes_slice(wire);
    ssize_t sent = unsent.len == 0 ? 0 : send(peer->fd, unsent.ptr, unsent.len, MSG_NOSIGNAL);
    bytes_consume(wire, sent > 0 ? (size_t)sent : 0);
    return sent > 0;
}

/* Reads at most so many bytes; true when it got some. */
static inline bool peer_hear(struct peer *peer, size_t most)
{
    static uint8_t buffer[PEER_READ_BYTES];
    ssize_t count = recv(peer->fd, buffer, most < sizeof(buffer) ? most : sizeof(buffer), 0);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        peer->ended = true;
    }
    if (count > 0) {
        ssize_t taken = nghttp2_session_mem_recv(peer->client.session, buffer, (size_t)count);
        assert_int_equal(taken, count);
    }
    return count > 0;
}

/* Until neither side has more to say. */
static inline void peer_talk(struct peer *peer)
{
    bool goes_on = true;
    while (goes_on) {
        goes_on = peer_say(peer);
        fixture_turn(peer->fixture, 3);
        while (peer_hear(peer, PEER_READ_BYTES)) {
            goes_on = true;
        }
    }
}

/* The same, for work that comes back from other threads. */
static inline void peer_talk_until(struct peer *peer, const bool *done)
{
    for (int idle_turns = 0; !*done; idle_turns++) {
        assert_true(idle_turns < 100000 && !peer->ended);
        if (peer->fixture->io->inferences > 0) {
            idle_turns = 0;
        }
        peer_talk(peer);
    }
}

static inline struct client_stream *peer_get(struct peer *peer, const char *path)
{
    return client_get(&peer->client, path);
}

static inline struct client_stream *peer_post(struct peer *peer, const char *path,
                                              struct slice body)
{
    return client_request(&peer->client, "POST", path, body, false);
}

static inline struct slice peer_body(const struct client_stream *stream)
{
    size_t len = stream->body_bytes;
    return slice_make(stream->body_start,
                      len < sizeof(stream->body_start) ? len : sizeof(stream->body_start));
}

static inline void assert_body(const struct client_stream *stream, const char *body)
{
    struct slice got = peer_body(stream);
    if (!slice_eq(got, slice_from_str(body))) {
        fail_msg("the body is \"%.*s\", not \"%s\"", SLICE_FMT(got), body);
    }
}

static inline void assert_answer(const struct client_stream *stream, const char *status,
                                 const char *body)
{
    char line[32];
    snprintf(line, sizeof(line), ":status: %s\n", status);
    assert_has(&stream->fields, line);
    assert_body(stream, body);
    assert_true(stream->ended);
}

/* ---- gRPC ---- */

/* A call whose request is these bytes; `open`: more may come. */
static inline struct client_stream *peer_call(struct peer *peer, const char *path,
                                              struct slice frames, bool open,
                                              const nghttp2_nv *more, size_t more_count)
{
    nghttp2_nv fields[16] = {client_nv(":method", "POST"),
                             client_nv(":scheme", "http"),
                             client_nv(":path", path),
                             client_nv(":authority", "localhost"),
                             client_nv("content-type", "application/grpc"),
                             client_nv("te", "trailers")};
    assert_true(more_count <= 10);
    for (size_t i = 0; i < more_count; i++) {
        fields[6 + i] = more[i];
    }
    return client_submit(&peer->client, fields, 6 + more_count, frames, open);
}

static inline void put_message(struct bytes *out, struct slice message)
{
    size_t at = bytes_len(out);
    assert_int_equal(grpc_message_begin(out), ERR_OK);
    assert_int_equal(bytes_put(out, message), ERR_OK);
    assert_int_equal(grpc_message_end(out, at, false, NULL), ERR_OK);
}

/* A call that ended with a message. */
static inline void assert_reply(const struct client_stream *stream, const char *part)
{
    struct slice body = peer_body(stream);
    assert_has(&stream->fields, ":status: 200\n");
    assert_has(&stream->fields, "content-type: application/grpc\n");
    assert_has(&stream->trailers, "grpc-status: 0\n");
    assert_true(stream->ended && body.len >= GRPC_PREFIX_BYTES);
    if (memmem(body.ptr, body.len, part, strlen(part)) == NULL) {
        fail_msg("\"%s\" is not in the reply", part);
    }
}

/* A call that ended without one: status and text are in its head. */
static inline void assert_status(const struct client_stream *stream, const char *status,
                                 const char *text)
{
    char line[300];
    snprintf(line, sizeof(line), "grpc-status: %s\n", status);
    assert_has(&stream->fields, ":status: 200\n");
    assert_has(&stream->fields, line);
    snprintf(line, sizeof(line), "grpc-message: %s\n", text);
    assert_has(&stream->fields, line);
    assert_int_equal(stream->body_bytes, 0);
    assert_true(stream->ended);
}

#endif
