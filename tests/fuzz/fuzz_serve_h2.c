/*
 * A whole HTTP/2 connection, REST and gRPC on it, of any frames that follow a client's preface: through
 * session, streams, exchanges, codec, queue and the test double. Whatever comes, nothing is left of it
 * when the client has gone, and no more than a bound while it is there. The first byte says at which
 * port, the second how the rest is cut into pieces, in how many turns each is read, and whether the
 * client reads. Time and request ids stand still but for a jump at the end, when all deadlines pass.
 */
#include "../unit_tests/serve_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX_BYTES ((size_t)64 * 1024)

static struct fixture *the_fixture(void)
{
    static const char *const settings[] = {"GRPC_REFLECTION",
                                           "true",
                                           "MAX_BODY_BYTES",
                                           "4096",
                                           "MAX_RECORDS",
                                           "16",
                                           "REQUEST_TIMEOUT_S",
                                           "10",
                                           NULL};
    static struct fixture fixture;
    if (fixture.io == NULL) {
        fixture_init(&fixture, FIXTURE_ECHO, settings);
        unlink(fixture.model_path);
        rmdir(fixture.directory);
    }
    return &fixture;
}

/* False when the connection has ended. */
static bool drop_answers(int peer)
{
    static char answers[64 * 1024];
    ssize_t count;
    do {
        count = recv(peer, answers, sizeof(answers), 0);
    } while (count > 0);
    return count < 0 && errno == EAGAIN;
}

static void check_nothing_is_left(struct fixture *fixture)
{
    CHECK(fixture->io->sessions == NULL && atomic_load(&fixture->shared.connections) == 0);
    CHECK(fixture->io->watchers == NULL && atomic_load(&fixture->shared.calls) == 0);
    CHECK(inline_queue_is_empty(&fixture->io->queue) && fixture->io->inferences == 0);
    CHECK(atomic_load(&fixture->shared.admission.in_use) == 0);
    CHECK(atomic_load(&fixture->shared.admission.waiting) == 0);
}

/* What the second byte of the input decides. */
struct manner {
    size_t piece_bytes;
    unsigned turns;
    bool reads;
    bool waits; /* until all deadlines have passed, instead of leaving */
};

static void converse(struct fixture *fixture, int peer, struct slice input, struct manner manner)
{
    bool open = send(peer, H2_PREFACE, sizeof(H2_PREFACE) - 1, MSG_NOSIGNAL) > 0;
    while (open && input.len > 0) {
        struct slice piece = slice_head(input, manner.piece_bytes);
        ssize_t count = send(peer, piece.ptr, piece.len, MSG_NOSIGNAL);
        input = slice_tail(input, count > 0 ? (size_t)count : 0);
        fixture_turn(fixture, manner.turns);
        open = manner.reads ? drop_answers(peer) : count > 0;
    }
    fixture_turn(fixture, 4);
    if (manner.waits) {
        sys_virtual_clock(sys_monotonic_ns() + 200 * CLOCK_NS_PER_S);
        fixture_turn(fixture, 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *fixture = the_fixture();
    if (size < 2) {
        return 0;
    }
    struct manner manner = {.piece_bytes = data[1] % 32 == 0 ? INPUT_MAX_BYTES : data[1] % 32,
                            .turns = 1 + data[1] / 32 % 2,
                            .reads = (data[1] & 64) == 0,
                            .waits = (data[1] & 128) != 0};
    sys_virtual_clock(FIXTURE_START_NS);
    fixture->io->random.state[0] = fixture->io->random.state[1] = 1;
    int peer = fixture_connect_to(fixture, data[0] % 2 == 0 ? SESSION_PORT_ANY : SESSION_PORT_GRPC);
    converse(fixture, peer, slice_head(slice_make(data + 2, size - 2), INPUT_MAX_BYTES), manner);
    close(peer);
    fixture_turn(fixture, 4);
    check_nothing_is_left(fixture);
    return 0;
}
