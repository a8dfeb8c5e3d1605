/* JSON answers: every element type, rank and kind of value, to the byte. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "unit_tests/encode_fixture.h"
#include "unit_tests/random_numbers.h"

static struct encode_fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_done(&fixture);
    return 0;
}

static void expect_json(struct value value, const char *expected)
{
    expect_text(&fixture, MEDIA_JSON, &value, expected);
}

static void writes_every_element_type(void **state)
{
    (void)state;
    uint16_t f16[] = {0x3c00, 0xbc00, 0x2e66};
    uint16_t bf16[] = {0x3f80, 0xc000, 0x3dcd};
    float f32[] = {1.0f, -0.1f, 1e30f};
    double f64[] = {0.1, -2.0, 1.0000000150474662e+30};
    int8_t i8[] = {-128, 0, 127};
    int16_t i16[] = {-32768, 0, 32767};
    int32_t i32[] = {INT32_MIN, 0, INT32_MAX};
    int64_t i64[] = {INT64_MIN, 9007199254740993, INT64_MAX};
    uint8_t u8[] = {0, 1, 255};
    uint16_t u16[] = {0, 1, 65535};
    uint32_t u32[] = {0, 1, UINT32_MAX};
    uint64_t u64[] = {0, 9007199254740993, UINT64_MAX};
    uint8_t booleans[] = {0, 1, 7};
    struct slice strings[] = {SLICE(""), SLICE("a"), SLICE("b c")};
    expect_json(vector_of(DTYPE_F16, 3, f16), "[1.0,-1.0,0.1]");
    expect_json(vector_of(DTYPE_BF16, 3, bf16), "[1.0,-2.0,0.1]");
    expect_json(vector_of(DTYPE_F32, 3, f32), "[1.0,-0.1,1e+30]");
    expect_json(vector_of(DTYPE_F64, 3, f64), "[0.1,-2.0,1.0000000150474662e+30]");
    expect_json(vector_of(DTYPE_I8, 3, i8), "[-128,0,127]");
    expect_json(vector_of(DTYPE_I16, 3, i16), "[-32768,0,32767]");
    expect_json(vector_of(DTYPE_I32, 3, i32), "[-2147483648,0,2147483647]");
    expect_json(vector_of(DTYPE_I64, 3, i64),
                "[-9223372036854775808,9007199254740993,9223372036854775807]");
    expect_json(vector_of(DTYPE_U8, 3, u8), "[0,1,255]");
    expect_json(vector_of(DTYPE_U16, 3, u16), "[0,1,65535]");
    expect_json(vector_of(DTYPE_U32, 3, u32), "[0,1,4294967295]");
    expect_json(vector_of(DTYPE_U64, 3, u64), "[0,9007199254740993,18446744073709551615]");
    expect_json(vector_of(DTYPE_BOOL, 3, booleans), "[false,true,true]");
    expect_json(vector_of(DTYPE_STRING, 3, strings), "[\"\",\"a\",\"b c\"]");
}

static void nests_by_rank(void **state)
{
    (void)state;
    int32_t cells[16];
    for (int i = 0; i < 16; i++) {
        cells[i] = i;
    }
    static const struct {
        unsigned rank;
        int64_t dims[5];
        const char *text;
    } cases[] = {
        {0, {0}, "0"},
        {1, {1}, "[0]"},
        {1, {4}, "[0,1,2,3]"},
        {2, {1, 1}, "[[0]]"},
        {2, {2, 3}, "[[0,1,2],[3,4,5]]"},
        {2, {3, 1}, "[[0],[1],[2]]"},
        {3, {2, 1, 3}, "[[[0,1,2]],[[3,4,5]]]"},
        {3, {2, 2, 2}, "[[[0,1],[2,3]],[[4,5],[6,7]]]"},
        {3, {1, 1, 1}, "[[[0]]]"},
        {4, {1, 2, 1, 2}, "[[[[0,1]],[[2,3]]]]"},
        {4, {2, 1, 2, 1}, "[[[[0],[1]]],[[[2],[3]]]]"},
        {4, {2, 2, 2, 2}, "[[[[0,1],[2,3]],[[4,5],[6,7]]],[[[8,9],[10,11]],[[12,13],[14,15]]]]"},
        {5, {1, 1, 2, 1, 1}, "[[[[[0]],[[1]]]]]"},
        /* a dimension of zero: empty arrays, nothing inside */
        {1, {0}, "[]"},
        {2, {0, 3}, "[]"},
        {2, {2, 0}, "[[],[]]"},
        {2, {0, 0}, "[]"},
        {3, {2, 0, 3}, "[[],[]]"},
        {3, {1, 2, 0}, "[[[],[]]]"},
        {3, {0, 2, 3}, "[]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_json(tensor_of(DTYPE_I32, cases[i].rank, cases[i].dims, cells), cases[i].text);
    }
    int64_t deepest[TENSOR_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 2};
    expect_json(tensor_of(DTYPE_I32, TENSOR_MAX_RANK, deepest, cells), "[[[[[[[[0,1]]]]]]]]");
}

static void writes_scalars_bare(void **state)
{
    (void)state;
    float number = 6.0f;
    uint8_t boolean = 1;
    struct slice string = SLICE("x");
    expect_json(tensor_of(DTYPE_F32, 0, NULL, &number), "6.0");
    expect_json(tensor_of(DTYPE_BOOL, 0, NULL, &boolean), "true");
    expect_json(tensor_of(DTYPE_STRING, 0, NULL, &string), "\"x\"");
}

static void escapes_strings(void **state)
{
    (void)state;
    static const struct {
        struct slice string;
        const char *text;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{"mid \"q\" \xc3\xa9", 10}, "\"mid \\\"q\\\" \xc3\xa9\""},
        {{"\\", 1}, "\"\\\\\""},
        {{"a\\b\"c", 5}, "\"a\\\\b\\\"c\""},
        {{"/<>&'", 5}, "\"/<>&'\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
        {{"\xe2\x82\xac\xf0\x9f\x98\x80", 7}, "\"\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {{"\xe2\x80\xa8", 3}, "\"\xe2\x80\xa8\""},
        /* not UTF-8: each piece is replaced, what follows it stays */
        {{"a\xff"
          "b",
          3},
         "\"a\xef\xbf\xbd"
         "b\""},
        {{"\x80\x80", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xc3", 1}, "\"\xef\xbf\xbd\""},
        {{"\xc3\"", 2}, "\"\xef\xbf\xbd\\\"\""},
        {{"\xe2\x82", 2}, "\"\xef\xbf\xbd\""},
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xc0\xaf", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice string = cases[i].string;
        expect_json(tensor_of(DTYPE_STRING, 0, NULL, &string), cases[i].text);
    }
}

static void writes_nonfinite_as_told(void **state)
{
    (void)state;
    float f32[] = {NAN, INFINITY, -INFINITY, 1.0f};
    double f64[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 1.0};
    uint16_t f16[] = {0x7e00, 0x7c00, 0xfc00, 0x3c00};
    uint16_t bf16[] = {0xffc0, 0x7f80, 0xff80, 0x3f80};
    struct value values[] = {
        vector_of(DTYPE_F32, 4, f32),
        vector_of(DTYPE_F64, 4, f64),
        vector_of(DTYPE_F16, 4, f16),
        vector_of(DTYPE_BF16, 4, bf16),
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        fixture.options.json_nonfinite = JSON_NONFINITE_LITERAL;
        expect_json(values[i], "[NaN,Infinity,-Infinity,1.0]");
        fixture.options.json_nonfinite = JSON_NONFINITE_NULL;
        expect_json(values[i], "[null,null,null,1.0]");
        fixture.options.json_nonfinite = JSON_NONFINITE_ERROR;
        expect_refusal(&fixture, MEDIA_JSON, &values[i],
                       "output 'a': row 0, column 0: the value is not a finite number, which "
                       "JSON_NONFINITE=error refuses");
    }
}

static void names_the_place_of_what_is_not_finite(void **state)
{
    (void)state;
    float cells[] = {1, 2, 3, 4, 5, 6, 7, INFINITY};
    int64_t keys[] = {1, 2};
    struct value maps[] = {map_of(DTYPE_I64, keys, DTYPE_F32, cells, 2),
                           map_of(DTYPE_I64, keys, DTYPE_F32, cells + 6, 2)};
    struct value tensors[] = {vector_of(DTYPE_F32, 3, cells), vector_of(DTYPE_F32, 3, cells),
                              tensor_of(DTYPE_F32, 2, (int64_t[]){2, 2}, cells + 4)};
    struct value nested[] = {sequence_of(maps, 1), sequence_of(maps, 2)};
    const struct {
        struct value value;
        int row, column;
    } cases[] = {
        {vector_of(DTYPE_F32, 8, cells), 7, 0},
        {tensor_of(DTYPE_F32, 2, (int64_t[]){2, 4}, cells), 1, 3},
        {tensor_of(DTYPE_F32, 2, (int64_t[]){8, 1}, cells), 7, 0},
        {tensor_of(DTYPE_F32, 3, (int64_t[]){2, 2, 2}, cells), 1, 3},
        {tensor_of(DTYPE_F32, 0, NULL, cells + 7), 0, 0},
        {maps[1], 0, 1},
        {sequence_of(maps, 2), 1, 1},
        {sequence_of(tensors, 3), 2, 3},
        {sequence_of(nested, 2), 1, 1},
    };
    fixture.options.json_nonfinite = JSON_NONFINITE_ERROR;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[200];
        snprintf(expected, sizeof(expected),
                 "output 'a': row %d, column %d: the value is not a finite number, which "
                 "JSON_NONFINITE=error refuses",
                 cases[i].row, cases[i].column);
        expect_refusal(&fixture, MEDIA_JSON, &cases[i].value, expected);
    }
}

static void writes_maps_as_objects(void **state)
{
    (void)state;
    int64_t integers[] = {0, -1, INT64_MAX};
    struct slice strings[] = {SLICE("setosa"), SLICE("a \"b\""), SLICE("")};
    float f32[] = {0.25f, 0.5f, NAN};
    int64_t i64[] = {1, 2, 3};
    struct slice texts[] = {SLICE("x"), SLICE("y"), SLICE("\n")};
    expect_json(map_of(DTYPE_I64, integers, DTYPE_F32, f32, 3),
                "{\"0\":0.25,\"-1\":0.5,\"9223372036854775807\":NaN}");
    expect_json(map_of(DTYPE_STRING, strings, DTYPE_F32, f32, 2),
                "{\"setosa\":0.25,\"a \\\"b\\\"\":0.5}");
    expect_json(map_of(DTYPE_STRING, strings, DTYPE_I64, i64, 3),
                "{\"setosa\":1,\"a \\\"b\\\"\":2,\"\":3}");
    expect_json(map_of(DTYPE_I64, integers, DTYPE_STRING, texts, 3),
                "{\"0\":\"x\",\"-1\":\"y\",\"9223372036854775807\":\"\\n\"}");
    expect_json(map_of(DTYPE_I64, integers, DTYPE_F32, f32, 0), "{}");
}

static void writes_sequences_as_arrays(void **state)
{
    (void)state;
    int64_t keys[] = {0, 1};
    float first[] = {0.75f, 0.25f};
    float second[] = {0.5f, 0.5f};
    int32_t cells[] = {1, 2, 3, 4};
    struct value maps[] = {map_of(DTYPE_I64, keys, DTYPE_F32, first, 2),
                           map_of(DTYPE_I64, keys, DTYPE_F32, second, 2)};
    struct value tensors[] = {vector_of(DTYPE_I32, 1, cells), vector_of(DTYPE_I32, 0, cells),
                              tensor_of(DTYPE_I32, 2, (int64_t[]){2, 2}, cells),
                              tensor_of(DTYPE_I32, 0, NULL, cells)};
    struct value nested[] = {sequence_of(tensors, 2), sequence_of(NULL, 0), tensors[3],
                             sequence_of(maps, 1)};
    expect_json(sequence_of(maps, 2), "[{\"0\":0.75,\"1\":0.25},{\"0\":0.5,\"1\":0.5}]");
    expect_json(sequence_of(tensors, 4), "[[1],[],[[1,2],[3,4]],1]");
    expect_json(sequence_of(NULL, 0), "[]");
    expect_json(sequence_of(nested, 4), "[[[1],[]],[],1,[{\"0\":0.75,\"1\":0.25}]]");
    expect_json((struct value){.kind = VALUE_NONE}, "null");
}

static void refuses_endless_nesting(void **state)
{
    (void)state;
    struct value levels[20];
    levels[0] = sequence_of(NULL, 0);
    for (size_t i = 1; i < 20; i++) {
        levels[i] = sequence_of(&levels[i - 1], 1);
    }
    expect_json(levels[7], "[[[[[[[[]]]]]]]]");
    expect_refusal(&fixture, MEDIA_JSON, &levels[8],
                   "output 'a' has no JSON form: its sequences are nested too deeply");
}

static void refuses_unknown_element_types(void **state)
{
    (void)state;
    int64_t key = 1;
    struct value tensor = vector_of(DTYPE_OTHER, 2, NULL);
    struct value map = map_of(DTYPE_I64, &key, DTYPE_OTHER, NULL, 1);
    expect_refusal(&fixture, MEDIA_JSON, &tensor,
                   "output 'a' has no JSON form: its type is unsupported");
    fixture.outputs[0].type_text = SLICE("complex64[N]");
    expect_refusal(&fixture, MEDIA_JSON, &tensor,
                   "output 'a' has no JSON form: its type is complex64[N]");
    expect_refusal(&fixture, MEDIA_JSON, &map,
                   "output 'a' has no JSON form: its type is complex64[N]");
}

static void wraps_under_a_key(void **state)
{
    (void)state;
    float cells[] = {6.0f};
    struct value value = tensor_of(DTYPE_F32, 2, (int64_t[]){1, 1}, cells);
    fixture.options.predictions_only = false;
    expect_json(value, "{\"predictions\":[[6.0]]}");
    fixture.options.json_output_key = SLICE("a \"key\"");
    expect_json(value, "{\"a \\\"key\\\"\":[[6.0]]}");
}

/* The plan may ask the model for the outputs in any order, and once for two keys. */
static void writes_an_output_map(void **state)
{
    (void)state;
    fixture_init(&fixture, 3);
    static const struct codec_mapping mappings[] = {
        {.key = {"first", 5}, .port = {"c", 1}},
        {.key = {"second\n", 7}, .port = {"a", 1}},
        {.key = {"again", 5}, .port = {"c", 1}},
    };
    int32_t a[] = {1, 2};
    double c[] = {0.5};
    struct value values[] = {tensor_of(DTYPE_F64, 0, NULL, c), vector_of(DTYPE_I32, 2, a)};
    fixture.options.output_map = mappings;
    fixture.options.output_map_count = 3;
    fixture.options.predictions_only = false; /* of no meaning with a map */
    fixture.wanted[0] = 2;
    fixture.wanted[1] = 0;
    fixture.plan.wanted_count = 2;
    expect_text(&fixture, MEDIA_JSON, values, "{\"first\":0.5,\"second\\n\":[1,2],\"again\":0.5}");
}

/* More cells than a block of the writer holds: nothing is lost at the seams. */
static void writes_large_tensors_whole(void **state)
{
    (void)state;
    enum { ROWS = 700, COLUMNS = 13 };
    static double cells[ROWS * COLUMNS];
    uint64_t seed = 1;
    for (size_t i = 0; i < ROWS * COLUMNS; i++) {
        cells[i] = ldexp((double)next_random(&seed), -64);
    }
    struct value value = tensor_of(DTYPE_F64, 2, (int64_t[]){ROWS, COLUMNS}, cells);
    assert_int_equal(fixture_encode(&fixture, MEDIA_JSON, &value), ERR_OK);
    assert_int_equal(bytes_put_byte(&fixture.out, '\0'), ERR_OK);
    char *at = fixture.out.ptr + fixture.out.head;
    assert_int_equal(*at++, '[');
    for (size_t i = 0; i < ROWS * COLUMNS; i++) {
        assert_int_equal(*at++, i % COLUMNS == 0 ? '[' : ',');
        assert_true(strtod(at, &at) == cells[i]);
        if (i % COLUMNS == COLUMNS - 1) {
            assert_int_equal(*at++, ']');
            assert_int_equal(*at++, i + 1 == ROWS * COLUMNS ? ']' : ',');
        }
    }
    assert_int_equal(*at, '\0');
}

/* Every maximum from nothing to enough: an error or the whole answer, never a part. */
static void keeps_to_the_maximum(void **state)
{
    (void)state;
    struct slice strings[] = {SLICE("some text"), SLICE("\"\"\"\"\"\"\"\""), SLICE("\xff\xff")};
    int64_t keys[] = {10, 20, 30};
    float numbers[] = {0.125f, -1e-7f, INFINITY};
    struct value items[] = {map_of(DTYPE_I64, keys, DTYPE_F32, numbers, 3),
                            map_of(DTYPE_STRING, strings, DTYPE_STRING, strings, 3),
                            tensor_of(DTYPE_STRING, 3, (int64_t[]){1, 3, 1}, strings)};
    struct value value = sequence_of(items, 3);
    fixture.options.predictions_only = false;
    assert_int_equal(fixture_encode(&fixture, MEDIA_JSON, &value), ERR_OK);
    size_t whole = bytes_len(&fixture.out);
    bool fitted = false;
    for (size_t max = 0; max < whole + 100; max++) {
        bytes_done(&fixture.out);
        bytes_init(&fixture.out, max);
        int status = fixture_encode(&fixture, MEDIA_JSON, &value);
        assert_int_equal(status, status == ERR_OK ? ERR_OK : ERR_NO_MEMORY);
        assert_int_equal(bytes_len(&fixture.out), status == ERR_OK ? whole : 0);
        assert_true(status == ERR_OK || (!fitted && fixture.error.code == ERR_NO_MEMORY));
        fitted = status == ERR_OK;
    }
    assert_true(fitted);
}

static void allocates_nothing_when_warm(void **state)
{
    (void)state;
    static float cells[1000];
    struct value value = tensor_of(DTYPE_F32, 2, (int64_t[]){100, 10}, cells);
    assert_int_equal(fixture_encode(&fixture, MEDIA_JSON, &value), ERR_OK);
    uint64_t before = mem_allocations();
    assert_int_equal(fixture_encode(&fixture, MEDIA_JSON, &value), ERR_OK);
    assert_int_equal(fixture_encode(&fixture, MEDIA_CSV, &value), ERR_OK);
    assert_true(mem_allocations() == before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_every_element_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nests_by_rank, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_scalars_bare, set_up, tear_down),
        cmocka_unit_test_setup_teardown(escapes_strings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_nonfinite_as_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_the_place_of_what_is_not_finite, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_maps_as_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_sequences_as_arrays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_endless_nesting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_unknown_element_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wraps_under_a_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_an_output_map, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_large_tensors_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_to_the_maximum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(allocates_nothing_when_warm, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
