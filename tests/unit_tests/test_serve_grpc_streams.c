/* Calls that go on: watching health, and reflection. */
#include "unit_tests/h2_peer.h"

#define WATCH "/grpc.health.v1.Health/Watch"
#define REFLECT "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define REFLECT_ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
#define MS CLOCK_NS_PER_MS
#define S CLOCK_NS_PER_S

#define WHOLE_SERVER SLICE("\0\0\0\0\0")
/* One message each: field 1, the status. */
#define SERVING "\0\0\0\0\2\x08\x01"
#define NOT_SERVING "\0\0\0\0\2\x08\x02"
#define SERVICE_UNKNOWN "\0\0\0\0\2\x08\x03"
/* list_services, field 7, empty; and a file that there is not, field 3. */
#define LIST "\0\0\0\0\2\x3a\0"
#define NO_FILE "\0\0\0\0\6\x1a\4nope"

static const char *const reflecting[] = {"GRPC_REFLECTION", "true", "REQUEST_TIMEOUT_S", "5", NULL};

static struct fixture fixture;
static struct peer peer;

static void begin(const char *script, const char *const *settings)
{
    fixture_init(&fixture, script, settings);
    peer_init(&peer, &fixture, SESSION_PORT_GRPC, true);
}

static void finish(void)
{
    peer_done(&peer);
    assert_null(fixture.io->watchers);
    fixture_done(&fixture);
}

static struct client_stream *watch(struct slice request)
{
    return peer_call(&peer, WATCH, request, false, NULL, 0);
}

static void assert_messages(const struct client_stream *stream, struct slice messages)
{
    assert_has(&stream->fields, ":status: 200\n");
    assert_true(slice_eq(peer_body(stream), messages));
}

static void start_drain(void)
{
    atomic_store(&fixture.shared.draining, true);
    io_thread_drain(fixture.io);
    fixture_turn(&fixture, 2);
}

/* ---- Watch ---- */

static void a_watch_is_told_of_every_change(void **state)
{
    (void)state;
    begin(NULL, NULL);
    const struct client_stream *server = watch(WHOLE_SERVER);
    const struct client_stream *service =
        watch(SLICE("\0\0\0\0\x23\x0a\x21onnxserving.grpc.InferenceService"));
    const struct client_stream *unknown = watch(SLICE("\0\0\0\0\6\x0a\4nope"));
    peer_talk(&peer);
    assert_messages(server, SLICE(NOT_SERVING));
    assert_messages(service, SLICE(NOT_SERVING));
    assert_messages(unknown, SLICE(SERVICE_UNKNOWN));
    fixture_write_model(&fixture, FIXTURE_ECHO);
    fixture_deploy(&fixture);
    peer_talk(&peer);
    assert_messages(server, SLICE(NOT_SERVING SERVING));
    assert_messages(service, SLICE(NOT_SERVING SERVING));
    assert_messages(unknown, SLICE(SERVICE_UNKNOWN));
    fixture_deploy(&fixture); /* no change to speak of */
    peer_talk(&peer);
    start_drain();
    peer_talk(&peer);
    assert_messages(server, SLICE(NOT_SERVING SERVING NOT_SERVING));
    assert_false(server->ended || peer.ended);
    fixture_wait(&fixture, 600 * MS);
    peer_talk(&peer);
    assert_has(&server->trailers, "grpc-status: 14\n");
    assert_has(&server->trailers, "grpc-message: the server is stopping\n");
    assert_has(&unknown->trailers, "grpc-status: 14\n");
    assert_true(server->ended && service->ended && unknown->ended && peer.ended);
    finish();
}

static void a_watch_lasts_as_long_as_its_client_wants(void **state)
{
    (void)state;
    static const char *const settings[] = {"REQUEST_TIMEOUT_S", "2", "KEEPALIVE_TIMEOUT_S", "3",
                                           NULL};
    begin(FIXTURE_ECHO, settings);
    const nghttp2_nv limit[] = {client_nv("grpc-timeout", "50S")};
    const struct client_stream *limited = peer_call(&peer, WATCH, WHOLE_SERVER, false, limit, 1);
    const struct client_stream *cancelled = watch(WHOLE_SERVER);
    const struct client_stream *other = watch(WHOLE_SERVER);
    peer_talk(&peer);
    fixture_wait(&fixture, 49 * S);
    peer_talk(&peer);
    assert_false(limited->ended || other->ended || peer.ended);
    fixture_wait(&fixture, 1100 * MS);
    peer_talk(&peer);
    assert_has(&limited->trailers, "grpc-status: 4\n");
    assert_has(&limited->trailers, "grpc-message: the call's time limit has passed\n");
    nghttp2_submit_rst_stream(peer.client.session, 0, cancelled->id, NGHTTP2_CANCEL);
    peer_talk(&peer);
    assert_false(other->ended);
    shutdown(peer.fd, SHUT_WR); /* who says no more has gone */
    peer_talk(&peer);
    assert_true(peer.ended);
    finish();
}

/* A client that takes nothing hears what holds when it does, and not all that has been. */
static void a_slow_watch_misses_what_has_passed(void **state)
{
    (void)state;
    begin(NULL, NULL);
    const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 9};
    nghttp2_submit_settings(peer.client.session, 0, &window, 1);
    peer_talk(&peer);
    const struct client_stream *stream = watch(WHOLE_SERVER);
    peer_talk(&peer);
    fixture_write_model(&fixture, FIXTURE_ECHO);
    fixture_deploy(&fixture);
    peer_talk(&peer);
    assert_true(stream->body_bytes >= 7);
    while (stream->body_bytes < 14) {
        peer_talk(&peer);
    }
    assert_messages(stream, SLICE(NOT_SERVING SERVING));
    finish();
}

/* ---- how many ---- */

static struct client_stream *reflect(void)
{
    return peer_call(&peer, REFLECT, SLICE(LIST), true, NULL, 0);
}

/* They have no time limit: all together get half of the streams, over all connections. */
static void calls_that_go_on_leave_streams_for_others(void **state)
{
    (void)state;
    static const char *const settings[] = {"GRPC_REFLECTION", "true", "MAX_STREAMS", "5", NULL};
    static struct peer other;
    begin(FIXTURE_ECHO, settings);
    peer_init(&other, &fixture, SESSION_PORT_ANY, true);
    const struct client_stream *first = watch(WHOLE_SERVER);
    const struct client_stream *conversation = reflect();
    peer_talk(&peer);
    const struct client_stream *past = peer_call(&other, WATCH, WHOLE_SERVER, false, NULL, 0);
    peer_talk(&other);
    const struct client_stream *past_too = reflect();
    peer_talk(&peer);
    assert_status(past, "8", "too_many_requests");
    assert_status(past_too, "8", "too_many_requests");
    assert_int_equal(metrics_read(fixture.shared.metrics, METRIC_REJECTIONS, REJECTION_STREAMS), 2);
    const struct client_stream *check =
        peer_call(&other, "/grpc.health.v1.Health/Check", WHOLE_SERVER, false, NULL, 0);
    const struct client_stream *live = peer_get(&other, "/live");
    peer_talk(&other);
    assert_reply(check, "\x08\x01");
    assert_answer(live, "200", "\n");
    assert_false(first->ended || conversation->ended);
    nghttp2_submit_rst_stream(peer.client.session, 0, first->id, NGHTTP2_CANCEL);
    peer_talk(&peer);
    const struct client_stream *next = peer_call(&other, WATCH, WHOLE_SERVER, false, NULL, 0);
    peer_talk(&other);
    assert_messages(next, SLICE(SERVING));
    assert_false(next->ended);
    peer_done(&other);
    finish();
}

/* ---- reflection ---- */

static void reflection_answers_each_message_as_it_comes(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, reflecting);
    struct client_stream *stream = peer_call(&peer, REFLECT, SLICE(LIST), true, NULL, 0);
    peer_talk(&peer);
    struct slice body = peer_body(stream);
    assert_non_null(memmem(body.ptr, body.len, "grpc.health.v1.Health", 21));
    assert_false(stream->ended);
    fixture_wait(&fixture, 20 * S); /* no time limit of ours */
    stream->upload = SLICE(NO_FILE LIST);
    stream->upload_open = false;
    nghttp2_session_resume_data(peer.client.session, stream->id);
    peer_talk(&peer);
    assert_has(&stream->trailers, "grpc-status: 0\n");
    assert_true(stream->ended && stream->body_bytes > 2 * body.len);
    finish();
}

static void the_older_name_is_answered_too(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, reflecting);
    const struct client_stream *stream =
        peer_call(&peer, REFLECT_ALPHA, SLICE(LIST), false, NULL, 0);
    const struct client_stream *silent = peer_call(&peer, REFLECT, SLICE(""), false, NULL, 0);
    peer_talk(&peer);
    assert_has(&stream->trailers, "grpc-status: 0\n");
    assert_has(&silent->fields, "grpc-status: 0\n");
    finish();
}

static void a_bad_message_ends_the_conversation(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, reflecting);
    const struct client_stream *late =
        peer_call(&peer, REFLECT, SLICE(LIST "\0\0\0\0\1\x3a" LIST), true, NULL, 0);
    const struct client_stream *first =
        peer_call(&peer, REFLECT, SLICE("\0\0\0\0\1\x3a"), true, NULL, 0);
    const struct client_stream *cut = peer_call(&peer, REFLECT, SLICE(LIST "\0\0"), false, NULL, 0);
    peer_talk(&peer);
    assert_has(&late->trailers, "grpc-status: 3\n");
    assert_true(late->body_bytes > 0 && late->ended);
    assert_has(&first->fields, "grpc-status: 3\n");
    assert_has(&cut->trailers, "grpc-status: 3\n");
    finish();
}

static void answers_that_nobody_takes_are_bounded(void **state)
{
    (void)state;
    struct bytes many;
    bytes_init(&many, 1 << 20);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(bytes_put(&many, SLICE(LIST)), ERR_OK);
    }
    begin(FIXTURE_ECHO, reflecting);
    const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    nghttp2_submit_settings(peer.client.session, 0, &window, 1);
    peer_talk(&peer);
    const struct client_stream *stream =
        peer_call(&peer, REFLECT, bytes_slice(&many), false, NULL, 0);
    peer_talk(&peer);
    assert_false(stream->ended);
    fixture_wait(&fixture, 31 * S); /* and who takes nothing is given up */
    peer_talk(&peer);
    assert_true(stream->closed);
    assert_int_equal(stream->code, NGHTTP2_CANCEL);
    bytes_done(&many);
    finish();
}

/* What ended a call is what its client is told, whatever passes before it takes the rest. */
static void the_first_end_of_a_call_is_the_one_told(void **state)
{
    (void)state;
    struct bytes many;
    bytes_init(&many, 1 << 20);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(bytes_put(&many, SLICE(LIST)), ERR_OK);
    }
    begin(FIXTURE_ECHO, reflecting);
    const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    nghttp2_submit_settings(peer.client.session, 0, &window, 1);
    peer_talk(&peer);
    const nghttp2_nv limit[] = {client_nv("grpc-timeout", "10S")};
    const struct client_stream *stream =
        peer_call(&peer, REFLECT, bytes_slice(&many), true, limit, 1);
    peer_talk(&peer);
    fixture_wait(&fixture, 11 * S);
    start_drain();
    fixture_wait(&fixture, 600 * MS);
    peer_talk(&peer);
    assert_false(stream->ended || stream->closed);
    const nghttp2_settings_entry wide = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
    nghttp2_submit_settings(peer.client.session, 0, &wide, 1);
    peer_talk(&peer);
    assert_true(stream->ended && stream->body_bytes > 0);
    assert_has(&stream->trailers, "grpc-status: 8\n");
    assert_has(&stream->trailers, "grpc-message: the client does not take its answers\n");
    bytes_done(&many);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watch_is_told_of_every_change),
        cmocka_unit_test(a_watch_lasts_as_long_as_its_client_wants),
        cmocka_unit_test(a_slow_watch_misses_what_has_passed),
        cmocka_unit_test(calls_that_go_on_leave_streams_for_others),
        cmocka_unit_test(reflection_answers_each_message_as_it_comes),
        cmocka_unit_test(the_older_name_is_answered_too),
        cmocka_unit_test(a_bad_message_ends_the_conversation),
        cmocka_unit_test(answers_that_nobody_takes_are_bounded),
        cmocka_unit_test(the_first_end_of_a_call_is_the_one_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
