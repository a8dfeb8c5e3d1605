/*
 * The system calls of the network layer in one place, so that tests can count them, make the Nth
 * one fail, cut every read and write short, and run on a clock of their own. In production each is
 * one relaxed load away from the bare call. As in libc: -1 and errno on failure. EINTR is retried
 * here and never seen by the caller. Any thread.
 */
#ifndef BASE_SYS_H
#define BASE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/slice.h"

MUST_CHECK ssize_t sys_read(int fd, void *bytes, size_t size);
/* send(2) with MSG_NOSIGNAL: a peer that is gone is EPIPE, never a signal. */
MUST_CHECK ssize_t sys_send(int fd, const void *bytes, size_t size);
/* Both in one call, the second behind the first. */
MUST_CHECK ssize_t sys_send_two(int fd, struct slice first, struct slice second);
MUST_CHECK int sys_shutdown(int fd, int how);
/* Cannot fail: Linux has closed the descriptor whatever close(2) returns. errno is kept. */
void sys_close(int fd);

/* All of these descriptors are close-on-exec, the sockets non-blocking. */
MUST_CHECK int sys_socket(int domain, int type, int protocol);
MUST_CHECK int sys_accept(int fd);
MUST_CHECK int sys_epoll_create(void);
MUST_CHECK int sys_eventfd(void);

MUST_CHECK int sys_set_option(int fd, int level, int name, int value);
MUST_CHECK int sys_bind(int fd, const struct sockaddr *address, socklen_t size);
MUST_CHECK int sys_listen(int fd, int backlog);
MUST_CHECK int sys_local_address(int fd, struct sockaddr_storage *ret_address);
MUST_CHECK int sys_peer_address(int fd, struct sockaddr_storage *ret_address);

/* Adds 1 to an eventfd. Cannot fail short of 2^64 signals. Async-signal-safe; errno is kept. */
void sys_eventfd_signal(int fd);

/* EPOLL_CTL_ADD or EPOLL_CTL_MOD; the event carries `pointer`. */
MUST_CHECK int sys_epoll_set(int epoll_fd, int operation, int fd, uint32_t events, void *pointer);
/* EPOLL_CTL_DEL of a descriptor that is in the set: cannot fail. errno is kept. */
void sys_epoll_remove(int epoll_fd, int fd);
/* timeout_ms -1 waits for ever. 0 also when a signal came first. */
MUST_CHECK int sys_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout_ms);

/* CLOCK_MONOTONIC, or the tests' clock. */
uint64_t sys_monotonic_ns(void);

/* The system's words for an errno value, in English, never NULL. */
const char *sys_error_text(int error_number);

/* The rest is for tests only. */

enum sys_call {
    SYS_ANY, /* every call below; for sys_calls their sum */
    SYS_READ,
    SYS_SEND,
    SYS_SHUTDOWN,
    SYS_SOCKET,
    SYS_ACCEPT,
    SYS_EPOLL_CREATE,
    SYS_EVENTFD,
    SYS_SET_OPTION,
    SYS_BIND,
    SYS_LISTEN,
    SYS_LOCAL_ADDRESS,
    SYS_PEER_ADDRESS,
    SYS_EPOLL_SET,
    SYS_EPOLL_WAIT,
    SYS_CALLS /* how many there are */
};

/* The nth call from now (1 = the next) fails once with `error_number`; 0 switches it off. */
void sys_fail_nth(uint64_t nth, int error_number);
/* The same, counting calls of one kind only. */
void sys_fail_call(enum sys_call call, uint64_t nth, int error_number);
/* Whether the failure asked for has not happened yet. */
bool sys_fault_pending(void);

/* Every read and send moves at most `bytes`; 0 switches it off. */
void sys_limit_io(size_t bytes);

/* Counts from zero from now on. */
void sys_count_calls(void);
uint64_t sys_calls(enum sys_call call);

/*
 * From now on time stands still at `now_ns`, but for sys_epoll_wait: one with a timeout that finds
 * nothing ready does not wait, it moves the clock by its timeout. 0 goes back to real time.
 */
void sys_virtual_clock(uint64_t now_ns);

/* Everything above is switched off. */
void sys_reset(void);

#endif
