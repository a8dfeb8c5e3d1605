#include "rpc/health.h"

#include <grpc/health/v1/health.pb-c.h>

#include "rpc/message.h"

int health_read_check(struct slice message, struct arena *arena, struct slice *ret_service,
                      struct error *error)
{
    struct ProtobufCMessage *read;
    int status = message_read(&grpc__health__v1__health_check_request__descriptor, message, arena,
                              &read, error);
    if (status == ERR_OK) {
        const struct Grpc__Health__V1__HealthCheckRequest *request = (const void *)read;
        *ret_service = slice_from_str(request->service);
    }
    return status;
}

int health_put_response(struct bytes *out, enum health_status status)
{
    Grpc__Health__V1__HealthCheckResponse response;
    grpc__health__v1__health_check_response__init(&response);
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return message_put(out, &response.base);
}
