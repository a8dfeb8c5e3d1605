/*
 * Any bytes as an .onnx file, each of its outputs wanted in turn: refused or pruned. What was pruned
 * still has the output, and nothing more can be left out of it.
 */
#include <stdint.h>
#include <stdlib.h>

#include "backend/onnx_field.h"
#include "backend/onnx_prune.h"

#define MODEL_GRAPH 7
#define GRAPH_OUTPUT 12
#define VALUE_NAME 1
#define OUTPUTS_MAX 8 /* that are tried */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void prune_for(struct slice model, struct slice wanted)
{
    struct bytes once;
    struct bytes twice;
    struct error error = {.text = ""};
    bytes_init(&once, onnx_prune_max_bytes(model.len));
    int status = onnx_prune(model, &wanted, 1, &once, &error);
    if (status == ERR_OK && bytes_len(&once) > 0) {
        bytes_init(&twice, onnx_prune_max_bytes(bytes_len(&once)));
        if (onnx_prune(bytes_slice(&once), &wanted, 1, &twice, &error) != ERR_OK ||
            bytes_len(&twice) > 0) {
            abort();
        }
        bytes_done(&twice);
    } else if (status != ERR_OK && ((int)error.code != status || error.text[0] == '\0' ||
                                    status != ERR_CONFIG || bytes_len(&once) > 0)) {
        abort();
    }
    bytes_done(&once);
}

/* The body of the last field `number`; empty where there is none or the message is malformed. */
static struct slice find(struct slice message, uint64_t number)
{
    struct onnx_field field;
    struct slice body = SLICE("");
    while (message.len > 0 && onnx_field_next(&message, &field)) {
        if (onnx_field_is_bytes(&field, number)) {
            body = field.body;
        }
    }
    return body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice model = size > 0 ? slice_make(data, size) : SLICE("");
    struct slice graph = find(model, MODEL_GRAPH);
    struct onnx_field field;
    prune_for(model, SLICE("y"));
    for (size_t tried = 0; graph.len > 0 && tried < OUTPUTS_MAX && onnx_field_next(&graph, &field);
         tried += onnx_field_is_bytes(&field, GRAPH_OUTPUT)) {
        if (onnx_field_is_bytes(&field, GRAPH_OUTPUT)) {
            prune_for(model, find(field.body, VALUE_NAME));
        }
    }
    return 0;
}
