/* Trials of a model for every element type, and the inputs that are made up for them. */
#include <math.h>

#include "base/mem.h"
#include "sched/probe.h"
#include "unit_tests/testing.h"

#define ARENA_MAX ((size_t)1 << 20)

/* A model that answers with its input, or with what it is told. */
enum echo_kind {
    ECHO_ROWS,     /* each row for itself */
    ECHO_LAST,     /* the last row in every place */
    ECHO_NANS,     /* NaN in every place (float32) */
    ECHO_ITEMS,    /* a sequence of one item a row */
    ECHO_ONE_ITEM, /* a sequence of one item, however many rows */
};

static struct value echo_tensor(enum echo_kind kind, const struct tensor *input)
{
    int64_t rows = input->dims[0];
    struct tensor output;
    assert_int_equal(tensor_new(input->dtype, input->rank, input->dims, &output, NULL), ERR_OK);
    size_t row_bytes = tensor_bytes(input) / (size_t)rows;
    for (int64_t i = 0; i < rows; i++) {
        int64_t from = kind == ECHO_LAST ? rows - 1 : i;
        memcpy((char *)output.at + (size_t)i * row_bytes,
               (const char *)input->at + (size_t)from * row_bytes, row_bytes);
        if (kind == ECHO_NANS) {
            ((float *)output.at)[i] = NAN;
        }
    }
    return (struct value){.kind = VALUE_TENSOR, .tensor = output};
}

static int echo_run(struct backend_model *model, const struct tensor *inputs, const size_t *wanted,
                    size_t wanted_count, struct arena *arena, struct value *values,
                    struct error *error)
{
    enum echo_kind kind = *(const enum echo_kind *)(void *)model;
    (void)wanted, (void)wanted_count, (void)error;
    if (kind == ECHO_ITEMS || kind == ECHO_ONE_ITEM) {
        size_t count = kind == ECHO_ONE_ITEM ? 1 : (size_t)inputs->dims[0];
        struct value *items = arena_zalloc(arena, count, sizeof(items[0]));
        assert_non_null(items);
        *values = (struct value){.kind = VALUE_SEQUENCE, .items = items, .item_count = count};
    } else {
        *values = echo_tensor(kind, inputs);
    }
    return ERR_OK;
}

static const struct backend echo_backend = {.name = "echo", .run = echo_run};

static enum probe_result probe(enum echo_kind kind, enum dtype dtype)
{
    static const size_t first_output[] = {0};
    struct port input = {.kind = PORT_TENSOR, .dtype = dtype}; /* any shape: rows of one element */
    struct signature signature = {.inputs = &input, .input_count = 1};
    struct batch_target target = {.backend = &echo_backend,
                                  .model = (struct backend_model *)(void *)&kind,
                                  .input_count = 1,
                                  .wanted = first_output,
                                  .wanted_count = 1,
                                  .batchable = true,
                                  .max_rows = 4};
    struct arena arena;
    arena_init(&arena, 1024, ARENA_MAX);
    enum probe_result result = probe_rows(&target, &signature, &arena);
    arena_done(&arena);
    buffer_recycler_done();
    return result;
}

/* Half floats are too coarse for a verdict about their values. */
static void judges_every_element_type(void **state)
{
    (void)state;
    for (enum dtype dtype = DTYPE_F16; dtype <= DTYPE_STRING; dtype++) {
        bool coarse = dtype == DTYPE_F16 || dtype == DTYPE_BF16;
        assert_int_equal(probe(ECHO_ROWS, dtype), PROBE_INDEPENDENT);
        assert_int_equal(probe(ECHO_LAST, dtype), coarse ? PROBE_INDEPENDENT : PROBE_DEPENDENT);
    }
}

static void nan_agrees_with_nan_alone(void **state)
{
    (void)state;
    assert_int_equal(probe(ECHO_NANS, DTYPE_F32), PROBE_INDEPENDENT);
}

static void sequences_have_an_item_a_row(void **state)
{
    (void)state;
    assert_int_equal(probe(ECHO_ITEMS, DTYPE_F32), PROBE_INDEPENDENT);
    assert_int_equal(probe(ECHO_ONE_ITEM, DTYPE_F32), PROBE_DEPENDENT);
}

static void makes_up_rows_that_differ(void **state)
{
    (void)state;
    struct port ports[] = {
        {.kind = PORT_TENSOR, .dtype = DTYPE_F64},
        {.kind = PORT_TENSOR, .dtype = DTYPE_I16},
        {.kind = PORT_TENSOR, .dtype = DTYPE_BOOL},
        {.kind = PORT_TENSOR, .dtype = DTYPE_STRING},
        {.kind = PORT_TENSOR, .dtype = DTYPE_F32, .rank_known = true, .rank = 2, .dims = {-1, 2}},
    };
    struct signature signature = {.inputs = ports, .input_count = 5};
    struct arena arena;
    arena_init(&arena, 1024, ARENA_MAX);
    struct tensor *inputs;
    assert_int_equal(probe_make_inputs(&signature, 3, 2, &arena, &inputs), ERR_OK);
    assert_true(((const double *)inputs[0].at)[0] == 2.0);
    assert_true(((const double *)inputs[0].at)[1] == 2.5);
    assert_int_equal(((const int16_t *)inputs[1].at)[0], 3);
    assert_int_equal(((const int16_t *)inputs[1].at)[1], 4);
    assert_int_equal(((const uint8_t *)inputs[2].at)[0], 1);
    assert_int_equal(((const uint8_t *)inputs[2].at)[1], 0);
    assert_true(slice_eq(((const struct slice *)inputs[3].at)[0], SLICE("d")));
    assert_true(slice_eq(((const struct slice *)inputs[3].at)[1], SLICE("e")));
    assert_int_equal(tensor_elements(&inputs[4]), 4);
    assert_true(((const float *)inputs[4].at)[1] == 2.0F);
    assert_true(((const float *)inputs[4].at)[2] == 2.5F);
    for (size_t i = 0; i < signature.input_count; i++) {
        tensor_done(&inputs[i]);
    }
    arena_done(&arena);
    buffer_recycler_done();
}

/* What cannot be made up is refused, and the inputs before it are ended. */
static void refuses_what_cannot_be_made_up(void **state)
{
    (void)state;
    static const struct port refused[] = {
        {.kind = PORT_SEQUENCE},
        {.kind = PORT_TENSOR, .dtype = DTYPE_OTHER},
        {.kind = PORT_TENSOR, .dtype = DTYPE_I8, .rank_known = true, .rank = 1, .dims = {1 << 23}},
        {.kind = PORT_TENSOR,
         .dtype = DTYPE_I8,
         .rank_known = true,
         .rank = 2,
         .dims = {1 << 12, 1 << 12}},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct port ports[] = {{.kind = PORT_TENSOR, .dtype = DTYPE_F32}, refused[i]};
        struct signature signature = {.inputs = ports, .input_count = 2};
        struct arena arena;
        arena_init(&arena, 1024, ARENA_MAX);
        struct tensor *inputs = NULL;
        assert_int_equal(probe_make_inputs(&signature, 0, 1, &arena, &inputs), ERR_INVALID);
        assert_null(inputs);
        arena_done(&arena);
        buffer_recycler_done();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_every_element_type),
        cmocka_unit_test(nan_agrees_with_nan_alone),
        cmocka_unit_test(sequences_have_an_item_a_row),
        cmocka_unit_test(makes_up_rows_that_differ),
        cmocka_unit_test(refuses_what_cannot_be_made_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
