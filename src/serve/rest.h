/*
 * The HTTP interface: routes, limits, JSON errors. One style of exchanges, over HTTP/1.1 and HTTP/2
 * alike. Loop thread only.
 */
#ifndef SERVE_REST_H
#define SERVE_REST_H

#include "serve/exchange.h"

extern const struct exchange_style rest_style;

/*
 * Answers with this status and {"error": text}; for what the protocol engine found. The text of a 500
 * goes to the log alone.
 */
void rest_refuse_status(struct exchange *exchange, int status, struct slice text);

/* For handlers: the answer is this. Fields are added before with exchange_add_field. */
void rest_respond(struct exchange *exchange, int status, struct slice content_type,
                  struct slice body);
void rest_respond_error(struct exchange *exchange, int status, struct slice text);

#endif
