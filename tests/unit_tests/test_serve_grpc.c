/* Calls of gRPC over socket pairs: what is answered, with what status, and when. */
#include "unit_tests/h2_peer.h"

#include "http/gzip.h"

#define PREDICT "/onnxserving.grpc.InferenceService/Predict"
#define LIVE "/onnxserving.grpc.InferenceService/Live"
#define READY "/onnxserving.grpc.InferenceService/Ready"
#define CHECK_HEALTH "/grpc.health.v1.Health/Check"
#define ANSWER "[[1.0,2.0]]"
#define S CLOCK_NS_PER_S
#define MS CLOCK_NS_PER_MS

static struct fixture fixture;
static struct peer peer;
static struct bytes sent; /* the bytes of the last requests, which the client borrows */

static void begin(const char *script, const char *const *settings)
{
    fixture_init(&fixture, script, settings);
    peer_init(&peer, &fixture, SESSION_PORT_GRPC, true);
    bytes_init(&sent, (size_t)64 * 1024 * 1024);
    assert_non_null(bytes_reserve(&sent, 1024 * 1024)); /* it stays where it is */
}

static void finish(void)
{
    peer_done(&peer);
    bytes_done(&sent);
    fixture_done(&fixture);
}

/* A PredictRequest of a payload and, where they are not empty, its types. */
static struct slice predict_request(struct slice payload, const char *content_type,
                                    const char *accept)
{
    struct bytes message;
    bytes_init(&message, (size_t)32 * 1024 * 1024);
    const struct slice fields[] = {payload, slice_from_str(content_type), slice_from_str(accept)};
    for (size_t i = 0; i < 3; i++) {
        if (fields[i].len > 0) {
            assert_int_equal(bytes_put_byte(&message, (char)((i + 1) << 3 | 2)), ERR_OK);
            size_t len = fields[i].len;
            for (; len >= 128; len >>= 7) {
                assert_int_equal(bytes_put_byte(&message, (char)(len | 0x80)), ERR_OK);
            }
            assert_int_equal(bytes_put_byte(&message, (char)len), ERR_OK);
            assert_int_equal(bytes_put(&message, fields[i]), ERR_OK);
        }
    }
    size_t at = bytes_len(&sent);
    put_message(&sent, bytes_slice(&message));
    bytes_done(&message);
    return slice_tail(bytes_slice(&sent), at);
}

static struct client_stream *call(const char *path, struct slice frames)
{
    return peer_call(&peer, path, frames, false, NULL, 0);
}

static struct client_stream *predict(const char *payload)
{
    return call(PREDICT, predict_request(slice_from_str(payload), "", ""));
}

static struct client_stream *call_with(const char *name, const char *value)
{
    const nghttp2_nv more[] = {client_nv(name, value)};
    return peer_call(&peer, PREDICT, predict_request(SLICE("[[1,2]]"), "", ""), false, more, 1);
}

static struct slice empty_message(void)
{
    return SLICE("\0\0\0\0\0");
}

/* ---- unary calls ---- */

static void predict_answers_as_rest_does(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    const struct client_stream *json = predict("[[1,2]]");
    const struct client_stream *csv =
        call(PREDICT, predict_request(SLICE("1,2\n3,4\n"), "text/csv", "text/csv"));
    peer_talk(&peer);
    /* Field 1 with the body, field 2 with its type, field 3 with one pair. */
    static const char reply[] = "\0\0\0\0\x30"
                                "\x0a\x0b" ANSWER "\x12\x10"
                                "application/json\x1a\x0f\x0a\x0a"
                                "batch_size\x12\x01"
                                "1";
    assert_reply(json, "batch_size");
    assert_true(slice_eq(peer_body(json), SLICE(reply)));
    assert_lacks(&json->fields, "date");
    assert_lacks(&json->fields, "grpc-encoding");
    assert_has(&json->fields, "x-request-id: ");
    assert_reply(csv, "1.0,2.0\n3.0,4.0");
    assert_reply(csv, "text/csv");
    finish();
}

static void live_and_ready_say_what_is(void **state)
{
    (void)state;
    begin(NULL, NULL);
    const struct client_stream *live = call(LIVE, empty_message());
    const struct client_stream *ready = call(READY, empty_message());
    const struct client_stream *check = call(CHECK_HEALTH, empty_message());
    const struct client_stream *early = predict("[[1,2]]");
    peer_talk(&peer);
    assert_reply(live, "\x08\x01\x12\x04live");
    assert_reply(ready, "\x12\x09not_ready");
    assert_reply(check, "\x08\x02");
    assert_status(early, "14", "not_ready");
    fixture_write_model(&fixture, FIXTURE_ECHO);
    fixture_deploy(&fixture);
    fixture_turn(&fixture, 2);
    ready = call(READY, empty_message());
    check = call(CHECK_HEALTH, empty_message());
    const struct client_stream *later = predict("[[1,2]]");
    peer_talk(&peer);
    assert_reply(ready, "\x08\x01\x12\x05ready");
    assert_reply(check, "\x08\x01");
    assert_reply(later, ANSWER);
    finish();
}

static void health_knows_its_services(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    put_message(&sent, SLICE("\x0a\x21onnxserving.grpc.InferenceService"));
    const struct client_stream *known = call(CHECK_HEALTH, bytes_slice(&sent));
    size_t at = bytes_len(&sent);
    put_message(&sent, SLICE("\x0a\x04nope"));
    const struct client_stream *unknown = call(CHECK_HEALTH, slice_tail(bytes_slice(&sent), at));
    peer_talk(&peer);
    assert_reply(known, "\x08\x01");
    assert_status(unknown, "5", "unknown service");
    finish();
}

static void streams_of_both_kinds_share_a_connection(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    peer_done(&peer);
    peer_init(&peer, &fixture, SESSION_PORT_ANY, true);
    const struct client_stream *rest = peer_post(&peer, "/invocations", SLICE("[[1,2]]"));
    const struct client_stream *grpc = predict("[[1,2]]");
    peer_talk(&peer);
    assert_answer(rest, "200", ANSWER);
    assert_reply(grpc, ANSWER);
    finish();
}

static void without_grpc_there_is_rest_alone(void **state)
{
    (void)state;
    static const char *const settings[] = {"GRPC_ENABLED", "false", NULL};
    begin(FIXTURE_ECHO, settings);
    peer_done(&peer);
    peer_init(&peer, &fixture, SESSION_PORT_ANY, true);
    const struct client_stream *grpc = predict("[[1,2]]");
    peer_talk(&peer);
    assert_has(&grpc->fields, ":status: 404\n");
    finish();
}

/* ---- errors ---- */

static void errors_have_the_text_of_rest(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    const struct client_stream *ragged = predict("[[1,2],[3]]");
    const struct client_stream *type = call(PREDICT, predict_request(SLICE("x"), "image/png", ""));
    const struct client_stream *odd = predict("[[\"%\xc3\xa4\"]]");
    const struct client_stream *noise = call(PREDICT, SLICE("\0\0\0\0\1\x07"));
    const struct client_stream *flagged = call(PREDICT, SLICE("\1\0\0\0\1\x07"));
    peer_talk(&peer);
    assert_status(ragged, "3", "row 1: 1 value where the first row has 2 (input \"x\")");
    assert_status(type, "3", "Unsupported Content-Type: image/png");
    assert_has(&odd->fields, "grpc-status: 3\n");
    assert_has(&noise->fields, "grpc-status: 3\n");
    assert_status(flagged, "13",
                  "a message is marked as compressed, and grpc-encoding names no coding");
    finish();
}

static void a_failing_model_tells_nothing_of_itself(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO "fail = internal\n", NULL);
    const struct client_stream *answer = predict("[[1,2]]");
    peer_talk(&peer);
    assert_status(answer, "13", "internal_server_error");
    finish();
}

static void what_is_no_call_is_answered_in_terms_of_http(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    const nghttp2_nv json[] = {client_nv(":method", "POST"), client_nv(":scheme", "http"),
                               client_nv(":path", PREDICT), client_nv(":authority", "t"),
                               client_nv("content-type", "application/grpc+json")};
    const struct client_stream *type = client_submit(&peer.client, json, 5, SLICE("x"), false);
    const struct client_stream *rest = peer_post(&peer, "/invocations", SLICE("[[1,2]]"));
    const struct client_stream *get = peer_get(&peer, "/live");
    peer_talk(&peer);
    assert_answer(type, "415", "a gRPC call has the content-type application/grpc");
    assert_answer(rest, "415", "a gRPC call has the content-type application/grpc");
    assert_answer(get, "405", "a gRPC call is a POST");
    assert_has(&get->fields, "allow: POST\n");
    finish();
}

static void unknown_names_are_unimplemented(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    const struct client_stream *method =
        call("/onnxserving.grpc.InferenceService/Nope", empty_message());
    const struct client_stream *service = call("/nope.Nope/Nope", empty_message());
    const struct client_stream *path = call("/nope", empty_message());
    const struct client_stream *hidden =
        call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", empty_message());
    const struct client_stream *coding = call_with("grpc-encoding", "br");
    peer_talk(&peer);
    assert_status(method, "12",
                  "unknown method Nope for service onnxserving.grpc.InferenceService");
    assert_status(service, "12", "unknown service nope.Nope");
    assert_status(path, "12", "malformed method name: /nope");
    assert_status(hidden, "12", "unknown service grpc.reflection.v1.ServerReflection");
    assert_status(coding, "12", "grpc-encoding 'br' is not supported; identity and gzip are");
    assert_has(&coding->fields, "grpc-accept-encoding: identity,gzip\n");
    finish();
}

static void messages_are_held_to_their_number(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    const struct client_stream *two = call(LIVE, SLICE("\0\0\0\0\0\0\0\0\0\0"));
    const struct client_stream *none = peer_call(&peer, LIVE, SLICE(""), false, NULL, 0);
    const struct client_stream *cut = call(LIVE, SLICE("\0\0\0\0\7abc"));
    peer_talk(&peer);
    assert_status(two, "12", "more than one message in a unary request");
    assert_status(none, "12", "no message in a unary request");
    assert_status(cut, "3", "the message ends after 3 of 7 bytes");
    finish();
}

static void too_large_messages_are_refused_at_their_prefix(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_BODY_BYTES", "100", NULL};
    static char much[101];
    memset(much, ' ', sizeof(much));
    begin(FIXTURE_ECHO, settings);
    const struct client_stream *huge =
        peer_call(&peer, PREDICT, SLICE("\0\0\xff\xff\xff"), true, NULL, 0);
    const struct client_stream *over =
        call(PREDICT, predict_request(slice_make(much, sizeof(much)), "", ""));
    peer_talk(&peer);
    assert_status(huge, "8", "payload_too_large");
    assert_status(over, "8", "payload_too_large");
    finish();
}

/* ---- limits ---- */

static void who_finds_no_slot_is_told_so(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "0.25", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *answer = predict("[[1,2]]");
    peer_talk(&peer);
    fixture_wait(&fixture, 300 * MS);
    peer_talk(&peer);
    assert_status(answer, "8", "too_many_requests");
    io_thread_leave_slot(fixture.io);
    finish();
}

static void calls_at_a_time_are_bounded_but_for_health(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "GRPC_MAX_CONCURRENT_RPCS", "2", "MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "5", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *first = predict("[[1,2]]");
    const struct client_stream *second = predict("[[1,2]]");
    peer_talk(&peer);
    const struct client_stream *third = predict("[[1,2]]");
    const struct client_stream *check = call(CHECK_HEALTH, empty_message());
    peer_talk(&peer);
    assert_status(third, "8", "too_many_requests");
    assert_reply(check, "\x08\x01");
    io_thread_leave_slot(fixture.io);
    peer_talk(&peer);
    assert_reply(first, ANSWER);
    assert_reply(second, ANSWER);
    const struct client_stream *fourth = predict("[[1,2]]");
    peer_talk(&peer);
    assert_reply(fourth, ANSWER);
    finish();
}

static void the_clients_time_limit_counts(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "10", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *shorter = call_with("grpc-timeout", "500m");
    const struct client_stream *longer = call_with("grpc-timeout", "99999999H");
    const struct client_stream *odd = call_with("grpc-timeout", "soon");
    peer_talk(&peer);
    fixture_wait(&fixture, 1 * S);
    io_thread_leave_slot(fixture.io);
    peer_talk(&peer);
    assert_has(&shorter->fields, "grpc-status: 4\n");
    assert_reply(longer, ANSWER);
    assert_has(&odd->fields, "grpc-status: 3\n");
    finish();
}

static void a_message_that_comes_too_slowly_is_late(void **state)
{
    (void)state;
    static const char *const settings[] = {"REQUEST_TIMEOUT_S", "3", NULL};
    begin(FIXTURE_ECHO, settings);
    const nghttp2_nv timeout[] = {client_nv("grpc-timeout", "1S")};
    const struct client_stream *own = peer_call(&peer, PREDICT, SLICE("\0\0\0"), true, timeout, 1);
    const struct client_stream *ours = peer_call(&peer, PREDICT, SLICE("\0\0\0"), true, NULL, 0);
    peer_talk(&peer);
    fixture_wait(&fixture, 1100 * MS);
    peer_talk(&peer);
    assert_status(own, "4", "the request did not arrive in time");
    assert_false(ours->final_head);
    fixture_wait(&fixture, 2 * S);
    peer_talk(&peer);
    assert_status(ours, "4", "the request did not arrive in time");
    finish();
}

static void the_clients_limit_counts_where_we_have_none(void **state)
{
    (void)state;
    static const char *const settings[] = {"REQUEST_TIMEOUT_S", "0", NULL};
    begin(FIXTURE_ECHO, settings);
    const nghttp2_nv timeout[] = {client_nv("grpc-timeout", "1S")};
    const struct client_stream *own = peer_call(&peer, PREDICT, SLICE("\0\0\0"), true, timeout, 1);
    const struct client_stream *none = peer_call(&peer, PREDICT, SLICE("\0\0\0"), true, NULL, 0);
    peer_talk(&peer);
    assert_false(own->final_head);
    fixture_wait(&fixture, 1100 * MS);
    peer_talk(&peer);
    assert_status(own, "4", "the request did not arrive in time");
    assert_false(none->final_head);
    finish();
}

static void a_cancelled_call_is_dropped_and_counted(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "10", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *gone = predict("[[1,2]]");
    peer_talk(&peer);
    nghttp2_submit_rst_stream(peer.client.session, 0, gone->id, NGHTTP2_CANCEL);
    peer_talk(&peer);
    assert_int_equal(atomic_load(&fixture.shared.admission.waiting), 0);
    io_thread_leave_slot(fixture.io);
    struct bytes text;
    bytes_init(&text, 1 << 20);
    assert_int_equal(metrics_write(fixture.shared.metrics, &(struct metrics_view){0}, &text),
                     ERR_OK);
    assert_has(&text, "\nonnxd_grpc_requests_total{method=\"Predict\",code=\"CANCELLED\"} 1\n");
    bytes_done(&text);
    finish();
}

/* ---- compression ---- */

static struct slice packed_request(struct slice plain)
{
    struct gzip *gzip = gzip_new();
    size_t at = bytes_len(&sent);
    assert_non_null(gzip);
    assert_int_equal(grpc_message_begin(&sent), ERR_OK);
    assert_int_equal(gzip_feed(gzip, plain, &sent), ERR_OK);
    assert_int_equal(gzip_finish(gzip, &sent), ERR_OK);
    assert_int_equal(grpc_message_end(&sent, at, true, NULL), ERR_OK);
    gzip_free(gzip);
    return slice_tail(bytes_slice(&sent), at);
}

static struct client_stream *packed_predict(int rows, const char *accepted)
{
    struct bytes csv;
    bytes_init(&csv, (size_t)32 * 1024 * 1024);
    for (int i = 0; i < rows; i++) {
        assert_int_equal(bytes_put(&csv, SLICE("1,2\n")), ERR_OK);
    }
    struct slice plain = predict_request(bytes_slice(&csv), "text/csv", "text/csv");
    bytes_done(&csv);
    const nghttp2_nv more[] = {client_nv("grpc-encoding", "gzip"),
                               client_nv("grpc-accept-encoding", accepted)};
    return peer_call(&peer, PREDICT, packed_request(slice_tail(plain, GRPC_PREFIX_BYTES)), false,
                     more, 2);
}

static void assert_packed(const struct client_stream *stream, int rows)
{
    struct gunzip *gunzip = gunzip_new("test");
    struct bytes plain;
    struct error error;
    bytes_init(&plain, (size_t)32 * 1024 * 1024);
    assert_non_null(gunzip);
    assert_has(&stream->fields, "grpc-encoding: gzip\n");
    struct slice body = peer_body(stream);
    assert_true(stream->body_bytes == body.len && body.ptr[0] == 1);
    assert_int_equal(gunzip_feed(gunzip, slice_tail(body, GRPC_PREFIX_BYTES), &plain, &error),
                     ERR_OK);
    assert_int_equal(gunzip_finish(gunzip, &error), ERR_OK);
    gunzip_free(gunzip);
    assert_has(&plain, "1.0,2.0\n1.0,2.0");
    assert_has(&plain, "batch_size");
    assert_true(bytes_len(&plain) > (size_t)rows * 8);
    bytes_done(&plain);
}

static void replies_are_compressed_for_who_compresses(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    const struct client_stream *packed = packed_predict(1000, "identity, gzip");
    const struct client_stream *small = packed_predict(2, "gzip");
    const struct client_stream *unwanted = packed_predict(1000, "identity");
    const struct client_stream *plain = call_with("grpc-accept-encoding", "gzip");
    peer_talk(&peer);
    assert_packed(packed, 1000);
    assert_reply(small, "1.0,2.0\n1.0,2.0");
    assert_lacks(&small->fields, "grpc-encoding");
    assert_reply(unwanted, "1.0,2.0\n1.0,2.0");
    assert_lacks(&unwanted->fields, "grpc-encoding");
    assert_reply(plain, ANSWER);
    assert_lacks(&plain->fields, "grpc-encoding");
    finish();
}

static void large_replies_are_compressed_on_another_thread(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_RECORDS", "1000000", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_int_equal(task_pool_new(1, &fixture.shared.tasks, NULL), ERR_OK);
    const struct client_stream *packed = packed_predict(20000, "gzip");
    peer_talk_until(&peer, &packed->ended);
    assert_packed(packed, 20000);
    const struct client_stream *gone = packed_predict(20000, "gzip");
    peer_talk(&peer);
    nghttp2_submit_rst_stream(peer.client.session, 0, gone->id, NGHTTP2_CANCEL);
    do {
        peer_talk(&peer);
    } while (fixture.io->inferences > 0);
    task_pool_free(fixture.shared.tasks);
    fixture.shared.tasks = NULL;
    finish();
}

static void a_message_that_decodes_to_too_much_is_refused(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_BODY_BYTES", "1000", NULL};
    begin(FIXTURE_ECHO, settings);
    const struct client_stream *bomb = packed_predict(100000, "gzip");
    peer_talk(&peer);
    assert_status(bomb, "8", "payload_too_large");
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predict_answers_as_rest_does),
        cmocka_unit_test(live_and_ready_say_what_is),
        cmocka_unit_test(health_knows_its_services),
        cmocka_unit_test(streams_of_both_kinds_share_a_connection),
        cmocka_unit_test(without_grpc_there_is_rest_alone),
        cmocka_unit_test(errors_have_the_text_of_rest),
        cmocka_unit_test(a_failing_model_tells_nothing_of_itself),
        cmocka_unit_test(what_is_no_call_is_answered_in_terms_of_http),
        cmocka_unit_test(unknown_names_are_unimplemented),
        cmocka_unit_test(messages_are_held_to_their_number),
        cmocka_unit_test(too_large_messages_are_refused_at_their_prefix),
        cmocka_unit_test(who_finds_no_slot_is_told_so),
        cmocka_unit_test(calls_at_a_time_are_bounded_but_for_health),
        cmocka_unit_test(the_clients_time_limit_counts),
        cmocka_unit_test(a_message_that_comes_too_slowly_is_late),
        cmocka_unit_test(the_clients_limit_counts_where_we_have_none),
        cmocka_unit_test(a_cancelled_call_is_dropped_and_counted),
        cmocka_unit_test(replies_are_compressed_for_who_compresses),
        cmocka_unit_test(large_replies_are_compressed_on_another_thread),
        cmocka_unit_test(a_message_that_decodes_to_too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
