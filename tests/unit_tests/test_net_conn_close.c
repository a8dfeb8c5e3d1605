/* Connections: deadlines, and every way they end. */
#include "unit_tests/net_probe.h"

static void a_peer_that_never_reads_is_closed_by_the_deadline(void **state)
{
    struct probe *probe = *state;
    probe->on_deadline = close_now;
    put_zeros(probe, 4 * CONN_OUTPUT_HIGH_BYTES);
    conn_set_deadline(probe->conn, VIRTUAL_START_NS + 5 * CLOCK_NS_PER_S);
    for (int turns = 0; turns < 10 && probe->conn != NULL; turns++) {
        loop_turn(probe->loop, -1);
    }
    expect_end(probe, CONN_END_TIMEOUT);
    assert_int_equal(probe->deadlines, 1);
}

static void unsent_bytes_do_not_keep_a_closing_conn_for_ever(void **state)
{
    struct probe *probe = *state;
    put_zeros(probe, 4 * CONN_OUTPUT_HIGH_BYTES);
    conn_close_after_write(probe->conn);
    for (int turns = 0; turns < 10 && probe->conn != NULL; turns++) {
        loop_turn(probe->loop, -1);
    }
    expect_end(probe, CONN_END_TIMEOUT);
    assert_int_equal(probe->deadlines, 0);
    assert_true(sys_monotonic_ns() >= VIRTUAL_START_NS + CONN_FLUSH_MAX_NS);
}

static void the_deadline_moves_without_work(void **state)
{
    struct probe *probe = *state;
    probe->on_deadline = close_now;
    conn_set_deadline(probe->conn, VIRTUAL_START_NS + 3 * CLOCK_NS_PER_S);
    conn_set_deadline(probe->conn, VIRTUAL_START_NS + 60 * CLOCK_NS_PER_S);
    conn_set_deadline(probe->conn, VIRTUAL_START_NS + 20 * CLOCK_NS_PER_S);
    sys_count_calls();
    while (probe->conn != NULL) {
        loop_turn(probe->loop, -1);
        assert_true(probe->deadlines == 0 ||
                    sys_monotonic_ns() >= VIRTUAL_START_NS + 20 * CLOCK_NS_PER_S);
    }
    expect_end(probe, CONN_END_TIMEOUT);
    assert_int_equal(sys_calls(SYS_EPOLL_WAIT), 2); /* where it was first, and where it is */
}

static void a_deadline_taken_away_does_not_come(void **state)
{
    struct probe *probe = *state;
    conn_set_deadline(probe->conn, VIRTUAL_START_NS + CLOCK_NS_PER_S);
    conn_set_deadline(probe->conn, 0);
    for (int i = 0; i < 4; i++) {
        loop_turn(probe->loop, 1000);
    }
    assert_int_equal(probe->deadlines, 0);
    conn_set_deadline(probe->conn, VIRTUAL_START_NS + 5 * CLOCK_NS_PER_S);
    for (int i = 0; i < 4; i++) {
        loop_turn(probe->loop, 1000);
    }
    assert_int_equal(probe->deadlines, 1); /* once; and the conn is open still */
    assert_int_equal(probe->ends, 0);
}

static void an_answer_to_the_deadline_is_sent(void **state)
{
    struct probe *probe = *state;
    probe->on_deadline = say_bye_and_close;
    conn_set_deadline(probe->conn, VIRTUAL_START_NS + CLOCK_NS_PER_S);
    loop_turn(probe->loop, -1);
    expect_peer_reads(probe, "bye");
    expect_peer_is_closed(probe);
    shutdown(probe->peer, SHUT_WR);
    loop_turn(probe->loop, -1);
    expect_end(probe, CONN_END_TIMEOUT);
}

static void closing_inside_on_input_is_safe(void **state)
{
    struct probe *probe = *state;
    probe->on_input = close_now;
    peer_send(probe->peer, "abc", 3);
    shutdown(probe->peer, SHUT_WR);
    loop_turn(probe->loop, -1);
    expect_end(probe, CONN_END_LOCAL);
    assert_int_equal(probe->inputs, 1);
    assert_int_equal(probe->eofs, 0);
}

static void everything_may_be_called_after_the_close(void **state)
{
    struct probe *probe = *state;
    peer_send(probe->peer, "abc", 3);
    loop_turn(probe->loop, -1);
    conn_close(probe->conn);
    say(probe, "lost");
    conn_resume(probe->conn);
    conn_set_deadline(probe->conn, 1);
    conn_close_after_write(probe->conn);
    bytes_consume(conn_input(probe->conn), 3);
    loop_turn(probe->loop, 0);
    expect_end(probe, CONN_END_LOCAL);
    expect_peer_is_closed(probe);
}

static void half_close_leaves_the_answer(void **state)
{
    struct probe *probe = *state;
    probe->on_input = consume;
    peer_send(probe->peer, "abc", 3);
    shutdown(probe->peer, SHUT_WR);
    loop_turn(probe->loop, -1);
    assert_int_equal(probe->inputs, 1);
    assert_int_equal(probe->eofs, 1);
    rest(probe, 2);
    expect_no_spinning(probe);
    say(probe, "late answer");
    conn_close_after_write(probe->conn);
    loop_turn(probe->loop, -1);
    expect_end(probe, CONN_END_EOF);
    expect_peer_reads(probe, "late answer");
    expect_peer_is_closed(probe);
}

static void writing_to_a_gone_peer_ends_it(void **state)
{
    struct probe *probe = *state;
    close(probe->peer);
    probe->peer = -1;
    say(probe, "lost");
    sys_fail_call(SYS_EPOLL_WAIT, 1, ENOMEM); /* so that the send finds out first */
    loop_turn(probe->loop, 0);
    expect_end(probe, CONN_END_ERROR);
}

static void a_reset_ends_it(void **state)
{
    struct probe *probe = *state; /* over TCP */
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(probe->peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(probe->peer);
    probe->peer = -1;
    for (int turns = 0; turns < 10 && probe->conn != NULL; turns++) {
        loop_turn(probe->loop, 1000);
    }
    expect_end(probe, CONN_END_ERROR);
    assert_int_equal(probe->eofs, 0);
}

static void answer_large_and_close(struct probe *probe)
{
    put_zeros(probe, 100 * 1000);
    conn_close_after_write(probe->conn);
}

/* The client of RFC 9112 section 9.6: it gets the whole answer though it goes on sending. */
static void a_client_that_still_sends_can_read_the_answer(void **state)
{
    struct probe *probe = *state; /* over TCP */
    probe->on_input = answer_large_and_close;
    size_t sent = 0;
    for (int turns = 0; turns < PROBE_TURNS_MAX && sent < 4 * 1024 * 1024; turns++) {
        sent += peer_fill(probe);
        loop_turn(probe->loop, 10);
    }
    assert_true(sent >= 4 * 1024 * 1024);
    assert_int_equal(probe->inputs, 1);
    rest(probe, 10);
    size_t received = 0;
    for (int turns = 0; turns < PROBE_TURNS_MAX && !probe->peer_saw_end; turns++) {
        received += peer_drain(probe);
        assert_false(probe->peer_saw_reset);
        loop_turn(probe->loop, 1);
    }
    assert_int_equal(received, 100 * 1000);
    shutdown(probe->peer, SHUT_WR);
    for (int turns = 0; turns < 100 && probe->conn != NULL; turns++) {
        loop_turn(probe->loop, 100);
    }
    expect_end(probe, CONN_END_LOCAL);
}

static void lingering_ends_after_its_bytes(void **state)
{
    struct probe *probe = *state;
    probe->on_input = say_bye_and_close;
    size_t sent = 0;
    while (probe->conn != NULL) {
        sent += peer_fill(probe);
        loop_turn(probe->loop, 0);
        assert_true(sent < CONN_LINGER_MAX_BYTES + 4 * 1024 * 1024);
    }
    expect_end(probe, CONN_END_LOCAL);
    assert_true(sent >= CONN_LINGER_MAX_BYTES);
    assert_int_equal(probe->inputs, 1);
}

static void lingering_ends_after_its_time(void **state)
{
    struct probe *probe = *state;
    conn_set_deadline(probe->conn, VIRTUAL_START_NS + 600 * CLOCK_NS_PER_S);
    say_bye_and_close(probe);
    loop_turn(probe->loop, 0);
    expect_peer_reads(probe, "bye");
    expect_peer_is_closed(probe); /* its reading half */
    conn_set_deadline(probe->conn, 0);
    for (int turns = 0; turns < 10 && probe->conn != NULL; turns++) {
        loop_turn(probe->loop, -1);
    }
    expect_end(probe, CONN_END_LOCAL);
    uint64_t took_ns = sys_monotonic_ns() - VIRTUAL_START_NS;
    assert_true(took_ns >= CONN_LINGER_MAX_NS);
    assert_true(took_ns < CONN_LINGER_MAX_NS + 2 * CLOCK_NS_PER_MS);
}

static void closing_without_output_lingers_too(void **state)
{
    struct probe *probe = *state;
    conn_close_after_write(probe->conn);
    loop_turn(probe->loop, 0);
    expect_peer_is_closed(probe);
    assert_int_equal(probe->ends, 0);
    say(probe, "too late");
    shutdown(probe->peer, SHUT_WR);
    loop_turn(probe->loop, -1);
    expect_end(probe, CONN_END_LOCAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROBE_TEST(a_peer_that_never_reads_is_closed_by_the_deadline),
        PROBE_TEST(unsent_bytes_do_not_keep_a_closing_conn_for_ever),
        PROBE_TEST(the_deadline_moves_without_work),
        PROBE_TEST(a_deadline_taken_away_does_not_come),
        PROBE_TEST(an_answer_to_the_deadline_is_sent),
        PROBE_TEST(closing_inside_on_input_is_safe),
        PROBE_TEST(everything_may_be_called_after_the_close),
        PROBE_TEST(half_close_leaves_the_answer),
        PROBE_TEST(writing_to_a_gone_peer_ends_it),
        PROBE_TCP_TEST(a_reset_ends_it),
        PROBE_TCP_TEST(a_client_that_still_sends_can_read_the_answer),
        PROBE_TEST(lingering_ends_after_its_bytes),
        PROBE_TEST(lingering_ends_after_its_time),
        PROBE_TEST(closing_without_output_lingers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
