/* npy bodies: versions, element types, orders, and headers that are not quite npy. */
#include "codec/npy_header.h"
#include "unit_tests/codec_cases.h"

#define MAGIC "\x93NUMPY"
/* A version 1 file whose header is shorter than 256 bytes. */
static struct slice npy(const char *header, const void *elements, size_t bytes)
{
    static char file[1024];
    size_t len = strlen(header);
    size_t at = 10;
    memcpy(file, MAGIC "\x01\x00", 8);
    file[8] = (char)(len & 0xff);
    file[9] = (char)(len >> 8);
    memcpy(file + at, header, len);
    memcpy(file + at + len, elements, bytes);
    return slice_make(file, at + len + bytes);
}

#define HEADER(descr, order, shape)                                                                \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }          \n"

struct npy_case {
    const char *signature;
    const char *options;
    const char *header;
    const char *elements;
    size_t bytes;
    const char *want;
};

#define ELEMENTS(literal) (literal), sizeof(literal) - 1

static void run_npy_cases(const struct npy_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct decode_case test = {cases[i].signature, cases[i].options,
                                   npy(cases[i].header, cases[i].elements, cases[i].bytes),
                                   cases[i].want};
        run_cases(MEDIA_NPY, &test, 1);
    }
}

static void converts_elements(void **state)
{
    (void)state;
    static const struct npy_case cases[] = {
        {"x float32 N 2", NULL, HEADER("<f4", "False", "(1, 2)"),
         ELEMENTS("\x00\x00\x80\x3f\x00\x00\x00\xc0"), "x float32[1,2] 1 -2"},
        {"x float32 N 2", NULL, HEADER(">f4", "False", "(1, 2)"),
         ELEMENTS("\x3f\x80\x00\x00\xc0\x00\x00\x00"), "x float32[1,2] 1 -2"},
        {"x float32 N 1", NULL, HEADER("<f8", "False", "(2, 1)"),
         ELEMENTS("\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xf8\x7f"), "x float32[2,1] 1 nan"},
        {"x float64 N 2", NULL, HEADER("<f2", "False", "(1, 2)"), ELEMENTS("\x00\x3c\x00\xfc"),
         "x float64[1,2] 1 -inf"},
        {"x float16 N 2", NULL, HEADER("<f2", "False", "(1, 2)"), ELEMENTS("\x00\x3c\x00\xfc"),
         "x float16[1,2] 1 -inf"},
        {"x int64 N 2", NULL, HEADER("|i1", "False", "(1, 2)"), ELEMENTS("\x7f\x80"),
         "x int64[1,2] 127 -128"},
        {"x int32 N 1", NULL, HEADER(">i2", "False", "(1, 1)"), ELEMENTS("\xff\xfe"),
         "x int32[1,1] -2"},
        {"x int64 N 1", NULL, HEADER("<i8", "False", "(1, 1)"),
         ELEMENTS("\xff\xff\xff\xff\xff\xff\xff\x7f"), "x int64[1,1] 9223372036854775807"},
        {"x uint64 N 1", NULL, HEADER(">u8", "False", "(1, 1)"),
         ELEMENTS("\xff\xff\xff\xff\xff\xff\xff\xfe"), "x uint64[1,1] 18446744073709551614"},
        {"x uint8 N 2", NULL, HEADER("<u4", "False", "(1, 2)"), ELEMENTS("\x01\0\0\0\xff\0\0\0"),
         "x uint8[1,2] 1 255"},
        {"x bool N 2", NULL, HEADER("|b1", "False", "(1, 2)"), ELEMENTS("\x01\x00"),
         "x bool[1,2] 1 0"},
        {"x float32 N 2", NULL, HEADER("|b1", "False", "(1, 2)"), ELEMENTS("\x01\x00"),
         "x float32[1,2] 1 0"},
        /* 2^60 is exactly this double: no decimal text stands between. */
        {"x int64 N 1", NULL, HEADER("<f8", "False", "(1, 1)"), ELEMENTS("\0\0\0\0\0\0\xb0\x43"),
         "x int64[1,1] 1152921504606846976"},
        {"x uint8 N 2", NULL, HEADER("<u2", "False", "(1, 2)"), ELEMENTS("\x01\0\x2c\x01"),
         "! row 0, column 1: 300 is out of range (input \"x\", uint8)"},
        {"x int64 N 1", NULL, HEADER("<f4", "False", "(1, 1)"), ELEMENTS("\0\0\x60\x40"),
         "! row 0, column 0: 3.5 is not a whole number (input \"x\", int64)"},
        {"x bool N 1", NULL, HEADER("|b1", "False", "(1, 1)"), ELEMENTS("\x02"),
         "! row 0, column 0: 2 is out of range (input \"x\", bool)"},
        {"s string N 1", NULL, HEADER("|u1", "False", "(1, 1)"), ELEMENTS("a"),
         "! row 0, column 0: 97 is not a string (input \"s\", string)"},
    };
    run_npy_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void fits_shapes(void **state)
{
    (void)state;
    static const struct npy_case cases[] = {
        {"x uint8 N 3", NULL, HEADER("|u1", "False", "(2, 3)"), ELEMENTS("\1\2\3\4\5\6"),
         "x uint8[2,3] 1 2 3 4 5 6"},
        {"x uint8 N 3", NULL, HEADER("|u1", "True", "(2, 3)"), ELEMENTS("\1\4\2\5\3\6"),
         "x uint8[2,3] 1 2 3 4 5 6"},
        {"x int8 N 2 2", NULL, HEADER("|u1", "True", "(2, 2, 2)"), ELEMENTS("\0\4\2\6\1\5\3\7"),
         "x int8[2,2,2] 0 1 2 3 4 5 6 7"},
        {"x uint8 N 3", NULL, HEADER("|u1", "False", "(3,)"), ELEMENTS("\1\2\3"),
         "x uint8[1,3] 1 2 3"},
        {"x uint8 N", NULL, HEADER("|u1", "True", "(3,)"), ELEMENTS("\1\2\3"), "x uint8[3] 1 2 3"},
        {"x uint8 *", NULL, HEADER("|u1", "False", "(1, 1, 2)"), ELEMENTS("\1\2"),
         "x uint8[1,1,2] 1 2"},
        {"x uint8", NULL, HEADER("|u1", "False", "()"), ELEMENTS("\1"), "x uint8[] 1"},
        {"x uint8 N 2", "ids=0", HEADER("|u1", "False", "(2, 3)"), ELEMENTS("\1\2\3\4\5\6"),
         "x uint8[2,2] 2 3 5 6"},
        {"x uint8 N 2", "features=2,0", HEADER("|u1", "True", "(2, 3)"), ELEMENTS("\1\4\2\5\3\6"),
         "x uint8[2,2] 3 1 6 4"},
        {"x float32 N 1", "dtype=uint8", HEADER("<i2", "False", "(1, 1)"), ELEMENTS("\0\1"),
         "! row 0, column 0: 256 is out of range (input \"x\", float32)"},
        {"x uint8 N 4", NULL, HEADER("|u1", "False", "(2, 3)"), ELEMENTS("\1\2\3\4\5\6"),
         "! input \"x\" takes the shape [N, 4], got rows of 3 values"},
        {"x uint8 N 3", NULL, HEADER("|u1", "False", "(1, 1, 3)"), ELEMENTS("\1\2\3"),
         "! input \"x\" takes the shape [N, 3], got rows of shape [1, 3]"},
        {"x uint8 N 3", "count=2", HEADER("|u1", "False", "(1, 3)"), ELEMENTS("\1\2\3"),
         "! Feature count mismatch: got 3 expected TABULAR_NUM_FEATURES=2"},
        {"x uint8 N 1", "max=2", HEADER("|u1", "False", "(3, 1)"), ELEMENTS("\1\2\3"),
         "! too_many_records: 3 > 2"},
        {"x uint8 N 3", NULL, HEADER("|u1", "False", "(0, 3)"), ELEMENTS(""),
         "! the npy array has no values"},
        {"x uint8 N; y uint8 N", NULL, HEADER("|u1", "False", "(1,)"), ELEMENTS("\1"),
         "! a bare matrix feeds input \"x\" alone; name the values of all inputs: \"x\", \"y\""},
        {"x uint8 N 3", NULL, HEADER("|u1", "False", "(2, 3)"), ELEMENTS("\1\2\3\4\5"),
         "! the npy file has 5 bytes of values where 6 values of uint8 are expected"},
        {"x uint8 N 3", NULL, HEADER("|u1", "False", "(1, 3)"), ELEMENTS("\1\2\3\4"),
         "! the npy file has 4 bytes of values where 3 values of uint8 are expected"},
    };
    run_npy_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void parses_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *want; /* NULL: fine */
    } cases[] = {
        {HEADER("<f4", "False", "(2, 3)"), NULL},
        {"{\"shape\":(2,3),\"descr\":\"<f4\",\"fortran_order\":False}", NULL},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3,), }", NULL},
        {"", "invalid npy header: not a dict literal"},
        {"{}", "invalid npy header: descr, fortran_order or shape is missing"},
        {"{'descr': '<f4', 'fortran_order': False}",
         "invalid npy header: descr, fortran_order or shape is missing"},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
         "invalid npy header: not a dict literal"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
         "invalid npy header: a key is unknown or occurs twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}",
         "invalid npy header: a key is unknown or occurs twice"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}",
         "invalid npy header: fortran_order is neither True nor False"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3]}",
         "invalid npy header: shape is not a tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6)}",
         "invalid npy header: shape is not a tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}",
         "invalid npy header: shape is not a tuple of sizes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
         "invalid npy header: shape is not a tuple of sizes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3)}",
         "invalid npy header: shape is too large"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
         "invalid npy header: shape is not a tuple of sizes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
         "invalid npy header: shape has too many dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x",
         "invalid npy header: text behind the dict"},
        {HEADER("|O", "False", "(2, 3)"), "npy arrays of type \"|O\" are not supported: *"},
        {HEADER("<U5", "False", "(2, 3)"), "npy arrays of type \"<U5\" are not supported: *"},
        {HEADER("<c8", "False", "(2, 3)"), "npy arrays of type \"<c8\" are not supported: *"},
        {HEADER("<f16", "False", "(2, 3)"), "npy arrays of type \"<f16\" are not supported: *"},
        {HEADER("|f4", "False", "(2, 3)"), "npy arrays of type \"|f4\" are not supported: *"},
        {HEADER("f4", "False", "(2, 3)"), "npy arrays of type \"f4\" are not supported: *"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}",
         "invalid npy header: descr is not a plain type"},
        {"{'descr': '<f\\x34', 'fortran_order': False, 'shape': (2, 3)}",
         "invalid npy header: descr is not a plain type"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct npy_header header;
        struct error error = {.text = ""};
        int status = npy_header_parse(npy(cases[i].header, "", 0), &header, &error);
        assert_int_equal(status, cases[i].want == NULL ? ERR_OK : ERR_INVALID);
        if (cases[i].want != NULL && !is_wanted(error.text, cases[i].want)) {
            fail_msg("%s\n  want %s\n  got  %s", cases[i].header, cases[i].want, error.text);
        }
        if (cases[i].want == NULL) {
            assert_int_equal(header.dtype, DTYPE_F32);
            assert_int_equal(header.rank, 2);
            assert_int_equal(header.elements, 6);
        }
    }
}

#define SHORT_HEADER "{'descr':'|u1','fortran_order':False,'shape':(1,)}"

static void knows_versions(void **state)
{
    (void)state;
    static const struct decode_case cases[] = {
        {"x uint8 N", NULL, BODY(MAGIC "\x01\x00\x32\x00" SHORT_HEADER "\x07"), "x uint8[1] 7"},
        {"x uint8 N", NULL, BODY(MAGIC "\x02\x00\x32\x00\x00\x00" SHORT_HEADER "\x07"),
         "x uint8[1] 7"},
        {"x uint8 N", NULL, BODY(MAGIC "\x03\x00\x32\x00\x00\x00" SHORT_HEADER "\x07"),
         "x uint8[1] 7"},
        {"x uint8 N", NULL, BODY(MAGIC "\x04\x00\x32\x00\x00\x00" SHORT_HEADER "\x07"),
         "! npy format version 4.0 is not supported"},
        {"x uint8 N", NULL, BODY(MAGIC "\x01\x01\x32\x00" SHORT_HEADER "\x07"),
         "! npy format version 1.1 is not supported"},
        {"x uint8 N", NULL, BODY(MAGIC "\x02\x00\xff\xff\xff\xff" SHORT_HEADER "\x07"),
         "! invalid npy header: cut short"},
        {"x uint8 N", NULL, BODY(MAGIC "\x01\x00\x32"), "! invalid npy header: cut short"},
        {"x uint8 N", NULL, BODY(MAGIC), "! the payload is not an npy file"},
        {"x uint8 N", NULL, BODY("[[1]]"), "! the payload is not an npy file"},
        {"x uint8 N", NULL, BODY(""), "! the payload is not an npy file"},
    };
    RUN_CASES(MEDIA_NPY, cases);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    static const char elements[] = "\1\2\3\4\5\6";
    struct decode_case test = {"x float32 N 2", "ids=0 names=a,b",
                               npy(HEADER("|u1", "False", "(2, 3)"), elements, 6), NULL};
    torture(MEDIA_NPY, &test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converts_elements),
        cmocka_unit_test(fits_shapes),
        cmocka_unit_test(parses_headers),
        cmocka_unit_test(knows_versions),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
