/* Runs that fail, whose fault that is, and what a run costs and leaves behind. */
#include <string.h>

#include "base/mem.h"
#include "unit_tests/backend_testing.h"

struct failure {
    const char *model;
    int status;
    const char *text; /* the whole of it, or the start where it ends in '*' */
};

static void check_failure(const struct failure *failure, struct tensor *inputs, size_t input_count)
{
    struct fixture fixture;
    fixture_open(&fixture, failure->model);
    int status = fixture_run(&fixture, inputs, input_count, 1);
    if (status != failure->status) {
        fail_msg("%s: %d %s", failure->model, status, fixture.error.text);
    }
    size_t len = strcspn(failure->text, "*");
    assert_int_equal(strncmp(fixture.error.text, failure->text, len), 0);
    if (failure->text[len] == '\0') {
        assert_string_equal(fixture.error.text, failure->text);
    }
    fixture_close(&fixture);
}

static void blames_the_inputs(void **state)
{
    (void)state;
    struct tensor input = integers(1, 2, (const int64_t[]){99, 0});
    check_failure(&(const struct failure){"lookup", ERR_INVALID,
                                          "Gather: indices element out of data bounds, idx=99 must "
                                          "be within the inclusive range [-5,4]"},
                  &input, 1);
    input = integers(1, 1, (const int64_t[]){1});
    check_failure(&(const struct failure){"lookup", ERR_INVALID,
                                          "Got invalid dimensions for input: x for the following "
                                          "indices index: 1 Got: 1 Expected: 2"},
                  &input, 1);
    input = floats(1, 2, iris);
    check_failure(&(const struct failure){"lookup", ERR_INVALID, "Unexpected input data type.*"},
                  &input, 1);
    input = (struct tensor){.dtype = DTYPE_NONE};
    check_failure(&(const struct failure){"lookup", ERR_INVALID, "*"}, &input, 1);
    input = make_tensor(DTYPE_F32, 1, (const int64_t[]){3}, iris);
    check_failure(&(const struct failure){"sum3", ERR_INVALID, "Invalid rank for input: x*"},
                  &input, 1);
}

static struct tensor shape_of(size_t rank, const int64_t *dims)
{
    return make_tensor(DTYPE_I64, 1, (const int64_t[]){(int64_t)rank}, dims);
}

static void blames_what_kernels_refuse(void **state)
{
    (void)state;
    struct tensor inputs[2];
    inputs[0] = make_tensor(DTYPE_F32, 1, (const int64_t[]){6}, iris);
    inputs[1] = shape_of(2, (const int64_t[]){4, 2});
    check_failure(
        &(const struct failure){"reshape", ERR_INVALID,
                                "Reshape: The input tensor cannot be reshaped to the "
                                "requested shape. Input shape:{6}, requested shape:{4,2}"},
        inputs, 2);
    inputs[0] = make_tensor(DTYPE_F32, 1, (const int64_t[]){6}, iris);
    inputs[1] = shape_of(9, (const int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 6});
    check_failure(&(const struct failure){"reshape", ERR_INVALID,
                                          "an output has 9 dimensions, at most 8 are served"},
                  inputs, 2);
}

static void blames_the_machine(void **state)
{
    (void)state;
    if (SANITIZED) {
        skip();
    }
    struct tensor inputs[2];
    inputs[0] = make_tensor(DTYPE_F32, 1, (const int64_t[]){1}, iris);
    inputs[1] = shape_of(1, (const int64_t[]){INT64_C(1) << 50});
    check_failure(&(const struct failure){"expand", ERR_INTERNAL, "Expand: std::bad_alloc"}, inputs,
                  2);
}

static void runs_again_after_a_failure(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "lookup");
    struct tensor input = integers(1, 2, (const int64_t[]){99, 0});
    assert_int_equal(fixture_run(&fixture, &input, 1, 1), ERR_INVALID);
    input = integers(1, 2, (const int64_t[]){-1, 0});
    run_or_fail(&fixture, &input, 1, 1);
    assert_floats(&fixture.values[0].tensor, 2, (const float[]){6, 0});
    fixture_close(&fixture);
}

/* A warm run takes nothing from the heap for itself. */
static void allocates_nothing_when_warm(void **state)
{
    (void)state;
    if (SANITIZED) {
        skip();
    }
    struct fixture fixture;
    fixture_open(&fixture, "iris_logistic_regression");
    uint64_t warm = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (i == 4) {
            warm = mem_allocations();
        }
        struct tensor input = floats(2, 4, iris);
        run_or_fail(&fixture, &input, 1, 2);
        value_done(&fixture.values[0]);
        value_done(&fixture.values[1]);
        arena_reset(&fixture.arena);
    }
    assert_int_equal(mem_allocations() - warm, 0);
    fixture.value_count = 0;
    fixture_close(&fixture);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    static const char *const models[] = {"iris_logistic_regression", "zip_map_string"};
    for (size_t i = 0; i < 2; i++) {
        int status = ERR_NO_MEMORY;
        for (uint64_t nth = 1; status != ERR_OK; nth++) {
            struct fixture fixture;
            fixture_open(&fixture, models[i]);
            size_t outputs = backend_ort.signature(fixture.model)->output_count;
            struct tensor input = floats(2, 4 - (int64_t)i, iris);
            buffer_recycler_done();
            mem_fail_nth(nth);
            status = fixture_run(&fixture, &input, 1, outputs);
            mem_fail_nth(0);
            assert_true(status == ERR_OK || status == ERR_NO_MEMORY);
            assert_true(nth < 50);
            fixture_close(&fixture);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blames_the_inputs),
        cmocka_unit_test(blames_what_kernels_refuse),
        cmocka_unit_test(blames_the_machine),
        cmocka_unit_test(runs_again_after_a_failure),
        cmocka_unit_test(allocates_nothing_when_warm),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
