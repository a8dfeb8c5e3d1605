/*
 * Tracing of exchanges on a loop that is turned by hand, the collector being away: what clients are
 * told, and that no lack of memory does more than leave a request out of its trace.
 */
#include "testing.h"

#include "serve_fixture.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "traceparent: 00-" TRACE "-b7ad6b7169203331-01\r\n"
/* Nobody listens at port 1, and nothing is sent before the server stops, which it does at once. */
#define ENDPOINT "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"

static void set_up(struct fixture *fixture, const char *const *settings)
{
    fixture_init(fixture, FIXTURE_ECHO, settings);
    struct error error;
    if (tracing_new(&fixture->shared.settings, SLICE("1"), FIXTURE_THREADS,
                    &fixture->shared.tracing, &error) != ERR_OK) {
        fail_msg("%s", error.text);
    }
    fixture->io->spans = tracing_ring(fixture->shared.tracing, 0);
}

static void tear_down(struct fixture *fixture)
{
    struct tracing *tracing = fixture->shared.tracing;
    fixture_done(fixture);
    tracing_free(tracing, 0);
}

/* The answer to a request on a connection of its own, "" without one; in `text` until the next. */
static const char *ask(struct fixture *fixture, const char *request)
{
    static char text[4096];
    int fd = fixture_connect_to(fixture, SESSION_PORT_ANY);
    bool is_open = send(fd, request, strlen(request), MSG_NOSIGNAL) > 0;
    size_t len = 0;
    for (int i = 0; is_open && i < 20; i++) {
        loop_turn(fixture->io->loop, 0);
        ssize_t got = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        len += got > 0 ? (size_t)got : 0;
    }
    text[len] = '\0';
    close(fd);
    for (int i = 0; i < 3; i++) {
        loop_turn(fixture->io->loop, 0);
    }
    return text;
}

#define POST(fields)                                                                               \
    "POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n" fields                   \
    "Content-Length: 3\r\n\r\n1,2"

static void test_ids_are_told(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, (const char *const[]){ENDPOINT, NULL});
    const char *answer = ask(&fixture, POST(""));
    assert_non_null(strstr(answer, "200 OK"));
    assert_non_null(strstr(answer, "x-trace-id: "));
    assert_non_null(strstr(answer, "x-span-id: "));
    assert_non_null(strstr(ask(&fixture, POST(PARENT)), "x-trace-id: " TRACE));
    assert_null(strstr(ask(&fixture, POST(PARENT PARENT)), TRACE));
    assert_null(strstr(ask(&fixture, "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"), "x-trace-id"));
    assert_non_null(strstr(ask(&fixture, "GET /ping HTTP/1.1\r\nHost: a\r\n" PARENT "\r\n"),
                           "x-trace-id: " TRACE));
    tear_down(&fixture);
}

static void test_without_a_collector(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, NULL);
    assert_non_null(fixture.shared.tracing);
    assert_null(fixture.io->spans);
    assert_null(strstr(ask(&fixture, POST("")), "x-trace-id"));
    assert_non_null(strstr(ask(&fixture, POST(PARENT)), "x-trace-id: " TRACE));
    tear_down(&fixture);
}

static void test_switched_off(void **state)
{
    (void)state;
    static const char *const settings[][5] = {{ENDPOINT, "OTEL_ENABLED", "false", NULL},
                                              {ENDPOINT, "OTEL_SDK_DISABLED", "true", NULL}};
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture;
        set_up(&fixture, settings[i]);
        assert_null(fixture.shared.tracing);
        assert_null(strstr(ask(&fixture, POST(PARENT)), "x-trace-id"));
        tear_down(&fixture);
    }
}

/* Each allocation of a traced request fails once: it is answered, or its connection is closed. */
static void test_torture_of_a_request(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, (const char *const[]){ENDPOINT, NULL});
    for (uint64_t nth = 1; nth <= 12; nth++) {
        mem_fail_nth(nth);
        const char *answer = ask(&fixture, POST(PARENT));
        mem_fail_nth(0);
        assert_true(answer[0] == '\0' || strncmp(answer, "HTTP/1.1 ", 9) == 0);
    }
    assert_non_null(strstr(ask(&fixture, POST(PARENT)), "200 OK"));
    tear_down(&fixture);
}

static void test_torture_of_the_start(void **state)
{
    (void)state;
    struct fixture fixture;
    struct tracing *tracing = NULL;
    struct error error;
    fixture_init(&fixture, NULL,
                 (const char *const[]){ENDPOINT, "OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=%2f",
                                       "OTEL_RESOURCE_ATTRIBUTES", "d=e", NULL});
    int status = ERR_NO_MEMORY;
    for (uint64_t nth = 1; status != ERR_OK; nth++) {
        mem_fail_nth(nth);
        status = tracing_new(&fixture.shared.settings, SLICE("1"), 2, &tracing, &error);
        mem_fail_nth(0);
        assert_true(status == ERR_OK || status == ERR_NO_MEMORY);
        assert_true(nth < 50);
        if (status == ERR_OK && tracing_ring(tracing, 0) == NULL) { /* libcurl was not to be had */
            tracing_free(tracing, 0);
            status = ERR_NO_MEMORY;
        }
    }
    tracing_free(tracing, 0);
    fixture_done(&fixture);
}

static void test_settings_that_cannot_be(void **state)
{
    (void)state;
    static const char *const settings[][7] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", NULL},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "file:///etc/passwd", NULL},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", NULL},
        {ENDPOINT, "OTEL_EXPORTER_OTLP_HEADERS", "a=b%0d%0aevil:1", NULL},
        {ENDPOINT, "OTEL_EXPORTER_OTLP_HEADERS", "a%0a=b,c\x01=d", NULL},
    };
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        struct fixture fixture;
        struct tracing *tracing = NULL;
        struct error error;
        fixture_init(&fixture, NULL, settings[i]);
        assert_int_equal(tracing_new(&fixture.shared.settings, SLICE("1"), 1, &tracing, &error),
                         ERR_CONFIG);
        assert_null(tracing);
        assert_non_null(strstr(error.text, "OTEL_EXPORTER_OTLP"));
        assert_null(strstr(error.text, "evil"));
        fixture_done(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_told),         cmocka_unit_test(test_without_a_collector),
        cmocka_unit_test(test_switched_off),         cmocka_unit_test(test_torture_of_a_request),
        cmocka_unit_test(test_torture_of_the_start), cmocka_unit_test(test_settings_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
