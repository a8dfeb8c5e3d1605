/*
 * PredictRequest read twice: by rpc/inference and by the code that protobuf-c generates, which must
 * agree on every bytes. Shared by a unit test and a fuzz target.
 */
#ifndef RPC_ORACLE_H
#define RPC_ORACLE_H

#include <onnx_serving_grpc/inference.pb-c.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "rpc/inference.h"

/* What protobuf-c lets through and proto3 does not. */
static inline bool oracle_is_stricter(const struct error *error)
{
    return strstr(error->text, " is not UTF-8") != NULL ||
           strstr(error->text, "a field number out of range") != NULL;
}

/* protobuf-c ends a string at its first NUL. */
static inline bool oracle_same_text(struct slice text, const char *generated)
{
    return slice_eq(slice_head(text, slice_find(text, '\0')), slice_from_str(generated));
}

static inline bool oracle_borrows(struct slice message, struct slice value)
{
    return value.len == 0 ||
           (value.ptr >= message.ptr && value.ptr + value.len <= message.ptr + message.len);
}

/* The whole reply, for comparison with one that was generated. */
static inline int oracle_put_predict(struct bytes *out, const struct predict_reply *reply)
{
    int status = inference_put_predict_head(out, reply);
    if (status == ERR_OK) {
        status = bytes_put(out, reply->body);
    }
    return status == ERR_OK ? inference_put_predict_tail(out, reply) : status;
}

/* Aborts where the two disagree. Returns the status of rpc/inference. */
static inline int oracle_read_predict(struct slice message)
{
    struct error error = {0};
    struct predict_request request;
    int status = inference_read_predict(message, &request, &error);
    Onnxserving__Grpc__PredictRequest *generated =
        onnxserving__grpc__predict_request__unpack(NULL, message.len, (const uint8_t *)message.ptr);
    if (status != ERR_OK) {
        CHECK(status == ERR_INVALID && error.text[0] != '\0');
        CHECK(generated == NULL || oracle_is_stricter(&error));
    } else {
        CHECK(generated != NULL);
        struct slice payload = slice_make(generated->payload.data, generated->payload.len);
        CHECK(slice_eq(request.payload, payload));
        CHECK(oracle_same_text(request.content_type, generated->content_type));
        CHECK(oracle_same_text(request.accept, generated->accept));
        CHECK(oracle_borrows(message, request.payload));
        CHECK(oracle_borrows(message, request.content_type));
        CHECK(oracle_borrows(message, request.accept));
    }
    if (generated != NULL) {
        onnxserving__grpc__predict_request__free_unpacked(generated, NULL);
    }
    return status;
}

#endif
