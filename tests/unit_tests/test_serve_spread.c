/* Connections go to the thread that has the fewest. Three threads, whose loops are turned by hand. */
#define FIXTURE_THREADS 3
#include "unit_tests/serve_fixture.h"

#include "serve/spread.h"
#include "unit_tests/testing.h"

#define PEERS 12

struct test {
    struct fixture fixture;
    int peers[PEERS];
    int count;
};

static struct test *begin(void)
{
    static struct test test;
    test.count = 0;
    fixture_init(&test.fixture, FIXTURE_ECHO, NULL);
    return &test;
}

static struct io_thread *thread_of(struct test *test, int i)
{
    return &test->fixture.shared.threads[i];
}

static void turn_all(struct test *test)
{
    for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i < FIXTURE_THREADS; i++) {
            loop_turn(thread_of(test, i)->loop, 0);
        }
    }
}

static void end(struct test *test)
{
    for (int i = 0; i < test->count; i++) {
        close(test->peers[i]);
    }
    turn_all(test);
    fixture_done(&test->fixture);
}

static void accept_on(struct test *test, int thread)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    test->peers[test->count++] = fds[1];
    spread_accept(thread_of(test, thread), fds[0], SESSION_PORT_ANY);
}

static void assert_open(struct test *test, unsigned first, unsigned second, unsigned third)
{
    assert_int_equal(atomic_load(&thread_of(test, 0)->open), first);
    assert_int_equal(atomic_load(&thread_of(test, 1)->open), second);
    assert_int_equal(atomic_load(&thread_of(test, 2)->open), third);
}

static void a_burst_on_one_loop_is_spread_evenly(void **state)
{
    (void)state;
    struct test *test = begin();
    for (int i = 0; i < PEERS; i++) {
        accept_on(test, 0);
    }
    turn_all(test);
    assert_open(test, 4, 4, 4);
    end(test);
}

static void who_has_the_fewest_keeps_what_it_accepts(void **state)
{
    (void)state;
    struct test *test = begin();
    accept_on(test, 2);
    assert_open(test, 0, 0, 1); /* at once */
    accept_on(test, 1);
    accept_on(test, 0);
    assert_open(test, 1, 1, 1);
    close(test->peers[1]);
    turn_all(test);
    assert_open(test, 1, 0, 1);
    accept_on(test, 0);
    turn_all(test);
    assert_open(test, 1, 1, 1);
    end(test);
}

static void a_connection_that_was_handed_over_is_answered(void **state)
{
    (void)state;
    struct test *test = begin();
    char text[512];
    accept_on(test, 0);
    accept_on(test, 0);
    const char *request = "GET /live HTTP/1.1\r\nHost: t\r\n\r\n";
    assert_true(send(test->peers[1], request, strlen(request), MSG_NOSIGNAL) > 0);
    turn_all(test);
    assert_true(recv(test->peers[1], text, sizeof(text), 0) > 0);
    assert_memory_equal(text, "HTTP/1.1 200 OK", 15);
    assert_open(test, 1, 1, 0);
    end(test);
}

static void nothing_is_handed_over_while_stopping(void **state)
{
    (void)state;
    struct test *test = begin();
    accept_on(test, 0);
    atomic_store(&test->fixture.shared.draining, true);
    accept_on(test, 0);
    assert_open(test, 2, 0, 0);
    assert_int_equal(atomic_load(&thread_of(test, 1)->arriving), 0);
    atomic_store(&test->fixture.shared.draining, false);
    end(test);
}

static void a_loop_waits_for_what_is_on_its_way(void **state)
{
    (void)state;
    struct test *test = begin();
    accept_on(test, 0);
    accept_on(test, 0);
    assert_int_equal(atomic_load(&thread_of(test, 1)->arriving), 1);
    atomic_store(&test->fixture.shared.draining, true);
    io_thread_on_session_end(thread_of(test, 1)); /* would stop the loop if nothing came */
    turn_all(test);
    assert_open(test, 1, 1, 0);
    end(test);
}

/* What it stayed for did not come after all: who kept it says so, or the loop would run for ever. */
static void a_loop_that_stayed_for_nothing_ends(void **state)
{
    (void)state;
    struct test *test = begin();
    struct io_thread *io = thread_of(test, 1);
    atomic_fetch_add(&io->arriving, 1);
    atomic_store(&test->fixture.shared.draining, true);
    io_thread_on_session_end(io);
    atomic_fetch_sub(&io->arriving, 1);
    io_thread_wake(io);
    loop_run(io->loop);
    end(test);
}

static void without_memory_it_stays(void **state)
{
    (void)state;
    struct test *test = begin();
    accept_on(test, 0);
    mem_fail_nth(1);
    accept_on(test, 0);
    mem_fail_nth(0);
    turn_all(test);
    assert_open(test, 2, 0, 0);
    end(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_on_one_loop_is_spread_evenly),
        cmocka_unit_test(who_has_the_fewest_keeps_what_it_accepts),
        cmocka_unit_test(a_connection_that_was_handed_over_is_answered),
        cmocka_unit_test(nothing_is_handed_over_while_stopping),
        cmocka_unit_test(a_loop_waits_for_what_is_on_its_way),
        cmocka_unit_test(a_loop_that_stayed_for_nothing_ends),
        cmocka_unit_test(without_memory_it_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
