/* Sessions: order, half close, refusals, and faults thrown into the middle. */
#include "unit_tests/session_fixture.h"

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
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(any_system_call_may_fail),
        cmocka_unit_test(the_steady_state_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
