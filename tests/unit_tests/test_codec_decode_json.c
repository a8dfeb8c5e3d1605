/* JSON bodies: every form of the contract, its leniencies, and what is refused with which words. */
#include "codec/json_document.h"
#include "unit_tests/codec_cases.h"

#define SUM3 "x float32 N 3"

/* A guess at the rows of what is no JSON does not hide where it stops being JSON. */
static void tells_garbage_from_shapes(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY("[[1,2]]"), "! input \"x\" takes the shape [N, 3], got rows of 2 values"},
        {SUM3, "count=4", BODY("[[1,2,3]]"),
         "! Feature count mismatch: got 3 expected TABULAR_NUM_FEATURES=4"},
        {SUM3, NULL, BODY("[[1;2;3]]"),
         "! invalid JSON at byte 3 (line 1, column 4): unexpected character, expected a comma or a "
         "closing bracket"},
        {SUM3, NULL, BODY("[1 2,3]"),
         "! invalid JSON at byte 3 (line 1, column 4): unexpected character, expected a comma or a "
         "closing bracket"},
        {SUM3, NULL, BODY("[[1,2]]]"),
         "! invalid JSON at byte 7 (line 1, column 8): unexpected content after document"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

static void takes_matrices(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY("[[1,2,3],[4,5,6]]"), "x float32[2,3] 1 2 3 4 5 6"},
        {SUM3, NULL, BODY(" [ [ 1 , 2 ,\n3 ] ] \r\n\t"), "x float32[1,3] 1 2 3"},
        {SUM3, NULL, BODY("[1,2,3]"), "x float32[1,3] 1 2 3"},
        {SUM3, NULL, BODY("{\"instances\":[[1,2,3],[4,5,6]]}"), "x float32[2,3] 1 2 3 4 5 6"},
        {SUM3, NULL, BODY(" { \"instances\" : [1,2,3] } "), "x float32[1,3] 1 2 3"},
        {SUM3, NULL, BODY("{\"instances\":[[1,2,3]],\"extra\":{\"a\":[nul]}}"),
         "! invalid JSON at byte 37: unknown literal"},
        {SUM3, NULL, BODY("{\"instances\":[[1,2,3]],\"extra\":{\"a\":1}}"), "x float32[1,3] 1 2 3"},
        {SUM3, NULL, BODY("{\"extra\":[9],\"instances\":[[1,2,3]]}"), "x float32[1,3] 1 2 3"},
        {SUM3, NULL, BODY("{\"instances\":[[9,9,9]],\"instances\":[[1,2,3]]}"),
         "x float32[1,3] 1 2 3"},
        {SUM3, NULL, BODY("{\"features\":[1,2,3]}"), "x float32[1,3] 1 2 3"},
        {SUM3, NULL, BODY("{\"instances\":{\"features\":[1,2,3]}}"), "x float32[1,3] 1 2 3"},
        {SUM3, NULL, BODY("[{\"features\":[1,2,3]},{\"id\":7,\"features\":[4,5,6]}]"),
         "x float32[2,3] 1 2 3 4 5 6"},
        {SUM3, "instances=rows row=f", BODY("{\"f\":[1,2,3]}"), "x float32[1,3] 1 2 3"},
        {SUM3, "instances=rows row=f", BODY("{\"rows\":[[1,2,3]]}"), "x float32[1,3] 1 2 3"},
        {SUM3, NULL, BODY("\xef\xbb\xbf[[1,2,3]]"), "x float32[1,3] 1 2 3"},
        {"x float32 N", NULL, BODY("[1,2,3]"), "x float32[3] 1 2 3"},
        {"x float32 N", NULL, BODY("[[1],[2]]"), "x float32[2] 1 2"},
        {"x float32 N 1", NULL, BODY("[[1],[2]]"), "x float32[2,1] 1 2"},
        {"x float32 N F", NULL, BODY("[[1,2],[3,4]]"), "x float32[2,2] 1 2 3 4"},
        {"x float32 *", NULL, BODY("[1,2]"), "x float32[1,2] 1 2"},
        {"x float32 *", NULL, BODY("[[[1,2]],[[3,4]]]"), "x float32[2,1,2] 1 2 3 4"},
        {"x float32 N 2 2", NULL, BODY("[[[1,2],[3,4]],[[5,6],[7,8]]]"),
         "x float32[2,2,2] 1 2 3 4 5 6 7 8"},
        {"x float32 N 2 2", NULL, BODY("[[1,2],[3,4]]"), "x float32[1,2,2] 1 2 3 4"},
        {"x uint8 N 2 1 2", NULL, BODY("[[[[1,2]],[[3,4]]]]"), "x uint8[1,2,1,2] 1 2 3 4"},
        {"x float32 2 3", NULL, BODY("[[1,2,3],[4,5,6]]"), "x float32[2,3] 1 2 3 4 5 6"},
        {SUM3, "count=3", BODY("[[1,2,3]]"), "x float32[1,3] 1 2 3"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

static void takes_what_the_reference_takes(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY("[[1e-7,2.5E-3,0.0]]"), "x float32[1,3] 1.00000001e-07 0.00249999994 0"},
        {SUM3, NULL, BODY("[[-0.0,-0,0]]"), "x float32[1,3] -0 0 0"},
        {SUM3, NULL, BODY("[[1e39,-1e400,1]]"), "x float32[1,3] inf -inf 1"},
        {SUM3, NULL, BODY("[[1,null,3]]"), "x float32[1,3] 1 nan 3"},
        {SUM3, NULL, BODY("[[NaN,Infinity,-Infinity]]"), "x float32[1,3] nan inf -inf"},
        {SUM3, NULL, BODY("[[true,false,1]]"), "x float32[1,3] 1 0 1"},
        {SUM3, NULL, BODY("[[123456789012345678901234567890,18446744073709551615,1]]"),
         "x float32[1,3] 1.23456789e+29 1.84467441e+19 1"},
        {"x float64 N 2", NULL, BODY("[[0.3,1e300],[9007199254740993,5e-324]]"),
         "x float64[2,2] 0.29999999999999999 1.0000000000000001e+300 9007199254740992 "
         "4.9406564584124654e-324"},
        {"x float64 N 2", "dtype=float32", BODY("[[0.1,16777217]]"),
         "x float64[1,2] 0.10000000149011612 16777216"},
        {"x float32 N 2", "dtype=int64", BODY("[[1,2.0]]"), "x float32[1,2] 1 2"},
        {"x float32 N 2", "dtype=float64", BODY("[[0.1,2]]"), "x float32[1,2] 0.100000001 2"},
        {"x bool N 2", NULL, BODY("[[true,0],[1.0,false]]"), "x bool[2,2] 1 0 1 0"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

static void keeps_integers_exact(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {"x int64 N 2", NULL, BODY("[[9223372036854775807,-9223372036854775808]]"),
         "x int64[1,2] 9223372036854775807 -9223372036854775808"},
        {"x uint64 N 2", NULL, BODY("[[18446744073709551615,9223372036854775808]]"),
         "x uint64[1,2] 18446744073709551615 9223372036854775808"},
        {"x int64 N 2", NULL, BODY("[[9007199254740993,3.0]]"), "x int64[1,2] 9007199254740993 3"},
        {"x int8 N 2", NULL, BODY("[[-128,127]]"), "x int8[1,2] -128 127"},
        {"x int16 N 2", NULL, BODY("[[-32768,true]]"), "x int16[1,2] -32768 1"},
        {"x uint16 N 2", NULL, BODY("[[0,65535]]"), "x uint16[1,2] 0 65535"},
        {"x uint32 N 2", NULL, BODY("[[0,4294967295]]"), "x uint32[1,2] 0 4294967295"},
        {"x int32 N 2", NULL, BODY("[[-2147483648,1e3]]"), "x int32[1,2] -2147483648 1000"},
        {"x int64 N 1", NULL, BODY("[[9223372036854775808]]"),
         "! row 0, column 0: 9223372036854775808 is out of range (input \"x\", int64)"},
        {"x uint64 N 1", NULL, BODY("[[18446744073709551616]]"),
         "! row 0, column 0: 18446744073709551616 is out of range (input \"x\", uint64)"},
        {"x uint64 N 1", NULL, BODY("[[-1]]"),
         "! row 0, column 0: -1 is out of range (input \"x\", uint64)"},
        {"x uint8 N 2", NULL, BODY("[[1,2],[3,300]]"),
         "! row 1, column 1: 300 is out of range (input \"x\", uint8)"},
        {"x int64 N 2", NULL, BODY("[[1,3.5]]"),
         "! row 0, column 1: 3.5 is not a whole number (input \"x\", int64)"},
        {"x int64 N 2", NULL, BODY("[[1,9007199254740993.0]]"),
         "! row 0, column 1: 9007199254740992.0 is a double and may have lost digits (input \"x\", "
         "int64)"},
        {"x int64 N 1", NULL, BODY("[[NaN]]"),
         "! row 0, column 0: NaN is out of range (input \"x\", int64)"},
        {"x int64 N 1", NULL, BODY("[[null]]"),
         "! row 0, column 0: null has no value in this type (input \"x\", int64)"},
        {"x bool N 1", NULL, BODY("[[2]]"),
         "! row 0, column 0: 2 is out of range (input \"x\", bool)"},
        {"x float32 N 2", "dtype=int64", BODY("[[1,2.5]]"),
         "! row 0, column 1: 2.5 is not a whole number (input \"x\", float32)"},
        {"x int64 N 2", "dtype=float32", BODY("[[1,16777217]]"),
         "! row 0, column 1: 16777217 is changed by TABULAR_DTYPE or the input map's type (input "
         "\"x\", int64)"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

static void rounds_narrow_floats_once(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {"x float16 N 3", NULL, BODY("[[0.1,65504,65520]]"),
         "x float16[1,3] 0.0999755859 65504 inf"},
        /* Just above the tie between 1 and 1 + 2^-10: by way of float32 it would be a tie. */
        {"x float16 N 1", NULL, BODY("[[1.00048828126]]"), "x float16[1,1] 1.00097656"},
        {"x float16 N 1", NULL, BODY("[[1.0004882812500003]]"), "x float16[1,1] 1.00097656"},
        {"x float16 N 1", NULL, BODY("[[1.00048828125]]"), "x float16[1,1] 1"},
        {"x bfloat16 N 2", NULL, BODY("[[0.1,null]]"), "x bfloat16[1,2] 0.100097656 nan"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

static void takes_strings(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {"s string N 2", NULL, BODY("[[\"a\",\"\"],[\"b\\\"\\u00e9\",\"NaN\"]]"),
         "s string[2,2] 'a' '' 'b\"\xc3\xa9' 'NaN'"},
        {"s string N", NULL, BODY("[\"a\",\"b\"]"), "s string[2] 'a' 'b'"},
        {"s string N 1", NULL, BODY("[[1]]"),
         "! row 0, column 0: 1 is not a string (input \"s\", string)"},
        {"s string N 1", NULL, BODY("[[null]]"),
         "! row 0, column 0: null has no value in this type (input \"s\", string)"},
        {"s string N 1", NULL, BODY("[[[\"a\"]]]"),
         "! input \"s\" takes the shape [N, 1], got rows of shape [1, 1]"},
        {SUM3, NULL, BODY("[[\"a\",2,3]]"),
         "! row 0, column 0: \"a\" is not a number (input \"x\", float32)"},
        {SUM3, NULL, BODY("[[1,2,3],[4,\"5\",6]]"),
         "! row 1, column 1: \"5\" is not a number (input \"x\", float32)"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

#define PEOPLE "age int64 N 1; city string N 1"

static void feeds_inputs_by_name(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {PEOPLE, NULL, BODY("{\"age\":3,\"city\":\"x\"}"),
         "age int64[1,1] 3; city string[1,1] 'x'"},
        {PEOPLE, NULL, BODY("[{\"age\":3,\"city\":\"x\"},{\"city\":\"y\",\"age\":4,\"extra\":[]}]"),
         "age int64[2,1] 3 4; city string[2,1] 'x' 'y'"},
        {PEOPLE, NULL, BODY("{\"instances\":[{\"age\":[3],\"city\":[\"x\"]}]}"),
         "age int64[1,1] 3; city string[1,1] 'x'"},
        {PEOPLE, NULL, BODY("{\"age\":[[3],[4]],\"city\":[[\"x\"],[\"y\"]]}"),
         "age int64[2,1] 3 4; city string[2,1] 'x' 'y'"},
        {PEOPLE, NULL, BODY("{\"age\":[3,4],\"city\":[\"x\",\"y\"],\"extra\":1}"),
         "age int64[2,1] 3 4; city string[2,1] 'x' 'y'"},
        {PEOPLE, NULL, BODY("{\"age\":[3],\"city\":[\"x\"],\"age\":[5]}"),
         "age int64[1,1] 5; city string[1,1] 'x'"},
        {"a float32 N 2; b float32 N", NULL, BODY("{\"a\":[1,2],\"b\":[3]}"),
         "a float32[1,2] 1 2; b float32[1] 3"},
        {"a float32 N 2; b float32 N", NULL, BODY("[{\"a\":[1,2],\"b\":3},{\"a\":[4,5],\"b\":6}]"),
         "a float32[2,2] 1 2 4 5; b float32[2] 3 6"},
        {"a float32 N 2; t float32", NULL, BODY("{\"a\":[[1,2],[3,4]],\"t\":0.5}"),
         "a float32[2,2] 1 2 3 4; t float32[] 0.5"},
        {"a float32 N 2; w float32 1 2", NULL, BODY("{\"a\":[[1,2],[3,4]],\"w\":[5,6]}"),
         "a float32[2,2] 1 2 3 4; w float32[1,2] 5 6"},
        {"a float32 *; b float32 *", NULL, BODY("{\"a\":[1,2],\"b\":[[3],[4]]}"),
         "a float32[2] 1 2; b float32[2,1] 3 4"},
        {"a float32 N 1; o optional", NULL, BODY("{\"a\":[[1]]}"), "a float32[1,1] 1; o none[]"},
        {"features float32 N 2; b float32 N 1", NULL, BODY("[{\"features\":[1,2],\"b\":3}]"),
         "features float32[1,2] 1 2; b float32[1,1] 3"},
        {"features float32 N 2", NULL, BODY("{\"features\":[[1,2],[3,4]]}"),
         "features float32[2,2] 1 2 3 4"},
        {"a float32 N 1; b float32 N 1", "unequal", BODY("{\"a\":[[1],[2]],\"b\":[[3]]}"),
         "a float32[2,1] 1 2; b float32[1,1] 3"},
        {"a float32 N 1; b float32 N 1", NULL, BODY("{\"a\":[[1],[2]],\"b\":[[3]]}"),
         "! the inputs' rows disagree: \"a\" has 2, \"b\" has 1"},
        {"a float32 N 1; b float32 N 1; c float32 N 1", NULL, BODY("{\"b\":[[1]]}"),
         "! no values for the model's inputs: \"a\", \"c\""},
        {PEOPLE, NULL, BODY("[{\"age\":3,\"city\":\"x\"},{\"age\":4}]"),
         "! row 1: the record has no value for input \"city\""},
        {PEOPLE, NULL, BODY("[{\"age\":3,\"city\":\"x\"},5]"),
         "! row 1: a number where a record is expected"},
        {PEOPLE, NULL, BODY("[{\"age\":3,\"city\":7}]"),
         "! row 0: 7 is not a string (input \"city\", string)"},
        {PEOPLE, NULL, BODY("[[1,2]]"),
         "! a bare matrix feeds input \"age\" alone; name the values of all inputs: \"age\", "
         "\"city\""},
        {PEOPLE, NULL, BODY("{\"foo\":1}"),
         "! the object has no known key: looked for \"instances\", \"features\" and the model's "
         "inputs \"age\", \"city\""},
        {PEOPLE, NULL, BODY("[{\"foo\":1}]"),
         "! the object has no known key: looked for \"instances\", \"features\" and the model's "
         "inputs \"age\", \"city\""},
        {PEOPLE, NULL, BODY("{\"age\":[],\"city\":[]}"), "! the payload has no rows"},
        {"t float32", NULL, BODY("[{\"t\":1},{\"t\":2}]"),
         "! input \"t\" takes exactly 1 row a request, got 2"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

#define ADD2 "a float32 N 1; b float32 N 1"
#define MAP "map=fa:a,fb:b"

static void stacks_mapped_records(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {ADD2, MAP, BODY("[{\"fa\":[1],\"fb\":[2]},{\"fa\":[3],\"fb\":[4]}]"),
         "a float32[2,1] 1 3; b float32[2,1] 2 4"},
        {ADD2, MAP, BODY("{\"fa\":[1],\"fb\":[2]}"), "a float32[1,1] 1; b float32[1,1] 2"},
        {ADD2, MAP, BODY("{\"instances\":[{\"fa\":[1],\"fb\":[2],\"c\":3}]}"),
         "a float32[1,1] 1; b float32[1,1] 2"},
        {ADD2, MAP, BODY("{\"fa\":1,\"fb\":2}"), "a float32[1,1] 1; b float32[1,1] 2"},
        {ADD2, "map=fa:a:int64,fb:b", BODY("{\"fa\":1.5,\"fb\":2}"),
         "! row 0: 1.5 is not a whole number (input \"a\", float32)"},
        {"a float32 N 2 2; b string N", MAP, BODY("[{\"fa\":[[1,2],[3,4]],\"fb\":\"s\"}]"),
         "a float32[1,2,2] 1 2 3 4; b string[1] 's'"},
        {ADD2, MAP, BODY("[{\"fa\":[1]}]"),
         "! Missing key 'fb' in one of the records for ONNX multi-input"},
        {ADD2, MAP, BODY("[{\"a\":[1],\"b\":[2]}]"),
         "! Missing key 'fa' in one of the records for ONNX multi-input"},
        {ADD2, MAP, BODY("[]"), "! the payload has no rows"},
        {ADD2, MAP, BODY("[[1,2]]"), "! row 0: an array where a record is expected"},
        {ADD2, MAP, BODY("7"), "! a number where an array or an object with rows is expected"},
        {ADD2, MAP, BODY("[{\"fa\":[1],\"fb\":[2]},{\"fa\":[1,2],\"fb\":[2]}]"),
         "! row 1: 2 values where the first row has 1 (input \"a\")"},
        {ADD2, MAP, BODY("[{\"fa\":[1,2],\"fb\":[2]}]"),
         "! input \"a\" takes the shape [N, 1], got rows of 2 values"},
        {ADD2, MAP, BODY("[{\"fa\":[],\"fb\":[2]}]"), "! row 0: an array without values"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

static void selects_columns(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, "ids=0", BODY("[[99,1,2,3]]"), "x float32[1,3] 1 2 3"},
        {SUM3, "ids=0", BODY("[[\"id-7\",1,2,3],[null,4,5,6]]"), "x float32[2,3] 1 2 3 4 5 6"},
        {SUM3, "ids=0", BODY("[99,1,2,3]"), "x float32[1,3] 1 2 3"},
        {SUM3, "features=0,2,3", BODY("[[1,9,2,3]]"), "x float32[1,3] 1 2 3"},
        {SUM3, "features=3,2,0", BODY("[[1,9,2,3]]"), "x float32[1,3] 3 2 1"},
        {SUM3, "features=:3 count=3", BODY("[[1,2,3,9]]"), "x float32[1,3] 1 2 3"},
        {SUM3, "ids=3: count=3", BODY("[[1,2,3,9,8]]"), "x float32[1,3] 1 2 3"},
        {SUM3, "ids=1 features=0:4", BODY("[[1,9,2,3,8]]"), "x float32[1,3] 1 2 3"},
        {"x float32 N", "ids=0", BODY("[[7,1],[8,2]]"), "x float32[2] 1 2"},
        {SUM3, "ids=3:", BODY("[[1,2,3]]"), "x float32[1,3] 1 2 3"},
        {SUM3, "ids=0", BODY("[[1,2,3]]"),
         "! input \"x\" takes the shape [N, 3], got rows of 2 values"},
        {SUM3, "features=0,2,3", BODY("[[1,2,3]]"),
         "! TABULAR_FEATURE_COLUMNS selects column 3, but the rows have 3 columns"},
        {SUM3, "features=:4", BODY("[[1,2,3]]"),
         "! TABULAR_FEATURE_COLUMNS selects column 3, but the rows have 3 columns"},
        {SUM3, "ids=4:", BODY("[[1,2,3]]"),
         "! TABULAR_ID_COLUMNS selects column 4, but the rows have 3 columns"},
        {SUM3, "ids=:", BODY("[[1,2,3]]"), "! no features are left of 3 columns"},
        {SUM3, "ids=0", BODY("[[9,1,2,3],[9,1,2]]"),
         "! row 1: 3 values where the first row has 4 (input \"x\")"},
        {SUM3, "ids=0", BODY("[[9,1,2,3],[9,1,\"b\",3]]"),
         "! row 1, column 2: \"b\" is not a number (input \"x\", float32)"},
        {"x float32 N 1 1", "ids=0", BODY("[[[1]]]"),
         "! columns can be selected from flat rows only"},
        {SUM3, "count=4", BODY("[[1,2,3]]"),
         "! Feature count mismatch: got 3 expected TABULAR_NUM_FEATURES=4"},
        {SUM3, "count=3 ids=0", BODY("[[1,2,3]]"),
         "! Feature count mismatch: got 2 expected TABULAR_NUM_FEATURES=3"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

static void refuses_shapes(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {"x float32 N 4", NULL, BODY("[[1,2,3]]"),
         "! input \"x\" takes the shape [N, 4], got rows of 3 values"},
        {SUM3, NULL, BODY("[[[1,2,3]]]"),
         "! input \"x\" takes the shape [N, 3], got rows of shape [1, 3]"},
        {SUM3, NULL, BODY("[[1,2,3],[4,5]]"),
         "! row 1: 2 values where the first row has 3 (input \"x\")"},
        {SUM3, NULL, BODY("[[1,2,3],4]"),
         "! row 1: a number where the first row has an array of 3 (input \"x\")"},
        {SUM3, NULL, BODY("[[1,2,3],[4,5,[6]]]"),
         "! row 1, column 2: an array stands where a single value is expected (input \"x\", "
         "float32)"},
        {SUM3, NULL, BODY("[1,[2],3]"),
         "! row 0, column 1: an array stands where a single value is expected (input \"x\", "
         "float32)"},
        {"x float32 N 2 2", NULL, BODY("[[[1,2],[3,4]],[[5,6],[7]]]"),
         "! row 1: 1 value where the first row has 2 (input \"x\")"},
        {SUM3, NULL, BODY("[]"), "! the payload has no rows"},
        {SUM3, NULL, BODY("{\"instances\":[]}"), "! the payload has no rows"},
        {SUM3, NULL, BODY("[[]]"), "! row 0: an array without values"},
        {SUM3, NULL, BODY("[[1,2,3],[]]"),
         "! row 1: 0 values where the first row has 3 (input \"x\")"},
        {SUM3, NULL, BODY("null"), "! null where an array or an object with rows is expected"},
        {SUM3, NULL, BODY("\"a\""), "! a string where an array or an object with rows is expected"},
        {SUM3, NULL, BODY("{\"instances\":3}"),
         "! a number where an array or an object with rows is expected"},
        {SUM3, NULL, BODY("{\"foo\":[1,2,3]}"),
         "! the object has no known key: looked for \"instances\", \"features\" and the model's "
         "inputs \"x\""},
        {SUM3, NULL, BODY("[{\"features\":[1,2,3]},{\"feature\":[1,2,3]}]"),
         "! row 1: the object has no key \"features\""},
        {SUM3, NULL, BODY("[{\"features\":[1,2,3]},[1,2,3]]"),
         "! row 1: an array where an object with the key \"features\" is expected"},
        {"x float32 2 3", NULL, BODY("[[1,2,3]]"),
         "! input \"x\" takes exactly 2 rows a request, got 1"},
        {"x float32 N a ?", NULL, BODY("[[1,2,3],[1]]"),
         "! row 0: 1 value where the first row has 3 (input \"x\")"},
        {"x float32 *", NULL, BODY("[[[[[[[[[1]]]]]]]]]"),
         "! row 0: arrays nested deeper than a tensor's dimensions"},
        {"x float32 *", NULL, BODY("[[[[[[[[1]]]]]]]]"), "x float32[1,1,1,1,1,1,1,1] 1"},
        {"x float32 *", NULL, BODY("[[[1,2,3],1,2,3]]"),
         "! row 0: a number where the first row has an array of 3 (input \"x\")"},
        /* The first arrays promise 6 x 6 x 6 values that are not there. */
        {"x float32 *", NULL, BODY("[[[[1,2,3,4,5,6],1,2,3,4,5],1,2,3,4,5]]"),
         "! ragged arrays: the first row has the shape of 216 values, more than the payload can "
         "hold"},
        {SUM3, "max=2", BODY("[[1,2,3],[4,5,6]]"), "x float32[2,3] 1 2 3 4 5 6"},
        {SUM3, "max=2", BODY("[[1,2,3],[4,5,6],[7,8,9]]"), "! too_many_records: 3 > 2"},
        {ADD2, "max=1", BODY("[{\"a\":1,\"b\":2},{\"a\":1,\"b\":2}]"), "! too_many_records: 2 > 1"},
        {ADD2, "max=1", BODY("{\"a\":[1,2],\"b\":[1,2]}"), "! too_many_records: 2 > 1"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

static void refuses_what_is_not_json(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY(""), "! invalid JSON at byte 0: the text is empty"},
        {SUM3, NULL, BODY("  "), "! invalid JSON at byte 0 (line 1, column 1): *"},
        {SUM3, NULL, BODY("[[1,2,3]"), "! invalid JSON at byte 8 (line 1, column 9): *"},
        {SUM3, NULL, BODY("[[1,2,3],]"), "! invalid JSON at byte 8 (line 1, column 9): *"},
        {SUM3, NULL, BODY("[[1,2,3]] x"), "! invalid JSON at byte 10 (line 1, column 11): *"},
        {SUM3, NULL, BODY("[['1',2,3]]"), "! invalid JSON at byte 2 (line 1, column 3): *"},
        {SUM3, NULL, BODY("[[1,2,+3]]"), "! invalid JSON at byte 6 (line 1, column 7): *"},
        {SUM3, NULL, BODY("[[1,2,03]]"), "! invalid JSON at byte 6 (line 1, column 7): *"},
        {SUM3, NULL, BODY("[[1,2,nan]]"), "! invalid JSON at byte 6: unknown literal"},
        {SUM3, NULL, BODY("[[1,2,-NaN]]"), "! invalid JSON at byte 7: unknown literal"},
        {SUM3, NULL, BODY("[[1,2,inf]]"), "! invalid JSON at byte 6: unknown literal"},
        {SUM3, NULL, BODY("[[1,2,\"\xff\"]]"), "! invalid UTF-8 at byte 7"},
        {SUM3, NULL, BODY("[[1,2,3]]\xc3"), "! invalid UTF-8 at byte 9"},
        {SUM3, NULL, BODY("[[1,2,3\0]]"), "! invalid JSON at byte 7 (line 1, column 8): *"},
        {"s string N 1", NULL, BODY("[[\"\\ud800\"]]"),
         "! invalid JSON at byte 9 (line 1, column 10): *"},
        {SUM3, NULL, BODY("[\n[1,2,3],\n[1,2,}]]"),
         "! invalid JSON at byte 16 (line 3, column 6): *"},
    };
    RUN_CASES(MEDIA_JSON, cases);
}

/* A million brackets are refused before anything is allocated for them. */
static void bounds_nesting(void **state)
{
    (void)state;
    static char body[1000000];
    struct codec_fixture fixture;
    struct codec_plan *plan;
    struct codec_inputs inputs;
    struct error error;
    struct arena arena;
    memset(body, '[', sizeof(body));
    fixture_init(&fixture, SUM3, "y float32 N 1", NULL);
    assert_int_equal(codec_plan_new(&fixture.options, &fixture.signature, &plan, &error), ERR_OK);
    arena_init(&arena, 4096, 8192);
    for (unsigned closed = 0; closed < 2; closed++) {
        assert_int_equal(
            codec_decode(plan, MEDIA_JSON, slice_make(body, sizeof(body)), &arena, &inputs, &error),
            ERR_INVALID);
        assert_string_equal(error.text, "invalid JSON at byte 128: nested too deeply");
        memset(body + sizeof(body) / 2, ']', sizeof(body) / 2);
    }
    arena_done(&arena);
    codec_plan_free(plan);
}

/* The tree takes what json_document.h says it takes at most. */
static void bounds_the_tree(void **state)
{
    (void)state;
    static const char *const units[] = {"1,",  "[],",        "\"\",",
                                        "{},", "123456789,", "\"aaaaaaaaaaaa\","};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        static char body[300000];
        size_t len = 0;
        body[len++] = '[';
        while (len + 20 < sizeof(body)) {
            len += (size_t)snprintf(body + len, sizeof(body) - len, "%s", units[i]);
        }
        body[len - 1] = ']';
        struct arena arena;
        struct json_reader reader;
        const struct json_value *root;
        struct error error;
        arena_init(&arena, 1024, 13 * len + 1024 + 512);
        json_reader_init(&reader, &arena, 0);
        assert_int_equal(json_reader_read(&reader, slice_make(body, len), 0, &root, &error),
                         ERR_OK);
        assert_int_equal(json_value_kind(root), JSON_ARRAY);
        arena_done(&arena);
    }
}

static void reads_a_long_number(void **state)
{
    (void)state;
    static char body[1000000];
    static const struct {
        const char *signature;
        const char *want;
    } cases[] = {
        {"x float64 N 1", "x float64[1,1] inf"},
        {"x int64 N 1", "! row 0, column 0: 1111111111111111111111111111111111111111... is out of "
                        "range (input \"x\", int64)"},
    };
    memset(body, '1', sizeof(body));
    memcpy(body, "[[", 2);
    memcpy(body + sizeof(body) - 2, "]]", 2);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[FIXTURE_TEXT];
        struct decode_case test = {cases[i].signature, NULL, {body, sizeof(body)}, NULL};
        decode_to_text(MEDIA_JSON, &test, text);
        assert_string_equal(text, cases[i].want);
    }
}

/* What the short way takes it takes as the long way does: a member behind the matrix forces that. */
static void agrees_on_both_ways(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1",
        "-1",
        "123456789",
        "0.1",
        "1e22",
        "1e23",
        "1E+2",
        "1e-22",
        "1e-23",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "0.30000001192092896",
        "2.2250738585072014e-308",
        "4.9e-324",
        "1.7976931348623157e308",
        "1e309",
        "-1e309",
        "1e-400",
        "1e99999",
        "1e-99999",
        "123456789012345678901234567890.5",
        "0.000000000000000000000000000001",
        "5.0000000000000000000000000000000000000001",
        "true",
        "false",
        "null",
        "NaN",
        "Infinity",
        "-Infinity",
        "255",
        "256",
        "-128",
        "3.0",
        "3.5",
    };
    static const char *const dtypes[] = {"float32", "float64", "float16", "int8", "uint8",
                                         "int32",   "int64",   "uint64",  "bool", "uint16"};
    for (size_t d = 0; d < sizeof(dtypes) / sizeof(dtypes[0]); d++) {
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
            char signature[64];
            char plain[256];
            char wrapped[300];
            char first[FIXTURE_TEXT];
            char second[FIXTURE_TEXT];
            snprintf(signature, sizeof(signature), "x %s N 2", dtypes[d]);
            snprintf(plain, sizeof(plain), "[[%s,1],[1, %s ]]", numbers[n], numbers[n]);
            snprintf(wrapped, sizeof(wrapped), "{\"instances\":%s,\"z\":0}", plain);
            struct decode_case test = {signature, NULL, slice_from_str(plain), NULL};
            decode_to_text(MEDIA_JSON, &test, first);
            test.body = slice_from_str(wrapped);
            decode_to_text(MEDIA_JSON, &test, second);
            assert_string_equal(first, second);
        }
    }
}

/* Nothing is allocated for a plain matrix once the recycler and the arena are warm. */
static void allocates_nothing_when_warm(void **state)
{
    (void)state;
    struct codec_fixture fixture;
    struct codec_plan *plan;
    struct codec_inputs inputs;
    struct error error;
    struct arena arena;
    uint64_t before = 0;
    fixture_init(&fixture, SUM3, "y float32 N 1", NULL);
    assert_int_equal(codec_plan_new(&fixture.options, &fixture.signature, &plan, &error), ERR_OK);
    arena_init(&arena, 4096, 1 << 20);
    static const char *const bodies[] = {"[[1,2,3]]", "{\"x\":[[1,2,3]]}"};
    for (unsigned round = 0; round < 4; round++) {
        if (round == 2) {
            before = mem_allocations();
        }
        assert_int_equal(codec_decode(plan, MEDIA_JSON, slice_from_str(bodies[round % 2]), &arena,
                                      &inputs, &error),
                         ERR_OK);
        codec_inputs_done(&inputs);
        arena_reset(&arena);
    }
    uint64_t more = mem_allocations() - before;
    arena_done(&arena);
    codec_plan_free(plan);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    more = 0; /* nothing is recycled under a sanitizer */
#endif
#endif
    assert_int_equal(more, 0);
#endif
    buffer_recycler_done();
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY("[[1,2,3],[4,5,6]]"), NULL},
        {SUM3, "ids=0", BODY("[[9,1,2,3],[9,4,5,6]]"), NULL},
        {PEOPLE, NULL, BODY("[{\"age\":3,\"city\":\"x\"},{\"age\":4,\"city\":\"yy\"}]"), NULL},
        {PEOPLE, "map=a:age,b:city features=1,2 names=u,v",
         BODY("[{\"a\":3,\"b\":\"x\"},{\"a\":4,\"b\":\"yy\"}]"), NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        torture(MEDIA_JSON, &cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_matrices),
        cmocka_unit_test(tells_garbage_from_shapes),
        cmocka_unit_test(takes_what_the_reference_takes),
        cmocka_unit_test(keeps_integers_exact),
        cmocka_unit_test(rounds_narrow_floats_once),
        cmocka_unit_test(takes_strings),
        cmocka_unit_test(feeds_inputs_by_name),
        cmocka_unit_test(stacks_mapped_records),
        cmocka_unit_test(selects_columns),
        cmocka_unit_test(refuses_shapes),
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(bounds_nesting),
        cmocka_unit_test(bounds_the_tree),
        cmocka_unit_test(reads_a_long_number),
        cmocka_unit_test(agrees_on_both_ways),
        cmocka_unit_test(allocates_nothing_when_warm),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
