/*
 * Session options: threads, optimisation level and execution providers. The arena of the CPU
 * provider keeps memory at the peak of past runs until a run gives it back (burst.h).
 */
#include "backend/ort_options.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PROVIDER_NAME_MAX 64

struct level {
    const char *name;
    GraphOptimizationLevel level;
};

static const struct level levels[] = {
    {"disable", ORT_DISABLE_ALL},
    {"basic", ORT_ENABLE_BASIC},
    {"extended", ORT_ENABLE_EXTENDED},
    {"all", ORT_ENABLE_ALL},
};

#define LEVEL_COUNT (sizeof(levels) / sizeof(levels[0]))

static int set_level(const struct ort_library *library, struct slice name,
                     OrtSessionOptions *session_options, struct error *error)
{
    for (size_t i = 0; i < LEVEL_COUNT; i++) {
        if (slice_eq_nocase(name, slice_from_str(levels[i].name))) {
            return ort_take_status(
                library->api->SetSessionGraphOptimizationLevel(session_options, levels[i].level),
                ERR_CONFIG, error);
        }
    }
    name = slice_head(name, PROVIDER_NAME_MAX);
    return error_set(error, ERR_CONFIG,
                     "graph optimization level '%.*s' is none of disable, basic, extended, all",
                     SLICE_FMT(name));
}

/*
 * The runtime remembers for each shape of inputs it has seen how a run used memory, for ever: some
 * fifty bytes a node of the graph. That is well spent (5 to 10 % of a small model's run) where
 * only the number of rows changes, and a leak where lengths of texts or sizes of images do. Its arena
 * saves page faults where a run takes megabytes; where it takes little, the C library is faster
 * (5 % of a small model's run).
 */
static int set_memory(const struct ort_library *library, const struct ort_traits *traits,
                      OrtSessionOptions *session_options, struct error *error)
{
    const OrtApi *api = library->api;
    OrtStatus *status = traits->shapes_vary ? api->DisableMemPattern(session_options) : NULL;
    if (status == NULL && traits->is_small) {
        status = api->DisableCpuMemArena(session_options);
    }
    return ort_take_status(status, ERR_CONFIG, error);
}

/*
 * One run is one thread's work unless the settings say otherwise: with one intra-op thread the runtime
 * makes no pool. Waiting pool threads must not spin: the loops need the cores.
 */
static int set_threads(const struct ort_library *library, const struct backend_options *options,
                       OrtSessionOptions *session_options, struct error *error)
{
    const OrtApi *api = library->api;
    unsigned intra = options->intra_op_threads;
    unsigned inter = options->inter_op_threads;
    if (intra < 1 || intra > INT_MAX || inter < 1 || inter > INT_MAX) {
        return error_set(error, ERR_CONFIG, "a model needs at least one thread of each kind");
    }
    OrtStatus *status = api->SetIntraOpNumThreads(session_options, (int)intra);
    if (status == NULL) {
        status = api->SetInterOpNumThreads(session_options, (int)inter);
    }
    if (status == NULL) {
        status = api->SetSessionExecutionMode(session_options, ORT_SEQUENTIAL);
    }
    if (status == NULL) {
        status =
            api->AddSessionConfigEntry(session_options, "session.intra_op.allow_spinning", "0");
    }
    if (status == NULL) {
        status =
            api->AddSessionConfigEntry(session_options, "session.inter_op.allow_spinning", "0");
    }
    return ort_take_status(status, ERR_CONFIG, error);
}

static OrtStatus *append_cuda(const OrtApi *api, OrtSessionOptions *session_options)
{
    OrtCUDAProviderOptionsV2 *cuda;
    OrtStatus *status = api->CreateCUDAProviderOptions(&cuda);
    if (status == NULL) {
        status = api->SessionOptionsAppendExecutionProvider_CUDA_V2(session_options, cuda);
        api->ReleaseCUDAProviderOptions(cuda);
    }
    return status;
}

static OrtStatus *append_tensorrt(const OrtApi *api, OrtSessionOptions *session_options)
{
    OrtTensorRTProviderOptionsV2 *tensorrt;
    OrtStatus *status = api->CreateTensorRTProviderOptions(&tensorrt);
    if (status == NULL) {
        status = api->SessionOptionsAppendExecutionProvider_TensorRT_V2(session_options, tensorrt);
        api->ReleaseTensorRTProviderOptions(tensorrt);
    }
    return status;
}

static OrtStatus *append_dnnl(const OrtApi *api, OrtSessionOptions *session_options)
{
    OrtDnnlProviderOptions *dnnl;
    OrtStatus *status = api->CreateDnnlProviderOptions(&dnnl);
    if (status == NULL) {
        status = api->SessionOptionsAppendExecutionProvider_Dnnl(session_options, dnnl);
        api->ReleaseDnnlProviderOptions(dnnl);
    }
    return status;
}

/* Always there and always last: nothing to append. */
static OrtStatus *append_cpu(const OrtApi *api, OrtSessionOptions *session_options)
{
    (void)api;
    (void)session_options;
    return NULL;
}

/* Providers with a function of their own, and those whose short name is not their name's start. */
static const struct {
    const char *name;
    OrtStatus *(*append)(const OrtApi *api, OrtSessionOptions *session_options);
    const char *short_name;
} providers[] = {
    {"CPUExecutionProvider", append_cpu, NULL},
    {"CUDAExecutionProvider", append_cuda, NULL},
    {"TensorrtExecutionProvider", append_tensorrt, NULL},
    {"DnnlExecutionProvider", append_dnnl, NULL},
    {"XnnpackExecutionProvider", NULL, "XNNPACK"},
    {"AzureExecutionProvider", NULL, "AZURE"},
};

#define PROVIDER_COUNT (sizeof(providers) / sizeof(providers[0]))

/* The generic function knows a provider by its short name: "OpenVINOExecutionProvider" is OpenVINO. */
static OrtStatus *append_generic(const OrtApi *api, OrtSessionOptions *session_options,
                                 struct slice name)
{
    struct slice suffix = SLICE("ExecutionProvider");
    char short_name[PROVIDER_NAME_MAX];
    size_t len = slice_ends_with_nocase(name, suffix) ? name.len - suffix.len : name.len;
    snprintf(short_name, sizeof(short_name), "%.*s", (int)len, name.ptr);
    return api->SessionOptionsAppendExecutionProvider(session_options, short_name, NULL, NULL, 0);
}

static OrtStatus *append_provider(const OrtApi *api, OrtSessionOptions *session_options,
                                  struct slice name)
{
    for (size_t i = 0; i < PROVIDER_COUNT; i++) {
        if (slice_eq(name, slice_from_str(providers[i].name))) {
            return providers[i].append != NULL
                       ? providers[i].append(api, session_options)
                       : append_generic(api, session_options,
                                        slice_from_str(providers[i].short_name));
        }
    }
    return append_generic(api, session_options, name);
}

static bool has_provider(char **names, int count, struct slice name)
{
    for (int i = 0; i < count; i++) {
        if (slice_eq(name, slice_from_str(names[i]))) {
            return true;
        }
    }
    return false;
}

static int refuse_provider(char **names, int count, struct slice name, struct error *error)
{
    char offered[ERROR_TEXT_MAX / 2] = "";
    size_t len = 0;
    for (int i = 0; i < count && len < sizeof(offered); i++) {
        int more =
            snprintf(offered + len, sizeof(offered) - len, "%s%s", i > 0 ? ", " : "", names[i]);
        len += more > 0 ? (size_t)more : 0;
    }
    name = slice_head(name, PROVIDER_NAME_MAX);
    return error_set(error, ERR_CONFIG,
                     "the ONNX Runtime library has no execution provider '%.*s'; it offers %s",
                     SLICE_FMT(name), offered);
}

static int append_each(const struct ort_library *library, struct slice list, char **names,
                       int count, OrtSessionOptions *session_options, struct error *error)
{
    for (struct slice rest = list; rest.ptr != NULL;) {
        struct slice name = slice_trim(slice_cut(&rest, ','));
        if (name.len == 0) {
            continue;
        }
        if (!has_provider(names, count, name)) {
            return refuse_provider(names, count, name, error);
        }
        if (ort_take_status(append_provider(library->api, session_options, name), ERR_CONFIG,
                            error) != ERR_OK) {
            return error_prefix(error, "execution provider %.*s", SLICE_FMT(name));
        }
    }
    return ERR_OK;
}

static int set_providers(const struct ort_library *library, struct slice list,
                         OrtSessionOptions *session_options, struct error *error)
{
    char **names;
    int count;
    int status =
        ort_take_status(library->api->GetAvailableProviders(&names, &count), ERR_CONFIG, error);
    if (status != ERR_OK) {
        return status;
    }
    status = append_each(library, list, names, count, session_options, error);
    ort_drop_status(library->api->ReleaseAvailableProviders(names, count));
    return status;
}

int ort_options_make(const struct ort_library *library, const struct backend_options *options,
                     const struct ort_traits *traits, OrtSessionOptions **ret_session_options,
                     struct error *error)
{
    OrtSessionOptions *session_options;
    int status =
        ort_take_status(library->api->CreateSessionOptions(&session_options), ERR_CONFIG, error);
    if (status != ERR_OK) {
        return status;
    }
    status = set_level(library, options->graph_opt_level, session_options, error);
    if (status == ERR_OK) {
        status = set_memory(library, traits, session_options, error);
    }
    if (status == ERR_OK) {
        status = set_threads(library, options, session_options, error);
    }
    if (status == ERR_OK) {
        status = set_providers(library, options->providers, session_options, error);
    }
    if (status != ERR_OK) {
        library->api->ReleaseSessionOptions(session_options);
        return status;
    }
    *ret_session_options = session_options;
    return ERR_OK;
}
