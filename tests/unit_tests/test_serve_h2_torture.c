/*
 * Faults in the middle of HTTP/2 and gRPC: any allocation, any system call. Nothing is left behind, and
 * no client hears of it but by a clean error or the end. And what the steady state costs.
 */
#include "unit_tests/h2_peer.h"

#define PREDICT "/onnxserving.grpc.InferenceService/Predict"
#define WATCH "/grpc.health.v1.Health/Watch"
#define REFLECT "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define ANSWER "[[1.0,2.0]]"
#define MESSAGE SLICE("\0\0\0\0\x09\x0a\x07[[1,2]]")
#define LIST SLICE("\0\0\0\0\2\x3a\0")

static const char *const settings[] = {"GRPC_REFLECTION", "true", NULL};

static struct fixture fixture;
static struct peer peer;

static void begin(void)
{
    fixture_init(&fixture, FIXTURE_ECHO, settings);
    peer_init(&peer, &fixture, SESSION_PORT_ANY, true);
}

static void finish(void)
{
    peer_done(&peer);
    fixture_done(&fixture);
}

/* Everything that a client may ask for, once. */
static void ask_everything(void)
{
    const nghttp2_nv expects[] = {client_nv(":method", "POST"), client_nv(":scheme", "http"),
                                  client_nv(":path", "/invocations"), client_nv(":authority", "t"),
                                  client_nv("expect", "100-continue")};
    (void)peer_get(&peer, "/live");
    (void)peer_get(&peer, "/metrics");
    (void)peer_post(&peer, "/invocations", SLICE("[[1,2]]"));
    (void)client_submit(&peer.client, expects, 5, SLICE("[[1,2]]"), false);
    (void)peer_call(&peer, PREDICT, MESSAGE, false, NULL, 0);
    (void)peer_call(&peer, WATCH, SLICE("\0\0\0\0\0"), false, NULL, 0);
    (void)peer_call(&peer, REFLECT, LIST, false, NULL, 0);
}

/* What was answered is right, or says that it failed, or was cut off. */
static void assert_clean_answers(void)
{
    for (size_t i = 0; i < peer.client.stream_count; i++) {
        const struct client_stream *stream = &peer.client.streams[i];
        struct slice fields = bytes_slice(&stream->fields);
        if (!stream->final_head) {
            continue;
        }
        if (memmem(fields.ptr, fields.len, ":status: 500", 12) != NULL) {
            assert_body(stream, stream->ended ? "{\"error\":\"internal_server_error\"}" : "");
        } else if (memmem(fields.ptr, fields.len, "grpc-status: 13", 15) != NULL) {
            assert_has(&stream->fields, "internal_server_error");
        } else {
            assert_has(&stream->fields, ":status: 200\n");
        }
        assert_lacks(&stream->fields, "memory");
        assert_lacks(&stream->trailers, "memory");
    }
}

/* The client's bytes are made before, and what it hears is looked at after: its memory is no part. */
static void any_allocation_may_fail(void **state)
{
    (void)state;
    static char heard[1 << 20];
    uint64_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        struct deployment *next = NULL;
        size_t len = 0;
        begin();
        ask_everything();
        assert_true(peer_say(&peer));
        assert_int_equal(fixture_load(&fixture, &next, NULL), ERR_OK);
        uint64_t before = mem_allocations();
        mem_fail_nth(nth);
        fixture_turn(&fixture, 4);
        io_thread_deploy(fixture.io, next);
        fixture_turn(&fixture, 2);
        atomic_store(&fixture.shared.draining, true);
        io_thread_drain(fixture.io);
        fixture_wait(&fixture, CLOCK_NS_PER_S);
        bool reached = mem_allocations() - before >= nth;
        mem_fail_nth(0);
        ssize_t count;
        while ((count = recv(peer.fd, heard + len, sizeof(heard) - len, 0)) > 0) {
            len += (size_t)count;
        }
        assert_int_equal(nghttp2_session_mem_recv(peer.client.session, (const uint8_t *)heard, len),
                         len);
        assert_clean_answers();
        finish();
        if (!reached) {
            break;
        }
        failures++;
    }
    assert_true(failures > 20);
}

static void any_system_call_may_fail(void **state)
{
    (void)state;
    static const int errors[] = {ECONNRESET, ENOMEM};
    for (size_t i = 0; i < 2; i++) {
        uint64_t nth = 1;
        for (bool reached = true; reached; nth++) {
            begin();
            peer_talk(&peer);
            sys_fail_nth(nth, errors[i]);
            ask_everything();
            peer_talk(&peer);
            fixture_deploy(&fixture);
            peer_talk(&peer);
            reached = !sys_fault_pending();
            sys_fail_nth(0, 0);
            assert_clean_answers();
            finish();
        }
        assert_true(nth > 3);
    }
}

static void a_reset_in_the_middle_of_anything_leaves_nothing(void **state)
{
    (void)state;
    static struct bytes wire;
    begin();
    bytes_init(&wire, 1 << 20);
    (void)peer_get(&peer, "/live");
    (void)peer_post(&peer, "/invocations", SLICE("[[1,2]]"));
    (void)peer_call(&peer, PREDICT, MESSAGE, false, NULL, 0);
    (void)peer_call(&peer, WATCH, SLICE("\0\0\0\0\0"), false, NULL, 0);
    (void)peer_call(&peer, REFLECT, LIST, true, NULL, 0);
    const uint8_t *frame;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(peer.client.session, &frame)) > 0) {
        assert_int_equal(bytes_put(&wire, slice_make(frame, (size_t)size)), ERR_OK);
    }
    for (size_t cut = 0; cut <= bytes_len(&wire); cut++) {
        int fd = fixture_connect(&fixture);
        assert_int_equal(send(fd, wire.ptr, cut, MSG_NOSIGNAL), cut);
        fixture_turn(&fixture, cut % 4);
        close(fd);
        fixture_turn(&fixture, 3);
        assert_null(fixture.io->watchers);
        assert_int_equal(atomic_load(&fixture.shared.connections), 1);
        assert_int_equal(atomic_load(&fixture.shared.admission.in_use), 0);
    }
    bytes_done(&wire);
    finish();
}

static void the_steady_state_allocates_nothing(void **state)
{
    (void)state;
    begin();
    uint64_t allocations = 0; /* once the table of header fields has filled */
    for (int i = 0; i < 100; i++) {
        const struct client_stream *rest = peer_post(&peer, "/invocations", SLICE("[[1,2]]"));
        const struct client_stream *grpc = peer_call(&peer, PREDICT, MESSAGE, false, NULL, 0);
        assert_true(peer_say(&peer));
        uint64_t before = mem_allocations(); /* those of the client do not count */
        fixture_turn(&fixture, 3);
        allocations += i < 60 ? 0 : mem_allocations() - before;
        peer_talk(&peer);
        assert_answer(rest, "200", ANSWER);
        assert_reply(grpc, ANSWER);
    }
    /* Sanitizers have recyclers switched off. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    assert_int_equal(allocations, 0);
#else
    (void)allocations;
#endif
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(any_system_call_may_fail),
        cmocka_unit_test(a_reset_in_the_middle_of_anything_leaves_nothing),
        cmocka_unit_test(the_steady_state_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
