/* CSV answers: lines, words, quotes, and what sequences and maps become. */
#include <math.h>

#include "unit_tests/encode_fixture.h"

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

static void expect_csv(struct value value, const char *expected)
{
    expect_text(&fixture, MEDIA_CSV, &value, expected);
}

static void writes_every_element_type(void **state)
{
    (void)state;
    uint16_t f16[] = {0x3c00, 0x7e00, 0x7c00, 0xfc00};
    uint16_t bf16[] = {0x3f80, 0x7fc0, 0x7f80, 0xff80};
    float f32[] = {0.1f, NAN, INFINITY, -INFINITY};
    double f64[] = {0.1, (double)NAN, (double)INFINITY, -(double)INFINITY};
    int8_t i8[] = {-128, 127};
    int16_t i16[] = {-32768, 32767};
    int32_t i32[] = {INT32_MIN, INT32_MAX};
    int64_t i64[] = {INT64_MIN, INT64_MAX};
    uint8_t u8[] = {0, 255};
    uint16_t u16[] = {0, 65535};
    uint32_t u32[] = {0, UINT32_MAX};
    uint64_t u64[] = {0, UINT64_MAX};
    uint8_t booleans[] = {1, 0};
    struct slice strings[] = {SLICE("low"), SLICE("high")};
    const int64_t four[] = {1, 4};
    const int64_t two[] = {1, 2};
    expect_csv(tensor_of(DTYPE_F16, 2, four, f16), "1.0,nan,inf,-inf");
    expect_csv(tensor_of(DTYPE_BF16, 2, four, bf16), "1.0,nan,inf,-inf");
    expect_csv(tensor_of(DTYPE_F32, 2, four, f32), "0.1,nan,inf,-inf");
    expect_csv(tensor_of(DTYPE_F64, 2, four, f64), "0.1,nan,inf,-inf");
    expect_csv(tensor_of(DTYPE_I8, 2, two, i8), "-128,127");
    expect_csv(tensor_of(DTYPE_I16, 2, two, i16), "-32768,32767");
    expect_csv(tensor_of(DTYPE_I32, 2, two, i32), "-2147483648,2147483647");
    expect_csv(tensor_of(DTYPE_I64, 2, two, i64), "-9223372036854775808,9223372036854775807");
    expect_csv(tensor_of(DTYPE_U8, 2, two, u8), "0,255");
    expect_csv(tensor_of(DTYPE_U16, 2, two, u16), "0,65535");
    expect_csv(tensor_of(DTYPE_U32, 2, two, u32), "0,4294967295");
    expect_csv(tensor_of(DTYPE_U64, 2, two, u64), "0,18446744073709551615");
    expect_csv(tensor_of(DTYPE_BOOL, 2, two, booleans), "True,False");
    expect_csv(tensor_of(DTYPE_STRING, 2, two, strings), "low,high");
}

/* Not a setting of CSV. */
static void writes_nonfinite_whatever_json_does(void **state)
{
    (void)state;
    float cells[] = {NAN, -INFINITY};
    fixture.options.json_nonfinite = JSON_NONFINITE_ERROR;
    expect_csv(vector_of(DTYPE_F32, 2, cells), "nan\n-inf");
    fixture.options.json_nonfinite = JSON_NONFINITE_NULL;
    expect_csv(vector_of(DTYPE_F32, 2, cells), "nan\n-inf");
}

static void cuts_lines_by_rank(void **state)
{
    (void)state;
    int32_t cells[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const struct {
        unsigned rank;
        int64_t dims[4];
        const char *text;
    } cases[] = {
        {0, {0}, "0"},          {1, {1}, "0"},
        {1, {3}, "0\n1\n2"},    {1, {0}, ""},
        {2, {1, 3}, "0,1,2"},   {2, {2, 3}, "0,1,2\n3,4,5"},
        {2, {3, 1}, "0\n1\n2"}, {2, {0, 3}, ""},
        {2, {3, 0}, "\n\n"},    {3, {2, 2, 2}, "0,1,2,3\n4,5,6,7"},
        {3, {2, 1, 1}, "0\n1"}, {3, {1, 2, 1}, "0,1"},
        {3, {2, 0, 2}, "\n"},   {4, {2, 1, 2, 1}, "0,1\n2,3"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_csv(tensor_of(DTYPE_I32, cases[i].rank, cases[i].dims, cells), cases[i].text);
    }
}

static void uses_the_delimiter(void **state)
{
    (void)state;
    float cells[] = {1.5f, 2.0f, -3.0f, 1e-7f};
    struct slice strings[] = {SLICE("a,b"), SLICE("a;b"), SLICE("a\tb")};
    struct value numbers = tensor_of(DTYPE_F32, 2, (int64_t[]){2, 2}, cells);
    struct value texts = tensor_of(DTYPE_STRING, 2, (int64_t[]){1, 3}, strings);
    fixture.options.csv_delimiter = ';';
    expect_csv(numbers, "1.5;2.0\n-3.0;1e-07");
    expect_csv(texts, "a,b;\"a;b\";a\tb");
    fixture.options.csv_delimiter = '\t';
    expect_csv(numbers, "1.5\t2.0\n-3.0\t1e-07");
    expect_csv(texts, "a,b\ta;b\t\"a\tb\"");
}

static void quotes_only_where_needed(void **state)
{
    (void)state;
    static const struct {
        struct slice string;
        const char *text;
    } cases[] = {
        {{"", 0}, ""},
        {{"plain", 5}, "plain"},
        {{" spaced ", 8}, " spaced "},
        {{"a'b", 3}, "a'b"},
        {{"a,b", 3}, "\"a,b\""},
        {{",", 1}, "\",\""},
        {{"\"", 1}, "\"\"\"\""},
        {{"mid \"q\" \xc3\xa9", 10}, "\"mid \"\"q\"\" \xc3\xa9\""},
        {{"a\nb", 3}, "\"a\nb\""},
        {{"a\rb", 3}, "\"a\rb\""},
        {{"a\r\nb", 4}, "\"a\r\nb\""},
        {{"tab\there", 8}, "tab\there"},
        {{"\xe2\x82\xac", 3}, "\xe2\x82\xac"},
        {{"a\xff"
          "b",
          3},
         "a\xef\xbf\xbd"
         "b"},
        {{"\xff,\xc3\"", 4}, "\"\xef\xbf\xbd,\xef\xbf\xbd\"\"\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice string = cases[i].string;
        expect_csv(vector_of(DTYPE_STRING, 1, &string), cases[i].text);
    }
    struct slice strings[] = {SLICE("a"), SLICE(""), SLICE("b,c"), SLICE("")};
    expect_csv(tensor_of(DTYPE_STRING, 2, (int64_t[]){2, 2}, strings), "a,\n\"b,c\",");
}

static void writes_maps_as_lines(void **state)
{
    (void)state;
    int64_t keys[] = {0, 1, 2};
    int64_t turned_keys[] = {2, 0, 1};
    float first[] = {0.5f, 0.25f, NAN};
    float second[] = {1.0f, 2.0f, 3.0f};
    struct slice names[] = {SLICE("x"), SLICE("y")};
    struct slice turned_names[] = {SLICE("y"), SLICE("x")};
    struct slice texts[] = {SLICE("a,b"), SLICE("c")};
    struct value maps[] = {map_of(DTYPE_I64, keys, DTYPE_F32, first, 3),
                           map_of(DTYPE_I64, turned_keys, DTYPE_F32, second, 3)};
    struct value named[] = {map_of(DTYPE_STRING, names, DTYPE_STRING, texts, 2),
                            map_of(DTYPE_STRING, turned_names, DTYPE_STRING, texts, 2)};
    expect_csv(sequence_of(maps, 2), "0.5,0.25,nan\n2.0,3.0,1.0");
    expect_csv(sequence_of(named, 2), "\"a,b\",c\nc,\"a,b\"");
    expect_csv(maps[0], "0.5,0.25,nan");
    expect_csv(sequence_of(maps, 0), "");
    struct value empty = map_of(DTYPE_I64, keys, DTYPE_F32, first, 0);
    expect_csv(empty, "");
}

static void writes_sequences_of_tensors_as_lines(void **state)
{
    (void)state;
    int32_t cells[] = {1, 2, 3, 4};
    struct value tensors[] = {vector_of(DTYPE_I32, 3, cells),
                              tensor_of(DTYPE_I32, 2, (int64_t[]){2, 2}, cells),
                              tensor_of(DTYPE_I32, 0, NULL, cells), vector_of(DTYPE_I32, 0, cells)};
    expect_csv(sequence_of(tensors, 4), "1,2,3\n1,2,3,4\n1\n");
}

static void refuses_what_has_no_lines(void **state)
{
    (void)state;
    int64_t keys[] = {0, 1};
    int64_t other_keys[] = {0, 2};
    struct slice names[] = {SLICE("0"), SLICE("1")};
    float cells[] = {1, 2};
    struct value map = map_of(DTYPE_I64, keys, DTYPE_F32, cells, 2);
    struct value tensor = vector_of(DTYPE_F32, 2, cells);
    struct value sequence = sequence_of(&tensor, 1);
    static const char keys_differ[] = "output 'a' has no CSV form: its maps have different keys";
    static const char kinds_differ[] =
        "output 'a' has no CSV form: its items are of different kinds";
    static const char type[] = "output 'a' has no CSV form: its type is unsupported";
    const struct {
        struct value items[2];
        size_t count;
        const char *text;
    } cases[] = {
        {{map, map_of(DTYPE_I64, other_keys, DTYPE_F32, cells, 2)}, 2, keys_differ},
        {{map, map_of(DTYPE_I64, keys, DTYPE_F32, cells, 1)}, 2, keys_differ},
        {{map_of(DTYPE_I64, keys, DTYPE_F32, cells, 1), map}, 2, keys_differ},
        {{map, map_of(DTYPE_STRING, names, DTYPE_F32, cells, 2)}, 2, keys_differ},
        {{map, tensor}, 2, kinds_differ},
        {{tensor, map}, 2, kinds_differ},
        {{sequence}, 1, "output 'a' has no CSV form: it is a nested sequence"},
        {{vector_of(DTYPE_OTHER, 1, NULL)}, 1, type},
        {{map_of(DTYPE_I64, keys, DTYPE_OTHER, NULL, 1)}, 1, type},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct value items[2];
        memcpy(items, cases[i].items, sizeof(items));
        struct value value = sequence_of(items, cases[i].count);
        expect_refusal(&fixture, MEDIA_CSV, &value, cases[i].text);
    }
    struct value other = vector_of(DTYPE_OTHER, 1, NULL);
    struct value none = {.kind = VALUE_NONE};
    expect_refusal(&fixture, MEDIA_CSV, &other, type);
    expect_refusal(&fixture, MEDIA_CSV, &none,
                   "output 'a' has no CSV form: the model gave no value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_every_element_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_nonfinite_whatever_json_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cuts_lines_by_rank, set_up, tear_down),
        cmocka_unit_test_setup_teardown(uses_the_delimiter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quotes_only_where_needed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_maps_as_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_sequences_of_tensors_as_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_has_no_lines, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
