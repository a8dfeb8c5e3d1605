#include "sched/probe.h"

#include <math.h>
#include <string.h>

/* A made-up tensor larger than this is not worth the memory. */
#define PROBE_MAX_ELEMENTS (1 << 22)
/* Kernels may round differently for other batch sizes; strangers' rows differ by more than this. */
#define PROBE_TOLERANCE 1e-4
/* Of rows that are given so many are tried: few agree by chance, and each is a run. */
#define PROBE_GIVEN_MAX_ROWS 16

static void fill_floats(struct tensor *tensor, int64_t element, double value)
{
    if (tensor->dtype == DTYPE_F32) {
        ((float *)tensor->at)[element] = (float)value;
    } else if (tensor->dtype == DTYPE_F64) {
        ((double *)tensor->at)[element] = value;
    }
}

/* Small whole numbers are the same bytes in every integer type on a little-endian machine. */
static void fill_integer(struct tensor *tensor, int64_t element, int64_t value)
{
    size_t size = dtype_size(tensor->dtype);
    memcpy((char *)tensor->at + (size_t)element * size, &value, size);
}

static void fill(struct tensor *tensor, int64_t first)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    int64_t row_elements = tensor_row_elements(tensor);
    memset(tensor->at, 0, tensor_bytes(tensor));
    for (int64_t i = 0, n = tensor_elements(tensor); i < n; i++) {
        int64_t row = first + (tensor->rank == 0 ? 0 : i / row_elements);
        if (tensor->dtype == DTYPE_STRING) {
            ((struct slice *)tensor->at)[i] = slice_make(letters + row % 26, 1);
        } else if (dtype_is_float(tensor->dtype)) {
            fill_floats(tensor, i, (double)(row + 1) / 2);
        } else {
            fill_integer(tensor, i, tensor->dtype == DTYPE_BOOL ? row % 2 : row);
        }
    }
}

static int make_input(const struct port *port, int64_t first, int64_t rows,
                      struct tensor *ret_tensor)
{
    if (port->kind != PORT_TENSOR || dtype_size(port->dtype) == 0) {
        return ERR_INVALID;
    }
    unsigned rank = port->rank_known ? port->rank : 2;
    int64_t dims[TENSOR_MAX_RANK];
    int64_t elements = 1;
    for (unsigned i = 0; i < rank; i++) {
        dims[i] = port->rank_known && port->dims[i] >= 0 ? port->dims[i] : i == 0 ? rows : 1;
        if (dims[i] > PROBE_MAX_ELEMENTS) {
            return ERR_INVALID;
        }
        elements *= dims[i];
        if (elements > PROBE_MAX_ELEMENTS) {
            return ERR_INVALID;
        }
    }
    int status = tensor_new(port->dtype, rank, dims, ret_tensor, NULL);
    if (status == ERR_OK) {
        fill(ret_tensor, first);
    }
    return status;
}

int probe_make_inputs(const struct signature *signature, int64_t first, int64_t rows,
                      struct arena *arena, struct tensor **ret_inputs)
{
    struct tensor *inputs = arena_zalloc(arena, signature->input_count, sizeof(inputs[0]));
    if (inputs == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < signature->input_count; i++) {
        int status = make_input(&signature->inputs[i], first, rows, &inputs[i]);
        if (status != ERR_OK) {
            while (i-- > 0) {
                tensor_done(&inputs[i]);
            }
            return status;
        }
    }
    *ret_inputs = inputs;
    return ERR_OK;
}

static bool numbers_agree(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return isnan(a) && isnan(b);
    }
    double size = fmax(fabs(a), fabs(b));
    return a == b || fabs(a - b) <= PROBE_TOLERANCE * fmax(size, 1.0);
}

static bool elements_agree(const struct tensor *a, int64_t i, const struct tensor *b, int64_t j)
{
    switch (a->dtype) {
    case DTYPE_F32:
        return numbers_agree((double)((const float *)a->at)[i], (double)((const float *)b->at)[j]);
    case DTYPE_F64:
        return numbers_agree(((const double *)a->at)[i], ((const double *)b->at)[j]);
    case DTYPE_STRING:
        return slice_eq(((const struct slice *)a->at)[i], ((const struct slice *)b->at)[j]);
    case DTYPE_F16:
    case DTYPE_BF16:
        return true; /* too coarse to judge */
    default:
        return memcmp((const char *)a->at + (size_t)i * dtype_size(a->dtype),
                      (const char *)b->at + (size_t)j * dtype_size(b->dtype),
                      dtype_size(a->dtype)) == 0;
    }
}

/* Row `row` of the shared answer to `rows` rows against the only row of the answer alone. */
static bool tensor_rows_agree(const struct tensor *shared, int64_t rows, int64_t row,
                              const struct tensor *alone)
{
    int64_t elements = tensor_row_elements(shared);
    if (shared->dtype != alone->dtype || shared->rank != alone->rank || alone->rank == 0 ||
        alone->dims[0] != 1 || shared->dims[0] != rows || tensor_row_elements(alone) != elements) {
        return false;
    }
    for (int64_t i = 0; i < elements; i++) {
        if (!elements_agree(shared, row * elements + i, alone, i)) {
            return false;
        }
    }
    return true;
}

static bool values_agree(const struct value *shared, int64_t rows, int64_t row,
                         const struct value *alone)
{
    if (shared->kind != alone->kind) {
        return false;
    }
    if (shared->kind == VALUE_TENSOR) {
        return tensor_rows_agree(&shared->tensor, rows, row, &alone->tensor);
    }
    /* Of sequences the counts are compared: one item a row. */
    return shared->kind == VALUE_SEQUENCE && shared->item_count == (size_t)rows &&
           alone->item_count == 1;
}

/* The model's answer, in the arena; NULL where it refuses. The inputs are ended. */
static struct value *run_and_end(const struct batch_target *target, struct tensor *inputs,
                                 struct arena *arena)
{
    struct error error;
    struct value *values = arena_zalloc(arena, target->wanted_count, sizeof(values[0]));
    int status =
        values == NULL ? ERR_NO_MEMORY : batch_run_inputs(target, inputs, arena, values, &error);
    for (size_t i = 0; i < target->input_count; i++) {
        tensor_done(&inputs[i]);
    }
    return status == ERR_OK ? values : NULL;
}

static struct value *run(const struct batch_target *target, const struct signature *signature,
                         int64_t first, int64_t rows, struct arena *arena)
{
    struct tensor *inputs;
    if (probe_make_inputs(signature, first, rows, arena, &inputs) != ERR_OK) {
        return NULL;
    }
    return run_and_end(target, inputs, arena);
}

static void end_values(const struct batch_target *target, struct value *values)
{
    for (size_t i = 0; values != NULL && i < target->wanted_count; i++) {
        value_done(&values[i]);
    }
}

enum probe_result probe_rows(const struct batch_target *target, const struct signature *signature,
                             struct arena *arena)
{
    struct value *alone[2] = {run(target, signature, 0, 1, arena), NULL};
    enum probe_result result = PROBE_REFUSED;
    if (alone[0] != NULL) { /* one that hangs does so once */
        alone[1] = run(target, signature, 1, 1, arena);
    }
    if (alone[1] != NULL) {
        struct value *shared = target->batchable ? run(target, signature, 0, 2, arena) : NULL;
        result = shared == NULL ? PROBE_DEPENDENT : PROBE_INDEPENDENT;
        for (size_t i = 0; shared != NULL && i < target->wanted_count; i++) {
            for (int64_t row = 0; row < 2; row++) {
                if (!values_agree(&shared[i], 2, row, alone[row] + i)) {
                    result = PROBE_DEPENDENT;
                }
            }
        }
        end_values(target, shared);
    }
    end_values(target, alone[0]);
    end_values(target, alone[1]);
    return result;
}

static struct value *run_given(const struct batch_target *target, const struct tensor *inputs,
                               int64_t first, int64_t rows, struct arena *arena)
{
    struct tensor *views = arena_zalloc(arena, target->input_count, sizeof(views[0]));
    for (size_t i = 0; views != NULL && i < target->input_count; i++) {
        if (inputs[i].dtype != DTYPE_NONE) {
            views[i] = tensor_row_view(&inputs[i], first, rows);
        }
    }
    return views == NULL ? NULL : run_and_end(target, views, arena);
}

static enum probe_result compare_given(const struct batch_target *target,
                                       const struct tensor *inputs, const struct value *shared,
                                       int64_t rows, struct arena *arena)
{
    enum probe_result result = PROBE_INDEPENDENT;
    for (int64_t row = 0; row < rows && result == PROBE_INDEPENDENT; row++) {
        struct value *alone = run_given(target, inputs, row, 1, arena);
        result = alone == NULL ? PROBE_REFUSED : result;
        for (size_t i = 0; alone != NULL && i < target->wanted_count; i++) {
            if (!values_agree(&shared[i], rows, row, &alone[i])) {
                result = PROBE_DEPENDENT;
            }
        }
        end_values(target, alone);
    }
    return result;
}

enum probe_result probe_given_rows(const struct batch_target *target, const struct tensor *inputs,
                                   int64_t rows, struct arena *arena)
{
    rows = rows > PROBE_GIVEN_MAX_ROWS ? PROBE_GIVEN_MAX_ROWS : rows;
    for (size_t i = 0; i < target->input_count; i++) {
        if (inputs[i].dtype != DTYPE_NONE && (inputs[i].rank == 0 || inputs[i].dims[0] < rows)) {
            return PROBE_REFUSED;
        }
    }
    struct value *shared = rows < 2 ? NULL : run_given(target, inputs, 0, rows, arena);
    if (shared == NULL) {
        return PROBE_REFUSED;
    }
    enum probe_result result = compare_given(target, inputs, shared, rows, arena);
    end_values(target, shared);
    return result;
}
