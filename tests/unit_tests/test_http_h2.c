/*
 * The HTTP/2 engine against a sound client: requests as they arrive, answers as they are read,
 * early answers, flow control in both directions, fairness between streams, and shutdown.
 */
#include "http/h2_heap.h"
#include "unit_tests/h2_client.h"
#include "unit_tests/h2_frames.h"

struct pair {
    struct trace server;
    struct client client;
};

static void pair_init_with(struct pair *pair, const struct h2_options *options, bool takes_all)
{
    assert_true(trace_init(&pair->server, options));
    client_init(&pair->client, &pair->server, takes_all);
}

static void pair_init(struct pair *pair)
{
    struct h2_options options = H2_OPTIONS_DEFAULT;
    pair_init_with(pair, &options, true);
}

static void pair_done(struct pair *pair)
{
    client_done(&pair->client);
    trace_done(&pair->server);
}

static void assert_answered(const struct client_stream *stream, const char *status)
{
    assert_has(&stream->fields, status);
    assert_true(stream->ended && stream->closed);
    assert_int_equal(stream->code, H2_NO_ERROR);
}

static void tells_http2_by_its_preface(void **state)
{
    (void)state;
    struct slice preface = SLICE(H2_PREFACE);
    for (size_t size = 0; size < preface.len; size++) {
        assert_int_equal(h2_preface_match(slice_head(preface, size)), H2_PREFACE_MORE);
    }
    assert_int_equal(h2_preface_match(preface), H2_PREFACE_YES);
    assert_int_equal(h2_preface_match(SLICE(H2_PREFACE "\0\0\0")), H2_PREFACE_YES);
    assert_int_equal(h2_preface_match(SLICE("G")), H2_PREFACE_NO);
    assert_int_equal(h2_preface_match(SLICE("PRI * HTTP/1.1")), H2_PREFACE_NO);
    assert_int_equal(h2_preface_match(SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r ")), H2_PREFACE_NO);
    assert_int_equal(h2_preface_match(SLICE("POST /invocations HTTP/1.1\r\n")), H2_PREFACE_NO);
}

static void answers_requests(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct client_stream *get = client_get(&pair.client, "/a?b=c");
    struct client_stream *post = client_request(&pair.client, "POST", "/b", SLICE("hello"), false);
    struct client_stream *head = client_request(&pair.client, "HEAD", "/big", SLICE(""), false);
    client_pump(&pair.client);
    assert_answered(get, ":status: 200\n");
    assert_has(&get->fields, "date: Sun, 06 Nov 1994 08:49:37 GMT\n");
    assert_has(&get->fields, "content-length: 0\n");
    assert_has(&get->fields, "content-type: text/plain\n");
    assert_has(&get->fields, "x-split: a  b: c\n");
    assert_answered(post, ":status: 200\n");
    assert_int_equal(post->body_bytes, 5);
    assert_memory_equal(post->body_start, "hello", 5);
    assert_answered(head, "content-length: 100000\n");
    assert_int_equal(head->body_bytes, 0);
    assert_int_equal(pair.server.ended, 3);
    assert_int_equal(pair.server.closed, 3);
    assert_int_equal(pair.server.reset, 0);
    assert_true(h2_is_idle(pair.server.h2) && !h2_is_done(pair.server.h2));
    assert_has(&pair.server.text, "  path /a\n  query b=c\n  field host\n     is localhost\n");
    pair_done(&pair);
}

static void streams_bodies_with_trailers(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct client_stream *stream = client_get(&pair.client, "/stream");
    client_pump(&pair.client);
    assert_answered(stream, ":status: 200\n");
    assert_lacks(&stream->fields, "content-length");
    assert_int_equal(stream->body_bytes, 5);
    assert_memory_equal(stream->body_start, "piece", 5);
    assert_has(&stream->trailers, "grpc-status: 0\ngrpc-message: all  well\n");
    pair_done(&pair);
}

static void resets_bodies_that_break_off(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct client_stream *stream = client_get(&pair.client, "/fail");
    client_pump(&pair.client);
    assert_true(stream->closed && !stream->ended);
    assert_int_equal(stream->code, H2_INTERNAL_ERROR);
    assert_int_equal(pair.server.reset, 1);
    pair_done(&pair);
}

static void resets_what_the_caller_gives_up(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct client_stream *stream = client_get(&pair.client, "/reset");
    client_pump(&pair.client);
    assert_true(stream->closed && !stream->ended);
    assert_int_equal(stream->code, H2_CANCEL);
    assert_int_equal(pair.server.ended, 0);
    assert_int_equal(pair.server.reset, 1);
    pair_done(&pair);
}

/* RFC 9110 section 10.1.1: 100, and then the body that was waiting for it. */
static void lets_bodies_come(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    const nghttp2_nv fields[] = {client_nv(":method", "POST"), client_nv(":scheme", "http"),
                                 client_nv(":path", "/"), client_nv(":authority", "localhost"),
                                 client_nv("expect", "100-continue")};
    struct client_stream *stream = client_submit(&pair.client, fields, 5, SLICE(""), true);
    client_pump(&pair.client);
    assert_true(stream->continued && !stream->final_head);
    stream->upload = SLICE("hello");
    stream->upload_open = false;
    assert_int_equal(nghttp2_session_resume_data(pair.client.session, stream->id), 0);
    client_pump(&pair.client);
    assert_answered(stream, ":status: 200\n");
    assert_int_equal(stream->body_bytes, 5);
    pair_done(&pair);
}

/* RFC 9113 section 8.1: the answer, then RST_STREAM with NO_ERROR; the connection lives on. */
static void answers_early(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct client_stream *early =
        client_request(&pair.client, "POST", "/early", SLICE("part of"), true);
    client_pump(&pair.client);
    assert_answered(early, ":status: 413\n");
    assert_int_equal(early->body_bytes, 5);
    assert_int_equal(pair.server.ended, 0);
    assert_int_equal(pair.server.reset, 0);
    assert_int_equal(pair.server.closed, 1);
    struct client_stream *next = client_get(&pair.client, "/");
    client_pump(&pair.client);
    assert_answered(next, ":status: 200\n");
    pair_done(&pair);
}

static char *large_body(size_t size)
{
    char *body = malloc(size);
    assert_non_null(body);
    memset(body, 'x', size);
    return body;
}

/* What an early answer leaves unread is credited: later uploads find the windows whole. */
static void credits_what_it_drops(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    size_t size = (size_t)4 * 1024 * 1024;
    char *body = large_body(size);
    for (int i = 0; i < 8; i++) {
        struct client_stream *early =
            client_request(&pair.client, "POST", "/early", slice_make(body, size), false);
        /* All that the windows let out is on its way before the client sees the answer. */
        client_send(&pair.client);
        client_send(&pair.client);
        client_pump(&pair.client);
        assert_true(early->closed);
    }
    struct client_stream *whole =
        client_request(&pair.client, "POST", "/", slice_make(body, size), false);
    client_pump(&pair.client);
    assert_answered(whole, ":status: 200\n");
    assert_int_equal(whole->body_bytes, size);
    free(body);
    pair_done(&pair);
}

static void takes_uploads_larger_than_its_windows(void **state)
{
    (void)state;
    struct pair pair;
    struct h2_options options = H2_OPTIONS_DEFAULT;
    options.stream_window_bytes = 65535;
    options.connection_window_bytes = 100000;
    pair_init_with(&pair, &options, true);
    size_t size = (size_t)2 * 1024 * 1024;
    char *body = large_body(size);
    struct client_stream *first =
        client_request(&pair.client, "POST", "/", slice_make(body, size), false);
    struct client_stream *second =
        client_request(&pair.client, "POST", "/", slice_make(body, size), false);
    client_pump(&pair.client);
    assert_int_equal(first->body_bytes, size);
    assert_int_equal(second->body_bytes, size);
    free(body);
    pair_done(&pair);
}

/* A body of 50 MB through a queue of some 32 KiB. */
static void pulls_large_answers_through_small_queues(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    size_t size = (size_t)50 * 1000 * 1000;
    char *body = large_body(size);
    struct client_stream *stream = client_request(&pair.client, "POST", "/hold", SLICE("x"), true);
    client_send(&pair.client);
    struct whole whole = {.rest = slice_make(body, size)};
    struct h2_body source = {pull_whole, &whole};
    struct http_response response = {.status = 200, .content_length = size};
    assert_int_equal(h2_respond(pair.server.h2, stream->id, &response, TRACE_DATE, &source),
                     ERR_OK);
    size_t most = 0;
    while (!stream->ended) {
        assert_int_equal(h2_write(pair.server.h2, &pair.server.out, TRACE_HIGH_BYTES), ERR_OK);
        most = bytes_len(&pair.server.out) > most ? bytes_len(&pair.server.out) : most;
        assert_true(client_take(&pair.client, 1));
        client_send(&pair.client);
    }
    assert_int_equal(stream->body_bytes, size);
    assert_true(most < TRACE_HIGH_BYTES + H2_WRITE_ROOM_BYTES);
    free(body);
    pair_done(&pair);
}

/* Every stream gets a frame in turn, whatever the client says of priorities. */
static void shares_a_connection_fairly(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct client_stream *streams[4];
    for (int i = 0; i < 4; i++) {
        streams[i] = client_get(&pair.client, "/big");
    }
    const nghttp2_priority_spec last = {streams[0]->id, 1, 1};
    const uint8_t urgent[] = "u=0";
    client_send(&pair.client);
    assert_int_equal(nghttp2_submit_priority(pair.client.session, 0, streams[1]->id, &last), 0);
    assert_int_equal(nghttp2_submit_priority_update(pair.client.session, 0, streams[3]->id, urgent,
                                                    sizeof(urgent) - 1),
                     0);
    client_pump(&pair.client);
    unsigned frames[4] = {0};
    for (size_t i = 0; i < pair.client.data_frames; i++) {
        int32_t id = pair.client.data_order[i];
        frames[id / 2]++;
        for (int other = 0; other < 4; other++) {
            bool over = frames[other] >= TRACE_BIG_BYTES / H2_MAX_DATA_BYTES;
            /* Windows of 65,535 bytes split a frame here and there. */
            assert_true(over || frames[id / 2] <= frames[other] + 2);
        }
    }
    for (int i = 0; i < 4; i++) {
        assert_answered(streams[i], ":status: 200\n");
        assert_int_equal(streams[i]->body_bytes, TRACE_BIG_BYTES);
    }
    pair_done(&pair);
}

/* A stream whose client takes nothing holds back no other. */
static void goes_around_a_stalled_stream(void **state)
{
    (void)state;
    struct pair pair;
    struct h2_options options = H2_OPTIONS_DEFAULT;
    pair_init_with(&pair, &options, false);
    assert_int_equal(nghttp2_session_set_local_window_size(pair.client.session, 0, 0, 1 << 24), 0);
    struct client_stream *stalled = client_get(&pair.client, "/big");
    client_pump(&pair.client);
    assert_int_equal(stalled->body_bytes, 65535);
    assert_false(h2_wants_write(pair.server.h2));
    struct client_stream *other = client_get(&pair.client, "/");
    client_pump(&pair.client);
    assert_answered(other, ":status: 200\n");
    assert_false(stalled->ended);
    assert_int_equal(nghttp2_session_consume(pair.client.session, stalled->id, 65535), 0);
    client_pump(&pair.client);
    assert_answered(stalled, ":status: 200\n");
    pair_done(&pair);
}

static void drains(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct client_stream *open = client_request(&pair.client, "POST", "/a", SLICE("x"), true);
    client_pump(&pair.client);
    h2_drain(pair.server.h2);
    /* Sent before the client has seen the notice: served. */
    struct client_stream *late = client_get(&pair.client, "/late");
    client_pump(&pair.client);
    assert_int_equal(pair.client.goaways, 1);
    assert_int_equal(pair.client.goaway_code, H2_NO_ERROR);
    assert_int_equal(pair.client.goaway_last, INT32_MAX);
    assert_answered(late, ":status: 200\n");
    h2_drain_end(pair.server.h2);
    client_pump(&pair.client);
    assert_int_equal(pair.client.goaways, 2);
    assert_int_equal(pair.client.goaway_last, late->id);
    assert_false(h2_is_done(pair.server.h2));
    open->upload_open = false;
    assert_int_equal(nghttp2_session_resume_data(pair.client.session, open->id), 0);
    client_pump(&pair.client);
    assert_answered(open, ":status: 200\n");
    assert_true(h2_is_done(pair.server.h2));
    pair_done(&pair);
}

/* The response's head that nghttp2 finds too long must not leave its client waiting. */
static void resets_when_a_head_is_too_long_to_send(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    char *value = large_body(100000);
    struct client_stream *stream = client_request(&pair.client, "POST", "/a", SLICE("x"), true);
    client_send(&pair.client);
    struct http_field field = {SLICE("x-long"), slice_make(value, 100000)};
    struct http_response response = {200, &field, 1, HTTP_LENGTH_UNKNOWN};
    assert_int_equal(h2_respond(pair.server.h2, stream->id, &response, TRACE_DATE, NULL), ERR_OK);
    client_pump(&pair.client);
    assert_true(stream->closed);
    assert_int_equal(stream->code, H2_INTERNAL_ERROR);
    free(value);
    pair_done(&pair);
}

/* gRPC's "Trailers-Only", and statuses that have no body. */
static void answers_with_a_head_alone(void **state)
{
    (void)state;
    static const int statuses[] = {200, 204, 304};
    for (size_t i = 0; i < 3; i++) {
        struct pair pair;
        pair_init(&pair);
        struct client_stream *stream = client_request(&pair.client, "POST", "/a", SLICE("x"), true);
        client_send(&pair.client);
        struct http_field field = {SLICE("grpc-status"), SLICE("12")};
        struct http_response response = {statuses[i], &field, 1, HTTP_LENGTH_UNKNOWN};
        struct whole whole = {.rest = SLICE("not sent")};
        struct h2_body source = {pull_whole, &whole};
        assert_int_equal(h2_respond(pair.server.h2, stream->id, &response, (struct slice){NULL, 0},
                                    statuses[i] == 200 ? NULL : &source),
                         ERR_OK);
        client_pump(&pair.client);
        assert_answered(stream, "grpc-status: 12\n");
        assert_lacks(&stream->fields, "content-length");
        assert_lacks(&stream->fields, "date");
        assert_int_equal(stream->body_bytes, 0);
        assert_int_equal(pair.client.data_frames, 0);
        pair_done(&pair);
    }
}

/* Frames that find no room in the queue are not lost. */
static void goes_on_when_there_is_room_again(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    bytes_done(&pair.server.out);
    bytes_init(&pair.server.out, 64);
    struct client_stream *stream = client_get(&pair.client, "/stream");
    client_send(&pair.client);
    unsigned failures = 0;
    for (unsigned i = 0; i < 100 && !stream->ended; i++) {
        trace_resume(&pair.server);
        failures += h2_write(pair.server.h2, &pair.server.out, 32) != ERR_OK;
        struct slice got = bytes_slice(&pair.server.out);
        assert_int_equal(
            nghttp2_session_mem_recv(pair.client.session, (const uint8_t *)got.ptr, got.len),
            got.len);
        bytes_consume(&pair.server.out, got.len);
        if (failures > i / 2) { /* its head is longer than 64 bytes */
            bytes_done(&pair.server.out);
            bytes_init(&pair.server.out, (size_t)64 + 32 * failures);
        }
    }
    assert_true(failures > 0);
    client_pump(&pair.client);
    assert_answered(stream, ":status: 200\n");
    assert_memory_equal(stream->body_start, "piece", 5);
    pair_done(&pair);
}

static bool heap_recycles(void)
{
    struct h2_heap heap = {0};
    h2_heap_free(h2_heap_alloc(1, &heap), &heap);
    bool recycles = heap.kept_bytes > 0;
    h2_heap_done(&heap);
    return recycles;
}

/* But for the two blocks of the arena of each stream, which the service does not keep. */
static void takes_nothing_from_the_heap_once_warm(void **state)
{
    (void)state;
    struct bytes in;
    struct trace trace;
    struct h2_options options = H2_OPTIONS_DEFAULT;
    bool recycles = heap_recycles(); /* not under a sanitizer */
    bytes_init(&in, 4096);
    assert_true(trace_init(&trace, &options));
    frames_put_preface(&in);
    for (int32_t i = 0; i < 100; i++) {
        frames_put_head(&in, FLAG_END_STREAM, 2 * i + 1, SLICE(GET_LINES("/")));
        uint64_t before = mem_allocations();
        trace_feed(&trace, bytes_slice(&in));
        trace_write(&trace);
        uint64_t allocations = mem_allocations() - before;
        assert_true(i < 10 || !recycles || allocations <= 2);
        bytes_reset(&in, 4096);
        bytes_reset(&trace.text, 4096);
    }
    assert_int_equal(trace.ended, 100);
    trace_done(&trace);
    bytes_done(&in);
}

static void closes_what_is_open_at_its_end(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    client_request(&pair.client, "POST", "/a", SLICE("x"), true);
    client_get(&pair.client, "/big");
    client_send(&pair.client);
    assert_int_equal(h2_stream_count(pair.server.h2), 2);
    assert_int_equal(pair.server.closed, 0);
    pair_done(&pair); /* asserts that both get on_closed */
    assert_int_equal(pair.server.reset, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_http2_by_its_preface),
        cmocka_unit_test(answers_requests),
        cmocka_unit_test(streams_bodies_with_trailers),
        cmocka_unit_test(resets_bodies_that_break_off),
        cmocka_unit_test(resets_what_the_caller_gives_up),
        cmocka_unit_test(lets_bodies_come),
        cmocka_unit_test(answers_early),
        cmocka_unit_test(credits_what_it_drops),
        cmocka_unit_test(takes_uploads_larger_than_its_windows),
        cmocka_unit_test(pulls_large_answers_through_small_queues),
        cmocka_unit_test(shares_a_connection_fairly),
        cmocka_unit_test(goes_around_a_stalled_stream),
        cmocka_unit_test(drains),
        cmocka_unit_test(resets_when_a_head_is_too_long_to_send),
        cmocka_unit_test(answers_with_a_head_alone),
        cmocka_unit_test(goes_on_when_there_is_room_again),
        cmocka_unit_test(takes_nothing_from_the_heap_once_warm),
        cmocka_unit_test(closes_what_is_open_at_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
