/*
 * Values as JSON (RFC 8259), with NaN and infinities as the settings say. Tensors become nested
 * arrays, sequences arrays, maps objects keyed by the label as a string. No white space.
 */
#include "base/check.h"
#include "base/num.h"
#include "codec/cells.h"
#include "codec/encode.h"
#include "codec/json_text.h"

/* Sequences within sequences; the runtime itself offers one level. */
#define SEQUENCE_DEPTH_MAX 8

/* One output on its way out. */
struct json {
    struct writer *writer;
    const struct cell_style *style;
    const struct port *port;
    struct error *error;
    bool one_row; /* for messages: what is written now is row `row`, not the rows themselves */
    size_t row;
};

static int put_string(struct writer *writer, struct slice text, const struct cell_style *style)
{
    (void)style;
    return json_text_write(writer, text);
}

static struct cell_style make_style(enum json_nonfinite mode)
{
    bool null = mode == JSON_NONFINITE_NULL;
    return (struct cell_style){
        .yes = SLICE("true"),
        .no = SLICE("false"),
        .nan = null ? SLICE("null") : SLICE("NaN"),
        .infinity = null ? SLICE("null") : SLICE("Infinity"),
        .negative_infinity = null ? SLICE("null") : SLICE("-Infinity"),
        .refuse_nonfinite = mode == JSON_NONFINITE_ERROR,
        .put_string = put_string,
    };
}

/* ERR_INVALID: `element` of the tensor is not finite and JSON_NONFINITE is `error`. */
static int refuse_nonfinite(const struct json *json, const struct tensor *tensor, size_t element)
{
    size_t row_elements = (size_t)tensor_row_elements(tensor);
    size_t row = json->one_row ? json->row : element / row_elements;
    size_t column = json->one_row ? element : element % row_elements;
    return error_set(json->error, ERR_INVALID,
                     "output '%.*s': row %zu, column %zu: the value is not a finite number, which "
                     "JSON_NONFINITE=error refuses",
                     SLICE_FMT(slice_head(json->port->name, 100)), row, column);
}

static int put_run(const struct json *json, const struct tensor *tensor, size_t first, size_t count)
{
    size_t refused;
    const char *cells = (const char *)tensor->at + first * dtype_size(tensor->dtype);
    int status = cells_put(json->writer, json->style, ',', tensor->dtype, cells, count, &refused);
    return status == ERR_INVALID ? refuse_nonfinite(json, tensor, first + refused) : status;
}

static int put_brackets(struct writer *writer, char bracket, unsigned count)
{
    if (!writer_has_room(writer, TENSOR_MAX_RANK + 1)) {
        return ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < count; i++) {
        *writer->at++ = bracket;
    }
    return ERR_OK;
}

/*
 * Moves to the next innermost array of `depth` levels: how many levels end before it (all of them
 * at the end).
 */
static unsigned next_array(const struct tensor *tensor, unsigned depth, int64_t *index)
{
    unsigned level = depth - 1;
    while (level > 0 && ++index[level - 1] == tensor->dims[level - 1]) {
        index[level - 1] = 0;
        level--;
    }
    return depth - level;
}

static int put_nested(const struct json *json, const struct tensor *tensor, unsigned depth)
{
    int64_t index[TENSOR_MAX_RANK] = {0};
    size_t run = (size_t)tensor->dims[depth - 1];
    size_t first = 0;
    unsigned levels = depth; /* that begin before this run, or end after it */
    for (;;) {
        if (put_brackets(json->writer, '[', levels) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        int status = put_run(json, tensor, first, run);
        if (status != ERR_OK) {
            return status;
        }
        levels = next_array(tensor, depth, index);
        if (put_brackets(json->writer, ']', levels) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        if (levels == depth) {
            return ERR_OK;
        }
        *json->writer->at++ = ','; /* put_brackets leaves room for it */
        first += run;
    }
}

static int put_tensor(const struct json *json, const struct tensor *tensor)
{
    if (!cells_are_supported(tensor->dtype)) {
        return encode_refuse_type(json->port, "JSON", tensor->dtype, json->error);
    }
    if (tensor->rank == 0) {
        return put_run(json, tensor, 0, 1);
    }
    /* Nothing is inside the first dimension that is zero: [2, 0, 3] is [[], []]. */
    unsigned depth = 1;
    while (depth < tensor->rank && tensor->dims[depth - 1] != 0) {
        depth++;
    }
    return put_nested(json, tensor, depth);
}

/* "label": with integer labels as text. */
static int put_key(struct writer *writer, const struct tensor *keys, size_t i)
{
    if (keys->dtype == DTYPE_STRING) {
        const struct slice *labels = keys->at;
        if (put_string(writer, labels[i], NULL) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        return writer_put_byte(writer, ':');
    }
    CHECK(keys->dtype == DTYPE_I64);
    if (!writer_has_room(writer, NUM_TEXT_MAX + 3)) {
        return ERR_NO_MEMORY;
    }
    const int64_t *labels = keys->at;
    *writer->at++ = '"';
    writer->at += num_print_i64(labels[i], writer->at);
    *writer->at++ = '"';
    *writer->at++ = ':';
    return ERR_OK;
}

static int put_map(const struct json *json, const struct value *map)
{
    if (!cells_are_supported(map->mapped.dtype)) {
        return encode_refuse_type(json->port, "JSON", map->mapped.dtype, json->error);
    }
    size_t count = (size_t)tensor_elements(&map->keys);
    CHECK(count == (size_t)tensor_elements(&map->mapped));
    int status = writer_put_byte(json->writer, '{');
    for (size_t i = 0; status == ERR_OK && i < count; i++) {
        if (i > 0 && writer_put_byte(json->writer, ',') != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        status = put_key(json->writer, &map->keys, i);
        if (status == ERR_OK) {
            status = put_run(json, &map->mapped, i, 1);
        }
    }
    return status == ERR_OK ? writer_put_byte(json->writer, '}') : status;
}

/* Everything but a sequence. */
static int put_single(const struct json *json, const struct value *value)
{
    switch (value->kind) {
    case VALUE_TENSOR:
        return put_tensor(json, &value->tensor);
    case VALUE_MAP:
        return put_map(json, value);
    case VALUE_NONE:
        return writer_put(json->writer, SLICE("null"));
    case VALUE_SEQUENCE:
        break;
    }
    CHECK(false);
}

/* A sequence being written, and which item comes next. */
struct level {
    const struct value *sequence;
    size_t next;
};

/* Begins the value at hand: a sequence is opened and pushed, everything else is written. */
static int begin_value(struct json *json, const struct value *value, struct level *levels,
                       unsigned *depth)
{
    if (value->kind != VALUE_SEQUENCE) {
        return put_single(json, value);
    }
    if (*depth == SEQUENCE_DEPTH_MAX) {
        return encode_refuse(json->port, "JSON", "its sequences are nested too deeply",
                             json->error);
    }
    levels[(*depth)++] = (struct level){value, 0};
    return writer_put_byte(json->writer, '[');
}

/* The value that follows in the innermost sequence, after its comma; closes those at their end. */
static int next_value(struct json *json, struct level *levels, unsigned *depth,
                      const struct value **ret_value)
{
    *ret_value = NULL;
    while (*depth > 0 && levels[*depth - 1].next == levels[*depth - 1].sequence->item_count) {
        --*depth;
        if (writer_put_byte(json->writer, ']') != ERR_OK) {
            return ERR_NO_MEMORY;
        }
    }
    if (*depth == 0) {
        return ERR_OK;
    }
    struct level *level = &levels[*depth - 1];
    if (level->next > 0 && writer_put_byte(json->writer, ',') != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    json->one_row = true;
    json->row = levels[0].next - (*depth > 1);
    *ret_value = &level->sequence->items[level->next++];
    return ERR_OK;
}

static int put_value(struct json *json, const struct value *value)
{
    struct level levels[SEQUENCE_DEPTH_MAX];
    unsigned depth = 0;
    int status = ERR_OK;
    json->one_row = value->kind == VALUE_MAP;
    while (status == ERR_OK && value != NULL) {
        status = begin_value(json, value, levels, &depth);
        if (status == ERR_OK) {
            status = next_value(json, levels, &depth, &value);
        }
    }
    return status;
}

static int put_output(const struct codec_plan *plan, const struct value *values, size_t position,
                      struct writer *writer, struct error *error)
{
    struct cell_style style = make_style(plan->options->json_nonfinite);
    struct json json = {
        .writer = writer,
        .style = &style,
        .port = &plan->signature->outputs[plan->wanted[position]],
        .error = error,
    };
    return put_value(&json, &values[position]);
}

/* Where in the wanted outputs the one of this name is. The plan was checked: it is there. */
static size_t find_wanted(const struct codec_plan *plan, struct slice name)
{
    size_t position = 0;
    while (position < plan->wanted_count &&
           !slice_eq(plan->signature->outputs[plan->wanted[position]].name, name)) {
        position++;
    }
    CHECK(position < plan->wanted_count);
    return position;
}

static int put_member(const struct codec_plan *plan, const struct value *values, size_t position,
                      struct slice key, struct writer *writer, struct error *error)
{
    if (put_string(writer, key, NULL) != ERR_OK || writer_put_byte(writer, ':') != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    return put_output(plan, values, position, writer, error);
}

int encode_json(const struct codec_plan *plan, const struct value *values, struct writer *writer,
                struct error *error)
{
    const struct codec_options *options = plan->options;
    if (options->output_map_count == 0 && options->predictions_only) {
        return put_output(plan, values, 0, writer, error);
    }
    int status = writer_put_byte(writer, '{');
    if (status == ERR_OK && options->output_map_count == 0) {
        status = put_member(plan, values, 0, options->json_output_key, writer, error);
    }
    for (size_t i = 0; status == ERR_OK && i < options->output_map_count; i++) {
        if (i > 0 && writer_put_byte(writer, ',') != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        const struct codec_mapping *mapping = &options->output_map[i];
        status =
            put_member(plan, values, find_wanted(plan, mapping->port), mapping->key, writer, error);
    }
    return status == ERR_OK ? writer_put_byte(writer, '}') : status;
}
