#include "codec/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/checked.h"
#include "codec/text.h"

#define SHAPE_TEXT_MAX 200

/* "[N, 4]" of a model's input: names of free dimensions where it has them. */
static void describe_port(const struct port *port, char text[SHAPE_TEXT_MAX])
{
    size_t len = (size_t)snprintf(text, SHAPE_TEXT_MAX, "[");
    for (unsigned i = 0; i < port->rank && len < SHAPE_TEXT_MAX; i++) {
        const char *before = i == 0 ? "" : ", ";
        struct slice symbol = slice_head(port->symbols[i], 16);
        if (port->dims[i] >= 0) {
            len += (size_t)snprintf(text + len, SHAPE_TEXT_MAX - len, "%s%" PRId64, before,
                                    port->dims[i]);
        } else if (symbol.len > 0) {
            len += (size_t)snprintf(text + len, SHAPE_TEXT_MAX - len, "%s%.*s", before,
                                    SLICE_FMT(symbol));
        } else {
            len += (size_t)snprintf(text + len, SHAPE_TEXT_MAX - len, "%s%s", before,
                                    i == 0 ? "N" : "?");
        }
    }
    if (len < SHAPE_TEXT_MAX) {
        snprintf(text + len, SHAPE_TEXT_MAX - len, "]");
    }
}

/* "single values", "rows of 3 values", "rows of shape [2, 3]". */
static void describe_row(const struct row_shape *row, char text[SHAPE_TEXT_MAX])
{
    if (row->rank == 0) {
        snprintf(text, SHAPE_TEXT_MAX, "single values");
        return;
    }
    if (row->rank == 1) {
        snprintf(text, SHAPE_TEXT_MAX, "rows of %" PRId64 " value%s", row->dims[0],
                 row->dims[0] == 1 ? "" : "s");
        return;
    }
    size_t len = (size_t)snprintf(text, SHAPE_TEXT_MAX, "rows of shape [");
    for (unsigned i = 0; i < row->rank && len < SHAPE_TEXT_MAX; i++) {
        len += (size_t)snprintf(text + len, SHAPE_TEXT_MAX - len, "%s%" PRId64, i == 0 ? "" : ", ",
                                row->dims[i]);
    }
    if (len < SHAPE_TEXT_MAX) {
        snprintf(text + len, SHAPE_TEXT_MAX - len, "]");
    }
}

static int refuse_shape(const struct port *port, const struct row_shape *row, struct error *error)
{
    char wanted[SHAPE_TEXT_MAX];
    char got[SHAPE_TEXT_MAX];
    struct slice name = text_excerpt(port->name);
    describe_port(port, wanted);
    describe_row(row, got);
    return error_set(error, ERR_INVALID, "input \"%.*s\" takes the shape %s, got %s",
                     SLICE_FMT(name), wanted, got);
}

/*
 * The shape rows of `row` would be stored in: a single value counts as a row of one and the other
 * way round.
 */
static int fit(const struct port *port, const struct row_shape *row, struct row_shape *ret_row,
               struct error *error)
{
    struct row_shape fitted = *row;
    if (!port->rank_known) {
        *ret_row = fitted;
        return ERR_OK;
    }
    /* A model input without a batch dimension takes one value a request. */
    unsigned rank = port->rank == 0 ? 0 : port->rank - 1;
    if (fitted.elements == 1 && fitted.rank <= 1 && rank <= 1) {
        fitted.rank = rank;
        fitted.dims[0] = 1;
    }
    if (fitted.rank != rank) {
        return refuse_shape(port, row, error);
    }
    for (unsigned i = 0; i < rank; i++) {
        if (port->dims[i + 1] >= 0 && port->dims[i + 1] != fitted.dims[i]) {
            return refuse_shape(port, row, error);
        }
    }
    *ret_row = fitted;
    return ERR_OK;
}

static int open_strings(struct sink *sink, const int64_t *dims, struct error *error)
{
    size_t count;
    if (checked_mul((size_t)dims[0], sink->row.elements, &count)) {
        return error_set(error, ERR_INVALID, "the shape is too large");
    }
    sink->strings = arena_zalloc(sink->arena, count, sizeof(sink->strings[0]));
    if (sink->strings == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for %zu strings", count);
    }
    return ERR_OK;
}

int sink_open(struct sink *sink, const struct port *port, enum dtype through,
              const struct row_shape *row, int64_t rows_max, struct arena *arena,
              struct error *error)
{
    CHECK(sink->port == NULL && row->rank < TENSOR_MAX_RANK && row->elements > 0);
    struct sink opened = {.through = through == port->dtype ? DTYPE_NONE : through,
                          .dtype = port->dtype,
                          .element_bytes = dtype_size(port->dtype),
                          .rows_max = rows_max,
                          .arena = arena};
    int status = fit(port, row, &opened.row, error);
    if (status != ERR_OK) {
        return status;
    }
    int64_t dims[TENSOR_MAX_RANK] = {rows_max};
    memcpy(dims + 1, opened.row.dims, opened.row.rank * sizeof(dims[0]));
    status = port->dtype == DTYPE_STRING
                 ? open_strings(&opened, dims, error)
                 : tensor_new(port->dtype, opened.row.rank + 1, dims, &opened.tensor, error);
    if (status != ERR_OK) {
        return status;
    }
    opened.at = opened.tensor.at;
    opened.port = port;
    *sink = opened;
    return ERR_OK;
}

static enum scalar_fault put_string(struct sink *sink, size_t index, const struct scalar *value)
{
    switch (value->kind) {
    case SCALAR_STRING:
        sink->strings[(size_t)sink->rows * sink->row.elements + index] = value->text;
        return SCALAR_FITS;
    case SCALAR_NULL:
        return SCALAR_MISSING;
    case SCALAR_ARRAY:
    case SCALAR_OBJECT:
        return SCALAR_NESTED;
    default:
        return SCALAR_NOT_TEXT;
    }
}

enum scalar_fault sink_put(struct sink *sink, size_t index, const struct scalar *value)
{
    CHECK(index < sink->row.elements && sink->rows < sink->rows_max);
    if (sink->strings != NULL) {
        return put_string(sink, index, value);
    }
    return scalar_store(value, sink->through, sink->dtype, sink->at + index * sink->element_bytes);
}

void sink_end_row(struct sink *sink)
{
    CHECK(sink->rows < sink->rows_max);
    sink->rows++;
    sink->fed = false;
    if (sink->strings == NULL) {
        sink->at += sink->row.elements * sink->element_bytes;
    }
}

static int check_rows(const struct sink *sink, int64_t rows, struct error *error)
{
    const struct port *port = sink->port;
    struct slice name = text_excerpt(port->name);
    if (!port->rank_known || (port->rank > 0 && port->dims[0] < 0)) {
        return ERR_OK;
    }
    int64_t wanted = port->rank == 0 ? 1 : port->dims[0];
    if (rows == wanted) {
        return ERR_OK;
    }
    return error_set(error, ERR_INVALID,
                     "input \"%.*s\" takes exactly %" PRId64 " row%s a request, got %" PRId64,
                     SLICE_FMT(name), wanted, wanted == 1 ? "" : "s", rows);
}

/* The tensor without its first rows. */
static void skip_rows(struct tensor *tensor, int64_t skipped)
{
    struct tensor all = *tensor;
    *tensor = tensor_row_view(&all, skipped, all.dims[0] - skipped);
    tensor_done(&all);
}

int sink_take(struct sink *sink, int64_t skipped, struct tensor *ret_tensor, struct error *error)
{
    CHECK(sink->port != NULL);
    bool scalar = sink->port->rank_known && sink->port->rank == 0;
    unsigned rank = sink->row.rank + 1;
    int64_t dims[TENSOR_MAX_RANK] = {sink->rows};
    memcpy(dims + 1, sink->row.dims, sink->row.rank * sizeof(dims[0]));
    int status = check_rows(sink, sink->rows - skipped, error);
    if (status == ERR_OK && sink->strings != NULL) {
        status = tensor_new_strings(rank, dims, sink->strings, &sink->tensor, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    *ret_tensor = sink->tensor;
    ret_tensor->rank = rank;
    memcpy(ret_tensor->dims, dims, sizeof(dims));
    if (skipped > 0) {
        skip_rows(ret_tensor, skipped);
    }
    ret_tensor->rank = scalar ? 0 : rank;
    *sink = (struct sink){.port = NULL};
    return ERR_OK;
}

void sink_drop(struct sink *sink)
{
    tensor_done(&sink->tensor);
    *sink = (struct sink){.port = NULL};
}
