/* Connections: reading, writing, pausing, and what they cost. */
#include "unit_tests/net_probe.h"

static void hands_up_and_sends(void **state)
{
    struct probe *probe = *state;
    probe->on_input = echo;
    peer_send(probe->peer, "hello", 5);
    loop_turn(probe->loop, -1);
    expect_peer_reads(probe, "hello");
    assert_int_equal(probe->inputs, 1);
}

static void a_turn_is_one_send(void **state)
{
    struct probe *probe = *state;
    say(probe, "a");
    say(probe, "b");
    sys_count_calls();
    loop_turn(probe->loop, -1);
    assert_int_equal(sys_calls(SYS_SEND), 1);
    expect_peer_reads(probe, "ab");
}

/* Text in storage that the conn may take over. */
static void hand_over(struct probe *probe, const char *text)
{
    struct bytes storage;
    bytes_init(&storage, 1024);
    assert_int_equal(bytes_put(&storage, slice_from_str(text)), ERR_OK);
    assert_int_equal(conn_take_output(probe->conn, &storage), ERR_OK);
    assert_null(storage.ptr);
}

static void storage_taken_over_goes_out_in_its_place(void **state)
{
    struct probe *probe = *state;
    say(probe, "head ");
    hand_over(probe, "body ");
    say(probe, "next ");
    hand_over(probe, "body again ");
    say(probe, "end");
    assert_int_equal(conn_unsent_bytes(probe->conn), 29);
    sys_count_calls();
    loop_turn(probe->loop, -1);
    assert_int_equal(sys_calls(SYS_SEND), 1);
    expect_peer_reads(probe, "head body next body again end");
    hand_over(probe, "alone");
    loop_turn(probe->loop, -1);
    expect_peer_reads(probe, "alone");
    assert_int_equal(conn_unsent_bytes(probe->conn), 0);
    hand_over(probe, "lost with the conn");
}

static void storage_taken_over_goes_out_byte_by_byte(void **state)
{
    struct probe *probe = *state;
    static const char whole[] = "head body tail";
    sys_limit_io(1);
    say(probe, "head ");
    hand_over(probe, "body ");
    loop_turn(probe->loop, -1);
    say(probe, "tail");
    char got[sizeof(whole)] = "";
    for (size_t len = 0; len < sizeof(whole) - 1;) {
        loop_turn(probe->loop, 0);
        ssize_t count = recv(probe->peer, got + len, sizeof(got) - 1 - len, 0);
        len += count > 0 ? (size_t)count : 0;
    }
    assert_string_equal(got, whole);
}

static void unconsumed_bytes_stay_for_the_next_input(void **state)
{
    struct probe *probe = *state;
    peer_send(probe->peer, "ab", 2);
    loop_turn(probe->loop, -1);
    peer_send(probe->peer, "c", 1);
    loop_turn(probe->loop, -1);
    assert_int_equal(probe->inputs, 2);
    assert_int_equal(probe->input_len, 3);
    assert_true(slice_eq(bytes_slice(conn_input(probe->conn)), SLICE("abc")));
    shutdown(probe->peer, SHUT_WR);
    loop_turn(probe->loop, -1);
    assert_int_equal(probe->eofs, 1);
    assert_int_equal(probe->inputs, 2); /* no more came */
}

static void the_steady_state_is_one_read_one_send_and_no_allocation(void **state)
{
    struct probe *probe = *state;
    probe->on_input = echo;
    uint64_t allocations = 0;
    for (int round = 0; round < 110; round++) {
        if (round == 10) {
            sys_count_calls();
            allocations = mem_allocations();
        }
        conn_set_deadline(probe->conn, loop_now_ns(probe->loop) + 60 * CLOCK_NS_PER_S);
        peer_send(probe->peer, "ping", 4);
        loop_turn(probe->loop, -1);
        expect_peer_reads(probe, "ping");
    }
    assert_int_equal(sys_calls(SYS_READ), 100);
    assert_int_equal(sys_calls(SYS_SEND), 100);
    assert_int_equal(sys_calls(SYS_EPOLL_SET), 0);
    assert_int_equal(sys_calls(SYS_EPOLL_WAIT), 100);
#if POOLS_RECYCLE
    assert_int_equal(mem_allocations(), allocations);
#else
    assert_true(mem_allocations() > allocations);
#endif
}

static void large_answers_do_not_allocate_for_ever(void **state)
{
    struct probe *probe = *state;
    uint64_t allocations = 0;
    for (int round = 0; round < 10; round++) {
        put_zeros(probe, 100 * 1000);
        do {
            loop_turn(probe->loop, -1);
        } while (peer_drain(probe) == 0 || bytes_len(conn_output(probe->conn)) > 0);
        loop_turn(probe->loop, 0);
        allocations = round == 2 ? mem_allocations() : allocations;
    }
#if POOLS_RECYCLE
    assert_int_equal(mem_allocations(), allocations);
#endif
}

/* As long as there is more to send: whenever less than the mark waits. */
static void fill_to_the_mark(struct probe *probe)
{
    size_t unsent = conn_unsent_bytes(probe->conn);
    if (probe->rooms < 100 && unsent < CONN_OUTPUT_HIGH_BYTES) {
        put_zeros(probe, CONN_OUTPUT_HIGH_BYTES - unsent);
    }
}

static void room_is_told_of_as_sending_makes_it(void **state)
{
    struct probe *probe = *state;
    probe->on_room = fill_to_the_mark;
    put_zeros(probe, 1000);
    loop_turn(probe->loop, -1);
    assert_int_equal(probe->rooms, 0); /* it was never short of it */
    peer_drain(probe);
    put_zeros(probe, CONN_OUTPUT_HIGH_BYTES);
    size_t taken = 0;
    for (int turns = 0; probe->rooms < 100 || conn_unsent_bytes(probe->conn) > 0; turns++) {
        assert_true(turns < PROBE_TURNS_MAX);
        loop_turn(probe->loop, 0);
        assert_true(conn_unsent_bytes(probe->conn) <= CONN_OUTPUT_HIGH_BYTES);
        taken += peer_drain(probe);
    }
    assert_int_equal(probe->rooms, 100);
    assert_true(taken + peer_drain(probe) >= CONN_OUTPUT_HIGH_BYTES);
}

static void who_is_closing_is_not_told_of_room(void **state)
{
    struct probe *probe = *state;
    put_zeros(probe, 2 * CONN_OUTPUT_HIGH_BYTES);
    conn_close_after_write(probe->conn);
    while (probe->conn != NULL) {
        loop_turn(probe->loop, 0);
        peer_drain(probe);
        shutdown(probe->peer, SHUT_WR);
    }
    assert_int_equal(probe->rooms, 0);
}

static void an_idle_conn_has_no_buffers(void **state)
{
    struct probe *probe = *state;
    probe->on_input = echo;
    peer_send(probe->peer, "ping", 4);
    loop_turn(probe->loop, -1);
    assert_null(conn_input(probe->conn)->ptr);
    size_t kept_bytes = loop_chunks(probe->loop)->kept_bytes;
    assert_int_equal(kept_bytes, POOLS_RECYCLE ? 2 * CHUNKS_LEAST_BYTES : 0);
    (void)conn_output(probe->conn); /* asked for and not used */
    loop_turn(probe->loop, 0);
    assert_int_equal(loop_chunks(probe->loop)->kept_bytes, kept_bytes);
}

static void input_consumed_later_gives_its_buffer_back(void **state)
{
    struct probe *probe = *state;
    peer_send(probe->peer, "ping", 4);
    loop_turn(probe->loop, -1);
    assert_non_null(conn_input(probe->conn)->ptr);
    bytes_consume(conn_input(probe->conn), 4);
    loop_turn(probe->loop, 0);
    assert_null(conn_input(probe->conn)->ptr);
}

/* Echoes a payload in moves of at most `limit` bytes; the peer sends, half closes and compares. */
static void echo_in_small_moves(struct probe *probe, size_t limit)
{
    enum { SIZE = 3000 };
    static char payload[SIZE], got[SIZE + 1];
    for (size_t i = 0; i < SIZE; i++) {
        payload[i] = (char)(i * 7 + i / 256);
    }
    probe->on_input = echo;
    probe->on_eof = close_softly;
    sys_limit_io(limit);
    size_t sent = 0, received = 0;
    for (int turns = 0; probe->conn != NULL && turns < PROBE_TURNS_MAX; turns++) {
        if (sent < SIZE) {
            size_t size = SIZE - sent < 100 ? SIZE - sent : 100;
            peer_send(probe->peer, payload + sent, size);
            sent += size;
            if (sent == SIZE) {
                shutdown(probe->peer, SHUT_WR);
            }
        }
        loop_turn(probe->loop, -1);
        ssize_t count = recv(probe->peer, got + received, sizeof(got) - received, 0);
        received += count > 0 ? (size_t)count : 0;
    }
    expect_end(probe, CONN_END_EOF);
    assert_int_equal(probe->eofs, 1);
    assert_int_equal(received, SIZE);
    assert_memory_equal(got, payload, SIZE);
}

static void echoes_byte_by_byte(void **state)
{
    echo_in_small_moves(*state, 1);
}

static void echoes_in_odd_pieces(void **state)
{
    echo_in_small_moves(*state, 7);
}

static void consume_but_the_first(struct probe *probe)
{
    if (probe->inputs > 1) {
        consume(probe);
    }
}

static void consume_one(struct probe *probe)
{
    bytes_consume(conn_input(probe->conn), 1);
}

static void what_was_left_is_handed_up_on_demand(void **state)
{
    struct probe *probe = *state;
    probe->on_input = consume_one;
    peer_send(probe->peer, "abc", 3);
    loop_turn(probe->loop, -1);
    for (int inputs = 2; inputs <= 3; inputs++) {
        rest(probe, 2);
        assert_int_equal(probe->inputs, inputs - 1);
        conn_resume(probe->conn);
        loop_turn(probe->loop, -1);
        assert_int_equal(probe->inputs, inputs);
    }
    assert_int_equal(probe->input_len, 1);
    assert_null(conn_input(probe->conn)->ptr);
    conn_resume(probe->conn); /* nothing is pending */
    loop_turn(probe->loop, 0);
    assert_int_equal(probe->inputs, 3);
}

static void leave_when_output_is_high(struct probe *probe)
{
    if (probe->inputs == 1) {
        put_zeros(probe, CONN_OUTPUT_HIGH_BYTES);
    } else {
        consume(probe);
    }
}

static void what_was_left_is_handed_up_when_the_output_drains(void **state)
{
    struct probe *probe = *state;
    probe->on_input = leave_when_output_is_high;
    peer_send(probe->peer, "abc", 3);
    for (size_t drained = 0; drained < CONN_OUTPUT_HIGH_BYTES;) {
        loop_turn(probe->loop, 0);
        drained += peer_drain(probe);
    }
    loop_turn(probe->loop, 0);
    assert_int_equal(probe->inputs, 2);
    assert_int_equal(probe->input_len, 3);
}

static void resuming_waits_for_the_output_to_drain(void **state)
{
    struct probe *probe = *state;
    probe->on_input = consume_but_the_first;
    peer_send(probe->peer, "abc", 3);
    loop_turn(probe->loop, -1);
    put_zeros(probe, 2 * CONN_OUTPUT_HIGH_BYTES);
    loop_turn(probe->loop, 0);
    conn_resume(probe->conn);
    rest(probe, 3);
    assert_int_equal(probe->inputs, 1);
    for (size_t drained = 0; drained < 2 * CONN_OUTPUT_HIGH_BYTES;) {
        drained += peer_drain(probe);
        loop_turn(probe->loop, 0);
    }
    assert_int_equal(probe->inputs, 2);
    assert_int_equal(probe->input_len, 3);
}

static void a_blocked_write_waits_to_be_told(void **state)
{
    struct probe *probe = *state;
    put_zeros(probe, 4 * CONN_OUTPUT_HIGH_BYTES);
    sys_count_calls();
    for (int turn = 0; turn < 4; turn++) {
        loop_turn(probe->loop, 0);
        conn_wants_write(probe->conn);
    }
    assert_int_equal(sys_calls(SYS_SEND), 2); /* what fits, and the refusal */
    for (size_t drained = 0; drained < 4 * CONN_OUTPUT_HIGH_BYTES;) {
        loop_turn(probe->loop, 0);
        drained += peer_drain(probe);
    }
    assert_true(sys_calls(SYS_SEND) > 2);
    assert_int_equal(sys_calls(SYS_EPOLL_SET), 0);
}

static void input_is_bounded_and_goes_on_when_consumed(void **state)
{
    struct probe *probe = *state;
    size_t sent = peer_fill(probe);
    assert_true(sent > CONN_INPUT_MAX_BYTES);
    rest(probe, 20);
    sent += peer_fill(probe);
    rest(probe, 20);
    assert_int_equal(bytes_len(conn_input(probe->conn)), CONN_INPUT_MAX_BYTES);
    loop_turn(probe->loop, 0);
    expect_no_spinning(probe);
    size_t received = CONN_INPUT_MAX_BYTES;
    bytes_consume(conn_input(probe->conn), CONN_INPUT_MAX_BYTES);
    for (int turns = 0; turns < 1000 && received < sent; turns++) {
        loop_turn(probe->loop, -1);
        received += bytes_len(conn_input(probe->conn));
        bytes_consume(conn_input(probe->conn), bytes_len(conn_input(probe->conn)));
    }
    assert_int_equal(received, sent);
}

static void a_peer_that_never_reads_stops_the_reading(void **state)
{
    struct probe *probe = *state;
    probe->on_input = consume;
    put_zeros(probe, 4 * CONN_OUTPUT_HIGH_BYTES);
    rest(probe, 3);
    assert_true(bytes_len(conn_output(probe->conn)) >= CONN_OUTPUT_HIGH_BYTES);
    peer_send(probe->peer, "a", 1);
    rest(probe, 3);
    assert_int_equal(probe->inputs, 0);
    expect_no_spinning(probe);
    assert_null(bytes_reserve(conn_output(probe->conn), CONN_OUTPUT_MAX_BYTES));
    size_t received = 0;
    for (int turns = 0; turns < 1000 && received < 4 * CONN_OUTPUT_HIGH_BYTES; turns++) {
        received += peer_drain(probe);
        loop_turn(probe->loop, 0);
    }
    assert_int_equal(received, 4 * CONN_OUTPUT_HIGH_BYTES);
    rest(probe, 3);
    assert_int_equal(probe->inputs, 1);
    expect_no_spinning(probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROBE_TEST(hands_up_and_sends),
        PROBE_TEST(a_turn_is_one_send),
        PROBE_TEST(storage_taken_over_goes_out_in_its_place),
        PROBE_TEST(storage_taken_over_goes_out_byte_by_byte),
        PROBE_TEST(unconsumed_bytes_stay_for_the_next_input),
        PROBE_TEST(the_steady_state_is_one_read_one_send_and_no_allocation),
        PROBE_TEST(large_answers_do_not_allocate_for_ever),
        PROBE_TEST(room_is_told_of_as_sending_makes_it),
        PROBE_TEST(who_is_closing_is_not_told_of_room),
        PROBE_TEST(an_idle_conn_has_no_buffers),
        PROBE_TEST(input_consumed_later_gives_its_buffer_back),
        PROBE_TEST(echoes_byte_by_byte),
        PROBE_TEST(echoes_in_odd_pieces),
        PROBE_TEST(what_was_left_is_handed_up_on_demand),
        PROBE_TEST(what_was_left_is_handed_up_when_the_output_drains),
        PROBE_TEST(resuming_waits_for_the_output_to_drain),
        PROBE_TEST(a_blocked_write_waits_to_be_told),
        PROBE_TEST(input_is_bounded_and_goes_on_when_consumed),
        PROBE_TEST(a_peer_that_never_reads_stops_the_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
