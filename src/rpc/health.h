/*
 * The messages of grpc.health.v1.Health (proto/grpc/health/v1/health.proto). Pure functions: any
 * thread.
 */
#ifndef RPC_HEALTH_H
#define RPC_HEALTH_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

#define HEALTH_SERVICE SLICE("grpc.health.v1.Health")

enum health_status {
    HEALTH_UNKNOWN = 0,
    HEALTH_SERVING = 1,
    HEALTH_NOT_SERVING = 2,
    HEALTH_SERVICE_UNKNOWN = 3, /* of Watch; Check answers with the status NOT_FOUND */
};

/*
 * Reads a serialized HealthCheckRequest: the service it asks for, in the arena; empty for the whole
 * server. ERR_INVALID where it is no such message, ERR_NO_MEMORY.
 */
MUST_CHECK int health_read_check(struct slice message, struct arena *arena,
                                 struct slice *ret_service, struct error *error);

/* Appends a serialized HealthCheckResponse. ERR_NO_MEMORY. */
MUST_CHECK int health_put_response(struct bytes *out, enum health_status status);

#endif
