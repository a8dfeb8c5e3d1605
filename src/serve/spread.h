/*
 * Where a new connection lives: with the I/O thread that has the fewest, so that a handful of busy
 * ones does not share a loop while others rest. The kernel wakes whichever loop it likes.
 */
#ifndef SERVE_SPREAD_H
#define SERVE_SPREAD_H

#include "serve/session.h"

/*
 * Takes an accepted socket on the thread `io`: opens its session here, or hands it to the thread with
 * the fewest connections. While the server is stopping, and without memory, it stays.
 */
void spread_accept(struct io_thread *io, int fd, enum session_port port);

#endif
