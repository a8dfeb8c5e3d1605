/*
 * The ONNX Runtime as a backend: opens models and runs them. Finding the library, reading signatures
 * and converting values have files of their own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/burst.h"
#include "backend/onnx_header.h"
#include "backend/ort_library.h"
#include "backend/ort_narrow.h"
#include "backend/ort_options.h"
#include "backend/ort_signature.h"
#include "backend/ort_tensor.h"
#include "backend/ort_values.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define MODEL_MAGIC 0x6f72744d
#define SIGNATURE_BLOCK_BYTES ((size_t)4096)
#define SMALL_FILE_BYTES ((off_t)1024 * 1024)
#define SIGNATURE_MAX_BYTES                                                                        \
    ((size_t)64 * 1024 * 1024) /* custom metadata may hold whole vocabularies */

struct backend_model {
    unsigned magic;
    const struct ort_library *library;
    OrtSession *session;
    OrtSessionOptions *session_options; /* for a second session */
    struct arena arena;                 /* of the signature */
    struct signature signature;
    const char *path;
    struct stat file;       /* as it was before the session was made */
    const bool *is_offered; /* of each output, whether runs may ask for it; NULL: all */
    struct burst burst;
    OrtRunOptions *shrinking; /* of a run that gives the arena's free memory back; NULL: none can */
};

/* The runtime's words for these are vague ("Protobuf parsing failed"), so they are told apart here. */
static int check_file(const char *path, struct stat *file, struct error *error)
{
    if (stat(path, file) != 0) {
        return error_set(error, ERR_CONFIG, "%s: %s", path, strerrordesc_np(errno));
    }
    if (S_ISDIR(file->st_mode)) {
        return error_set(error, ERR_CONFIG, "%s is a directory, not a model file", path);
    }
    if (!S_ISREG(file->st_mode)) {
        return error_set(error, ERR_CONFIG, "%s is not a regular file", path);
    }
    if (file->st_size == 0) {
        return error_set(error, ERR_CONFIG, "%s is empty", path);
    }
    if (access(path, R_OK) != 0) {
        return error_set(error, ERR_CONFIG, "%s: %s", path, strerrordesc_np(errno));
    }
    return ERR_OK;
}

static int no_memory(struct error *error)
{
    return error_set(error, ERR_NO_MEMORY, "no memory for the model's signature");
}

/* A tensor whose shape the runtime shows as empty is a scalar if the file says that it has one. */
static int mark_scalar(struct port *port, const struct onnx_header *header, struct arena *arena)
{
    if (port->kind != PORT_TENSOR || port->rank_known) {
        return ERR_OK;
    }
    for (size_t i = 0; i < header->scalar_count; i++) {
        if (slice_eq(port->name, header->scalars[i])) {
            port->rank_known = true;
            return signature_describe_port(port, arena);
        }
    }
    return ERR_OK;
}

/* Adds what only the file tells. */
static int add_header(struct backend_model *model, const struct onnx_header *header,
                      struct error *error)
{
    struct signature *signature = &model->signature;
    char ir_version[32];
    int len = snprintf(ir_version, sizeof(ir_version), "%lld", (long long)header->ir_version);
    signature->producer_version = header->producer_version;
    signature->opsets = onnx_header_describe_opsets(header, &model->arena);
    signature->ir_version = arena_copy(&model->arena, slice_make(ir_version, (size_t)len));
    int status =
        signature->opsets.ptr == NULL || signature->ir_version.ptr == NULL ? ERR_NO_MEMORY : ERR_OK;
    for (size_t i = 0; status == ERR_OK && i < signature->input_count; i++) {
        status = mark_scalar(&signature->inputs[i], header, &model->arena);
    }
    for (size_t i = 0; status == ERR_OK && i < signature->output_count; i++) {
        status = mark_scalar(&signature->outputs[i], header, &model->arena);
    }
    return status == ERR_OK ? ERR_OK : no_memory(error);
}

static int create_session(struct backend_model *model, const struct backend_options *options,
                          const struct ort_traits *traits, struct error *error)
{
    const OrtApi *api = model->library->api;
    int status = ort_options_make(model->library, options, traits, &model->session_options, error);
    if (status != ERR_OK) {
        return status;
    }
    status = ort_take_status(api->CreateSession(model->library->env, options->path,
                                                model->session_options, &model->session),
                             ERR_CONFIG, error);
    return status == ERR_OK ? ERR_OK : error_prefix(error, "%s", options->path);
}

/* A runtime that cannot do it keeps its memory. */
static void make_shrinking(struct backend_model *model)
{
    const OrtApi *api = model->library->api;
    OrtStatus *status = api->CreateRunOptions(&model->shrinking);
    if (status == NULL) {
        status = api->AddRunConfigEntry(model->shrinking, "memory.enable_memory_arena_shrinkage",
                                        "cpu:0");
    }
    ort_drop_status(status);
}

static int load_model(struct backend_model *model, const struct backend_options *options,
                      struct error *error)
{
    struct onnx_header header;
    int status = check_file(options->path, &model->file, error);
    if (status == ERR_OK) {
        model->path = arena_copy(&model->arena, slice_from_str(options->path)).ptr;
        status = model->path == NULL ? no_memory(error) : ERR_OK;
    }
    if (status == ERR_OK) {
        status = ort_library_load(options->library, &model->library, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    status = onnx_header_read(options->path, &model->arena, &header, error);
    if (status == ERR_NO_MEMORY) {
        return status;
    }
    bool has_header = status == ERR_OK; /* if not: what is wrong with the file, the runtime says */
    const struct ort_traits traits = {
        .shapes_vary = !has_header || header.input_shapes_vary,
        .is_small = model->file.st_size <= SMALL_FILE_BYTES,
    };
    status = create_session(model, options, &traits, error);
    if (status != ERR_OK) {
        return status;
    }
    if (!traits.is_small) { /* others have no arena */
        make_shrinking(model);
    }
    status =
        ort_signature_read(model->library, model->session, &model->arena, &model->signature, error);
    if (status == ERR_CONFIG) {
        return error_prefix(error, "%s", options->path);
    }
    return status == ERR_OK && has_header ? add_header(model, &header, error) : status;
}

static void close_model(struct backend_model *model)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    if (model->session != NULL) {
        model->library->api->ReleaseSession(model->session);
    }
    if (model->shrinking != NULL) {
        model->library->api->ReleaseRunOptions(model->shrinking);
    }
    if (model->session_options != NULL) {
        model->library->api->ReleaseSessionOptions(model->session_options);
    }
    arena_done(&model->arena);
    model->magic = 0;
    mem_free(model);
}

static int open_model(const struct backend_options *options, struct backend_model **ret_model,
                      struct error *error)
{
    struct backend_model *model = mem_zalloc(1, sizeof(*model));
    if (model == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a model");
    }
    model->magic = MODEL_MAGIC;
    arena_init(&model->arena, SIGNATURE_BLOCK_BYTES, SIGNATURE_MAX_BYTES);
    int status = load_model(model, options, error);
    if (status != ERR_OK) {
        close_model(model);
        return status;
    }
    *ret_model = model;
    return ERR_OK;
}

static const struct signature *model_signature(const struct backend_model *model)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    return &model->signature;
}

/* Marks the outputs wanted; the names of them, or NULL without memory. */
static struct slice *choose_outputs(struct backend_model *model, const size_t *wanted,
                                    size_t wanted_count)
{
    const struct signature *signature = &model->signature;
    struct slice *names = arena_zalloc(&model->arena, wanted_count, sizeof(names[0]));
    bool *is_offered = arena_zalloc(&model->arena, signature->output_count, sizeof(is_offered[0]));
    if (names == NULL || is_offered == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < wanted_count; i++) {
        CHECK(wanted[i] < signature->output_count);
        names[i] = signature->outputs[wanted[i]].name;
        is_offered[wanted[i]] = true;
    }
    model->is_offered = is_offered;
    return names;
}

static bool wants_all(const struct backend_model *model)
{
    for (size_t i = 0; i < model->signature.output_count; i++) {
        if (!model->is_offered[i]) {
            return false;
        }
    }
    return true;
}

static int narrow_model(struct backend_model *model, const size_t *wanted, size_t wanted_count,
                        struct error *error)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    CHECK(model->is_offered == NULL);
    OrtSession *narrowed = NULL;
    const struct slice *names = choose_outputs(model, wanted, wanted_count);
    if (names == NULL) {
        return no_memory(error);
    }
    if (wants_all(model)) {
        return ERR_OK;
    }
    int status = ort_narrow_session(model->library, model->path, &model->file,
                                    model->session_options, names, wanted_count, &narrowed, error);
    if (status == ERR_OK && narrowed != NULL) {
        model->library->api->ReleaseSession(model->session);
        model->session = narrowed;
        mem_trim(); /* as much again as the model needs has just become free */
    }
    return status;
}

/* One run's arrays, as the runtime wants them; all in the caller's arena. */
struct feed {
    const char **input_names;
    OrtValue **inputs;
    size_t input_count;
    const char **output_names;
    OrtValue **outputs;
};

static int alloc_feed(const struct signature *signature, size_t wanted_count, struct arena *arena,
                      struct feed *feed, struct error *error)
{
    feed->input_names = arena_zalloc(arena, signature->input_count, sizeof(void *));
    feed->inputs = arena_zalloc(arena, signature->input_count, sizeof(void *));
    feed->output_names = arena_zalloc(arena, wanted_count, sizeof(void *));
    feed->outputs = arena_zalloc(arena, wanted_count, sizeof(void *));
    if (feed->input_names == NULL || feed->inputs == NULL || feed->output_names == NULL ||
        feed->outputs == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a run");
    }
    return ERR_OK;
}

static int fill_feed(const struct backend_model *model, const struct tensor *inputs,
                     const size_t *wanted, size_t wanted_count, struct feed *feed,
                     struct error *error)
{
    const struct signature *signature = &model->signature;
    for (size_t i = 0; i < signature->input_count; i++) {
        if (inputs[i].dtype == DTYPE_NONE) {
            continue;
        }
        int status =
            ort_tensor_lend(model->library, &inputs[i], &feed->inputs[feed->input_count], error);
        if (status != ERR_OK) {
            return status;
        }
        feed->input_names[feed->input_count] = signature->inputs[i].name.ptr;
        feed->input_count++;
    }
    for (size_t i = 0; i < wanted_count; i++) {
        CHECK(wanted[i] < signature->output_count);
        CHECK(model->is_offered == NULL || model->is_offered[wanted[i]]);
        feed->output_names[i] = signature->outputs[wanted[i]].name.ptr;
    }
    return ERR_OK;
}

/* Makes values of all outputs or of none. */
static int take_outputs(const struct backend_model *model, const struct tensor *inputs,
                        struct feed *feed, size_t wanted_count, struct arena *arena,
                        struct value *values, struct error *error)
{
    for (size_t i = 0; i < wanted_count; i++) {
        OrtValue *output = feed->outputs[i];
        feed->outputs[i] = NULL;
        int status = ort_value_take(model->library, output, inputs, model->signature.input_count,
                                    arena, &values[i], error);
        if (status != ERR_OK) {
            while (i-- > 0) {
                value_done(&values[i]);
            }
            return status;
        }
    }
    return ERR_OK;
}

static void release_values(const struct ort_library *library, OrtValue **values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i] != NULL) {
            library->api->ReleaseValue(values[i]);
        }
    }
}

static OrtStatus *run_session(const struct backend_model *model, const OrtRunOptions *options,
                              struct feed *feed, size_t wanted_count)
{
    return model->library->api->Run(model->session, options, feed->input_names,
                                    (const OrtValue *const *)feed->inputs, feed->input_count,
                                    feed->output_names, wanted_count, feed->outputs);
}

/* Whether this is the run after which a burst's memory goes back. */
static bool ends_burst(struct backend_model *model, const struct tensor *inputs)
{
    size_t input_bytes = 0; /* of tensors that are in memory: their sum cannot overflow */
    for (size_t i = 0; i < model->signature.input_count; i++) {
        input_bytes += inputs[i].dtype == DTYPE_NONE ? 0 : tensor_bytes(&inputs[i]);
    }
    return burst_note_run(&model->burst, input_bytes, clock_monotonic_ns);
}

/*
 * A run that also shrinks the runtime's arena, and then what the C library holds of it and of bodies.
 * The runtime refuses where it has no arena on the CPU, before it runs; then it runs without.
 */
static OrtStatus *run_and_shrink(const struct backend_model *model, struct feed *feed,
                                 size_t wanted_count)
{
    OrtStatus *status = NULL;
    bool is_done = false;
    if (model->shrinking != NULL) {
        status = run_session(model, model->shrinking, feed, wanted_count);
        is_done = status == NULL;
        ort_drop_status(status);
    }
    status = is_done ? NULL : run_session(model, NULL, feed, wanted_count);
    mem_trim();
    return status;
}

static int run_model(struct backend_model *model, const struct tensor *inputs, const size_t *wanted,
                     size_t wanted_count, struct arena *arena, struct value *values,
                     struct error *error)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    struct feed feed = {.input_count = 0};
    int status = alloc_feed(&model->signature, wanted_count, arena, &feed, error);
    if (status != ERR_OK) {
        return status;
    }
    status = fill_feed(model, inputs, wanted, wanted_count, &feed, error);
    if (status == ERR_OK) {
        status = ort_take_run_status(ends_burst(model, inputs)
                                         ? run_and_shrink(model, &feed, wanted_count)
                                         : run_session(model, NULL, &feed, wanted_count),
                                     error);
    }
    if (status == ERR_OK) {
        status = take_outputs(model, inputs, &feed, wanted_count, arena, values, error);
    }
    release_values(model->library, feed.outputs, wanted_count);
    release_values(model->library, feed.inputs, feed.input_count);
    return status;
}

static const char *library_version(const char *library_path, struct error *error)
{
    const struct ort_library *library;
    return ort_library_load(library_path, &library, error) == ERR_OK ? library->version : NULL;
}

const struct backend backend_ort = {
    .name = "onnx",
    .open = open_model,
    .signature = model_signature,
    .narrow = narrow_model,
    .run = run_model,
    .close = close_model,
    .version = library_version,
};
