/*
 * A conn under test: its far end, and a layer above it that records what it sees and does what the
 * test tells it. Over a socket pair time is virtual, so that deadlines pass without waiting.
 */
#ifndef NET_PROBE_H
#define NET_PROBE_H

#include "base/clock.h"
#include "base/mem.h"
#include "net/chunks.h"
#include "net/conn.h"
#include "unit_tests/net_testing.h"

#define PROBE_TURNS_MAX 200000

#define PROBE_TEST(name) cmocka_unit_test_setup_teardown(name, probe_set_up, probe_tear_down)
/* Over TCP on the loopback interface, in real time. */
#define PROBE_TCP_TEST(name)                                                                       \
    cmocka_unit_test_setup_teardown(name, probe_set_up_tcp, probe_tear_down)

/* One conn, its far end, and what the layer above has seen. */
struct probe {
    struct loop *loop;
    struct conn *conn; /* NULL after on_end */
    int peer;
    int inputs;
    int eofs;
    int deadlines;
    int rooms;
    int ends;
    size_t input_len; /* at the last on_input */
    enum conn_end end;
    bool peer_saw_end;   /* of the stream, in peer_drain */
    bool peer_saw_reset; /* likewise */
    void (*on_input)(struct probe *probe);
    void (*on_eof)(struct probe *probe);
    void (*on_deadline)(struct probe *probe);
    void (*on_room)(struct probe *probe);
};

static inline void input_event(struct conn *conn)
{
    struct probe *probe = conn_user(conn);
    assert_ptr_equal(probe->conn, conn);
    assert_int_equal(probe->ends, 0);
    probe->inputs++;
    probe->input_len = bytes_len(conn_input(conn));
    assert_true(probe->input_len > 0);
    if (probe->on_input != NULL) {
        probe->on_input(probe);
    }
}

static inline void eof_event(struct conn *conn)
{
    struct probe *probe = conn_user(conn);
    assert_int_equal(probe->ends, 0);
    probe->eofs++;
    if (probe->on_eof != NULL) {
        probe->on_eof(probe);
    }
}

static inline void room_event(struct conn *conn)
{
    struct probe *probe = conn_user(conn);
    assert_int_equal(probe->ends, 0);
    assert_true(conn_unsent_bytes(conn) < CONN_OUTPUT_HIGH_BYTES);
    probe->rooms++;
    if (probe->on_room != NULL) {
        probe->on_room(probe);
    }
}

static inline void deadline_event(struct conn *conn)
{
    struct probe *probe = conn_user(conn);
    assert_int_equal(probe->ends, 0);
    probe->deadlines++;
    if (probe->on_deadline != NULL) {
        probe->on_deadline(probe);
    }
}

static inline void end_event(struct conn *conn, enum conn_end end)
{
    struct probe *probe = conn_user(conn);
    probe->ends++;
    probe->end = end;
    probe->conn = NULL;
}

static const struct conn_events probe_events = {
    .on_input = input_event,
    .on_eof = eof_event,
    .on_deadline = deadline_event,
    .on_room = room_event,
    .on_end = end_event,
};

static inline struct probe make_probe(struct loop *loop, int fds[2])
{
    return (struct probe){.loop = loop, .peer = fds[1]};
}

static inline void open_probe(struct probe *probe, int fd)
{
    assert_int_equal(conn_new(probe->loop, fd, &probe_events, probe, &probe->conn, NULL), ERR_OK);
    loop_turn(probe->loop, 0); /* a new socket tells at once that it can be written to */
}

static inline int probe_set_up(void **state)
{
    static struct probe probe;
    int fds[2];
    make_socketpair(fds);
    sys_virtual_clock(VIRTUAL_START_NS);
    probe = make_probe(new_loop(), fds);
    open_probe(&probe, fds[0]);
    *state = &probe;
    return 0;
}

static inline int probe_set_up_tcp(void **state)
{
    static struct probe probe;
    int fds[2];
    make_tcp_pair(fds);
    probe = make_probe(new_loop(), fds);
    open_probe(&probe, fds[0]);
    *state = &probe;
    return 0;
}

static inline int probe_tear_down(void **state)
{
    struct probe *probe = *state;
    if (probe->conn != NULL) {
        conn_close(probe->conn);
        loop_turn(probe->loop, 0);
    }
    loop_free(probe->loop);
    close(probe->peer);
    sys_reset();
    mem_fail_nth(0);
    return 0;
}

static inline void echo(struct probe *probe)
{
    struct bytes *input = conn_input(probe->conn);
    if (bytes_put(conn_output(probe->conn), bytes_slice(input)) != ERR_OK) {
        conn_close(probe->conn);
        return;
    }
    bytes_consume(input, bytes_len(input));
    conn_wants_write(probe->conn);
}

static inline void consume(struct probe *probe)
{
    bytes_consume(conn_input(probe->conn), bytes_len(conn_input(probe->conn)));
}

static inline void close_now(struct probe *probe)
{
    conn_close(probe->conn);
    conn_close(probe->conn);
}

static inline void close_softly(struct probe *probe)
{
    conn_close_after_write(probe->conn);
}

static inline void say(struct probe *probe, const char *text)
{
    assert_int_equal(bytes_put(conn_output(probe->conn), slice_from_str(text)), ERR_OK);
    conn_wants_write(probe->conn);
}

static inline void say_bye_and_close(struct probe *probe)
{
    consume(probe);
    say(probe, "bye");
    conn_close_after_write(probe->conn);
}

static inline void put_zeros(struct probe *probe, size_t size)
{
    char *at = bytes_reserve(conn_output(probe->conn), size);
    assert_non_null(at);
    memset(at, 0, size);
    bytes_commit(conn_output(probe->conn), size);
    conn_wants_write(probe->conn);
}

static inline void expect_peer_reads(struct probe *probe, const char *text)
{
    char got[256];
    ssize_t count = recv(probe->peer, got, sizeof(got), 0);
    assert_int_equal(count, (ssize_t)strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

static inline void expect_peer_is_closed(struct probe *probe)
{
    char byte;
    assert_int_equal(recv(probe->peer, &byte, 1, 0), 0);
}

static inline void expect_peer_waits(struct probe *probe)
{
    char byte;
    assert_int_equal(recv(probe->peer, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static inline void expect_end(struct probe *probe, enum conn_end end)
{
    assert_int_equal(probe->ends, 1);
    assert_int_equal(probe->end, end);
}

/* Reads all that the far end can read now. */
static inline size_t peer_drain(struct probe *probe)
{
    static char scratch[64 * 1024];
    size_t sum = 0;
    ssize_t count;
    while ((count = recv(probe->peer, scratch, sizeof(scratch), 0)) > 0) {
        sum += (size_t)count;
    }
    probe->peer_saw_end = count == 0;
    probe->peer_saw_reset = count < 0 && errno == ECONNRESET;
    return sum;
}

/* The far end sends as much as goes; returns how much. */
static inline size_t peer_fill(struct probe *probe)
{
    static const char block[16 * 1024];
    size_t sum = 0;
    ssize_t count;
    while ((count = send(probe->peer, block, sizeof(block), MSG_NOSIGNAL)) > 0) {
        sum += (size_t)count;
    }
    return sum;
}

static inline void rest(struct probe *probe, int turns)
{
    for (int i = 0; i < turns; i++) {
        loop_turn(probe->loop, 0);
    }
}

/* What has come by now, such as room in the socket because the far end has read, comes once. */
static inline void expect_no_spinning(struct probe *probe)
{
    rest(probe, 1);
    uint64_t before_ns = sys_monotonic_ns();
    loop_turn(probe->loop, 1000);
    assert_int_equal(sys_monotonic_ns(), before_ns + CLOCK_NS_PER_S);
}

#endif
