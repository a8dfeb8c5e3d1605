/* Sessions: deadlines, draining, execution slots, reloads and limits. */
#include "unit_tests/session_fixture.h"

#include "net/conn.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
