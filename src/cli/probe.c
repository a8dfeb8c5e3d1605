/* The sockets behind `onnxd health`. Nothing waits but in poll(2), which gets the time that is left. */
#include "cli/probe.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"

#define REQUEST_MAX 512
#define HEAD_MAX 256 /* more than any status line */

int probe_read_status(struct slice head, unsigned *ret_status)
{
    static const char version[] = "HTTP/1.";
    size_t prefix = sizeof(version) - 1;
    size_t known = head.len < prefix ? head.len : prefix;
    if (memcmp(head.ptr, version, known) != 0) {
        return -1;
    }
    /* RFC 9112 section 4: HTTP/1.x SP 3DIGIT SP. */
    static const char shape[] = "d ddd";
    unsigned status = 0;
    for (size_t i = 0; i < sizeof(shape) - 1; i++) {
        if (head.len <= prefix + i) {
            return 0;
        }
        char byte = head.ptr[prefix + i];
        if (shape[i] == ' ' ? byte != ' ' : byte < '0' || byte > '9') {
            return -1;
        }
        if (i >= 2) {
            status = status * 10 + (unsigned)(byte - '0');
        }
    }
    if (head.len <= prefix + sizeof(shape) - 1) {
        return 0;
    }
    char end = head.ptr[prefix + sizeof(shape) - 1];
    if (status < 100 || (end != ' ' && end != '\r' && end != '\n')) {
        return -1;
    }
    *ret_status = status;
    return 1;
}

static int unavailable(struct error *error, int error_number)
{
    return error_set(error, ERR_UNAVAILABLE, "%s", sys_error_text(error_number));
}

/* Waits for `events` until the deadline. */
static int wait_for(int fd, short events, uint64_t deadline_ns, struct error *error)
{
    for (;;) {
        uint64_t now_ns = sys_monotonic_ns();
        if (now_ns >= deadline_ns) {
            return error_set(error, ERR_TIMEOUT, "no answer in time");
        }
        uint64_t left_ms = (deadline_ns - now_ns) / CLOCK_NS_PER_MS + 1;
        struct pollfd waiting = {.fd = fd, .events = events};
        int ready = poll(&waiting, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (ready > 0) {
            return ERR_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return error_set(error, ERR_INTERNAL, "poll: %s", sys_error_text(errno));
        }
    }
}

static int finish_connecting(int fd, uint64_t deadline_ns, struct error *error)
{
    int status = wait_for(fd, POLLOUT, deadline_ns, error);
    if (status != ERR_OK) {
        return status;
    }
    int reason = 0;
    socklen_t size = sizeof(reason);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) != 0) {
        reason = errno;
    }
    return reason == 0 ? ERR_OK : unavailable(error, reason);
}

/* A connected socket in *ret_fd, owned by the caller. */
static int connect_to(const struct addrinfo *info, uint64_t deadline_ns, int *ret_fd,
                      struct error *error)
{
    int fd = sys_socket(info->ai_family, info->ai_socktype, info->ai_protocol);
    if (fd < 0) {
        return unavailable(error, errno);
    }
    int status = ERR_OK;
    if (connect(fd, info->ai_addr, info->ai_addrlen) != 0) {
        status = errno == EINPROGRESS || errno == EINTR ? finish_connecting(fd, deadline_ns, error)
                                                        : unavailable(error, errno);
    }
    if (status != ERR_OK) {
        sys_close(fd);
        return status;
    }
    *ret_fd = fd;
    return ERR_OK;
}

static int connect_to_any(const char *host, uint16_t port, uint64_t deadline_ns, int *ret_fd,
                          struct error *error)
{
    char service[sizeof("65535")];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *infos = NULL;
    int lookup = getaddrinfo(host, service, &hints, &infos);
    if (lookup != 0) {
        return lookup == EAI_SYSTEM ? unavailable(error, errno)
                                    : error_set(error, ERR_UNAVAILABLE, "%s", gai_strerror(lookup));
    }
    int status = error_set(error, ERR_UNAVAILABLE, "the name has no address");
    for (const struct addrinfo *info = infos; info != NULL && status != ERR_OK;
         info = info->ai_next) {
        status = connect_to(info, deadline_ns, ret_fd, error);
    }
    freeaddrinfo(infos);
    return status;
}

static int send_all(int fd, struct slice bytes, uint64_t deadline_ns, struct error *error)
{
    while (bytes.len > 0) {
        ssize_t sent = sys_send(fd, bytes.ptr, bytes.len);
        if (sent >= 0) {
            bytes.ptr += sent;
            bytes.len -= (size_t)sent;
        } else if (errno != EAGAIN) {
            return unavailable(error, errno);
        } else {
            int status = wait_for(fd, POLLOUT, deadline_ns, error);
            if (status != ERR_OK) {
                return status;
            }
        }
    }
    return ERR_OK;
}

static int read_status(int fd, uint64_t deadline_ns, unsigned *ret_status, struct error *error)
{
    char head[HEAD_MAX];
    size_t len = 0;
    for (;;) {
        int status = wait_for(fd, POLLIN, deadline_ns, error);
        if (status != ERR_OK) {
            return status;
        }
        ssize_t got = sys_read(fd, head + len, sizeof(head) - len);
        if (got < 0 && errno == EAGAIN) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? unavailable(error, errno)
                           : error_set(error, ERR_UNAVAILABLE,
                                       "the connection was closed without an answer");
        }
        len += (size_t)got;
        int found = probe_read_status((struct slice){head, len}, ret_status);
        if (found != 0) {
            return found > 0 ? ERR_OK : error_set(error, ERR_INVALID, "the answer is not HTTP");
        }
    }
}

int probe_get(const char *host, uint16_t port, const char *path, uint64_t timeout_ns,
              unsigned *ret_status, struct error *error)
{
    uint64_t deadline_ns = sys_monotonic_ns() + timeout_ns;
    char request[REQUEST_MAX];
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: onnxd-health\r\n"
                       "Connection: close\r\n\r\n",
                       path);
    if (len < 0 || (size_t)len >= sizeof(request)) {
        return error_set(error, ERR_INTERNAL, "the path is too long");
    }
    int fd = -1;
    int status = connect_to_any(host, port, deadline_ns, &fd, error);
    if (status != ERR_OK) {
        return status;
    }
    status = send_all(fd, (struct slice){request, (size_t)len}, deadline_ns, error);
    if (status == ERR_OK) {
        status = read_status(fd, deadline_ns, ret_status, error);
    }
    sys_close(fd);
    return status;
}
