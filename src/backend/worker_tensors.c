/*
 * A run's records and data, written to the input area and read from the output area. The latter is
 * written by another process, which may go on doing so: bytes are copied out before they are checked,
 * and never looked at again where they lay.
 */
#include "backend/worker_wire.h"

#include <stdatomic.h>

#include "backend/ort_dtype.h"
#include "backend/worker_bytes.h"
#include "base/check.h"
#include "base/checked.h"
#include "base/utf8.h"

#define INPUT_ALIGN ((size_t)64)
#define OUTPUT_ALIGN ((size_t)8)
#define POSITION_BYTES sizeof(uint64_t)
#define RECORD_DIMS_AT 24
#define SHOWN_BYTES 64 /* of a name in a message */

struct record {
    uint32_t dtype; /* ONNX's number */
    uint32_t rank;
    uint64_t offset;
    uint64_t size_bytes;
    int64_t dims[TENSOR_MAX_RANK];
};

_Static_assert(RECORD_DIMS_AT + TENSOR_MAX_RANK * sizeof(int64_t) == WORKER_RECORD_BYTES,
               "a record ends with its dimensions");

static void write_record(const struct record *record, char *at)
{
    at = worker_put_u32(at, record->dtype);
    at = worker_put_u32(at, record->rank);
    at = worker_put_u64(at, record->offset);
    at = worker_put_u64(at, record->size_bytes);
    for (unsigned i = 0; i < TENSOR_MAX_RANK; i++) {
        at = worker_put_u64(at, (uint64_t)record->dims[i]);
    }
}

static struct record parse_record(const char *at)
{
    struct record record = {
        .dtype = worker_get_u32(at),
        .rank = worker_get_u32(at + 4),
        .offset = worker_get_u64(at + 8),
        .size_bytes = worker_get_u64(at + 16),
    };
    for (unsigned i = 0; i < TENSOR_MAX_RANK; i++) {
        record.dims[i] = (int64_t)worker_get_u64(at + RECORD_DIMS_AT + i * sizeof(int64_t));
    }
    return record;
}

/* Bytes that a tensor's data takes in an area; true when that overflows. */
static bool data_overflows(const struct tensor *tensor, size_t *ret_size_bytes)
{
    size_t count = (size_t)tensor_elements(tensor);
    if (tensor->dtype != DTYPE_STRING) {
        return checked_mul(count, dtype_size(tensor->dtype), ret_size_bytes);
    }
    const struct slice *strings = tensor->at;
    bool overflow = checked_add(count, 1, ret_size_bytes) ||
                    checked_mul(*ret_size_bytes, POSITION_BYTES, ret_size_bytes);
    for (size_t i = 0; i < count && !overflow; i++) {
        overflow = checked_add(*ret_size_bytes, strings[i].len, ret_size_bytes);
    }
    return overflow;
}

static bool align_overflows(size_t *at)
{
    bool overflow = checked_add(*at, INPUT_ALIGN - 1, at);
    *at &= ~(INPUT_ALIGN - 1);
    return overflow;
}

/* Where the records and the wanted outputs end. Both counts are a signature's. */
static size_t head_bytes(size_t input_count, size_t wanted_count)
{
    CHECK(input_count <= WORKER_PORTS_MAX && wanted_count <= WORKER_PORTS_MAX);
    return input_count * WORKER_RECORD_BYTES + wanted_count * sizeof(uint32_t);
}

/*
 * Gives a tensor its place behind *at, which moves to its end; a record of zeros to one that is left
 * out. True when that overflows.
 */
static bool placing_overflows(const struct tensor *tensor, size_t *at, struct record *record)
{
    *record = (struct record){.dtype = 0};
    if (tensor->dtype == DTYPE_NONE) {
        return false;
    }
    size_t size_bytes;
    if (data_overflows(tensor, &size_bytes) || align_overflows(at)) {
        return true;
    }
    record->dtype = (uint32_t)ort_dtype_to(tensor->dtype);
    record->rank = tensor->rank;
    record->offset = *at;
    record->size_bytes = size_bytes;
    memcpy(record->dims, tensor->dims, tensor->rank * sizeof(tensor->dims[0]));
    return checked_add(*at, size_bytes, at);
}

int worker_run_size(const struct tensor *inputs, size_t input_count, size_t wanted_count,
                    size_t *ret_size, struct error *error)
{
    size_t end = head_bytes(input_count, wanted_count);
    for (size_t i = 0; i < input_count; i++) {
        struct record record;
        if (placing_overflows(&inputs[i], &end, &record)) {
            return error_set(error, ERR_INVALID, "the inputs are too large");
        }
    }
    *ret_size = end;
    return ERR_OK;
}

static void write_strings(const struct tensor *tensor, char *data)
{
    const struct slice *strings = tensor->at;
    size_t count = (size_t)tensor_elements(tensor);
    size_t end = (count + 1) * POSITION_BYTES;
    char *position = worker_put_u64(data, end);
    for (size_t i = 0; i < count; i++) {
        if (strings[i].len > 0) {
            memcpy(data + end, strings[i].ptr, strings[i].len);
        }
        end += strings[i].len;
        position = worker_put_u64(position, end);
    }
}

void worker_run_write(const struct tensor *inputs, size_t input_count, const size_t *wanted,
                      size_t wanted_count, char *area)
{
    size_t end = head_bytes(input_count, wanted_count);
    for (size_t i = 0; i < input_count; i++) {
        const struct tensor *input = &inputs[i];
        struct record record;
        CHECK(!placing_overflows(input, &end, &record));
        write_record(&record, area + i * WORKER_RECORD_BYTES);
        if (input->dtype == DTYPE_STRING) {
            write_strings(input, area + record.offset);
        } else if (record.size_bytes > 0) {
            memcpy(area + record.offset, input->at, record.size_bytes);
        }
    }
    char *at = area + input_count * WORKER_RECORD_BYTES;
    for (size_t i = 0; i < wanted_count; i++) {
        at = worker_put_u32(at, (uint32_t)wanted[i]);
    }
}

/*
 * The fence is for the compiler: it may otherwise take a copy for what it copies, and look at the
 * shared bytes again.
 */
static void copy_out(void *into, const char *from, size_t size_bytes)
{
    if (size_bytes > 0) {
        memcpy(into, from, size_bytes);
    }
    atomic_signal_fence(memory_order_seq_cst);
}

/* What reading a RESULT needs everywhere. */
struct reader {
    const char *area;
    size_t area_bytes;
    size_t bytes_left; /* that the outputs to come may take together */
    struct error *error;
};

static int check_shape(const struct record *record, struct error *error)
{
    if (record->rank > TENSOR_MAX_RANK) {
        return error_set(error, ERR_INTERNAL, "rank %u, at most %d", record->rank, TENSOR_MAX_RANK);
    }
    for (unsigned i = 0; i < TENSOR_MAX_RANK; i++) {
        if (record->dims[i] < 0 || (record->dims[i] > 0 && i >= record->rank)) {
            return error_set(error, ERR_INTERNAL, "dimension %u of rank %u is %lld", i,
                             record->rank, (long long)record->dims[i]);
        }
    }
    if (!worker_shape_is_bounded(record->dims, record->rank)) {
        return error_set(error, ERR_INTERNAL, "the shape is too large");
    }
    return ERR_OK;
}

static int check_dtype(const struct record *record, enum dtype declared, struct error *error)
{
    enum dtype dtype = ort_dtype_from((ONNXTensorElementDataType)record->dtype);
    if (dtype == DTYPE_NONE || dtype == DTYPE_OTHER) {
        return error_set(error, ERR_INTERNAL, "dtype %u is not one of the protocol's",
                         record->dtype);
    }
    if (declared != DTYPE_NONE && dtype != declared) {
        return error_set(error, ERR_INTERNAL, "dtype %s, the signature has %s", dtype_name(dtype),
                         dtype_name(declared));
    }
    return ERR_OK;
}

/* The size that the shape asks for; of strings, whose bytes come on top, the least. */
static int check_size(const struct record *record, const struct tensor *shape, struct error *error)
{
    bool is_string = shape->dtype == DTYPE_STRING;
    size_t count = (size_t)tensor_elements(shape);
    size_t wanted;
    if ((is_string && checked_add(count, 1, &count)) ||
        checked_mul(count, is_string ? POSITION_BYTES : dtype_size(shape->dtype), &wanted)) {
        return error_set(error, ERR_INTERNAL, "the shape is too large");
    }
    if (is_string ? record->size_bytes < wanted : record->size_bytes != wanted) {
        return error_set(error, ERR_INTERNAL, "%llu bytes of data where the shape asks for %zu",
                         (unsigned long long)record->size_bytes, wanted);
    }
    return ERR_OK;
}

/* Outputs that overlap could ask for more memory than the area has, many times over. */
static int check_place(struct reader *reader, const struct record *record)
{
    if (record->offset % OUTPUT_ALIGN != 0) {
        return error_set(reader->error, ERR_INTERNAL, "data at %llu, no multiple of %zu",
                         (unsigned long long)record->offset, OUTPUT_ALIGN);
    }
    if (record->offset > reader->area_bytes ||
        record->size_bytes > reader->area_bytes - record->offset) {
        return error_set(reader->error, ERR_INTERNAL,
                         "data out of the area: %llu bytes at %llu, the area has %zu",
                         (unsigned long long)record->size_bytes, (unsigned long long)record->offset,
                         reader->area_bytes);
    }
    if (record->size_bytes > reader->bytes_left) {
        return error_set(reader->error, ERR_INTERNAL, "data that overlaps another output's");
    }
    reader->bytes_left -= record->size_bytes;
    return ERR_OK;
}

/* A record that holds to every rule, as a tensor without a buffer. */
static int check_record(struct reader *reader, const struct record *record, enum dtype declared,
                        struct tensor *ret_shape)
{
    int status = check_dtype(record, declared, reader->error);
    if (status == ERR_OK) {
        status = check_shape(record, reader->error);
    }
    if (status != ERR_OK) {
        return status;
    }
    struct tensor shape = {
        .dtype = ort_dtype_from((ONNXTensorElementDataType)record->dtype),
        .rank = record->rank,
    };
    memcpy(shape.dims, record->dims, sizeof(shape.dims));
    status = check_size(record, &shape, reader->error);
    if (status == ERR_OK) {
        status = check_place(reader, record);
    }
    if (status == ERR_OK) {
        *ret_shape = shape;
    }
    return status;
}

static int copy_numbers(const struct reader *reader, const struct record *record,
                        const struct tensor *shape, struct tensor *ret_tensor)
{
    struct tensor tensor;
    int status = tensor_new(shape->dtype, shape->rank, shape->dims, &tensor, reader->error);
    if (status != ERR_OK) {
        return status;
    }
    copy_out(tensor.at, reader->area + record->offset, record->size_bytes);
    unsigned char seen = 0;
    const unsigned char *bytes = tensor.at;
    for (size_t i = 0; tensor.dtype == DTYPE_BOOL && i < record->size_bytes; i++) {
        seen |= bytes[i];
    }
    if (seen > 1) {
        tensor_done(&tensor);
        return error_set(reader->error, ERR_INTERNAL, "a bool that is neither 0 nor 1");
    }
    *ret_tensor = tensor;
    return ERR_OK;
}

/* Makes slices of a copied string tensor's data, which begins with its positions. */
static int slice_strings(struct slice data, struct slice *slices, size_t count, struct error *error)
{
    uint64_t at = worker_get_u64(data.ptr);
    if (at != (count + 1) * POSITION_BYTES) {
        return error_set(error, ERR_INTERNAL,
                         "the first string begins at %llu, not behind the "
                         "positions",
                         (unsigned long long)at);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t end = worker_get_u64(data.ptr + (i + 1) * POSITION_BYTES);
        if (end < at || end > data.len) {
            return error_set(error, ERR_INTERNAL, "string %zu lies from %llu to %llu of %zu", i,
                             (unsigned long long)at, (unsigned long long)end, data.len);
        }
        slices[i] = slice_make(data.ptr + at, end - at);
        if (utf8_valid_bytes(slices[i]) != slices[i].len) {
            return error_set(error, ERR_INTERNAL, "string %zu is not UTF-8", i);
        }
        at = end;
    }
    if (at != data.len) {
        return error_set(error, ERR_INTERNAL, "the last string ends at %llu of %zu",
                         (unsigned long long)at, data.len);
    }
    return ERR_OK;
}

/* The buffer holds the slices, then the data as it came. */
static int copy_strings(const struct reader *reader, const struct record *record,
                        const struct tensor *shape, struct tensor *ret_tensor)
{
    size_t count = (size_t)tensor_elements(shape);
    size_t size_bytes;
    if (checked_mul(count, sizeof(struct slice), &size_bytes) ||
        checked_add(size_bytes, record->size_bytes, &size_bytes)) {
        return error_set(reader->error, ERR_INTERNAL, "the shape is too large");
    }
    struct buffer *buffer = buffer_new(size_bytes);
    if (buffer == NULL) {
        return error_set(reader->error, ERR_NO_MEMORY, "no memory for an output of %zu bytes",
                         size_bytes);
    }
    struct slice *slices = buffer->ptr;
    char *data = (char *)(slices + count);
    copy_out(data, reader->area + record->offset, record->size_bytes);
    int status = slice_strings(slice_make(data, record->size_bytes), slices, count, reader->error);
    if (status != ERR_OK) {
        buffer_unref(buffer);
        return status;
    }
    *ret_tensor = *shape;
    ret_tensor->buffer = buffer;
    ret_tensor->at = slices;
    return ERR_OK;
}

static int read_output(struct reader *reader, size_t records_at, const struct port *port,
                       struct tensor *ret_tensor)
{
    char bytes[WORKER_RECORD_BYTES];
    struct tensor shape;
    copy_out(bytes, reader->area + records_at, sizeof(bytes));
    const struct record record = parse_record(bytes);
    int status = check_record(reader, &record, port->dtype, &shape);
    if (status == ERR_OK) {
        status = shape.dtype == DTYPE_STRING ? copy_strings(reader, &record, &shape, ret_tensor)
                                             : copy_numbers(reader, &record, &shape, ret_tensor);
    }
    if (status != ERR_OK && reader->error != NULL) {
        struct slice name = slice_head(port->name, SHOWN_BYTES);
        error_prefix(reader->error, "the output \"%.*s\"", SLICE_FMT(name));
    }
    return status;
}

static int check_result(const struct worker_packet *result, size_t area_bytes, size_t wanted_count,
                        struct error *error)
{
    if (result->output_count != wanted_count) {
        return error_set(error, ERR_INTERNAL, "a RESULT of %u outputs, %zu are wanted",
                         result->output_count, wanted_count);
    }
    size_t records_bytes = head_bytes(wanted_count, 0);
    if (result->area_bytes > area_bytes || result->offset > result->area_bytes ||
        records_bytes > result->area_bytes - result->offset) {
        return error_set(error, ERR_INTERNAL,
                         "the records of a RESULT are out of the area: %zu bytes at %llu, it has "
                         "%zu",
                         records_bytes, (unsigned long long)result->offset, area_bytes);
    }
    return ERR_OK;
}

int worker_result_read(const struct worker_packet *result, const char *area, size_t area_bytes,
                       const struct signature *signature, const size_t *wanted, size_t wanted_count,
                       struct value *values, struct error *error)
{
    CHECK(result->type == WORKER_RESULT);
    int status = check_result(result, area_bytes, wanted_count, error);
    size_t told = (size_t)result->area_bytes;
    struct reader reader = {.area = area, .area_bytes = told, .bytes_left = told, .error = error};
    size_t done = 0;
    for (; status == ERR_OK && done < wanted_count; done++) {
        size_t at = (size_t)result->offset + done * WORKER_RECORD_BYTES;
        CHECK(wanted[done] < signature->output_count);
        values[done] = (struct value){.kind = VALUE_TENSOR};
        status = read_output(&reader, at, &signature->outputs[wanted[done]], &values[done].tensor);
    }
    for (size_t i = 0; status != ERR_OK && i < done; i++) {
        value_done(&values[i]);
    }
    return status;
}
