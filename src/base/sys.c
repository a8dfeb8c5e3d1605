/*
 * Thin wrappers around the system calls that src/net makes, each with a fault point in front. What
 * the kernel cannot refuse (close, EPOLL_CTL_DEL, signalling an eventfd) has none: a test that made
 * it fail would test a case that does not exist.
 */
#include "base/sys.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

/* One flag guards all fault points, so that production pays for one load. */
static _Atomic bool watched;
static _Atomic uint64_t counts[SYS_CALLS];
static _Atomic uint64_t fail_countdown;
static _Atomic int fail_call;
static _Atomic int fail_errno;
static _Atomic size_t io_limit;
static _Atomic uint64_t virtual_now_ns;

static bool fails_while_watched(enum sys_call call)
{
    atomic_fetch_add(&counts[call], 1);
    int wanted = atomic_load(&fail_call);
    if (atomic_load(&fail_countdown) == 0 || (wanted != SYS_ANY && wanted != (int)call)) {
        return false;
    }
    if (atomic_fetch_sub(&fail_countdown, 1) != 1) {
        return false;
    }
    errno = atomic_load(&fail_errno);
    return true;
}

static bool fails(enum sys_call call)
{
    return atomic_load_explicit(&watched, memory_order_relaxed) && fails_while_watched(call);
}

static size_t limited(size_t size)
{
    size_t limit = atomic_load_explicit(&io_limit, memory_order_relaxed);
    return limit != 0 && size > limit ? limit : size;
}

ssize_t sys_read(int fd, void *bytes, size_t size)
{
    ssize_t result;
    do {
        result = fails(SYS_READ) ? -1 : read(fd, bytes, limited(size));
    } while (result < 0 && errno == EINTR);
    return result;
}

ssize_t sys_send(int fd, const void *bytes, size_t size)
{
    ssize_t result;
    do {
        result = fails(SYS_SEND) ? -1 : send(fd, bytes, limited(size), MSG_NOSIGNAL);
    } while (result < 0 && errno == EINTR);
    return result;
}

ssize_t sys_send_two(int fd, struct slice first, struct slice second)
{
    size_t first_bytes = limited(first.len);
    struct iovec parts[2] = {
        {.iov_base = (void *)(uintptr_t)first.ptr, .iov_len = first_bytes},
        {.iov_base = (void *)(uintptr_t)second.ptr,
         .iov_len = first_bytes < first.len ? 0 : limited(second.len)},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t result;
    do {
        result = fails(SYS_SEND) ? -1 : sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (result < 0 && errno == EINTR);
    return result;
}

int sys_shutdown(int fd, int how)
{
    return fails(SYS_SHUTDOWN) ? -1 : shutdown(fd, how);
}

void sys_close(int fd)
{
    int kept = errno;
    (void)close(fd);
    errno = kept;
}

int sys_socket(int domain, int type, int protocol)
{
    return fails(SYS_SOCKET) ? -1 : socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

int sys_accept(int fd)
{
    int result;
    do {
        result = fails(SYS_ACCEPT) ? -1 : accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (result < 0 && errno == EINTR);
    return result;
}

int sys_epoll_create(void)
{
    return fails(SYS_EPOLL_CREATE) ? -1 : epoll_create1(EPOLL_CLOEXEC);
}

int sys_eventfd(void)
{
    return fails(SYS_EVENTFD) ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

int sys_set_option(int fd, int level, int name, int value)
{
    return fails(SYS_SET_OPTION) ? -1 : setsockopt(fd, level, name, &value, sizeof(value));
}

int sys_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return fails(SYS_BIND) ? -1 : bind(fd, address, size);
}

int sys_listen(int fd, int backlog)
{
    return fails(SYS_LISTEN) ? -1 : listen(fd, backlog);
}

int sys_local_address(int fd, struct sockaddr_storage *ret_address)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    if (fails(SYS_LOCAL_ADDRESS) || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        return -1;
    }
    *ret_address = address;
    return 0;
}

int sys_peer_address(int fd, struct sockaddr_storage *ret_address)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    if (fails(SYS_PEER_ADDRESS) || getpeername(fd, (struct sockaddr *)&address, &size) != 0) {
        return -1;
    }
    *ret_address = address;
    return 0;
}

void sys_eventfd_signal(int fd)
{
    int kept = errno;
    uint64_t one = 1;
    ssize_t result;
    do {
        result = write(fd, &one, sizeof(one));
    } while (result < 0 && errno == EINTR);
    CHECK(result == (ssize_t)sizeof(one));
    errno = kept;
}

int sys_epoll_set(int epoll_fd, int operation, int fd, uint32_t events, void *pointer)
{
    struct epoll_event event = {.events = events, .data.ptr = pointer};
    return fails(SYS_EPOLL_SET) ? -1 : epoll_ctl(epoll_fd, operation, fd, &event);
}

void sys_epoll_remove(int epoll_fd, int fd)
{
    int kept = errno;
    CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL) == 0);
    errno = kept;
}

static int wait_on_virtual_clock(int epoll_fd, struct epoll_event *events, int max, int timeout_ms)
{
    int result = epoll_wait(epoll_fd, events, max, 0);
    if (result == 0) {
        atomic_fetch_add(&virtual_now_ns, (uint64_t)timeout_ms * CLOCK_NS_PER_MS);
    }
    return result;
}

int sys_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout_ms)
{
    int result;
    if (fails(SYS_EPOLL_WAIT)) {
        result = -1;
    } else if (timeout_ms > 0 && atomic_load_explicit(&virtual_now_ns, memory_order_relaxed) != 0) {
        result = wait_on_virtual_clock(epoll_fd, events, max, timeout_ms);
    } else {
        result = epoll_wait(epoll_fd, events, max, timeout_ms);
    }
    return result < 0 && errno == EINTR ? 0 : result;
}

uint64_t sys_monotonic_ns(void)
{
    uint64_t now_ns = atomic_load_explicit(&virtual_now_ns, memory_order_relaxed);
    return now_ns != 0 ? now_ns : clock_monotonic_ns();
}

const char *sys_error_text(int error_number)
{
    const char *text = strerrordesc_np(error_number);
    return text == NULL ? "unknown error" : text;
}

void sys_fail_nth(uint64_t nth, int error_number)
{
    sys_fail_call(SYS_ANY, nth, error_number);
}

void sys_fail_call(enum sys_call call, uint64_t nth, int error_number)
{
    atomic_store(&fail_errno, error_number);
    atomic_store(&fail_call, (int)call);
    atomic_store(&fail_countdown, nth);
    atomic_store(&watched, true);
}

bool sys_fault_pending(void)
{
    return atomic_load(&fail_countdown) != 0;
}

void sys_limit_io(size_t bytes)
{
    atomic_store(&io_limit, bytes);
}

void sys_count_calls(void)
{
    for (int call = 0; call < SYS_CALLS; call++) {
        atomic_store(&counts[call], 0);
    }
    atomic_store(&watched, true);
}

uint64_t sys_calls(enum sys_call call)
{
    if (call != SYS_ANY) {
        return atomic_load(&counts[call]);
    }
    uint64_t sum = 0;
    for (int each = SYS_ANY + 1; each < SYS_CALLS; each++) {
        sum += atomic_load(&counts[each]);
    }
    return sum;
}

void sys_virtual_clock(uint64_t now_ns)
{
    atomic_store(&virtual_now_ns, now_ns);
}

void sys_reset(void)
{
    sys_fail_nth(0, 0);
    sys_limit_io(0);
    sys_virtual_clock(0);
    atomic_store(&watched, false);
}
