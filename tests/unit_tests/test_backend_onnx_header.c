/* The .onnx file's own header: real files, hand-made bytes, and what must be refused. */
#include <stdio.h>
#include <string.h>

#include "backend/onnx_header.h"
#include "unit_tests/testing.h"

#define MODEL(name) TEST_DATA_DIR "/models/" name "/model.onnx"

static void check_file(const char *path, int64_t ir_version, const char *opsets,
                       const char *producer_version)
{
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    struct onnx_header header;
    struct error error;
    assert_int_equal(onnx_header_read(path, &arena, &header, &error), ERR_OK);
    assert_int_equal(header.ir_version, ir_version);
    struct slice text = onnx_header_describe_opsets(&header, &arena);
    assert_non_null(text.ptr);
    assert_string_equal(text.ptr, opsets);
    assert_true(slice_eq(header.producer_version, slice_from_str(producer_version)));
    arena_done(&arena);
}

static void reads_real_files(void **state)
{
    (void)state;
    check_file(MODEL("described"), 8, "ai.onnx 17, ai.onnx.ml 3", "1.2.3");
    check_file(MODEL("identity_float8"), 8, "ai.onnx 19", "");
    check_file(TEST_DATA_DIR "/bad_models/future_opset/model.onnx", 8, "ai.onnx 999", "");
    check_file(TEST_DATA_DIR "/bad_models/unknown_domain/model.onnx", 8,
               "ai.onnx 17, com.example 1", "");
}

static void finds_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *scalar; /* NULL: none */
    } cases[] = {
        {MODEL("scalar_output"), "y"},
        {MODEL("identity_any_rank"), NULL}, /* no shape at all is not the shape of a scalar */
        {MODEL("identity_float32"), NULL},
        {MODEL("sequence_float32"), NULL},
        {MODEL("iris_logistic_regression"), NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena;
        arena_init(&arena, 1024, 65536);
        struct onnx_header header;
        struct error error;
        assert_int_equal(onnx_header_read(cases[i].path, &arena, &header, &error), ERR_OK);
        assert_int_equal(header.scalar_count, cases[i].scalar == NULL ? 0 : 1);
        if (cases[i].scalar != NULL) {
            assert_true(slice_eq(header.scalars[0], slice_from_str(cases[i].scalar)));
        }
        arena_done(&arena);
    }
}

static void tells_whether_shapes_vary(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool varies;
    } cases[] = {
        {MODEL("identity_float32"), false}, /* [N, 2] */
        {MODEL("fixed_batch"), false},      /* [2, 3] */
        {MODEL("mixed_columns"), false},    /* [N, 1] twice */
        {MODEL("reshape"), false},          /* [N] and [rank] */
        {MODEL("described"), true},         /* [batch, 2, time, ?] */
        {MODEL("identity_any_rank"), true}, {MODEL("map_input"), false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena;
        arena_init(&arena, 1024, 65536);
        struct onnx_header header;
        struct error error;
        assert_int_equal(onnx_header_read(cases[i].path, &arena, &header, &error), ERR_OK);
        assert_int_equal(header.input_shapes_vary, cases[i].varies);
        arena_done(&arena);
    }
}

static int parse(struct slice bytes, struct onnx_header *header, struct error *error)
{
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    const struct onnx_source source = {.size_bytes = bytes.len, .bytes = bytes.ptr};
    int status = onnx_header_parse(&source, &arena, header, error);
    arena_done(&arena);
    return status;
}

static void reads_every_wire_type(void **state)
{
    (void)state;
    struct onnx_header header;
    struct error error;
    /* unknown fields: varint, 64 bit, bytes, 32 bit; then ir_version = 2^63 - 1 and again = 7 */
    assert_int_equal(parse(SLICE("\x50\x80\x01"
                                 "\x51"
                                 "12345678"
                                 "\x52\x03"
                                 "abc"
                                 "\x55"
                                 "1234"
                                 "\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
                           &header, &error),
                     ERR_OK);
    assert_true(header.ir_version == INT64_MAX);
    assert_int_equal(parse(SLICE("\x08\x03\x08\x07"), &header, &error), ERR_OK);
    assert_int_equal(header.ir_version, 7); /* the last of a repeated scalar counts */
    assert_int_equal(parse(SLICE(""), &header, &error), ERR_OK);
    assert_int_equal(header.ir_version, 0);
}

static void refuses_malformed_bytes(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *why;
    } cases[] = {
        {{"\x08", 1}, "ends in the middle"}, /* no value */
        {{"\x80", 1}, "ends in the middle"}, /* half a tag */
        {{"\x52\x05"
          "abc",
          5},
         "longer than what holds it"}, /* bytes cut off */
        {{"\x52\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, "longer than what holds it"},
        {{"\x51"
          "1234567",
          8},
         "longer than what holds it"}, /* 64 bits cut off */
        {{"\x55"
          "123",
          4},
         "longer than what holds it"}, /* 32 bits cut off */
        {{"\x00\x00", 2}, "field has number 0"},
        {{"\x53", 1}, "unknown wire type"}, /* a group */
        {{"\x57", 1}, "unknown wire type"},
        {{"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}, "too many bytes"},
        {{"\x42\x02\x0a\x05", 4}, "longer than what holds it"}, /* inside an opset */
        {{"\x3a\x03\x5a\x01\x80", 5}, "ends in the middle"},    /* inside a graph's input */
        {{"<html>", 6}, "not an ONNX file"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct onnx_header header = {.ir_version = 123};
        struct error error;
        assert_int_equal(parse(cases[i].bytes, &header, &error), ERR_CONFIG);
        assert_non_null(strstr(error.text, cases[i].why));
        assert_int_equal(header.ir_version, 123);
    }
}

static void bounds_its_work(void **state)
{
    (void)state;
    struct onnx_header header;
    struct error error;
    static char many[(2u << 20) + 16];
    for (size_t i = 0; i + 1 < sizeof(many); i += 2) {
        memcpy(many + i, "\x52", 2); /* an empty field 10 */
    }
    assert_int_equal(parse(slice_make(many, sizeof(many)), &header, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, "too many fields"));
    for (size_t i = 0; i + 1 < sizeof(many); i += 2) {
        memcpy(many + i, "\x42", 2); /* an empty opset */
    }
    assert_int_equal(parse(slice_make(many, 2 * ONNX_HEADER_MAX_OPSETS), &header, &error), ERR_OK);
    assert_int_equal(header.opset_count, ONNX_HEADER_MAX_OPSETS);
    assert_int_equal(parse(slice_make(many, 2 * ONNX_HEADER_MAX_OPSETS + 2), &header, &error),
                     ERR_CONFIG);
    assert_non_null(strstr(error.text, "too many opsets"));
}

/* Every cut of a real file is refused or read, never more than that. */
static void survives_every_truncation(void **state)
{
    (void)state;
    char bytes[4096];
    FILE *file = fopen(MODEL("described"), "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    assert_true(len > 100 && len < sizeof(bytes));
    size_t refused = 0;
    for (size_t cut = 0; cut < len; cut++) {
        struct onnx_header header;
        struct error error;
        refused += parse(slice_make(bytes, cut), &header, &error) == ERR_CONFIG;
    }
    assert_true(refused > len / 2);
}

static void reports_files_it_cannot_read(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    struct onnx_header header;
    struct error error;
    assert_int_equal(onnx_header_read(MODEL("nowhere"), &arena, &header, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(onnx_header_read(TEST_DATA_DIR, &arena, &header, &error), ERR_CONFIG);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_real_files),          cmocka_unit_test(finds_scalars),
        cmocka_unit_test(tells_whether_shapes_vary), cmocka_unit_test(reads_every_wire_type),
        cmocka_unit_test(refuses_malformed_bytes),   cmocka_unit_test(bounds_its_work),
        cmocka_unit_test(survives_every_truncation), cmocka_unit_test(reports_files_it_cannot_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
