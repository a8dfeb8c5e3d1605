/*
 * Large bodies leave the loop: while one is decoded or encoded elsewhere others are answered, and its
 * answer is the same. A gate in front of the only other thread decides when.
 */
#include "unit_tests/serve_fixture.h"

#include "http/gzip.h"

#include "unit_tests/task_gate.h"
#include "unit_tests/testing.h"

#define ROWS 30000 /* of two numbers: some 350 KB of JSON in, 480 KB out */
#define HOST "Host: t\r\n"
#define SMALL "POST /invocations HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n[[1,2]]"
#define SMALL_ANSWER "[[1.0,2.0]]"

/* ---- clients ---- */

struct client {
    int fd;
    char *text; /* what it has got */
    size_t len;
    size_t capacity;
    bool ended;
};

static struct client connect_client(struct fixture *fixture)
{
    struct client client = {.fd = fixture_connect(fixture), .capacity = 1 << 20};
    client.text = malloc(client.capacity);
    assert_non_null(client.text);
    return client;
}

static void hang_up(struct client *client)
{
    close(client->fd);
    free(client->text);
}

static void hear(struct client *client)
{
    ssize_t count;
    do {
        assert_true(client->len < client->capacity - 1);
        count = recv(client->fd, client->text + client->len, client->capacity - 1 - client->len, 0);
        client->len += count > 0 ? (size_t)count : 0;
        client->ended = client->ended || count == 0;
    } while (count > 0);
    client->text[client->len] = '\0';
}

/* Sends all, turning the loop so that it reads; what is answered meanwhile is heard. */
static void say(struct fixture *fixture, struct client *client, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t count = send(client->fd, text, len, MSG_NOSIGNAL);
        assert_true(count > 0 || errno == EAGAIN);
        text += count > 0 ? count : 0;
        len -= count > 0 ? (size_t)count : 0;
        fixture_turn(fixture, 1);
        hear(client);
    }
}

static bool ends_in(const struct client *client, const char *end)
{
    size_t end_len = strlen(end);
    return client->len >= end_len &&
           memcmp(client->text + client->len - end_len, end, end_len) == 0;
}

/*
 * Turns the loop until the client's text ends in `end`. Another thread may have to come first; where
 * none works any more, a few turns bring all there is.
 */
static void hear_until(struct fixture *fixture, struct client *client, const char *end)
{
    for (int idle_turns = 0; !ends_in(client, end); idle_turns++) {
        if (client->ended || idle_turns > 1000) {
            fail_msg("no %s in: %.300s", end, client->text);
        }
        if (fixture->io->inferences > 0) {
            idle_turns = 0;
        }
        fixture_turn(fixture, 1);
        hear(client);
    }
}

/* Sends all of a request, and lets the loop read it. */
static void ask(struct fixture *fixture, struct client *client, const char *text, size_t len)
{
    say(fixture, client, text, len);
    while (fixture->io->inferences == 0) {
        fixture_turn(fixture, 1);
    }
}

/* ---- a large request ---- */

static char *large_request(size_t *ret_len)
{
    static char text[1 << 20];
    char *body = text + 200;
    char *at = body;
    *at++ = '[';
    for (int i = 0; i < ROWS; i++) {
        at += snprintf(at, 32, "%s[%d,1.5]", i > 0 ? "," : "", i);
    }
    *at++ = ']';
    int head =
        snprintf(text, 200, "POST /invocations HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                 (size_t)(at - body));
    memmove(text + head, body, (size_t)(at - body));
    *ret_len = (size_t)head + (size_t)(at - body);
    text[*ret_len] = '\0';
    return text;
}

static void begin(struct fixture *fixture, bool with_tasks)
{
    static const char *const settings[] = {"MAX_RECORDS", "100000", NULL};
    fixture_init(fixture, FIXTURE_ECHO, settings);
    if (with_tasks) {
        assert_int_equal(task_pool_new(1, &fixture->shared.tasks, NULL), ERR_OK);
    }
}

static void end(struct fixture *fixture)
{
    fixture_turn(fixture, 2);
    task_pool_free(fixture->shared.tasks); /* first: its threads post to the loop */
    fixture->shared.tasks = NULL;
    fixture_done(fixture);
}

#define LAST_ROW "[29999.0,1.5]]"

static void others_are_answered_while_a_large_body_waits(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t len;
    const char *request = large_request(&len);
    begin(&fixture, true);
    struct client large = connect_client(&fixture);
    struct client small = connect_client(&fixture);
    close_gate(fixture.shared.tasks);
    say(&fixture, &large, request, len);
    say(&fixture, &small, SMALL, strlen(SMALL));
    hear_until(&fixture, &small, SMALL_ANSWER);
    assert_int_equal(large.len, 0);
    open_gate();
    hear_until(&fixture, &large, LAST_ROW);
    hang_up(&large);
    hang_up(&small);
    end(&fixture);
}

static void the_answer_is_that_of_a_loop_that_does_it_itself(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client clients[2];
    size_t len;
    const char *request = large_request(&len);
    for (int i = 0; i < 2; i++) {
        begin(&fixture, i == 1);
        clients[i] = connect_client(&fixture);
        say(&fixture, &clients[i], request, len);
        hear_until(&fixture, &clients[i], LAST_ROW);
        /* The connection lives on, and answers small requests as before. */
        clients[i].text[clients[i].len] = '\0';
        size_t large_len = clients[i].len;
        say(&fixture, &clients[i], SMALL, strlen(SMALL));
        hear_until(&fixture, &clients[i], SMALL_ANSWER);
        clients[i].len = large_len;
        end(&fixture);
    }
    const char *bodies[2];
    size_t lens[2];
    for (int i = 0; i < 2; i++) {
        bodies[i] = strstr(clients[i].text, "\r\n\r\n");
        assert_non_null(bodies[i]);
        lens[i] = (size_t)(clients[i].text + clients[i].len - bodies[i]);
    }
    assert_int_equal(lens[0], lens[1]);
    assert_memory_equal(bodies[0], bodies[1], lens[0]);
    hang_up(&clients[0]);
    hang_up(&clients[1]);
}

static void pipelined_requests_behind_it_are_answered_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t len;
    const char *request = large_request(&len);
    begin(&fixture, true);
    struct client client = connect_client(&fixture);
    say(&fixture, &client, request, len);
    say(&fixture, &client, SMALL SMALL, 2 * strlen(SMALL));
    hear_until(&fixture, &client, SMALL_ANSWER);
    const char *large_end = strstr(client.text, LAST_ROW);
    assert_non_null(large_end);
    assert_true(large_end < strstr(client.text, SMALL_ANSWER));
    hang_up(&client);
    end(&fixture);
}

static void who_leaves_meanwhile_costs_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t len;
    const char *request = large_request(&len);
    begin(&fixture, true);
    struct client client = connect_client(&fixture);
    close_gate(fixture.shared.tasks);
    ask(&fixture, &client, request, len);
    hang_up(&client);
    fixture_turn(&fixture, 4);
    assert_int_equal(atomic_load(&fixture.shared.connections), 0);
    assert_int_equal(fixture.io->inferences, 1);
    open_gate();
    while (fixture.io->inferences > 0) {
        fixture_turn(&fixture, 1);
    }
    end(&fixture);
}

static void a_reload_meanwhile_does_not_mix_models(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t len;
    const char *request = large_request(&len);
    begin(&fixture, true);
    struct client client = connect_client(&fixture);
    close_gate(fixture.shared.tasks);
    ask(&fixture, &client, request, len);
    /* What was decoded for the old model's input runs on the old model. */
    fixture_write_model(&fixture, "input = x float32 [N, 3]\noutput = y float32 [N, 3] echo x\n");
    fixture_deploy(&fixture);
    fixture_turn(&fixture, 2);
    open_gate();
    hear_until(&fixture, &client, LAST_ROW);
    hang_up(&client);
    end(&fixture);
}

static void a_broken_body_is_refused_with_its_place(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t len;
    char *request = large_request(&len);
    begin(&fixture, true);
    struct client client = connect_client(&fixture);
    request[len - 3] = 'x';
    say(&fixture, &client, request, len);
    hear_until(&fixture, &client, "}");
    assert_non_null(strstr(client.text, "HTTP/1.1 400 "));
    assert_non_null(strstr(client.text, "byte"));
    hang_up(&client);
    end(&fixture);
}

/* A body of so many bytes in gzip, behind its head. */
static char *packed_request(const char *body, size_t body_len, size_t *ret_len)
{
    static char text[1 << 18];
    struct bytes packed;
    struct gzip *gzip = gzip_new();
    bytes_init(&packed, sizeof(text) / 2);
    assert_non_null(gzip);
    assert_int_equal(gzip_feed(gzip, slice_make(body, body_len), &packed), ERR_OK);
    assert_int_equal(gzip_finish(gzip, &packed), ERR_OK);
    gzip_free(gzip);
    assert_true(bytes_len(&packed) >= INFER_LARGE_GZIP_BYTES);
    int head = snprintf(text, 200,
                        "POST /invocations HTTP/1.1\r\n" HOST
                        "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                        bytes_len(&packed));
    memcpy(text + head, packed.ptr, bytes_len(&packed));
    *ret_len = (size_t)head + bytes_len(&packed);
    bytes_done(&packed);
    return text;
}

static void a_gzip_body_is_decoded_elsewhere(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t len;
    const char *plain = strstr(large_request(&len), "\r\n\r\n") + 4;
    const char *request = packed_request(plain, strlen(plain), &len);
    begin(&fixture, true);
    struct client large = connect_client(&fixture);
    struct client small = connect_client(&fixture);
    close_gate(fixture.shared.tasks);
    ask(&fixture, &large, request, len);
    say(&fixture, &small, SMALL, strlen(SMALL));
    hear_until(&fixture, &small, SMALL_ANSWER);
    assert_int_equal(large.len, 0);
    open_gate();
    hear_until(&fixture, &large, LAST_ROW);
    hang_up(&large);
    hang_up(&small);
    end(&fixture);
}

static void what_unpacks_to_too_much_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t len;
    static char zeros[8 << 20]; /* past the default of MAX_BODY_BYTES */
    const char *request = packed_request(zeros, sizeof(zeros), &len);
    begin(&fixture, true);
    struct client client = connect_client(&fixture);
    ask(&fixture, &client, request, len);
    hear_until(&fixture, &client, "\"max_bytes\":6291456}");
    assert_non_null(strstr(client.text, "HTTP/1.1 413 "));
    /* All of it was read: the connection goes on. */
    say(&fixture, &client, SMALL, strlen(SMALL));
    hear_until(&fixture, &client, SMALL_ANSWER);
    hang_up(&client);
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_answered_while_a_large_body_waits),
        cmocka_unit_test(the_answer_is_that_of_a_loop_that_does_it_itself),
        cmocka_unit_test(pipelined_requests_behind_it_are_answered_in_order),
        cmocka_unit_test(who_leaves_meanwhile_costs_nothing),
        cmocka_unit_test(a_reload_meanwhile_does_not_mix_models),
        cmocka_unit_test(a_broken_body_is_refused_with_its_place),
        cmocka_unit_test(a_gzip_body_is_decoded_elsewhere),
        cmocka_unit_test(what_unpacks_to_too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
