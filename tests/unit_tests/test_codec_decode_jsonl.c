/* JSON Lines bodies: rows and records a line each; the rest is tested with JSON. */
#include "unit_tests/codec_cases.h"

#define SUM3 "x float32 N 3"
#define WANT_6 "x float32[2,3] 1 2 3 4 5 6"
#define PEOPLE "age int64 N 1; city string N 1"
#define WANT_PEOPLE "age int64[2,1] 3 4; city string[2,1] 'x' 'yy'"

static void takes_rows(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY("[1,2,3]\n[4,5,6]\n"), WANT_6},
        {SUM3, NULL, BODY("[1,2,3]\r\n\r\n  \t\n [4,5,6] "), WANT_6},
        {SUM3, NULL, BODY("\xef\xbb\xbf[1,2,3]\n[4,5,6]"), WANT_6},
        {SUM3, NULL, BODY("{\"features\":[1,2,3]}\n{\"id\":1,\"features\":[4,5,6]}"), WANT_6},
        {SUM3, NULL, BODY("[1,2,3]\n{\"features\":[4,5,6]}\n"), WANT_6},
        {SUM3, NULL, BODY("{\"features\":[1,2,3]}\n[4,5,6]\n"), WANT_6},
        {SUM3, "row=f", BODY("{\"f\":[1,2,3]}\n{\"f\":[4,5,6]}\n"), WANT_6},
        {SUM3, NULL, BODY("[1,null,true]\n[NaN,-Infinity,1e39]\n"),
         "x float32[2,3] 1 nan 1 nan -inf inf"},
        {SUM3, "ids=0 count=3", BODY("[\"a\",1,2,3]\n[\"b\",4,5,6]\n"), WANT_6},
        {"x float32 N 2 2", NULL, BODY("[[1,2],[3,4]]\n[[5,6],[7,8]]\n"),
         "x float32[2,2,2] 1 2 3 4 5 6 7 8"},
        {"x float32 N", NULL, BODY("1\n[2]\n3\n"), "x float32[3] 1 2 3"},
        {"x int8 N 1", NULL, BODY("[1]\n2\n[ -3 ]\n"), "x int8[3,1] 1 2 -3"},
        {"s string N 2", NULL, BODY("[\"a\",\"b\"]\n[\"c\",\"d\"]\n"),
         "s string[2,2] 'a' 'b' 'c' 'd'"},
    };
    RUN_CASES(MEDIA_JSONL, cases);
}

static void takes_records(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {PEOPLE, NULL, BODY("{\"age\":3,\"city\":\"x\"}\n{\"city\":\"yy\",\"age\":[4],\"z\":0}\n"),
         WANT_PEOPLE},
        {PEOPLE, "map=a:age,c:city", BODY("{\"a\":3,\"c\":\"x\"}\n\n{\"a\":4,\"c\":[\"yy\"]}\n"),
         WANT_PEOPLE},
        {"a float32 N 1; b float32 N 1", "map=fa:a,fb:b",
         BODY("{\"fa\":[1],\"fb\":[2]}\n{\"fa\":[3],\"fb\":[4]}\n"),
         "a float32[2,1] 1 3; b float32[2,1] 2 4"},
        {PEOPLE, "map=a:age,c:city", BODY("{\"a\":3,\"c\":\"x\"}\n{\"a\":3}\n"),
         "! Missing key 'c' in one of the records for ONNX multi-input"},
        {PEOPLE, NULL, BODY("{\"age\":3,\"city\":\"x\"}\n{\"age\":4}\n"),
         "! line 2, row 1: the record has no value for input \"city\""},
        {PEOPLE, NULL, BODY("{\"age\":3,\"city\":\"x\"}\n\n[4]\n"),
         "! line 3, row 1: an array where a record is expected"},
        {PEOPLE, NULL, BODY("{\"foo\":3}\n"),
         "! the object has no known key: looked for \"instances\", \"features\" and the model's "
         "inputs \"age\", \"city\""},
        {PEOPLE, NULL, BODY("[3,4]\n"),
         "! a bare matrix feeds input \"age\" alone; name the values of all inputs: \"age\", "
         "\"city\""},
    };
    RUN_CASES(MEDIA_JSONL, cases);
}

static void refuses_what_is_wrong(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY(""), "! the payload has no rows"},
        {SUM3, NULL, BODY("\n \r\n"), "! the payload has no rows"},
        {SUM3, NULL, BODY("[1,2,3]\n[4,5\n"), "! line 2, row 1: invalid JSON at byte 12: *"},
        {SUM3, NULL, BODY("[1,2,3]\n[4,5,6] x\n"), "! line 2, row 1: invalid JSON at byte 16: *"},
        {SUM3, NULL, BODY("[1,2,3]\n\n[4,5]\n"),
         "! line 3, row 1: 2 values where the first row has 3 (input \"x\")"},
        {SUM3, NULL, BODY("[1,2,3]\n[4,5,\"6\"]\n"),
         "! line 2, row 1, column 2: \"6\" is not a number (input \"x\", float32)"},
        {SUM3, NULL, BODY("[1,2,3]\n{\"f\":1}\n"),
         "! line 2, row 1: the object has no key \"features\""},
        {SUM3, NULL, BODY("[1,2,3]\n\"\xff\"\n"), "! line 2, row 1: invalid UTF-8 at byte 9"},
        {SUM3, NULL, BODY("[1,2,3]\nnull\n"),
         "! line 2, row 1: null where the first row has an array of 3 (input \"x\")"},
        {SUM3, NULL, BODY("[]\n"), "! line 1, row 0: an array without values"},
        {SUM3, NULL, BODY("[1,2]\n"), "! input \"x\" takes the shape [N, 3], got rows of 2 values"},
        {SUM3, "max=1", BODY("[1,2,3]\n[4,5,6]\nx\n\n"), "! too_many_records: 3 > 1"},
        {SUM3, "max=2", BODY("[1,2,3]\n[4,5,6]\n"), WANT_6},
        {"x uint8 N 2", NULL, BODY("[1,2]\n[3,300]\n"),
         "! line 2, row 1, column 1: 300 is out of range (input \"x\", uint8)"},
    };
    RUN_CASES(MEDIA_JSONL, cases);
}

/* The arena holds one line's tree, and copies of strings: far less than all trees would take. */
static void needs_memory_for_one_line_only(void **state)
{
    (void)state;
    static const struct {
        const char *signature;
        const char *line;
        size_t arena_bytes;
    } cases[] = {
        {SUM3, "{\"features\":[1,2,3]}\n", 8192},
        {"s string N", "\"a\"\n", (size_t)32 * 100000 + 65536},
    };
    static char body[400000];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t bytes = strlen(cases[i].line);
        size_t rows = sizeof(body) / bytes;
        for (size_t row = 0; row < rows; row++) {
            memcpy(body + row * bytes, cases[i].line, bytes);
        }
        struct codec_fixture fixture;
        struct codec_plan *plan;
        struct codec_inputs inputs;
        struct error error;
        struct arena arena;
        fixture_init(&fixture, cases[i].signature, "y float32 N 1", "max=0");
        assert_int_equal(codec_plan_new(&fixture.options, &fixture.signature, &plan, &error),
                         ERR_OK);
        arena_init(&arena, 4096, cases[i].arena_bytes);
        assert_int_equal(codec_decode(plan, MEDIA_JSONL, slice_make(body, rows * bytes), &arena,
                                      &inputs, &error),
                         ERR_OK);
        assert_int_equal(inputs.rows, rows);
        codec_inputs_done(&inputs);
        arena_done(&arena);
        codec_plan_free(plan);
    }
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY("[1,2,3]\n{\"features\":[4,5,6]}\n"), NULL},
        {PEOPLE, NULL, BODY("{\"age\":3,\"city\":\"x\"}\n{\"city\":\"yy\",\"age\":[4],\"z\":0}\n"),
         NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        torture(MEDIA_JSONL, &cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_rows),
        cmocka_unit_test(takes_records),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(needs_memory_for_one_line_only),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
