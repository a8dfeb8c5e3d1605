/*
 * Reads a signature, front to back. Counts are held against the bytes that are left before anything is
 * allocated for them, so that a few bytes cannot ask for much memory.
 */
#include "backend/worker_wire.h"

#include <stdlib.h>

#include "backend/ort_dtype.h"
#include "backend/worker_bytes.h"
#include "base/mem.h"
#include "base/utf8.h"

#define RANK_UNKNOWN UINT32_MAX
#define TEXT_MIN_BYTES sizeof(uint32_t)
#define SHOWN_BYTES 64 /* of a name in a message */

struct reader {
    struct slice rest;
    struct arena *arena;
    struct error *error;
};

static int no_memory(const struct reader *reader)
{
    return error_set(reader->error, ERR_NO_MEMORY, "no memory for the signature");
}

static int cut_off(const struct reader *reader, const char *what)
{
    return error_set(reader->error, ERR_INTERNAL, "the signature ends in the middle of %s", what);
}

static int read_u32(struct reader *reader, const char *what, uint32_t *ret_value)
{
    if (reader->rest.len < sizeof(*ret_value)) {
        return cut_off(reader, what);
    }
    *ret_value = worker_get_u32(reader->rest.ptr);
    reader->rest = slice_tail(reader->rest, sizeof(*ret_value));
    return ERR_OK;
}

static int read_text(struct reader *reader, const char *what, struct slice *ret_text)
{
    uint32_t len = 0;
    int status = read_u32(reader, what, &len);
    if (status != ERR_OK) {
        return status;
    }
    if (len > reader->rest.len) {
        return cut_off(reader, what);
    }
    struct slice text = slice_head(reader->rest, len);
    if (utf8_valid_bytes(text) != len) {
        return error_set(reader->error, ERR_INTERNAL, "%s is not UTF-8", what);
    }
    text = len == 0 ? SLICE("") : arena_copy(reader->arena, text);
    if (text.ptr == NULL) {
        return no_memory(reader);
    }
    reader->rest = slice_tail(reader->rest, len);
    *ret_text = text;
    return ERR_OK;
}

static int read_texts(struct reader *reader, const char *what, const struct slice **ret_texts,
                      size_t *ret_count)
{
    uint32_t count = 0;
    int status = read_u32(reader, what, &count);
    if (status != ERR_OK || count == 0) {
        return status;
    }
    if (count > reader->rest.len / TEXT_MIN_BYTES) {
        return cut_off(reader, what);
    }
    struct slice *texts = arena_zalloc(reader->arena, count, sizeof(*texts));
    if (texts == NULL) {
        return no_memory(reader);
    }
    for (size_t i = 0; i < count; i++) {
        status = read_text(reader, what, &texts[i]);
        if (status != ERR_OK) {
            return status;
        }
    }
    *ret_texts = texts;
    *ret_count = count;
    return ERR_OK;
}

static int compare_slices(const void *left, const void *right)
{
    const struct slice *a = left, *b = right;
    size_t len = a->len < b->len ? a->len : b->len;
    int order = len == 0 ? 0 : memcmp(a->ptr, b->ptr, len);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Sorts the names: equal ones are neighbours then, and an empty one comes first. */
static int check_sorted(const struct reader *reader, const char *what, struct slice *names,
                        size_t count)
{
    qsort(names, count, sizeof(*names), compare_slices);
    if (count > 0 && names[0].len == 0) {
        return error_set(reader->error, ERR_INTERNAL, "%s is empty", what);
    }
    for (size_t i = 1; i < count; i++) {
        if (slice_eq(names[i - 1], names[i])) {
            struct slice shown = slice_head(names[i], SHOWN_BYTES);
            return error_set(reader->error, ERR_INTERNAL, "%s \"%.*s\" comes twice", what,
                             SLICE_FMT(shown));
        }
    }
    return ERR_OK;
}

/* The feature names' unless there are none; else those of the ports. */
static int check_names(const struct reader *reader, const char *what, const struct slice *texts,
                       const struct port *ports, size_t count)
{
    struct slice *names = mem_zalloc(count, sizeof(*names));
    if (names == NULL) {
        return no_memory(reader);
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = texts != NULL ? texts[i] : ports[i].name;
    }
    int status = check_sorted(reader, what, names, count);
    mem_free(names);
    return status;
}

static int read_dims(struct reader *reader, struct port *port)
{
    for (unsigned i = 0; i < port->rank; i++) {
        if (reader->rest.len < sizeof(int64_t)) {
            return cut_off(reader, "a shape");
        }
        port->dims[i] = (int64_t)worker_get_u64(reader->rest.ptr);
        reader->rest = slice_tail(reader->rest, sizeof(int64_t));
        if (port->dims[i] < -1) {
            return error_set(reader->error, ERR_INTERNAL, "dimension %u is %lld", i,
                             (long long)port->dims[i]);
        }
    }
    if (!worker_shape_is_bounded(port->dims, port->rank)) {
        return error_set(reader->error, ERR_INTERNAL, "the shape is too large");
    }
    return ERR_OK;
}

static int read_shape(struct reader *reader, struct port *port)
{
    uint32_t rank = 0;
    int status = read_u32(reader, "a rank", &rank);
    if (status != ERR_OK || rank == RANK_UNKNOWN) {
        return status;
    }
    if (rank > TENSOR_MAX_RANK) {
        return error_set(reader->error, ERR_INTERNAL, "rank %u, at most %d", rank, TENSOR_MAX_RANK);
    }
    port->rank_known = true;
    port->rank = rank;
    return read_dims(reader, port);
}

static int read_dtype(struct reader *reader, bool may_be_unknown, enum dtype *ret_dtype)
{
    uint32_t number = 0;
    int status = read_u32(reader, "a dtype", &number);
    if (status != ERR_OK) {
        return status;
    }
    enum dtype dtype = ort_dtype_from((ONNXTensorElementDataType)number);
    if (dtype == DTYPE_OTHER || (dtype == DTYPE_NONE && !may_be_unknown)) {
        return error_set(reader->error, ERR_INTERNAL, "dtype %u is not one of the protocol's",
                         number);
    }
    *ret_dtype = dtype;
    return ERR_OK;
}

static int read_feature_names(struct reader *reader, struct port *port)
{
    int status =
        read_texts(reader, "a feature name", &port->feature_names, &port->feature_name_count);
    size_t count = port->feature_name_count;
    if (status != ERR_OK || count == 0) {
        return status;
    }
    int64_t last = port->rank > 0 ? port->dims[port->rank - 1] : 0;
    if (port->rank_known && last >= 0 && (size_t)last != count) {
        return error_set(reader->error, ERR_INTERNAL,
                         "%zu feature names for a last dimension of %lld", count, (long long)last);
    }
    return check_names(reader, "a feature name", port->feature_names, NULL, count);
}

static int read_port(struct reader *reader, bool is_output, struct port *port)
{
    port->kind = PORT_TENSOR;
    int status = read_text(reader, "a name", &port->name);
    if (status == ERR_OK) {
        status = read_dtype(reader, is_output, &port->dtype);
    }
    if (status == ERR_OK) {
        status = read_shape(reader, port);
    }
    if (status == ERR_OK) {
        status = read_feature_names(reader, port);
    }
    if (status == ERR_OK) {
        status = read_texts(reader, "a class label", &port->class_labels, &port->class_label_count);
    }
    if (status == ERR_OK && signature_describe_port(port, reader->arena) != ERR_OK) {
        status = no_memory(reader);
    }
    return status;
}

static int read_ports(struct reader *reader, bool is_output, struct port **ret_ports, size_t count)
{
    const char *what = is_output ? "output" : "input";
    struct port *ports = arena_zalloc(reader->arena, count, sizeof(*ports));
    if (ports == NULL) {
        return no_memory(reader);
    }
    for (size_t i = 0; i < count; i++) {
        int status = read_port(reader, is_output, &ports[i]);
        if (status != ERR_OK) {
            return reader->error == NULL ? status : error_prefix(reader->error, "%s %zu", what, i);
        }
    }
    *ret_ports = ports;
    return check_names(reader, is_output ? "the output" : "the input", NULL, ports, count);
}

static int read_count(struct reader *reader, const char *what, size_t *ret_count)
{
    uint32_t count = 0;
    int status = read_u32(reader, "its counts", &count);
    if (status == ERR_OK && (count == 0 || count > WORKER_PORTS_MAX)) {
        status = error_set(reader->error, ERR_INTERNAL, "a signature of %u %s, not 1 to %d", count,
                           what, WORKER_PORTS_MAX);
    }
    if (status == ERR_OK) {
        *ret_count = count;
    }
    return status;
}

static int read_signature(struct reader *reader, struct signature *signature)
{
    int status = read_text(reader, "the framework's name", &signature->producer);
    if (status == ERR_OK) {
        status = read_text(reader, "the framework's version", &signature->producer_version);
    }
    if (status == ERR_OK) {
        status = read_count(reader, "inputs", &signature->input_count);
    }
    if (status == ERR_OK) {
        status = read_count(reader, "outputs", &signature->output_count);
    }
    if (status == ERR_OK) {
        status = read_ports(reader, false, &signature->inputs, signature->input_count);
    }
    if (status == ERR_OK) {
        status = read_ports(reader, true, &signature->outputs, signature->output_count);
    }
    if (status == ERR_OK && reader->rest.len > 0) {
        status = error_set(reader->error, ERR_INTERNAL, "%zu bytes behind the signature",
                           reader->rest.len);
    }
    return status;
}

int worker_signature_read(struct slice bytes, struct arena *arena, struct signature *ret_signature,
                          struct error *error)
{
    struct reader reader = {bytes, arena, error};
    struct signature signature = {.inputs = NULL};
    if (bytes.len > WORKER_SIGNATURE_MAX_BYTES) {
        return error_set(error, ERR_INTERNAL, "a signature of %zu bytes, at most %zu", bytes.len,
                         WORKER_SIGNATURE_MAX_BYTES);
    }
    int status = read_signature(&reader, &signature);
    if (status == ERR_OK) {
        *ret_signature = signature;
    }
    return status;
}
