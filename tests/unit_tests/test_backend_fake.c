/* The test double does what its description says. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/fake.h"
#include "base/clock.h"
#include "unit_tests/testing.h"

static int open_text(const char *text, struct backend_model **ret_model, struct error *error)
{
    char path[] = "/tmp/onnxd-fake-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    const struct backend_options options = {.path = path};
    int status = backend_fake.open(&options, ret_model, error);
    unlink(path);
    return status;
}

static struct backend_model *open_good(const char *text)
{
    struct backend_model *model = NULL;
    struct error error = {.text = ""};
    if (open_text(text, &model, &error) != ERR_OK) {
        fail_msg("%s", error.text);
    }
    return model;
}

static struct tensor floats(int64_t rows, int64_t width, const float *elements)
{
    const int64_t dims[] = {rows, width};
    struct tensor tensor;
    struct error error;
    assert_int_equal(tensor_new(DTYPE_F32, 2, dims, &tensor, &error), ERR_OK);
    memcpy(tensor.at, elements, tensor_bytes(&tensor));
    return tensor;
}

static const float four[] = {1, 2, 3, 4};

static void reads_a_signature(void **state)
{
    (void)state;
    struct backend_model *model = open_good("# a comment\n"
                                            "\n"
                                            "input = x float32 [N, 4]\n"
                                            "input=y string [ ]\n"
                                            "output = z float32 [N,4] echo x\n");
    const struct signature *signature = backend_fake.signature(model);
    assert_int_equal(signature->input_count, 2);
    assert_string_equal(signature->inputs[0].type_text.ptr, "float32[N, 4]");
    assert_string_equal(signature->inputs[1].type_text.ptr, "string[]");
    assert_int_equal(signature_find_output(signature, SLICE("z")), 0);
    backend_fake.close(model);
}

static void refuses_wrong_lines(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "input = x float32 [N]\n",
        "nonsense\n",
        "color = red\n",
        "input = x float99 [N]\n",
        "input = x float32\n",
        "input = x float32 [1,,2]\n",
        "input = x float32 [1,2,3,4,5,6,7,8,9]\n",
        "input = x float32 [N] more\n",
        "output = y float32 [N] echo x\n",
        "input = x float32 [N]\noutput = y float64 [N] echo x\n",
        "input = x float32 [N]\noutput = y float32 [N] cube x\n",
        "delay_run_us = -1\n",
        "delay_run_us = 99999999999\n",
        "delay_by = waiting\n",
        "fail = sometimes\n",
        "extra_rows = x\n",
        "input = x float32 [N]\noutput = y float32 [N] echo x\nfail = open\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct backend_model *model = NULL;
        struct error error = {.code = ERR_OK};
        if (open_text(texts[i], &model, &error) != ERR_CONFIG) {
            fail_msg("opened: %s", texts[i]);
        }
        assert_null(model);
        assert_int_equal(error.code, ERR_CONFIG);
    }
    const struct backend_options options = {.path = "/nowhere/model.fake"};
    struct backend_model *model;
    struct error error;
    assert_int_equal(backend_fake.open(&options, &model, &error), ERR_CONFIG);
}

static void echoes_and_sums(void **state)
{
    (void)state;
    struct backend_model *model = open_good("input = x float32 [N, 2]\n"
                                            "output = y float32 [N, 2] echo x\n"
                                            "output = s float64 [N] sum x\n");
    struct tensor input = floats(2, 2, four);
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    const size_t wanted[] = {1, 0};
    struct value values[2];
    struct error error;
    assert_int_equal(backend_fake.run(model, &input, wanted, 2, &arena, values, &error), ERR_OK);
    tensor_done(&input);
    assert_int_equal(value_rows(&values[0]), 2);
    assert_true(((double *)values[0].tensor.at)[0] == 3 && ((double *)values[0].tensor.at)[1] == 7);
    assert_memory_equal(values[1].tensor.at, four, sizeof(four));
    value_done(&values[0]);
    value_done(&values[1]);
    arena_done(&arena);
    backend_fake.close(model);
}

static void echoes_strings(void **state)
{
    (void)state;
    struct backend_model *model = open_good("input = x string [N]\n"
                                            "output = y string [N] echo x\n"
                                            "poison = bad\nextra_rows = 1\n");
    const int64_t dims[] = {2};
    const struct slice good[] = {SLICE("a"), SLICE("bc")};
    const struct slice poisoned[] = {SLICE("a"), SLICE("bad")};
    const size_t wanted[] = {0};
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    struct tensor input;
    struct value value;
    struct error error;
    assert_int_equal(tensor_new_strings(1, dims, good, &input, &error), ERR_OK);
    assert_int_equal(backend_fake.run(model, &input, wanted, 1, &arena, &value, &error), ERR_OK);
    tensor_done(&input);
    const struct slice *strings = value.tensor.at;
    assert_int_equal(value_rows(&value), 3);
    assert_true(slice_eq(strings[1], SLICE("bc")) && strings[2].len == 0);
    value_done(&value);
    assert_int_equal(tensor_new_strings(1, dims, poisoned, &input, &error), ERR_OK);
    assert_int_equal(backend_fake.run(model, &input, wanted, 1, &arena, &value, &error),
                     ERR_INVALID);
    tensor_done(&input);
    arena_done(&arena);
    backend_fake.close(model);
}

static int run_once(const char *settings, int64_t *ret_rows)
{
    char text[256];
    snprintf(text, sizeof(text),
             "input = x float32 [N, 2]\noutput = y float32 [N, 2] echo x\n"
             "output = s int64 [N] sum x\n%s\n",
             settings);
    struct backend_model *model = open_good(text);
    struct tensor input = floats(2, 2, four);
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    const size_t wanted[] = {0, 1};
    struct value values[2];
    struct error error;
    int status = backend_fake.run(model, &input, wanted, 2, &arena, values, &error);
    if (status == ERR_OK) {
        *ret_rows = value_rows(&values[0]);
        assert_int_equal(value_rows(&values[1]), *ret_rows);
        value_done(&values[0]);
        value_done(&values[1]);
    }
    struct fake_counts counts;
    fake_read_counts(model, &counts);
    assert_int_equal(counts.runs, 1);
    assert_int_equal(counts.rows, 2);
    tensor_done(&input);
    arena_done(&arena);
    backend_fake.close(model);
    return status;
}

static void fails_as_told(void **state)
{
    (void)state;
    int64_t rows = -1;
    assert_int_equal(run_once("poison = 3", &rows), ERR_INVALID);
    assert_int_equal(run_once("poison = 5", &rows), ERR_OK);
    assert_int_equal(run_once("fail = invalid", &rows), ERR_INVALID);
    assert_int_equal(run_once("fail = internal", &rows), ERR_INTERNAL);
    assert_int_equal(run_once("fail = never", &rows), ERR_OK);
    assert_int_equal(rows, 2);
    assert_int_equal(run_once("extra_rows = 3", &rows), ERR_OK);
    assert_int_equal(rows, 5);
    assert_int_equal(run_once("extra_rows = -1", &rows), ERR_OK);
    assert_int_equal(rows, 1);
    assert_int_equal(run_once("extra_rows = -9", &rows), ERR_OK);
    assert_int_equal(rows, 0);
}

static void takes_its_time(void **state)
{
    (void)state;
    static const char *const ways[] = {"sleep", "spin"};
    for (size_t i = 0; i < 2; i++) {
        char settings[64];
        snprintf(settings, sizeof(settings), "delay_run_us=300\ndelay_row_us=100\ndelay_by=%s",
                 ways[i]);
        int64_t rows;
        uint64_t start_ns = clock_monotonic_ns();
        assert_int_equal(run_once(settings, &rows), ERR_OK);
        assert_true(clock_monotonic_ns() - start_ns >= 500 * CLOCK_NS_PER_US);
    }
}

static void counts_over_all_models(void **state)
{
    (void)state;
    struct fake_counts before;
    struct fake_counts after;
    int64_t rows;
    fake_read_counts(NULL, &before);
    assert_int_equal(run_once("", &rows), ERR_OK);
    assert_int_equal(run_once("fail = internal", &rows), ERR_INTERNAL);
    fake_read_counts(NULL, &after);
    assert_int_equal(after.runs - before.runs, 2);
    assert_int_equal(after.rows - before.rows, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_signature),      cmocka_unit_test(refuses_wrong_lines),
        cmocka_unit_test(echoes_and_sums),        cmocka_unit_test(echoes_strings),
        cmocka_unit_test(fails_as_told),          cmocka_unit_test(takes_its_time),
        cmocka_unit_test(counts_over_all_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
