/* Listening sockets and acceptors, over loopback. */
#include "net/listener.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"
#include "unit_tests/net_testing.h"

#define SOCKETS_MAX 64

/* A listening socket, one loop that accepts, and what it got. */
struct fixture {
    struct loop *loop;
    int listen_fd;
    uint16_t port;
    struct acceptor *acceptor;
    int accepted[SOCKETS_MAX];
    int count;
    bool stop_at_first;
    int clients[SOCKETS_MAX];
    int client_count;
};

static void keep_socket(void *user, int fd)
{
    struct fixture *fixture = user;
    assert_true(fixture->count < SOCKETS_MAX);
    fixture->accepted[fixture->count++] = fd;
    if (fixture->stop_at_first) {
        acceptor_stop(fixture->acceptor);
    }
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.loop = new_loop()};
    assert_int_equal(listener_open("127.0.0.1", 0, &fixture.listen_fd, &fixture.port, NULL),
                     ERR_OK);
    assert_int_equal(acceptor_new(fixture.loop, fixture.listen_fd, keep_socket, &fixture,
                                  &fixture.acceptor, NULL),
                     ERR_OK);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    acceptor_free(fixture->acceptor);
    loop_free(fixture->loop);
    close(fixture->listen_fd);
    for (int i = 0; i < fixture->count; i++) {
        close(fixture->accepted[i]);
    }
    for (int i = 0; i < fixture->client_count; i++) {
        close(fixture->clients[i]);
    }
    sys_reset();
    return 0;
}

static void connect_clients(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        fixture->clients[fixture->client_count++] = connect_to(fixture->port);
    }
}

static void turn_until_accepted(struct fixture *fixture, int count)
{
    for (int turns = 0; turns < 1000 && fixture->count < count; turns++) {
        loop_turn(fixture->loop, 1000);
    }
    assert_int_equal(fixture->count, count);
}

static int int_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

static void says_why_it_cannot_listen(void **state)
{
    struct fixture *fixture = *state;
    int fd = -1;
    uint16_t port = 0;
    struct error error;
    char expected[64];
    assert_int_equal(listener_open("127.0.0.1", fixture->port, &fd, &port, &error), ERR_CONFIG);
    snprintf(expected, sizeof(expected), "127.0.0.1:%d: Address already in use", fixture->port);
    assert_string_equal(error.text, expected);
    assert_int_equal(listener_open("203.0.113.1", 80, &fd, &port, &error), ERR_CONFIG);
    assert_string_equal(error.text, "203.0.113.1:80: Cannot assign requested address");
    assert_int_equal(listener_open("not an address", 80, &fd, &port, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, "not an address:80: "));
    assert_int_equal(fd, -1);
    assert_int_equal(port, 0);
}

static void every_failing_call_leaves_nothing_open(void **state)
{
    (void)state;
    size_t before = count_descriptors();
    int fd = -1;
    uint16_t port;
    struct error error;
    for (uint64_t nth = 1; nth <= 6; nth++) {
        sys_fail_nth(nth, EACCES);
        assert_int_equal(listener_open("127.0.0.1", 0, &fd, &port, &error), ERR_CONFIG);
        assert_string_equal(error.text, "127.0.0.1:0: Permission denied");
        assert_false(sys_fault_pending());
        assert_int_equal(count_descriptors(), before);
    }
}

static void listens_on_both_families(void **state)
{
    (void)state;
    int fd;
    uint16_t port;
    struct error error;
    if (listener_open("::", 0, &fd, &port, &error) != ERR_OK) {
        assert_non_null(strstr(error.text, "[::]:0: ")); /* a machine without IPv6 */
        skip();
    }
    int client = connect_to(port); /* over IPv4 */
    close(client);
    close(fd);
}

static void accepted_sockets_are_ready_for_use(void **state)
{
    struct fixture *fixture = *state;
    connect_clients(fixture, 1);
    turn_until_accepted(fixture, 1);
    int fd = fixture->accepted[0];
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_not_equal(int_option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
}

static void a_burst_takes_several_turns(void **state)
{
    struct fixture *fixture = *state;
    connect_clients(fixture, 32);
    loop_turn(fixture->loop, 1000);
    assert_true(fixture->count > 0 && fixture->count < 32);
    turn_until_accepted(fixture, 32);
}

static void who_has_accepted_stands_in_line_anew(void **state)
{
    struct fixture *fixture = *state;
    sys_count_calls();
    connect_clients(fixture, 1);
    turn_until_accepted(fixture, 1);
    assert_int_equal(sys_calls(SYS_EPOLL_SET), 1);
    sys_fail_call(SYS_ACCEPT, 1, EAGAIN); /* another loop was faster */
    connect_clients(fixture, 1);
    loop_turn(fixture->loop, 1000);
    assert_false(sys_fault_pending());
    assert_int_equal(sys_calls(SYS_EPOLL_SET), 1);
    turn_until_accepted(fixture, 2);
}

static void clients_that_gave_up_are_passed_over(void **state)
{
    struct fixture *fixture = *state;
    connect_clients(fixture, 2);
    sys_fail_call(SYS_ACCEPT, 1, ECONNABORTED);
    turn_until_accepted(fixture, 2);
    assert_false(sys_fault_pending());
}

static void without_descriptors_it_pauses(void **state)
{
    struct fixture *fixture = *state;
    connect_clients(fixture, 1);
    sys_virtual_clock(VIRTUAL_START_NS);
    sys_fail_call(SYS_ACCEPT, 1, EMFILE);
    loop_turn(fixture->loop, 0);
    assert_false(sys_fault_pending());
    assert_int_equal(fixture->count, 0);
    loop_turn(fixture->loop, 99); /* finds nothing ready: the clock moves */
    assert_int_equal(fixture->count, 0);
    assert_int_equal(sys_monotonic_ns(), VIRTUAL_START_NS + 99 * CLOCK_NS_PER_MS);
    turn_until_accepted(fixture, 1);
}

static void a_failing_return_from_the_pause_is_tried_again(void **state)
{
    struct fixture *fixture = *state;
    connect_clients(fixture, 2);
    sys_virtual_clock(VIRTUAL_START_NS);
    sys_fail_call(SYS_EPOLL_SET, 1, ENOMEM);
    turn_until_accepted(fixture, 2);
    assert_false(sys_fault_pending());
    sys_fail_call(SYS_EPOLL_SET, 1, ENOMEM); /* while it stands in line anew */
    connect_clients(fixture, 1);
    turn_until_accepted(fixture, 3);
    connect_clients(fixture, 1);
    turn_until_accepted(fixture, 4);
    assert_true(sys_monotonic_ns() >= VIRTUAL_START_NS + 100 * CLOCK_NS_PER_MS);
}

static void stopping_takes_all_that_wait_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    connect_clients(fixture, 20);
    acceptor_stop(fixture->acceptor);
    assert_int_equal(fixture->count, 20);
    acceptor_stop(fixture->acceptor);
    connect_clients(fixture, 1);
    loop_turn(fixture->loop, 0);
    assert_int_equal(fixture->count, 20);
}

static bool connection_is_refused(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool refused =
        connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static void once_shut_everybody_is_refused(void **state)
{
    struct fixture *fixture = *state;
    connect_clients(fixture, 3);
    acceptor_stop(fixture->acceptor);
    assert_false(connection_is_refused(fixture->port));
    listener_shut(fixture->listen_fd);
    assert_true(connection_is_refused(fixture->port));
    listener_shut(fixture->listen_fd);
    assert_true(connection_is_refused(fixture->port));
    assert_int_equal(fixture->count, 3);
}

static void stopping_inside_on_accept_is_safe(void **state)
{
    struct fixture *fixture = *state;
    fixture->stop_at_first = true;
    connect_clients(fixture, 10);
    loop_turn(fixture->loop, 1000);
    assert_int_equal(fixture->count, 10);
}

static void failing_to_make_an_acceptor_is_clean(void **state)
{
    struct fixture *fixture = *state;
    struct acceptor *acceptor = NULL;
    struct error error;
    struct loop *loop = new_loop();
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_int_equal(
            acceptor_new(loop, fixture->listen_fd, keep_socket, NULL, &acceptor, &error),
            ERR_NO_MEMORY);
    }
    mem_fail_nth(0);
    sys_fail_nth(1, ENOSPC);
    assert_int_equal(acceptor_new(loop, fixture->listen_fd, keep_socket, NULL, &acceptor, &error),
                     ERR_INTERNAL);
    assert_null(acceptor);
    loop_free(loop);
}

/* Several loops on threads of their own share the listening socket. */

#define LOOPS 2
#define CLIENTS 100
#define ROUNDS_MAX 10

struct worker {
    struct loop *loop;
    struct acceptor *acceptor;
    struct loop_mail hello;
    struct loop_mail stop;
    sem_t running;
    atomic_int count;
};

static void count_and_close(void *user, int fd)
{
    struct worker *worker = user;
    atomic_fetch_add(&worker->count, 1);
    close(fd);
}

static void say_hello(struct loop_mail *mail)
{
    struct worker *worker = (struct worker *)((char *)mail - offsetof(struct worker, hello));
    sem_post(&worker->running);
}

static void stop_worker(struct loop_mail *mail)
{
    struct worker *worker = (struct worker *)((char *)mail - offsetof(struct worker, stop));
    acceptor_stop(worker->acceptor);
    loop_stop(worker->loop);
}

static void start_worker(struct worker *worker, int listen_fd)
{
    worker->loop = new_loop();
    worker->hello.deliver = say_hello;
    worker->stop.deliver = stop_worker;
    assert_int_equal(sem_init(&worker->running, 0, 0), 0);
    assert_int_equal(
        acceptor_new(worker->loop, listen_fd, count_and_close, worker, &worker->acceptor, NULL),
        ERR_OK);
    loop_post(worker->loop, &worker->hello);
}

static void *run_worker(void *user)
{
    struct worker *worker = user;
    loop_run(worker->loop);
    return NULL;
}

static void wait_for_close(int fd)
{
    char byte;
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0); /* blocking */
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* One client after the other; true when every loop has served at least a tenth of them. */
static bool serve_a_round(struct worker workers[LOOPS], uint16_t port)
{
    for (int i = 0; i < LOOPS; i++) {
        atomic_store(&workers[i].count, 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        int fd = connect_to(port);
        wait_for_close(fd);
        close(fd);
    }
    int sum = 0;
    bool shared = true;
    for (int i = 0; i < LOOPS; i++) {
        int count = atomic_load(&workers[i].count);
        sum += count;
        shared = shared && count >= CLIENTS / 10;
    }
    assert_int_equal(sum, CLIENTS);
    return shared;
}

/*
 * Loops that are idle take turns; without that the first one would serve all clients. Only the
 * scheduler can keep a loop from being idle in time, so that a bad round is tried again.
 */
static void loops_share_the_connections(void **state)
{
    (void)state;
    struct worker workers[LOOPS] = {0};
    pthread_t threads[LOOPS];
    int listen_fd;
    uint16_t port;
    bool shared = false;
    assert_int_equal(listener_open("127.0.0.1", 0, &listen_fd, &port, NULL), ERR_OK);
    for (int i = 0; i < LOOPS; i++) {
        start_worker(&workers[i], listen_fd);
        assert_int_equal(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
    }
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(sem_wait(&workers[i].running), 0);
    }
    for (int round = 0; round < ROUNDS_MAX && !shared; round++) {
        shared = serve_a_round(workers, port);
    }
    for (int i = 0; i < LOOPS; i++) {
        loop_post(workers[i].loop, &workers[i].stop);
        pthread_join(threads[i], NULL);
        acceptor_free(workers[i].acceptor);
        loop_free(workers[i].loop);
        sem_destroy(&workers[i].running);
    }
    assert_true(shared);
    close(listen_fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(says_why_it_cannot_listen),
        TEST(every_failing_call_leaves_nothing_open),
        cmocka_unit_test(listens_on_both_families),
        TEST(accepted_sockets_are_ready_for_use),
        TEST(a_burst_takes_several_turns),
        TEST(who_has_accepted_stands_in_line_anew),
        TEST(clients_that_gave_up_are_passed_over),
        TEST(without_descriptors_it_pauses),
        TEST(a_failing_return_from_the_pause_is_tried_again),
        TEST(stopping_takes_all_that_wait_and_no_more),
        TEST(once_shut_everybody_is_refused),
        TEST(stopping_inside_on_accept_is_safe),
        TEST(failing_to_make_an_acceptor_is_clean),
        cmocka_unit_test(loops_share_the_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
