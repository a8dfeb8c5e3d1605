/*
 * Manifest against model: every contradiction is one line. What the manifest leaves out and where
 * it is narrower than the model (a fixed dimension where the model's is free) is none.
 */
#include <stdarg.h>
#include <stdio.h>

#include "config/manifest.h"
#include "config/settings_map.h"

#define SHAPE_TEXT_MAX 192
#define NAMES_TEXT_MAX 192
#define SHOWN_BYTES_MAX 64

struct checker {
    const struct signature *signature;
    void (*report)(void *argument, const char *line);
    void *argument;
    size_t count;
};

/* A port of the manifest beside the model's. */
struct pair {
    const char *list; /* "inputs" or "outputs" */
    size_t index;     /* in the manifest's list */
    const struct manifest_port *said;
    const struct port *model;
};

/* Through error_set: it cuts long lines and takes control characters out of names. */
static void contradict(struct checker *checker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void contradict(struct checker *checker, const char *format, ...)
{
    char text[2 * ERROR_TEXT_MAX];
    struct error line;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)error_set(&line, ERR_CONFIG, "%s", text);
    checker->report(checker->argument, line.text);
    checker->count++;
}

static struct slice shown(struct slice name)
{
    return slice_head(name, SHOWN_BYTES_MAX);
}

/* `"a", "b"` of the model's inputs or outputs; text[NAMES_TEXT_MAX]. */
static const char *list_names(const struct port *ports, size_t count, char *text)
{
    size_t len = (size_t)snprintf(text, NAMES_TEXT_MAX, "%s", count == 0 ? "none" : "");
    for (size_t i = 0; i < count && len < NAMES_TEXT_MAX; i++) {
        struct slice name = shown(ports[i].name);
        len += (size_t)snprintf(text + len, NAMES_TEXT_MAX - len, "%s\"%.*s\"", i == 0 ? "" : ", ",
                                SLICE_FMT(name));
    }
    if (len >= NAMES_TEXT_MAX) {
        snprintf(text + NAMES_TEXT_MAX - 4, 4, "...");
    }
    return text;
}

static const char *print_dimension(int64_t dimension, char *text, size_t size)
{
    if (dimension < 0) {
        snprintf(text, size, "free");
    } else {
        snprintf(text, size, "%lld", (long long)dimension);
    }
    return text;
}

/* "[free, 4]"; text[SHAPE_TEXT_MAX] has room for TENSOR_MAX_RANK dimensions. */
static const char *print_shape(const int64_t *dims, unsigned rank, char *text)
{
    char dimension[24];
    size_t len = (size_t)snprintf(text, SHAPE_TEXT_MAX, "[");
    for (unsigned i = 0; i < rank; i++) {
        len += (size_t)snprintf(text + len, SHAPE_TEXT_MAX - len, "%s%s", i == 0 ? "" : ", ",
                                print_dimension(dims[i], dimension, sizeof(dimension)));
    }
    snprintf(text + len, SHAPE_TEXT_MAX - len, "]");
    return text;
}

static void check_dtype(struct checker *checker, const struct pair *pair)
{
    struct slice name = shown(pair->said->name);
    if (pair->said->dtype == DTYPE_NONE ||
        (pair->model->kind == PORT_TENSOR && pair->model->dtype == pair->said->dtype)) {
        return;
    }
    struct slice type = pair->model->kind == PORT_TENSOR
                            ? slice_from_str(dtype_name(pair->model->dtype))
                            : pair->model->type_text;
    contradict(checker, "%s[%zu].dtype: the manifest says %s, the model says %.*s (\"%.*s\")",
               pair->list, pair->index, dtype_name(pair->said->dtype), SLICE_FMT(type),
               SLICE_FMT(name));
}

static void check_dimensions(struct checker *checker, const struct pair *pair)
{
    struct slice name = shown(pair->said->name);
    for (unsigned i = 0; i < pair->model->rank; i++) {
        char said[24], has[24];
        if (pair->model->dims[i] < 0 || pair->model->dims[i] == pair->said->dims[i]) {
            continue;
        }
        contradict(checker, "%s[%zu].shape[%u]: the manifest says %s, the model says %s (\"%.*s\")",
                   pair->list, pair->index, i,
                   print_dimension(pair->said->dims[i], said, sizeof(said)),
                   print_dimension(pair->model->dims[i], has, sizeof(has)), SLICE_FMT(name));
    }
}

static void check_shape(struct checker *checker, const struct pair *pair)
{
    char said[SHAPE_TEXT_MAX], has[SHAPE_TEXT_MAX];
    struct slice name = shown(pair->said->name);
    if (!pair->said->has_shape) {
        return;
    }
    print_shape(pair->said->dims, pair->said->rank, said);
    if (pair->model->kind != PORT_TENSOR) {
        contradict(checker, "%s[%zu].shape: the manifest says %s, the model says %.*s (\"%.*s\")",
                   pair->list, pair->index, said, SLICE_FMT(pair->model->type_text),
                   SLICE_FMT(name));
    } else if (pair->model->rank_known && pair->model->rank != pair->said->rank) {
        contradict(checker, "%s[%zu].shape: the manifest says %s, the model says %s (\"%.*s\")",
                   pair->list, pair->index, said,
                   print_shape(pair->model->dims, pair->model->rank, has), SLICE_FMT(name));
    } else if (pair->model->rank_known) {
        check_dimensions(checker, pair);
    }
}

/* Elements of the last dimension of a batch; -1 where the model does not say. */
static int64_t model_features(const struct port *port)
{
    if (port->kind != PORT_TENSOR || !port->rank_known || port->rank == 0) {
        return -1;
    }
    if (port->rank == 1) {
        return port->dims[0] < 0 ? 1 : -1; /* free: one feature a row; fixed: could be either */
    }
    return port->dims[port->rank - 1];
}

static void check_features(struct checker *checker, const struct pair *pair, const char *field,
                           size_t count)
{
    struct slice name = shown(pair->said->name);
    int64_t features = model_features(pair->model);
    if (count > 0 && features >= 0 && (uint64_t)features != count) {
        contradict(checker,
                   "%s[%zu].%s: the manifest has %zu, the model has %lld features (\"%.*s\")",
                   pair->list, pair->index, field, count, (long long)features, SLICE_FMT(name));
    }
}

/* The model may have names of its own; their number was compared before. */
static void check_feature_names(struct checker *checker, const struct pair *pair)
{
    const struct manifest_port *said = pair->said;
    const struct port *model = pair->model;
    struct slice name = shown(said->name);
    if (said->feature_name_count != model->feature_name_count) {
        return;
    }
    for (size_t i = 0; i < said->feature_name_count; i++) {
        if (!slice_eq(said->feature_names[i], model->feature_names[i])) {
            struct slice says = shown(said->feature_names[i]), has = shown(model->feature_names[i]);
            contradict(checker,
                       "%s[%zu].feature_names[%zu]: the manifest says \"%.*s\", the model says "
                       "\"%.*s\" (\"%.*s\")",
                       pair->list, pair->index, i, SLICE_FMT(says), SLICE_FMT(has),
                       SLICE_FMT(name));
            return;
        }
    }
}

/*
 * Scores have one column a class. Labels themselves (integers, strings) have no class dimension,
 * and one score may stand for two classes.
 */
static void check_class_labels(struct checker *checker, const struct pair *pair)
{
    struct slice name = shown(pair->said->name);
    const struct port *model = pair->model;
    size_t count = pair->said->class_label_count;
    if (count == 0 || model->kind != PORT_TENSOR || !dtype_is_float(model->dtype) ||
        !model->rank_known || model->rank < 2) {
        return;
    }
    int64_t classes = model->dims[model->rank - 1];
    if (classes >= 0 && (uint64_t)classes != count && !(classes == 1 && count == 2)) {
        contradict(checker,
                   "%s[%zu].class_labels: the manifest has %zu, the model has %lld columns "
                   "(\"%.*s\")",
                   pair->list, pair->index, count, (long long)classes, SLICE_FMT(name));
    }
}

static void check_port(struct checker *checker, const struct pair *pair)
{
    check_dtype(checker, pair);
    check_shape(checker, pair);
    check_features(checker, pair, "feature_names", pair->said->feature_name_count);
    check_feature_names(checker, pair);
    check_features(checker, pair, "units", pair->said->units_each ? pair->said->unit_count : 0);
    check_class_labels(checker, pair);
}

/* The inputs or the outputs. */
struct side {
    const char *list;
    const struct manifest_port *said;
    size_t said_count;
    const struct port *model;
    size_t model_count;
    int (*find)(const struct signature *signature, struct slice name);
};

static void contradict_name(struct checker *checker, const struct side *side, const char *field,
                            struct slice said)
{
    char names[NAMES_TEXT_MAX];
    struct slice name = shown(said);
    contradict(checker, "%s: the manifest says \"%.*s\", the model's %s are %s", field,
               SLICE_FMT(name), side->list, list_names(side->model, side->model_count, names));
}

static void check_side(struct checker *checker, const struct side *side)
{
    for (size_t i = 0; i < side->said_count; i++) {
        const struct manifest_port *said = &side->said[i];
        int at = side->find(checker->signature, said->name);
        if (at >= 0) {
            check_port(checker, &(struct pair){side->list, i, said, &side->model[at]});
        } else {
            char field[64];
            snprintf(field, sizeof(field), "%s[%zu].name", side->list, i);
            contradict_name(checker, side, field, said->name);
        }
    }
}

/* The names in a JSON map setting. The reader has accepted it already: only memory can be short. */
static void check_map(struct checker *checker, const struct side *side,
                      const struct settings_pair *setting)
{
    struct arena arena;
    struct settings_map map = {NULL, 0};
    arena_init(&arena, 4096, 2 * MANIFEST_MAX_BYTES + 4096);
    if (settings_map_parse(setting->value, false, &arena, &map, NULL) != ERR_OK) {
        map.count = 0;
    }
    for (size_t i = 0; i < map.count; i++) {
        if (side->find(checker->signature, map.items[i].port) < 0) {
            char field[128];
            struct slice key = shown(map.items[i].key);
            snprintf(field, sizeof(field), "settings.%.*s[\"%.*s\"]", SLICE_FMT(setting->name),
                     SLICE_FMT(key));
            contradict_name(checker, side, field, map.items[i].port);
        }
    }
    arena_done(&arena);
}

static void check_name(struct checker *checker, const struct side *side,
                       const struct settings_pair *setting)
{
    char field[64];
    if (setting->value.len > 0 && side->find(checker->signature, setting->value) < 0) {
        snprintf(field, sizeof(field), "settings.%.*s", SLICE_FMT(setting->name));
        contradict_name(checker, side, field, setting->value);
    }
}

/* Settings that name inputs or outputs. The keys of the dtype map may be a request's: not checked. */
static void check_setting(struct checker *checker, const struct side *inputs,
                          const struct side *outputs, const struct settings_pair *setting)
{
    if (slice_eq(setting->name, SLICE("ONNX_INPUT_NAME"))) {
        check_name(checker, inputs, setting);
    } else if (slice_eq(setting->name, SLICE("ONNX_OUTPUT_NAME"))) {
        check_name(checker, outputs, setting);
    } else if (slice_eq(setting->name, SLICE("ONNX_INPUT_MAP_JSON"))) {
        check_map(checker, inputs, setting);
    } else if (slice_eq(setting->name, SLICE("ONNX_OUTPUT_MAP_JSON"))) {
        check_map(checker, outputs, setting);
    }
}

size_t manifest_check(const struct manifest *manifest, const struct signature *signature,
                      void (*report)(void *argument, const char *line), void *argument)
{
    struct checker checker = {signature, report, argument, 0};
    const struct side inputs = {"inputs",          manifest->inputs,       manifest->input_count,
                                signature->inputs, signature->input_count, signature_find_input};
    const struct side outputs = {
        "outputs",          manifest->outputs,       manifest->output_count,
        signature->outputs, signature->output_count, signature_find_output};
    check_side(&checker, &inputs);
    check_side(&checker, &outputs);
    for (size_t i = 0; i < manifest->setting_count; i++) {
        check_setting(&checker, &inputs, &outputs, &manifest->settings[i]);
    }
    return checker.count;
}
