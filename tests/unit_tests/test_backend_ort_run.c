/* Running models with the real runtime: every kind of value in and out. */
#include <stdlib.h>
#include <string.h>

#include "unit_tests/backend_testing.h"

/* Labels and a sequence of maps; the numbers are what the runtime's Python package answers. */
static void classifies(void **state)
{
    (void)state;
    static const float probabilities[2][3] = {
        {0.98159295f, 0.018407054f, 1.47011185e-08f},
        {6.4109536e-06f, 0.020294564f, 0.979699f},
    };
    struct fixture fixture;
    fixture_open(&fixture, "iris_logistic_regression");
    struct tensor input = floats(2, 4, iris);
    run_or_fail(&fixture, &input, 1, 2);
    const struct value *labels = &fixture.values[0];
    assert_int_equal(labels->tensor.dtype, DTYPE_I64);
    assert_int_equal(labels->tensor.rank, 1);
    assert_memory_equal(labels->tensor.at, ((const int64_t[]){0, 2}), 16);
    const struct value *rows = &fixture.values[1];
    assert_int_equal(rows->kind, VALUE_SEQUENCE);
    assert_int_equal(value_rows(rows), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(rows->items[i].kind, VALUE_MAP);
        assert_int_equal(rows->items[i].keys.dtype, DTYPE_I64);
        assert_memory_equal(rows->items[i].keys.at, ((const int64_t[]){0, 1, 2}), 24);
        assert_floats(&rows->items[i].mapped, 3, probabilities[i]);
    }
    fixture_close(&fixture);
}

static void gives_only_what_is_wanted(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "multi");
    struct tensor input = floats(2, 3, (const float[]){1, -2, 3, -4, 5, -6});
    const size_t wanted[] = {2, 0};
    assert_int_equal(backend_ort.run(fixture.model, &input, wanted, 2, &fixture.arena,
                                     fixture.values, &fixture.error),
                     ERR_OK);
    fixture.value_count = 2;
    tensor_done(&input);
    assert_floats(&fixture.values[0].tensor, 2, (const float[]){2, -5});
    assert_int_equal(fixture.values[1].tensor.dtype, DTYPE_BOOL);
    assert_memory_equal(fixture.values[1].tensor.at, "\1\0\1\0\1\0", 6);
    fixture_close(&fixture);
}

static void gives_outputs_of_higher_rank(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "multi");
    struct tensor input = floats(1, 3, (const float[]){1, -2, 3});
    run_or_fail(&fixture, &input, 1, 2);
    const struct tensor *cube = &fixture.values[1].tensor;
    assert_int_equal(cube->rank, 3);
    assert_true(cube->dims[0] == 1 && cube->dims[1] == 1 && cube->dims[2] == 3);
    fixture_close(&fixture);
}

/* Bits that a conversion through another type would not keep. */
static const struct {
    const char *name;
    enum dtype dtype;
    uint64_t bits[2]; /* the elements, little-endian */
} identities[] = {
    {"float16", DTYPE_F16, {0x7e01fc0000013c00, 0}},
    {"bfloat16", DTYPE_BF16, {0x7fc1ff8000013f80, 0}},
    {"float32", DTYPE_F32, {0x7fc0000100000001, 0}},
    {"float64", DTYPE_F64, {0x7ff8000000000001, 0x0000000000000001}},
    {"int8", DTYPE_I8, {0x7f80, 0}},
    {"int16", DTYPE_I16, {0x7fff8000, 0}},
    {"int32", DTYPE_I32, {0x7fffffff80000000, 0}},
    {"int64", DTYPE_I64, {0x8000000000000000, 0x7fffffffffffffff}},
    {"uint8", DTYPE_U8, {0xff00, 0}},
    {"uint16", DTYPE_U16, {0xffff0001, 0}},
    {"uint32", DTYPE_U32, {0xffffffff00000001, 0}},
    {"uint64", DTYPE_U64, {0xffffffffffffffff, 0x8000000000000001}},
    {"bool", DTYPE_BOOL, {0x0001, 0}},
};

static void keeps_every_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
        char name[64];
        snprintf(name, sizeof(name), "identity_%s", identities[i].name);
        struct fixture fixture;
        fixture_open(&fixture, name);
        struct tensor input =
            make_tensor(identities[i].dtype, 2, (const int64_t[]){1, 2}, identities[i].bits);
        run_or_fail(&fixture, &input, 1, 1);
        const struct tensor *output = &fixture.values[0].tensor;
        assert_int_equal(output->dtype, identities[i].dtype);
        assert_memory_equal(output->at, identities[i].bits, 2 * dtype_size(output->dtype));
        fixture_close(&fixture);
    }
}

static void keeps_strings(void **state)
{
    (void)state;
    static const struct slice elements[] = {SLICE(""), SLICE("a\0b"), SLICE("São Paulo"),
                                            SLICE("a string that is too long for any short form")};
    struct fixture fixture;
    fixture_open(&fixture, "identity_string");
    struct tensor input = strings(2, 2, elements);
    run_or_fail(&fixture, &input, 1, 1);
    const struct slice *output = fixture.values[0].tensor.at;
    assert_int_equal(fixture.values[0].tensor.dtype, DTYPE_STRING);
    for (size_t i = 0; i < 4; i++) {
        assert_true(slice_eq(output[i], elements[i]));
    }
    fixture_close(&fixture);
}

static void labels_with_strings(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "labels");
    struct tensor input = floats(2, 3, (const float[]){0, 0, 9, 9, 0, 0});
    run_or_fail(&fixture, &input, 1, 1);
    const struct slice *labels = fixture.values[0].tensor.at;
    assert_int_equal(fixture.values[0].tensor.rank, 1);
    assert_true(slice_eq(labels[0], SLICE("high")) && slice_eq(labels[1], SLICE("low")));
    fixture_close(&fixture);
}

static void mixes_numbers_and_strings(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "mixed_columns");
    struct tensor inputs[] = {
        floats(3, 1, (const float[]){30, 40, 50}),
        strings(3, 1, (const struct slice[]){SLICE("Paris"), SLICE("São Paulo"), SLICE("nowhere")}),
    };
    run_or_fail(&fixture, inputs, 2, 1);
    assert_floats(&fixture.values[0].tensor, 6, (const float[]){30, 2, 40, 3, 50, -1});
    fixture_close(&fixture);
}

static void maps_strings(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "zip_map_string");
    struct tensor input = floats(2, 3, (const float[]){1, 2, 3, 4, 5, 6});
    run_or_fail(&fixture, &input, 1, 1);
    const struct value *rows = &fixture.values[0];
    assert_int_equal(value_rows(rows), 2);
    for (size_t i = 0; i < 2; i++) {
        const struct slice *keys = rows->items[i].keys.at;
        assert_int_equal(rows->items[i].keys.dtype, DTYPE_STRING);
        assert_int_equal(rows->items[i].keys.dims[0], 3);
        /* the runtime's maps are sorted by key */
        assert_true(slice_eq(keys[0], SLICE("maybe")) && slice_eq(keys[1], SLICE("no")) &&
                    slice_eq(keys[2], SLICE("sí")));
    }
    assert_floats(&rows->items[0].mapped, 3, (const float[]){2, 1, 3});
    assert_floats(&rows->items[1].mapped, 3, (const float[]){5, 4, 6});
    fixture_close(&fixture);
}

/* More rows than one packed buffer holds; each keeps its own numbers when the others are gone. */
static void maps_many_rows(void **state)
{
    (void)state;
    enum { ROWS = 10000 };
    struct fixture fixture;
    fixture_open(&fixture, "zip_map_int64");
    arena_done(&fixture.arena);
    arena_init(&fixture.arena, 4096, (size_t)64 << 20);
    float *elements = malloc(ROWS * 3 * sizeof(float));
    assert_non_null(elements);
    for (size_t i = 0; i < ROWS * 3; i++) {
        elements[i] = (float)i;
    }
    struct tensor input = floats(ROWS, 3, elements);
    run_or_fail(&fixture, &input, 1, 1);
    struct value *rows = fixture.values[0].items;
    assert_int_equal(fixture.values[0].item_count, ROWS);
    for (size_t i = 0; i < ROWS; i += 2) {
        value_done(&rows[i]);
    }
    for (size_t i = 1; i < ROWS; i += 2) {
        assert_memory_equal(rows[i].keys.at, ((const int64_t[]){-5, 0, INT64_C(1) << 62}), 24);
        assert_memory_equal(rows[i].mapped.at, &elements[3 * i], 12);
    }
    free(elements);
    fixture_close(&fixture);
}

static void gives_sequences_of_tensors(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "sequence_float32");
    struct tensor input = floats(3, 2, (const float[]){1, 2, 3, 4, 5, 6});
    run_or_fail(&fixture, &input, 1, 1);
    const struct value *value = &fixture.values[0];
    assert_int_equal(value->kind, VALUE_SEQUENCE);
    assert_int_equal(value->item_count, 3);
    assert_int_equal(value->items[2].tensor.rank, 2);
    assert_floats(&value->items[2].tensor, 2, (const float[]){5, 6});
    fixture_close(&fixture);

    fixture_open(&fixture, "sequence_string");
    input = strings(2, 2, (const struct slice[]){SLICE("a"), SLICE("b"), SLICE("c"), SLICE("d")});
    run_or_fail(&fixture, &input, 1, 1);
    const struct slice *last = fixture.values[0].items[1].tensor.at;
    assert_true(slice_eq(last[0], SLICE("c")) && slice_eq(last[1], SLICE("d")));
    fixture_close(&fixture);
}

static void gives_optional_values(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "optional");
    struct tensor input = floats(1, 2, (const float[]){7, 8});
    run_or_fail(&fixture, &input, 1, 2);
    assert_int_equal(fixture.values[0].kind, VALUE_TENSOR);
    assert_floats(&fixture.values[0].tensor, 2, (const float[]){7, 8});
    assert_int_equal(fixture.values[1].kind, VALUE_NONE);
    fixture_close(&fixture);
}

static void gives_scalars(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "scalar_output");
    struct tensor input = floats(2, 2, (const float[]){1, 2, 3, 4});
    run_or_fail(&fixture, &input, 1, 1);
    assert_int_equal(fixture.values[0].tensor.rank, 0);
    assert_floats(&fixture.values[0].tensor, 1, (const float[]){10});
    fixture_close(&fixture);
}

static void reads_external_data(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "external_data");
    struct tensor input = floats(1, 2, (const float[]){1, 2});
    run_or_fail(&fixture, &input, 1, 1);
    assert_floats(&fixture.values[0].tensor, 2, (const float[]){11, 22});
    fixture_close(&fixture);
}

/* The output is the input itself; ours must not be memory that was only lent (ASan sees it). */
static void owns_what_passes_through(void **state)
{
    (void)state;
    static const char *const models[] = {"passthrough", "identity_float32", "optional"};
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        struct fixture fixture;
        fixture_open(&fixture, models[i]);
        struct tensor input = floats(1, 2, (const float[]){3, 4});
        run_or_fail(&fixture, &input, 1, 1);
        struct tensor other = floats(1, 2, (const float[]){-1, -1}); /* where the input was */
        assert_floats(&fixture.values[0].tensor, 2, (const float[]){3, 4});
        tensor_done(&other);
        fixture_close(&fixture);
    }
}

static void takes_no_rows(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "iris_logistic_regression");
    struct tensor input = floats(0, 4, (const float[]){0});
    run_or_fail(&fixture, &input, 1, 2);
    assert_int_equal(value_rows(&fixture.values[0]), 0);
    assert_int_equal(fixture.values[1].kind, VALUE_SEQUENCE);
    assert_int_equal(value_rows(&fixture.values[1]), 0);
    fixture_close(&fixture);

    fixture_open(&fixture, "identity_string");
    input = strings(0, 2, NULL);
    run_or_fail(&fixture, &input, 1, 1);
    assert_int_equal(value_rows(&fixture.values[0]), 0);
    fixture_close(&fixture);

    fixture_open(&fixture, "identity_int64");
    input = (struct tensor){.dtype = DTYPE_I64, .rank = 2, .dims = {0, 2}}; /* no memory at all */
    run_or_fail(&fixture, &input, 1, 1);
    assert_int_equal(value_rows(&fixture.values[0]), 0);
    fixture_close(&fixture);
}

static void gives_the_same_output_twice(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "identity_int64");
    struct tensor input = integers(1, 2, (const int64_t[]){1, 2});
    const size_t wanted[] = {0, 0};
    assert_int_equal(backend_ort.run(fixture.model, &input, wanted, 2, &fixture.arena,
                                     fixture.values, &fixture.error),
                     ERR_OK);
    fixture.value_count = 2;
    tensor_done(&input);
    value_done(&fixture.values[0]);
    assert_memory_equal(fixture.values[1].tensor.at, ((const int64_t[]){1, 2}), 16);
    fixture_close(&fixture);
}

/* A reload closes a model while answers of its last runs are still being written. */
static void values_outlive_their_model(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "iris_logistic_regression");
    struct tensor input = floats(2, 4, iris);
    run_or_fail(&fixture, &input, 1, 2);
    backend_ort.close(fixture.model);
    assert_memory_equal(fixture.values[0].tensor.at, ((const int64_t[]){0, 2}), 16);
    value_done(&fixture.values[0]);
    value_done(&fixture.values[1]);
    arena_done(&fixture.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classifies),
        cmocka_unit_test(gives_only_what_is_wanted),
        cmocka_unit_test(gives_outputs_of_higher_rank),
        cmocka_unit_test(keeps_every_bit),
        cmocka_unit_test(keeps_strings),
        cmocka_unit_test(labels_with_strings),
        cmocka_unit_test(mixes_numbers_and_strings),
        cmocka_unit_test(maps_strings),
        cmocka_unit_test(maps_many_rows),
        cmocka_unit_test(gives_sequences_of_tensors),
        cmocka_unit_test(gives_optional_values),
        cmocka_unit_test(gives_scalars),
        cmocka_unit_test(reads_external_data),
        cmocka_unit_test(owns_what_passes_through),
        cmocka_unit_test(takes_no_rows),
        cmocka_unit_test(gives_the_same_output_twice),
        cmocka_unit_test(values_outlive_their_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
