/*
 * Tensors to a worker and back: every dtype and shape, the bytes of a run, and outputs that another process
 * changes while they are read.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "backend/worker_area.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "unit_tests/backend_testing.h"
#include "unit_tests/worker_messages.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CHANGING_READS 500

static const struct slice words[] = {SLICE("a"),    SLICE(""), SLICE("\xe6\xb0\xb4\xe2\x82\xac"),
                                     SLICE("d\0d"), SLICE(""), SLICE("last")};

/* Elements of every bit pattern; bools and strings of what they may be. */
static struct tensor filled(enum dtype dtype, unsigned rank, const int64_t *dims)
{
    struct tensor tensor;
    struct error error;
    assert_int_equal(tensor_new(dtype, rank, dims, &tensor, &error), ERR_OK);
    size_t count = (size_t)tensor_elements(&tensor);
    if (dtype == DTYPE_STRING) {
        struct slice *texts = calloc(count + 1, sizeof(*texts));
        assert_non_null(texts);
        for (size_t i = 0; i < count; i++) {
            texts[i] = words[i % COUNT_OF(words)];
        }
        tensor_done(&tensor);
        assert_int_equal(tensor_new_strings(rank, dims, texts, &tensor, &error), ERR_OK);
        free(texts);
        return tensor;
    }
    unsigned char *bytes = tensor.at;
    for (size_t i = 0; i < tensor_bytes(&tensor); i++) {
        bytes[i] = (unsigned char)(dtype == DTYPE_BOOL ? i % 3 == 0 : i * 37 + 200);
    }
    return tensor;
}

static void assert_tensors_equal(const struct tensor *a, const struct tensor *b)
{
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->dims, b->dims, sizeof(a->dims));
    size_t count = (size_t)tensor_elements(a);
    for (size_t i = 0; a->dtype == DTYPE_STRING && i < count; i++) {
        assert_true(slice_eq(((const struct slice *)a->at)[i], ((const struct slice *)b->at)[i]));
    }
    if (a->dtype != DTYPE_STRING && count > 0) {
        assert_memory_equal(a->at, b->at, tensor_bytes(a));
    }
}

static int read_all(const char *area, size_t area_bytes, const struct port *ports, size_t count,
                    struct value *values, struct error *error)
{
    static const size_t wanted[] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct port copies[COUNT_OF(wanted)];
    const struct worker_packet result = {
        .type = WORKER_RESULT, .area_bytes = area_bytes, .output_count = (uint32_t)count};
    memcpy(copies, ports, count * sizeof(ports[0]));
    const struct signature signature = {.outputs = copies, .output_count = count};
    return worker_result_read(&result, area, area_bytes, &signature, wanted, count, values, error);
}

/* With the dtype declared and not. */
static void check_round_trip(const struct tensor *tensor)
{
    const struct port ports[] = {{.name = SLICE("declared"), .dtype = tensor->dtype},
                                 {.name = SLICE("unknown"), .dtype = DTYPE_NONE}};
    const struct tensor outputs[] = {*tensor, *tensor};
    struct value values[2];
    struct error error;
    size_t size_bytes;
    char *area = message_outputs(outputs, 2, &size_bytes);
    assert_int_equal(read_all(area, size_bytes, ports, 2, values, &error), ERR_OK);
    memset(area, 0xff, size_bytes); /* nothing points into it */
    free(area);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(values[i].kind, VALUE_TENSOR);
        assert_tensors_equal(&values[i].tensor, tensor);
        value_done(&values[i]);
    }
}

static void every_dtype_and_shape_goes_there_and_back(void **state)
{
    (void)state;
    static const struct {
        unsigned rank;
        int64_t dims[TENSOR_MAX_RANK];
    } shapes[] = {
        {0, {0}},       {1, {1}},
        {1, {0}},       {2, {2, 3}},
        {2, {0, 3}},    {2, {1000, 0}},
        {3, {5, 1, 7}}, {8, {1, 2, 1, 3, 1, 2, 1, 2}},
        {2, {333, 3}},  {8, {0, 1, 0, 1, 0, 1, 0, 1}},
    };
    for (enum dtype dtype = DTYPE_F16; dtype < DTYPE_OTHER; dtype++) {
        for (size_t i = 0; i < COUNT_OF(shapes); i++) {
            struct tensor tensor = filled(dtype, shapes[i].rank, shapes[i].dims);
            check_round_trip(&tensor);
            tensor_done(&tensor);
        }
    }
    buffer_recycler_done();
}

/* The bytes as the protocol's page has them: a left out input, strings, numbers, then what is wanted. */
static void runs_have_the_protocol_s_bytes(void **state)
{
    (void)state;
    static const float numbers[] = {1, 2};
    static const struct slice texts[] = {SLICE("xy"), SLICE("z")};
    static const size_t wanted[] = {5, 0};
    static const uint64_t records[][11] = {
        {0},
        {8 | (uint64_t)2 << 32, 320, 27, 2, 1},
        {1 | (uint64_t)2 << 32, 384, 8, 1, 2},
    };
    struct tensor inputs[] = {{.dtype = DTYPE_NONE}, strings(2, 1, texts), floats(1, 2, numbers)};
    struct error error;
    size_t size_bytes;
    assert_int_equal(worker_run_size(inputs, 3, 2, &size_bytes, &error), ERR_OK);
    assert_int_equal(size_bytes, 392);
    char area[392];
    memset(area, 0x55, sizeof(area));
    worker_run_write(inputs, 3, wanted, 2, area);
    assert_memory_equal(area, records, sizeof(records));
    assert_memory_equal(area + 264, ((const uint32_t[]){5, 0}), 8);
    assert_memory_equal(area + 320, ((const uint64_t[]){24, 26, 27}), 24);
    assert_memory_equal(area + 344, "xyz", 3);
    assert_memory_equal(area + 384, numbers, sizeof(numbers));
    tensor_done(&inputs[1]);
    tensor_done(&inputs[2]);
    buffer_recycler_done();
}

/* No input and nothing wanted is a run too, and sizes that cannot be are refused. */
static void sizes_are_checked(void **state)
{
    (void)state;
    struct error error;
    size_t size_bytes = 1;
    assert_int_equal(worker_run_size(NULL, 0, 0, &size_bytes, &error), ERR_OK);
    assert_int_equal(size_bytes, 0);
    struct slice huge[] = {{"", SIZE_MAX / 2}, {"", SIZE_MAX / 2}};
    const struct tensor texts = {.dtype = DTYPE_STRING, .rank = 1, .dims = {2}, .at = huge};
    assert_int_equal(worker_run_size(&texts, 1, 0, &size_bytes, &error), ERR_INVALID);
    const struct tensor two[] = {
        {.dtype = DTYPE_U8, .rank = 1, .dims = {INT64_MAX}},
        {.dtype = DTYPE_U8, .rank = 1, .dims = {INT64_MAX}},
    };
    assert_int_equal(worker_run_size(two, 2, 0, &size_bytes, &error), ERR_INVALID);
    assert_string_equal(error.text, "the inputs are too large");
}

/* Views into larger tensors, as batches are cut: only the rows of the view are written. */
static void views_are_written_as_they_are_seen(void **state)
{
    (void)state;
    struct tensor whole = filled(DTYPE_STRING, 2, (const int64_t[]){6, 2});
    struct tensor view = tensor_row_view(&whole, 2, 3);
    check_round_trip(&view);
    tensor_done(&view);
    tensor_done(&whole);
    buffer_recycler_done();
}

/* A few records must not ask for the same gigabyte again and again. */
static void outputs_do_not_share_bytes(void **state)
{
    (void)state;
    enum { BYTES = 4096 };
    const struct port ports[] = {{.name = SLICE("a"), .dtype = DTYPE_U8},
                                 {.name = SLICE("b"), .dtype = DTYPE_U8}};
    struct tensor outputs[] = {filled(DTYPE_U8, 1, (const int64_t[]){BYTES}),
                               filled(DTYPE_U8, 1, (const int64_t[]){0})};
    struct value values[2];
    struct error error;
    size_t size_bytes;
    char *area = message_outputs(outputs, 2, &size_bytes);
    memcpy(area + WORKER_RECORD_BYTES, area, WORKER_RECORD_BYTES);
    assert_int_equal(read_all(area, size_bytes, ports, 2, values, &error), ERR_INTERNAL);
    assert_string_equal(error.text, "the output \"b\": data that overlaps another output's");
    free(area);
    tensor_done(&outputs[0]);
    tensor_done(&outputs[1]);
    buffer_recycler_done();
}

static void survives_without_memory(void **state)
{
    (void)state;
    const struct port ports[] = {{.name = SLICE("n")}, {.name = SLICE("s")}, {.name = SLICE("n")}};
    struct tensor outputs[] = {filled(DTYPE_F64, 1, (const int64_t[]){200000}),
                               filled(DTYPE_STRING, 1, (const int64_t[]){200000}),
                               filled(DTYPE_BOOL, 1, (const int64_t[]){2000000})};
    size_t size_bytes;
    char *area = message_outputs(outputs, COUNT_OF(outputs), &size_bytes);
    int status = ERR_NO_MEMORY;
    for (uint64_t nth = 1; status != ERR_OK; nth++) { /* too large to be recycled */
        struct value values[COUNT_OF(outputs)];
        struct error error;
        mem_fail_nth(nth);
        status = read_all(area, size_bytes, ports, COUNT_OF(outputs), values, &error);
        mem_fail_nth(0);
        assert_true(status == ERR_OK ? nth == 4 : status == ERR_NO_MEMORY);
        for (size_t i = 0; status == ERR_OK && i < COUNT_OF(values); i++) {
            assert_tensors_equal(&values[i].tensor, &outputs[i]);
            value_done(&values[i]);
        }
    }
    free(area);
    for (size_t i = 0; i < COUNT_OF(outputs); i++) {
        tensor_done(&outputs[i]);
    }
    buffer_recycler_done();
}

/* A worker that goes on writing: through a mapping of its own, as another process would. */
struct writer {
    char *area;
    const char *valid;
    _Atomic size_t at; /* the byte that changes */
    _Atomic bool stop;
};

/* Makes one byte wrong and right again, each for as long; right when another one is next. */
static void *write_on(void *argument)
{
    struct writer *writer = argument;
    while (!atomic_load(&writer->stop)) {
        size_t at = atomic_load(&writer->at);
        volatile char *byte = writer->area + at;
        char wrong = (char)(writer->valid[at] ^ 0x80);
        while (at == atomic_load(&writer->at) && !atomic_load(&writer->stop)) {
            *byte = *byte == wrong ? writer->valid[at] : wrong;
        }
        *byte = writer->valid[at];
    }
    return NULL;
}

static void look_at(const struct tensor *tensor)
{
    size_t count = (size_t)tensor_elements(tensor);
    const char *end = (const char *)tensor->buffer->ptr + tensor->buffer->size_bytes;
    for (size_t i = 0; i < count && tensor->dtype == DTYPE_STRING; i++) {
        struct slice text = ((const struct slice *)tensor->at)[i];
        assert_true(text.ptr >= (const char *)tensor->at && text.ptr <= end);
        assert_true(text.len <= (size_t)(end - text.ptr));
        assert_int_equal(utf8_valid_bytes(text), text.len);
    }
    for (size_t i = 0; i < count && tensor->dtype == DTYPE_BOOL; i++) {
        assert_true(((const unsigned char *)tensor->at)[i] <= 1);
    }
}

/* Until the byte was found right and wrong: the other thread may come late. */
static void read_changing(const struct worker_area *area, size_t size_bytes)
{
    const struct port ports[] = {{.name = SLICE("s")}, {.name = SLICE("b")}};
    struct value values[2];
    struct error error;
    unsigned reads[2] = {0, 0};
    while (reads[0] == 0 || reads[1] == 0 || reads[0] + reads[1] < CHANGING_READS) {
        int status = read_all(area->at, size_bytes, ports, 2, values, &error);
        if (status == ERR_OK) {
            look_at(&values[0].tensor);
            look_at(&values[1].tensor);
            value_done(&values[0]);
            value_done(&values[1]);
        }
        reads[status == ERR_OK]++;
    }
}

/* Whatever is read, what is returned keeps to the rules: nothing is checked here and used from there. */
static void areas_may_change_while_they_are_read(void **state)
{
    (void)state;
    enum { STRINGS = 2000, STRINGS_DATA = 192, TEXT = STRINGS_DATA + 8 * (STRINGS + 1) };
    enum { FLAGS = 100000 };
    struct tensor outputs[] = {filled(DTYPE_STRING, 1, (const int64_t[]){STRINGS}),
                               filled(DTYPE_BOOL, 1, (const int64_t[]){FLAGS})};
    struct worker_area area;
    struct error error;
    size_t size_bytes;
    char *valid = message_outputs(outputs, 2, &size_bytes);
    size_t text_end = STRINGS_DATA + (size_t)worker_get_u64(valid + 16);
    const size_t bytes[] = {
        0, 4, 8, 16, 24, STRINGS_DATA, TEXT - 16, TEXT, text_end - 1, size_bytes - 1};
    assert_int_equal(worker_area_new("onnxd-test", size_bytes, &area, &error), ERR_OK);
    memcpy(area.at, valid, size_bytes);
    char *other = mmap(NULL, area.mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, area.fd, 0);
    assert_true(other != MAP_FAILED);
    struct writer writer = {.area = other, .valid = valid};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    for (size_t i = 0; i < COUNT_OF(bytes); i++) {
        atomic_store(&writer.at, bytes[i]);
        read_changing(&area, size_bytes);
    }
    atomic_store(&writer.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(munmap(other, area.mapped_bytes), 0);
    worker_area_done(&area);
    free(valid);
    tensor_done(&outputs[0]);
    tensor_done(&outputs[1]);
    buffer_recycler_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype_and_shape_goes_there_and_back),
        cmocka_unit_test(runs_have_the_protocol_s_bytes),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(views_are_written_as_they_are_seen),
        cmocka_unit_test(outputs_do_not_share_bytes),
        cmocka_unit_test(survives_without_memory),
        cmocka_unit_test(areas_may_change_while_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
