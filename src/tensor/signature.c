#include "tensor/signature.h"

#include "base/bytes.h"

static int find(const struct port *ports, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(ports[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

int signature_find_input(const struct signature *signature, struct slice name)
{
    return find(signature->inputs, signature->input_count, name);
}

int signature_find_output(const struct signature *signature, struct slice name)
{
    return find(signature->outputs, signature->output_count, name);
}

static bool first_dimension_is_free(const struct port *port)
{
    return port->rank_known && port->rank >= 1 && port->dims[0] < 0;
}

bool signature_is_batchable(const struct signature *signature)
{
    for (size_t i = 0; i < signature->input_count; i++) {
        const struct port *input = &signature->inputs[i];
        if (input->kind != PORT_TENSOR || !first_dimension_is_free(input)) {
            return false;
        }
    }
    for (size_t i = 0; i < signature->output_count; i++) {
        const struct port *output = &signature->outputs[i];
        bool free_sequence = output->kind == PORT_SEQUENCE;
        if (!free_sequence && (output->kind != PORT_TENSOR || !first_dimension_is_free(output))) {
            return false;
        }
    }
    return true;
}

static int put_dimension(struct bytes *text, const struct port *port, unsigned i)
{
    if (i > 0 && bytes_put(text, SLICE(", ")) != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    if (port->dims[i] >= 0) {
        return bytes_printf(text, "%lld", (long long)port->dims[i]);
    }
    return bytes_put(text, port->symbols[i].len > 0 ? port->symbols[i] : SLICE("?"));
}

static int put_shape(struct bytes *text, const struct port *port)
{
    if (!port->rank_known) {
        return bytes_put(text, SLICE("[...]"));
    }
    int status = bytes_put_byte(text, '[');
    for (unsigned i = 0; status == ERR_OK && i < port->rank; i++) {
        status = put_dimension(text, port, i);
    }
    return status == ERR_OK ? bytes_put_byte(text, ']') : status;
}

int signature_describe_port(struct port *port, struct arena *arena)
{
    struct bytes text;
    bytes_init(&text, 64 * 1024);
    int status = bytes_put(&text, slice_from_str(dtype_name(port->dtype)));
    if (status == ERR_OK) {
        status = put_shape(&text, port);
    }
    if (status == ERR_OK) {
        port->type_text = arena_copy(arena, bytes_slice(&text));
        status = port->type_text.ptr == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    bytes_done(&text);
    return status;
}
