/*
 * The gRPC interface: the services of proto/ over HTTP/2, as a style of exchanges. Predict goes by way
 * of the same slots and the same inference as POST /invocations, and its bytes are the same. Loop
 * thread only.
 */
#ifndef SERVE_GRPC_H
#define SERVE_GRPC_H

#include "serve/exchange.h"

extern const struct exchange_style grpc_style;

/*
 * Whether a request is meant for gRPC, by its content-type ("application/grpc", with anything
 * behind): the style answers such that it does not know with 415.
 */
bool grpc_is_call(const struct http_request *request);

/* Whether it is inference, or asks for what there is not. */
bool grpc_is_predict(const struct exchange *exchange);
/* "package.Service" and "Method", static; as they were where there is no such method. */
void grpc_tell_method(const struct exchange *exchange, struct slice *ret_service,
                      struct slice *ret_method);

/* Readiness may have changed: who watches it is told. */
void grpc_tell_watchers(struct io_thread *io);

#endif
