/*
 * Walks nested arrays with a stack of its own, as deep as a tensor has dimensions, and stores cell
 * by cell. Nothing here knows where rows come from.
 */
#include "codec/json_rows.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/checked.h"

/* Of a configured key: the reference shows all of it. */
#define KEY_SHOWN_MAX 400

/*
 * The shape of an array by its first elements; a single value has rank 0. Whether the rest agrees
 * shows when it is put.
 */
static int find_shape(const struct json_value *value, struct row_shape *ret_shape,
                      struct error *error)
{
    struct row_shape shape = {.elements = 1};
    while (json_value_kind(value) == JSON_ARRAY) {
        size_t count = json_value_count(value);
        if (count == 0) {
            return error_set(error, ERR_INVALID, "an array without values");
        }
        if (shape.rank == TENSOR_MAX_RANK - 1) {
            return error_set(error, ERR_INVALID, "arrays nested deeper than a tensor's dimensions");
        }
        if (checked_mul(shape.elements, count, &shape.elements)) {
            return error_set(error, ERR_INVALID, "the shape is too large");
        }
        shape.dims[shape.rank++] = (int64_t)count;
        value = json_value_first(value);
    }
    *ret_shape = shape;
    return ERR_OK;
}

const char *json_describe(const struct json_value *value)
{
    switch (json_value_scalar(value).kind) {
    case SCALAR_NULL:
        return "null";
    case SCALAR_BOOL:
        return "a boolean";
    case SCALAR_STRING:
        return "a string";
    case SCALAR_ARRAY:
        return "an array";
    case SCALAR_OBJECT:
        return "an object";
    default:
        return "a number";
    }
}

void json_rows_init(struct json_rows *rows, struct decode *decode, const struct field *field,
                    uint64_t rows_max)
{
    *rows = (struct json_rows){.decode = decode, .field = field, .rows_max = rows_max};
}

struct sink *json_rows_sink(const struct json_rows *rows)
{
    return &rows->decode->sinks[rows->field->index];
}

/* The first row says how wide all are. */
static int open_rows(struct json_rows *rows, const struct json_value *value,
                     const struct place *place, struct error *error)
{
    struct decode *decode = rows->decode;
    struct row_shape shape = {0};
    if (find_shape(value, &shape, error) != ERR_OK) {
        return place_prefix(error, place);
    }
    rows->selects = rows->field == &decode->plan->matrix && !columns_are_plain(decode->plan);
    if (rows->selects) {
        if (shape.rank > 1) {
            return error_set(error, ERR_INVALID, "columns can be selected from flat rows only");
        }
        int status = columns_new(shape.elements, decode->arena, &rows->columns, error);
        if (status == ERR_OK) {
            status = columns_select(&rows->columns, decode->plan, json_rows_sink(rows), error);
        }
        if (status != ERR_OK) {
            return status;
        }
        shape = (struct row_shape){1, {(int64_t)rows->columns.kept}, rows->columns.kept};
    }
    return decode_open(decode, rows->field, &shape, rows->rows_max, error);
}

static int put_cell(const struct decode *decode, struct sink *sink, size_t index,
                    const struct json_value *value, struct error *error)
{
    struct scalar scalar = json_value_scalar(value);
    if (decode->copies_text && sink->dtype == DTYPE_STRING && scalar.kind == SCALAR_STRING) {
        scalar.text = arena_copy(decode->arena, scalar.text);
        if (scalar.text.ptr == NULL) {
            return error_set(error, ERR_NO_MEMORY, "no memory for a string");
        }
    }
    enum scalar_fault fault = sink_put(sink, index, &scalar);
    return fault == SCALAR_FITS
               ? ERR_OK
               : scalar_refuse(&scalar, fault, sink->dtype, sink->port->name, error);
}

static int refuse_length(const struct sink *sink, size_t got, size_t wanted, struct error *error)
{
    CHECK(sink->port != NULL);
    struct slice name = text_excerpt(sink->port->name);
    return error_set(error, ERR_INVALID, "%zu value%s where the first row has %zu (input \"%.*s\")",
                     got, got == 1 ? "" : "s", wanted, SLICE_FMT(name));
}

static int put_selected(struct json_rows *rows, const struct json_value *value, struct place *place,
                        struct error *error)
{
    size_t count = json_value_count(value);
    if (json_value_kind(value) != JSON_ARRAY || count != rows->columns.count) {
        return refuse_length(json_rows_sink(rows), json_value_kind(value) == JSON_ARRAY ? count : 1,
                             rows->columns.count, error);
    }
    const struct json_value *cell = json_value_first(value);
    for (size_t i = 0; i < count; i++, cell = json_value_next(cell)) {
        const struct column *column = &rows->columns.items[i];
        if (column->sink != NULL) {
            int status = put_cell(rows->decode, column->sink, column->index, cell, error);
            if (status != ERR_OK) {
                place->column = (int64_t)i;
                return status;
            }
        }
    }
    return ERR_OK;
}

/* Arrays on the way down to the cells; innermost last. */
struct level {
    const struct json_value *next;
    size_t left;
};

/* One level down: `value` must be an array of just the length that the shape says. */
static int enter_array(const struct sink *sink, struct level *level, const struct json_value *value,
                       int64_t length, struct error *error)
{
    size_t count = json_value_count(value);
    if (json_value_kind(value) != JSON_ARRAY) {
        struct slice name = text_excerpt(sink->port->name);
        return error_set(error, ERR_INVALID,
                         "%s where the first row has an array of %" PRId64 " (input \"%.*s\")",
                         json_describe(value), length, SLICE_FMT(name));
    }
    if (count != (size_t)length) {
        return refuse_length(sink, count, (size_t)length, error);
    }
    *level = (struct level){json_value_first(value), count};
    return ERR_OK;
}

/* Bounded by the row's rank; `index` runs over the row's elements in storage order. */
static int put_nested(const struct decode *decode, struct sink *sink,
                      const struct json_value *value, struct place *place, struct error *error)
{
    struct level levels[TENSOR_MAX_RANK] = {0};
    unsigned depth = 0;
    size_t index = 0;
    for (;;) {
        if (depth < sink->row.rank) {
            int status = enter_array(sink, &levels[depth], value, sink->row.dims[depth], error);
            if (status != ERR_OK) {
                return status;
            }
            depth++;
        } else {
            int status = put_cell(decode, sink, index, value, error);
            if (status != ERR_OK) {
                place->column = (int64_t)index;
                return status;
            }
            index++;
        }
        while (depth > 0 && levels[depth - 1].left == 0) {
            depth--;
        }
        if (depth == 0) {
            return ERR_OK;
        }
        struct level *level = &levels[depth - 1];
        value = level->next;
        level->left--;
        level->next = json_value_next(value);
    }
}

/* A single value stands for a row of one, and a row of one for a single value. */
static const struct json_value *unwrap_one(const struct sink *sink, const struct json_value *value)
{
    bool array = json_value_kind(value) == JSON_ARRAY;
    return array && sink->row.rank == 0 && json_value_count(value) == 1 ? json_value_first(value)
                                                                        : value;
}

static int put_row(struct json_rows *rows, const struct json_value *value, struct place *place,
                   struct error *error)
{
    struct sink *sink = json_rows_sink(rows);
    if (rows->selects) {
        return put_selected(rows, value, place, error);
    }
    value = unwrap_one(sink, value);
    bool bare =
        json_value_kind(value) == JSON_SCALAR && sink->row.rank == 1 && sink->row.elements == 1;
    return bare ? put_cell(rows->decode, sink, 0, value, error)
                : put_nested(rows->decode, sink, value, place, error);
}

int json_rows_put(struct json_rows *rows, const struct json_value *value, struct place place,
                  struct error *error)
{
    place.column = -1;
    if (json_rows_sink(rows)->port == NULL) {
        int status = open_rows(rows, value, &place, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    if (put_row(rows, value, &place, error) != ERR_OK) {
        return place_prefix(error, &place);
    }
    json_rows_sink(rows)->fed = true;
    return ERR_OK;
}

int json_records_init(struct json_records *records, struct decode *decode,
                      const struct fields *fields, uint64_t rows_max, struct error *error)
{
    struct json_rows *rows = arena_zalloc(decode->arena, fields->count, sizeof(rows[0]));
    if (rows == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for %zu inputs", fields->count);
    }
    for (size_t i = 0; i < fields->count; i++) {
        json_rows_init(&rows[i], decode, &fields->items[i], rows_max);
    }
    *records = (struct json_records){decode, fields, rows};
    return ERR_OK;
}

static int refuse_missing(const struct json_records *records, const struct field *field,
                          const struct place *place, struct error *error)
{
    struct slice key = slice_head(field->key, KEY_SHOWN_MAX);
    if (records->fields == &records->decode->plan->mapped) {
        return error_set(error, ERR_INVALID,
                         "Missing key '%.*s' in one of the records for ONNX multi-input",
                         SLICE_FMT(key));
    }
    error_set(error, ERR_INVALID, "the record has no value for input \"%.*s\"", SLICE_FMT(key));
    return place_prefix(error, place);
}

/* Ends the row of every input; each must have been given. */
static int end_record(struct json_records *records, const struct place *place, struct error *error)
{
    for (size_t i = 0; i < records->fields->count; i++) {
        const struct field *field = &records->fields->items[i];
        struct sink *sink = json_rows_sink(&records->rows[i]);
        if (sink->fed) {
            sink_end_row(sink);
        } else if (sink->port != NULL || plan_input_required(records->decode->plan, field->index)) {
            return refuse_missing(records, field, place, error);
        }
    }
    return ERR_OK;
}

int json_records_put(struct json_records *records, const struct json_value *record,
                     struct place place, struct error *error)
{
    place.column = -1;
    if (json_value_kind(record) != JSON_OBJECT) {
        error_set(error, ERR_INVALID, "%s where a record is expected", json_describe(record));
        return place_prefix(error, &place);
    }
    size_t count = json_value_count(record);
    const struct json_value *key = json_value_first(record);
    for (size_t i = 0; i < count; i++) {
        const struct json_value *value = json_value_next(key);
        const struct field *field = fields_find(records->fields, json_value_text(key));
        if (field != NULL) {
            struct json_rows *rows = &records->rows[field - records->fields->items];
            int status = json_rows_put(rows, value, place, error);
            if (status != ERR_OK) {
                return status;
            }
        }
        key = json_value_next(value);
    }
    return end_record(records, &place, error);
}

const struct json_value *json_find_features(const struct decode *decode,
                                            const struct json_value *value)
{
    struct slice key = decode->plan->options->jsonl_features_key;
    if (json_value_kind(value) != JSON_OBJECT || fields_find(&decode->plan->inputs, key) != NULL) {
        return NULL;
    }
    return json_object_find(value, key);
}

bool json_has_field(const struct json_value *object, const struct fields *fields)
{
    size_t count = json_value_count(object);
    const struct json_value *key = json_value_first(object);
    for (size_t i = 0; i < count; i++) {
        if (fields_find(fields, json_value_text(key)) != NULL) {
            return true;
        }
        key = json_value_next(json_value_next(key));
    }
    return false;
}

int json_refuse_object(const struct decode *decode, struct error *error)
{
    char names[NAMES_TEXT_MAX];
    struct slice instances = text_excerpt(decode->plan->options->json_key_instances);
    struct slice features = text_excerpt(decode->plan->options->jsonl_features_key);
    return error_set(error, ERR_INVALID,
                     "the object has no known key: looked for \"%.*s\", \"%.*s\" and the model's "
                     "inputs %s",
                     SLICE_FMT(instances), SLICE_FMT(features), decode_list_inputs(decode, names));
}
