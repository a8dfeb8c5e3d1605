/*
 * Any bytes as an output area with the records of a result: the first byte says how many outputs there are
 * and whether their dtypes are declared, the second where the records begin. Refused with a reason,
 * or tensors that keep to every rule without the area.
 */
#include <stdint.h>

#include "../unit_tests/worker_messages.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUTPUTS 4
#define HEAD_BYTES 2
#define DECLARED 0x80

static const enum dtype declared[OUTPUTS] = {DTYPE_STRING, DTYPE_F32, DTYPE_BOOL, DTYPE_NONE};
static const size_t wanted[OUTPUTS] = {0, 1, 2, 3};

static void check_tensor(const struct tensor *tensor, size_t area_bytes)
{
    size_t count = (size_t)tensor_elements(tensor);
    CHECK(tensor->dtype > DTYPE_NONE && tensor->dtype < DTYPE_OTHER);
    CHECK(tensor->rank <= TENSOR_MAX_RANK && count <= area_bytes);
    CHECK(tensor_rows(tensor) * tensor_row_elements(tensor) == (int64_t)count);
    CHECK(tensor_bytes(tensor) <= tensor->buffer->size_bytes);
    for (size_t i = 0; i < count && tensor->dtype == DTYPE_STRING; i++) {
        struct slice text = ((const struct slice *)tensor->at)[i];
        CHECK(utf8_valid_bytes(text) == text.len);
    }
    for (size_t i = 0; i < count && tensor->dtype == DTYPE_BOOL; i++) {
        CHECK(((const unsigned char *)tensor->at)[i] <= 1);
    }
    void *copy = malloc(tensor_bytes(tensor) + 1); /* so that the sanitizers see every byte */
    CHECK(copy != NULL);
    if (count > 0) {
        memcpy(copy, tensor->at, tensor_bytes(tensor));
    }
    free(copy);
}

static void check_area(const struct worker_packet *result, char *area, bool is_declared)
{
    struct port ports[OUTPUTS];
    struct value values[OUTPUTS];
    struct error error = {.text = ""};
    size_t area_bytes = (size_t)result->area_bytes;
    for (size_t i = 0; i < OUTPUTS; i++) {
        ports[i] = (struct port){.name = SLICE("y"), .kind = PORT_TENSOR};
        ports[i].dtype = is_declared ? declared[i] : DTYPE_NONE;
    }
    const struct signature signature = {.outputs = ports, .output_count = OUTPUTS};
    int status = worker_result_read(result, area, area_bytes, &signature, wanted,
                                    result->output_count, values, &error);
    CHECK(status == ERR_OK || (status == ERR_INTERNAL && error.text[0] != '\0'));
    memset(area, 0xff, area_bytes);
    for (size_t i = 0; status == ERR_OK && i < result->output_count; i++) {
        CHECK(values[i].kind == VALUE_TENSOR);
        CHECK(ports[i].dtype == DTYPE_NONE || values[i].tensor.dtype == ports[i].dtype);
        check_tensor(&values[i].tensor, area_bytes);
        value_done(&values[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES) {
        return 0;
    }
    const struct worker_packet result = {.type = WORKER_RESULT,
                                         .version = WORKER_VERSION,
                                         .area_bytes = size - HEAD_BYTES,
                                         .offset = data[1] * (uint64_t)8,
                                         .output_count = data[0] % OUTPUTS + 1};
    char *area = malloc(size); /* one byte at least; what lies behind the area is not its */
    CHECK(area != NULL);
    memcpy(area, data + HEAD_BYTES, size - HEAD_BYTES);
    area = realloc(area, size > HEAD_BYTES ? size - HEAD_BYTES : 1);
    CHECK(area != NULL);
    check_area(&result, area, (data[0] & DECLARED) != 0);
    free(area);
    return 0;
}
