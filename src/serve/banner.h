/*
 * What a person sees when the service is ready: the model, its inputs and outputs, the endpoints,
 * and a command that works when it is pasted.
 */
#ifndef SERVE_BANNER_H
#define SERVE_BANNER_H

#include <stdint.h>
#include <stdio.h>

#include "serve/deployment.h"

/* `grpc_port` is 0 where gRPC has no port of its own. */
void banner_print(FILE *out, const struct deployment *deployment, const struct settings *settings,
                  uint16_t port, uint16_t grpc_port);

#endif
