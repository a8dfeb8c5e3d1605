/* Opening the test models with the real runtime. */
#ifndef BACKEND_TESTING_H
#define BACKEND_TESTING_H

#include <stdio.h>

#include "backend/backend.h"
#include "unit_tests/testing.h"

#define RUNTIME_LIBRARY ONNXD_DEPS_DIR "/onnxruntime/lib/libonnxruntime.so"

static inline struct backend_options runtime_options(const char *path)
{
    return (struct backend_options){
        .path = path,
        .library = RUNTIME_LIBRARY,
        .providers = SLICE("CPUExecutionProvider"),
        .intra_op_threads = 1,
        .inter_op_threads = 1,
        .graph_opt_level = SLICE("all"),
    };
}

/*
 * Under ASan and TSan: buffers are not recycled, threads of the sanitizer's own run, and an allocation
 * of petabytes stops the program instead of failing.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* tests/data/models/<name>/model.onnx; the test fails when it does not open. */
static inline struct backend_model *open_test_model(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/models/%s/model.onnx", TEST_DATA_DIR, name);
    const struct backend_options options = runtime_options(path);
    struct backend_model *model = NULL;
    struct error error = {.text = ""};
    if (backend_ort.open(&options, &model, &error) != ERR_OK) {
        fail_msg("%s", error.text);
    }
    return model;
}

#endif
