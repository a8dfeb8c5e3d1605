/* Any bytes as an .onnx file: refused or read, with all memory in a small arena. */
#include <stdint.h>
#include <stdlib.h>

#include "backend/onnx_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 1024, 1 << 20);
    /* a copy of its own, and never NULL, which would mean a file */
    const struct onnx_source source = {.size_bytes = size,
                                       .bytes = size > 0 ? data : (const uint8_t *)""};
    struct onnx_header header;
    struct error error;
    int status = onnx_header_parse(&source, &arena, &header, &error);
    if (status == ERR_OK) {
        struct slice text = onnx_header_describe_opsets(&header, &arena);
        if (text.ptr != NULL && text.ptr[text.len] != '\0') {
            abort();
        }
        if (header.opset_count > ONNX_HEADER_MAX_OPSETS ||
            header.scalar_count > ONNX_HEADER_MAX_SCALARS) {
            abort();
        }
    } else if ((int)error.code != status || error.text[0] == '\0') {
        abort();
    }
    arena_done(&arena);
    return 0;
}
