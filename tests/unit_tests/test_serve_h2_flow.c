/*
 * Large bodies over HTTP/2: both ways, past a client that reads slowly or not at all, and what that
 * costs its neighbours.
 */
#include "unit_tests/h2_peer.h"

#include "net/conn.h"
#include "serve/session_state.h"

#define ANSWER "[[1.0,2.0]]"
#define ROW SLICE("1,2\n")
#define ROW_BYTES 4
#define ANSWER_ROW_BYTES 8 /* "1.0,2.0\n"; the last one has no end */
#define S CLOCK_NS_PER_S

static const char *const settings[] = {
    "MAX_RECORDS", "10000000", "MAX_BODY_BYTES", "60000000", "KEEPALIVE_TIMEOUT_S", "1000", NULL};

static struct fixture fixture;
static struct peer peer;
static struct bytes upload;

static void begin(bool takes_all)
{
    fixture_init(&fixture, FIXTURE_ECHO, settings);
    assert_int_equal(task_pool_new(1, &fixture.shared.tasks, NULL), ERR_OK);
    peer_init(&peer, &fixture, SESSION_PORT_ANY, takes_all);
    bytes_init(&upload, (size_t)64 * 1024 * 1024);
}

static void finish(void)
{
    peer_done(&peer);
    bytes_done(&upload);
    fixture_turn(&fixture, 2);
    task_pool_free(fixture.shared.tasks);
    fixture.shared.tasks = NULL;
    fixture_done(&fixture);
}

/* A request of so many rows, whose answer is twice as large. */
static struct client_stream *ask_rows(size_t rows)
{
    bytes_reset(&upload, upload.capacity);
    for (size_t i = 0; i < rows; i++) {
        assert_int_equal(bytes_put(&upload, ROW), ERR_OK);
    }
    const nghttp2_nv fields[] = {
        client_nv(":method", "POST"),          client_nv(":scheme", "http"),
        client_nv(":path", "/invocations"),    client_nv(":authority", "t"),
        client_nv("content-type", "text/csv"), client_nv("accept", "text/csv")};
    return client_submit(&peer.client, fields, 6, bytes_slice(&upload), false);
}

static struct client_stream *ask(void)
{
    return peer_post(&peer, "/invocations", SLICE("[[1,2]]"));
}

/* Sends all of the upload; what is answered meanwhile is heard. */
static void upload_all(const struct client_stream *stream)
{
    while (stream->upload.len > 0) {
        peer_talk(&peer);
    }
}

static void give_connection_credit(int32_t bytes)
{
    assert_int_equal(nghttp2_session_set_local_window_size(peer.client.session, 0, 0, bytes), 0);
}

static void large_bodies_go_both_ways_whole(void **state)
{
    (void)state;
    begin(true);
    const size_t rows = 6000000; /* 24 MB in, 48 MB out */
    const struct client_stream *stream = ask_rows(rows);
    upload_all(stream);
    peer_talk_until(&peer, &stream->ended);
    assert_has(&stream->fields, ":status: 200\n");
    assert_int_equal(stream->body_bytes, rows * ANSWER_ROW_BYTES - 1);
    finish();
}

static void an_answer_is_not_queued_whole(void **state)
{
    (void)state;
    begin(true);
    give_connection_credit(64 * 1024 * 1024);
    const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 64 * 1024 * 1024};
    nghttp2_submit_settings(peer.client.session, 0, &window, 1);
    peer_talk(&peer);
    const struct client_stream *stream = ask_rows(500000);
    upload_all(stream);
    const struct session *session = fixture.io->sessions;
    assert_non_null(session);
    while (!stream->ended) {
        fixture_turn(&fixture, 1);
        assert_true(conn_unsent_bytes(session->conn) <=
                    CONN_OUTPUT_HIGH_BYTES + H2_WRITE_ROOM_BYTES);
        peer_hear(&peer, 64 * 1024);
    }
    assert_int_equal(stream->body_bytes, 500000 * ANSWER_ROW_BYTES - 1);
    finish();
}

static void a_neighbour_overtakes_a_large_answer(void **state)
{
    (void)state;
    begin(true);
    const struct client_stream *large = ask_rows(1000000);
    upload_all(large);
    while (large->body_bytes == 0) {
        peer_say(&peer);
        fixture_turn(&fixture, 1);
        peer_hear(&peer, 16 * 1024);
    }
    const struct client_stream *small = ask();
    size_t before = large->body_bytes;
    while (!small->ended) {
        peer_say(&peer);
        fixture_turn(&fixture, 1);
        peer_hear(&peer, 16 * 1024);
    }
    assert_body(small, ANSWER);
    assert_true(large->body_bytes - before < (size_t)2 * 1024 * 1024);
    peer_talk_until(&peer, &large->ended);
    assert_int_equal(large->body_bytes, 1000000 * ANSWER_ROW_BYTES - 1);
    finish();
}

/* A client that gives one stream no credit: the others go on, and that one ends after a while. */
static void a_stream_without_credit_is_given_up_alone(void **state)
{
    (void)state;
    begin(false);
    give_connection_credit(8 * 1024 * 1024);
    const struct client_stream *stuck = ask_rows(100000);
    upload_all(stuck);
    while (stuck->body_bytes < 65535) {
        peer_talk(&peer);
    }
    for (int i = 0; i < 5; i++) {
        const struct client_stream *other = ask();
        peer_talk(&peer);
        assert_answer(other, "200", ANSWER);
        fixture_wait(&fixture, 5 * S);
        assert_false(stuck->closed);
    }
    fixture_wait(&fixture, 6 * S);
    peer_talk(&peer);
    assert_true(stuck->closed);
    assert_int_equal(stuck->code, NGHTTP2_CANCEL);
    const struct client_stream *other = ask();
    peer_talk(&peer);
    assert_answer(other, "200", ANSWER);
    finish();
}

static void who_takes_a_little_now_and_then_gets_all(void **state)
{
    (void)state;
    begin(false);
    const struct client_stream *slow = ask_rows(20000);
    upload_all(slow);
    for (int i = 0; !slow->ended; i++) {
        assert_true(i < 100000 && !peer.ended);
        peer_talk(&peer);
        if (fixture.io->inferences > 0) {
            continue;
        }
        fixture_wait(&fixture, 20 * S);
        nghttp2_session_consume(peer.client.session, slow->id, 20000);
        nghttp2_submit_window_update(peer.client.session, 0, slow->id, 20000);
        nghttp2_submit_window_update(peer.client.session, 0, 0, 20000);
    }
    assert_int_equal(slow->body_bytes, 20000 * ANSWER_ROW_BYTES - 1);
    finish();
}

static void a_connection_without_credit_is_closed(void **state)
{
    (void)state;
    begin(false);
    const struct client_stream *stuck = ask_rows(100000);
    upload_all(stuck);
    while (stuck->body_bytes < 65535) {
        peer_talk(&peer);
    }
    fixture_wait(&fixture, 29 * S);
    peer_talk(&peer);
    assert_false(peer.ended);
    fixture_wait(&fixture, 2 * S);
    peer_talk(&peer);
    assert_true(peer.ended);
    finish();
}

static void a_client_that_never_reads_is_closed(void **state)
{
    (void)state;
    begin(true);
    give_connection_credit(64 * 1024 * 1024);
    const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 64 * 1024 * 1024};
    nghttp2_submit_settings(peer.client.session, 0, &window, 1);
    peer_talk(&peer);
    const struct client_stream *stream = ask_rows(1000000);
    upload_all(stream);
    while (fixture.io->inferences > 0) {
        fixture_turn(&fixture, 1);
    }
    fixture_wait(&fixture, CONN_FLUSH_MAX_NS + 2 * S);
    assert_int_equal(atomic_load(&fixture.shared.connections), 0);
    finish();
}

/* The same as an npy matrix of zeros, which costs neither side time: 8 bytes a row both ways. */
static struct client_stream *ask_zeros(size_t rows)
{
    char head[128];
    int len = snprintf(head + 10, sizeof(head) - 10,
                       "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, 2), }", rows);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10); /* 118 bytes follow */
    memset(head + 10 + len, ' ', sizeof(head) - 10 - (size_t)len);
    head[sizeof(head) - 1] = '\n';
    bytes_reset(&upload, upload.capacity);
    assert_int_equal(bytes_put(&upload, slice_make(head, sizeof(head))), ERR_OK);
    char *zeros = bytes_reserve(&upload, rows * 8);
    assert_non_null(zeros);
    memset(zeros, 0, rows * 8);
    bytes_commit(&upload, rows * 8);
    const nghttp2_nv fields[] = {client_nv(":method", "POST"),
                                 client_nv(":scheme", "http"),
                                 client_nv(":path", "/invocations"),
                                 client_nv(":authority", "t"),
                                 client_nv("content-type", "application/x-npy"),
                                 client_nv("accept", "application/x-npy")};
    return client_submit(&peer.client, fields, 6, bytes_slice(&upload), false);
}

/* Answers that nobody takes: past a bound the next one is given up, and the others stay. */
static void answers_of_one_connection_are_bounded(void **state)
{
    (void)state;
    begin(false);
    struct client_stream *streams[5];
    for (int i = 0; i < 5; i++) {
        streams[i] = ask_zeros(6000000); /* 48 MB each */
        upload_all(streams[i]);
        do {
            peer_talk(&peer);
        } while (fixture.io->inferences > 0);
        peer_talk(&peer);
    }
    unsigned refused = 0;
    for (int i = 0; i < 5; i++) {
        assert_true(streams[i]->final_head);
        struct slice fields = bytes_slice(&streams[i]->fields);
        refused += memmem(fields.ptr, fields.len, ":status: 429", 12) != NULL;
    }
    assert_int_equal(refused, 2);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_bodies_go_both_ways_whole),
        cmocka_unit_test(an_answer_is_not_queued_whole),
        cmocka_unit_test(a_neighbour_overtakes_a_large_answer),
        cmocka_unit_test(a_stream_without_credit_is_given_up_alone),
        cmocka_unit_test(who_takes_a_little_now_and_then_gets_all),
        cmocka_unit_test(a_connection_without_credit_is_closed),
        cmocka_unit_test(a_client_that_never_reads_is_closed),
        cmocka_unit_test(answers_of_one_connection_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
