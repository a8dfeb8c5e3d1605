/*
 * onnxd inspect: what a model takes and gives, as a table for people or JSON for programs. Only an
 * ONNX model is opened; files that run code when they are loaded are named, never loaded.
 */
#include <stdio.h>

#include "backend/artifact.h"
#include "backend/backend.h"
#include "base/bytes.h"
#include "base/num.h"
#include "cli/command.h"
#include "codec/json_text.h"
#include "serve/deployment_options.h"

static bool as_json;

static const struct settings_option options[] = {
    {.flag = "json", .help = "Print JSON.", .ret_given = &as_json},
};

#define ARENA_BLOCK_BYTES ((size_t)16 * 1024)
#define ARENA_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define JSON_MAX_BYTES ((size_t)1024 * 1024 * 1024)

/* ---- for people ---- */

/* Text of a model may hold anything; a terminal is not to obey it. */
static void print_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        putchar(byte < 0x20 || byte == 0x7f ? (byte == '\n' ? ' ' : '?') : byte);
    }
}

static void print_field(const char *name, struct slice value)
{
    if (value.len > 0) {
        printf("%-12s ", name);
        print_text(value);
        putchar('\n');
    }
}

static int widest(const struct port *ports, size_t count, int width)
{
    for (size_t i = 0; i < count; i++) {
        width = (int)ports[i].name.len > width ? (int)ports[i].name.len : width;
    }
    return width;
}

static void print_ports(const char *what, const struct port *ports, size_t count, int width)
{
    for (size_t i = 0; i < count; i++) {
        printf("%-12s ", i == 0 ? what : "");
        print_text(ports[i].name);
        printf("%*s", width - (int)ports[i].name.len + 2, "");
        print_text(ports[i].type_text);
        putchar('\n');
    }
}

static void print_table(const struct artifact *artifact, const struct signature *signature)
{
    int width = widest(signature->inputs, signature->input_count,
                       widest(signature->outputs, signature->output_count, 0));
    print_field("file", artifact->path);
    print_field("kind", slice_from_str(model_kind_name(artifact->kind)));
    print_field("producer", signature->producer);
    print_field("  version", signature->producer_version);
    print_field("graph", signature->graph_name);
    print_field("domain", signature->domain);
    print_field("description", signature->description);
    if (signature->model_version != 0) {
        printf("%-12s %lld\n", "version", (long long)signature->model_version);
    }
    print_field("ir", signature->ir_version);
    print_field("opset", signature->opsets);
    print_ports("inputs", signature->inputs, signature->input_count, width);
    print_ports("outputs", signature->outputs, signature->output_count, width);
    for (size_t i = 0; i < signature->metadata_count; i++) {
        printf("%-12s ", i == 0 ? "metadata" : "");
        print_text(signature->metadata[i].key);
        printf(": ");
        print_text(signature->metadata[i].value);
        putchar('\n');
    }
    printf("%-12s %s\n", "batching",
           signature_is_batchable(signature)
               ? "requests can share a run (every first dimension is free)"
               : "each request runs alone (not every first dimension is free)");
}

/* ---- for programs ---- */

/* JSON while it is made. It is printed only as a whole. */
struct json {
    struct bytes text;
    int status;
};

static void put(struct json *json, struct slice text)
{
    if (json->status == ERR_OK) {
        json->status = bytes_put(&json->text, text);
    }
}

static void put_string(struct json *json, struct slice text)
{
    if (json->status == ERR_OK) {
        json->status = json_text_put(&json->text, text);
    }
}

static void put_integer(struct json *json, int64_t value)
{
    char text[NUM_TEXT_MAX];
    put(json, slice_make(text, num_print_i64(value, text)));
}

static void put_key(struct json *json, const char *name)
{
    put_string(json, slice_from_str(name));
    put(json, SLICE(":"));
}

/* With the comma that follows. */
static void put_member(struct json *json, const char *name, struct slice value)
{
    put_key(json, name);
    put_string(json, value);
    put(json, SLICE(","));
}

static void put_shape(struct json *json, const struct port *port)
{
    if (!port->rank_known) {
        put(json, SLICE("null"));
        return;
    }
    put(json, SLICE("["));
    for (unsigned i = 0; i < port->rank; i++) {
        put(json, i == 0 ? SLICE("") : SLICE(","));
        if (port->dims[i] < 0 && port->symbols[i].len > 0) {
            put_string(json, port->symbols[i]);
        } else {
            put_integer(json, port->dims[i] < 0 ? -1 : port->dims[i]);
        }
    }
    put(json, SLICE("]"));
}

static void put_ports(struct json *json, const char *what, const struct port *ports, size_t count)
{
    static const char *const kinds[] = {[PORT_TENSOR] = "tensor",
                                        [PORT_SEQUENCE] = "sequence",
                                        [PORT_MAP] = "map",
                                        [PORT_OPTIONAL] = "optional",
                                        [PORT_UNKNOWN] = "unknown"};
    put_key(json, what);
    put(json, SLICE("["));
    for (size_t i = 0; i < count; i++) {
        put(json, i == 0 ? SLICE("{") : SLICE(",{"));
        put_member(json, "name", ports[i].name);
        put_member(json, "kind", slice_from_str(kinds[ports[i].kind]));
        put_member(json, "type", ports[i].type_text);
        if (ports[i].kind == PORT_TENSOR) {
            put_member(json, "dtype", slice_from_str(dtype_name(ports[i].dtype)));
            put_key(json, "shape");
            put_shape(json, &ports[i]);
        } else {
            put(json, SLICE("\"dtype\":null,\"shape\":null"));
        }
        put(json, SLICE("}"));
    }
    put(json, SLICE("],"));
}

static void put_metadata(struct json *json, const struct signature *signature)
{
    put_key(json, "metadata");
    put(json, SLICE("{"));
    for (size_t i = 0; i < signature->metadata_count; i++) {
        put(json, i == 0 ? SLICE("") : SLICE(","));
        put_string(json, signature->metadata[i].key);
        put(json, SLICE(":"));
        put_string(json, signature->metadata[i].value);
    }
    put(json, SLICE("},"));
}

static void put_model(struct json *json, const struct artifact *artifact,
                      const struct signature *signature)
{
    put(json, SLICE("{"));
    put_member(json, "file", artifact->path);
    put_member(json, "kind", slice_from_str(model_kind_name(artifact->kind)));
    put_member(json, "producer", signature->producer);
    put_member(json, "producer_version", signature->producer_version);
    put_member(json, "graph", signature->graph_name);
    put_member(json, "domain", signature->domain);
    put_member(json, "description", signature->description);
    put_key(json, "version");
    put_integer(json, signature->model_version);
    put(json, SLICE(","));
    put_member(json, "ir_version", signature->ir_version);
    put_member(json, "opset", signature->opsets);
    put_ports(json, "inputs", signature->inputs, signature->input_count);
    put_ports(json, "outputs", signature->outputs, signature->output_count);
    put_metadata(json, signature);
    put_key(json, "batchable");
    put(json, signature_is_batchable(signature) ? SLICE("true}\n") : SLICE("false}\n"));
}

static int print_json(const struct artifact *artifact, const struct signature *signature,
                      struct error *error)
{
    struct json json = {.status = ERR_OK};
    bytes_init(&json.text, JSON_MAX_BYTES);
    put_model(&json, artifact, signature);
    if (json.status == ERR_OK) {
        struct slice text = bytes_slice(&json.text);
        fwrite(text.ptr, 1, text.len, stdout);
    } else {
        error_set(error, ERR_NO_MEMORY, "no memory to describe the model in");
    }
    bytes_done(&json.text);
    return json.status;
}

/* ---- the command ---- */

static int inspect(const struct settings *settings, struct arena *arena, struct error *error)
{
    struct artifact artifact;
    struct artifact_query query = {
        .directory = settings->sm_model_dir,
        .file_name = settings->model_filename,
        .model_type = settings->model_type == SETTING_MODEL_TYPE_AUTO
                          ? SLICE("")
                          : slice_from_str(settings_enum_name(settings, "MODEL_TYPE")),
    };
    int status = artifact_find(&query, arena, &artifact, error);
    if (status != ERR_OK) {
        return status;
    }
    if (artifact.kind != MODEL_ONNX) {
        return error_set(
            error, ERR_CONFIG,
            "%s: a %s model runs code when it is loaded; only ONNX models are inspected",
            artifact.path.ptr, model_kind_name(artifact.kind));
    }
    struct backend_model *model;
    struct backend_options opening = deployment_backend_options(settings, artifact.path.ptr, 1);
    status = backend_ort.open(&opening, &model, error);
    if (status == ERR_OK) {
        const struct signature *signature = backend_ort.signature(model);
        if (as_json) {
            status = print_json(&artifact, signature, error);
        } else {
            print_table(&artifact, signature);
        }
        backend_ort.close(model);
    }
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct error error;
    struct settings settings;
    struct command_input input;
    if (command_read(command, argc, argv, &input, &settings, &error) != ERR_OK) {
        return command_fail(&error);
    }
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    int status = inspect(&settings, &arena, &error);
    arena_done(&arena);
    settings_done(&settings);
    return status == ERR_OK ? EXIT_CODE_OK : command_fail(&error);
}

const struct command command_inspect = {
    .name = "inspect",
    .arguments = "[DIR|FILE] [--json]",
    .summary = "Show what a model takes and gives.",
    .groups = SETTINGS_MODEL | SETTINGS_RUNTIME,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .takes_path = true,
    .run = run,
};
