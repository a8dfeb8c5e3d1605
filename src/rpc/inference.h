/*
 * The messages of onnxserving.grpc.InferenceService (proto/onnx_serving_grpc/inference.proto) as
 * structs of slices. Payloads and bodies, which may be megabytes, are neither copied nor kept. Pure
 * functions: any thread.
 */
#ifndef RPC_INFERENCE_H
#define RPC_INFERENCE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

#define INFERENCE_SERVICE SLICE("onnxserving.grpc.InferenceService")

/*
 * Room for what a PredictRequest holds beside its payload: a limit of the payload's size and this make
 * the limit of the message's.
 */
#define INFERENCE_REQUEST_EXTRA_BYTES ((size_t)4096)

struct predict_request {
    struct slice payload;
    struct slice content_type; /* UTF-8; empty for the default */
    struct slice accept;       /* likewise */
};

/*
 * Reads a serialized PredictRequest. The slices borrow from `message`; absent fields are empty, of a
 * repeated one the last counts, unknown ones are skipped. ERR_INVALID naming the byte offset where it
 * is no such message.
 */
MUST_CHECK int inference_read_predict(struct slice message, struct predict_request *ret_request,
                                      struct error *error);
/* The same for LiveRequest and ReadyRequest, which have no fields. */
MUST_CHECK int inference_read_empty(struct slice message, struct error *error);

struct predict_reply {
    struct slice body;
    struct slice content_type;
    uint64_t batch_size; /* rows; becomes metadata["batch_size"] */
};

/*
 * Append a serialized PredictReply but for the bytes of its body, which come between the two and may
 * lie elsewhere: field by field in the order of their numbers, empty ones left out. ERR_NO_MEMORY past
 * the maximum or without memory; what was appended is then of no use.
 */
MUST_CHECK int inference_put_predict_head(struct bytes *out, const struct predict_reply *reply);
MUST_CHECK int inference_put_predict_tail(struct bytes *out, const struct predict_reply *reply);

enum inference_state {
    INFERENCE_LIVE,
    INFERENCE_READY,
    INFERENCE_NOT_READY,
};

/* Appends a serialized StatusReply: ok unless not ready, and the state's name. ERR_NO_MEMORY. */
MUST_CHECK int inference_put_status(struct bytes *out, enum inference_state state);

#endif
