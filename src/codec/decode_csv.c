/*
 * CSV bodies. The first row decides where columns go: by a header with the manifest's feature names
 * or the model's input names, else by position and the selectors. Then every row is stored cell by
 * cell as it is read; cells of dropped columns are only passed over.
 */
#include "codec/decode.h"

#include <inttypes.h>
#include <string.h>

#include "codec/columns.h"
#include "codec/csv_reader.h"
#include "codec/json_number.h"
#include "codec/text.h"

#define CSV_COLUMNS_MAX 65536

struct table {
    struct decode *decode;
    struct csv_reader reader;
    struct slice *first; /* the cells of the first row */
    size_t width;        /* how many there are */
    struct columns columns;
    bool by_input;       /* columns feed the inputs they are named after */
    bool ends_with_line; /* a line end closes the text: every run of digits ends before it */
};

static int count_cells(struct csv_reader reader, size_t *ret_count, struct error *error)
{
    size_t count = 0;
    int status = csv_reader_end_row(&reader, &count, error);
    *ret_count = count;
    return status;
}

/* Each column costs memory before any row is stored; a model's own width is always fine. */
static int check_width(const struct table *table, struct error *error)
{
    const struct codec_plan *plan = table->decode->plan;
    const struct port *port = &plan->signature->inputs[plan->matrix.index];
    size_t max = CSV_COLUMNS_MAX;
    if (port->rank_known && port->rank == 2 && port->dims[1] > CSV_COLUMNS_MAX / 2) {
        max = (size_t)port->dims[1] * 2;
    }
    return table->width <= max
               ? ERR_OK
               : error_set(error, ERR_INVALID, "too many columns: %zu > %zu", table->width, max);
}

/* Collects the first row's cells; the reader stays before it. */
static int read_first_row(struct table *table, struct error *error)
{
    struct csv_reader reader = table->reader;
    struct arena *arena = table->decode->arena;
    int status = count_cells(reader, &table->width, error);
    if (status == ERR_OK) {
        status = check_width(table, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    table->first = arena_zalloc(arena, table->width, sizeof(table->first[0]));
    if (table->first == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for %zu columns", table->width);
    }
    for (size_t i = 0; i < table->width && status == ERR_OK; i++) {
        struct csv_cell cell;
        status = csv_reader_cell(&reader, &cell, error);
        if (status == ERR_OK) {
            status = csv_cell_text(&cell, arena, &table->first[i], error);
        }
    }
    return status;
}

/* Whether the input takes one value a row, as a column gives it. */
static bool takes_column(const struct port *port)
{
    return !port->rank_known || port->rank == 1 ||
           (port->rank == 2 && (port->dims[1] == 1 || port->dims[1] < 0));
}

/*
 * Columns feed inputs by name where the header names all that a request has to give. The one input
 * of a model with a matrix of features may bear the name of one of them: that is no such header.
 */
static bool names_inputs(const struct table *table, const struct columns *columns)
{
    const struct codec_plan *plan = table->decode->plan;
    size_t required = 0;
    for (size_t i = 0; i < plan->signature->input_count; i++) {
        bool needed = plan_input_required(plan, i);
        required += needed;
        if (needed && !takes_column(&plan->signature->inputs[i])) {
            return false;
        }
    }
    const struct port *only = &plan->signature->inputs[plan->matrix.index];
    bool one_value = only->rank_known && (only->rank == 1 || only->dims[1] == 1);
    return columns->kept >= required &&
           (plan->signature->input_count > 1 || one_value || table->width == 1);
}

/* A word that a cell of this type may be, so that it does not make its row a header. */
static bool is_value(const struct port *port, struct slice cell)
{
    if (port->dtype == DTYPE_STRING) {
        return true;
    }
    if (port->dtype == DTYPE_BOOL && (slice_eq_nocase(slice_trim(cell), SLICE("true")) ||
                                      slice_eq_nocase(slice_trim(cell), SLICE("false")))) {
        return true;
    }
    return num_parse(slice_trim(cell)).kind != NUM_NONE;
}

/*
 * A table written with its index has an empty name for it, so an empty cell is a header's as any
 * other text. In a column that is kept it is more likely a value that is missing: a line that has no
 * other sign of a header is refused for it, rather than left out.
 */
static bool looks_like_header(const struct table *table)
{
    const struct codec_plan *plan = table->decode->plan;
    const struct port *port = &plan->signature->inputs[plan->matrix.index];
    for (size_t i = 0; i < table->width; i++) {
        bool missing = slice_trim(table->first[i]).len == 0 && table->columns.items[i].sink != NULL;
        if (!missing && !is_value(port, table->first[i])) {
            return true;
        }
    }
    return false;
}

/* Tries the header's names. True in *ret_named when they say where the columns go. */
static int place_by_name(struct table *table, bool *ret_named, struct error *error)
{
    struct decode *decode = table->decode;
    const struct codec_plan *plan = decode->plan;
    struct columns *columns = &table->columns;
    int status = columns_by_input(columns, plan, table->first, decode->sinks, error);
    if (status != ERR_OK) {
        return status;
    }
    table->by_input = names_inputs(table, columns);
    if (!table->by_input) {
        status = columns_by_feature(columns, plan, table->first, &decode->sinks[plan->matrix.index],
                                    decode->arena, error);
    }
    *ret_named = table->by_input || columns->kept > 0;
    return status;
}

static int place_by_position(struct table *table, struct error *error)
{
    struct decode *decode = table->decode;
    int status = decode_check_matrix(decode, error);
    if (status != ERR_OK) {
        return status;
    }
    return columns_select(&table->columns, decode->plan, &decode->sinks[decode->plan->matrix.index],
                          error);
}

/* An empty cell in a first row of values says more than the width that it makes. */
static int check_first_row(const struct table *table, struct error *error)
{
    const struct codec_plan *plan = table->decode->plan;
    const struct port *port = &plan->signature->inputs[plan->matrix.index];
    struct scalar empty = {.kind = SCALAR_STRING};
    for (size_t i = 0; i < table->width && port->dtype != DTYPE_STRING; i++) {
        if (table->first[i].len == 0 && table->columns.items[i].sink != NULL) {
            struct place place = {table->reader.row_line, 0, (int64_t)i};
            scalar_refuse(&empty, SCALAR_NOT_A_NUMBER, port->dtype, port->name, error);
            return place_prefix(error, &place);
        }
    }
    return ERR_OK;
}

/* Sees whether the first row is a header and where the columns go. */
static int place_columns(struct table *table, bool *ret_header, struct error *error)
{
    enum csv_header setting = table->decode->plan->options->csv_has_header;
    bool named = false;
    int status = columns_new(table->width, table->decode->arena, &table->columns, error);
    if (status == ERR_OK && setting != CSV_HEADER_FALSE) {
        status = place_by_name(table, &named, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    status = named ? ERR_OK : place_by_position(table, error);
    bool header = named || setting == CSV_HEADER_TRUE ||
                  (status == ERR_OK && setting == CSV_HEADER_AUTO && looks_like_header(table));
    if (status == ERR_OK && !header) {
        status = check_first_row(table, error);
    }
    *ret_header = header;
    return status;
}

static int open_sinks(struct table *table, struct error *error)
{
    struct decode *decode = table->decode;
    const struct codec_plan *plan = decode->plan;
    size_t lines = text_count(decode->body, '\n') + text_count(decode->body, '\r') + 1;
    uint64_t rows = decode_rows_bound(decode, lines);
    if (!table->by_input) {
        struct row_shape row = {1, {(int64_t)table->columns.kept}, table->columns.kept};
        return decode_open(decode, &plan->matrix, &row, rows, error);
    }
    int status = ERR_OK;
    for (size_t i = 0; i < table->width && status == ERR_OK; i++) {
        if (table->columns.items[i].sink != NULL) {
            struct row_shape one = {.rank = 0, .elements = 1};
            struct field field = {.index = (size_t)(table->columns.items[i].sink - decode->sinks)};
            if (!plan->signature->inputs[field.index].rank_known) {
                one = (struct row_shape){1, {1}, 1};
            }
            status = decode_open(decode, &field, &one, rows, error);
        }
    }
    return status;
}

static struct scalar parse_cell(struct slice text, enum dtype dtype)
{
    struct slice trimmed = slice_trim(text);
    struct num num = num_parse(trimmed);
    if (num.kind == NUM_NONE && dtype == DTYPE_BOOL) {
        if (slice_eq_nocase(trimmed, SLICE("true")) || slice_eq_nocase(trimmed, SLICE("false"))) {
            return (struct scalar){.kind = SCALAR_BOOL, .as.truth = trimmed.len == 4};
        }
    }
    return scalar_from_num(num, trimmed);
}

/*
 * The short way for a plain decimal number into a float: true when it was one. A zero goes the long
 * way, which knows the sign of "-0".
 */
static bool put_plain(const struct table *table, const struct sink *sink, size_t index,
                      struct slice text)
{
    const char *body_end = table->decode->body.ptr + table->decode->body.len;
    char *element = sink->at + index * sink->element_bytes;
    const char *end;
    float f32;
    double f64;
    if (sink->dtype == DTYPE_F32) {
        end = json_number_f32(text.ptr, body_end, &f32);
        if (end != text.ptr + text.len || f32 == 0) {
            return false;
        }
        memcpy(element, &f32, sizeof(f32));
    } else {
        end = json_number_f64(text.ptr, body_end, &f64);
        if (end != text.ptr + text.len || f64 == 0) {
            return false;
        }
        memcpy(element, &f64, sizeof(f64));
    }
    return true;
}

static bool takes_plain(const struct table *table, const struct sink *sink)
{
    return table->ends_with_line && sink->through == DTYPE_NONE &&
           (sink->dtype == DTYPE_F32 || sink->dtype == DTYPE_F64);
}

static int put_cell(struct table *table, const struct column *column, const struct csv_cell *cell,
                    struct error *error)
{
    struct sink *sink = column->sink;
    struct scalar value = {.kind = SCALAR_STRING};
    if (takes_plain(table, sink) && put_plain(table, sink, column->index, cell->text)) {
        return ERR_OK;
    }
    if (sink->dtype == DTYPE_STRING) {
        int status = csv_cell_text(cell, table->decode->arena, &value.text, error);
        if (status != ERR_OK) {
            return status;
        }
    } else {
        value = parse_cell(cell->text, sink->dtype);
    }
    enum scalar_fault fault = sink_put(sink, column->index, &value);
    return fault == SCALAR_FITS
               ? ERR_OK
               : scalar_refuse(&value, fault, sink->dtype, sink->port->name, error);
}

static int refuse_width(const struct place *place, size_t got, size_t wanted, struct error *error)
{
    error_set(error, ERR_INVALID, "%zu cell%s where the first line has %zu", got,
              got == 1 ? "" : "s", wanted);
    return place_prefix(error, place);
}

/* The reader's messages name their own line: a quoted cell may start far below its row. */
static int put_row(struct table *table, struct place place, struct error *error)
{
    size_t width = table->columns.count;
    size_t cells = 0;
    struct csv_cell cell = {.last = false};
    if (csv_reader_at_blank(&table->reader)) {
        error_set(error, ERR_INVALID, "the line is blank");
        return place_prefix(error, &place);
    }
    for (; cells < width && !cell.last; cells++) {
        const struct column *column = &table->columns.items[cells];
        int status = csv_reader_cell(&table->reader, &cell, error);
        if (status != ERR_OK) {
            return status;
        }
        status = column->sink != NULL ? put_cell(table, column, &cell, error) : ERR_OK;
        if (status != ERR_OK) {
            place.column = (int64_t)cells;
            return status == ERR_INVALID ? place_prefix(error, &place) : status;
        }
    }
    if (!cell.last) {
        int status = csv_reader_end_row(&table->reader, &cells, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    return cells == width ? ERR_OK : refuse_width(&place, cells, width, error);
}

static void end_row(struct table *table)
{
    struct decode *decode = table->decode;
    for (size_t i = 0; i < decode->plan->signature->input_count; i++) {
        if (decode->sinks[i].port != NULL) {
            sink_end_row(&decode->sinks[i]);
        }
    }
}

/* Rows past the limit are counted, not stored. */
static int put_rows(struct table *table, uint64_t *ret_rows, struct error *error)
{
    uint64_t max = decode_rows_bound(table->decode, UINT64_MAX);
    uint64_t rows = 0;
    for (; csv_reader_begin_row(&table->reader); rows++) {
        int64_t row = (int64_t)rows + table->decode->origin->rows;
        struct place place = {table->reader.row_line, row, -1};
        size_t cells = 0;
        int status = rows < max ? put_row(table, place, error)
                                : csv_reader_end_row(&table->reader, &cells, error);
        if (status != ERR_OK) {
            return status;
        }
        if (rows < max) {
            end_row(table);
        }
    }
    *ret_rows = rows;
    return ERR_OK;
}

/* Reads the first row and finds out what it means; the reader stays before it. */
static int open_table(struct table *table, bool *ret_header, struct error *error)
{
    const struct decode *decode = table->decode;
    const struct codec_options *options = decode->plan->options;
    struct slice text = slice_tail(decode->body, text_mark_bytes(decode->body));
    table->ends_with_line = text.len > 0 && text.ptr[text.len - 1] == '\n';
    csv_reader_init(&table->reader, text, options->csv_delimiter, options->csv_skip_blank_lines);
    table->reader.line += decode->origin->lines;
    size_t invalid = text_find_invalid(decode->body);
    if (invalid < decode->body.len) {
        return error_set(error, ERR_INVALID, "invalid UTF-8 at byte %zu",
                         decode_byte(decode, invalid));
    }
    if (!csv_reader_begin_row(&table->reader)) {
        return error_set(error, ERR_INVALID, "the payload has no rows");
    }
    if (csv_reader_at_blank(&table->reader)) {
        return error_set(error, ERR_INVALID, "line 1: the line is blank");
    }
    int status = read_first_row(table, error);
    return status == ERR_OK ? place_columns(table, ret_header, error) : status;
}

static int fill_table(struct table *table, struct error *error)
{
    uint64_t rows = 0;
    size_t cells = 0;
    bool header = false;
    int status = open_table(table, &header, error);
    if (status == ERR_OK && header) {
        status = csv_reader_end_row(&table->reader, &cells, error);
    }
    if (status == ERR_OK) {
        status = open_sinks(table, error);
    }
    if (status == ERR_OK) {
        status = put_rows(table, &rows, error);
    }
    if (status == ERR_OK) {
        status = decode_check_records(table->decode, rows, error);
    }
    if (status == ERR_OK && rows == 0) {
        status = error_set(error, ERR_INVALID, "the payload has a header but no rows");
    }
    return status;
}

int decode_csv(struct decode *decode, struct error *error)
{
    struct table table = {.decode = decode};
    return fill_table(&table, error);
}

int codec_csv_has_header(const struct codec_plan *plan, struct slice body, struct arena *arena,
                         bool *ret_has_header, struct error *error)
{
    const struct codec_origin origin = {.rows = 0};
    struct decode decode = {.plan = plan, .body = body, .origin = &origin, .arena = arena};
    struct table table = {.decode = &decode};
    size_t count = plan->signature->input_count;
    decode.sinks = arena_zalloc(arena, count, sizeof(decode.sinks[0]));
    if (decode.sinks == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for %zu inputs", count);
    }
    return open_table(&table, ret_has_header, error);
}
