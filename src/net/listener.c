/*
 * Opening a listening socket, and taking connections off it. Every loop watches the same descriptor
 * with EPOLLEXCLUSIVE: the kernel wakes one that sleeps, not all. The kernel asks the loops in the
 * order in which they registered, so the first would get all connections of a quiet server: a loop
 * that has accepted registers anew and stands at the end of that line.
 */
#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"

#define ACCEPTOR_MAGIC UINT32_C(0x61636370)
#define LISTENER_BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */
/* Few, so that the other loops get some of a burst. */
#define ACCEPTOR_BATCH 4
#define ACCEPTOR_PAUSE_NS (100 * CLOCK_NS_PER_MS)

struct acceptor {
    uint32_t magic;
    bool stopped;
    bool watching; /* the source is in the loop */
    struct loop *loop;
    struct loop_source source;
    struct loop_timer timer; /* always set; UINT64_MAX while not paused */
    void (*on_accept)(void *user, int fd);
    void *user;
};

static uint16_t port_of(const struct sockaddr_storage *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->ss_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        return ntohs(v6.sin6_port);
    }
    memcpy(&v4, address, sizeof(v4));
    return ntohs(v4.sin_port);
}

/* Accepted sockets inherit TCP_NODELAY from the listening one. "::" takes IPv4 clients too. */
static int set_options(int fd, int family)
{
    if (sys_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0 ||
        sys_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) != 0) {
        return -1;
    }
    return family == AF_INET6 ? sys_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) : 0;
}

/* The listening socket, or -1 and errno. */
static int open_address(const struct addrinfo *info, uint16_t *ret_port)
{
    struct sockaddr_storage address;
    int fd = sys_socket(info->ai_family, info->ai_socktype, info->ai_protocol);
    if (fd < 0) {
        return -1;
    }
    if (set_options(fd, info->ai_family) != 0 ||
        sys_bind(fd, info->ai_addr, info->ai_addrlen) != 0 ||
        sys_listen(fd, LISTENER_BACKLOG) != 0 || sys_local_address(fd, &address) != 0) {
        sys_close(fd); /* keeps errno */
        return -1;
    }
    *ret_port = port_of(&address);
    return fd;
}

static int config_error(struct error *error, const char *host, uint16_t port, const char *reason)
{
    bool v6 = strchr(host, ':') != NULL;
    return error_set(error, ERR_CONFIG, "%s%s%s:%u: %s", v6 ? "[" : "", host, v6 ? "]" : "",
                     (unsigned)port, reason);
}

int listener_open(const char *host, uint16_t port, int *ret_fd, uint16_t *ret_port,
                  struct error *error)
{
    char service[sizeof("65535")];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *infos = NULL;
    int lookup = getaddrinfo(host, service, &hints, &infos);
    if (lookup != 0) {
        return config_error(error, host, port,
                            lookup == EAI_SYSTEM ? sys_error_text(errno) : gai_strerror(lookup));
    }
    int fd = -1;
    for (const struct addrinfo *info = infos; info != NULL && fd < 0; info = info->ai_next) {
        fd = open_address(info, ret_port);
    }
    int reason = errno;
    freeaddrinfo(infos);
    if (fd < 0) {
        return config_error(error, host, port, sys_error_text(reason));
    }
    *ret_fd = fd;
    return ERR_OK;
}

void listener_shut(int listen_fd)
{
    /* Fails only where the socket listens no more. */
    (void)!sys_shutdown(listen_fd, SHUT_RD);
}

static void set_timer(struct acceptor *acceptor, uint64_t at_ns)
{
    /* Set since acceptor_new: moving it cannot fail. */
    CHECK(loop_timer_set(acceptor->loop, &acceptor->timer, at_ns) == ERR_OK);
}

static void unwatch(struct acceptor *acceptor)
{
    if (acceptor->watching) {
        loop_remove(acceptor->loop, &acceptor->source);
        acceptor->watching = false;
    }
}

static int watch(struct acceptor *acceptor, struct error *error)
{
    int status = loop_add(acceptor->loop, &acceptor->source, EPOLLIN | EPOLLEXCLUSIVE, error);
    acceptor->watching = status == ERR_OK;
    return status;
}

static void pause_accepting(struct acceptor *acceptor)
{
    unwatch(acceptor);
    set_timer(acceptor, loop_now_ns(acceptor->loop) + ACCEPTOR_PAUSE_NS);
}

static void watch_or_pause(struct acceptor *acceptor)
{
    if (watch(acceptor, NULL) != ERR_OK) {
        pause_accepting(acceptor);
    }
}

enum take {
    TAKE_ONE,  /* accepted, or that client has gone already: go on */
    TAKE_NONE, /* nobody is waiting */
    TAKE_FAIL, /* out of descriptors or memory: going on would spin */
};

static enum take take_one(struct acceptor *acceptor)
{
    int fd = sys_accept(acceptor->source.fd);
    if (fd >= 0) {
        acceptor->on_accept(acceptor->user, fd);
        return TAKE_ONE;
    }
    switch (errno) {
    case EAGAIN:
        return TAKE_NONE;
    /* accept(2): network errors of the new connection are reported here. */
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return TAKE_ONE;
    default:
        return TAKE_FAIL;
    }
}

static void on_connections(struct loop_source *source, uint32_t ready)
{
    (void)ready;
    struct acceptor *acceptor =
        (struct acceptor *)((char *)source - offsetof(struct acceptor, source));
    CHECK_MAGIC(acceptor, ACCEPTOR_MAGIC);
    enum take take = TAKE_ONE;
    int taken = 0;
    while (taken < ACCEPTOR_BATCH && !acceptor->stopped) {
        take = take_one(acceptor);
        if (take != TAKE_ONE) {
            break;
        }
        taken++;
    }
    if (acceptor->stopped) {
        return;
    }
    if (take == TAKE_FAIL) {
        pause_accepting(acceptor);
    } else if (taken > 0) {
        unwatch(acceptor);
        watch_or_pause(acceptor);
    }
}

static void on_pause_over(struct loop_timer *timer)
{
    struct acceptor *acceptor =
        (struct acceptor *)((char *)timer - offsetof(struct acceptor, timer));
    CHECK_MAGIC(acceptor, ACCEPTOR_MAGIC);
    set_timer(acceptor, UINT64_MAX);
    watch_or_pause(acceptor);
}

int acceptor_new(struct loop *loop, int listen_fd, void (*on_accept)(void *user, int fd),
                 void *user, struct acceptor **ret_acceptor, struct error *error)
{
    struct acceptor *acceptor = mem_zalloc(1, sizeof(*acceptor));
    if (acceptor == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for an acceptor");
    }
    *acceptor = (struct acceptor){
        .magic = ACCEPTOR_MAGIC,
        .loop = loop,
        .source = {.fd = listen_fd, .on_ready = on_connections},
        .timer = {.on_due = on_pause_over},
        .on_accept = on_accept,
        .user = user,
    };
    int status = loop_timer_set(loop, &acceptor->timer, UINT64_MAX);
    if (status != ERR_OK) {
        (void)error_set(error, ERR_NO_MEMORY, "no memory for an acceptor's timer");
        goto out;
    }
    status = watch(acceptor, error);
out:
    if (status == ERR_OK) {
        *ret_acceptor = acceptor;
    } else {
        loop_timer_cancel(loop, &acceptor->timer);
        mem_free(acceptor);
    }
    return status;
}

void acceptor_stop(struct acceptor *acceptor)
{
    CHECK_MAGIC(acceptor, ACCEPTOR_MAGIC);
    if (acceptor->stopped) {
        return;
    }
    acceptor->stopped = true;
    unwatch(acceptor);
    loop_timer_cancel(acceptor->loop, &acceptor->timer);
    /* What has queued up by now; clients that go on knocking must not keep it here. */
    for (int taken = 0; taken < LISTENER_BACKLOG && take_one(acceptor) == TAKE_ONE; taken++) {}
}

void acceptor_free(struct acceptor *acceptor)
{
    if (acceptor == NULL) {
        return;
    }
    CHECK_MAGIC(acceptor, ACCEPTOR_MAGIC);
    unwatch(acceptor);
    loop_timer_cancel(acceptor->loop, &acceptor->timer);
    acceptor->magic = 0;
    mem_free(acceptor);
}
