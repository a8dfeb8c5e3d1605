/*
 * Any bytes as a signature: refused with a reason, or everything in them is there, so that they can be
 * written again byte for byte.
 */
#include <stdint.h>

#include "../unit_tests/worker_messages.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARENA_MAX ((size_t)1 << 24)

static void check_port(const struct port *port)
{
    CHECK(port->kind == PORT_TENSOR && port->name.len > 0 && port->type_text.len > 0);
    CHECK(port->rank <= TENSOR_MAX_RANK && (port->rank_known || port->rank == 0));
    CHECK(utf8_valid_bytes(port->name) == port->name.len);
}

static void check_signature(const struct signature *signature, struct slice bytes)
{
    struct bytes again;
    for (size_t i = 0; i < signature->input_count; i++) {
        check_port(&signature->inputs[i]);
        CHECK(signature->inputs[i].dtype != DTYPE_NONE);
        CHECK(signature_find_input(signature, signature->inputs[i].name) == (int)i);
    }
    for (size_t i = 0; i < signature->output_count; i++) {
        check_port(&signature->outputs[i]);
        CHECK(signature_find_output(signature, signature->outputs[i].name) == (int)i);
    }
    bytes_init(&again, bytes.len);
    message_put_signature(&again, signature);
    CHECK(slice_eq(bytes_slice(&again), bytes));
    bytes_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct signature signature;
    struct error error = {.text = ""};
    struct slice bytes = slice_make(size > 0 ? (const void *)data : "", size);
    arena_init(&arena, 1024, ARENA_MAX);
    int status = worker_signature_read(bytes, &arena, &signature, &error);
    if (status == ERR_OK) {
        check_signature(&signature, bytes);
    } else {
        CHECK((status == ERR_INTERNAL || status == ERR_NO_MEMORY) && error.text[0] != '\0');
    }
    arena_done(&arena);
    return 0;
}
