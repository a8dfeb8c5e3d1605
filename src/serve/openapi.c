/*
 * Specialises the OpenAPI document to a model. The general text is written by hand and valid by
 * itself; only the lines between two comment marks, in the operation of /invocations, are made
 * here. Names and bodies come from model files and manifests, so nothing of them is trusted.
 */
#include "serve/openapi.h"

#include "serve/assets.h"
#include "serve/example.h"
#include "serve/yaml.h"

/* Integers of each dtype, as JSON Schema bounds. */
static const struct {
    enum dtype dtype;
    const char *bounds;
} integers[] = {
    {DTYPE_I8, "minimum: -128, maximum: 127"},
    {DTYPE_I16, "minimum: -32768, maximum: 32767"},
    {DTYPE_I32, "minimum: -2147483648, maximum: 2147483647"},
    {DTYPE_I64, "minimum: -9223372036854775808, maximum: 9223372036854775807"},
    {DTYPE_U8, "minimum: 0, maximum: 255"},
    {DTYPE_U16, "minimum: 0, maximum: 65535"},
    {DTYPE_U32, "minimum: 0, maximum: 4294967295"},
    {DTYPE_U64, "minimum: 0, maximum: 18446744073709551615"},
};

/* The media types of a request, the ones with examples first. */
static const struct {
    const char *type;
    enum media media;
    const char *schema;
    bool is_alias; /* of one above: no example of its own */
} contents[] = {
    {"application/json", MEDIA_JSON, "JsonPayload", false},
    {"application/jsonlines", MEDIA_JSONL, "JsonLinesPayload", false},
    {"text/csv", MEDIA_CSV, "CsvPayload", false},
    {"application/x-npy", MEDIA_NPY, "NpyPayload", false},
    {"application/*+json", MEDIA_JSON, "JsonPayload", true},
    {"application/jsonl", MEDIA_JSONL, "JsonLinesPayload", true},
    {"application/x-jsonlines", MEDIA_JSONL, "JsonLinesPayload", true},
    {"application/x-ndjson", MEDIA_JSONL, "JsonLinesPayload", true},
    {"application/csv", MEDIA_CSV, "CsvPayload", true},
};

#define CONTENT_COUNT (sizeof(contents) / sizeof(contents[0]))

static void put_element_schema(struct yaml *yaml, enum dtype dtype)
{
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        if (integers[i].dtype == dtype) {
            yaml_printf(yaml, "{type: integer, %s}", integers[i].bounds);
            return;
        }
    }
    if (dtype == DTYPE_BOOL) {
        yaml_put(yaml, "{type: boolean}");
    } else if (dtype == DTYPE_STRING) {
        yaml_put(yaml, "{type: string}");
    } else {
        yaml_put(yaml, "{type: [number, \"null\"]}");
    }
}

/* The JSON Schema of an input's array, a flow node. A first dimension of one may be left out. */
static void put_tensor_schema(struct yaml *yaml, const struct port *port)
{
    if (port->kind != PORT_TENSOR || !port->rank_known) {
        yaml_put(yaml, "{$ref: \"#/components/schemas/Nested\"}");
        return;
    }
    for (unsigned i = 0; i < port->rank; i++) {
        int64_t dim = port->dims[i];
        if (dim >= 0) {
            yaml_printf(yaml,
                        "{type: array, minItems: %lld, maxItems: %lld, items: ", (long long)dim,
                        (long long)dim);
        } else {
            yaml_put(yaml, "{type: array, minItems: 1, items: ");
        }
    }
    put_element_schema(yaml, port->dtype);
    for (unsigned i = 0; i < port->rank; i++) {
        yaml_put(yaml, "}");
    }
}

static const char *kind_name(const struct port *port)
{
    static const char *const names[] = {[PORT_TENSOR] = "tensor",
                                        [PORT_SEQUENCE] = "sequence",
                                        [PORT_MAP] = "map",
                                        [PORT_OPTIONAL] = "optional",
                                        [PORT_UNKNOWN] = "unknown"};
    return names[port->kind];
}

/* One line of x-onnxd-model: {name: ..., kind: ..., dtype: ..., shape: [...], type: ...}. */
static void put_port(struct yaml *yaml, const struct port *port)
{
    yaml_put(yaml, "          - {name: ");
    yaml_put_quoted(yaml, port->name);
    yaml_printf(yaml, ", kind: %s", kind_name(port));
    if (port->kind == PORT_TENSOR) {
        yaml_printf(yaml, ", dtype: %s", dtype_name(port->dtype));
    }
    if (port->kind == PORT_TENSOR && port->rank_known) {
        yaml_put(yaml, ", shape: [");
        for (unsigned i = 0; i < port->rank; i++) {
            yaml_printf(yaml, "%s%lld", i > 0 ? ", " : "", (long long)port->dims[i]);
        }
        yaml_put(yaml, "]");
    }
    yaml_put(yaml, ", type: ");
    yaml_put_quoted(yaml, port->type_text);
    yaml_put(yaml, "}\n");
}

static void put_ports(struct yaml *yaml, const char *key, const struct port *ports, size_t count)
{
    yaml_printf(yaml, "        %s:%s\n", key, count == 0 ? " []" : "");
    for (size_t i = 0; i < count; i++) {
        put_port(yaml, &ports[i]);
    }
}

/* The signature as data, for programs. */
static void put_extension(struct yaml *yaml, const struct openapi_model *model)
{
    yaml_put(yaml, "      x-onnxd-model:\n        name: ");
    yaml_put_quoted(yaml, model->name);
    yaml_put(yaml, "\n        version: ");
    yaml_put_quoted(yaml, model->version);
    yaml_put(yaml, "\n");
    put_ports(yaml, "inputs", model->signature->inputs, model->signature->input_count);
    put_ports(yaml, "outputs", model->signature->outputs, model->signature->output_count);
    if (model->feature_name_count > 0) {
        yaml_put(yaml, "        features: [");
        for (size_t i = 0; i < model->feature_name_count; i++) {
            yaml_put(yaml, i > 0 ? ", " : "");
            yaml_put_quoted(yaml, model->feature_names[i]);
        }
        yaml_put(yaml, "]\n");
    }
}

static void put_port_line(struct yaml *yaml, const char *what, const struct port *port)
{
    yaml_printf(yaml, "\\n* %s **", what);
    yaml_put_markdown(yaml, port->name);
    yaml_put(yaml, "**: ");
    yaml_put_markdown(yaml, port->type_text);
}

/* The signature as Markdown in one quoted scalar, for people. */
static void put_description(struct yaml *yaml, const struct openapi_model *model)
{
    const struct signature *signature = model->signature;
    yaml_put(yaml, "      description: \"The loaded model");
    if (model->name.len > 0) {
        yaml_put(yaml, " is **");
        yaml_put_markdown(yaml, model->name);
        yaml_put(yaml, "**");
    }
    if (model->version.len > 0) {
        yaml_put(yaml, ", version **");
        yaml_put_markdown(yaml, model->version);
        yaml_put(yaml, "**");
    }
    yaml_put(yaml, model->name.len > 0 ? "; it takes and gives\\n" : " takes and gives\\n");
    for (size_t i = 0; i < signature->input_count; i++) {
        put_port_line(yaml, "input", &signature->inputs[i]);
    }
    for (size_t i = 0; i < signature->output_count; i++) {
        put_port_line(yaml, "output", &signature->outputs[i]);
    }
    for (size_t i = 0; i < model->feature_name_count; i++) {
        yaml_put(yaml, i == 0 ? "\\n\\nFeatures, in order: " : ", ");
        yaml_put_markdown(yaml, model->feature_names[i]);
    }
    yaml_put(yaml, "\"\n");
}

/* Schema of a JSON body: the model's own forms first, then all that is read. */
static void put_json_schema(struct yaml *yaml, const struct openapi_model *model,
                            const struct example_model *example)
{
    const struct port *matrix = example_matrix_input(example);
    yaml_put(yaml, "              anyOf:\n");
    if (matrix != NULL) {
        yaml_put(yaml, "                - title: ");
        yaml_put_quoted(yaml, matrix->name);
        yaml_put(yaml, "\n                  allOf: [");
        put_tensor_schema(yaml, matrix);
        yaml_put(yaml, "]\n");
    }
    if (example->options->input_map_count == 0) {
        yaml_put(yaml, "                - title: inputs\n                  type: object\n"
                       "                  properties:");
        yaml_put(yaml, model->signature->input_count == 0 ? " {}\n" : "\n");
        for (size_t i = 0; i < model->signature->input_count; i++) {
            /* An explicit key: names may be longer than a simple one. */
            yaml_put(yaml, "                    ? ");
            yaml_put_quoted(yaml, model->signature->inputs[i].name);
            yaml_put(yaml, "\n                    : ");
            put_tensor_schema(yaml, &model->signature->inputs[i]);
            yaml_put(yaml, "\n");
        }
    }
    yaml_put(yaml, "                - $ref: \"#/components/schemas/JsonPayload\"\n");
}

static void put_example_value(struct yaml *yaml, const char *summary, enum media media,
                              struct slice body)
{
    yaml_printf(yaml,
                "            examples:\n              model:\n                summary: %s\n"
                "                value: ",
                summary);
    if (media == MEDIA_JSON) {
        yaml_put_json(yaml, body);
    } else {
        yaml_put_quoted(yaml, body);
    }
    yaml_put(yaml, "\n");
}

/* The manifest's example where it is of this encoding and can stand in the document. */
static bool put_given_example(struct yaml *yaml, const struct openapi_model *model,
                              enum media media)
{
    enum media given =
        model->example_body.len == 0 ? MEDIA_NONE : media_parse(model->example_content_type);
    if (given != media || media == MEDIA_NPY ||
        (media == MEDIA_JSON && !yaml_accepts_json(model->example_body))) {
        return false;
    }
    put_example_value(yaml, "The manifest's example", media, model->example_body);
    return true;
}

static void put_built_example(struct yaml *yaml, const struct example_model *example,
                              enum media media)
{
    struct bytes body;
    bytes_init(&body, OPENAPI_MAX_BYTES);
    int status = example_put(example, media, &body);
    if (status == ERR_OK && (media != MEDIA_JSON || yaml_accepts_json(bytes_slice(&body)))) {
        put_example_value(yaml, "The smallest body the model takes", media, bytes_slice(&body));
    } else if (status == ERR_NO_MEMORY) {
        yaml->status = status;
    }
    bytes_done(&body);
}

static void put_content(struct yaml *yaml, const struct openapi_model *model,
                        const struct example_model *example, size_t i)
{
    yaml_printf(yaml, "          %s:\n            schema:\n", contents[i].type);
    if (contents[i].media == MEDIA_JSON && !contents[i].is_alias) {
        put_json_schema(yaml, model, example);
    } else {
        yaml_printf(yaml, "              $ref: \"#/components/schemas/%s\"\n", contents[i].schema);
    }
    if (!contents[i].is_alias && !put_given_example(yaml, model, contents[i].media)) {
        put_built_example(yaml, example, contents[i].media);
    }
}

/* The page offers the first media type: the one the manifest's example has. */
static size_t first_content(const struct openapi_model *model)
{
    enum media given =
        model->example_body.len == 0 ? MEDIA_NONE : media_parse(model->example_content_type);
    for (size_t i = 0; i < CONTENT_COUNT; i++) {
        if (contents[i].media == given && given != MEDIA_NPY) {
            return i;
        }
    }
    return 0;
}

static int put_block(struct yaml *yaml, const struct openapi_model *model)
{
    struct codec_options options = codec_options_default();
    const struct example_model example = {
        .signature = model->signature,
        .options = model->options != NULL ? model->options : &options,
    };
    if (model->options == NULL) {
        options.feature_names = model->feature_names;
        options.feature_name_count = model->feature_name_count;
    }
    put_description(yaml, model);
    put_extension(yaml, model);
    yaml_put(yaml, "      requestBody:\n        required: true\n        content:\n");
    size_t first = first_content(model);
    put_content(yaml, model, &example, first);
    for (size_t i = 0; i < CONTENT_COUNT; i++) {
        if (i != first) {
            put_content(yaml, model, &example, i);
        }
    }
    return yaml->status;
}

/*
 * Cuts the line that holds `mark` off: *ret_before is what stands before the line, *rest becomes
 * what follows it.
 */
static bool cut_line(struct slice *rest, struct slice mark, struct slice *ret_before)
{
    const char *at = rest->len == 0 ? NULL : memmem(rest->ptr, rest->len, mark.ptr, mark.len);
    if (at == NULL) {
        return false;
    }
    const char *start = at;
    while (start > rest->ptr && start[-1] != '\n') {
        start--;
    }
    struct slice from_mark = slice_tail(*rest, (size_t)(at - rest->ptr));
    *ret_before = slice_head(*rest, (size_t)(start - rest->ptr));
    slice_cut(&from_mark, '\n');
    *rest = from_mark;
    return true;
}

int openapi_write_from(struct slice document, const struct openapi_model *model, struct bytes *out,
                       struct error *error)
{
    struct slice rest = document;
    struct slice before;
    struct slice general;
    if (!cut_line(&rest, SLICE("# --- loaded model: begin ---"), &before) ||
        !cut_line(&rest, SLICE("# --- loaded model: end ---"), &general)) {
        return error_set(error, ERR_INTERNAL, "the OpenAPI document lacks the model's block");
    }
    struct yaml yaml = {.out = out};
    if (model->ready && model->signature != NULL) {
        yaml.status = bytes_put(out, before);
        if (yaml.status == ERR_OK && put_block(&yaml, model) == ERR_OK) {
            yaml.status = bytes_put(out, rest);
        }
    } else {
        yaml.status = bytes_put(out, document);
    }
    if (yaml.status != ERR_OK) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the OpenAPI document");
    }
    return ERR_OK;
}

int openapi_write(const struct openapi_model *model, struct bytes *out, struct error *error)
{
    return openapi_write_from(asset_openapi(), model, out, error);
}
