/* A session over a socket pair: what a client says, and what it hears. */
#ifndef SESSION_FIXTURE_H
#define SESSION_FIXTURE_H

#include "unit_tests/serve_fixture.h"

#include "unit_tests/testing.h"

#define HOST "Host: t\r\n"
#define LIVE "GET /live HTTP/1.1\r\n" HOST "\r\n"
#define ASK "POST /invocations HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n[[1,2]]"
#define ANSWER "[[1.0,2.0]]"
#define S CLOCK_NS_PER_S
#define MS CLOCK_NS_PER_MS

struct test {
    struct fixture fixture;
    int peer;
    bool ended; /* the peer has seen the end of the stream */
    char text[1 << 20];
    size_t len;
};

static inline struct test *begin(const char *script, const char *const *settings)
{
    static struct test test;
    memset(&test, 0, offsetof(struct test, text));
    test.len = 0;
    fixture_init(&test.fixture, script, settings);
    test.peer = fixture_connect(&test.fixture);
    return &test;
}

static inline void finish(struct test *test)
{
    close(test->peer);
    fixture_turn(&test->fixture, 2);
    fixture_done(&test->fixture);
}

static inline void say(struct test *test, const char *text)
{
    assert_int_equal(send(test->peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads at most `most` bytes of what has been sent; true when it got some. */
static inline bool listen_some(struct test *test, size_t most)
{
    size_t room = sizeof(test->text) - 1 - test->len;
    ssize_t count = recv(test->peer, test->text + test->len, room < most ? room : most, 0);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        test->ended = true;
    }
    test->len += count > 0 ? (size_t)count : 0;
    test->text[test->len] = '\0';
    return count > 0;
}

static inline void hear(struct test *test)
{
    do {
        fixture_turn(&test->fixture, 3);
    } while (listen_some(test, sizeof(test->text)));
}

static inline unsigned count_of(const struct test *test, const char *text)
{
    unsigned count = 0;
    for (const char *at = test->text; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

static inline void assert_says(const struct test *test, const char *text)
{
    if (strstr(test->text, text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, test->text);
    }
}

static inline void assert_quiet_about(const struct test *test, const char *text)
{
    if (strstr(test->text, text) != NULL) {
        fail_msg("\"%s\" is in: %s", text, test->text);
    }
}

#endif
