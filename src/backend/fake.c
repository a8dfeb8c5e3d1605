/*
 * The test double: a backend in plain C, so that every sanitizer can see into it, which answers, waits
 * and fails as its description says (fake_script.h).
 */
#include "backend/fake.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "backend/fake_script.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

#define MODEL_MAGIC 0x66616b65
#define MODEL_BYTES ((size_t)64 * 1024)

struct backend_model {
    unsigned magic;
    struct arena arena;
    struct fake_script script;
    _Atomic uint64_t runs;
    _Atomic uint64_t rows;
};

static _Atomic uint64_t all_runs;
static _Atomic uint64_t all_rows;

static void close_model(struct backend_model *model)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    arena_done(&model->arena);
    model->magic = 0;
    mem_free(model);
}

static int open_model(const struct backend_options *options, struct backend_model **ret_model,
                      struct error *error)
{
    struct backend_model *model = mem_zalloc(1, sizeof(*model));
    if (model == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a fake model");
    }
    model->magic = MODEL_MAGIC;
    arena_init(&model->arena, MODEL_BYTES, MODEL_BYTES);
    int status = fake_script_read(options->path, &model->arena, &model->script, error);
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
    return &model->script.signature;
}

static void wait_us(uint64_t delay_us, bool spin)
{
    if (delay_us == 0) {
        return;
    }
    if (!spin) {
        struct timespec left = {(time_t)(delay_us / 1000000), (long)(delay_us % 1000000) * 1000};
        while (nanosleep(&left, &left) != 0) {
            CHECK(errno == EINTR);
        }
        return;
    }
    uint64_t end_ns = clock_monotonic_ns() + delay_us * CLOCK_NS_PER_US;
    while (clock_monotonic_ns() < end_ns) {}
}

static double element(const struct tensor *tensor, size_t i)
{
    switch (tensor->dtype) {
    case DTYPE_F16:
        return (double)num_f16_to_f32(((const uint16_t *)tensor->at)[i]);
    case DTYPE_BF16:
        return (double)num_bf16_to_f32(((const uint16_t *)tensor->at)[i]);
    case DTYPE_F32:
        return (double)((const float *)tensor->at)[i];
    case DTYPE_F64:
        return ((const double *)tensor->at)[i];
    case DTYPE_I8:
        return ((const int8_t *)tensor->at)[i];
    case DTYPE_I16:
        return ((const int16_t *)tensor->at)[i];
    case DTYPE_I32:
        return ((const int32_t *)tensor->at)[i];
    case DTYPE_I64:
        return (double)((const int64_t *)tensor->at)[i];
    case DTYPE_U8:
    case DTYPE_BOOL:
        return ((const uint8_t *)tensor->at)[i];
    case DTYPE_U16:
        return ((const uint16_t *)tensor->at)[i];
    case DTYPE_U32:
        return ((const uint32_t *)tensor->at)[i];
    case DTYPE_U64:
        return (double)((const uint64_t *)tensor->at)[i];
    case DTYPE_NONE:
    case DTYPE_STRING:
    case DTYPE_OTHER:
    case DTYPE_COUNT:
        break;
    }
    return 0;
}

static double poison_number(struct slice text)
{
    struct num num = num_parse(text);
    return num.kind == NUM_I64   ? (double)num.as.i64
           : num.kind == NUM_U64 ? (double)num.as.u64
                                 : num.as.f64;
}

static int check_poison(const struct backend_model *model, const struct tensor *input,
                        struct error *error)
{
    size_t count = model->script.has_poison ? (size_t)tensor_elements(input) : 0;
    double number = input->dtype == DTYPE_STRING ? 0 : poison_number(model->script.poison);
    for (size_t i = 0; i < count; i++) {
        if (input->dtype == DTYPE_STRING
                ? slice_eq(((const struct slice *)input->at)[i], model->script.poison)
                : !(element(input, i) < number || element(input, i) > number)) {
            return error_set(error, ERR_INVALID, "fake model: element %zu is poison", i);
        }
    }
    return ERR_OK;
}

static void put_number(struct tensor *tensor, size_t i, double number)
{
    if (tensor->dtype == DTYPE_F64) {
        ((double *)tensor->at)[i] = number;
    } else if (tensor->dtype == DTYPE_F32) {
        ((float *)tensor->at)[i] = (float)number;
    } else {
        ((int64_t *)tensor->at)[i] = (int64_t)number;
    }
}

static int sum(const struct backend_model *model, const struct tensor *input, struct tensor *output,
               enum dtype dtype, struct error *error)
{
    int64_t rows = tensor_rows(input) + model->script.extra_rows;
    const int64_t dims[] = {rows < 0 ? 0 : rows};
    int status = tensor_new(dtype, 1, dims, output, error);
    if (status != ERR_OK) {
        return status;
    }
    size_t width = (size_t)tensor_row_elements(input);
    for (size_t row = 0; row < (size_t)dims[0]; row++) {
        double total = 0;
        for (size_t i = 0; row < (size_t)tensor_rows(input) && i < width; i++) {
            total += element(input, row * width + i);
        }
        put_number(output, row, total);
    }
    return ERR_OK;
}

static int echo_strings(const struct tensor *input, const int64_t *dims, struct tensor *output,
                        struct arena *arena, struct error *error)
{
    struct tensor shape = *input;
    memcpy(shape.dims, dims, sizeof(shape.dims));
    size_t count = (size_t)tensor_elements(&shape);
    struct slice *strings = arena_zalloc(arena, count, sizeof(*strings));
    if (strings == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for an output");
    }
    size_t given = (size_t)tensor_elements(input);
    memcpy(strings, input->at, (given < count ? given : count) * sizeof(*strings));
    return tensor_new_strings(input->rank, dims, strings, output, error);
}

/* A copy, so that the test sees it when it outlives the input; rows that were not given are zero. */
static int echo(const struct backend_model *model, const struct tensor *input,
                struct tensor *output, struct arena *arena, struct error *error)
{
    int64_t dims[TENSOR_MAX_RANK];
    memcpy(dims, input->dims, sizeof(dims));
    if (input->rank > 0) {
        dims[0] = dims[0] + model->script.extra_rows < 0 ? 0 : dims[0] + model->script.extra_rows;
    }
    if (input->dtype == DTYPE_STRING) {
        return echo_strings(input, dims, output, arena, error);
    }
    int status = tensor_new(input->dtype, input->rank, dims, output, error);
    if (status == ERR_OK) {
        size_t given = tensor_bytes(input);
        size_t wanted = tensor_bytes(output);
        memset(output->at, 0, wanted);
        memcpy(output->at, input->at, given < wanted ? given : wanted);
    }
    return status;
}

static int compute(const struct backend_model *model, const struct tensor *inputs, size_t index,
                   struct arena *arena, struct value *value, struct error *error)
{
    const struct fake_output *output = &model->script.operations[index];
    const struct tensor *input = &inputs[output->input];
    if (input->dtype == DTYPE_NONE) {
        return error_set(error, ERR_INVALID, "fake model: an input is missing");
    }
    struct tensor tensor;
    int status = output->operation == FAKE_ECHO
                     ? echo(model, input, &tensor, arena, error)
                     : sum(model, input, &tensor, model->script.outputs[index].dtype, error);
    if (status == ERR_OK) {
        *value = (struct value){.kind = VALUE_TENSOR, .tensor = tensor};
    }
    return status;
}

static int check_run(const struct backend_model *model, const struct tensor *first,
                     struct error *error)
{
    if (model->script.failure == FAKE_FAIL_INVALID) {
        return error_set(error, ERR_INVALID, "fake model: told to refuse its inputs");
    }
    if (model->script.failure == FAKE_FAIL_INTERNAL) {
        return error_set(error, ERR_INTERNAL, "fake model: told to fail");
    }
    return check_poison(model, first, error);
}

static int run_model(struct backend_model *model, const struct tensor *inputs, const size_t *wanted,
                     size_t wanted_count, struct arena *arena, struct value *values,
                     struct error *error)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    uint64_t rows = (uint64_t)tensor_rows(&inputs[0]);
    atomic_fetch_add_explicit(&model->runs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&model->rows, rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&all_runs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&all_rows, rows, memory_order_relaxed);
    wait_us(model->script.delay_run_us + model->script.delay_row_us * rows, model->script.spin);
    int status = check_run(model, &inputs[0], error);
    for (size_t i = 0; status == ERR_OK && i < wanted_count; i++) {
        CHECK(wanted[i] < model->script.signature.output_count);
        status = compute(model, inputs, wanted[i], arena, &values[i], error);
        while (status != ERR_OK && i-- > 0) {
            value_done(&values[i]);
        }
    }
    return status;
}

static const char *library_version(const char *library, struct error *error)
{
    (void)library;
    (void)error;
    return "fake";
}

void fake_read_counts(const struct backend_model *model, struct fake_counts *ret_counts)
{
    *ret_counts = (struct fake_counts){
        .runs = atomic_load(model == NULL ? &all_runs : &model->runs),
        .rows = atomic_load(model == NULL ? &all_rows : &model->rows),
    };
}

const struct backend backend_fake = {
    .name = "fake",
    .open = open_model,
    .signature = model_signature,
    .run = run_model,
    .close = close_model,
    .version = library_version,
};
