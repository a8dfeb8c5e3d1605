/*
 * JSON bodies. What the forms of the contract have in common is that each input gets a run of rows:
 * the elements of an array, one member of each record in an array, or a single value. This file
 * finds out which; json_rows stores them. A plain matrix of numbers, which is what nearly every
 * request is, goes through json_plain without a tree.
 */
#include "codec/decode.h"

#include "codec/json_document.h"
#include "codec/json_plain.h"
#include "codec/json_rows.h"

/* Where the rows of one input come from. */
struct source {
    const struct json_value *first;
    size_t count;
    struct slice key; /* the member of each that is the row; no pointer: each is the row itself */
};

static int refuse_empty(struct error *error)
{
    return error_set(error, ERR_INVALID, "the payload has no rows");
}

static int refuse_value(const struct json_value *value, struct error *error)
{
    return error_set(error, ERR_INVALID, "%s where an array or an object with rows is expected",
                     json_describe(value));
}

/* The row of one element of the source. */
static int find_row(const struct source *source, const struct json_value *element,
                    struct place place, const struct json_value **ret_row, struct error *error)
{
    if (source->key.ptr == NULL) {
        *ret_row = element;
        return ERR_OK;
    }
    struct slice key = text_excerpt(source->key);
    if (json_value_kind(element) != JSON_OBJECT) {
        error_set(error, ERR_INVALID, "%s where an object with the key \"%.*s\" is expected",
                  json_describe(element), SLICE_FMT(key));
        return place_prefix(error, &place);
    }
    *ret_row = json_object_find(element, source->key);
    if (*ret_row == NULL) {
        error_set(error, ERR_INVALID, "the object has no key \"%.*s\"", SLICE_FMT(key));
        return place_prefix(error, &place);
    }
    return ERR_OK;
}

static int put_rows(struct decode *decode, const struct field *field, const struct source *source,
                    struct error *error)
{
    struct json_rows rows;
    struct place place = {.column = -1};
    int status = decode_check_records(decode, source->count, error);
    if (status != ERR_OK) {
        return status;
    }
    json_rows_init(&rows, decode, field, source->count);
    const struct json_value *element = source->first;
    for (size_t i = 0; i < source->count; i++, element = json_value_next(element)) {
        const struct json_value *row = element;
        place.row = (int64_t)i + decode->origin->rows;
        status = find_row(source, element, place, &row, error);
        if (status == ERR_OK) {
            status = json_rows_put(&rows, row, place, error);
        }
        if (status != ERR_OK) {
            return status;
        }
        sink_end_row(json_rows_sink(&rows));
    }
    return ERR_OK;
}

static int put_records(struct decode *decode, const struct fields *fields,
                       const struct json_value *first, size_t count, struct error *error)
{
    struct json_records records;
    struct place place = {.column = -1};
    int status = decode_check_records(decode, count, error);
    if (status == ERR_OK) {
        status = json_records_init(&records, decode, fields, count, error);
    }
    const struct json_value *record = first;
    for (size_t i = 0; i < count && status == ERR_OK; i++, record = json_value_next(record)) {
        place.row = (int64_t)i + decode->origin->rows;
        status = json_records_put(&records, record, place, error);
    }
    return status;
}

/* Levels of arrays by the first elements. */
static unsigned depth_of(const struct json_value *value)
{
    unsigned depth = 0;
    while (json_value_kind(value) == JSON_ARRAY && json_value_count(value) > 0) {
        depth++;
        value = json_value_first(value);
    }
    return depth;
}

/*
 * An array is the input's rows, or one row where it has the depth of one. An input of unknown rank
 * takes a flat array as one row of the matrix, but under its own name as it comes. Under its name a
 * flat array is also the column of an input with one value a row.
 */
static struct source split_rows(const struct port *port, const struct json_value *array, bool named)
{
    unsigned depth = depth_of(array);
    bool one_row = plan_is_row(port, depth) && (port->rank_known || !named);
    bool column = named && port->rank == 2 && port->dims[1] == 1 && json_value_count(array) != 1;
    if (one_row && !(port->rank_known && column)) {
        return (struct source){.first = array, .count = 1};
    }
    return (struct source){.first = json_value_first(array), .count = json_value_count(array)};
}

/* {"a": [[1], [2]], "b": [[3], [4]]}: each input's tensor under its name. */
static int put_named(struct decode *decode, const struct json_value *object, struct error *error)
{
    size_t count = json_value_count(object);
    const struct json_value *key = json_value_first(object);
    for (size_t i = 0; i < count; i++) {
        const struct json_value *value = json_value_next(key);
        const struct field *field = fields_find(&decode->plan->inputs, json_value_text(key));
        key = json_value_next(value);
        if (field == NULL) {
            continue;
        }
        struct source source = {.first = value, .count = 1};
        if (json_value_kind(value) == JSON_ARRAY) {
            source = split_rows(&decode->plan->signature->inputs[field->index], value, true);
        }
        sink_drop(&decode->sinks[field->index]); /* of a key that occurs twice the last counts */
        int status =
            source.count == 0 ? refuse_empty(error) : put_rows(decode, field, &source, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

/* A single value for an input that has rows makes the object one record. */
static bool is_record(const struct decode *decode, const struct json_value *object)
{
    size_t count = json_value_count(object);
    const struct json_value *key = json_value_first(object);
    for (size_t i = 0; i < count; i++) {
        const struct json_value *value = json_value_next(key);
        const struct field *field = fields_find(&decode->plan->inputs, json_value_text(key));
        if (field != NULL && json_value_kind(value) != JSON_ARRAY) {
            const struct port *port = &decode->plan->signature->inputs[field->index];
            if (!port->rank_known || port->rank > 0) {
                return true;
            }
        }
        key = json_value_next(value);
    }
    return false;
}

static int put_matrix(struct decode *decode, const struct source *source, struct error *error)
{
    int status = decode_check_matrix(decode, error);
    return status == ERR_OK ? put_rows(decode, &decode->plan->matrix, source, error) : status;
}

static int put_object(struct decode *decode, const struct json_value *object, struct error *error)
{
    const struct json_value *features = json_find_features(decode, object);
    if (features != NULL) {
        struct source row = {.first = features, .count = 1};
        return put_matrix(decode, &row, error);
    }
    if (!json_has_field(object, &decode->plan->inputs)) {
        return json_refuse_object(decode, error);
    }
    if (is_record(decode, object)) {
        return put_records(decode, &decode->plan->inputs, object, 1, error);
    }
    return put_named(decode, object, error);
}

static int put_array(struct decode *decode, const struct json_value *array, struct error *error)
{
    const struct port *port = &decode->plan->signature->inputs[decode->plan->matrix.index];
    const struct json_value *first = json_value_first(array);
    size_t count = json_value_count(array);
    if (count == 0) {
        return refuse_empty(error);
    }
    if (json_value_kind(first) != JSON_OBJECT) {
        struct source source = split_rows(port, array, false);
        return put_matrix(decode, &source, error);
    }
    if (json_find_features(decode, first) != NULL) {
        struct source source = {first, count, decode->plan->options->jsonl_features_key};
        return put_matrix(decode, &source, error);
    }
    if (!json_has_field(first, &decode->plan->inputs)) {
        return json_refuse_object(decode, error);
    }
    return put_records(decode, &decode->plan->inputs, first, count, error);
}

static int put_tabular(struct decode *decode, const struct json_value *value, struct error *error)
{
    switch (json_value_kind(value)) {
    case JSON_OBJECT:
        return put_object(decode, value, error);
    case JSON_ARRAY:
        return put_array(decode, value, error);
    case JSON_SCALAR:
        break;
    }
    return refuse_value(value, error);
}

static int put_mapped(struct decode *decode, const struct json_value *value, struct error *error)
{
    const struct fields *mapped = &decode->plan->mapped;
    switch (json_value_kind(value)) {
    case JSON_OBJECT:
        return put_records(decode, mapped, value, 1, error);
    case JSON_ARRAY:
        return json_value_count(value) == 0 ? refuse_empty(error)
                                            : put_records(decode, mapped, json_value_first(value),
                                                          json_value_count(value), error);
    case JSON_SCALAR:
        break;
    }
    return refuse_value(value, error);
}

static const struct json_value *unwrap(const struct decode *decode, const struct json_value *root)
{
    const struct json_value *instances = NULL;
    if (json_value_kind(root) == JSON_OBJECT) {
        instances = json_object_find(root, decode->plan->options->json_key_instances);
    }
    return instances != NULL ? instances : root;
}

static int decode_tree(struct decode *decode, struct error *error)
{
    struct json_reader reader;
    const struct json_value *root;
    json_reader_init(&reader, decode->arena, decode->origin->bytes);
    int status = json_reader_read(&reader, decode->body, 0, &root, error);
    if (status != ERR_OK) {
        return status;
    }
    const struct json_value *value = unwrap(decode, root);
    return decode->plan->mapped.count > 0 ? put_mapped(decode, value, error)
                                          : put_tabular(decode, value, error);
}

int decode_json(struct decode *decode, struct error *error)
{
    bool done = false;
    int status = json_plain_decode(decode, &done, error);
    return status != ERR_OK || done ? status : decode_tree(decode, error);
}
