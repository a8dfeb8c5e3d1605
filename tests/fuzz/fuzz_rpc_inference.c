/*
 * PredictRequest of any bytes: our reader and protobuf-c's generated code give the same verdict and the
 * same values. What was read is then written as a reply, which protobuf-c's code reads back.
 */
#include <stdlib.h>

#include "../unit_tests/rpc_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(struct slice message)
{
    struct error error;
    struct predict_request request;
    struct bytes out;
    int status = inference_read_predict(message, &request, &error);
    CHECK(status == ERR_OK);
    const struct predict_reply reply = {request.payload, request.content_type, message.len};
    bytes_init(&out, message.len + 100);
    status = oracle_put_predict(&out, &reply);
    CHECK(status == ERR_OK);
    Onnxserving__Grpc__PredictReply *generated = onnxserving__grpc__predict_reply__unpack(
        NULL, bytes_len(&out), (const uint8_t *)bytes_slice(&out).ptr);
    CHECK(generated != NULL && generated->n_metadata == 1);
    CHECK(slice_eq(reply.body, slice_make(generated->body.data, generated->body.len)));
    CHECK(oracle_same_text(reply.content_type, generated->content_type));
    CHECK(strcmp(generated->metadata[0]->key, "batch_size") == 0);
    CHECK(strtoull(generated->metadata[0]->value, NULL, 10) == message.len);
    onnxserving__grpc__predict_reply__free_unpacked(generated, NULL);
    bytes_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error;
    struct slice message = slice_make(size == 0 ? (const void *)"" : data, size);
    int status = oracle_read_predict(message);
    if (status == ERR_OK) {
        CHECK(inference_read_empty(message, &error) == ERR_OK);
        check_reply(message);
    }
    return 0;
}
