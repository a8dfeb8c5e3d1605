/* The status line as a function of its bytes, and whole probes of small servers on threads. */
#include "cli/probe.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit_tests/testing.h"

static void reads_the_status_line(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int want;
        unsigned status;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n", 1, 200},
        {"HTTP/1.0 500 \r\n", 1, 500},
        {"HTTP/1.1 204\r\n", 1, 204},
        {"HTTP/1.1 200\n", 1, 200},
        {"", 0, 0},
        {"HTT", 0, 0},
        {"HTTP/1.1", 0, 0},
        {"HTTP/1.1 20", 0, 0},
        {"HTTP/1.1 200", 0, 0},
        {"HTTP/2 200 OK", -1, 0},
        {"HTTP/1.1 2000 ", -1, 0},
        {"HTTP/1.1 099 ", -1, 0},
        {"HTTP/1.1  200 ", -1, 0},
        {"HTTP/1.1 2x0 ", -1, 0},
        {"http/1.1 200 ", -1, 0},
        {"SSH-2.0-x\r\n", -1, 0},
        {"HTTP/1.x 200 ", -1, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned status = 0;
        int got = probe_read_status(slice_from_str(cases[i].head), &status);
        assert_int_equal(got, cases[i].want);
        assert_int_equal(status, cases[i].status);
    }
}

/* Any start of an answer leads to the same verdict, or to none yet. */
static void every_split_agrees(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 503 Service Unavailable\r\n";
    for (size_t len = 0; len < sizeof(head); len++) {
        unsigned status = 0;
        int got = probe_read_status((struct slice){head, len}, &status);
        assert_int_equal(got, len > 12 ? 1 : 0);
        assert_int_equal(status, len > 12 ? 503 : 0);
    }
}

/* Takes one connection, reads the request to its end, writes the answer byte by byte, closes. */
struct small_server {
    int listen_fd;
    uint16_t port;
    const char *answer; /* NULL: none, and the connection stays open until `released` */
    int released[2];    /* a pipe: reading it waits for the test */
    char request[1024];
    pthread_t thread;
};

static void *serve_one(void *argument)
{
    struct small_server *server = argument;
    int fd = accept(server->listen_fd, NULL, NULL);
    size_t len = 0;
    while (fd >= 0 && strstr(server->request, "\r\n\r\n") == NULL) {
        ssize_t got = read(fd, server->request + len, sizeof(server->request) - 1 - len);
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
    }
    const char *answer = server->answer == NULL ? "" : server->answer;
    for (size_t i = 0; answer[i] != '\0'; i++) {
        if (send(fd, answer + i, 1, MSG_NOSIGNAL) != 1) {
            break;
        }
    }
    if (server->answer == NULL) {
        char byte;
        (void)!read(server->released[0], &byte, 1);
    }
    close(fd);
    return NULL;
}

static void listen_somewhere(struct small_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    server->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(server->listen_fd >= 0);
    assert_int_equal(bind(server->listen_fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listen_fd, 1), 0);
    assert_int_equal(getsockname(server->listen_fd, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
}

static int probe_server(struct small_server *server, uint64_t timeout_ns, unsigned *ret_status,
                        struct error *error)
{
    listen_somewhere(server);
    assert_int_equal(pipe(server->released), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, serve_one, server), 0);
    int status = probe_get("127.0.0.1", server->port, "/ready", timeout_ns, ret_status, error);
    close(server->released[1]);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    close(server->released[0]);
    close(server->listen_fd);
    return status;
}

static void tells_the_status(void **state)
{
    (void)state;
    struct small_server server = {.answer = "HTTP/1.1 500 Internal Server Error\r\n\r\n{}"};
    struct error error;
    unsigned status = 0;
    int got = probe_server(&server, 60 * CLOCK_NS_PER_S, &status, &error);
    assert_int_equal(got, ERR_OK);
    assert_int_equal(status, 500);
    assert_memory_equal(server.request, "GET /ready HTTP/1.1\r\nHost: ", 27);
    assert_non_null(strstr(server.request, "\r\nConnection: close\r\n"));
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int want;
        const char *text;
    } cases[] = {
        {"", ERR_UNAVAILABLE, "the connection was closed without an answer"},
        {"HTTP/1.1 20", ERR_UNAVAILABLE, "the connection was closed without an answer"},
        {"220 mail.example ESMTP\r\n", ERR_INVALID, "the answer is not HTTP"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct small_server server = {.answer = cases[i].answer};
        struct error error;
        unsigned status = 0;
        assert_int_equal(probe_server(&server, 60 * CLOCK_NS_PER_S, &status, &error),
                         cases[i].want);
        assert_string_equal(error.text, cases[i].text);
        assert_int_equal(status, 0);
    }
}

static void gives_up_in_time(void **state)
{
    (void)state;
    struct small_server server = {.answer = NULL};
    struct error error;
    unsigned status = 0;
    int got = probe_server(&server, 20 * CLOCK_NS_PER_MS, &status, &error);
    assert_int_equal(got, ERR_TIMEOUT);
    assert_string_equal(error.text, "no answer in time");
}

static void says_that_nobody_listens(void **state)
{
    (void)state;
    struct small_server server = {.answer = NULL};
    struct error error;
    unsigned status = 0;
    listen_somewhere(&server);
    close(server.listen_fd); /* nobody has the port now */
    int got = probe_get("127.0.0.1", server.port, "/", CLOCK_NS_PER_S, &status, &error);
    assert_int_equal(got, ERR_UNAVAILABLE);
    assert_string_equal(error.text, "Connection refused");
}

static void refuses_a_long_path(void **state)
{
    (void)state;
    char path[1000];
    struct error error;
    unsigned status = 0;
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    int got = probe_get("127.0.0.1", 1, path, CLOCK_NS_PER_S, &status, &error);
    assert_int_equal(got, ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_status_line), cmocka_unit_test(every_split_agrees),
        cmocka_unit_test(tells_the_status),      cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(gives_up_in_time),      cmocka_unit_test(says_that_nobody_listens),
        cmocka_unit_test(refuses_a_long_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
