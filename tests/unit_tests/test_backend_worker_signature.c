/* Signatures as workers send them: everything they can say, how much of it, and no memory. */
#include <stdio.h>

#include "base/mem.h"
#include "unit_tests/testing.h"
#include "unit_tests/worker_messages.h"

#define MESSAGE_MAX (WORKER_SIGNATURE_MAX_BYTES + 4096)
#define ARENA_MAX ((size_t)1 << 26)
#define PORTS 4096

/* Feature names, unknown rank, unknown dtype, rank 0, rank 8, class labels, text beyond ASCII. */
static const struct slice features[] = {SLICE("sepal length (cm)"), SLICE("Breite \xc3\xbc")};
static const struct slice labels[] = {SLICE("setosa"), SLICE(""), SLICE("setosa")};
static struct port inputs[] = {
    {.name = SLICE("X"),
     .dtype = DTYPE_F32,
     .rank_known = true,
     .rank = 2,
     .dims = {-1, 2},
     .feature_names = features,
     .feature_name_count = 2},
    {.name = SLICE("label"), .dtype = DTYPE_STRING},
    {.name = SLICE("scalar"), .dtype = DTYPE_BF16, .rank_known = true},
};
static struct port outputs[] = {
    {.name = SLICE("label"),
     .rank_known = true,
     .rank = 8,
     .dims = {-1, 1, 2, 3, 0, 5, 6, -1},
     .class_labels = labels,
     .class_label_count = 3},
};
static const struct signature everything = {.producer = SLICE("scikit-learn"),
                                            .producer_version = SLICE("1.7.2"),
                                            .inputs = inputs,
                                            .input_count = 3,
                                            .outputs = outputs,
                                            .output_count = 1};

static int read_back(const struct signature *signature, struct arena *arena,
                     struct signature *ret_signature, struct error *error)
{
    struct bytes message;
    bytes_init(&message, MESSAGE_MAX);
    message_put_signature(&message, signature);
    int status = worker_signature_read(bytes_slice(&message), arena, ret_signature, error);
    bytes_done(&message); /* nothing points into it */
    return status;
}

static void assert_texts_equal(const struct slice *a, size_t a_count, const struct slice *b,
                               size_t b_count)
{
    assert_int_equal(a_count, b_count);
    assert_int_equal(a == NULL, a_count == 0);
    for (size_t i = 0; i < a_count; i++) {
        assert_true(slice_eq(a[i], b[i]));
        assert_int_equal(a[i].ptr[a[i].len], '\0');
    }
}

static void assert_ports_equal(const struct port *a, const struct port *b)
{
    assert_texts_equal(&a->name, 1, &b->name, 1);
    assert_int_equal(a->kind, PORT_TENSOR);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank_known, b->rank_known);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->dims, b->dims, sizeof(a->dims));
    assert_texts_equal(a->feature_names, a->feature_name_count, b->feature_names,
                       b->feature_name_count);
    assert_texts_equal(a->class_labels, a->class_label_count, b->class_labels,
                       b->class_label_count);
}

static void everything_goes_there_and_back(void **state)
{
    (void)state;
    struct arena arena;
    struct signature signature;
    struct error error;
    arena_init(&arena, 1024, ARENA_MAX);
    assert_int_equal(read_back(&everything, &arena, &signature, &error), ERR_OK);
    assert_true(slice_eq(signature.producer, everything.producer));
    assert_true(slice_eq(signature.producer_version, everything.producer_version));
    assert_int_equal(signature.input_count, everything.input_count);
    assert_int_equal(signature.output_count, everything.output_count);
    for (size_t i = 0; i < signature.input_count; i++) {
        assert_ports_equal(&signature.inputs[i], &inputs[i]);
    }
    assert_ports_equal(&signature.outputs[0], &outputs[0]);
    assert_true(slice_eq(signature.inputs[0].type_text, SLICE("float32[?, 2]")));
    assert_true(slice_eq(signature.inputs[1].type_text, SLICE("string[...]")));
    assert_true(slice_eq(signature.inputs[2].type_text, SLICE("bfloat16[]")));
    assert_int_equal(signature.model_version, 0);
    assert_int_equal(signature.metadata_count, 0);
    arena_done(&arena);
}

static void every_dtype_has_its_number(void **state)
{
    (void)state;
    for (enum dtype dtype = DTYPE_F16; dtype < DTYPE_OTHER; dtype++) {
        struct arena arena;
        struct signature read;
        struct error error;
        struct port port = {.name = SLICE("x"), .dtype = dtype};
        const struct signature signature = {
            .inputs = &port, .input_count = 1, .outputs = &port, .output_count = 1};
        arena_init(&arena, 1024, ARENA_MAX);
        assert_int_equal(read_back(&signature, &arena, &read, &error), ERR_OK);
        assert_int_equal(read.inputs[0].dtype, dtype);
        assert_int_equal(read.outputs[0].dtype, dtype);
        arena_done(&arena);
    }
}

/* As many ports as there may be, their names alike for most of their length; then two the same. */
static void many_ports_have_unique_names(void **state)
{
    (void)state;
    static struct port ports[PORTS];
    static char names[PORTS][2048];
    struct signature signature = {
        .inputs = ports, .input_count = PORTS, .outputs = outputs, .output_count = 1};
    for (size_t i = 0; i < PORTS; i++) {
        memset(names[i], 'n', sizeof(names[i]));
        char digits[8];
        snprintf(digits, sizeof(digits), "%04zu", i * 2731 % PORTS);
        memcpy(names[i] + sizeof(names[i]) - 4, digits, 4);
        ports[i] =
            (struct port){.name = slice_make(names[i], sizeof(names[i])), .dtype = DTYPE_F32};
    }
    for (size_t same = 0; same < 2; same++) {
        struct arena arena;
        struct signature read = {.input_count = 0};
        struct error error;
        arena_init(&arena, 1024, ARENA_MAX);
        int status = read_back(&signature, &arena, &read, &error);
        assert_int_equal(status, same == 0 ? ERR_OK : ERR_INTERNAL);
        assert_int_equal(read.input_count, same == 0 ? PORTS : 0);
        arena_done(&arena);
        memcpy(names[0], names[PORTS - 1], sizeof(names[0]));
    }
}

static void names_must_be_there(void **state)
{
    (void)state;
    struct port nameless[] = {{.name = SLICE("b"), .dtype = DTYPE_F32},
                              {.name = SLICE(""), .dtype = DTYPE_F32}};
    const struct slice no_name[] = {SLICE("b"), SLICE("")};
    struct port featured = {
        .name = SLICE("x"), .dtype = DTYPE_F32, .feature_names = no_name, .feature_name_count = 2};
    const struct {
        struct signature signature;
        const char *error;
    } cases[] = {
        {{.inputs = nameless, .input_count = 2, .outputs = outputs, .output_count = 1},
         "the input is empty"},
        {{.inputs = inputs, .input_count = 3, .outputs = nameless, .output_count = 2},
         "the output is empty"},
        {{.inputs = &featured, .input_count = 1, .outputs = outputs, .output_count = 1},
         "input 0: a feature name is empty"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena;
        struct signature read;
        struct error error;
        arena_init(&arena, 1024, ARENA_MAX);
        assert_int_equal(read_back(&cases[i].signature, &arena, &read, &error), ERR_INTERNAL);
        assert_string_equal(error.text, cases[i].error);
        arena_done(&arena);
    }
}

/* Where the last dimension is free or the rank unknown, any number of features is possible. */
static void features_of_a_free_dimension_are_not_counted(void **state)
{
    (void)state;
    struct port ports[] = {
        {.name = SLICE("x"),
         .dtype = DTYPE_F32,
         .rank_known = true,
         .rank = 1,
         .dims = {-1},
         .feature_names = features,
         .feature_name_count = 2},
        {.name = SLICE("y"),
         .dtype = DTYPE_F32,
         .feature_names = features,
         .feature_name_count = 2},
    };
    struct signature signature = {
        .inputs = ports, .input_count = 2, .outputs = outputs, .output_count = 1};
    struct arena arena;
    struct signature read;
    struct error error;
    arena_init(&arena, 1024, ARENA_MAX);
    assert_int_equal(read_back(&signature, &arena, &read, &error), ERR_OK);
    ports[0].rank = 0; /* a scalar has no features */
    assert_int_equal(read_back(&signature, &arena, &read, &error), ERR_INTERNAL);
    assert_string_equal(error.text, "input 0: 2 feature names for a last dimension of 0");
    arena_done(&arena);
}

/* Every allocation fails once, and every arena is too small once. */
static void survives_without_memory(void **state)
{
    (void)state;
    struct bytes message;
    struct error error;
    struct signature signature;
    int status = ERR_NO_MEMORY;
    bytes_init(&message, MESSAGE_MAX);
    message_put_signature(&message, &everything);
    for (uint64_t nth = 1; status != ERR_OK; nth++) {
        struct arena arena;
        arena_init(&arena, 16, ARENA_MAX);
        mem_fail_nth(nth);
        status = worker_signature_read(bytes_slice(&message), &arena, &signature, &error);
        mem_fail_nth(0);
        assert_true(status == ERR_OK ? nth > 10 : status == ERR_NO_MEMORY);
        arena_done(&arena);
    }
    status = ERR_NO_MEMORY;
    for (size_t max = 16; status != ERR_OK; max += 16) {
        struct arena arena;
        arena_init(&arena, 16, max);
        status = worker_signature_read(bytes_slice(&message), &arena, &signature, &error);
        assert_true(status == ERR_OK ? max > 1024 : status == ERR_NO_MEMORY);
        arena_done(&arena);
    }
    bytes_done(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_goes_there_and_back),
        cmocka_unit_test(every_dtype_has_its_number),
        cmocka_unit_test(many_ports_have_unique_names),
        cmocka_unit_test(names_must_be_there),
        cmocka_unit_test(features_of_a_free_dimension_are_not_counted),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
