/*
 * A listening TCP socket: opened once by the server, shared by all loops (EPOLLEXCLUSIVE), each
 * accepting on its own thread.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdint.h>

#include "base/error.h"
#include "net/loop.h"

/*
 * Listens on host ("0.0.0.0", "127.0.0.1", "::", a name) and port (0: the kernel chooses; the real
 * one is in *ret_port). "::" takes IPv4 as well. Of a name with several addresses the first that can
 * be listened on is taken. *ret_fd is owned, non-blocking and close-on-exec. ERR_CONFIG naming
 * address and reason ("0.0.0.0:8080: Address already in use").
 */
MUST_CHECK int listener_open(const char *host, uint16_t port, int *ret_fd, uint16_t *ret_port,
                             struct error *error);

/*
 * New connections are refused from now on, and those that no loop has accepted are reset; the
 * descriptor stays the caller's. Any thread, more than once if need be.
 */
void listener_shut(int listen_fd);

/* One loop's share of the listening socket. Loop thread only. */
struct acceptor;

/*
 * on_accept gets each new socket (non-blocking, close-on-exec, TCP_NODELAY) and owns it; it may call
 * acceptor_stop, not acceptor_free. The listening descriptor comes from listener_open and is
 * borrowed until acceptor_stop or acceptor_free. A few connections a turn are accepted; loops that
 * wait take turns. Out of descriptors (EMFILE) or memory: accepting pauses for 100 ms.
 * ERR_NO_MEMORY, ERR_INTERNAL.
 */
MUST_CHECK int acceptor_new(struct loop *loop, int listen_fd, void (*on_accept)(void *user, int fd),
                            void *user, struct acceptor **ret_acceptor, struct error *error);
/* Accepts all that the kernel has queued (in this call), then stops for good. For draining. */
void acceptor_stop(struct acceptor *acceptor);
void acceptor_free(struct acceptor *acceptor); /* stops it too; NULL is fine */

#endif
