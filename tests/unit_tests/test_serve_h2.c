/*
 * HTTP/2 sessions over socket pairs: the choice of the protocol, the routes, interleaving, limits,
 * deadlines and draining.
 */
#include "unit_tests/h2_peer.h"

#include "net/conn.h"

#define ANSWER "[[1.0,2.0]]"
#define QUESTION SLICE("[[1,2]]")
#define S CLOCK_NS_PER_S
#define MS CLOCK_NS_PER_MS

static struct fixture fixture;
static struct peer peer;

static void begin(const char *script, const char *const *settings)
{
    fixture_init(&fixture, script, settings);
    peer_init(&peer, &fixture, SESSION_PORT_ANY, true);
}

static void finish(void)
{
    peer_done(&peer);
    fixture_done(&fixture);
}

static struct client_stream *ask(void)
{
    return peer_post(&peer, "/invocations", QUESTION);
}

/* ---- the choice ---- */

static void the_first_bytes_choose(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *answer;
    } cases[] = {
        {"GET /live HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
        {"POST /live HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 405 "},
        {"PUT /live HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 405 "},
        {"PRINT /live HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 501 "},
        {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "HTTP/1.1 505 "},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0"},
    };
    fixture_init(&fixture, FIXTURE_ECHO, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t cut = 0; cut < strlen(cases[i].sent); cut++) {
            char text[4096] = "";
            int fd = fixture_connect(&fixture);
            assert_int_equal(send(fd, cases[i].sent, cut, 0), cut);
            fixture_turn(&fixture, 2);
            assert_int_equal(send(fd, cases[i].sent + cut, strlen(cases[i].sent) - cut, 0),
                             strlen(cases[i].sent) - cut);
            fixture_turn(&fixture, 3);
            ssize_t count = recv(fd, text, sizeof(text) - 1, 0);
            assert_true(count > 0);
            assert_memory_equal(text, cases[i].answer, strlen(cases[i].answer));
            close(fd);
            fixture_turn(&fixture, 2);
        }
    }
    fixture_done(&fixture);
}

/* Sends what may become a preface, and then does what `how` says. */
static void start_of_a_preface(const char *start, bool half_closes, const char *answer)
{
    static const char *const settings[] = {"HEADER_TIMEOUT_S", "2", NULL};
    char text[4096] = "";
    fixture_init(&fixture, FIXTURE_ECHO, settings);
    int fd = fixture_connect(&fixture);
    assert_int_equal(send(fd, start, strlen(start), 0), strlen(start));
    fixture_turn(&fixture, 3);
    if (half_closes) {
        shutdown(fd, SHUT_WR);
        fixture_turn(&fixture, 3);
    } else {
        fixture_wait(&fixture, 2100 * MS);
    }
    ssize_t count = recv(fd, text, sizeof(text) - 1, 0);
    if (count < 0 || strncmp(text, answer, strlen(answer)) != 0) {
        fail_msg("\"%s\" gives \"%s\", not \"%s\"", start, text, answer);
    }
    assert_int_equal(recv(fd, text, sizeof(text), 0), 0); /* and no more */
    close(fd);
    fixture_turn(&fixture, 2);
    fixture_done(&fixture);
}

static void what_stays_undecided_is_a_request_of_http1(void **state)
{
    (void)state;
    start_of_a_preface("P", false, "HTTP/1.1 408 ");
    start_of_a_preface("PRI * HTTP/2.0\r\n\r\n", false, "HTTP/1.1 505 ");
    start_of_a_preface("P", true, "");
    start_of_a_preface("PRI * HTTP/2.0\r\n\r\n", true, "HTTP/1.1 505 ");
    start_of_a_preface("", true, "");
}

static void the_port_of_grpc_takes_no_http1(void **state)
{
    (void)state;
    fixture_init(&fixture, FIXTURE_ECHO, NULL);
    char text[4096] = "";
    int fd = fixture_connect_to(&fixture, SESSION_PORT_GRPC);
    assert_int_equal(send(fd, "GET /live HTTP/1.1\r\n", 20, 0), 20);
    fixture_turn(&fixture, 3);
    assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
    assert_non_null(strstr(text, "HTTP/1.1 505 HTTP Version Not Supported\r\n"));
    assert_non_null(strstr(text, "\r\n\r\nthis port speaks gRPC alone"));
    assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
    close(fd);
    fixture_turn(&fixture, 2);
    fixture_done(&fixture);
}

/* ---- requests and answers ---- */

static void routes_answer_as_over_http1(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    const struct client_stream *answer = ask();
    const struct client_stream *live = peer_get(&peer, "/live");
    const struct client_stream *none = peer_get(&peer, "/nope");
    const struct client_stream *put =
        client_request(&peer.client, "PUT", "/invocations", QUESTION, false);
    const struct client_stream *head =
        client_request(&peer.client, "HEAD", "/live", SLICE(""), false);
    const struct client_stream *metrics = peer_get(&peer, "/metrics");
    const struct client_stream *bad = peer_post(&peer, "/invocations", SLICE("[[1,2],[3]]"));
    peer_talk(&peer);
    assert_answer(answer, "200", ANSWER);
    assert_has(&answer->fields, "content-type: application/json\n");
    assert_has(&answer->fields, "content-length: 11\n");
    assert_has(&answer->fields, "x-request-id: ");
    assert_has(&answer->fields, "date: ");
    assert_lacks(&answer->fields, "connection");
    assert_answer(live, "200", "\n");
    assert_answer(none, "404", "{\"error\":\"there is no path /nope\"}");
    assert_answer(put, "405", "{\"error\":\"this path takes POST\"}");
    assert_has(&put->fields, "allow: POST\n");
    assert_answer(head, "200", "");
    assert_has(&head->fields, "content-length: 1\n");
    assert_has(&metrics->fields, ":status: 200\n");
    assert_true(metrics->body_bytes > 1000 && metrics->ended);
    assert_has(&bad->fields, ":status: 400\n");
    finish();
}

static void streams_of_a_turn_share_a_run_and_a_send(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    peer_talk(&peer);
    const struct client_stream *answers[100];
    for (int i = 0; i < 100; i++) {
        answers[i] = ask();
    }
    assert_true(peer_say(&peer));
    sys_count_calls();
    fixture_turn(&fixture, 3);
    assert_int_equal(sys_calls(SYS_SEND), 1);
    peer_talk(&peer);
    for (int i = 0; i < 100; i++) {
        assert_answer(answers[i], "200", ANSWER);
    }
    const struct client_stream *metrics = peer_get(&peer, "/metrics");
    peer_talk(&peer);
    assert_true(metrics->ended);
    struct bytes text;
    bytes_init(&text, 1 << 20);
    assert_int_equal(metrics_write(fixture.shared.metrics, &(struct metrics_view){0}, &text),
                     ERR_OK);
    assert_has(&text, "\nonnxd_jobs_total{model=\"model.fake\"} 100\n");
    assert_has(&text, "\nonnxd_runs_total{model=\"model.fake\"} 1\n");
    bytes_done(&text);
    finish();
}

static void a_fast_request_overtakes_a_slow_one(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "5", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *slow = ask();
    const struct client_stream *fast = peer_get(&peer, "/live");
    peer_talk(&peer);
    assert_answer(fast, "200", "\n");
    assert_false(slow->final_head);
    io_thread_leave_slot(fixture.io);
    peer_talk(&peer);
    assert_answer(slow, "200", ANSWER);
    finish();
}

static void a_body_that_comes_byte_by_byte_is_the_same(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    struct client_stream *stream =
        client_request(&peer.client, "POST", "/invocations", SLICE(""), true);
    static const char body[] = "[[1,2]]";
    for (size_t i = 0; i < sizeof(body) - 1; i++) {
        stream->upload = slice_make(body + i, 1);
        stream->upload_open = i + 1 < sizeof(body) - 1;
        nghttp2_session_resume_data(peer.client.session, stream->id);
        peer_talk(&peer);
    }
    assert_answer(stream, "200", ANSWER);
    finish();
}

static void who_expects_100_gets_it(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    const nghttp2_nv fields[] = {client_nv(":method", "POST"), client_nv(":scheme", "http"),
                                 client_nv(":path", "/invocations"), client_nv(":authority", "t"),
                                 client_nv("expect", "100-continue")};
    struct client_stream *stream = client_submit(&peer.client, fields, 5, SLICE(""), true);
    peer_talk(&peer);
    assert_true(stream->continued && !stream->final_head);
    stream->upload = QUESTION;
    stream->upload_open = false;
    nghttp2_session_resume_data(peer.client.session, stream->id);
    peer_talk(&peer);
    assert_answer(stream, "200", ANSWER);
    finish();
}

static void what_was_asked_before_a_half_close_is_answered(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "5", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *whole = ask();
    const struct client_stream *cut =
        client_request(&peer.client, "POST", "/invocations", SLICE("[[1"), true);
    peer_talk(&peer);
    shutdown(peer.fd, SHUT_WR);
    peer_talk(&peer);
    assert_false(peer.ended);
    io_thread_leave_slot(fixture.io);
    peer_talk(&peer);
    assert_answer(whole, "200", ANSWER);
    assert_true(cut->closed && !cut->final_head);
    assert_true(peer.ended);
    finish();
}

/* ---- limits ---- */

static void too_large_bodies_are_413(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_BODY_BYTES", "100", NULL};
    static char much[1000];
    memset(much, ' ', sizeof(much));
    begin(FIXTURE_ECHO, settings);
    const nghttp2_nv fields[] = {client_nv(":method", "POST"), client_nv(":scheme", "http"),
                                 client_nv(":path", "/invocations"), client_nv(":authority", "t"),
                                 client_nv("content-length", "1000")};
    struct slice body = slice_make(much, sizeof(much));
    const struct client_stream *known = client_submit(&peer.client, fields, 5, body, false);
    const struct client_stream *unknown = peer_post(&peer, "/invocations", body);
    const struct client_stream *other = ask();
    peer_talk(&peer);
    const char *text = "{\"error\":\"payload_too_large\",\"max_bytes\":100}";
    assert_answer(known, "413", text);
    assert_answer(unknown, "413", text);
    assert_answer(other, "200", ANSWER);
    finish();
}

static void who_waits_too_long_for_a_slot_is_told_so(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "0.25", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *first = ask();
    const struct client_stream *second = ask();
    peer_talk(&peer);
    fixture_wait(&fixture, 300 * MS);
    peer_talk(&peer);
    assert_answer(first, "429", "{\"error\":\"too_many_requests\"}");
    assert_answer(second, "429", "{\"error\":\"too_many_requests\"}");
    assert_has(&first->fields, "retry-after: 1\n");
    io_thread_leave_slot(fixture.io);
    const struct client_stream *third = ask();
    peer_talk(&peer);
    assert_answer(third, "200", ANSWER);
    finish();
}

static size_t recycled_bytes(const struct client_stream *stream)
{
    peer_talk(&peer);
    nghttp2_submit_rst_stream(peer.client.session, 0, stream->id, NGHTTP2_CANCEL);
    peer_talk(&peer);
    assert_true(fixture.io->free_exchanges != NULL && fixture.io->free_exchange_count == 1);
    return fixture.io->free_exchanges->body.capacity;
}

static void a_body_takes_room_when_it_comes_and_is_wanted(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    const nghttp2_nv fields[] = {client_nv(":method", "POST"), client_nv(":scheme", "http"),
                                 client_nv(":path", "/invocations"), client_nv(":authority", "t"),
                                 client_nv("content-length", "50000")};
    const struct client_stream *live =
        client_request(&peer.client, "GET", "/live", SLICE("unasked"), false);
    assert_int_equal(recycled_bytes(live), 0);
    assert_answer(live, "200", "\n");
    assert_int_equal(recycled_bytes(client_submit(&peer.client, fields, 5, SLICE(""), true)), 0);
    assert_true(recycled_bytes(client_submit(&peer.client, fields, 5, SLICE("["), true)) >= 50000);
    finish();
}

/* Of 17 bodies of nearly 4 MiB one is past 64 MiB; without it there is a little room. */
static void bodies_of_one_connection_are_bounded(void **state)
{
    (void)state;
    static char much[4 * 1024 * 1024 - 1024];
    memset(much, ' ', sizeof(much));
    begin(FIXTURE_ECHO, NULL);
    struct client_stream *held[17];
    for (size_t i = 0; i < 17; i++) {
        held[i] = client_request(&peer.client, "POST", "/invocations",
                                 slice_make(much, sizeof(much)), true);
    }
    peer_talk(&peer);
    unsigned refused = 0;
    for (size_t i = 0; i < 17; i++) {
        refused += held[i]->final_head;
    }
    assert_int_equal(refused, 1);
    const struct client_stream *other = ask(); /* it fits in what is left */
    peer_talk(&peer);
    assert_answer(other, "200", ANSWER);
    finish();
}

static void assert_refused(const struct client_stream *stream)
{
    assert_true(stream->closed && !stream->final_head);
    assert_int_equal(stream->code, NGHTTP2_REFUSED_STREAM);
}

/* Over all connections, and whatever a request wants: its client may try again. */
static void streams_past_the_limit_are_refused(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "MAX_STREAMS", "2", "MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "5", NULL};
    static struct peer other;
    begin(FIXTURE_ECHO, settings);
    peer_init(&other, &fixture, SESSION_PORT_ANY, true);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *waiting = ask();
    const struct client_stream *reading =
        client_request(&peer.client, "POST", "/invocations", SLICE("[[1"), true);
    peer_talk(&peer);
    const struct client_stream *past = ask();
    const struct client_stream *post = peer_post(&other, "/invocations", QUESTION);
    const struct client_stream *call =
        peer_call(&other, "/grpc.health.v1.Health/Check", SLICE("\0\0\0\0\0"), false, NULL, 0);
    peer_talk(&peer);
    peer_talk(&other);
    assert_refused(past);
    assert_refused(post);
    assert_refused(call);
    assert_int_equal(metrics_read(fixture.shared.metrics, METRIC_REJECTIONS, REJECTION_STREAMS), 3);
    nghttp2_submit_rst_stream(peer.client.session, 0, reading->id, NGHTTP2_CANCEL);
    peer_talk(&peer);
    const struct client_stream *live = peer_get(&other, "/live");
    peer_talk(&other);
    assert_answer(live, "200", "\n");
    io_thread_leave_slot(fixture.io);
    peer_talk(&peer);
    assert_answer(waiting, "200", ANSWER);
    peer_done(&other);
    finish();
}

static void a_reset_stream_leaves_nothing(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "5", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *waiting = ask();
    const struct client_stream *reading =
        client_request(&peer.client, "POST", "/invocations", SLICE("[[1"), true);
    const struct client_stream *other = ask();
    peer_talk(&peer);
    assert_int_equal(atomic_load(&fixture.shared.admission.waiting), 2);
    nghttp2_submit_rst_stream(peer.client.session, 0, waiting->id, NGHTTP2_CANCEL);
    nghttp2_submit_rst_stream(peer.client.session, 0, reading->id, NGHTTP2_CANCEL);
    peer_talk(&peer);
    assert_int_equal(atomic_load(&fixture.shared.admission.waiting), 1);
    io_thread_leave_slot(fixture.io);
    peer_talk(&peer);
    assert_answer(other, "200", ANSWER);
    finish();
}

/* ---- deadlines ---- */

static void a_slow_body_is_408_and_its_neighbours_are_answered(void **state)
{
    (void)state;
    static const char *const settings[] = {"REQUEST_TIMEOUT_S", "3", NULL};
    begin(FIXTURE_ECHO, settings);
    struct client_stream *slow =
        client_request(&peer.client, "POST", "/invocations", SLICE("[[1"), true);
    peer_talk(&peer);
    fixture_wait(&fixture, 2 * S);
    struct client_stream *later =
        client_request(&peer.client, "POST", "/invocations", SLICE("[[1,2]"), true);
    peer_talk(&peer);
    assert_false(slow->final_head);
    fixture_wait(&fixture, 1100 * MS);
    peer_talk(&peer);
    assert_answer(slow, "408", "{\"error\":\"the request did not arrive in time\"}");
    assert_false(later->final_head);
    later->upload = SLICE("]");
    later->upload_open = false;
    nghttp2_session_resume_data(peer.client.session, later->id);
    peer_talk(&peer);
    assert_answer(later, "200", ANSWER);
    finish();
}

static void a_head_that_stops_half_way_ends_the_connection(void **state)
{
    (void)state;
    static const char *const settings[] = {"HEADER_TIMEOUT_S", "2", NULL};
    begin(FIXTURE_ECHO, settings);
    peer_talk(&peer);
    /* HEADERS of stream 1 that announce 20 bytes. */
    static const char half[] = {0, 0, 20, 1, 4, 0, 0, 0, 1, (char)0x82};
    assert_int_equal(send(peer.fd, half, sizeof(half), 0), sizeof(half));
    fixture_turn(&fixture, 3);
    fixture_wait(&fixture, 1900 * MS);
    peer_talk(&peer);
    assert_false(peer.ended);
    fixture_wait(&fixture, 200 * MS);
    peer_talk(&peer);
    assert_true(peer.ended);
    finish();
}

static void an_idle_connection_is_said_goodbye(void **state)
{
    (void)state;
    static const char *const settings[] = {"KEEPALIVE_TIMEOUT_S", "5", NULL};
    begin(FIXTURE_ECHO, settings);
    peer_talk(&peer);
    fixture_wait(&fixture, 3 * S);
    const struct client_stream *answer = ask();
    peer_talk(&peer);
    assert_answer(answer, "200", ANSWER);
    fixture_wait(&fixture, 4900 * MS);
    peer_talk(&peer);
    assert_false(peer.ended);
    fixture_wait(&fixture, 200 * MS);
    peer_talk(&peer);
    assert_true(peer.ended);
    assert_int_equal(peer.client.goaways, 1);
    assert_int_equal(peer.client.goaway_code, NGHTTP2_NO_ERROR);
    finish();
}

static void without_keepalive_it_ends_with_its_first_streams(void **state)
{
    (void)state;
    static const char *const settings[] = {"KEEPALIVE_TIMEOUT_S", "0", NULL};
    begin(FIXTURE_ECHO, settings);
    const struct client_stream *first = ask();
    const struct client_stream *second = ask();
    peer_talk(&peer);
    assert_answer(first, "200", ANSWER);
    assert_answer(second, "200", ANSWER);
    assert_true(peer.ended && peer.client.goaways == 1);
    finish();
}

static void a_job_past_its_time_is_504(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "REQUEST_TIMEOUT_S", "1", "MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "10", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *answer = ask();
    peer_talk(&peer);
    fixture_wait(&fixture, 2 * S);
    io_thread_leave_slot(fixture.io);
    peer_talk(&peer);
    assert_has(&answer->fields, ":status: 504\n");
    finish();
}

/* ---- draining ---- */

static void start_drain(void)
{
    atomic_store(&fixture.shared.draining, true);
    io_thread_drain(fixture.io);
    fixture_turn(&fixture, 2);
}

static void draining_lets_streams_on_their_way_in_and_then_no_more(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "5", NULL};
    begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&fixture.shared.admission));
    const struct client_stream *open = ask();
    peer_talk(&peer);
    start_drain();
    const struct client_stream *late = ask(); /* before it has read the GOAWAY */
    peer_talk(&peer);
    assert_int_equal(peer.client.goaways, 1);
    assert_int_equal(peer.client.goaway_last, INT32_MAX);
    fixture_wait(&fixture, 600 * MS);
    peer_talk(&peer);
    assert_int_equal(peer.client.goaways, 2);
    assert_int_equal(peer.client.goaway_last, late->id);
    assert_false(peer.ended);
    io_thread_leave_slot(fixture.io);
    peer_talk(&peer);
    assert_answer(open, "200", ANSWER);
    assert_answer(late, "200", ANSWER);
    assert_true(peer.ended);
    finish();
}

static void an_idle_connection_gets_a_moment_when_draining(void **state)
{
    (void)state;
    begin(FIXTURE_ECHO, NULL);
    peer_talk(&peer);
    start_drain();
    fixture_wait(&fixture, 300 * MS);
    const struct client_stream *answer = ask();
    assert_true(peer_say(&peer));
    fixture_turn(&fixture, 3);
    fixture_wait(&fixture, 300 * MS);
    peer_talk(&peer);
    assert_answer(answer, "200", ANSWER);
    assert_true(peer.ended);
    finish();
}

static void who_connects_while_draining_is_told_at_once(void **state)
{
    (void)state;
    fixture_init(&fixture, FIXTURE_ECHO, NULL);
    atomic_store(&fixture.shared.draining, true);
    peer_init(&peer, &fixture, SESSION_PORT_ANY, true);
    const struct client_stream *answer = ask();
    peer_talk(&peer);
    assert_answer(answer, "200", ANSWER);
    assert_int_equal(peer.client.goaways, 1);
    fixture_wait(&fixture, 600 * MS);
    peer_talk(&peer);
    assert_true(peer.ended);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_bytes_choose),
        cmocka_unit_test(what_stays_undecided_is_a_request_of_http1),
        cmocka_unit_test(the_port_of_grpc_takes_no_http1),
        cmocka_unit_test(routes_answer_as_over_http1),
        cmocka_unit_test(streams_of_a_turn_share_a_run_and_a_send),
        cmocka_unit_test(a_fast_request_overtakes_a_slow_one),
        cmocka_unit_test(a_body_that_comes_byte_by_byte_is_the_same),
        cmocka_unit_test(who_expects_100_gets_it),
        cmocka_unit_test(what_was_asked_before_a_half_close_is_answered),
        cmocka_unit_test(too_large_bodies_are_413),
        cmocka_unit_test(who_waits_too_long_for_a_slot_is_told_so),
        cmocka_unit_test(a_body_takes_room_when_it_comes_and_is_wanted),
        cmocka_unit_test(bodies_of_one_connection_are_bounded),
        cmocka_unit_test(streams_past_the_limit_are_refused),
        cmocka_unit_test(a_reset_stream_leaves_nothing),
        cmocka_unit_test(a_slow_body_is_408_and_its_neighbours_are_answered),
        cmocka_unit_test(a_head_that_stops_half_way_ends_the_connection),
        cmocka_unit_test(an_idle_connection_is_said_goodbye),
        cmocka_unit_test(without_keepalive_it_ends_with_its_first_streams),
        cmocka_unit_test(a_job_past_its_time_is_504),
        cmocka_unit_test(draining_lets_streams_on_their_way_in_and_then_no_more),
        cmocka_unit_test(an_idle_connection_gets_a_moment_when_draining),
        cmocka_unit_test(who_connects_while_draining_is_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
