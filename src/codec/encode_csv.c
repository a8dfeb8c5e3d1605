/*
 * Values as CSV (RFC 4180) in the reference's dialect: lines end in a newline alone and the last
 * one in nothing, no header line, booleans and what is not a number in Python's words. Strings are
 * quoted only where they have to be.
 */
#include "base/check.h"
#include "base/utf8.h"
#include "codec/cells.h"
#include "codec/encode.h"

struct csv {
    struct writer *writer;
    struct cell_style style;
    const struct port *port;
    struct error *error;
};

static bool needs_quotes(struct slice text, char delimiter)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        if (byte == delimiter || byte == '"' || byte == '\n' || byte == '\r') {
            return true;
        }
    }
    return false;
}

/* Length of the start of the text that needs no change inside quotes. */
static size_t clean_len(struct slice text)
{
    size_t len = 0;
    while (len < text.len && text.ptr[len] != '"') {
        struct utf8_step step = utf8_step(slice_tail(text, len));
        if (!step.valid) {
            break;
        }
        len += step.bytes;
    }
    return len;
}

/* Quotes doubled, invalid UTF-8 replaced. */
static int put_text(struct writer *writer, struct slice text)
{
    for (;;) {
        size_t clean = clean_len(text);
        if (writer_put(writer, slice_head(text, clean)) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        if (clean == text.len) {
            return ERR_OK;
        }
        text = slice_tail(text, clean);
        struct utf8_step step = utf8_step(text);
        if (writer_put(writer, step.valid ? SLICE("\"\"") : UTF8_REPLACEMENT) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        text = slice_tail(text, step.bytes);
    }
}

static int put_string(struct writer *writer, struct slice text, const struct cell_style *style)
{
    if (!needs_quotes(text, style->delimiter)) {
        return put_text(writer, text);
    }
    if (writer_put_byte(writer, '"') != ERR_OK || put_text(writer, text) != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    return writer_put_byte(writer, '"');
}

/* Elements [first, first + count) of a tensor. */
static int put_run(const struct csv *csv, char separator, const struct tensor *tensor, size_t first,
                   size_t count)
{
    size_t refused; /* never: this style takes every value */
    const char *cells = (const char *)tensor->at + first * dtype_size(tensor->dtype);
    return cells_put(csv->writer, &csv->style, separator, tensor->dtype, cells, count, &refused);
}

static int check_type(const struct csv *csv, enum dtype dtype)
{
    return cells_are_supported(dtype) ? ERR_OK
                                      : encode_refuse_type(csv->port, "CSV", dtype, csv->error);
}

static int put_tensor(const struct csv *csv, const struct tensor *tensor)
{
    int status = check_type(csv, tensor->dtype);
    size_t rows = (size_t)tensor_rows(tensor);
    size_t row_elements = (size_t)tensor_row_elements(tensor);
    if (status == ERR_OK && row_elements == 1) {
        return put_run(csv, '\n', tensor, 0, rows); /* one loop over all of them */
    }
    for (size_t row = 0; status == ERR_OK && row < rows; row++) {
        if (row > 0 && writer_put_byte(csv->writer, '\n') != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        status = put_run(csv, csv->style.delimiter, tensor, row * row_elements, row_elements);
    }
    return status;
}

static bool keys_equal(const struct tensor *a, size_t i, const struct tensor *b, size_t j)
{
    if (a->dtype == DTYPE_STRING) {
        return slice_eq(((const struct slice *)a->at)[i], ((const struct slice *)b->at)[j]);
    }
    return ((const int64_t *)a->at)[i] == ((const int64_t *)b->at)[j];
}

/*
 * Where `map` has key number `i` of `first`; SIZE_MAX when it has no such key. Runtimes list the
 * keys of all maps in one order, so that the search ends where it begins.
 */
static size_t find_key(const struct tensor *first, size_t i, const struct tensor *map)
{
    size_t count = (size_t)tensor_elements(map);
    for (size_t tried = 0; tried < count; tried++) {
        size_t j = (i + tried) % count;
        if (keys_equal(first, i, map, j)) {
            return j;
        }
    }
    return SIZE_MAX;
}

/* The values of a map in the order of the first map's keys. */
static int put_map(const struct csv *csv, const struct value *map, const struct tensor *keys)
{
    int status = check_type(csv, map->mapped.dtype);
    size_t count = (size_t)tensor_elements(keys);
    CHECK(tensor_elements(&map->keys) == tensor_elements(&map->mapped));
    if (map->keys.dtype != keys->dtype || (size_t)tensor_elements(&map->keys) != count) {
        return encode_refuse(csv->port, "CSV", "its maps have different keys", csv->error);
    }
    for (size_t i = 0; status == ERR_OK && i < count; i++) {
        size_t at = find_key(keys, i, &map->keys);
        if (at == SIZE_MAX) {
            return encode_refuse(csv->port, "CSV", "its maps have different keys", csv->error);
        }
        if (i > 0 && writer_put_byte(csv->writer, csv->style.delimiter) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        status = put_run(csv, csv->style.delimiter, &map->mapped, at, 1);
    }
    return status;
}

/* One line: what an item of a sequence is. */
static int put_item(const struct csv *csv, const struct value *item, const struct value *first)
{
    if (item->kind != first->kind) {
        return encode_refuse(csv->port, "CSV", "its items are of different kinds", csv->error);
    }
    if (item->kind == VALUE_MAP) {
        return put_map(csv, item, &first->keys);
    }
    if (item->kind != VALUE_TENSOR) {
        return encode_refuse(csv->port, "CSV", "it is a nested sequence", csv->error);
    }
    int status = check_type(csv, item->tensor.dtype);
    return status != ERR_OK ? status
                            : put_run(csv, csv->style.delimiter, &item->tensor, 0,
                                      (size_t)tensor_elements(&item->tensor));
}

static int put_sequence(const struct csv *csv, const struct value *sequence)
{
    int status = ERR_OK;
    for (size_t i = 0; status == ERR_OK && i < sequence->item_count; i++) {
        if (i > 0 && writer_put_byte(csv->writer, '\n') != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        status = put_item(csv, &sequence->items[i], &sequence->items[0]);
    }
    return status;
}

int encode_csv(const struct codec_plan *plan, struct encode_output output, struct writer *writer,
               struct error *error)
{
    struct csv csv = {
        .writer = writer,
        .style =
            {
                .yes = SLICE("True"),
                .no = SLICE("False"),
                .nan = SLICE("nan"),
                .infinity = SLICE("inf"),
                .negative_infinity = SLICE("-inf"),
                .delimiter = plan->options->csv_delimiter,
                .put_string = put_string,
            },
        .port = output.port,
        .error = error,
    };
    switch (output.value->kind) {
    case VALUE_TENSOR:
        return put_tensor(&csv, &output.value->tensor);
    case VALUE_SEQUENCE:
        return put_sequence(&csv, output.value);
    case VALUE_MAP:
        return put_map(&csv, output.value, &output.value->keys);
    case VALUE_NONE:
        break;
    }
    return encode_refuse(output.port, "CSV", "the model gave no value", error);
}
