/* Sessions over socket pairs: order, half close, deadlines, draining, and what each ends with. */
#include "unit_tests/serve_fixture.h"

#include "net/conn.h"
#include "unit_tests/testing.h"

#define HOST "Host: t\r\n"
#define LIVE "GET /live HTTP/1.1\r\n" HOST "\r\n"
#define ASK "POST /invocations HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n[[1,2]]"
#define ANSWER "[[1.0,2.0]]"
#define S CLOCK_NS_PER_S
#define MS CLOCK_NS_PER_MS

struct test {
    struct fixture fixture;
    int peer;
    bool ended; /* the peer has seen the end of the stream */
    char text[1 << 20];
    size_t len;
};

static struct test *begin(const char *script, const char *const *settings)
{
    static struct test test;
    memset(&test, 0, offsetof(struct test, text));
    test.len = 0;
    fixture_init(&test.fixture, script, settings);
    test.peer = fixture_connect(&test.fixture);
    return &test;
}

static void finish(struct test *test)
{
    close(test->peer);
    fixture_turn(&test->fixture, 2);
    fixture_done(&test->fixture);
}

static void say(struct test *test, const char *text)
{
    assert_int_equal(send(test->peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads at most `most` bytes of what has been sent; true when it got some. */
static bool listen_some(struct test *test, size_t most)
{
    size_t room = sizeof(test->text) - 1 - test->len;
    ssize_t count = recv(test->peer, test->text + test->len, room < most ? room : most, 0);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        test->ended = true;
    }
    test->len += count > 0 ? (size_t)count : 0;
    test->text[test->len] = '\0';
    return count > 0;
}

static void hear(struct test *test)
{
    do {
        fixture_turn(&test->fixture, 3);
    } while (listen_some(test, sizeof(test->text)));
}

static unsigned count_of(const struct test *test, const char *text)
{
    unsigned count = 0;
    for (const char *at = test->text; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

static void assert_says(const struct test *test, const char *text)
{
    if (strstr(test->text, text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, test->text);
    }
}

static void assert_quiet_about(const struct test *test, const char *text)
{
    if (strstr(test->text, text) != NULL) {
        fail_msg("\"%s\" is in: %s", text, test->text);
    }
}

/* ---- order and ends ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    say(test, ASK LIVE "POST /invocations HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n[[3,4]]");
    hear(test);
    assert_int_equal(count_of(test, "HTTP/1.1 200 OK\r\n"), 3);
    const char *first = strstr(test->text, ANSWER);
    const char *second = strstr(test->text, "text/plain");
    const char *third = strstr(test->text, "[[3.0,4.0]]");
    assert_true(first != NULL && first < second && second < third);
    assert_false(test->ended);
    finish(test);
}

static void what_was_asked_before_a_half_close_is_answered(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    say(test, ASK ASK ASK LIVE);
    shutdown(test->peer, SHUT_WR);
    hear(test);
    assert_int_equal(count_of(test, ANSWER), 3);
    assert_int_equal(count_of(test, "HTTP/1.1 200 OK\r\n"), 4);
    assert_int_equal(count_of(test, "Connection: close"), 1);
    assert_true(test->ended);
    finish(test);
}

static void a_request_that_a_half_close_cuts_is_not_answered(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    say(test, ASK "GET /li");
    shutdown(test->peer, SHUT_WR);
    hear(test);
    assert_int_equal(count_of(test, "HTTP/1.1 "), 1);
    assert_true(test->ended);
    finish(test);
}

static void a_reset_in_the_middle_of_anything_leaves_nothing(void **state)
{
    (void)state;
    static const char request[] = ASK LIVE;
    for (size_t cut = 0; cut <= sizeof(request) - 1; cut++) {
        struct test *test = begin(FIXTURE_ECHO, NULL);
        assert_int_equal(send(test->peer, request, cut, MSG_NOSIGNAL), (ssize_t)cut);
        if (cut % 2 == 0) {
            loop_turn(test->fixture.io->loop, 0);
        }
        finish(test); /* checks connections, slots and waiters; the sanitizer the rest */
    }
}

static void every_split_gives_the_same_answer(void **state)
{
    (void)state;
    static const char request[] = ASK;
    for (size_t cut = 1; cut < sizeof(request) - 1; cut++) {
        struct test *test = begin(FIXTURE_ECHO, NULL);
        assert_int_equal(send(test->peer, request, cut, 0), (ssize_t)cut);
        fixture_turn(&test->fixture, 2);
        say(test, request + cut);
        hear(test);
        assert_int_equal(count_of(test, ANSWER), 1);
        finish(test);
    }
}

/* ---- refusals ---- */

static void a_refused_head_closes_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status, *more;
    } cases[] = {
        {"GET /nope HTTP/1.1\r\n" HOST "\r\n", " 404 ", "there is no path /nope"},
        {"DELETE /live HTTP/1.1\r\n" HOST "\r\n", " 405 ", "Allow: GET, HEAD"},
        {"GET /invocations HTTP/1.1\r\n" HOST "\r\n", " 405 ", "Allow: POST"},
        {"POST /live HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n", " 405 ", "Connection: close"},
        {"POST /nope HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n", " 404 ", "Connection: close"},
        {"POST /invocations HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n\r\n", " 413 ",
         "{\"error\":\"payload_too_large\",\"max_bytes\":6291456}"},
        {"POST /invocations HTTP/1.1\r\n" HOST "Content-Encoding: br\r\nContent-Length: 3\r\n\r\n",
         " 400 ", "Content-Encoding br"},
        {"HEAD /nope HTTP/1.1\r\n" HOST "\r\n", " 404 ", "Content-Type: application/json"},
        {"nonsense\r\n\r\n", " 400 ", "request line"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct test *test = begin(FIXTURE_ECHO, NULL);
        say(test, cases[i].request);
        hear(test);
        assert_says(test, cases[i].status);
        assert_says(test, cases[i].more);
        assert_says(test, "X-Request-Id: ");
        finish(test);
    }
}

static void head_gets_no_body(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    say(test, "HEAD /live HTTP/1.1\r\n" HOST "\r\n" LIVE);
    hear(test);
    assert_int_equal(count_of(test, "Content-Length: 1\r\n"), 2);
    assert_int_equal(count_of(test, "\r\n\r\nHTTP/1.1 200"), 1);
    finish(test);
}

static void not_ready_is_503_and_the_connection_stays(void **state)
{
    (void)state;
    struct test *test = begin(NULL, NULL);
    say(test, ASK LIVE);
    hear(test);
    assert_says(test, "HTTP/1.1 503 ");
    assert_says(test, "Retry-After: 1\r\n");
    assert_says(test, "{\"error\":\"not_ready\"}");
    assert_int_equal(count_of(test, "HTTP/1.1 200 OK"), 1);
    finish(test);
}

static void a_failing_model_tells_nothing_of_itself(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO "fail = internal\n", NULL);
    say(test, ASK LIVE);
    hear(test);
    assert_says(test, "HTTP/1.1 500 ");
    assert_says(test, "{\"error\":\"internal_server_error\"}");
    assert_quiet_about(test, "fake");
    assert_int_equal(count_of(test, "HTTP/1.1 200 OK"), 1);
    finish(test);
}

static void a_page_is_compressed_for_who_wants_it(void **state)
{
    (void)state;
    static const struct {
        const char *accepts;
        bool compressed;
    } cases[] = {
        {"gzip", true},         {"br, GZIP;q=0.001", true},
        {"gzip;q=0.05", true},  {"gzip; q=1", true},
        {"gzip;q=0", false},    {"gzip;Q=0.000", false},
        {"gzip; q=0.0", false}, {"br", false},
        {"identity", false},
    };
    static const char *const settings[] = {"SWAGGER_ENABLED", "true", NULL};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct test *test = begin(FIXTURE_ECHO, settings);
        say(test, "HEAD /docs/swagger-ui.css HTTP/1.1\r\n" HOST "Accept-Encoding: ");
        say(test, cases[i].accepts);
        say(test, "\r\n\r\n");
        hear(test);
        assert_says(test, "Vary: Accept-Encoding\r\n");
        assert_int_equal(count_of(test, "Content-Encoding: gzip\r\n"), cases[i].compressed);
        finish(test);
    }
}

static void an_answer_that_is_too_large_is_500(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    test->fixture.io->reply.max = 256;
    say(test, "POST /invocations HTTP/1.1\r\n" HOST
              "Content-Type: text/csv\r\nContent-Length: 300\r\n\r\n");
    for (int i = 0; i < 75; i++) {
        say(test, "1,2\n");
    }
    say(test, LIVE);
    hear(test);
    assert_says(test, "HTTP/1.1 500 ");
    assert_says(test, "{\"error\":\"internal_server_error\"}");
    assert_int_equal(count_of(test, "HTTP/1.1 200 OK"), 1);
    finish(test);
}

static void compressed_bytes_are_bounded_too(void **state)
{
    (void)state;
    /* A gzip member with an endless row of empty stored blocks: it decodes to nothing, for ever. */
    static const char head[] = "POST /invocations HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\n"
                               "Transfer-Encoding: chunked\r\n\r\na\r\n"
                               "\x1f\x8b\x08\0\0\0\0\0\0\xff\r\n";
    static const char piece[] = "5\r\n\0\0\0\xff\xff\r\n";
    static const char *const settings[] = {"MAX_BODY_BYTES", "100", NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    assert_int_equal(send(test->peer, head, sizeof(head) - 1, 0), sizeof(head) - 1);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(send(test->peer, piece, sizeof(piece) - 1, 0), sizeof(piece) - 1);
    }
    hear(test);
    assert_says(test, "HTTP/1.1 413 ");
    finish(test);
}

/* ---- deadlines ---- */

static void a_slow_head_is_408(void **state)
{
    (void)state;
    static const char *const settings[] = {"HEADER_TIMEOUT_S", "2", NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    say(test, "GET /li");
    hear(test);
    fixture_wait(&test->fixture, 1900 * MS);
    hear(test);
    assert_int_equal(test->len, 0);
    fixture_wait(&test->fixture, 200 * MS);
    hear(test);
    assert_says(test, "HTTP/1.1 408 ");
    assert_true(test->ended);
    finish(test);
}

static void a_slow_body_is_408(void **state)
{
    (void)state;
    static const char *const settings[] = {"REQUEST_TIMEOUT_S", "3", NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    say(test, "POST /invocations HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n[[1");
    hear(test);
    fixture_wait(&test->fixture, 3100 * MS);
    hear(test);
    assert_says(test, "HTTP/1.1 408 ");
    finish(test);
}

static void an_idle_connection_is_closed_silently(void **state)
{
    (void)state;
    static const char *const settings[] = {"KEEPALIVE_TIMEOUT_S", "5", NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    say(test, LIVE);
    hear(test);
    size_t len = test->len;
    fixture_wait(&test->fixture, 4900 * MS);
    hear(test);
    assert_false(test->ended);
    fixture_wait(&test->fixture, 200 * MS);
    hear(test);
    assert_true(test->ended);
    assert_int_equal(test->len, len);
    finish(test);
}

/* KEEPALIVE_TIMEOUT_S=0 closes after each answer, not before the first request. */
static void without_keepalive_a_client_may_take_its_time_to_ask(void **state)
{
    (void)state;
    static const char *const settings[] = {"KEEPALIVE_TIMEOUT_S", "0", "HEADER_TIMEOUT_S", "2",
                                           NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    fixture_wait(&test->fixture, 1 * S);
    say(test, ASK);
    hear(test);
    assert_says(test, ANSWER);
    assert_says(test, "Connection: close");
    finish(test);
    test = begin(FIXTURE_ECHO, settings);
    fixture_wait(&test->fixture, 2100 * MS);
    hear(test);
    assert_true(test->ended);
    finish(test);
}

/* A metrics page for each: far more than a socket pair takes. */
static void ask_much(struct test *test)
{
    for (int i = 0; i < 40; i++) {
        say(test, "GET /metrics HTTP/1.1\r\n" HOST "\r\n");
    }
}

static void a_client_that_reads_slowly_gets_its_whole_answer(void **state)
{
    (void)state;
    static const char *const settings[] = {"KEEPALIVE_TIMEOUT_S", "1", NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    ask_much(test);
    for (int i = 0; i < 40 && !test->ended; i++) {
        fixture_wait(&test->fixture, 700 * MS);
        listen_some(test, 64 * 1024);
    }
    hear(test);
    assert_int_equal(count_of(test, "HTTP/1.1 200 OK"), 40);
    fixture_wait(&test->fixture, 1100 * MS);
    hear(test);
    assert_true(test->ended);
    finish(test);
}

static void a_client_that_never_reads_is_closed(void **state)
{
    (void)state;
    static const char *const settings[] = {"KEEPALIVE_TIMEOUT_S", "1", NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    ask_much(test);
    fixture_wait(&test->fixture, CONN_FLUSH_MAX_NS + 2 * S);
    assert_int_equal(atomic_load(&test->fixture.shared.connections), 0);
    finish(test);
}

/* ---- draining ---- */

static void start_drain(struct test *test)
{
    atomic_store(&test->fixture.shared.draining, true);
    io_thread_drain(test->fixture.io);
    fixture_turn(&test->fixture, 1);
}

static void an_idle_connection_gets_a_moment_when_draining(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    say(test, LIVE);
    hear(test);
    start_drain(test);
    fixture_wait(&test->fixture, 300 * MS);
    say(test, ASK);
    hear(test);
    assert_says(test, ANSWER);
    assert_int_equal(count_of(test, "Connection: close"), 1);
    assert_true(test->ended);
    finish(test);
}

static void an_answer_on_its_way_is_not_cut_by_draining(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    ask_much(test);
    fixture_turn(&test->fixture, 3);
    start_drain(test);
    size_t unread;
    do {
        unread = test->len;
        fixture_wait(&test->fixture, 700 * MS);
        listen_some(test, 16 * 1024);
    } while (!test->ended && test->len != unread);
    /* What was answered before is whole; the answer that says close is the last. */
    assert_int_equal(count_of(test, "Connection: close"), 1);
    assert_int_equal(count_of(test, "HTTP/1.1 200 OK"), count_of(test, "\nonnxd_build_info{"));
    assert_true(test->ended);
    finish(test);
}

/* ---- execution slots ---- */

static const char *const one_slot[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "0.25", NULL};

static void who_finds_no_slot_waits_for_one(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, one_slot);
    assert_true(admission_enter(&test->fixture.shared.admission));
    say(test, ASK);
    hear(test);
    fixture_wait(&test->fixture, 200 * MS);
    assert_int_equal(test->len, 0);
    io_thread_leave_slot(test->fixture.io);
    hear(test);
    assert_says(test, ANSWER);
    finish(test);
}

static void who_waits_too_long_is_told_so(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, one_slot);
    assert_true(admission_enter(&test->fixture.shared.admission));
    say(test, ASK LIVE);
    fixture_wait(&test->fixture, 300 * MS);
    hear(test);
    assert_says(test, "HTTP/1.1 429 ");
    assert_says(test, "{\"error\":\"too_many_requests\"}");
    assert_says(test, "Retry-After: 1\r\n");
    assert_int_equal(count_of(test, "HTTP/1.1 200 OK"), 1);
    io_thread_leave_slot(test->fixture.io);
    finish(test);
}

static void with_no_time_to_wait_it_is_429_at_once(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "0", NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&test->fixture.shared.admission));
    say(test, ASK);
    hear(test);
    assert_says(test, "HTTP/1.1 429 ");
    io_thread_leave_slot(test->fixture.io);
    finish(test);
}

static void who_leaves_while_waiting_is_forgotten(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, one_slot);
    int others[3];
    assert_true(admission_enter(&test->fixture.shared.admission));
    for (int i = 0; i < 3; i++) {
        others[i] = fixture_connect(&test->fixture);
        assert_int_equal(send(others[i], ASK, sizeof(ASK) - 1, 0), sizeof(ASK) - 1);
        fixture_turn(&test->fixture, 2);
    }
    assert_int_equal(atomic_load(&test->fixture.shared.admission.waiting), 3);
    const int order[] = {1, 2, 0}; /* out of the middle, the end and the beginning */
    for (int i = 0; i < 3; i++) {
        struct linger reset = {1, 0};
        setsockopt(others[order[i]], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(others[order[i]]);
        fixture_turn(&test->fixture, 3);
    }
    fixture_wait(&test->fixture, 300 * MS);
    assert_int_equal(atomic_load(&test->fixture.shared.admission.waiting), 0);
    io_thread_leave_slot(test->fixture.io);
    say(test, ASK);
    hear(test);
    assert_says(test, ANSWER);
    finish(test);
}

/* ---- reload ---- */

static void a_request_that_waits_during_a_reload_gets_the_new_model(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, one_slot);
    assert_true(admission_enter(&test->fixture.shared.admission));
    say(test, ASK);
    hear(test);
    fixture_write_model(&test->fixture, "input = x float32 [N, 2]\noutput = s float64 [N] sum x\n");
    fixture_deploy(&test->fixture);
    fixture_turn(&test->fixture, 2);
    io_thread_leave_slot(test->fixture.io);
    hear(test);
    assert_says(test, "\r\n\r\n[3.0]");
    finish(test);
}

static void two_deployments_in_one_turn_leave_the_second(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    fixture_deploy(&test->fixture);
    fixture_write_model(&test->fixture, "input = x float32 [N, 2]\noutput = s float64 [N] sum x\n");
    fixture_deploy(&test->fixture);
    say(test, ASK);
    hear(test);
    assert_says(test, "\r\n\r\n[3.0]");
    finish(test);
}

/* As when a load ends while the loop has ended: the model that nobody takes is freed as well. */
static void a_deployment_that_comes_too_late_is_freed(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    fixture_deploy(&test->fixture);
    finish(test);
}

/* ---- limits ---- */

static void connections_past_the_limit_are_closed(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_CONNECTIONS", "1", NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    int other = fixture_connect(&test->fixture);
    char byte;
    assert_int_equal(recv(other, &byte, 1, 0), 0);
    close(other);
    say(test, LIVE);
    hear(test);
    assert_says(test, " 200 OK");
    finish(test);
}

static void a_job_past_its_time_is_504(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "REQUEST_TIMEOUT_S", "1", "MAX_INFLIGHT", "1", "ACQUIRE_TIMEOUT_S", "10", NULL};
    struct test *test = begin(FIXTURE_ECHO, settings);
    assert_true(admission_enter(&test->fixture.shared.admission));
    say(test, ASK);
    fixture_wait(&test->fixture, 2 * S);
    io_thread_leave_slot(test->fixture.io);
    hear(test);
    assert_says(test, "HTTP/1.1 504 ");
    finish(test);
}

/* ---- faults ---- */

/* A client that asks twice, whole or compressed, and leaves: what the faults are thrown into. */
static void play(struct test *test)
{
    static const char chunked[] = "POST /invocations HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n7\r\n[[1,2]]\r\n0\r\n\r\n";
    (void)!send(test->peer, chunked, sizeof(chunked) - 1, MSG_NOSIGNAL);
    fixture_turn(&test->fixture, 3);
    (void)!send(test->peer, ASK LIVE, sizeof(ASK LIVE) - 1, MSG_NOSIGNAL);
    hear(test);
}

static void assert_clean_answers(const struct test *test)
{
    assert_quiet_about(test, "memory");
    unsigned good = count_of(test, "HTTP/1.1 200 OK") + count_of(test, "HTTP/1.1 100 Continue");
    unsigned bad = count_of(test, "HTTP/1.1 500 ");
    assert_int_equal(count_of(test, "HTTP/1.1 "), good + bad);
    assert_int_equal(count_of(test, "internal_server_error"), bad);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    uint64_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        struct test *test = begin(FIXTURE_ECHO, NULL);
        uint64_t before = mem_allocations();
        mem_fail_nth(nth);
        play(test);
        bool reached = mem_allocations() - before >= nth;
        mem_fail_nth(0);
        assert_clean_answers(test);
        finish(test);
        if (!reached) {
            break;
        }
        failures++;
    }
    assert_true(failures > 5);
}

static void any_system_call_may_fail(void **state)
{
    (void)state;
    static const int errors[] = {ECONNRESET, ENOMEM};
    for (size_t i = 0; i < 2; i++) {
        uint64_t nth = 1;
        for (bool reached = true; reached; nth++) {
            struct test *test = begin(FIXTURE_ECHO, NULL);
            sys_fail_nth(nth, errors[i]);
            play(test);
            reached = !sys_fault_pending();
            sys_fail_nth(0, 0);
            assert_clean_answers(test);
            finish(test);
        }
        assert_true(nth > 5);
    }
}

static void the_steady_state_allocates_nothing(void **state)
{
    (void)state;
    struct test *test = begin(FIXTURE_ECHO, NULL);
    for (int i = 0; i < 3; i++) {
        say(test, ASK LIVE);
        hear(test);
    }
    uint64_t before = mem_allocations();
    for (int i = 0; i < 20; i++) {
        test->len = 0;
        say(test, ASK LIVE);
        hear(test);
        assert_says(test, ANSWER);
    }
    /* Sanitizers have recyclers switched off. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    assert_int_equal(mem_allocations() - before, 0);
#else
    (void)before;
#endif
    finish(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(what_was_asked_before_a_half_close_is_answered),
        cmocka_unit_test(a_request_that_a_half_close_cuts_is_not_answered),
        cmocka_unit_test(a_reset_in_the_middle_of_anything_leaves_nothing),
        cmocka_unit_test(every_split_gives_the_same_answer),
        cmocka_unit_test(a_refused_head_closes_the_connection),
        cmocka_unit_test(head_gets_no_body),
        cmocka_unit_test(not_ready_is_503_and_the_connection_stays),
        cmocka_unit_test(a_failing_model_tells_nothing_of_itself),
        cmocka_unit_test(an_answer_that_is_too_large_is_500),
        cmocka_unit_test(a_page_is_compressed_for_who_wants_it),
        cmocka_unit_test(compressed_bytes_are_bounded_too),
        cmocka_unit_test(a_slow_head_is_408),
        cmocka_unit_test(a_slow_body_is_408),
        cmocka_unit_test(an_idle_connection_is_closed_silently),
        cmocka_unit_test(without_keepalive_a_client_may_take_its_time_to_ask),
        cmocka_unit_test(a_client_that_reads_slowly_gets_its_whole_answer),
        cmocka_unit_test(a_client_that_never_reads_is_closed),
        cmocka_unit_test(an_idle_connection_gets_a_moment_when_draining),
        cmocka_unit_test(an_answer_on_its_way_is_not_cut_by_draining),
        cmocka_unit_test(who_finds_no_slot_waits_for_one),
        cmocka_unit_test(who_waits_too_long_is_told_so),
        cmocka_unit_test(with_no_time_to_wait_it_is_429_at_once),
        cmocka_unit_test(who_leaves_while_waiting_is_forgotten),
        cmocka_unit_test(a_request_that_waits_during_a_reload_gets_the_new_model),
        cmocka_unit_test(two_deployments_in_one_turn_leave_the_second),
        cmocka_unit_test(a_deployment_that_comes_too_late_is_freed),
        cmocka_unit_test(connections_past_the_limit_are_closed),
        cmocka_unit_test(a_job_past_its_time_is_504),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(any_system_call_may_fail),
        cmocka_unit_test(the_steady_state_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
