/*
 * One I/O thread without a thread: its loop is turned by hand, its model is the test double, and
 * clients are the far ends of socket pairs. Time is virtual once the fixture is up. For the tests of
 * src/serve and for the fuzz target, so it uses CHECK, not the test framework.
 */
#ifndef SERVE_FIXTURE_H
#define SERVE_FIXTURE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "obs/metrics_text.h"
#include "serve/io_thread.h"
#include "serve/session.h"

/* Defined before this file is included where one is not enough; the test turns the others' loops. */
#ifndef FIXTURE_THREADS
#define FIXTURE_THREADS 1
#endif
#define FIXTURE_START_NS (UINT64_C(1000) * CLOCK_NS_PER_S)
#define FIXTURE_PAIRS_MAX 8
#define FIXTURE_ECHO "input = x float32 [N, 2]\noutput = y float32 [N, 2] echo x\n"

struct fixture {
    struct server_shared shared;
    struct io_thread *io;                              /* the first of shared.threads */
    struct settings_pair pairs[FIXTURE_PAIRS_MAX + 1]; /* the environment; ends with {NULL, 0} */
    struct settings_input input;
    char directory[32];
    char model_path[48];
    uint16_t port;
};

static inline const char *fixture_lookup(void *environment, const char *name)
{
    for (const struct settings_pair *pair = environment; pair->name.ptr != NULL; pair++) {
        if (slice_eq(pair->name, slice_from_str(name))) {
            return pair->value.ptr;
        }
    }
    return NULL;
}

static inline void fixture_write_model(const struct fixture *fixture, const char *script)
{
    FILE *file = fopen(fixture->model_path, "w");
    CHECK(file != NULL && fputs(script, file) >= 0 && fclose(file) == 0);
}

/* settings: name, value, name, value, ..., NULL. */
static inline void fixture_read_settings(struct fixture *fixture, const char *const *settings)
{
    size_t count = 0;
    fixture->pairs[count++] =
        (struct settings_pair){SLICE("SM_MODEL_DIR"), slice_from_str(fixture->directory)};
    for (; settings != NULL && settings[0] != NULL; settings += 2) {
        CHECK(count < FIXTURE_PAIRS_MAX);
        fixture->pairs[count++] =
            (struct settings_pair){slice_from_str(settings[0]), slice_from_str(settings[1])};
    }
    fixture->pairs[count] = (struct settings_pair){{NULL, 0}, {NULL, 0}};
    fixture->input = (struct settings_input){
        .groups = SETTINGS_ALL, .lookup = fixture_lookup, .environment = fixture->pairs};
    CHECK(settings_load(&fixture->shared.settings, &fixture->input, NULL) == ERR_OK);
}

static inline int fixture_load(const struct fixture *fixture, struct deployment **ret_deployment,
                               struct error *error)
{
    struct deployment_query query = {.input = &fixture->input, .test_backend = &backend_fake};
    return deployment_load(&query, ret_deployment, error);
}

/* Loads what the model's file holds now, and puts it in service. */
static inline void fixture_deploy(struct fixture *fixture)
{
    struct deployment *deployment = NULL;
    CHECK(fixture_load(fixture, &deployment, NULL) == ERR_OK);
    deployment->metrics_model = metrics_use_model(fixture->shared.metrics, deployment->name);
    for (unsigned i = 1; i < fixture->shared.thread_count; i++) {
        io_thread_deploy(&fixture->shared.threads[i], deployment_ref(deployment));
    }
    io_thread_deploy(fixture->io, deployment);
    atomic_store(&fixture->shared.loaded, true);
    /* Tests run the loops one by one, some of them never. */
    atomic_store(&fixture->shared.deployed, fixture->shared.thread_count);
}

static inline void fixture_init(struct fixture *fixture, const char *script,
                                const char *const *settings)
{
    *fixture = (struct fixture){.directory = "/tmp/onnxd-serve-XXXXXX"};
    CHECK(mkdtemp(fixture->directory) != NULL);
    snprintf(fixture->model_path, sizeof(fixture->model_path), "%s/model.fake", fixture->directory);
    fixture_read_settings(fixture, settings);
    struct server_shared *shared = &fixture->shared;
    shared->clock_ns = sys_monotonic_ns;
    shared->metrics = metrics_new("test");
    shared->threads = mem_zalloc(FIXTURE_THREADS, sizeof(shared->threads[0]));
    CHECK(shared->metrics != NULL && shared->threads != NULL);
    shared->thread_count = FIXTURE_THREADS;
    shared->grpc_listen_fd = -1;
    admission_init(&shared->admission, shared->settings.max_inflight);
    fixture->io = &shared->threads[0];
    CHECK(listener_open("127.0.0.1", 0, &shared->listen_fd, &fixture->port, NULL) == ERR_OK);
    sys_virtual_clock(FIXTURE_START_NS);
    for (unsigned i = 0; i < FIXTURE_THREADS; i++) {
        CHECK(io_thread_init(&shared->threads[i], shared, NULL) == ERR_OK);
    }
    if (script != NULL) {
        fixture_write_model(fixture, script);
        fixture_deploy(fixture);
    }
    for (unsigned i = 0; i < FIXTURE_THREADS; i++) {
        loop_turn(shared->threads[i].loop, 0);
    }
}

/* Whatever has happened to them: nothing is open any more. */
static inline void fixture_check_gauges(const struct metrics *metrics)
{
    for (unsigned i = 0; i < PROTOCOL_COUNT; i++) {
        CHECK(metrics_read(metrics, METRIC_IN_PROGRESS, i) == 0);
    }
    for (unsigned i = 0; i < WIRE_COUNT; i++) {
        CHECK(metrics_read(metrics, METRIC_CONNECTIONS, i) == 0);
    }
}

static inline void fixture_done(struct fixture *fixture)
{
    sys_fail_nth(0, 0);
    mem_fail_nth(0);
    for (unsigned i = 0; i < FIXTURE_THREADS; i++) {
        io_thread_done(&fixture->shared.threads[i]);
    }
    CHECK(atomic_load(&fixture->shared.connections) == 0);
    CHECK(atomic_load(&fixture->shared.streams) == 0);
    CHECK(atomic_load(&fixture->shared.calls) == 0);
    CHECK(atomic_load(&fixture->shared.long_calls) == 0);
    CHECK(atomic_load(&fixture->shared.admission.in_use) == 0);
    CHECK(atomic_load(&fixture->shared.admission.waiting) == 0);
    fixture_check_gauges(fixture->shared.metrics);
    buffer_recycler_done();
    sys_close(fixture->shared.listen_fd);
    metrics_free(fixture->shared.metrics);
    mem_free(fixture->shared.threads);
    settings_done(&fixture->shared.settings);
    unlink(fixture->model_path);
    rmdir(fixture->directory);
    sys_reset();
}

/* A client's end of a new connection, non-blocking. */
static inline int fixture_connect_to(struct fixture *fixture, enum session_port port)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    session_accept(fixture->io, fds[0], port);
    return fds[1];
}

/* The same on PORT. */
static inline int fixture_connect(struct fixture *fixture)
{
    return fixture_connect_to(fixture, SESSION_PORT_ANY);
}

static inline void fixture_turn(struct fixture *fixture, unsigned turns)
{
    while (turns-- > 0) {
        loop_turn(fixture->io->loop, 0);
    }
}

/* Lets virtual time pass; timers fire on the way. */
static inline void fixture_wait(struct fixture *fixture, uint64_t span_ns)
{
    uint64_t end_ns = sys_monotonic_ns() + span_ns;
    for (uint64_t now_ns; (now_ns = sys_monotonic_ns()) < end_ns;) {
        uint64_t left_ms = (end_ns - now_ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;
        loop_turn(fixture->io->loop, left_ms > 1000 ? 1000 : (int)left_ms);
        if (sys_monotonic_ns() == now_ns) {
            sys_virtual_clock(now_ns +
                              CLOCK_NS_PER_MS); /* the loop had something to do, or stops */
        }
    }
    fixture_turn(fixture, 4);
}

#endif
