/*
 * Finds out the shape of the first row, opens the sink for it and reads row after row into it. Gives
 * up at the first byte that is not as expected.
 */
#include "codec/json_plain.h"

#include "base/check.h"
#include "base/checked.h"
#include "codec/columns.h"
#include "codec/json_number.h"
#include "codec/text.h"

/* Integers of the other widths, by the general conversion. */
static bool read_narrow(struct json_cursor *cursor, size_t count, struct sink *sink, size_t first)
{
    struct scalar value = {.kind = SCALAR_I64};
    for (size_t i = 0; i < count; i++) {
        if ((i > 0 && !json_take(cursor, ',')) || !json_read_i64(cursor, 1, &value.as.i64) ||
            sink_put(sink, first + i, &value) != SCALAR_FITS) {
            return false;
        }
    }
    return true;
}

/* Values with commas between them, into the current row from element `first` on. */
static bool read_run(struct json_cursor *cursor, size_t count, struct sink *sink, size_t first)
{
    void *out = sink->at + first * sink->element_bytes;
    switch (sink->dtype) {
    case DTYPE_F32:
        return json_read_f32(cursor, count, out);
    case DTYPE_F64:
        return json_read_f64(cursor, count, out);
    case DTYPE_I64:
        return json_read_i64(cursor, count, out);
    default:
        return read_narrow(cursor, count, sink, first);
    }
}

/* Behind an innermost array: up to where the next one starts. *depth is 0 after the last. */
static bool read_closing(struct json_cursor *cursor, int64_t *left, unsigned *depth)
{
    while (*depth > 0) {
        if (!json_take(cursor, ']')) {
            return false;
        }
        --*depth;
        if (*depth > 0 && --left[*depth - 1] > 0) {
            return json_take(cursor, ',');
        }
    }
    return true;
}

static bool read_row(struct json_cursor *cursor, struct sink *sink)
{
    const struct row_shape *row = &sink->row;
    int64_t left[TENSOR_MAX_RANK];
    unsigned depth = 0;
    size_t run = row->rank == 0 ? 1 : (size_t)row->dims[row->rank - 1];
    for (size_t index = 0; index < row->elements; index += run) {
        for (; depth < row->rank; depth++) {
            if (!json_take(cursor, '[')) {
                return false;
            }
            left[depth] = row->dims[depth];
        }
        if (!read_run(cursor, run, sink, index) || !read_closing(cursor, left, &depth)) {
            return false;
        }
    }
    return true;
}

/* Without selectors and conversions on the way; strings and 16-bit floats go the long way. */
static bool takes_plain(enum dtype dtype, enum dtype through)
{
    return (through == DTYPE_NONE || through == dtype) &&
           (dtype == DTYPE_F32 || dtype == DTYPE_F64 || dtype_is_integer(dtype));
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && json_is_space(text.ptr[0])) {
        text = slice_tail(text, 1);
    }
    while (text.len > 0 && json_is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* A cursor over text whose end needs no checks among digits. */
static bool begin(struct slice text, struct json_cursor *ret_cursor)
{
    text = trim(text);
    if (text.len < 2 || text.ptr[text.len - 1] != ']') {
        return false;
    }
    *ret_cursor = (struct json_cursor){text.ptr, text.ptr + text.len};
    return true;
}

bool json_plain_put_row(struct slice text, struct sink *sink)
{
    struct json_cursor cursor;
    CHECK(sink->port != NULL && sink->rows < sink->rows_max);
    if (!takes_plain(sink->dtype, sink->through) || !begin(text, &cursor) ||
        !read_row(&cursor, sink) || cursor.at != cursor.end) {
        return false;
    }
    sink_end_row(sink);
    return true;
}

static bool is_plain_key(struct slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] == '"' || key.ptr[i] == '\\' || (unsigned char)key.ptr[i] < 0x20) {
            return false;
        }
    }
    return true;
}

/* What stands behind `{"instances":` and before `}`; the text itself where it is no object. */
static bool unwrap(struct slice *text, struct slice key)
{
    struct json_cursor cursor = {text->ptr, text->ptr + text->len};
    if (!json_take(&cursor, '{')) {
        return true;
    }
    if (!is_plain_key(key) || text->ptr[text->len - 1] != '}' || !json_take(&cursor, '"') ||
        !json_take_word(&cursor, key) || cursor.at == cursor.end || *cursor.at != '"') {
        return false;
    }
    cursor.at++;
    if (!json_take(&cursor, ':')) {
        return false;
    }
    *text = trim(slice_make(cursor.at, (size_t)(cursor.end - cursor.at) - 1));
    return true;
}

static unsigned leading_brackets(struct json_cursor cursor)
{
    unsigned depth = 0;
    while (depth <= TENSOR_MAX_RANK && json_take(&cursor, '[')) {
        depth++;
    }
    return depth;
}

/* Lengths of the first arrays at each level of the row that starts at the cursor. */
static bool probe_row(struct json_cursor cursor, unsigned rank, struct row_shape *ret_row)
{
    struct row_shape row = {.rank = rank, .elements = 1};
    int64_t commas[TENSOR_MAX_RANK] = {0};
    unsigned depth = 0;
    char before = '\0';
    for (; rank > 0 && cursor.at < cursor.end; cursor.at++) {
        char byte = *cursor.at;
        if (json_is_space(byte)) {
            continue;
        }
        if (byte == '[' && depth < rank) {
            commas[depth++] = 0;
        } else if (byte == ',' && depth > 0) {
            commas[depth - 1]++;
        } else if (byte == ']' && depth > 0 && before != '[') {
            depth--;
            row.dims[depth] = row.dims[depth] == 0 ? commas[depth] + 1 : row.dims[depth];
            if (depth == 0) {
                break;
            }
        } else if (byte == '"' || byte == '{' || byte == '[' || byte == ']') {
            return false;
        }
        before = byte;
    }
    for (unsigned i = 0; i < rank; i++) {
        if (row.dims[i] == 0 || checked_mul(row.elements, (size_t)row.dims[i], &row.elements)) {
            return false;
        }
    }
    *ret_row = row;
    return true;
}

static bool read_rows(struct json_cursor *cursor, struct sink *sink, bool one_row)
{
    if (one_row) {
        if (!read_row(cursor, sink)) {
            return false;
        }
        sink_end_row(sink);
        return cursor->at == cursor->end;
    }
    if (!json_take(cursor, '[')) {
        return false;
    }
    do {
        if (sink->rows == sink->rows_max || !read_row(cursor, sink)) {
            return false;
        }
        sink_end_row(sink);
    } while (json_take(cursor, ','));
    return json_take(cursor, ']') && cursor->at == cursor->end;
}

static bool is_candidate(const struct decode *decode)
{
    const struct codec_plan *plan = decode->plan;
    const struct port *port = &plan->signature->inputs[plan->matrix.index];
    return plan->mapped.count == 0 && columns_are_plain(plan) &&
           takes_plain(port->dtype, plan->matrix.through) &&
           decode_check_matrix(decode, NULL) == ERR_OK;
}

int json_plain_decode(struct decode *decode, bool *ret_done, struct error *error)
{
    const struct codec_plan *plan = decode->plan;
    const struct port *port = &plan->signature->inputs[plan->matrix.index];
    struct slice text = trim(decode->body);
    struct json_cursor cursor;
    struct row_shape row;
    *ret_done = false;
    if (!is_candidate(decode) || text.len == 0 ||
        !unwrap(&text, plan->options->json_key_instances) || !begin(text, &cursor)) {
        return ERR_OK;
    }
    unsigned depth = leading_brackets(cursor);
    bool one_row = plan_is_row(port, depth);
    if (depth == 0 || depth > TENSOR_MAX_RANK ||
        (port->rank_known && !one_row && depth != port->rank)) {
        return ERR_OK;
    }
    struct json_cursor first = cursor;
    if ((!one_row && !json_take(&first, '[')) ||
        !probe_row(first, one_row ? depth : depth - 1, &row)) {
        return ERR_OK;
    }
    /* Every value but the last has a comma behind it. */
    uint64_t rows_max = decode_rows_bound(decode, (text_count(text, ',') + 1) / row.elements);
    if (rows_max == 0) {
        return ERR_OK;
    }
    int status = decode_open(decode, &plan->matrix, &row, one_row ? 1 : rows_max, error);
    if (status != ERR_OK) {
        /* The shape is a guess until the text has proved to be JSON. */
        return status == ERR_INVALID ? ERR_OK : status;
    }
    struct sink *sink = &decode->sinks[plan->matrix.index];
    *ret_done = read_rows(&cursor, sink, one_row);
    if (!*ret_done) {
        sink_drop(sink);
    }
    return ERR_OK;
}
