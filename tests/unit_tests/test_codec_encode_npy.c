/* npy answers, to the byte; and which encoding an answer gets. */
#include <stdio.h>

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

/* The header NumPy's own description of the format asks for, and the elements behind it. */
static void expect_npy(struct value value, const char *header, size_t size_bytes)
{
    assert_int_equal(fixture_encode(&fixture, MEDIA_NPY, &value), ERR_OK);
    assert_int_equal(fixture.media, MEDIA_NPY);
    struct slice file = bytes_slice(&fixture.out);
    assert_true(file.len >= 10 && memcmp(file.ptr, "\x93NUMPY\x01\x00", 8) == 0);
    size_t header_len = (size_t)(unsigned char)file.ptr[8] | (size_t)(unsigned char)file.ptr[9]
                                                                 << 8;
    assert_int_equal((10 + header_len) % 64, 0);
    assert_true(file.len == 10 + header_len + size_bytes);
    struct slice text = slice_make(file.ptr + 10, header_len);
    size_t wanted_len = strlen(header);
    if (!slice_starts_with(text, slice_make(header, wanted_len))) {
        fail_msg("%s expected, got %.*s", header, SLICE_FMT(text));
    }
    for (size_t i = wanted_len; i + 1 < header_len; i++) {
        assert_int_equal(text.ptr[i], ' ');
    }
    assert_int_equal(text.ptr[header_len - 1], '\n');
    assert_true(size_bytes == 0 ||
                memcmp(file.ptr + 10 + header_len, value.tensor.at, size_bytes) == 0);
}

static void describes_every_element_type(void **state)
{
    (void)state;
    static const struct {
        enum dtype dtype;
        const char *descriptor;
    } cases[] = {
        {DTYPE_F16, "<f2"}, {DTYPE_F32, "<f4"}, {DTYPE_F64, "<f8"}, {DTYPE_I8, "|i1"},
        {DTYPE_I16, "<i2"}, {DTYPE_I32, "<i4"}, {DTYPE_I64, "<i8"}, {DTYPE_U8, "|u1"},
        {DTYPE_U16, "<u2"}, {DTYPE_U32, "<u4"}, {DTYPE_U64, "<u8"}, {DTYPE_BOOL, "|b1"},
    };
    uint64_t cells[] = {UINT64_C(0x0101000101000001), UINT64_C(0x0001010001000100)};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char header[100];
        snprintf(header, sizeof(header), "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }",
                 cases[i].descriptor);
        expect_npy(vector_of(cases[i].dtype, 2, cells), header, 2 * dtype_size(cases[i].dtype));
    }
}

static void describes_every_rank(void **state)
{
    (void)state;
    static float cells[24];
    static const struct {
        unsigned rank;
        int64_t dims[TENSOR_MAX_RANK];
        const char *shape;
        size_t elements;
    } cases[] = {
        {0, {0}, "()", 1},
        {1, {3}, "(3,)", 3},
        {1, {0}, "(0,)", 0},
        {2, {3, 4}, "(3, 4)", 12},
        {2, {0, 4}, "(0, 4)", 0},
        {3, {2, 3, 4}, "(2, 3, 4)", 24},
        {4, {1, 2, 3, 4}, "(1, 2, 3, 4)", 24},
        {8, {1, 1, 2, 1, 3, 1, 4, 1}, "(1, 1, 2, 1, 3, 1, 4, 1)", 24},
        {8,
         {0, INT64_MAX, 1, 1, 1, 1, 1, 1000000000000000000},
         "(0, 9223372036854775807, 1, 1, 1, 1, 1, 1000000000000000000)",
         0},
    };
    for (size_t i = 0; i < 24; i++) {
        cells[i] = (float)i / 7;
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char header[300];
        snprintf(header, sizeof(header), "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }",
                 cases[i].shape);
        expect_npy(tensor_of(DTYPE_F32, cases[i].rank, cases[i].dims, cells), header,
                   cases[i].elements * sizeof(float));
    }
}

static void refuses_what_npy_lacks(void **state)
{
    (void)state;
    int64_t key = 1;
    float cell = 1;
    struct slice string = SLICE("x");
    struct value tensor = vector_of(DTYPE_F32, 1, &cell);
    const struct {
        struct value value;
        const char *text;
    } cases[] = {
        {vector_of(DTYPE_BF16, 1, &cell), "output 'a' has no npy form: its type is bfloat16"},
        {vector_of(DTYPE_STRING, 1, &string), "output 'a' has no npy form: its type is string"},
        {vector_of(DTYPE_OTHER, 1, NULL), "output 'a' has no npy form: its type is unsupported"},
        {sequence_of(&tensor, 1), "output 'a' has no npy form: it is not a tensor"},
        {map_of(DTYPE_I64, &key, DTYPE_F32, &cell, 1),
         "output 'a' has no npy form: it is not a tensor"},
        {{.kind = VALUE_NONE}, "output 'a' has no npy form: it is not a tensor"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_refusal(&fixture, MEDIA_NPY, &cases[i].value, cases[i].text);
    }
}

static void reports_an_answer_that_is_too_large(void **state)
{
    (void)state;
    static float cells[1000];
    struct value value = vector_of(DTYPE_F32, 1000, cells);
    bytes_done(&fixture.out);
    bytes_init(&fixture.out, 2000);
    assert_int_equal(fixture_encode(&fixture, MEDIA_NPY, &value), ERR_NO_MEMORY);
    assert_int_equal(fixture.error.code, ERR_NO_MEMORY);
    assert_int_equal(bytes_len(&fixture.out), 0);
}

/* What cannot be answered gets JSON, and so does everything with an output map. */
static void chooses_the_encoding(void **state)
{
    (void)state;
    static const struct codec_mapping mapping = {.key = {"k", 1}, .port = {"a", 1}};
    static const struct {
        enum media asked;
        bool mapped;
        enum media given;
        const char *text; /* unless npy */
    } cases[] = {
        {MEDIA_JSON, false, MEDIA_JSON, "[1,2]"},
        {MEDIA_CSV, false, MEDIA_CSV, "1\n2"},
        {MEDIA_NPY, false, MEDIA_NPY, NULL},
        {MEDIA_JSONL, false, MEDIA_JSON, "[1,2]"},
        {MEDIA_NONE, false, MEDIA_JSON, "[1,2]"},
        {MEDIA_JSON, true, MEDIA_JSON, "{\"k\":[1,2]}"},
        {MEDIA_CSV, true, MEDIA_JSON, "{\"k\":[1,2]}"},
        {MEDIA_NPY, true, MEDIA_JSON, "{\"k\":[1,2]}"},
    };
    int32_t cells[] = {1, 2};
    struct value value = vector_of(DTYPE_I32, 2, cells);
    fixture.options.output_map = &mapping;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture.options.output_map_count = cases[i].mapped ? 1 : 0;
        assert_int_equal(fixture_encode(&fixture, cases[i].asked, &value), ERR_OK);
        assert_int_equal(fixture.media, cases[i].given);
        assert_true(cases[i].text == NULL ||
                    slice_eq(bytes_slice(&fixture.out), slice_from_str(cases[i].text)));
    }
}

/* An answer is appended: a response may have something before it. */
static void appends(void **state)
{
    (void)state;
    int32_t cell = 1;
    struct value value = vector_of(DTYPE_I32, 1, &cell);
    assert_int_equal(bytes_put(&fixture.out, SLICE("head ")), ERR_OK);
    bytes_consume(&fixture.out, 1);
    assert_int_equal(codec_encode(&fixture.plan, MEDIA_JSON, &value, &fixture.out, &fixture.media,
                                  &fixture.error),
                     ERR_OK);
    assert_true(slice_eq(bytes_slice(&fixture.out), SLICE("ead [1]")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(describes_every_element_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(describes_every_rank, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_npy_lacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reports_an_answer_that_is_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chooses_the_encoding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(appends, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
