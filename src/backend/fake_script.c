/*
 * Reads the test double's description. Only tests write such files, so a line is right or refused as a
 * whole.
 */
#include "backend/fake_script.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/num.h"

#define FILE_MAX_BYTES 16384
#define DELAY_MAX_US 60000000u

/* Cuts the first word off *rest. */
static struct slice next_word(struct slice *rest)
{
    *rest = slice_trim(*rest);
    struct slice word = slice_head(*rest, slice_find(*rest, ' '));
    *rest = slice_tail(*rest, word.len);
    return word;
}

static int wrong_line(struct error *error, struct slice line)
{
    line = slice_head(line, 100);
    return error_set(error, ERR_CONFIG, "fake model: cannot use the line '%.*s'", SLICE_FMT(line));
}

static bool parse_dimension(struct slice text, struct port *port)
{
    text = slice_trim(text);
    if (text.len == 0 || port->rank == TENSOR_MAX_RANK) {
        return false;
    }
    if (!num_parse_i64(text, &port->dims[port->rank]) || port->dims[port->rank] < 0) {
        port->dims[port->rank] = -1;
        port->symbols[port->rank] = text;
    }
    port->rank++;
    return true;
}

/* "[N, 4]", cut off *rest. */
static bool parse_shape(struct slice *rest, struct port *port)
{
    *rest = slice_trim(*rest);
    size_t end = slice_find(*rest, ']');
    if (rest->len == 0 || rest->ptr[0] != '[' || end == rest->len) {
        return false;
    }
    struct slice inside = slice_trim(slice_make(rest->ptr + 1, end - 1));
    *rest = slice_tail(*rest, end + 1);
    port->rank_known = true;
    while (inside.len > 0) {
        if (!parse_dimension(slice_cut(&inside, ','), port)) {
            return false;
        }
    }
    return true;
}

/* "x float32 [N, 4]", cut off *rest. */
static bool parse_port(struct slice *rest, struct arena *arena, struct port *port)
{
    port->name = next_word(rest);
    port->kind = PORT_TENSOR;
    port->dtype = dtype_parse(next_word(rest));
    return port->name.len > 0 && port->dtype != DTYPE_NONE && parse_shape(rest, port) &&
           signature_describe_port(port, arena) == ERR_OK;
}

static bool parse_input(struct fake_script *script, struct slice text, struct arena *arena)
{
    struct signature *signature = &script->signature;
    if (signature->input_count == FAKE_PORTS_MAX ||
        !parse_port(&text, arena, &script->inputs[signature->input_count])) {
        return false;
    }
    signature->input_count++;
    return slice_trim(text).len == 0;
}

static bool parse_output(struct fake_script *script, struct slice text, struct arena *arena)
{
    struct signature *signature = &script->signature;
    size_t index = signature->output_count;
    if (index == FAKE_PORTS_MAX || !parse_port(&text, arena, &script->outputs[index])) {
        return false;
    }
    struct slice operation = next_word(&text);
    int input = signature_find_input(signature, slice_trim(text));
    if (input < 0) {
        return false;
    }
    script->operations[index].input = (size_t)input;
    script->operations[index].operation = slice_eq(operation, SLICE("echo")) ? FAKE_ECHO : FAKE_SUM;
    signature->output_count++;
    enum dtype from = script->inputs[input].dtype;
    enum dtype to = script->outputs[index].dtype;
    if (slice_eq(operation, SLICE("echo"))) {
        return from == to;
    }
    return slice_eq(operation, SLICE("sum")) && from != DTYPE_STRING &&
           (to == DTYPE_F64 || to == DTYPE_F32 || to == DTYPE_I64);
}

static bool parse_delay(struct slice text, uint64_t *ret_us)
{
    return num_parse_u64(text, ret_us) && *ret_us <= DELAY_MAX_US;
}

static bool parse_failure(struct fake_script *script, struct slice text)
{
    static const char *const names[] = {
        [FAKE_FAIL_NEVER] = "never",
        [FAKE_FAIL_OPEN] = "open",
        [FAKE_FAIL_INVALID] = "invalid",
        [FAKE_FAIL_INTERNAL] = "internal",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_eq(text, slice_from_str(names[i]))) {
            script->failure = (enum fake_failure)i;
            return true;
        }
    }
    return false;
}

static bool parse_setting(struct fake_script *script, struct slice key, struct slice text,
                          struct arena *arena)
{
    if (slice_eq(key, SLICE("input"))) {
        return parse_input(script, text, arena);
    }
    if (slice_eq(key, SLICE("output"))) {
        return parse_output(script, text, arena);
    }
    if (slice_eq(key, SLICE("delay_run_us"))) {
        return parse_delay(text, &script->delay_run_us);
    }
    if (slice_eq(key, SLICE("delay_row_us"))) {
        return parse_delay(text, &script->delay_row_us);
    }
    if (slice_eq(key, SLICE("delay_by"))) {
        script->spin = slice_eq(text, SLICE("spin"));
        return script->spin || slice_eq(text, SLICE("sleep"));
    }
    if (slice_eq(key, SLICE("poison"))) {
        script->has_poison = true;
        script->poison = text;
        return true;
    }
    if (slice_eq(key, SLICE("fail"))) {
        return parse_failure(script, text);
    }
    return slice_eq(key, SLICE("extra_rows")) && num_parse_i64(text, &script->extra_rows) &&
           script->extra_rows > -1000000 && script->extra_rows < 1000000;
}

static int parse_file(struct fake_script *script, struct slice text, struct arena *arena,
                      struct error *error)
{
    while (text.ptr != NULL) {
        struct slice line = slice_trim(slice_cut(&text, '\n'));
        if (line.len == 0 || line.ptr[0] == '#') {
            continue;
        }
        struct slice rest = line;
        struct slice key = slice_trim(slice_cut(&rest, '='));
        if (rest.ptr == NULL || !parse_setting(script, key, slice_trim(rest), arena)) {
            return wrong_line(error, line);
        }
    }
    if (script->failure == FAKE_FAIL_OPEN) {
        return error_set(error, ERR_CONFIG, "fake model: told not to open");
    }
    if (script->signature.input_count == 0 || script->signature.output_count == 0) {
        return error_set(error, ERR_CONFIG, "fake model: needs an input and an output");
    }
    return ERR_OK;
}

/* The whole file in the arena: names in the signature point into it. */
static int read_file(const char *path, struct arena *arena, struct slice *ret_text,
                     struct error *error)
{
    char *text = arena_alloc(arena, FILE_MAX_BYTES);
    if (text == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a fake model");
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, FILE_MAX_BYTES);
    int reason = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (len < 0) {
        return error_set(error, ERR_CONFIG, "%s: %s", path, strerrordesc_np(reason));
    }
    if (len == FILE_MAX_BYTES) {
        return error_set(error, ERR_CONFIG, "%s: longer than a fake model is", path);
    }
    *ret_text = slice_make(text, (size_t)len);
    return ERR_OK;
}

int fake_script_read(const char *path, struct arena *arena, struct fake_script *script,
                     struct error *error)
{
    struct slice text = {NULL, 0};
    *script = (struct fake_script){.signature = {.producer = SLICE("fake")}};
    script->signature.inputs = script->inputs;
    script->signature.outputs = script->outputs;
    int status = read_file(path, arena, &text, error);
    return status == ERR_OK ? parse_file(script, text, arena, error) : status;
}
