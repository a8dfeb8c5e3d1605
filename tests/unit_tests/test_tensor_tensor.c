/* Tensors and their buffers: shapes, views, strings, references, and what a signature says. */
#include "base/mem.h"
#include "tensor/signature.h"
#include "tensor/tensor.h"
#include "unit_tests/testing.h"

static void shapes_that_cannot_be_addressed_are_refused(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = {
        {INT64_MAX, 2}, {INT64_MAX / 2, 4}, {-1, 3}, {INT64_MAX / 4, 1}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct tensor tensor;
        struct error error;
        assert_int_equal(tensor_new(DTYPE_F64, 2, shapes[i], &tensor, &error), ERR_INVALID);
    }
}

static void views_share_the_rows(void **state)
{
    (void)state;
    struct tensor whole;
    int64_t dims[3] = {4, 2, 3};
    assert_int_equal(tensor_new(DTYPE_I32, 3, dims, &whole, NULL), ERR_OK);
    for (int32_t i = 0; i < 24; i++) {
        ((int32_t *)whole.at)[i] = i;
    }
    struct tensor view = tensor_row_view(&whole, 1, 2);
    struct buffer *buffer = whole.buffer;
    tensor_done(&whole); /* the view keeps the bytes */
    assert_int_equal(atomic_load(&buffer->refs), 1);
    assert_int_equal(view.dims[0], 2);
    assert_int_equal(tensor_row_elements(&view), 6);
    assert_int_equal(((const int32_t *)view.at)[0], 6);
    assert_int_equal(((const int32_t *)view.at)[11], 17);
    tensor_done(&view);
    buffer_recycler_done();
}

static void strings_are_copied(void **state)
{
    (void)state;
    char text[] = "abc";
    struct slice strings[] = {{text, 3}, {text, 0}, {text + 1, 2}};
    struct tensor tensor;
    int64_t dims[1] = {3};
    assert_int_equal(tensor_new_strings(1, dims, strings, &tensor, NULL), ERR_OK);
    text[1] = 'X';
    const struct slice *at = tensor.at;
    assert_true(slice_eq(at[0], SLICE("abc")));
    assert_int_equal(at[1].len, 0);
    assert_true(slice_eq(at[2], SLICE("bc")));
    tensor_done(&tensor);
    buffer_recycler_done();
}

/* A length that no memory has is refused before a byte of it is read. */
static void texts_that_cannot_be_added_up_are_refused(void **state)
{
    (void)state;
    static const char text[] = "a";
    struct slice strings[] = {{text, SIZE_MAX - 8}, {text, 16}};
    struct tensor tensor;
    struct error error;
    int64_t dims[1] = {2};
    assert_int_equal(tensor_new_strings(1, dims, strings, &tensor, &error), ERR_INVALID);
    assert_string_equal(error.text, "the strings are too large");
    dims[0] = INT64_MAX;
    assert_int_equal(tensor_new_strings(1, dims, NULL, &tensor, &error), ERR_INVALID);
    assert_string_equal(error.text, "the shape is too large");
}

static void values_have_rows(void **state)
{
    (void)state;
    struct value items[3] = {{.kind = VALUE_MAP}};
    struct value sequence = {.kind = VALUE_SEQUENCE, .items = items, .item_count = 3};
    struct value tensor = {.kind = VALUE_TENSOR,
                           .tensor = {.dtype = DTYPE_F32, .rank = 2, .dims = {7, 2}}};
    struct value none = {.kind = VALUE_NONE};
    assert_int_equal(value_rows(&tensor), 7);
    assert_int_equal(value_rows(&sequence), 3);
    assert_int_equal(value_rows(&items[0]), 1);
    assert_int_equal(value_rows(&none), 0);
}

static unsigned released;

static void count_release(struct buffer *buffer)
{
    released++;
    assert_ptr_equal(buffer->owner, &released);
    buffer_free_wrapper(buffer);
}

static void foreign_memory_is_given_back_once(void **state)
{
    (void)state;
    static double numbers[4];
    released = 0;
    struct buffer *buffer = buffer_wrap(numbers, sizeof(numbers), count_release, &released);
    buffer_ref(buffer);
    buffer_unref(buffer);
    assert_int_equal(released, 0);
    buffer_unref(buffer);
    assert_int_equal(released, 1);
    buffer_unref(NULL);
    buffer_recycler_done();
}

static void buffers_are_aligned_at_every_size(void **state)
{
    (void)state;
    for (size_t size = 0; size < 5000; size += 97) {
        struct buffer *buffer = buffer_new(size);
        assert_non_null(buffer);
        assert_int_equal((uintptr_t)buffer->ptr % 64, 0);
        assert_true(buffer->size_bytes >= size);
        memset(buffer->ptr, 0xff, size);
        buffer_unref(buffer);
    }
    assert_null(buffer_new(SIZE_MAX - 8));
    buffer_recycler_done();
}

static void dtypes_have_names_and_sizes(void **state)
{
    (void)state;
    for (enum dtype dtype = DTYPE_F16; dtype < DTYPE_OTHER; dtype++) {
        assert_int_equal(dtype_parse(slice_from_str(dtype_name(dtype))), dtype);
        assert_true(dtype_size(dtype) > 0);
    }
    assert_int_equal(dtype_parse(SLICE("F32")), DTYPE_F32);
    assert_int_equal(dtype_parse(SLICE("boolean")), DTYPE_BOOL);
    assert_int_equal(dtype_parse(SLICE("complex64")), DTYPE_NONE);
    assert_int_equal(dtype_parse(SLICE("")), DTYPE_NONE);
}

static struct port tensor_port(int64_t first)
{
    return (struct port){.name = SLICE("x"),
                         .kind = PORT_TENSOR,
                         .dtype = DTYPE_F32,
                         .rank_known = true,
                         .rank = 2,
                         .dims = {first, 4},
                         .symbols = {SLICE("N")}};
}

static void batching_needs_free_first_dimensions(void **state)
{
    (void)state;
    struct port sequence = {.name = SLICE("s"), .kind = PORT_SEQUENCE};
    struct port map = {.name = SLICE("m"), .kind = PORT_MAP};
    struct port unknown_rank = {.name = SLICE("u"), .kind = PORT_TENSOR, .dtype = DTYPE_F32};
    struct port scalar = {.name = SLICE("z"), .kind = PORT_TENSOR, .rank_known = true};
    const struct {
        struct port input, output;
        bool batchable;
    } cases[] = {
        {tensor_port(-1), tensor_port(-1), true},
        {tensor_port(-1), sequence, true},
        {tensor_port(3), tensor_port(-1), false},
        {tensor_port(-1), tensor_port(3), false},
        {tensor_port(-1), map, false},
        {tensor_port(-1), unknown_rank, false},
        {unknown_rank, tensor_port(-1), false},
        {tensor_port(-1), scalar, false},
        {sequence, tensor_port(-1), false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct port input = cases[i].input;
        struct port output = cases[i].output;
        struct signature signature = {
            .inputs = &input, .input_count = 1, .outputs = &output, .output_count = 1};
        assert_int_equal(signature_is_batchable(&signature), cases[i].batchable);
    }
}

static void ports_describe_themselves(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1024, 1 << 16);
    struct port port = tensor_port(-1);
    assert_int_equal(signature_describe_port(&port, &arena), ERR_OK);
    assert_true(slice_eq(port.type_text, SLICE("float32[N, 4]")));
    port.rank_known = false;
    assert_int_equal(signature_describe_port(&port, &arena), ERR_OK);
    assert_true(slice_eq(port.type_text, SLICE("float32[...]")));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_that_cannot_be_addressed_are_refused),
        cmocka_unit_test(views_share_the_rows),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(texts_that_cannot_be_added_up_are_refused),
        cmocka_unit_test(values_have_rows),
        cmocka_unit_test(foreign_memory_is_given_back_once),
        cmocka_unit_test(buffers_are_aligned_at_every_size),
        cmocka_unit_test(dtypes_have_names_and_sizes),
        cmocka_unit_test(batching_needs_free_first_dimensions),
        cmocka_unit_test(ports_describe_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
