/* The system-call shim: its fault points, its limits and its clock. */
#include "base/sys.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit_tests/testing.h"

struct ends {
    int near;
    int far;
};

static int set_up(void **state)
{
    static struct ends ends;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
        return -1;
    }
    ends = (struct ends){fds[0], fds[1]};
    *state = &ends;
    return 0;
}

static int tear_down(void **state)
{
    struct ends *ends = *state;
    sys_reset();
    close(ends->near);
    close(ends->far);
    return 0;
}

static void fails_the_nth_call_once(void **state)
{
    struct ends *ends = *state;
    sys_fail_nth(3, EIO);
    assert_int_equal(sys_send(ends->near, "a", 1), 1);
    assert_int_equal(sys_send(ends->near, "b", 1), 1);
    assert_true(sys_fault_pending());
    errno = 0;
    assert_int_equal(sys_send(ends->near, "c", 1), -1);
    assert_int_equal(errno, EIO);
    assert_false(sys_fault_pending());
    assert_int_equal(sys_send(ends->near, "d", 1), 1);
    char got[8];
    assert_int_equal(read(ends->far, got, sizeof(got)), 3);
    assert_memory_equal(got, "abd", 3);
}

static void fails_only_calls_of_one_kind(void **state)
{
    struct ends *ends = *state;
    char got[8];
    sys_fail_call(SYS_READ, 1, ECONNRESET);
    assert_int_equal(sys_send(ends->near, "a", 1), 1);
    assert_int_equal(sys_send(ends->far, "b", 1), 1);
    assert_int_equal(sys_read(ends->near, got, sizeof(got)), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(sys_read(ends->near, got, sizeof(got)), 1);
}

static void retries_interrupted_calls(void **state)
{
    struct ends *ends = *state;
    char got[8];
    sys_count_calls();
    sys_fail_nth(1, EINTR);
    assert_int_equal(sys_send(ends->near, "ab", 2), 2);
    assert_int_equal(sys_calls(SYS_SEND), 2);
    sys_fail_nth(1, EINTR);
    assert_int_equal(sys_read(ends->far, got, sizeof(got)), 2);
    assert_int_equal(sys_calls(SYS_READ), 2);
    sys_fail_nth(1, EINTR);
    assert_int_equal(sys_accept(ends->near), -1);
    assert_int_not_equal(errno, EINTR);
    assert_int_equal(sys_calls(SYS_ACCEPT), 2);
}

static void an_interrupted_wait_found_nothing(void **state)
{
    (void)state;
    struct epoll_event event;
    int epoll_fd = sys_epoll_create();
    sys_fail_nth(1, EINTR);
    assert_int_equal(sys_epoll_wait(epoll_fd, &event, 1, -1), 0);
    sys_fail_nth(1, ENOMEM);
    assert_int_equal(sys_epoll_wait(epoll_fd, &event, 1, -1), -1);
    sys_close(epoll_fd);
}

static void limits_reads_and_sends(void **state)
{
    struct ends *ends = *state;
    char got[8];
    sys_limit_io(3);
    assert_int_equal(sys_send(ends->near, "abcde", 5), 3);
    assert_int_equal(sys_send(ends->near, "de", 2), 2);
    assert_int_equal(sys_read(ends->far, got, sizeof(got)), 3);
    sys_limit_io(0);
    assert_int_equal(sys_read(ends->far, got + 3, sizeof(got) - 3), 2);
    assert_memory_equal(got, "abcde", 5);
}

static void counts_calls(void **state)
{
    struct ends *ends = *state;
    char got[8];
    sys_count_calls();
    assert_int_equal(sys_send(ends->near, "a", 1), 1);
    assert_int_equal(sys_read(ends->far, got, sizeof(got)), 1);
    assert_int_equal(sys_read(ends->far, got, sizeof(got)), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(sys_calls(SYS_SEND), 1);
    assert_int_equal(sys_calls(SYS_READ), 2);
    assert_int_equal(sys_calls(SYS_ANY), 3);
    sys_reset();
    assert_int_equal(sys_send(ends->near, "a", 1), 1);
    assert_int_equal(sys_calls(SYS_SEND), 1);
}

static void a_gone_peer_is_an_error_and_no_signal(void **state)
{
    struct ends *ends = *state;
    close(ends->far);
    ends->far = -1;
    assert_int_equal(sys_send(ends->near, "a", 1), -1);
    assert_int_equal(errno, EPIPE);
}

static void what_cannot_fail_keeps_errno(void **state)
{
    (void)state;
    uint64_t value = 0;
    int epoll_fd = sys_epoll_create();
    int fd = sys_eventfd();
    assert_int_equal(sys_epoll_set(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, NULL), 0);
    errno = ENOTTY;
    sys_eventfd_signal(fd);
    sys_eventfd_signal(fd);
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(sys_read(fd, &value, sizeof(value)), sizeof(value));
    assert_int_equal(value, 2);
    sys_epoll_remove(epoll_fd, fd);
    sys_close(fd);
    sys_close(epoll_fd);
    sys_close(-1);
    assert_int_equal(errno, ENOTTY);
}

static void virtual_time_moves_by_waiting_in_vain(void **state)
{
    struct ends *ends = *state;
    struct epoll_event event;
    int epoll_fd = sys_epoll_create();
    assert_int_equal(sys_epoll_set(epoll_fd, EPOLL_CTL_ADD, ends->near, EPOLLIN, ends), 0);
    sys_virtual_clock(5000);
    assert_int_equal(sys_monotonic_ns(), 5000);
    assert_int_equal(sys_epoll_wait(epoll_fd, &event, 1, 3600 * 1000), 0);
    uint64_t hour_ns = 3600 * CLOCK_NS_PER_S;
    assert_int_equal(sys_monotonic_ns(), 5000 + hour_ns);
    assert_int_equal(sys_send(ends->far, "a", 1), 1);
    assert_int_equal(sys_epoll_wait(epoll_fd, &event, 1, 1000), 1);
    assert_ptr_equal(event.data.ptr, ends);
    assert_int_equal(sys_monotonic_ns(), 5000 + hour_ns);
    sys_virtual_clock(0);
    uint64_t before_ns = clock_monotonic_ns();
    assert_true(sys_monotonic_ns() >= before_ns);
    sys_close(epoll_fd);
}

static void has_words_for_every_errno(void **state)
{
    (void)state;
    assert_string_equal(sys_error_text(EADDRINUSE), "Address already in use");
    assert_string_equal(sys_error_text(123456), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fails_the_nth_call_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fails_only_calls_of_one_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(retries_interrupted_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_interrupted_wait_found_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_reads_and_sends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gone_peer_is_an_error_and_no_signal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_fail_keeps_errno, set_up, tear_down),
        cmocka_unit_test_setup_teardown(virtual_time_moves_by_waiting_in_vain, set_up, tear_down),
        cmocka_unit_test(has_words_for_every_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
