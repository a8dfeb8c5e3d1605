/*
 * One line a request (ACCESS_LOG): what was asked, what became of it, how long that took, for whom.
 * Nothing of a body, a query or a field but the request's id. Loop thread only.
 */
#ifndef SERVE_ACCESS_LOG_H
#define SERVE_ACCESS_LOG_H

#include "base/slice.h"

struct exchange;

#define ACCESS_LOG_CLIENT_MAX 64

/* The address and port at the other end of a socket, written into `text`; empty where it has none. */
struct slice access_log_client(int fd, char text[ACCESS_LOG_CLIENT_MAX]);
/* When the session is done with it. */
void access_log_write(struct exchange *exchange);

#endif
