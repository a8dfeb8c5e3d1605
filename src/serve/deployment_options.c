#include "serve/deployment_options.h"

#include "config/cpu_quota.h"

static int refuse_media(const char *name, struct slice value, const char *accepted,
                        struct error *error)
{
    struct slice shown = slice_head(value, 80);
    return error_set(error, ERR_CONFIG, "%s: \"%.*s\" is not accepted: give %s", name,
                     SLICE_FMT(shown), accepted);
}

int deployment_check_media(const struct settings *settings, struct error *error)
{
    struct slice content_type = settings->default_content_type;
    struct slice accept = settings->default_accept;
    if (media_parse(content_type) == MEDIA_NONE) {
        return refuse_media(
            "DEFAULT_CONTENT_TYPE", content_type,
            "application/json, application/jsonlines, text/csv or application/x-npy", error);
    }
    if (media_negotiate(accept, MEDIA_NONE) == MEDIA_NONE) {
        return refuse_media("DEFAULT_ACCEPT", accept,
                            "application/json, text/csv or application/x-npy", error);
    }
    return ERR_OK;
}

/* A map setting as the codec takes it. NULL and ERR_NO_MEMORY aside, as many items as the setting. */
static const struct codec_mapping *codec_map(const struct settings_map *map, struct arena *arena)
{
    struct codec_mapping *items = arena_zalloc(arena, map->count, sizeof(items[0]));
    for (size_t i = 0; items != NULL && i < map->count; i++) {
        items[i] = (struct codec_mapping){
            .key = map->items[i].key, .port = map->items[i].port, .dtype = map->items[i].dtype};
    }
    return items;
}

int deployment_codec_options(const struct settings *settings, const struct manifest *manifest,
                             const struct signature *signature, struct arena *arena,
                             struct codec_options *ret_options)
{
    static const enum csv_header headers[] = {
        [SETTING_CSV_HEADER_AUTO] = CSV_HEADER_AUTO,
        [SETTING_CSV_HEADER_TRUE] = CSV_HEADER_TRUE,
        [SETTING_CSV_HEADER_FALSE] = CSV_HEADER_FALSE,
    };
    static const enum json_nonfinite nonfinites[] = {
        [SETTING_NONFINITE_LITERAL] = JSON_NONFINITE_LITERAL,
        [SETTING_NONFINITE_NULL] = JSON_NONFINITE_NULL,
        [SETTING_NONFINITE_ERROR] = JSON_NONFINITE_ERROR,
    };
    const struct manifest_port *features = manifest->input_count > 0 ? &manifest->inputs[0] : NULL;
    struct codec_options options = {
        .json_key_instances = settings->json_key_instances,
        .jsonl_features_key = settings->jsonl_features_key,
        .csv_delimiter = settings->csv_delimiter,
        .csv_has_header = headers[settings->csv_has_header],
        .csv_skip_blank_lines = settings->csv_skip_blank_lines,
        .id_columns = settings->tabular_id_columns,
        .feature_columns = settings->tabular_feature_columns,
        .num_features = settings->tabular_num_features,
        .tabular_dtype = settings->tabular_dtype,
        .max_records = settings->max_records,
        .input_name = settings->onnx_input_name,
        .output_name = settings->onnx_output_name,
        .output_index = settings->onnx_output_index,
        .input_map = codec_map(&settings->onnx_input_map_json, arena),
        .input_map_count = settings->onnx_input_map_json.count,
        .output_map = codec_map(&settings->onnx_output_map_json, arena),
        .output_map_count = settings->onnx_output_map_json.count,
        .dynamic_batch = settings->onnx_dynamic_batch,
        .predictions_only = settings->return_predictions_only,
        .json_output_key = settings->json_output_key,
        .json_nonfinite = nonfinites[settings->json_nonfinite],
        .feature_names = features == NULL ? NULL : features->feature_names,
        .feature_name_count = features == NULL ? 0 : features->feature_name_count,
    };
    if (options.input_map == NULL || options.output_map == NULL) {
        return ERR_NO_MEMORY;
    }
    if (options.feature_name_count == 0 && signature->input_count == 1) {
        options.feature_names = signature->inputs[0].feature_names;
        options.feature_name_count = signature->inputs[0].feature_name_count;
    }
    *ret_options = options;
    return ERR_OK;
}

unsigned deployment_run_threads(const struct settings *settings, unsigned io_threads)
{
    if (settings->onnx_intra_op_threads != 0) {
        return settings->onnx_intra_op_threads;
    }
    unsigned quota = cpu_quota();
    return io_threads == 0 || quota <= io_threads ? 1 : quota / io_threads;
}

struct backend_options deployment_backend_options(const struct settings *settings, const char *path,
                                                  unsigned io_threads)
{
    static const char *const levels[] = {
        [SETTING_GRAPH_OPT_DISABLE] = "disable",
        [SETTING_GRAPH_OPT_BASIC] = "basic",
        [SETTING_GRAPH_OPT_EXTENDED] = "extended",
        [SETTING_GRAPH_OPT_ALL] = "all",
    };
    return (struct backend_options){
        .path = path,
        .library =
            settings->onnx_runtime_library.len == 0 ? NULL : settings->onnx_runtime_library.ptr,
        .providers = settings->onnx_providers,
        .intra_op_threads = deployment_run_threads(settings, io_threads),
        .inter_op_threads =
            settings->onnx_inter_op_threads == 0 ? 1 : settings->onnx_inter_op_threads,
        .graph_opt_level = slice_from_str(levels[settings->onnx_graph_opt_level]),
    };
}

/* Processes that run the model, so that these times a run's threads stay within the quota. */
struct backend_worker_options deployment_worker_options(const struct settings *settings,
                                                        enum model_kind kind, const char *manifest)
{
    unsigned quota = cpu_quota();
    unsigned count = settings->workers == 0 ? quota : settings->workers;
    return (struct backend_worker_options){
        .kind = model_kind_name(kind),
        .manifest = manifest,
        .output = settings->model_output == SETTING_MODEL_OUTPUT_AUTO
                      ? SLICE("")
                      : slice_from_str(settings_enum_name(settings, "MODEL_OUTPUT")),
        .count = count,
        .threads = quota / count == 0 ? 1 : quota / count,
        .python = settings->worker_python.len == 0 ? NULL : settings->worker_python.ptr,
        .command = settings->worker_command,
        .environment = settings->worker_environment,
        .max_rss_bytes = (uint64_t)settings->worker_max_rss_mb << 20,
        .start_timeout_ns = settings->worker_start_timeout_ns,
    };
}
