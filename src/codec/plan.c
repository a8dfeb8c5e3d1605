/*
 * Options into plans. Everything that can be wrong with the settings is found here, once, so that
 * the decoders and encoders meet only what requests can get wrong.
 */
#include "codec/plan.h"

#include "base/check.h"
#include "base/mem.h"
#include "codec/text.h"

struct codec_options codec_options_default(void)
{
    return (struct codec_options){
        .json_key_instances = SLICE("instances"),
        .jsonl_features_key = SLICE("features"),
        .csv_delimiter = ',',
        .csv_has_header = CSV_HEADER_AUTO,
        .csv_skip_blank_lines = true,
        .max_records = 5000,
        .dynamic_batch = true,
        .predictions_only = true,
        .json_output_key = SLICE("predictions"),
        .json_nonfinite = JSON_NONFINITE_LITERAL,
    };
}

static int no_memory(struct error *error)
{
    return error_set(error, ERR_NO_MEMORY, "no memory for the payload settings");
}

static int unknown_port(const char *setting, const char *what, struct slice name,
                        struct error *error)
{
    struct slice shown = text_excerpt(name);
    return error_set(error, ERR_CONFIG, "%s: the model has no %s named \"%.*s\"", setting, what,
                     SLICE_FMT(shown));
}

static bool is_fed_tensor(const struct port *port)
{
    return port->kind == PORT_TENSOR && dtype_size(port->dtype) > 0;
}

bool plan_input_required(const struct codec_plan *plan, size_t input)
{
    return plan->signature->inputs[input].kind != PORT_OPTIONAL;
}

/* Codecs make tensors of the types of dtype.h; a model that needs something else cannot be fed. */
static int check_inputs(const struct signature *signature, struct error *error)
{
    size_t fed = 0;
    for (size_t i = 0; i < signature->input_count; i++) {
        const struct port *port = &signature->inputs[i];
        struct slice name = text_excerpt(port->name);
        struct slice type = text_excerpt(port->type_text);
        fed += is_fed_tensor(port);
        if (!is_fed_tensor(port) && port->kind != PORT_OPTIONAL) {
            return error_set(error, ERR_CONFIG, "input \"%.*s\" is %.*s, which no payload can give",
                             SLICE_FMT(name), SLICE_FMT(type));
        }
        if (port->rank_known && port->rank > TENSOR_MAX_RANK) {
            return error_set(error, ERR_CONFIG, "input \"%.*s\" has more than %d dimensions",
                             SLICE_FMT(name), TENSOR_MAX_RANK);
        }
    }
    return fed > 0 ? ERR_OK : error_set(error, ERR_CONFIG, "the model takes no tensor");
}

static int plan_wanted(struct codec_plan *plan, struct error *error)
{
    const struct codec_options *options = plan->options;
    const struct signature *signature = plan->signature;
    size_t count = options->output_map_count > 0 ? options->output_map_count : 1;
    plan->wanted = mem_zalloc(count, sizeof(plan->wanted[0]));
    if (plan->wanted == NULL) {
        return no_memory(error);
    }
    if (signature->output_count == 0) {
        return error_set(error, ERR_CONFIG, "the model has no outputs");
    }
    plan->wanted_count = count;
    for (size_t i = 0; i < options->output_map_count; i++) {
        int output = signature_find_output(signature, options->output_map[i].port);
        if (output < 0) {
            return unknown_port("ONNX_OUTPUT_MAP_JSON", "output", options->output_map[i].port,
                                error);
        }
        plan->wanted[i] = (size_t)output;
    }
    if (options->output_map_count > 0) {
        return ERR_OK;
    }
    if (options->output_name.len == 0) {
        size_t last = signature->output_count - 1;
        plan->wanted[0] = options->output_index < last ? (size_t)options->output_index : last;
        return ERR_OK;
    }
    int output = signature_find_output(signature, options->output_name);
    if (output < 0) {
        return unknown_port("ONNX_OUTPUT_NAME", "output", options->output_name, error);
    }
    plan->wanted[0] = (size_t)output;
    return ERR_OK;
}

/* Text cannot become numbers on its way to another type, nor numbers text. */
static int check_through(const char *setting, const struct port *port, enum dtype through,
                         struct error *error)
{
    struct slice name = text_excerpt(port->name);
    if (through == DTYPE_NONE || through == port->dtype) {
        return ERR_OK;
    }
    if (through == DTYPE_STRING || port->dtype == DTYPE_STRING || dtype_size(through) == 0) {
        return error_set(error, ERR_CONFIG, "%s is %s, but input \"%.*s\" takes %s", setting,
                         dtype_name(through), SLICE_FMT(name), dtype_name(port->dtype));
    }
    return ERR_OK;
}

static int plan_matrix(struct codec_plan *plan, struct error *error)
{
    const struct codec_options *options = plan->options;
    const struct signature *signature = plan->signature;
    int input = 0;
    while (!is_fed_tensor(&signature->inputs[input])) {
        input++; /* check_inputs saw one */
    }
    if (options->input_name.len > 0) {
        input = signature_find_input(signature, options->input_name);
    }
    if (input < 0 || !is_fed_tensor(&signature->inputs[input])) {
        return unknown_port("ONNX_INPUT_NAME", "tensor input", options->input_name, error);
    }
    const struct port *port = &signature->inputs[input];
    plan->matrix = (struct field){port->name, (size_t)input, options->tabular_dtype};
    return check_through("TABULAR_DTYPE", port, options->tabular_dtype, error);
}

static int plan_inputs(struct codec_plan *plan, struct error *error)
{
    const struct signature *signature = plan->signature;
    int status = fields_new(signature->input_count, &plan->inputs, error);
    if (status != ERR_OK) {
        return status;
    }
    plan->inputs.count = 0;
    for (size_t i = 0; i < signature->input_count; i++) {
        if (is_fed_tensor(&signature->inputs[i])) {
            plan->inputs.items[plan->inputs.count++] =
                (struct field){signature->inputs[i].name, i, DTYPE_NONE};
        }
    }
    fields_sort(&plan->inputs); /* a graph's inputs have names of their own */
    return ERR_OK;
}

static int map_input(struct codec_plan *plan, const struct codec_mapping *mapping, size_t i,
                     struct error *error)
{
    const char *setting = "ONNX_INPUT_MAP_JSON";
    struct slice name = text_excerpt(mapping->port);
    int input = signature_find_input(plan->signature, mapping->port);
    if (input < 0 || !is_fed_tensor(&plan->signature->inputs[input])) {
        return unknown_port(setting, "tensor input", mapping->port, error);
    }
    for (size_t earlier = 0; earlier < i; earlier++) {
        if (plan->mapped.items[earlier].index == (size_t)input) {
            return error_set(error, ERR_CONFIG, "%s maps two keys to input \"%.*s\"", setting,
                             SLICE_FMT(name));
        }
    }
    plan->mapped.items[i] = (struct field){mapping->key, (size_t)input, mapping->dtype};
    return check_through("ONNX_INPUT_DTYPE_MAP_JSON", &plan->signature->inputs[input],
                         mapping->dtype, error);
}

static bool is_mapped(const struct codec_plan *plan, size_t input)
{
    for (size_t i = 0; i < plan->mapped.count; i++) {
        if (plan->mapped.items[i].index == input) {
            return true;
        }
    }
    return false;
}

static int plan_mapped(struct codec_plan *plan, struct error *error)
{
    const struct codec_options *options = plan->options;
    if (options->input_map_count == 0) {
        return ERR_OK;
    }
    int status = fields_new(options->input_map_count, &plan->mapped, error);
    for (size_t i = 0; i < options->input_map_count && status == ERR_OK; i++) {
        status = map_input(plan, &options->input_map[i], i, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    for (size_t i = 0; i < plan->signature->input_count; i++) {
        struct slice name = text_excerpt(plan->signature->inputs[i].name);
        if (plan_input_required(plan, i) && !is_mapped(plan, i)) {
            return error_set(error, ERR_CONFIG,
                             "ONNX_INPUT_MAP_JSON maps no key to the model's input \"%.*s\"",
                             SLICE_FMT(name));
        }
    }
    size_t twice = fields_sort(&plan->mapped);
    if (twice != FIELD_NONE) {
        struct slice key = text_excerpt(plan->mapped.items[twice].key);
        return error_set(error, ERR_CONFIG, "ONNX_INPUT_MAP_JSON has the key \"%.*s\" twice",
                         SLICE_FMT(key));
    }
    return ERR_OK;
}

static int plan_features(struct codec_plan *plan, struct error *error)
{
    const struct codec_options *options = plan->options;
    int status = fields_new(options->feature_name_count, &plan->features, error);
    if (status != ERR_OK) {
        return status;
    }
    for (size_t i = 0; i < options->feature_name_count; i++) {
        plan->features.items[i] = (struct field){options->feature_names[i], i, DTYPE_NONE};
    }
    size_t twice = fields_sort(&plan->features);
    if (twice != FIELD_NONE) {
        struct slice name = text_excerpt(plan->features.items[twice].key);
        return error_set(error, ERR_CONFIG, "the manifest names the feature \"%.*s\" twice",
                         SLICE_FMT(name));
    }
    return ERR_OK;
}

static int check_delimiter(char delimiter, struct error *error)
{
    if (delimiter == '\n' || delimiter == '\r' || delimiter == '"' || delimiter == '\0' ||
        ((unsigned char)delimiter & 0x80) != 0) {
        return error_set(error, ERR_CONFIG,
                         "CSV_DELIMITER must be one ASCII character other than a quote, a line end "
                         "or NUL");
    }
    return ERR_OK;
}

static int fill_plan(struct codec_plan *plan, struct error *error)
{
    const struct codec_options *options = plan->options;
    int status = check_inputs(plan->signature, error);
    if (status == ERR_OK) {
        status = check_delimiter(options->csv_delimiter, error);
    }
    if (status == ERR_OK) {
        status = plan_wanted(plan, error);
    }
    if (status == ERR_OK) {
        status = plan_matrix(plan, error);
    }
    if (status == ERR_OK) {
        status = plan_inputs(plan, error);
    }
    if (status == ERR_OK) {
        status = plan_mapped(plan, error);
    }
    if (status == ERR_OK) {
        status = plan_features(plan, error);
    }
    if (status == ERR_OK) {
        status = selector_parse(options->id_columns, "TABULAR_ID_COLUMNS", &plan->ids, error);
    }
    if (status == ERR_OK) {
        status = selector_parse(options->feature_columns, "TABULAR_FEATURE_COLUMNS", &plan->chosen,
                                error);
    }
    return status;
}

bool plan_is_row(const struct port *port, unsigned depth)
{
    return port->rank_known ? depth + 1 == port->rank : depth == 1;
}

bool codec_array_is_row(const struct codec_plan *plan, unsigned depth)
{
    return plan->mapped.count == 0 &&
           plan_is_row(&plan->signature->inputs[plan->matrix.index], depth);
}

int codec_plan_new(const struct codec_options *options, const struct signature *signature,
                   struct codec_plan **ret_plan, struct error *error)
{
    struct codec_plan *plan = mem_zalloc(1, sizeof(*plan));
    if (plan == NULL) {
        return no_memory(error);
    }
    plan->options = options;
    plan->signature = signature;
    int status = fill_plan(plan, error);
    if (status != ERR_OK) {
        codec_plan_free(plan);
        return status;
    }
    *ret_plan = plan;
    return ERR_OK;
}

void codec_plan_free(struct codec_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    selector_done(&plan->ids);
    selector_done(&plan->chosen);
    fields_free(&plan->features);
    fields_free(&plan->mapped);
    fields_free(&plan->inputs);
    mem_free(plan->wanted);
    mem_free(plan);
}

const size_t *codec_plan_wanted(const struct codec_plan *plan, size_t *ret_count)
{
    *ret_count = plan->wanted_count;
    return plan->wanted;
}
