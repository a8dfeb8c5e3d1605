/* CSV bodies: dialect, headers, selection, types, and what is refused with which words. */
#include "unit_tests/codec_cases.h"

#define SUM3 "x float32 N 3"
#define WANT_123 "x float32[1,3] 1 2 3"
#define WANT_6 "x float32[2,3] 1 2 3 4 5 6"

static void reads_the_dialect(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY("1,2,3\n4,5,6\n"), WANT_6},
        {SUM3, NULL, BODY("1,2,3\r\n4,5,6\r\n"), WANT_6},
        {SUM3, NULL, BODY("1,2,3\r4,5,6\r"), WANT_6},
        {SUM3, NULL, BODY("1,2,3"), WANT_123},
        {SUM3, NULL, BODY("\n1,2,3\n\n4,5,6\n \t\r\n\n"), WANT_6},
        {SUM3, NULL, BODY(" 1 , 2 ,\t3 \n"), WANT_123},
        {SUM3, NULL, BODY("+1,2.,.5\n"), "x float32[1,3] 1 2 0.5"},
        {SUM3, NULL, BODY("nan,-inf,Infinity\n"), "x float32[1,3] nan -inf inf"},
        {SUM3, NULL, BODY("1e39,-0,1e-3\n"), "x float32[1,3] inf -0 0.00100000005"},
        {SUM3, NULL, BODY("\"1\",\" 2 \", \"3\" \n"), WANT_123},
        {SUM3, NULL,
         BODY("\xef\xbb\xbf"
              "1,2,3\n"),
         WANT_123},
        {SUM3, "delimiter=;", BODY("1;2;3\n"), WANT_123},
        {SUM3, "delimiter=T", BODY("1\t 2 \t3\n"), WANT_123},
        {"s string N 2", NULL, BODY("\"a,b\",\"c\nd\"\n\"say \"\"hi\"\"\",\n"),
         "s string[2,2] 'a,b' 'c\nd' 'say \"hi\"' ''"},
        {"s string N 2", NULL, BODY(" x y ,5\" pipe\n"), "s string[1,2] 'x y' '5\" pipe'"},
        {"s string N 2", NULL, BODY("\" x \",\"\"\n"), "s string[1,2] ' x ' ''"},
        {"x float32 N", NULL, BODY("1\n2\n3\n"), "x float32[3] 1 2 3"},
        {"x float32 N F", NULL, BODY("1,2\n"), "x float32[1,2] 1 2"},
        {"x float32 *", NULL, BODY("1,2\n3,4\n"), "x float32[2,2] 1 2 3 4"},
        {"x float32 2 3", NULL, BODY("1,2,3\n4,5,6\n"), WANT_6},
    };
    RUN_CASES(MEDIA_CSV, cases);
}

static void finds_the_header(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY("a,b,c\n1,2,3\n"), WANT_123},
        {SUM3, NULL, BODY("\n1,b,3\n1,2,3\n"), WANT_123},
        {SUM3, NULL, BODY("\"a\nb\",b,c\n1,2,3\n"), WANT_123},
        {SUM3, "header=true", BODY("7,8,9\n1,2,3\n"), WANT_123},
        {SUM3, "header=true delimiter=;", BODY("a;b;c\n1;2;3\n"), WANT_123},
        {SUM3, "header=false", BODY("a,b,c\n1,2,3\n"),
         "! line 1, row 0, column 0: \"a\" is not a number (input \"x\", float32)"},
        {SUM3, NULL, BODY("1,2,3\na,b,c\n"),
         "! line 2, row 1, column 0: \"a\" is not a number (input \"x\", float32)"},
        {SUM3, NULL, BODY("a,b,c\n"), "! the payload has a header but no rows"},
        {SUM3, "header=true", BODY("1,2,3\n\n"), "! the payload has a header but no rows"},
        {"s string N 2", NULL, BODY("a,b\nc,d\n"), "s string[2,2] 'a' 'b' 'c' 'd'"},
        {"s string N 2", "header=true", BODY("a,b\nc,d\n"), "s string[1,2] 'c' 'd'"},
        {"b bool N 2", NULL, BODY("true,False\n1,0\n"), "b bool[2,2] 1 0 1 0"},
        {"b bool N 2", NULL, BODY("yes,no\n1,0\n"), "b bool[1,2] 1 0"},
    };
    RUN_CASES(MEDIA_CSV, cases);
}

#define NAMES "names=a,b,c"
#define PEOPLE "age int64 N 1; city string N"

static void places_columns_by_name(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NAMES, BODY("c,a,b\n3,1,2\n6,4,5\n"), WANT_6},
        {SUM3, NAMES, BODY("a,b,c\n1,2,3\n"), WANT_123},
        {SUM3, NAMES, BODY("c,id,a,b\n3,u-1,1,2\n"), WANT_123},
        {SUM3, NAMES " ids=1", BODY("c,id,a,b\n3,u-1,1,2\n"), WANT_123},
        {SUM3, NAMES " count=3", BODY("c,a,b\n3,1,2\n"), WANT_123},
        {SUM3, NAMES, BODY("u,v,w\n1,2,3\n"), WANT_123},
        {SUM3, NAMES, BODY("1,2,3\n"), WANT_123},
        {SUM3, NAMES " header=false", BODY("1,2,3\n"), WANT_123},
        {SUM3, NAMES " features=2,1,0", BODY("c,b,a\n3,2,1\n"), WANT_123},
        {SUM3, NAMES, BODY("a,b,z\n1,2,3\n"), "! the header has no column for the feature \"c\""},
        {SUM3, NAMES, BODY("a,b,a,c\n1,2,3,4\n"), "! the header has the column \"a\" twice"},
        {PEOPLE, NULL, BODY("city,age\nx,3\n\"y, z\",4\n"),
         "age int64[2,1] 3 4; city string[2] 'x' 'y, z'"},
        {PEOPLE, NULL, BODY("id,city,age\n7,x,3\n"), "age int64[1,1] 3; city string[1] 'x'"},
        {PEOPLE, "header=true", BODY("age,city\n3,x\n"), "age int64[1,1] 3; city string[1] 'x'"},
        {"a float32 N 1; b float32 *", NULL, BODY("b,a\n1,2\n"),
         "a float32[1,1] 2; b float32[1,1] 1"},
        {"age float32 N 1", NULL, BODY("id,age\nu,3\n"), "age float32[1,1] 3"},
        /* The one input takes a matrix: a feature of the same name is a feature. */
        {"a float32 N F", NULL, BODY("a,b\n1,2\n"), "a float32[1,2] 1 2"},
        {PEOPLE, NULL, BODY("age,city,age\n3,x,4\n"), "! the header has the column \"age\" twice"},
        {PEOPLE, NULL, BODY("age,town\n3,x\n"),
         "! a bare matrix feeds input \"age\" alone; name the values of all inputs: \"age\", "
         "\"city\""},
        {PEOPLE, NULL, BODY("city,age\nx,3.5\n"),
         "! line 2, row 0, column 1: 3.5 is not a whole number (input \"age\", int64)"},
        {"a float32 N 2; b float32 N", NULL, BODY("a,b\n1,2\n"),
         "! a bare matrix feeds input \"a\" alone; name the values of all inputs: \"a\", \"b\""},
    };
    RUN_CASES(MEDIA_CSV, cases);
}

static void selects_columns(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, "features=1:4", BODY("id,a,b,c\n5,1,2,3\n"), WANT_123},
        {SUM3, "ids=3: count=3", BODY("1,2,3,77\n"), WANT_123},
        {SUM3, "ids=0 header=false", BODY("u-1,1,2,3\nu-2,4,5,6\n"), WANT_6},
        /* A table written with its index names that column "". */
        {SUM3, "ids=0", BODY(",0,1,2\n0,1,2,3\n1,4,5,6\n"), WANT_6},
        {SUM3, "ids=0", BODY(" \t,0,1,2\n0,1,2,3\n"), WANT_123},
        {SUM3, "features=1:4", BODY("\"\",0,1,2\n0,1,2,3\n"), WANT_123},
        {SUM3, "ids=0 header=false", BODY(",1,2,3\n,4,5,6\n"), WANT_6},
        {SUM3, "ids=0", BODY("7,1,,3\n8,4,5,6\n"),
         "! line 1, row 0, column 2: the cell is empty (input \"x\", float32)"},
        {"x float32 N", "ids=0 header=true", BODY("id,v\na,1\nb,2\n"), "x float32[2] 1 2"},
        {SUM3, "count=3", BODY("1,2\n"),
         "! Feature count mismatch: got 2 expected TABULAR_NUM_FEATURES=3"},
        {SUM3, "features=0,9", BODY("1,2\n"),
         "! TABULAR_FEATURE_COLUMNS selects column 9, but the rows have 2 columns"},
    };
    RUN_CASES(MEDIA_CSV, cases);
}

static void keeps_integers_exact(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {"x int64 N 2", NULL, BODY("9223372036854775807,-9223372036854775808\n"),
         "x int64[1,2] 9223372036854775807 -9223372036854775808"},
        {"x uint64 N 1", NULL, BODY("18446744073709551615\n"),
         "x uint64[1,1] 18446744073709551615"},
        {"x int32 N 2", NULL, BODY("3.0,+7\n"), "x int32[1,2] 3 7"},
        {"x uint64 N 1", NULL, BODY("18446744073709551616\n"),
         "! line 1, row 0, column 0: 18446744073709551616 is out of range (input \"x\", uint64)"},
        {"x uint8 N 2", NULL, BODY("1,2\n3,300\n"),
         "! line 2, row 1, column 1: 300 is out of range (input \"x\", uint8)"},
        {"x int64 N 1", NULL, BODY("3.50\n"),
         "! line 1, row 0, column 0: 3.50 is not a whole number (input \"x\", int64)"},
        {"x int64 N 1", NULL, BODY("nan\n"),
         "! line 1, row 0, column 0: nan is out of range (input \"x\", int64)"},
        {"x int64 N 2", "dtype=float64", BODY("9007199254740993,1\n"),
         "! line 1, row 0, column 0: 9007199254740993 is changed by TABULAR_DTYPE or the input "
         "map's type (input \"x\", int64)"},
    };
    RUN_CASES(MEDIA_CSV, cases);
}

static void refuses_what_is_wrong(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY(""), "! the payload has no rows"},
        {SUM3, NULL, BODY("\n \n"), "! the payload has no rows"},
        {SUM3, NULL, BODY("\xef\xbb\xbf"), "! the payload has no rows"},
        {SUM3, NULL, BODY("1,2,3\n4,5\n"), "! line 2, row 1: 2 cells where the first line has 3"},
        {SUM3, NULL, BODY("1,2,3\n4,5,6,7,8\n"),
         "! line 2, row 1: 5 cells where the first line has 3"},
        {SUM3, NULL, BODY("1,2,3,\n"),
         "! line 1, row 0, column 3: the cell is empty (input \"x\", float32)"},
        {SUM3, NULL, BODY("1,2,3\n\n4,,6\n"),
         "! line 3, row 1, column 1: the cell is empty (input \"x\", float32)"},
        {SUM3, NULL, BODY("1,2\n"), "! input \"x\" takes the shape [N, 3], got rows of 2 values"},
        {"x float32 N", NULL, BODY("1,2\n"),
         "! input \"x\" takes the shape [N], got rows of 2 values"},
        {"x float32 2 3", NULL, BODY("1,2,3\n"),
         "! input \"x\" takes exactly 2 rows a request, got 1"},
        {SUM3, "blanks", BODY("1,2,3\n\n4,5,6\n"), "! line 2, row 1: the line is blank"},
        {SUM3, "blanks", BODY("\n1,2,3\n"), "! line 1: the line is blank"},
        {SUM3, "blanks", BODY("1,2,3\n"), WANT_123},
        {SUM3, NULL, BODY("1,2,0x10\n4,5,6\n7,8,0x10"),
         "! line 3, row 1, column 2: \"0x10\" is not a number (input \"x\", float32)"},
        {SUM3, NULL, BODY("1,2,3\n4,1_000,6\n"),
         "! line 2, row 1, column 1: \"1_000\" is not a number (input \"x\", float32)"},
        {"s string N 2", NULL, BODY("a,\"b\nc,d\n"), "! line 1: a quote is not closed"},
        {"s string N 2", NULL, BODY("a,b\nc,\"d\" e\n"), "! line 2: text behind a closing quote"},
        {SUM3, NULL, BODY("1,2,\xc3\x28\n"), "! invalid UTF-8 at byte 4"},
        {SUM3, "max=1", BODY("1,2,3\nx\n\n7,8,9\n"), "! too_many_records: 3 > 1"},
        {SUM3, "max=2", BODY("h,h,h\n1,2,3\n4,5,6\n\n"), WANT_6},
    };
    RUN_CASES(MEDIA_CSV, cases);
}

/* The columns of a hostile first line are not paid for. */
static void bounds_columns(void **state)
{
    (void)state;
    static char body[200001];
    char text[FIXTURE_TEXT];
    memset(body, ',', sizeof(body));
    struct decode_case test = {"x float32 N F", NULL, {body, sizeof(body)}, NULL};
    decode_to_text(MEDIA_CSV, &test, text);
    assert_string_equal(text, "! too many columns: 200002 > 65536");
    test.signature = "x float32 N 200002";
    decode_to_text(MEDIA_CSV, &test, text);
    assert_string_equal(text,
                        "! line 1, row 0, column 0: the cell is empty (input \"x\", float32)");
}

/* Lines counted through quoted cells, so that a message names the line an editor shows. */
static void counts_lines(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {"s string N; x float32 N", NULL, BODY("s,x\r\n\"a\r\nb\",1\r\n\r\n\"c\rd\",z\r\n"),
         "! line 5, row 1, column 1: \"z\" is not a number (input \"x\", float32)"},
    };
    RUN_CASES(MEDIA_CSV, cases);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {SUM3, NULL, BODY("1,2,3\n4,5,6\n"), NULL},
        {SUM3, NAMES, BODY("c,a,b\n3,1,2\n6,4,5\n"), NULL},
        {PEOPLE, NULL, BODY("city,age\n\"x\"\"\",3\ny,4\n"), NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        torture(MEDIA_CSV, &cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_dialect),
        cmocka_unit_test(finds_the_header),
        cmocka_unit_test(places_columns_by_name),
        cmocka_unit_test(selects_columns),
        cmocka_unit_test(keeps_integers_exact),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(bounds_columns),
        cmocka_unit_test(counts_lines),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
