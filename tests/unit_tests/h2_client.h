/*
 * A sound HTTP/2 client, nghttp2's, that talks to the service of h2_trace.h in memory. It writes down
 * what it gets of each answer.
 */
#ifndef H2_CLIENT_H
#define H2_CLIENT_H

#include "unit_tests/testing.h"

#include <nghttp2/nghttp2.h>

#include "unit_tests/h2_trace.h"

#define CLIENT_STREAMS 320
#define CLIENT_OUT_MAX ((size_t)64 * 1024 * 1024)
#define CLIENT_DATA_ORDER 4096

struct client_stream {
    int32_t id;
    struct bytes fields;   /* "name: value" lines */
    struct bytes trailers; /* the same */
    uint64_t body_bytes;
    char body_start[1024];
    struct slice upload; /* what is left of it */
    bool upload_open;    /* more may come: the request does not end */
    bool continued;      /* by a 100 */
    bool final_head;
    bool ended;
    bool closed;
    uint32_t code;
};

struct client {
    nghttp2_session *session;
    struct trace *server;
    struct bytes wire; /* to the server */
    struct client_stream streams[CLIENT_STREAMS];
    size_t stream_count;
    int32_t data_order[CLIENT_DATA_ORDER]; /* the streams of DATA frames */
    size_t data_frames;
    unsigned goaways;
    uint32_t goaway_code;
    int32_t goaway_last;
    uint64_t ping_acks;
};

/* A client's streams are 1, 3, 5 and so on. */
static struct client_stream *client_at(struct client *client, int32_t id)
{
    CHECK(id > 0 && (size_t)id / 2 < client->stream_count);
    return &client->streams[id / 2];
}

static int client_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                            const uint8_t *name, size_t name_len, const uint8_t *value,
                            size_t value_len, uint8_t flags, void *user)
{
    (void)session;
    (void)flags;
    struct client_stream *stream = client_at(user, frame->hd.stream_id);
    struct bytes *text = stream->final_head ? &stream->trailers : &stream->fields;
    assert_int_equal(bytes_printf(text, "%.*s: %.*s\n", (int)name_len, (const char *)name,
                                  (int)value_len, (const char *)value),
                     ERR_OK);
    return 0;
}

/* Interim heads come before the final one, and trailers after it. */
static void client_end_head(struct client_stream *stream)
{
    if (slice_eq(bytes_slice(&stream->fields), SLICE(":status: 100\n"))) {
        stream->continued = true;
        bytes_reset(&stream->fields, 0);
    } else {
        stream->final_head = true;
    }
}

static int client_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct client *client = user;
    switch (frame->hd.type) {
    case NGHTTP2_GOAWAY:
        client->goaways++;
        client->goaway_code = frame->goaway.error_code;
        client->goaway_last = frame->goaway.last_stream_id;
        return 0;
    case NGHTTP2_PING:
        client->ping_acks++;
        return 0;
    case NGHTTP2_HEADERS:
        client_end_head(client_at(client, frame->hd.stream_id));
        break;
    case NGHTTP2_DATA:
        if (client->data_frames < CLIENT_DATA_ORDER) {
            client->data_order[client->data_frames++] = frame->hd.stream_id;
        }
        break;
    default:
        return 0;
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        client_at(client, frame->hd.stream_id)->ended = true;
    }
    return 0;
}

static int client_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                          size_t len, void *user)
{
    (void)session;
    (void)flags;
    struct client_stream *stream = client_at(user, id);
    for (size_t i = 0; i < len && stream->body_bytes + i < sizeof(stream->body_start); i++) {
        stream->body_start[stream->body_bytes + i] = (char)bytes[i];
    }
    stream->body_bytes += len;
    return 0;
}

static int client_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)session;
    struct client_stream *stream = client_at(user, id);
    stream->closed = true;
    stream->code = code;
    return 0;
}

static inline void client_init(struct client *client, struct trace *server, bool takes_all)
{
    *client = (struct client){.server = server};
    bytes_init(&client->wire, CLIENT_OUT_MAX);
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_auto_window_update(option, !takes_all);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_close);
    assert_int_equal(nghttp2_session_client_new2(&client->session, callbacks, client, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(client->session, 0, NULL, 0), 0);
}

static inline void client_done(struct client *client)
{
    nghttp2_session_del(client->session);
    for (size_t i = 0; i < client->stream_count; i++) {
        bytes_done(&client->streams[i].fields);
        bytes_done(&client->streams[i].trailers);
    }
    bytes_done(&client->wire);
}

static ssize_t client_upload(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t max,
                             uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)source;
    struct client_stream *stream = client_at(user, id);
    size_t size = stream->upload.len < max ? stream->upload.len : max;
    if (size == 0 && stream->upload_open) {
        return NGHTTP2_ERR_DEFERRED;
    }
    if (size > 0) {
        memcpy(buffer, stream->upload.ptr, size);
        stream->upload = slice_tail(stream->upload, size);
    }
    if (stream->upload.len == 0 && !stream->upload_open) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)size;
}

static nghttp2_nv client_nv(const char *name, const char *value)
{
    union {
        const char *from;
        uint8_t *to;
    } at = {name}, to = {value};
    return (nghttp2_nv){at.to, to.to, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* Returns its stream, which stays where it is. `upload_open`: the body does not end with `upload`. */
static inline struct client_stream *client_submit(struct client *client, const nghttp2_nv *fields,
                                                  size_t field_count, struct slice upload,
                                                  bool upload_open)
{
    const nghttp2_data_provider provider = {.read_callback = client_upload};
    assert_true(client->stream_count < CLIENT_STREAMS);
    struct client_stream *stream = &client->streams[client->stream_count++];
    bytes_init(&stream->fields, (size_t)1024 * 1024);
    bytes_init(&stream->trailers, (size_t)1024 * 1024);
    stream->upload = upload;
    stream->upload_open = upload_open;
    bool has_body = upload.len > 0 || upload_open;
    stream->id = nghttp2_submit_request(client->session, NULL, fields, field_count,
                                        has_body ? &provider : NULL, NULL);
    assert_true(stream->id > 0);
    return stream;
}

static inline struct client_stream *client_request(struct client *client, const char *method,
                                                   const char *path, struct slice upload,
                                                   bool upload_open)
{
    const nghttp2_nv fields[] = {client_nv(":method", method), client_nv(":scheme", "http"),
                                 client_nv(":path", path), client_nv(":authority", "localhost"),
                                 client_nv("user-agent", "client")};
    return client_submit(client, fields, 5, upload, upload_open);
}

static inline struct client_stream *client_get(struct client *client, const char *path)
{
    return client_request(client, "GET", path, SLICE(""), false);
}

/* Moves what the client has to say into the server; false when it was nothing. */
static inline bool client_send(struct client *client)
{
    const uint8_t *frame;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(client->session, &frame)) > 0) {
        assert_int_equal(bytes_put(&client->wire, slice_make(frame, (size_t)size)), ERR_OK);
    }
    assert_int_equal(size, 0);
    size_t sent = bytes_len(&client->wire);
    trace_feed(client->server, bytes_slice(&client->wire));
    bytes_consume(&client->wire, sent);
    return sent > 0;
}

/* Takes up to `high` bytes from the server; false when there were none. */
static inline bool client_take(struct client *client, size_t high)
{
    struct bytes *out = &client->server->out;
    trace_resume(client->server);
    assert_int_equal(h2_write(client->server->h2, out, high), ERR_OK);
    struct slice got = bytes_slice(out);
    assert_int_equal(nghttp2_session_mem_recv(client->session, (const uint8_t *)got.ptr, got.len),
                     got.len);
    bytes_consume(out, got.len);
    return got.len > 0;
}

/* Until neither side has more to say. */
static inline void client_pump(struct client *client)
{
    bool sent = true;
    bool taken = true;
    while (sent || taken) {
        sent = client_send(client);
        taken = client_take(client, TRACE_HIGH_BYTES);
    }
}

static inline void assert_has(const struct bytes *text, const char *part)
{
    struct slice all = bytes_slice(text);
    if (memmem(all.ptr, all.len, part, strlen(part)) == NULL) {
        fail_msg("\"%s\" is not in\n%.*s", part, SLICE_FMT(slice_head(all, 4000)));
    }
}

static inline void assert_lacks(const struct bytes *text, const char *part)
{
    struct slice all = bytes_slice(text);
    if (memmem(all.ptr, all.len, part, strlen(part)) != NULL) {
        fail_msg("\"%s\" is in\n%.*s", part, SLICE_FMT(slice_head(all, 4000)));
    }
}

#endif
