/*
 * Writes JSON for the page at /ui. Names, texts and bodies come from model files and manifests: they
 * stand in strings, and the page puts them on the screen as text alone.
 */
#include "serve/ui.h"

#include "serve/example.h"
#include "serve/yaml.h"

/* What a form can hold as text, and npy, which it can send from a file. */
static const struct {
    const char *type;
    enum media media;
} requests[] = {
    {"application/json", MEDIA_JSON},
    {"application/jsonlines", MEDIA_JSONL},
    {"text/csv", MEDIA_CSV},
    {"application/x-npy", MEDIA_NPY},
};

#define REQUEST_COUNT (sizeof(requests) / sizeof(requests[0]))

static void put_text(struct yaml *json, const char *key, struct slice text)
{
    yaml_printf(json, ",\"%s\":", key);
    yaml_put_quoted(json, text);
}

/* Nothing where it is empty. */
static void put_said(struct yaml *json, const char *key, struct slice text)
{
    if (text.len > 0) {
        put_text(json, key, text);
    }
}

static void put_list(struct yaml *json, const char *key, const struct slice *texts, size_t count)
{
    if (count == 0) {
        return;
    }
    yaml_printf(json, ",\"%s\":[", key);
    for (size_t i = 0; i < count; i++) {
        yaml_put(json, i > 0 ? "," : "");
        yaml_put_quoted(json, texts[i]);
    }
    yaml_put(json, "]");
}

/* ---- inputs and outputs ---- */

static const char *kind_name(enum port_kind kind)
{
    static const char *const names[] = {[PORT_TENSOR] = "tensor",
                                        [PORT_SEQUENCE] = "sequence",
                                        [PORT_MAP] = "map",
                                        [PORT_OPTIONAL] = "optional",
                                        [PORT_UNKNOWN] = "unknown"};
    return names[kind];
}

static void put_tensor(struct yaml *json, const struct port *port)
{
    yaml_printf(json, ",\"dtype\":\"%s\"", dtype_name(port->dtype));
    if (!port->rank_known) {
        return;
    }
    yaml_put(json, ",\"shape\":[");
    for (unsigned i = 0; i < port->rank; i++) {
        yaml_printf(json, "%s%lld", i > 0 ? "," : "", (long long)port->dims[i]);
    }
    yaml_put(json, "]");
}

/*
 * Leaves the object open. `said` is what the manifest says of the port, or NULL; it counts more than
 * the model's own names.
 */
static void open_port(struct yaml *json, const struct port *port, const struct manifest_port *said)
{
    static const struct manifest_port nothing;
    said = said == NULL ? &nothing : said;
    bool has_features = said->feature_name_count > 0;
    bool has_labels = said->class_label_count > 0;
    yaml_printf(json, "{\"kind\":\"%s\"", kind_name(port->kind));
    put_text(json, "name", port->name);
    put_text(json, "type", port->type_text);
    if (port->kind == PORT_TENSOR) {
        put_tensor(json, port);
    }
    put_said(json, "description", said->description);
    put_list(json, "units", said->units, said->unit_count);
    put_list(json, "feature_names", has_features ? said->feature_names : port->feature_names,
             has_features ? said->feature_name_count : port->feature_name_count);
    put_list(json, "class_labels", has_labels ? said->class_labels : port->class_labels,
             has_labels ? said->class_label_count : port->class_label_count);
}

static bool is_answered(const struct ui_model *model, size_t output)
{
    for (size_t i = 0; i < model->wanted_count; i++) {
        if (model->wanted[i] == output) {
            return true;
        }
    }
    return false;
}

static void put_ports(struct yaml *json, const struct ui_model *model)
{
    const struct signature *signature = model->signature;
    yaml_put(json, ",\"inputs\":[");
    for (size_t i = 0; i < signature->input_count; i++) {
        const struct port *port = &signature->inputs[i];
        yaml_put(json, i > 0 ? "," : "");
        open_port(json, port, manifest_find_input(model->manifest, port->name));
        yaml_put(json, "}");
    }
    yaml_put(json, "],\"outputs\":[");
    for (size_t i = 0; i < signature->output_count; i++) {
        const struct port *port = &signature->outputs[i];
        yaml_put(json, i > 0 ? "," : "");
        open_port(json, port, manifest_find_output(model->manifest, port->name));
        yaml_put(json, is_answered(model, i) ? ",\"answered\":true}" : "}");
    }
    yaml_put(json, "]");
}

/* ---- requests and answers ---- */

/* The encoding of the manifest's example, where a text field can show it. */
static enum media example_media(const struct ui_model *model)
{
    const struct manifest_sample *example = &model->manifest->example;
    enum media media = example->given ? media_parse(example->content_type) : MEDIA_NONE;
    return media == MEDIA_NPY ? MEDIA_NONE : media;
}

static void put_built_example(struct yaml *json, const struct ui_model *model, enum media media)
{
    const struct example_model wanted = {.signature = model->signature, .options = model->options};
    struct bytes body;
    bytes_init(&body, json->out->max);
    int status = example_put(&wanted, media, &body);
    if (status == ERR_OK) {
        put_text(json, "example", bytes_slice(&body));
        yaml_put(json, ",\"source\":\"signature\"");
    } else if (status == ERR_NO_MEMORY) {
        json->status = status;
    } else {
        yaml_put(json, ",\"example\":null");
    }
    bytes_done(&body);
}

static void put_request(struct yaml *json, const struct ui_model *model, size_t i)
{
    yaml_printf(json, "{\"content_type\":\"%s\"", requests[i].type);
    if (requests[i].media == example_media(model)) {
        put_text(json, "example", model->manifest->example.body);
        yaml_put(json, ",\"source\":\"manifest\"");
    } else {
        put_built_example(json, model, requests[i].media);
    }
    yaml_put(json, "}");
}

static void put_requests(struct yaml *json, const struct ui_model *model)
{
    size_t first = 0;
    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        first = requests[i].media == example_media(model) ? i : first;
    }
    yaml_put(json, ",\"requests\":[");
    put_request(json, model, first);
    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        if (i != first) {
            yaml_put(json, ",");
            put_request(json, model, i);
        }
    }
    yaml_put(json, "]");
}

static void put_answers(struct yaml *json, const struct ui_model *model)
{
    static const enum media medias[] = {MEDIA_JSON, MEDIA_CSV, MEDIA_NPY};
    bool is_mapped = model->options->output_map_count > 0;
    enum media preferred = is_mapped ? MEDIA_JSON : model->answer;
    yaml_put(json, ",\"answers\":{\"types\":[");
    bool is_first = true;
    for (size_t i = 0; i < sizeof(medias) / sizeof(medias[0]); i++) {
        if (!is_mapped || medias[i] == preferred) {
            yaml_put(json, is_first ? "" : ",");
            yaml_put_quoted(json, media_content_type(medias[i]));
            is_first = false;
        }
    }
    yaml_put(json, "]");
    put_text(json, "preferred", media_content_type(preferred));
    yaml_put(json, "}");
}

/* ---- the whole ---- */

static void put_model(struct yaml *json, const struct ui_model *model)
{
    static const char *const settings[] = {[SETTING_EXECUTION_AUTO] = "auto",
                                           [SETTING_EXECUTION_INLINE] = "inline",
                                           [SETTING_EXECUTION_POOLED] = "pooled"};
    yaml_printf(json, "{\"kind\":\"%s\"", model->kind);
    put_text(json, "name", model->name);
    put_said(json, "version", model->manifest->version);
    put_said(json, "description", model->manifest->description);
    yaml_printf(json, ",\"batching\":{\"shared\":%s,\"max_rows\":%lld}",
                model->batchable ? "true" : "false", (long long)model->max_rows);
    yaml_printf(json, ",\"execution\":{\"setting\":\"%s\",\"runs_on\":\"%s\"}",
                settings[model->execution], model->pooled ? "runners" : "io_threads");
    put_ports(json, model);
    put_requests(json, model);
    put_answers(json, model);
    yaml_put(json, "}");
}

/* A path, or null. */
static void put_path(struct yaml *json, const char *key, bool is_on, struct slice path)
{
    if (is_on) {
        put_text(json, key, path);
    } else {
        yaml_printf(json, ",\"%s\":null", key);
    }
}

int ui_write_model(const struct settings *settings, bool ready, const struct ui_model *model,
                   struct bytes *out, struct error *error)
{
    struct yaml json = {.out = out};
    yaml_printf(&json, "{\"ready\":%s", ready ? "true" : "false");
    put_path(&json, "metrics", settings->prometheus_enabled, settings->prometheus_path);
    put_path(&json, "docs", settings->swagger_enabled, SLICE("/docs"));
    yaml_put(&json, ",\"model\":");
    if (model == NULL) {
        yaml_put(&json, "null");
    } else {
        put_model(&json, model);
    }
    yaml_put(&json, "}\n");
    if (json.status != ERR_OK) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the description of the model");
    }
    return ERR_OK;
}
