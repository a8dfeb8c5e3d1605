/*
 * What the tests of src/net share: the far end of a connection, made with bare system calls so that
 * injected faults hit only the code under test.
 */
#ifndef NET_TESTING_H
#define NET_TESTING_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "net/loop.h"
#include "unit_tests/testing.h"

#define VIRTUAL_START_NS (UINT64_C(1000) * 1000 * 1000 * 1000)

#if defined(__SANITIZE_ADDRESS__)
#define POOLS_RECYCLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOLS_RECYCLE 0
#endif
#endif
#ifndef POOLS_RECYCLE
#define POOLS_RECYCLE 1
#endif

/* How many descriptors this process has open (the directory's own among them). */
static inline size_t count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    size_t count = 0;
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static inline struct loop *new_loop(void)
{
    struct loop *loop = NULL;
    assert_int_equal(loop_new(&loop, NULL), ERR_OK);
    return loop;
}

/* Both ends non-blocking. */
static inline void make_socketpair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

/* A non-blocking TCP socket that is connected, or connecting, to this machine. */
static inline int connect_to(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int result = connect(fd, (struct sockaddr *)&address, sizeof(address));
    assert_true(result == 0 || errno == EINPROGRESS);
    return fd;
}

/* Sends all of it, which must fit into the socket. */
static inline void peer_send(int fd, const void *bytes, size_t size)
{
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* A connected TCP pair; `fds[0]` is the accepted end, non-blocking like the other. */
static inline void make_tcp_pair(int fds[2])
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    fds[1] = connect_to(ntohs(address.sin_port));
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fds[0] >= 0);
    close(listener);
}

#endif
