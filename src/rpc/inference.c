/*
 * PredictRequest and PredictReply are read and written by hand (rpc/wire): generated code copies their
 * bytes, see docs/decisions/0003-predict-messages.md.
 */
#include "rpc/inference.h"

#include <onnx_serving_grpc/inference.pb-c.h>

#include "base/num.h"
#include "rpc/message.h"
#include "rpc/wire.h"

enum {
    REQUEST_PAYLOAD = 1,
    REQUEST_CONTENT_TYPE = 2,
    REQUEST_ACCEPT = 3,
    REPLY_BODY = 1,
    REPLY_CONTENT_TYPE = 2,
    REPLY_METADATA = 3,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
};

#define BATCH_SIZE SLICE("batch_size")

static int read_predict_field(const struct wire_field *field, struct predict_request *request,
                              struct error *error)
{
    switch (field->number) {
    case REQUEST_PAYLOAD:
        return wire_read_bytes(field, "payload", &request->payload, error);
    case REQUEST_CONTENT_TYPE:
        return wire_read_text(field, "content_type", &request->content_type, error);
    case REQUEST_ACCEPT:
        return wire_read_text(field, "accept", &request->accept, error);
    default:
        return ERR_OK;
    }
}

int inference_read_predict(struct slice message, struct predict_request *ret_request,
                           struct error *error)
{
    struct predict_request request = {SLICE(""), SLICE(""), SLICE("")};
    struct wire_reader reader = {.message = message};
    while (wire_reader_has_field(&reader)) {
        struct wire_field field;
        int status = wire_read_field(&reader, &field, error);
        if (status == ERR_OK) {
            status = read_predict_field(&field, &request, error);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    *ret_request = request;
    return ERR_OK;
}

int inference_read_empty(struct slice message, struct error *error)
{
    struct wire_reader reader = {.message = message};
    while (wire_reader_has_field(&reader)) {
        struct wire_field field;
        int status = wire_read_field(&reader, &field, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

int inference_put_predict_head(struct bytes *out, const struct predict_reply *reply)
{
    return reply->body.len == 0 ? ERR_OK : wire_put_bytes_head(out, REPLY_BODY, reply->body.len);
}

/* metadata["batch_size"]: an entry of a map is a message of key and value. */
static int put_batch_size(struct bytes *out, uint64_t batch_size)
{
    char text[NUM_TEXT_MAX];
    struct slice value = slice_make(text, num_print_u64(batch_size, text));
    size_t entry = wire_field_bytes(ENTRY_KEY, BATCH_SIZE.len);
    entry += wire_field_bytes(ENTRY_VALUE, value.len);
    int status = wire_put_bytes_head(out, REPLY_METADATA, entry);
    if (status == ERR_OK) {
        status = wire_put_bytes(out, ENTRY_KEY, BATCH_SIZE);
    }
    return status == ERR_OK ? wire_put_bytes(out, ENTRY_VALUE, value) : status;
}

int inference_put_predict_tail(struct bytes *out, const struct predict_reply *reply)
{
    int status = ERR_OK;
    if (reply->content_type.len > 0) {
        status = wire_put_bytes(out, REPLY_CONTENT_TYPE, reply->content_type);
    }
    return status == ERR_OK ? put_batch_size(out, reply->batch_size) : status;
}

int inference_put_status(struct bytes *out, enum inference_state state)
{
    char names[][sizeof("not_ready")] = {"live", "ready", "not_ready"};
    Onnxserving__Grpc__StatusReply reply;
    onnxserving__grpc__status_reply__init(&reply);
    reply.ok = state != INFERENCE_NOT_READY;
    reply.status = names[state];
    return message_put(out, &reply.base);
}
