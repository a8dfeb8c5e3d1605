/*
 * How many scrapes of the metrics task threads have in hand, and what becomes of those that nobody
 * waits for. A gate in front of the only thread decides when they are made.
 */
#include "unit_tests/h2_peer.h"

#include "serve/scrape.h"
#include "unit_tests/task_gate.h"

#define QUESTION SLICE("[[1,2]]")
#define ANSWER "[[1.0,2.0]]"
#define SCRAPE "GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n"

static struct fixture fixture;
static struct peer peer;

/* ---- the model, which notes that it is measured: once for each text ---- */

static struct backend measured_backend;
static _Atomic unsigned measured;

static void note_measure(struct backend_model *model, struct backend_figures *ret_figures)
{
    (void)model;
    (void)ret_figures;
    atomic_fetch_add(&measured, 1);
}

static void begin(void)
{
    fixture_init(&fixture, FIXTURE_ECHO, NULL);
    assert_int_equal(task_pool_new(1, &fixture.shared.tasks, NULL), ERR_OK);
    measured_backend = backend_fake;
    measured_backend.measure = note_measure;
    fixture.io->deployment->backend = &measured_backend;
    atomic_store(&measured, 0);
    peer_init(&peer, &fixture, SESSION_PORT_ANY, true);
    close_gate(fixture.shared.tasks);
}

static void finish(void)
{
    peer_done(&peer);
    task_pool_free(fixture.shared.tasks); /* first: its thread posts to the loop */
    fixture.shared.tasks = NULL;
    assert_int_equal(fixture.io->scrapes, 0);
    fixture_done(&fixture);
}

/* As many as may be in hand. */
static void scrape_all(const struct client_stream *streams[SCRAPES_MAX])
{
    for (size_t i = 0; i < SCRAPES_MAX; i++) {
        streams[i] = peer_get(&peer, "/metrics");
    }
    peer_talk(&peer);
    assert_int_equal(fixture.io->scrapes, SCRAPES_MAX);
}

static void open_gate_and_wait(void)
{
    open_gate();
    while (fixture.io->inferences > 0) {
        fixture_turn(&fixture, 1);
    }
    peer_talk(&peer);
}

static void assert_scraped(const struct client_stream *stream)
{
    assert_has(&stream->fields, ":status: 200\n");
    assert_true(stream->ended && stream->body_bytes > 1000);
}

static void scrapes_past_those_in_hand_are_refused(void **state)
{
    (void)state;
    const struct client_stream *streams[SCRAPES_MAX];
    begin();
    scrape_all(streams);
    const struct client_stream *past = peer_get(&peer, "/metrics");
    const struct client_stream *asked = peer_post(&peer, "/invocations", QUESTION);
    peer_talk(&peer);
    assert_answer(past, "429", "{\"error\":\"too_many_requests\"}");
    assert_has(&past->fields, "retry-after: 1\n");
    assert_answer(asked, "200", ANSWER);
    assert_int_equal(metrics_read(fixture.shared.metrics, METRIC_REJECTIONS, REJECTION_QUEUE_FULL),
                     1);
    open_gate_and_wait();
    for (size_t i = 0; i < SCRAPES_MAX; i++) {
        assert_scraped(streams[i]);
    }
    const struct client_stream *next = peer_get(&peer, "/metrics");
    peer_talk_until(&peer, &next->ended);
    assert_scraped(next);
    assert_int_equal(atomic_load(&measured), SCRAPES_MAX + 1);
    finish();
}

/* Their places are taken until the thread has come to them, and come free without any work. */
static void scrapes_that_nobody_waits_for_are_not_made(void **state)
{
    (void)state;
    const struct client_stream *streams[SCRAPES_MAX];
    begin();
    scrape_all(streams);
    for (size_t i = 0; i < SCRAPES_MAX - 1; i++) {
        nghttp2_submit_rst_stream(peer.client.session, 0, streams[i]->id, NGHTTP2_CANCEL);
    }
    const struct client_stream *past = peer_get(&peer, "/metrics");
    peer_talk(&peer);
    assert_answer(past, "429", "{\"error\":\"too_many_requests\"}");
    assert_int_equal(atomic_load(&fixture.shared.streams), 1);
    open_gate_and_wait();
    assert_scraped(streams[SCRAPES_MAX - 1]);
    assert_int_equal(atomic_load(&measured), 1);
    finish();
}

static void nor_are_those_of_a_connection_that_was_closed(void **state)
{
    (void)state;
    begin();
    int fd = fixture_connect(&fixture);
    assert_int_equal(send(fd, SCRAPE, strlen(SCRAPE), MSG_NOSIGNAL), (ssize_t)strlen(SCRAPE));
    fixture_turn(&fixture, 3);
    assert_int_equal(fixture.io->scrapes, 1);
    shutdown(fd, SHUT_RDWR);
    close(fd);
    fixture_turn(&fixture, 3);
    open_gate_and_wait();
    assert_int_equal(atomic_load(&measured), 0);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scrapes_past_those_in_hand_are_refused),
        cmocka_unit_test(scrapes_that_nobody_waits_for_are_not_made),
        cmocka_unit_test(nor_are_those_of_a_connection_that_was_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
