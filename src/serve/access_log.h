/*
 * One line a request (ACCESS_LOG): what was asked, what became of it, how long that took, for whom.
 * Nothing of a body, a query or a field but the request's id. Loop thread only.
 */
#ifndef SERVE_ACCESS_LOG_H
#define SERVE_ACCESS_LOG_H

struct exchange;

/* When the session is done with it. */
void access_log_write(struct exchange *exchange);

#endif
