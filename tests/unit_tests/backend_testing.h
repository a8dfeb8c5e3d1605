/* Opening and running the test models with the real runtime. */
#ifndef BACKEND_TESTING_H
#define BACKEND_TESTING_H

#include <math.h>
#include <stdio.h>
#include <string.h>

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

#define ARENA_BYTES ((size_t)1 << 20)

/* One model, one run's memory. */
struct fixture {
    struct backend_model *model;
    struct arena arena;
    struct error error;
    struct value values[4];
    size_t value_count;
};

static inline void fixture_open(struct fixture *fixture, const char *model)
{
    *fixture = (struct fixture){.model = open_test_model(model)};
    arena_init(&fixture->arena, 4096, ARENA_BYTES);
}

static inline void fixture_close(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->value_count; i++) {
        value_done(&fixture->values[i]);
    }
    arena_done(&fixture->arena);
    backend_ort.close(fixture->model);
    buffer_recycler_done();
}

/* Runs for the first `wanted_count` outputs and ends the inputs. */
static inline int fixture_run(struct fixture *fixture, struct tensor *inputs, size_t input_count,
                              size_t wanted_count)
{
    static const size_t wanted[] = {0, 1, 2, 3};
    int status = backend_ort.run(fixture->model, inputs, wanted, wanted_count, &fixture->arena,
                                 fixture->values, &fixture->error);
    for (size_t i = 0; i < input_count; i++) {
        tensor_done(&inputs[i]);
    }
    fixture->value_count = status == ERR_OK ? wanted_count : 0;
    return status;
}

static inline void run_or_fail(struct fixture *fixture, struct tensor *inputs, size_t input_count,
                               size_t wanted_count)
{
    if (fixture_run(fixture, inputs, input_count, wanted_count) != ERR_OK) {
        fail_msg("%s", fixture->error.text);
    }
}

static inline struct tensor make_tensor(enum dtype dtype, unsigned rank, const int64_t *dims,
                                        const void *elements)
{
    struct tensor tensor;
    struct error error;
    assert_int_equal(tensor_new(dtype, rank, dims, &tensor, &error), ERR_OK);
    if (tensor_bytes(&tensor) > 0) {
        memcpy(tensor.at, elements, tensor_bytes(&tensor));
    }
    return tensor;
}

static inline struct tensor floats(int64_t rows, int64_t width, const float *elements)
{
    return make_tensor(DTYPE_F32, 2, (const int64_t[]){rows, width}, elements);
}

static inline struct tensor integers(int64_t rows, int64_t width, const int64_t *elements)
{
    return make_tensor(DTYPE_I64, 2, (const int64_t[]){rows, width}, elements);
}

static inline struct tensor strings(int64_t rows, int64_t width, const struct slice *elements)
{
    struct tensor tensor;
    struct error error;
    assert_int_equal(
        tensor_new_strings(2, (const int64_t[]){rows, width}, elements, &tensor, &error), ERR_OK);
    return tensor;
}

static inline void assert_floats(const struct tensor *tensor, size_t count, const float *expected)
{
    assert_int_equal(tensor->dtype, DTYPE_F32);
    assert_int_equal(tensor_elements(tensor), count);
    for (size_t i = 0; i < count; i++) {
        assert_true(fabsf(((const float *)tensor->at)[i] - expected[i]) <=
                    1e-6f * fmaxf(1, fabsf(expected[i])));
    }
}

/* Two rows of the iris models. */
static const float iris[] = {5.1f, 3.5f, 1.4f, 0.2f, 6.7f, 3.1f, 5.6f, 2.4f};

#endif
