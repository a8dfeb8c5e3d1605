/*
 * The loader with real threads: first load, reload, a reload that fails, and its end in every order
 * with the I/O threads'. Nothing sleeps: each step waits for the one before.
 */
#include "unit_tests/serve_fixture.h"

#include <semaphore.h>

#include "serve/loader.h"
#include "unit_tests/testing.h"

static sem_t loaded;

static void on_ready(const struct deployment *deployment, void *user)
{
    (void)user;
    assert_true(slice_eq(deployment->name, SLICE("model.fake")));
    sem_post(&loaded);
}

static struct loader *start_loader(struct fixture *fixture)
{
    struct deployment_query query = {.input = &fixture->input, .test_backend = &backend_fake};
    struct loader *loader = NULL;
    struct error error;
    assert_int_equal(sem_init(&loaded, 0, 0), 0);
    assert_int_equal(loader_new(&fixture->shared, &query, on_ready, NULL, &loader, &error), ERR_OK);
    return loader;
}

static void wait_for_load(void)
{
    while (sem_wait(&loaded) != 0) {
        assert_int_equal(errno, EINTR);
    }
}

/* Also waits for the loader's thread to be idle: a load that is under way refuses to stop. */
static void stop_loader(struct loader *loader)
{
    while (!loader_stop(loader)) {}
}

static void begin(struct fixture *fixture)
{
    fixture_init(fixture, NULL, NULL);
    fixture_write_model(fixture, FIXTURE_ECHO);
    sys_virtual_clock(0);
}

static void drain_and_join(struct fixture *fixture)
{
    atomic_store(&fixture->shared.draining, true);
    io_thread_drain(fixture->io);
    io_thread_join(fixture->io);
}

/* A thread can end with its last session before the word that the server drains has reached it. */
static void the_word_to_drain_may_come_last(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    io_thread_drain(fixture.io);
    io_thread_done(fixture.io);                        /* delivers it, with the acceptors gone */
    *fixture.io = (struct io_thread){.metrics = NULL}; /* done already */
    fixture_done(&fixture);
}

static void loads_reloads_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    assert_int_equal(io_thread_start(fixture.io, NULL), ERR_OK);
    struct loader *loader = start_loader(&fixture);
    assert_false(atomic_load(&fixture.shared.loaded));
    loader_request(loader);
    wait_for_load();
    assert_true(atomic_load(&fixture.shared.loaded));
    for (int i = 0; i < 20; i++) {
        loader_request(loader);
        wait_for_load();
    }
    fixture_write_model(&fixture, "nonsense\n");
    loader_request(loader);
    fixture_write_model(&fixture, FIXTURE_ECHO);
    loader_request(loader);
    wait_for_load();
    assert_true(atomic_load(&fixture.shared.loaded));
    drain_and_join(&fixture);
    stop_loader(loader);
    io_thread_done(fixture.io);
    loader_free(loader);
    *fixture.io = (struct io_thread){.metrics = NULL}; /* done already */
    fixture_done(&fixture);
}

/* SIGTERM during a reload: the loop has ended, its mailbox must still be there. */
static void a_load_may_end_after_the_loops_have(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    assert_int_equal(io_thread_start(fixture.io, NULL), ERR_OK);
    struct loader *loader = start_loader(&fixture);
    drain_and_join(&fixture);
    loader_request(loader);
    wait_for_load();
    stop_loader(loader);
    io_thread_done(fixture.io);
    loader_free(loader);
    *fixture.io = (struct io_thread){.metrics = NULL};
    fixture_done(&fixture);
}

static void it_ends_without_having_loaded(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    struct loader *loader = start_loader(&fixture);
    stop_loader(loader);
    loader_free(loader);
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_word_to_drain_may_come_last),
        cmocka_unit_test(loads_reloads_and_keeps_what_it_has),
        cmocka_unit_test(a_load_may_end_after_the_loops_have),
        cmocka_unit_test(it_ends_without_having_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
