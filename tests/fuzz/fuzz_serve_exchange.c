/*
 * A whole connection of any bytes through session, exchange, codec, queue and the test double: what
 * an HTTP/1.1 client hears must be the same whether its bytes come in one piece or in pieces whose sizes
 * follow from them, and when it has gone nothing of it is left. No threads; time and request ids
 * stand still.
 */
#include "../unit_tests/serve_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX_BYTES ((size_t)64 * 1024)
#define HEARD_MAX_BYTES ((size_t)256 * 1024 * 1024)

static struct fixture *the_fixture(void)
{
    static const char *const settings[] = {
        "PROMETHEUS_ENABLED", "false", "MAX_BODY_BYTES", "4096", "MAX_RECORDS", "16", NULL};
    static struct fixture fixture;
    if (fixture.io == NULL) {
        fixture_init(&fixture, FIXTURE_ECHO, settings);
        unlink(fixture.model_path);
        rmdir(fixture.directory);
    }
    return &fixture;
}

/* FNV-1a: every change of the input shuffles its pieces anew. */
static uint64_t seed_of(struct slice input)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < input.len; i++) {
        hash = (hash ^ (unsigned char)input.ptr[i]) * UINT64_C(0x100000001b3);
    }
    return hash | 1;
}

static size_t next_size(uint64_t *seed, size_t left)
{
    *seed ^= *seed << 13; /* xorshift64 (Marsaglia, 2003) */
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    size_t size = (size_t)(*seed % (*seed & 64 ? 7 : 211)) + 1;
    return size < left ? size : left;
}

/* False when the connection has ended. */
static bool hear(int peer, struct bytes *heard)
{
    for (;;) {
        char *at = bytes_reserve(heard, 64 * 1024);
        CHECK(at != NULL);
        ssize_t count = recv(peer, at, 64 * 1024, 0);
        if (count <= 0) {
            return count < 0 && errno == EAGAIN;
        }
        bytes_commit(heard, (size_t)count);
    }
}

static void converse(struct fixture *fixture, struct slice input, uint64_t seed,
                     struct bytes *heard)
{
    sys_virtual_clock(FIXTURE_START_NS);
    fixture->io->random.state[0] = fixture->io->random.state[1] = 1;
    int peer = fixture_connect(fixture);
    bool open = true;
    while (open && input.len > 0) {
        size_t size = seed == 0 ? input.len : next_size(&seed, input.len);
        ssize_t count = send(peer, input.ptr, size, MSG_NOSIGNAL);
        input = slice_tail(input, count > 0 ? (size_t)count : 0);
        fixture_turn(fixture, 2);
        open = hear(peer, heard);
    }
    for (size_t before = SIZE_MAX; open && before != bytes_len(heard);) {
        before = bytes_len(heard);
        fixture_turn(fixture, 4);
        open = hear(peer, heard);
    }
    close(peer);
    fixture_turn(fixture, 3);
    CHECK(fixture->io->sessions == NULL && atomic_load(&fixture->shared.connections) == 0);
    CHECK(inline_queue_is_empty(&fixture->io->queue));
    CHECK(atomic_load(&fixture->shared.admission.in_use) == 0);
    CHECK(atomic_load(&fixture->shared.admission.waiting) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *fixture = the_fixture();
    struct slice input = slice_make(size == 0 ? (const void *)"" : data, size);
    input = slice_head(input, INPUT_MAX_BYTES);
    struct bytes whole;
    struct bytes pieces;
    bytes_init(&whole, HEARD_MAX_BYTES);
    bytes_init(&pieces, HEARD_MAX_BYTES);
    converse(fixture, input, 0, &whole);
    converse(fixture, input, seed_of(input), &pieces);
    /* Which of its own frames an HTTP/2 server has sent before an error ends it depends on the split. */
    CHECK(h2_preface_match(input) == H2_PREFACE_YES ||
          slice_eq(bytes_slice(&whole), bytes_slice(&pieces)));
    bytes_done(&whole);
    bytes_done(&pieces);
    return 0;
}
