/* Connections: every system call and every allocation fails once. */
#include "unit_tests/net_probe.h"

/* A signal. (EAGAIN is the kernel's word that it will tell when there is more: it is believed.) */
static void interrupted_calls_lose_nothing(void **state)
{
    struct probe *probe = *state;
    probe->on_input = echo;
    sys_fail_call(SYS_READ, 1, EINTR);
    peer_send(probe->peer, "a", 1);
    rest(probe, 3);
    expect_peer_reads(probe, "a");
    sys_fail_call(SYS_SEND, 1, EINTR);
    peer_send(probe->peer, "b", 1);
    rest(probe, 3);
    expect_peer_reads(probe, "b");
    assert_false(sys_fault_pending());
    expect_no_spinning(probe);
    expect_peer_waits(probe);
}

static void failing_to_make_one_leaves_the_socket(void **state)
{
    struct probe *probe = *state;
    int fds[2];
    make_socketpair(fds);
    struct conn *conn = NULL;
    struct error error;
    /* So that the second allocation, for the timer, is needed: 16 timers are the first capacity. */
    struct loop_timer timers[15] = {0};
    for (int i = 0; i < 15; i++) {
        assert_int_equal(loop_timer_set(probe->loop, &timers[i], UINT64_MAX), ERR_OK);
    }
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_int_equal(conn_new(probe->loop, fds[0], &probe_events, probe, &conn, &error),
                         ERR_NO_MEMORY);
    }
    mem_fail_nth(0);
    sys_fail_nth(1, ENOSPC);
    assert_int_equal(conn_new(probe->loop, fds[0], &probe_events, probe, &conn, &error),
                     ERR_INTERNAL);
    assert_string_equal(error.text, "epoll_ctl: No space left on device");
    assert_null(conn);
    peer_send(fds[0], "x", 1); /* open still */
    for (int i = 0; i < 15; i++) {
        loop_timer_cancel(probe->loop, &timers[i]);
    }
    close(fds[0]);
    close(fds[1]);
}

/*
 * A whole life with much in it: reading in pieces, answering more than the socket takes, a half
 * close, lingering. Returns whether the answer came whole. Whatever fails, the conn must end, once,
 * and everything must be given back.
 */
static bool live_a_life(void)
{
    enum { ANSWER = 600 * 1000 };
    int fds[2];
    bool whole = false;
    size_t received = 0;
    struct loop *loop = NULL;
    make_socketpair(fds);
    if (loop_new(&loop, NULL) != ERR_OK) {
        close(fds[0]);
        goto out;
    }
    struct probe probe = make_probe(loop, fds);
    if (conn_new(loop, fds[0], &probe_events, &probe, &probe.conn, NULL) != ERR_OK) {
        close(fds[0]);
        goto out;
    }
    conn_set_deadline(probe.conn, sys_monotonic_ns() + 10 * CLOCK_NS_PER_S);
    probe.on_deadline = close_now;
    probe.on_input = echo;
    probe.on_eof = close_softly;
    peer_send(probe.peer, "ping", 4);
    for (int turns = 0; turns < 50 && probe.conn != NULL; turns++) {
        if (turns == 3) {
            char *at = bytes_reserve(conn_output(probe.conn), ANSWER);
            if (at == NULL) {
                conn_close(probe.conn);
                continue;
            }
            memset(at, 0, ANSWER);
            bytes_commit(conn_output(probe.conn), ANSWER);
            peer_send(probe.peer, "pong", 4);
        } else if (turns == 6) {
            conn_resume(probe.conn);
        } else if (turns > 6) {
            received += peer_drain(&probe);
            if (turns == 12) {
                shutdown(probe.peer, SHUT_WR);
            }
        }
        loop_turn(loop, turns < 20 ? 0 : -1);
    }
    assert_null(probe.conn);
    assert_int_equal(probe.ends, 1);
    received += peer_drain(&probe);
    whole = received == ANSWER + 8;
    assert_true(received <= ANSWER + 8);
out:
    loop_free(loop);
    close(fds[1]);
    return whole;
}

static void every_failing_system_call_ends_cleanly(void **state)
{
    (void)state;
    static const int errors[] = {EAGAIN, EINTR, ECONNRESET, EPIPE, ENOMEM, EIO};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        size_t before = count_descriptors();
        uint64_t nth = 0;
        bool reached = true;
        while (reached) {
            sys_virtual_clock(VIRTUAL_START_NS);
            sys_fail_nth(++nth, errors[i]);
            bool whole = live_a_life();
            reached = !sys_fault_pending();
            sys_reset();
            assert_true(reached || whole);
            assert_int_equal(count_descriptors(), before);
        }
        assert_true(nth > 20); /* it did go through the life */
    }
}

static void every_failing_allocation_ends_cleanly(void **state)
{
    (void)state;
    size_t before = count_descriptors();
    uint64_t nth = 0;
    bool reached = true;
    while (reached) {
        uint64_t allocations = mem_allocations();
        sys_virtual_clock(VIRTUAL_START_NS);
        mem_fail_nth(++nth);
        bool whole = live_a_life();
        reached = mem_allocations() - allocations >= nth;
        mem_fail_nth(0);
        sys_reset();
        assert_true(reached || whole);
        assert_int_equal(count_descriptors(), before);
    }
    assert_true(nth > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROBE_TEST(interrupted_calls_lose_nothing),
        PROBE_TEST(failing_to_make_one_leaves_the_socket),
        cmocka_unit_test(every_failing_system_call_ends_cleanly),
        cmocka_unit_test(every_failing_allocation_ends_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
