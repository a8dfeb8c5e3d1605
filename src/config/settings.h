/*
 * Every setting of the program, typed: read once at the start (and again at a reload) from flags,
 * the environment and the model's manifest, then never changed, so any thread may read. The table
 * behind it (settings_table.c) holds each setting's name, type, default, range and help exactly
 * once; flags, error texts, --help and the README's table are made from it.
 *
 * A member is named after the environment variable in lower case. Seconds are kept as nanoseconds,
 * and their member ends in _ns where the variable ends in _S (or has no unit). Strings are slices
 * in the settings' own arena, and each has a NUL behind its last byte for libc's border.
 */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "tensor/dtype.h"

/*
 * Enumerators stand in the order of the names the settings accept; those of csv_header and nonfinite
 * also in that of codec/codec.h. MODEL_TYPE is AUTO where it is not set.
 */
enum setting_model_type {
    SETTING_MODEL_TYPE_AUTO,
    SETTING_MODEL_TYPE_ONNX,
    SETTING_MODEL_TYPE_SKLEARN,
    SETTING_MODEL_TYPE_PYTORCH,
    SETTING_MODEL_TYPE_TENSORFLOW
};
enum setting_input_mode { SETTING_INPUT_TABULAR };
enum setting_output_mode { SETTING_OUTPUT_PREDICTIONS };
enum setting_csv_header {
    SETTING_CSV_HEADER_AUTO,
    SETTING_CSV_HEADER_TRUE,
    SETTING_CSV_HEADER_FALSE
};
enum setting_nonfinite {
    SETTING_NONFINITE_LITERAL,
    SETTING_NONFINITE_NULL,
    SETTING_NONFINITE_ERROR
};
enum setting_execution {
    SETTING_EXECUTION_AUTO,
    SETTING_EXECUTION_INLINE,
    SETTING_EXECUTION_POOLED
};
enum setting_batching { SETTING_BATCHING_AUTO, SETTING_BATCHING_OFF };
enum setting_graph_opt {
    SETTING_GRAPH_OPT_DISABLE,
    SETTING_GRAPH_OPT_BASIC,
    SETTING_GRAPH_OPT_EXTENDED,
    SETTING_GRAPH_OPT_ALL
};
/* MODEL_OUTPUT */
enum setting_model_output {
    SETTING_MODEL_OUTPUT_AUTO,
    SETTING_MODEL_OUTPUT_PREDICT,
    SETTING_MODEL_OUTPUT_PREDICT_PROBA,
    SETTING_MODEL_OUTPUT_DECISION_FUNCTION,
    SETTING_MODEL_OUTPUT_TRANSFORM
};
/* OTEL_EXPORTER_OTLP_COMPRESSION; UNSET, of traces: the general one stands */
enum setting_compression {
    SETTING_COMPRESSION_UNSET,
    SETTING_COMPRESSION_NONE,
    SETTING_COMPRESSION_GZIP
};
/* OTEL_TRACES_SAMPLER */
enum setting_sampler {
    SETTING_SAMPLER_ALWAYS_ON,
    SETTING_SAMPLER_ALWAYS_OFF,
    SETTING_SAMPLER_TRACEIDRATIO,
    SETTING_SAMPLER_PARENTBASED_ALWAYS_ON,
    SETTING_SAMPLER_PARENTBASED_ALWAYS_OFF,
    SETTING_SAMPLER_PARENTBASED_TRACEIDRATIO
};

/* One member of a JSON map setting. */
struct settings_mapping {
    struct slice key;  /* of the request or response body; in the dtype map also an input's name */
    struct slice port; /* the model's name for it; empty in the dtype map */
    enum dtype dtype;  /* in the input map taken from the dtype map, by key or port; else NONE */
};

struct settings_map {
    struct settings_mapping *items; /* in the order of the text; keys are unique */
    size_t count;                   /* 0: not set */
};

enum setting_source {
    SETTING_FROM_DEFAULT,
    SETTING_FROM_MANIFEST,
    SETTING_FROM_ENVIRONMENT,
    SETTING_FROM_FLAG,
    SETTING_FROM_ARGUMENT /* settings_input.overrides: a path on the command line */
};

/* How many settings the table has (checked when it is compiled). */
enum { SETTINGS_COUNT = 95 };

enum { SETTINGS_IO_THREADS_MAX = 256 }; /* of io_threads, and of what the CPU quota may ask for */

struct settings {
    /* Service */
    uint16_t port; /* 0: any free one */
    struct slice host;
    uint16_t grpc_port; /* 0: any free one */
    struct slice grpc_host;
    bool grpc_enabled;
    bool grpc_reflection;
    unsigned grpc_max_concurrent_rpcs; /* 0: no limit */
    enum log_level log_level;
    enum log_format log_format;
    bool access_log;
    struct slice service_name;
    struct slice service_version;
    struct slice deployment_env;

    /* Model */
    struct slice sm_model_dir;
    enum setting_model_type model_type;
    struct slice model_filename; /* empty: the default names are tried */

    /* Payload */
    enum setting_input_mode input_mode;
    enum setting_output_mode output_mode;
    struct slice default_content_type;
    struct slice default_accept;
    enum dtype tabular_dtype; /* DTYPE_NONE: the model's own */
    char csv_delimiter;
    enum setting_csv_header csv_has_header;
    bool csv_skip_blank_lines;
    struct slice json_key_instances;
    struct slice jsonl_features_key;
    struct slice tabular_id_columns;      /* "a:b" (half open, ends may be left out) or "i,j,k" */
    struct slice tabular_feature_columns; /* likewise; empty: all */
    unsigned tabular_num_features;        /* 0: not checked */
    bool return_predictions_only;
    struct slice json_output_key;
    enum setting_nonfinite json_nonfinite;

    /* Limits */
    uint64_t max_body_bytes;
    unsigned max_records;
    unsigned max_inflight;
    uint64_t acquire_timeout_ns; /* 0: do not wait */
    unsigned max_connections;
    unsigned max_streams;
    uint64_t header_timeout_ns;

    /* Process */
    unsigned io_threads;           /* 0: from the CPU quota */
    unsigned model_instances;      /* 0: from the CPU quota */
    uint64_t request_timeout_ns;   /* 0: no limit */
    uint64_t drain_timeout_ns;     /* 0: leave at once */
    uint64_t keepalive_timeout_ns; /* 0: close after each answer */
    enum setting_execution execution;
    unsigned inline_max_us;
    enum setting_batching batching;
    unsigned max_batch_size; /* rows a run */
    unsigned max_queue_delay_us;
    unsigned max_queue_rows;
    uint64_t max_queue_bytes;

    /* Observability */
    bool prometheus_enabled;
    struct slice prometheus_path; /* starts with '/' */
    bool swagger_enabled;
    bool ui_enabled;
    bool otel_enabled;
    bool otel_sdk_disabled;
    struct slice otel_exporter_otlp_endpoint; /* empty: nothing is exported */
    struct slice otel_exporter_otlp_protocol; /* as it was set: whoever exports judges it */
    struct slice otel_exporter_otlp_headers;  /* "k=v,k=v", checked; may hold secrets */
    uint64_t otel_exporter_otlp_timeout_ns;
    struct slice otel_exporter_otlp_certificate; /* empty: the system's */
    enum setting_compression otel_exporter_otlp_compression;
    struct slice otel_exporter_otlp_traces_endpoint; /* these six: empty or 0 where not set, */
    struct slice otel_exporter_otlp_traces_protocol; /* then the general one stands */
    struct slice otel_exporter_otlp_traces_headers;
    uint64_t otel_exporter_otlp_traces_timeout_ns;
    struct slice otel_exporter_otlp_traces_certificate;
    enum setting_compression otel_exporter_otlp_traces_compression;
    enum setting_sampler otel_traces_sampler;
    double otel_traces_sampler_arg; /* 0 to 1 */
    unsigned
        otel_bsp_schedule_delay; /* milliseconds, as the standard has it; likewise the timeout */
    unsigned otel_bsp_export_timeout;
    unsigned otel_bsp_max_queue_size; /* spans; likewise the batch */
    unsigned otel_bsp_max_export_batch_size;
    struct slice otel_resource_attributes; /* "k=v,k=v", checked */

    /* ONNX Runtime */
    struct slice onnx_runtime_library; /* empty: the search path decides */
    struct slice onnx_providers;       /* "A,B", in order of preference */
    unsigned onnx_intra_op_threads;    /* 0: from the CPU quota */
    unsigned onnx_inter_op_threads;    /* 0: from the CPU quota */
    enum setting_graph_opt onnx_graph_opt_level;
    struct slice onnx_input_name;
    struct slice onnx_output_name;
    unsigned onnx_output_index; /* clamped to the last output */
    struct settings_map onnx_input_map_json;
    struct settings_map onnx_output_map_json;
    struct settings_map onnx_input_dtype_map_json;
    bool onnx_dynamic_batch;

    /* Native frameworks */
    enum setting_model_output model_output;
    unsigned workers;                /* 0: from the CPU quota */
    struct slice worker_python;      /* empty: python3 in PATH */
    struct slice worker_command;     /* empty: our own program */
    struct slice worker_environment; /* "A,B" */
    unsigned worker_max_rss_mb;      /* MiB; 0: no limit */
    uint64_t worker_start_timeout_ns;

    /* Arguments that are no flags, in order; borrowed from argv. */
    const char **positionals;
    size_t positional_count;

    enum setting_source sources[SETTINGS_COUNT]; /* by row of the table: settings_source reads it */
    struct arena arena;
};

/* Sections of the table, for the settings a command knows; a set of them is a mask of bits. */
enum settings_group {
    SETTINGS_SERVICE = 1 << 0,
    SETTINGS_MODEL = 1 << 1,
    SETTINGS_PAYLOAD = 1 << 2,
    SETTINGS_LIMITS = 1 << 3,
    SETTINGS_PROCESS = 1 << 4,
    SETTINGS_OBSERVABILITY = 1 << 5,
    SETTINGS_RUNTIME = 1 << 6,
    SETTINGS_WORKERS = 1 << 7,
    SETTINGS_ALL = (1 << 8) - 1
};

/* A setting by its environment name and its value as text. */
struct settings_pair {
    struct slice name;
    struct slice value;
};

/* A flag that belongs to one command and is no setting: "--input FILE", "--json". */
struct settings_option {
    const char *flag;       /* "input", without the dashes */
    const char *metavar;    /* "FILE"; NULL: a switch without a value */
    const char *help;       /* one line */
    const char **ret_value; /* of a flag with a value: borrowed from argv, the last one given */
    bool *ret_given;        /* may be NULL where ret_value is not */
};

/* Everything is borrowed for the call, argv for the life of the settings (positionals). */
struct settings_input {
    unsigned groups; /* flags and variables of other groups: refused and ignored, defaults stay */
    int argc;        /* without the program's and the command's name */
    char *const *argv;
    /* An environment variable or NULL; itself NULL: no environment. getenv fits behind it. */
    const char *(*lookup)(void *environment, const char *name);
    void *environment;
    const struct settings_pair *manifest; /* values of a manifest's "settings" */
    size_t manifest_count;
    const struct settings_pair *overrides; /* over all else: what a path argument stands for */
    size_t override_count;
    const struct settings_option *options;
    size_t option_count;
};

/*
 * Fills *settings: override > flag > environment > manifest > default. `--flag value`,
 * `--flag=value`, for booleans also `--flag` and `--no-flag`; `--` ends the flags; of a flag given
 * twice the last counts. Space around a value counts only in strings. An environment variable that
 * is set but empty counts as unset (manifests of Kubernetes and compose files cannot leave one
 * out); an empty flag is a value: it empties a string. ERR_CONFIG names the setting, where it came
 * from, the value (never that of headers, which hold secrets) and what is accepted; ERR_NO_MEMORY.
 * Every value that is given is checked, also one that another overrides. On failure there is
 * nothing to end; on success settings_done ends it.
 */
MUST_CHECK int settings_load(struct settings *settings, const struct settings_input *input,
                             struct error *error);
void settings_done(struct settings *settings);

/* Where the value of the setting `name` ("PORT") came from. The name must be in the table. */
enum setting_source settings_source(const struct settings *settings, const char *name);
/* The accepted name of an enum's value now: settings_enum_name(s, "EXECUTION") is "auto". Static. */
const char *settings_enum_name(const struct settings *settings, const char *name);

/*
 * The part of a command's --help that the table knows: the command's own flags, then the settings
 * of the groups with their default and help, in at most 100 columns.
 */
void settings_print_help(FILE *out, unsigned groups, const struct settings_option *options,
                         size_t option_count);
/* One Markdown table a group: variable, default, what is accepted, whether a manifest may, help. */
void settings_print_markdown(FILE *out);

#endif
