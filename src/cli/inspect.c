/*
 * onnxd inspect: what a model takes and gives, as a table for people or JSON for programs. Only an
 * ONNX model is opened; files that run code when they are loaded are named, never loaded.
 */
#include <stdio.h>

#include "backend/artifact.h"
#include "backend/backend.h"
#include "cli/command.h"
#include "base/bytes.h"
#include "codec/json_text.h"
#include "serve/deployment.h"

static bool as_json;

static const struct settings_option options[] = {
    {.flag = "json", .help = "Print JSON.", .ret_given = &as_json},
};

#define ARENA_BLOCK_BYTES ((size_t)16 * 1024)
#define ARENA_MAX_BYTES ((size_t)64 * 1024 * 1024)

/* ---- for people ---- */

static void print_field(const char *name, struct slice value)
{
    if (value.len > 0) {
        printf("%-12s %.*s\n", name, SLICE_FMT(value));
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
        printf("%-12s %-*.*s  %.*s\n", i == 0 ? what : "", width, SLICE_FMT(ports[i].name),
               SLICE_FMT(ports[i].type_text));
    }
}

static void print_table(const struct artifact *artifact, const struct signature *signature)
{
    int width = widest(signature->inputs, signature->input_count,
                       widest(signature->outputs, signature->output_count, 0));
    print_field("file", artifact->path);
    print_field("kind", slice_from_str(model_kind_name(artifact->kind)));
    print_field("producer", signature->producer);
    print_field("", signature->producer_version);
    print_field("graph", signature->graph_name);
    print_field("domain", signature->domain);
    print_field("description", signature->description);
    printf("%-12s %lld\n", "version", (long long)signature->model_version);
    print_field("ir", signature->ir_version);
    print_field("opset", signature->opsets);
    print_ports("inputs", signature->inputs, signature->input_count, width);
    print_ports("outputs", signature->outputs, signature->output_count, width);
    for (size_t i = 0; i < signature->metadata_count; i++) {
        printf("%-12s %.*s: %.*s\n", i == 0 ? "metadata" : "",
               SLICE_FMT(signature->metadata[i].key), SLICE_FMT(signature->metadata[i].value));
    }
    printf("%-12s %s\n", "batching",
           signature_is_batchable(signature)
               ? "requests can share a run (every first dimension is free)"
               : "each request runs alone (a first dimension is fixed)");
}

/* ---- for programs ---- */

static void print_string(struct slice text)
{
    struct bytes quoted;
    bytes_init(&quoted, text.len * JSON_TEXT_MAX_GROWTH + 2);
    if (json_text_put(&quoted, text) == ERR_OK) {
        fwrite(quoted.ptr, 1, bytes_len(&quoted), stdout);
    }
    bytes_done(&quoted);
}

static void print_member(const char *name, struct slice value)
{
    printf("\"%s\":", name);
    print_string(value);
    putchar(',');
}

static void print_shape(const struct port *port)
{
    if (!port->rank_known) {
        printf("null");
        return;
    }
    putchar('[');
    for (unsigned i = 0; i < port->rank; i++) {
        printf("%s", i == 0 ? "" : ",");
        if (port->dims[i] >= 0) {
            printf("%lld", (long long)port->dims[i]);
        } else if (port->symbols[i].len > 0) {
            print_string(port->symbols[i]);
        } else {
            printf("-1");
        }
    }
    putchar(']');
}

static void print_json_ports(const char *what, const struct port *ports, size_t count)
{
    static const char *const kinds[] = {[PORT_TENSOR] = "tensor",
                                        [PORT_SEQUENCE] = "sequence",
                                        [PORT_MAP] = "map",
                                        [PORT_OPTIONAL] = "optional",
                                        [PORT_UNKNOWN] = "unknown"};
    printf("\"%s\":[", what);
    for (size_t i = 0; i < count; i++) {
        printf("%s{", i == 0 ? "" : ",");
        print_member("name", ports[i].name);
        print_member("kind", slice_from_str(kinds[ports[i].kind]));
        print_member("type", ports[i].type_text);
        if (ports[i].kind == PORT_TENSOR) {
            print_member("dtype", slice_from_str(dtype_name(ports[i].dtype)));
            printf("\"shape\":");
            print_shape(&ports[i]);
        } else {
            printf("\"dtype\":null,\"shape\":null");
        }
        putchar('}');
    }
    printf("],");
}

static void print_json(const struct artifact *artifact, const struct signature *signature)
{
    putchar('{');
    print_member("file", artifact->path);
    print_member("kind", slice_from_str(model_kind_name(artifact->kind)));
    print_member("producer", signature->producer);
    print_member("producer_version", signature->producer_version);
    print_member("graph", signature->graph_name);
    print_member("domain", signature->domain);
    print_member("description", signature->description);
    printf("\"version\":%lld,", (long long)signature->model_version);
    print_member("ir_version", signature->ir_version);
    print_member("opset", signature->opsets);
    print_json_ports("inputs", signature->inputs, signature->input_count);
    print_json_ports("outputs", signature->outputs, signature->output_count);
    printf("\"metadata\":{");
    for (size_t i = 0; i < signature->metadata_count; i++) {
        printf("%s", i == 0 ? "" : ",");
        print_string(signature->metadata[i].key);
        putchar(':');
        print_string(signature->metadata[i].value);
    }
    printf("},\"batchable\":%s}\n", signature_is_batchable(signature) ? "true" : "false");
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
        (as_json ? print_json : print_table)(&artifact, backend_ort.signature(model));
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
    .run = run,
};
