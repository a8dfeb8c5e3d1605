/*
 * Finds and loads the runtime. It is loaded and not linked because its symbols carry the exact
 * release as their version and users bring builds of other releases. One environment serves the
 * process; it is never released, since threads of the runtime may still use it at exit.
 */
#include "backend/ort_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/ort_message.h"
#include "base/check.h"
#include "base/log.h"

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the first load */
static struct ort_library the_library;
static struct ort_library *_Atomic loaded; /* the_library, once it is complete */

static const char *const file_names[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
/* Relative to the directory of the executable. */
static const char *const directories[] = {"../lib/onnxd", "lib", "../.deps/onnxruntime/lib"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * What the runtime logs it also returns as an error, where it matters; and a client can make it log
 * as often as it likes. So its lines are for debugging only, and never reach standard output.
 */
static void log_runtime_line(void *unused, OrtLoggingLevel severity, const char *category,
                             const char *log_id, const char *location, const char *message)
{
    (void)unused;
    (void)severity;
    (void)category;
    (void)log_id;
    log_debug("runtime: %s: %s", location, message);
}

/* The directory of the running program; false where it cannot be told. */
static bool executable_directory(char *directory, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", directory, size - 1);
    if (len <= 0) {
        return false;
    }
    directory[len] = '\0';
    char *slash = strrchr(directory, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    return true;
}

/* dlopen with its reason in *error. A library that is there but broken ends the search. */
static int open_file(const char *path, void **ret_handle, struct error *error)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *reason = dlerror();
        return error_set(error, ERR_CONFIG, "the ONNX Runtime library cannot be loaded: %s",
                         reason == NULL ? path : reason);
    }
    *ret_handle = handle;
    return ERR_OK;
}

/* Whether `path` (room for `size`) was filled with a file that exists. */
static bool find_beside_executable(char *path, size_t size)
{
    char directory[PATH_MAX];
    if (!executable_directory(directory, sizeof(directory))) {
        return false;
    }
    for (size_t i = 0; i < COUNT(directories); i++) {
        for (size_t j = 0; j < COUNT(file_names); j++) {
            int len = snprintf(path, size, "%s/%s/%s", directory, directories[i], file_names[j]);
            if (len > 0 && (size_t)len < size && access(path, F_OK) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Opens what the search path has first and writes its name to path[size]. */
static int open_first(char *path, size_t size, void **ret_handle, struct error *error)
{
    if (find_beside_executable(path, size)) {
        return open_file(path, ret_handle, error);
    }
    for (size_t j = 0; j < COUNT(file_names); j++) {
        snprintf(path, size, "%s", file_names[j]);
        *ret_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (*ret_handle != NULL) {
            return ERR_OK;
        }
    }
    char directory[PATH_MAX] = "the program";
    (void)executable_directory(directory, sizeof(directory));
    return error_set(error, ERR_CONFIG,
                     "no ONNX Runtime library (%s or %s): not in %s, %s or %s (from %s), nor on "
                     "the system's library path",
                     file_names[0], file_names[1], directories[0], directories[1], directories[2],
                     directory);
}

static int negotiate_api(void *handle, struct ort_library *library, struct error *error)
{
    typedef const OrtApiBase *get_base(void);
    void *symbol = dlsym(handle, "OrtGetApiBase");
    if (symbol == NULL) {
        return error_set(error, ERR_CONFIG, "%s is not an ONNX Runtime library", library->path);
    }
    get_base *entry;
    memcpy(&entry, &symbol, sizeof(entry)); /* ISO C has no cast from object to function pointer */
    const OrtApiBase *base = entry();
    library->version = base->GetVersionString();
    library->api = base->GetApi(ORT_API_NEEDED);
    if (library->api == NULL) {
        return error_set(error, ERR_CONFIG, "%s is ONNX Runtime %s; 1.%d or newer is needed",
                         library->path, library->version, ORT_API_NEEDED);
    }
    return ERR_OK;
}

static int take_status(const OrtApi *api, OrtStatus *status, enum error_code code,
                       struct error *error)
{
    if (status == NULL) {
        return ERR_OK;
    }
    char text[ERROR_TEXT_MAX];
    ort_message_clean(slice_from_str(api->GetErrorMessage(status)), text, sizeof(text));
    api->ReleaseStatus(status);
    return error_set(error, code, "%s", text);
}

static int start_runtime(struct ort_library *library, struct error *error)
{
    const OrtApi *api = library->api;
    OrtStatus *status = api->CreateEnvWithCustomLogger(
        log_runtime_line, NULL, ORT_LOGGING_LEVEL_ERROR, "onnxd", &library->env);
    if (status == NULL) {
        status = api->DisableTelemetryEvents(library->env);
    }
    if (status == NULL) {
        status = api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &library->memory);
    }
    if (status == NULL) {
        status = api->GetAllocatorWithDefaultOptions(&library->allocator);
    }
    if (status == NULL) {
        return ERR_OK;
    }
    if (library->memory != NULL) {
        api->ReleaseMemoryInfo(library->memory);
    }
    if (library->env != NULL) {
        api->ReleaseEnv(library->env);
    }
    (void)take_status(api, status, ERR_CONFIG, error);
    return error_prefix(error, "ONNX Runtime %s does not start", library->version);
}

static int load(const char *path, struct ort_library *library, struct error *error)
{
    void *handle = NULL;
    *library = (struct ort_library){.api = NULL};
    /* Since 1.29 official builds report usage over the network unless they find this when loaded. */
    if (setenv("ORT_DISABLE_TELEMETRY", "1", 1) != 0) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the environment");
    }
    int status;
    if (path == NULL) {
        status = open_first(library->path, sizeof(library->path), &handle, error);
    } else if (strlen(path) >= sizeof(library->path)) {
        status = error_set(error, ERR_CONFIG, "the path of the ONNX Runtime library is too long");
    } else {
        memcpy(library->path, path, strlen(path) + 1);
        status = open_file(path, &handle, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    CHECK(handle != NULL);
    status = negotiate_api(handle, library, error);
    if (status == ERR_OK) {
        status = start_runtime(library, error);
    }
    if (status != ERR_OK) {
        dlclose(handle);
    }
    return status;
}

int ort_library_load(const char *path, const struct ort_library **ret_library, struct error *error)
{
    struct ort_library *library = atomic_load_explicit(&loaded, memory_order_acquire);
    int status = ERR_OK;
    if (library == NULL) {
        CHECK(pthread_mutex_lock(&load_lock) == 0);
        library = atomic_load_explicit(&loaded, memory_order_relaxed);
        if (library == NULL) {
            library = &the_library;
            status = load(path, library, error);
            if (status == ERR_OK) {
                atomic_store_explicit(&loaded, library, memory_order_release);
            }
        }
        CHECK(pthread_mutex_unlock(&load_lock) == 0);
    }
    if (status == ERR_OK && path != NULL && strcmp(path, library->path) != 0) {
        return error_set(error, ERR_CONFIG, "ONNX Runtime is already loaded from %s",
                         library->path);
    }
    if (status == ERR_OK) {
        *ret_library = library;
    }
    return status;
}

const struct ort_library *ort_library_loaded(void)
{
    const struct ort_library *library = atomic_load_explicit(&loaded, memory_order_acquire);
    CHECK(library != NULL);
    return library;
}

int ort_take_status(OrtStatus *status, enum error_code code, struct error *error)
{
    return status == NULL ? ERR_OK : take_status(ort_library_loaded()->api, status, code, error);
}

/*
 * Whose fault a failed run was. A loaded model has passed the runtime's checks of types, kernels and
 * shapes as far as they are fixed, and its weights do not change; so what its run refuses is what
 * changes from run to run, the inputs. INVALID_ARGUMENT is the runtime's own check of them (names,
 * types, shapes); kernels answer with it too, and just as often with FAIL, RUNTIME_EXCEPTION or
 * NOT_IMPLEMENTED ("only 2-D input is supported"), for an index out of range or a shape they cannot
 * take. Memory that cannot be had and failing devices come under the same codes and are told apart by
 * their text. Everything else (ENGINE_ERROR, EP_FAIL, codes yet to come) is not the client's.
 */
static enum error_code code_of_run(OrtErrorCode code, const char *message)
{
    switch (code) {
    case ORT_INVALID_ARGUMENT:
    case ORT_FAIL:
    case ORT_RUNTIME_EXCEPTION:
    case ORT_NOT_IMPLEMENTED:
        return ort_message_blames_machine(slice_from_str(message)) ? ERR_INTERNAL : ERR_INVALID;
    default:
        return ERR_INTERNAL;
    }
}

int ort_take_run_status(OrtStatus *status, struct error *error)
{
    if (status == NULL) {
        return ERR_OK;
    }
    const OrtApi *api = ort_library_loaded()->api;
    enum error_code code = code_of_run(api->GetErrorCode(status), api->GetErrorMessage(status));
    return take_status(api, status, code, error);
}

void ort_drop_status(OrtStatus *status)
{
    if (status != NULL) {
        ort_library_loaded()->api->ReleaseStatus(status);
    }
}
