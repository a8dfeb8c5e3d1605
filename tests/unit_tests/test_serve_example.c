/* Example bodies: right names, ranks and counts for every kind of model. */
#include "serve/example.h"

#include "unit_tests/testing.h"

#define OUT_MAX (1 << 20)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct port tensor_port(const char *name, enum dtype dtype, unsigned rank,
                               const int64_t *dims)
{
    struct port port = {.name = slice_from_str(name),
                        .kind = PORT_TENSOR,
                        .dtype = dtype,
                        .rank_known = true,
                        .rank = rank};
    memcpy(port.dims, dims, rank * sizeof(dims[0]));
    return port;
}

static struct port matrix_port(enum dtype dtype, int64_t rows, int64_t columns)
{
    return tensor_port("x", dtype, 2, (int64_t[]){rows, columns});
}

/* `expected` NULL: there is no such body, and nothing is written. */
static void expect_example(struct port *inputs, size_t count, const struct codec_options *options,
                           enum media media, const char *expected)
{
    const struct signature signature = {.inputs = inputs, .input_count = count};
    const struct example_model model = {.signature = &signature, .options = options};
    struct bytes out;
    bytes_init(&out, OUT_MAX);
    assert_int_equal(bytes_put(&out, SLICE("kept")), ERR_OK);
    int status = example_put(&model, media, &out);
    assert_int_equal(status, expected == NULL ? ERR_NOT_FOUND : ERR_OK);
    struct slice written = slice_tail(bytes_slice(&out), strlen("kept"));
    if (!slice_eq(written, slice_from_str(expected == NULL ? "" : expected))) {
        fail_msg("wrote %.*s instead of %s", SLICE_FMT(written), expected);
    }
    bytes_done(&out);
}

static void follows_dtype_and_shape(void **state)
{
    (void)state;
    const struct codec_options options = codec_options_default();
    const struct {
        struct port input;
        const char *json, *lines, *csv;
    } cases[] = {
        {matrix_port(DTYPE_F32, -1, 3), "[[1.0,1.0,1.0]]", "[1.0,1.0,1.0]\n", "1.0,1.0,1.0\n"},
        {matrix_port(DTYPE_F64, 2, 1), "[[1.0],[1.0]]", "[1.0]\n[1.0]\n", "1.0\n1.0\n"},
        {matrix_port(DTYPE_I64, -1, -1), "[[1]]", "[1]\n", "1\n"},
        {matrix_port(DTYPE_BOOL, -1, 2), "[[true,true]]", "[true,true]\n", "1,1\n"},
        {matrix_port(DTYPE_STRING, -1, 2), "[[\"a\",\"a\"]]", "[\"a\",\"a\"]\n", "a,a\n"},
        {tensor_port("x", DTYPE_F32, 3, (int64_t[]){-1, 2, 2}), "[[[1.0,1.0],[1.0,1.0]]]",
         "[[1.0,1.0],[1.0,1.0]]\n", NULL},
        {tensor_port("x", DTYPE_I32, 1, (int64_t[]){-1}), "{\"x\":[1]}", NULL, NULL},
        {tensor_port("x", DTYPE_I32, 0, (int64_t[]){0}), "{\"x\":1}", NULL, NULL},
        {matrix_port(DTYPE_OTHER, -1, 2), NULL, NULL, NULL},
        {matrix_port(DTYPE_F32, -1, 0), NULL, NULL, NULL},
        {matrix_port(DTYPE_F32, -1, EXAMPLE_MAX_ELEMENTS + 1), NULL, NULL, NULL},
        {matrix_port(DTYPE_F32, INT64_MAX, INT64_MAX), NULL, NULL, NULL},
        {{.name = SLICE("x"), .kind = PORT_TENSOR, .dtype = DTYPE_F32},
         "[[1.0]]",
         "[1.0]\n",
         "1.0\n"},
        {{.name = SLICE("x"), .kind = PORT_SEQUENCE}, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct port input = cases[i].input;
        expect_example(&input, 1, &options, MEDIA_JSON, cases[i].json);
        expect_example(&input, 1, &options, MEDIA_JSONL, cases[i].lines);
        expect_example(&input, 1, &options, MEDIA_CSV, cases[i].csv);
        expect_example(&input, 1, &options, MEDIA_NPY, NULL);
    }
}

static void keys_several_inputs_by_name(void **state)
{
    (void)state;
    struct codec_options options = codec_options_default();
    struct port inputs[] = {
        tensor_port("a", DTYPE_F32, 2, (int64_t[]){-1, 1}),
        tensor_port("say \"b\"", DTYPE_STRING, 2, (int64_t[]){-1, 1}),
    };
    expect_example(inputs, 2, &options, MEDIA_JSON, "{\"a\":[[1.0]],\"say \\\"b\\\"\":[[\"a\"]]}");
    expect_example(inputs, 2, &options, MEDIA_JSONL, NULL);
    expect_example(inputs, 2, &options, MEDIA_CSV, NULL);
    options.input_name = SLICE("a");
    expect_example(inputs, 2, &options, MEDIA_CSV, "1.0\n");
}

static void makes_records_of_an_input_map(void **state)
{
    (void)state;
    struct codec_options options = codec_options_default();
    const struct codec_mapping map[] = {
        {SLICE("fa"), SLICE("a"), DTYPE_NONE},
        {SLICE("fb"), SLICE("b"), DTYPE_I64},
    };
    options.input_map = map;
    options.input_map_count = COUNT(map);
    struct port inputs[] = {
        tensor_port("a", DTYPE_F32, 2, (int64_t[]){-1, 2}),
        tensor_port("b", DTYPE_F32, 1, (int64_t[]){-1}),
    };
    expect_example(inputs, 2, &options, MEDIA_JSON, "[{\"fa\":[1.0,1.0],\"fb\":1}]");
    expect_example(inputs, 2, &options, MEDIA_JSONL, "{\"fa\":[1.0,1.0],\"fb\":1}\n");
    expect_example(inputs, 2, &options, MEDIA_CSV, NULL);
    expect_example(inputs, 1, &options, MEDIA_JSON, NULL); /* the map names an unknown input */
}

static void makes_room_for_selected_columns(void **state)
{
    (void)state;
    static const struct {
        const char *ids, *features;
        size_t expected; /* columns for a model with three features */
    } cases[] = {
        {"", "", 3},   {"0", "", 4},  {"0,5", "", 6},   {"0:2", "", 5},
        {"3:", "", 4}, {"5:", "", 6}, {":1", "", 4},    {"", "1:4", 4},
        {"", ":3", 3}, {"", "2:", 5}, {"", "0,2,3", 4}, {"", "9,1", 10},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct codec_options options = codec_options_default();
        options.id_columns = slice_from_str(cases[i].ids);
        options.feature_columns = slice_from_str(cases[i].features);
        struct port input = matrix_port(DTYPE_F32, -1, 3);
        const struct signature signature = {.inputs = &input, .input_count = 1};
        const struct example_model model = {.signature = &signature, .options = &options};
        size_t columns = example_columns(&model, &input);
        if (columns != cases[i].expected) {
            fail_msg("ids \"%s\" features \"%s\": %zu columns", cases[i].ids, cases[i].features,
                     columns);
        }
    }
}

static void heads_csv_with_feature_names(void **state)
{
    (void)state;
    struct codec_options options = codec_options_default();
    const struct slice names[] = {SLICE("age"), SLICE("a,\"b\"")};
    options.feature_names = names;
    options.feature_name_count = COUNT(names);
    struct port input = matrix_port(DTYPE_F32, -1, -1);
    expect_example(&input, 1, &options, MEDIA_CSV, "age,\"a,\"\"b\"\"\"\n1.0,1.0\n");
    options.csv_delimiter = ';';
    expect_example(&input, 1, &options, MEDIA_CSV, "age;\"a,\"\"b\"\"\"\n1.0;1.0\n");
    options.csv_has_header = CSV_HEADER_FALSE;
    expect_example(&input, 1, &options, MEDIA_CSV, "1.0;1.0\n");
    options.csv_has_header = CSV_HEADER_TRUE;
    options.feature_name_count = 0;
    expect_example(&input, 1, &options, MEDIA_CSV, "column_0\n1.0\n");
    options.num_features = 2;
    expect_example(&input, 1, &options, MEDIA_CSV, "column_0;column_1\n1.0;1.0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_dtype_and_shape),
        cmocka_unit_test(keys_several_inputs_by_name),
        cmocka_unit_test(makes_records_of_an_input_map),
        cmocka_unit_test(makes_room_for_selected_columns),
        cmocka_unit_test(heads_csv_with_feature_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
