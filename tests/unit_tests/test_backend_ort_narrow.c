/* Narrowed models with the real runtime: the same bits as the whole model's, or the whole model. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit_tests/backend_testing.h"

/* Numbers with many bits, so that another order of additions shows. */
static struct tensor make_input(const struct port *port, int64_t rows)
{
    int64_t dims[TENSOR_MAX_RANK] = {rows, 1};
    struct tensor tensor;
    struct error error;
    for (unsigned i = 1; i < port->rank; i++) {
        dims[i] = port->dims[i];
    }
    assert_int_equal(port->dtype, DTYPE_F32);
    assert_int_equal(tensor_new(DTYPE_F32, port->rank, dims, &tensor, &error), ERR_OK);
    for (int64_t i = 0; i < tensor_elements(&tensor); i++) {
        ((float *)tensor.at)[i] = (float)((i * 7919) % 1009) / 97.0f - 5.0f;
    }
    return tensor;
}

static void assert_same_tensor(const struct tensor *a, const struct tensor *b)
{
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->dims, b->dims, a->rank * sizeof(a->dims[0]));
    assert_memory_equal(a->at, b->at, tensor_bytes(a));
}

static void assert_same_value(const struct value *a, const struct value *b)
{
    assert_int_equal(a->kind, b->kind);
    if (a->kind == VALUE_TENSOR) {
        assert_same_tensor(&a->tensor, &b->tensor);
    }
    assert_int_equal(a->item_count, b->item_count);
    for (size_t i = 0; i < a->item_count; i++) {
        assert_int_equal(a->items[i].kind, VALUE_MAP);
        assert_same_tensor(&a->items[i].keys, &b->items[i].keys);
        assert_same_tensor(&a->items[i].mapped, &b->items[i].mapped);
    }
}

/* Runs a whole model and one narrowed to an output on the same input. */
static void compare(const char *name, size_t output, int64_t rows)
{
    struct fixture whole;
    struct fixture narrow;
    fixture_open(&whole, name);
    fixture_open(&narrow, name);
    const struct signature *signature = backend_ort.signature(narrow.model);
    struct tensor input = make_input(&signature->inputs[0], rows);
    assert_int_equal(backend_ort.narrow(narrow.model, &output, 1, &narrow.error), ERR_OK);
    assert_true(signature == backend_ort.signature(narrow.model));
    assert_int_equal(signature->output_count, backend_ort.signature(whole.model)->output_count);
    for (size_t i = 0; i < 2; i++) {
        struct fixture *fixture = i == 0 ? &whole : &narrow;
        assert_int_equal(backend_ort.run(fixture->model, &input, &output, 1, &fixture->arena,
                                         fixture->values, &fixture->error),
                         ERR_OK);
        fixture->value_count = 1;
    }
    assert_same_value(&whole.values[0], &narrow.values[0]);
    tensor_done(&input);
    fixture_close(&whole);
    fixture_close(&narrow);
}

static void answers_with_the_same_bits(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        size_t output_count;
    } cases[] = {
        {"iris_logistic_regression", 2},
        {"iris_random_forest", 2},
        {"iris_neural_network", 2},
        {"multi", 3},
        {"passthrough", 2},
        {"captures", 3},
        {"fusible", 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t output = 0; output < cases[i].output_count; output++) {
            compare(cases[i].model, output, 1);
            compare(cases[i].model, output, 5);
            compare(cases[i].model, output, 64);
        }
    }
}

/* All outputs, one output: nothing to do, and not an error. */
static void does_nothing_where_all_is_wanted(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "iris_logistic_regression");
    assert_int_equal(
        backend_ort.narrow(fixture.model, (const size_t[]){1, 0, 1}, 3, &fixture.error), ERR_OK);
    struct tensor input = floats(2, 4, iris);
    run_or_fail(&fixture, &input, 1, 2);
    fixture_close(&fixture);
    /* weights in a file of their own do not matter then */
    fixture_open(&fixture, "external_data");
    assert_int_equal(backend_ort.narrow(fixture.model, (const size_t[]){0}, 1, &fixture.error),
                     ERR_OK);
    fixture_close(&fixture);
}

static void copy_model(const char *from, const char *to)
{
    char buffer[65536];
    FILE *source = fopen(from, "rb");
    FILE *target = fopen(to, "wb");
    assert_non_null(source);
    assert_non_null(target);
    size_t len = fread(buffer, 1, sizeof(buffer), source);
    assert_true(len > 0 && len < sizeof(buffer));
    assert_int_equal(fwrite(buffer, 1, len, target), len);
    fclose(source);
    fclose(target);
}

/* The file of a model in memory may be gone or another one; the model serves on as it was loaded. */
static void stays_whole_when_the_file_has_changed(void **state)
{
    (void)state;
    static const struct {
        const char *replacement; /* NULL: none */
        const char *expected;
    } cases[] = {
        {NULL, "No such file or directory"},
        {TEST_DATA_DIR "/models/multi/model.onnx", "it has changed"},
        {TEST_DATA_DIR "/models/iris_logistic_regression/model.onnx", "it has changed"},
    };
    char directory[] = "/tmp/narrow.XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/model.onnx", directory);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture fixture = {.model = NULL};
        const struct backend_options options = runtime_options(path);
        const size_t wanted = 0;
        copy_model(TEST_DATA_DIR "/models/iris_logistic_regression/model.onnx", path);
        arena_init(&fixture.arena, 4096, ARENA_BYTES);
        assert_int_equal(backend_ort.open(&options, &fixture.model, &fixture.error), ERR_OK);
        if (cases[i].replacement != NULL) {
            char beside[72];
            snprintf(beside, sizeof(beside), "%s.new", path);
            copy_model(cases[i].replacement, beside);
            assert_int_equal(rename(beside, path), 0);
        } else {
            assert_int_equal(unlink(path), 0);
        }
        assert_int_equal(backend_ort.narrow(fixture.model, &wanted, 1, &fixture.error), ERR_CONFIG);
        assert_string_equal(fixture.error.text, cases[i].expected);
        struct tensor input = floats(2, 4, iris);
        run_or_fail(&fixture, &input, 1, 1);
        assert_memory_equal(fixture.values[0].tensor.at, ((const int64_t[]){0, 2}), 16);
        fixture_close(&fixture);
    }
    unlink(path);
    assert_int_equal(rmdir(directory), 0);
}

/* Whoever asks for what a model was told to leave out has a bug. */
static void stops_the_program_that_asks_for_more(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, "iris_logistic_regression");
    assert_int_equal(backend_ort.narrow(fixture.model, (const size_t[]){0}, 1, &fixture.error),
                     ERR_OK);
    struct tensor input = floats(2, 4, iris);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(0);
        }
        (void)fixture_run(&fixture, &input, 1, 2);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    run_or_fail(&fixture, &input, 1, 1);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_with_the_same_bits),
        cmocka_unit_test(does_nothing_where_all_is_wanted),
        cmocka_unit_test(stops_the_program_that_asks_for_more),
        cmocka_unit_test(stays_whole_when_the_file_has_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
