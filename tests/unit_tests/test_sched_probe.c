/* Trials of a model: whether its rows answer alike alone and together. */
#include "sched/probe.h"

#include "base/mem.h"
#include "unit_tests/testing.h"

#define COLUMNS 3
#define ARENA_MAX ((size_t)1 << 20)

/* A model over rows of three numbers (it refuses others): the sum of each row, plus what it is told. */
struct sum_model {
    enum {
        SUMS_ROWS,     /* nothing */
        SUMS_UP,       /* the sums before: rows depend on each other */
        SUMS_IN_ONE,   /* all sums, in one row */
        SUMS_NUMBERED, /* the row's number: the same for equal rows alone, not together */
    } kind;
    int64_t refused_rows; /* runs of so many rows fail */
    unsigned runs;
};

static float sum_row(const struct tensor *input, int64_t row)
{
    const float *at = (const float *)input->at + row * COLUMNS;
    return at[0] + at[1] + at[2];
}

static int sum_run(struct backend_model *model, const struct tensor *inputs, const size_t *wanted,
                   size_t wanted_count, struct arena *arena, struct value *values,
                   struct error *error)
{
    struct sum_model *state = (struct sum_model *)(void *)model;
    int64_t rows = inputs->dims[0];
    (void)wanted, (void)wanted_count, (void)arena;
    state->runs++;
    if (inputs->dims[1] != COLUMNS || rows == state->refused_rows) {
        return error_set(error, ERR_INVALID, "refused");
    }
    int64_t dims[1] = {state->kind == SUMS_IN_ONE ? 1 : rows};
    struct tensor output;
    if (tensor_new(DTYPE_F32, 1, dims, &output, error) != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    float total = 0;
    for (int64_t i = 0; i < rows; i++) {
        float more = state->kind == SUMS_UP ? total : state->kind == SUMS_NUMBERED ? (float)i : 0;
        total += sum_row(inputs, i);
        ((float *)output.at)[state->kind == SUMS_IN_ONE ? 0 : i] =
            state->kind == SUMS_IN_ONE ? total : sum_row(inputs, i) + more;
    }
    *values = (struct value){.kind = VALUE_TENSOR, .tensor = output};
    return ERR_OK;
}

static const struct backend sum_backend = {.name = "sum", .run = sum_run};

static struct batch_target target_of(struct sum_model *model)
{
    static const size_t first_output[] = {0};
    return (struct batch_target){.backend = &sum_backend,
                                 .model = (struct backend_model *)(void *)model,
                                 .input_count = 1,
                                 .wanted = first_output,
                                 .wanted_count = 1,
                                 .batchable = true,
                                 .max_rows = 4};
}

/* Made up inputs fit where the width is declared, else they are one wide. */
static enum probe_result probe_made_up(struct sum_model *model, int64_t width)
{
    struct port input = {.name = SLICE("x"),
                         .kind = PORT_TENSOR,
                         .dtype = DTYPE_F32,
                         .rank_known = true,
                         .rank = 2,
                         .dims = {-1, width}};
    struct signature signature = {.inputs = &input, .input_count = 1};
    struct batch_target target = target_of(model);
    struct arena arena;
    arena_init(&arena, 1024, ARENA_MAX);
    enum probe_result result = probe_rows(&target, &signature, &arena);
    arena_done(&arena);
    return result;
}

static enum probe_result probe_given(struct sum_model *model, int64_t rows)
{
    static float numbers[100 * COLUMNS];
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        numbers[i] = (float)(i % 7 + 1);
    }
    struct tensor input = {.dtype = DTYPE_F32, .rank = 2, .dims = {rows, COLUMNS}, .at = numbers};
    struct batch_target target = target_of(model);
    struct arena arena;
    arena_init(&arena, 1024, ARENA_MAX);
    enum probe_result result = probe_given_rows(&target, &input, rows, &arena);
    arena_done(&arena);
    return result;
}

static void judges_made_up_rows(void **state)
{
    (void)state;
    struct sum_model model = {.kind = SUMS_ROWS};
    assert_int_equal(probe_made_up(&model, COLUMNS), PROBE_INDEPENDENT);
    assert_int_equal(probe_made_up(&model, -1), PROBE_REFUSED);
    model.kind = SUMS_UP;
    assert_int_equal(probe_made_up(&model, COLUMNS), PROBE_DEPENDENT);
    model.kind = SUMS_IN_ONE;
    assert_int_equal(probe_made_up(&model, COLUMNS), PROBE_DEPENDENT);
    struct sum_model no_pairs = {.kind = SUMS_ROWS, .refused_rows = 2};
    assert_int_equal(probe_made_up(&no_pairs, COLUMNS), PROBE_DEPENDENT);
}

static void judges_given_rows(void **state)
{
    (void)state;
    struct sum_model model = {.kind = SUMS_ROWS};
    assert_int_equal(probe_given(&model, 2), PROBE_INDEPENDENT);
    assert_int_equal(probe_given(&model, 5), PROBE_INDEPENDENT);
    assert_int_equal(probe_given(&model, 1), PROBE_REFUSED);
    model.kind = SUMS_UP;
    assert_int_equal(probe_given(&model, 2), PROBE_DEPENDENT);
    model.kind = SUMS_IN_ONE;
    assert_int_equal(probe_given(&model, 3), PROBE_DEPENDENT);
    model.kind = SUMS_NUMBERED;
    assert_int_equal(probe_given(&model, 3), PROBE_DEPENDENT);
    struct sum_model never_alone = {.kind = SUMS_ROWS, .refused_rows = 1};
    assert_int_equal(probe_given(&never_alone, 3), PROBE_REFUSED);
    struct sum_model never_three = {.kind = SUMS_ROWS, .refused_rows = 3};
    assert_int_equal(probe_given(&never_three, 3), PROBE_REFUSED);
}

/* Of many rows some are enough: a run each. */
static void tries_a_bounded_number(void **state)
{
    (void)state;
    struct sum_model model = {.kind = SUMS_ROWS};
    assert_int_equal(probe_given(&model, 100), PROBE_INDEPENDENT);
    assert_in_range(model.runs, 5, 32);
}

static void survives_missing_memory(void **state)
{
    (void)state;
    enum probe_result result = PROBE_REFUSED;
    unsigned failures = 0;
    for (uint64_t nth = 1; result != PROBE_INDEPENDENT; nth++) {
        struct sum_model model = {.kind = SUMS_ROWS};
        buffer_recycler_done();
        mem_fail_nth(nth);
        result = probe_given(&model, 3);
        mem_fail_nth(0);
        if (result != PROBE_INDEPENDENT) {
            assert_int_equal(result, PROBE_REFUSED);
            failures++;
        }
    }
    assert_true(failures > 3);
    buffer_recycler_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_made_up_rows),
        cmocka_unit_test(judges_given_rows),
        cmocka_unit_test(tries_a_bounded_number),
        cmocka_unit_test(survives_missing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
