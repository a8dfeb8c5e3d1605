/*
 * ONNX Runtime by itself, through its C API and nothing of ours: what a model costs without a
 * server. `load` opens a model, says how long that took, and stays until its standard input ends, so
 * that its memory can be read; `run` calls Run on the same input again and again. Models take one
 * float32 tensor [rows, features]; the first output is asked for, as the server asks for it.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <onnxruntime_c_api.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/measure.h"

#define API_VERSION 15 /* the oldest release that onnxd itself accepts */
#define MAX_RANK 8

struct bare {
    const OrtApi *api;
    OrtEnv *env;
    OrtSession *session;
    OrtMemoryInfo *memory;
    char *input_name;
    char *output_name;
    OrtValue *input;
};

static void check_status(const OrtApi *api, OrtStatus *status)
{
    if (status != NULL) {
        measure_fail("%s", api->GetErrorMessage(status));
    }
}

static const OrtApi *load_library(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const OrtApiBase *(*get_base)(void) = NULL;
    if (handle != NULL) {
        *(void **)&get_base = dlsym(handle, "OrtGetApiBase");
    }
    const OrtApi *api = get_base == NULL ? NULL : get_base()->GetApi(API_VERSION);
    if (api == NULL) {
        measure_fail("%s is no usable runtime", path);
    }
    return api;
}

/* The session options of onnxd's defaults: sequential, no spinning, everything optimised. */
static void open_session(struct bare *bare, const char *model, int threads)
{
    const OrtApi *api = bare->api;
    OrtSessionOptions *options;
    check_status(api, api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "bench", &bare->env));
    check_status(api, api->CreateSessionOptions(&options));
    check_status(api, api->SetIntraOpNumThreads(options, threads));
    check_status(api, api->SetInterOpNumThreads(options, 1));
    check_status(api, api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
    check_status(api, api->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL));
    check_status(api, api->CreateSession(bare->env, model, options, &bare->session));
    api->ReleaseSessionOptions(options);
}

static int64_t read_features(const struct bare *bare)
{
    const OrtApi *api = bare->api;
    OrtTypeInfo *type;
    const OrtTensorTypeAndShapeInfo *shape;
    int64_t dims[MAX_RANK];
    size_t rank;
    check_status(api, api->SessionGetInputTypeInfo(bare->session, 0, &type));
    check_status(api, api->CastTypeInfoToTensorInfo(type, &shape));
    check_status(api, api->GetDimensionsCount(shape, &rank));
    if (rank != 2) {
        measure_fail("the model's input is no matrix");
    }
    check_status(api, api->GetDimensions(shape, dims, rank));
    api->ReleaseTypeInfo(type);
    return dims[1];
}

static void make_input(struct bare *bare, int64_t rows)
{
    const OrtApi *api = bare->api;
    OrtAllocator *allocator;
    check_status(api, api->GetAllocatorWithDefaultOptions(&allocator));
    check_status(api, api->SessionGetInputName(bare->session, 0, allocator, &bare->input_name));
    check_status(api, api->SessionGetOutputName(bare->session, 0, allocator, &bare->output_name));
    check_status(api,
                 api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &bare->memory));
    int64_t dims[] = {rows, read_features(bare)};
    size_t count = (size_t)(dims[0] * dims[1]);
    float *elements = mem_zalloc(count, sizeof(*elements));
    if (elements == NULL) {
        measure_fail("out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        elements[i] = (float)(i % 97) / 97.0F;
    }
    check_status(api, api->CreateTensorWithDataAsOrtValue(
                          bare->memory, elements, count * sizeof(*elements), dims, 2,
                          ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &bare->input));
}

static void run_once(void *state)
{
    struct bare *bare = state;
    const char *const inputs[] = {bare->input_name};
    const char *const outputs[] = {bare->output_name};
    const OrtValue *const values[] = {bare->input};
    OrtValue *output = NULL;
    check_status(bare->api,
                 bare->api->Run(bare->session, NULL, inputs, values, 1, outputs, 1, &output));
    bare->api->ReleaseValue(output);
}

static void wait_for_end_of_input(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {}
}

int main(int argc, char **argv)
{
    bool load = argc == 5 && strcmp(argv[1], "load") == 0;
    bool run = argc == 7 && strcmp(argv[1], "run") == 0;
    if (!load && !run) {
        measure_fail("usage: bare_ort load LIBRARY MODEL THREADS\n"
                     "       bare_ort run LIBRARY MODEL THREADS ROWS MILLISECONDS");
    }
    uint64_t start = clock_monotonic_ns();
    struct bare bare = {.api = load_library(argv[2])};
    open_session(&bare, argv[3], (int)measure_parse_count(argv[4], 256, "THREADS"));
    if (load) {
        printf("{\"load_ns\": %" PRIu64 "}\n", clock_monotonic_ns() - start);
        fflush(stdout);
        wait_for_end_of_input();
        return 0;
    }
    make_input(&bare, (int64_t)measure_parse_count(argv[5], 1 << 20, "ROWS"));
    struct measurement measured =
        measure_calls(run_once, &bare, measure_parse_count(argv[6], 600000, "MILLISECONDS"));
    measure_print(&measured);
    return 0;
}
