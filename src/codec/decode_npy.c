/*
 * npy bodies: one array for the input that takes the matrix. An array that already has the tensor's
 * type and order is copied in one piece; any other goes element by element.
 */
#include "codec/decode.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/checked.h"
#include "codec/columns.h"
#include "codec/npy_header.h"
#include "codec/text.h"

struct array {
    struct npy_header header;
    const struct codec_origin *origin;
    const char *bytes;
    size_t element_bytes;
    size_t rows;
    struct row_shape row; /* as it came, columns not yet selected */
};

static int read_array(struct slice body, struct array *array, struct error *error)
{
    size_t wanted;
    int status = npy_header_parse(body, &array->header, error);
    if (status != ERR_OK) {
        return status;
    }
    array->element_bytes = dtype_size(array->header.dtype);
    size_t got = body.len - array->header.bytes_before;
    if (checked_mul(array->header.elements, array->element_bytes, &wanted) || wanted != got) {
        return error_set(error, ERR_INVALID,
                         "the npy file has %zu bytes of values where %zu values of %s are expected",
                         got, array->header.elements, dtype_name(array->header.dtype));
    }
    if (array->header.elements == 0) {
        return error_set(error, ERR_INVALID, "the npy array has no values");
    }
    array->bytes = body.ptr + array->header.bytes_before;
    return ERR_OK;
}

/* As JSON's arrays: rows, or one row where it has the rank of one. */
static void split_rows(struct array *array, const struct port *port)
{
    const struct npy_header *header = &array->header;
    bool one_row = header->rank == 0 || plan_is_row(port, header->rank);
    unsigned first = one_row ? 0 : 1;
    array->rows = one_row ? 1 : (size_t)header->dims[0];
    array->row.rank = header->rank - first;
    memcpy(array->row.dims, header->dims + first, array->row.rank * sizeof(header->dims[0]));
    array->row.elements = header->elements / array->rows;
}

/* Where the element stands that comes `index`-th in row-major order. */
static size_t storage_index(const struct npy_header *header, size_t index)
{
    if (!header->fortran_order) {
        return index;
    }
    size_t at = 0;
    size_t stride = header->elements;
    for (unsigned i = header->rank; i-- > 0;) {
        size_t dim = (size_t)header->dims[i];
        stride /= dim;
        at += index % dim * stride;
        index /= dim;
    }
    return at;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "npy's '<' is taken for this machine's order");

static struct scalar load(const struct array *array, size_t index)
{
    char bytes[8];
    size_t size = array->element_bytes;
    const char *at = array->bytes + storage_index(&array->header, index) * size;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = at[array->header.swapped ? size - 1 - i : i];
    }
    return scalar_load(array->header.dtype, bytes);
}

static int put_element(const struct array *array, size_t row, size_t column, struct sink *sink,
                       size_t index, struct error *error)
{
    struct scalar value = load(array, row * array->row.elements + column);
    enum scalar_fault fault = sink_put(sink, index, &value);
    if (fault == SCALAR_FITS) {
        return ERR_OK;
    }
    struct place place = {0, (int64_t)row + array->origin->rows, (int64_t)column};
    scalar_refuse(&value, fault, sink->dtype, sink->port->name, error);
    return place_prefix(error, &place);
}

static int put_row(const struct array *array, size_t row, const struct columns *columns,
                   struct sink *sink, struct error *error)
{
    for (size_t i = 0; i < array->row.elements; i++) {
        const struct column *column = columns->items != NULL ? &columns->items[i] : NULL;
        if (column != NULL && column->sink == NULL) {
            continue;
        }
        int status = put_element(array, row, i, sink, column != NULL ? column->index : i, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    sink_end_row(sink);
    return ERR_OK;
}

/* Booleans are looked at one by one: a byte may hold anything. */
static bool is_copy(const struct array *array, const struct columns *columns,
                    const struct sink *sink)
{
    return columns->items == NULL && sink->through == DTYPE_NONE &&
           sink->dtype == array->header.dtype && sink->dtype != DTYPE_BOOL &&
           !array->header.swapped && (!array->header.fortran_order || array->header.rank <= 1);
}

static int put_rows(const struct array *array, const struct columns *columns, struct sink *sink,
                    struct error *error)
{
    if (is_copy(array, columns, sink)) {
        CHECK((size_t)sink->rows_max >= array->rows);
        memcpy(sink->at, array->bytes, array->header.elements * array->element_bytes);
        sink->rows = (int64_t)array->rows;
        return ERR_OK;
    }
    for (size_t row = 0; row < array->rows; row++) {
        int status = put_row(array, row, columns, sink, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

int decode_npy(struct decode *decode, struct error *error)
{
    const struct codec_plan *plan = decode->plan;
    struct sink *sink = &decode->sinks[plan->matrix.index];
    struct array array = {.origin = decode->origin};
    struct columns columns = {.items = NULL};
    int status = read_array(decode->body, &array, error);
    if (status == ERR_OK) {
        status = decode_check_matrix(decode, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    split_rows(&array, &plan->signature->inputs[plan->matrix.index]);
    struct row_shape row = array.row;
    status = decode_check_records(decode, array.rows, error);
    if (status == ERR_OK && !columns_are_plain(plan)) {
        if (row.rank > 1) {
            return error_set(error, ERR_INVALID, "columns can be selected from flat rows only");
        }
        status = columns_new(row.elements, decode->arena, &columns, error);
        if (status == ERR_OK) {
            status = columns_select(&columns, plan, sink, error);
        }
        row = (struct row_shape){1, {(int64_t)columns.kept}, columns.kept};
    }
    if (status == ERR_OK) {
        status = decode_open(decode, &plan->matrix, &row, array.rows, error);
    }
    return status == ERR_OK ? put_rows(&array, &columns, sink, error) : status;
}
