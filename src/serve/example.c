/*
 * Builds example bodies. A body has one of three forms, as the codec reads them: records by the
 * input map, a matrix where one input takes it, or an object keyed by the inputs' names.
 */
#include "serve/example.h"

#include "base/check.h"
#include "base/checked.h"
#include "base/num.h"
#include "serve/yaml.h"

/* A header line of more columns helps nobody. */
#define MAX_COLUMNS EXAMPLE_MAX_ELEMENTS

static size_t free_is_one(int64_t dim)
{
    return dim < 0 ? 1 : (size_t)dim;
}

const struct port *example_matrix_input(const struct example_model *model)
{
    const struct signature *signature = model->signature;
    if (model->options->input_map_count > 0) {
        return NULL;
    }
    int named = model->options->input_name.len == 0
                    ? -1
                    : signature_find_input(signature, model->options->input_name);
    if (named >= 0) {
        return &signature->inputs[named];
    }
    return signature->input_count == 1 ? &signature->inputs[0] : NULL;
}

/* The larger of *most and the number in `text`, plus `more`. */
static void raise(size_t *most, struct slice text, size_t more)
{
    uint64_t value = 0;
    if (num_parse_u64(slice_trim(text), &value) && value < MAX_COLUMNS && value + more > *most) {
        *most = (size_t)value + more;
    }
}

/*
 * Columns a request needs so that a selector ("a:b", "i,j,k") takes at least `wanted` of them, or
 * leaves so many when it names ids.
 */
static size_t selector_columns(struct slice selector, size_t wanted, bool is_ids)
{
    size_t columns = wanted;
    if (slice_find(selector, ':') < selector.len) {
        struct slice first = slice_cut(&selector, ':');
        size_t start = 0;
        size_t end = 0;
        raise(&start, first, 0);
        raise(&end, selector, 0);
        if (is_ids) {
            return end > start ? wanted + end - start : (start > wanted ? start : wanted) + 1;
        }
        return end > 0 ? end : start + wanted;
    }
    size_t named = 0;
    while (selector.ptr != NULL) {
        raise(&columns, slice_cut(&selector, ','), 1);
        named++;
    }
    return is_ids && columns < wanted + named ? wanted + named : columns;
}

size_t example_columns(const struct example_model *model, const struct port *input)
{
    const struct codec_options *options = model->options;
    if (input->kind != PORT_TENSOR || (input->rank_known && input->rank != 2)) {
        return 0;
    }
    size_t columns = 1;
    if (options->num_features > 0) {
        columns = options->num_features < MAX_COLUMNS ? (size_t)options->num_features : 0;
    } else if (input->rank_known && input->dims[1] >= 0) {
        columns = (size_t)input->dims[1];
    } else if (options->feature_name_count > 0) {
        columns = options->feature_name_count;
    }
    if (options->feature_columns.len > 0) {
        columns = selector_columns(options->feature_columns, columns, false);
    }
    if (options->id_columns.len > 0) {
        columns = selector_columns(options->id_columns, columns, true);
    }
    return columns;
}

static const char *element_text(enum dtype dtype)
{
    if (dtype_is_float(dtype)) {
        return "1.0";
    }
    if (dtype_is_integer(dtype)) {
        return "1";
    }
    return dtype == DTYPE_BOOL ? "true" : "\"a\"";
}

/* The shape of an input's example. */
struct example_shape {
    unsigned rank;
    size_t dims[TENSOR_MAX_RANK];
    size_t elements;
};

/* False where the input can have no example. */
static bool shape_input(const struct example_model *model, const struct port *input,
                        struct example_shape *ret_shape)
{
    if (input->kind != PORT_TENSOR || input->dtype == DTYPE_NONE || input->dtype == DTYPE_OTHER) {
        return false;
    }
    struct example_shape shape = {.rank = input->rank_known ? input->rank : 2, .elements = 1};
    for (unsigned i = 0; i < shape.rank; i++) {
        shape.dims[i] = input->rank_known ? free_is_one(input->dims[i]) : 1;
    }
    if (input == example_matrix_input(model) && shape.rank == 2) {
        shape.dims[1] = example_columns(model, input);
    }
    for (unsigned i = 0; i < shape.rank; i++) {
        if (checked_mul(shape.elements, shape.dims[i], &shape.elements)) {
            return false;
        }
    }
    *ret_shape = shape;
    return shape.elements > 0 && shape.elements <= EXAMPLE_MAX_ELEMENTS;
}

/*
 * The array of dimensions [first, rank) as JSON. Brackets open and close wherever the running
 * element number is a multiple of the elements below a dimension.
 */
static void put_array(struct yaml *text, const struct example_shape *shape, unsigned first,
                      enum dtype dtype)
{
    size_t below[TENSOR_MAX_RANK + 1];
    below[shape->rank] = 1;
    for (unsigned i = shape->rank; i > first; i--) {
        below[i - 1] = below[i] * shape->dims[i - 1];
    }
    for (size_t element = 0; element < below[first]; element++) {
        yaml_put(text, element > 0 ? "," : "");
        for (unsigned i = first; i < shape->rank; i++) {
            yaml_put(text, element % below[i] == 0 ? "[" : "");
        }
        yaml_put(text, element_text(dtype));
        for (unsigned i = first; i < shape->rank; i++) {
            yaml_put(text, (element + 1) % below[i] == 0 ? "]" : "");
        }
    }
}

/* {"key": array, ...} of the mapped inputs, without their first dimension. */
static int put_record(const struct example_model *model, struct yaml *text)
{
    const struct codec_options *options = model->options;
    yaml_put(text, "{");
    for (size_t i = 0; i < options->input_map_count; i++) {
        const struct codec_mapping *mapping = &options->input_map[i];
        int found = signature_find_input(model->signature, mapping->port);
        struct example_shape shape;
        if (found < 0 || !shape_input(model, &model->signature->inputs[found], &shape)) {
            return ERR_NOT_FOUND;
        }
        enum dtype dtype =
            mapping->dtype == DTYPE_NONE ? model->signature->inputs[found].dtype : mapping->dtype;
        yaml_put(text, i > 0 ? "," : "");
        yaml_put_quoted(text, mapping->key);
        yaml_put(text, ":");
        put_array(text, &shape, shape.rank > 0 ? 1 : 0, dtype);
    }
    yaml_put(text, "}");
    return text->status;
}

/* {"input": array, ...} of all inputs. */
static int put_inputs(const struct example_model *model, struct yaml *text)
{
    const struct signature *signature = model->signature;
    size_t elements = 0;
    CHECK(signature->inputs != NULL || signature->input_count == 0);
    yaml_put(text, "{");
    for (size_t i = 0; i < signature->input_count; i++) {
        struct example_shape shape;
        if (!shape_input(model, &signature->inputs[i], &shape)) {
            return ERR_NOT_FOUND;
        }
        elements += shape.elements;
        yaml_put(text, i > 0 ? "," : "");
        yaml_put_quoted(text, signature->inputs[i].name);
        yaml_put(text, ":");
        put_array(text, &shape, 0, signature->inputs[i].dtype);
    }
    yaml_put(text, "}");
    return elements > EXAMPLE_MAX_ELEMENTS ? ERR_NOT_FOUND : text->status;
}

static int put_json(const struct example_model *model, struct yaml *text)
{
    if (model->options->input_map_count > 0) {
        yaml_put(text, "[");
        int status = put_record(model, text);
        yaml_put(text, "]");
        return status != ERR_OK ? status : text->status;
    }
    const struct port *input = example_matrix_input(model);
    struct example_shape shape;
    if (input == NULL || (input->rank_known && input->rank < 2)) {
        return put_inputs(model, text);
    }
    if (!shape_input(model, input, &shape)) {
        return ERR_NOT_FOUND;
    }
    put_array(text, &shape, 0, input->dtype);
    return text->status;
}

static int put_json_lines(const struct example_model *model, struct yaml *text)
{
    if (model->options->input_map_count > 0) {
        int status = put_record(model, text);
        yaml_put(text, "\n");
        return status != ERR_OK ? status : text->status;
    }
    const struct port *input = example_matrix_input(model);
    struct example_shape shape;
    if (input == NULL || (input->rank_known && input->rank < 2) ||
        !shape_input(model, input, &shape)) {
        return ERR_NOT_FOUND;
    }
    for (size_t row = 0; row < shape.dims[0]; row++) {
        put_array(text, &shape, 1, input->dtype);
        yaml_put(text, "\n");
    }
    return text->status;
}

/* A cell, quoted as RFC 4180 section 2 has it. */
static void put_cell(struct yaml *text, struct slice cell, char delimiter)
{
    bool plain = true;
    for (size_t i = 0; i < cell.len; i++) {
        char byte = cell.ptr[i];
        plain = plain && byte != '"' && byte != '\n' && byte != '\r' && byte != delimiter;
    }
    if (plain) {
        yaml_printf(text, "%.*s", SLICE_FMT(cell));
        return;
    }
    yaml_put(text, "\"");
    for (size_t i = 0; i < cell.len; i++) {
        yaml_put(text, cell.ptr[i] == '"' ? "\"" : "");
        yaml_printf(text, "%c", cell.ptr[i]);
    }
    yaml_put(text, "\"");
}

static void put_delimiter(struct yaml *text, size_t column, char delimiter)
{
    if (column > 0) {
        yaml_printf(text, "%c", delimiter);
    }
}

/* Whether the first line has to be, or may be, a header of the manifest's names. */
static bool wants_header(const struct example_model *model, size_t columns)
{
    const struct codec_options *options = model->options;
    return options->csv_has_header == CSV_HEADER_TRUE ||
           (options->csv_has_header == CSV_HEADER_AUTO && options->feature_name_count == columns);
}

static void put_header(const struct example_model *model, size_t columns, struct yaml *text)
{
    const struct codec_options *options = model->options;
    for (size_t i = 0; i < columns; i++) {
        put_delimiter(text, i, options->csv_delimiter);
        if (options->feature_name_count == columns) {
            put_cell(text, options->feature_names[i], options->csv_delimiter);
        } else {
            yaml_printf(text, "column_%zu", i);
        }
    }
    yaml_put(text, "\n");
}

static int put_csv(const struct example_model *model, struct yaml *text)
{
    const struct port *input = example_matrix_input(model);
    struct example_shape shape;
    if (input == NULL || example_columns(model, input) == 0 || !shape_input(model, input, &shape)) {
        return ERR_NOT_FOUND;
    }
    if (wants_header(model, shape.dims[1])) {
        put_header(model, shape.dims[1], text);
    }
    const char *cell = input->dtype == DTYPE_STRING ? "a" : element_text(input->dtype);
    cell = input->dtype == DTYPE_BOOL ? "1" : cell;
    for (size_t row = 0; row < shape.dims[0]; row++) {
        for (size_t i = 0; i < shape.dims[1]; i++) {
            put_delimiter(text, i, model->options->csv_delimiter);
            yaml_put(text, cell);
        }
        yaml_put(text, "\n");
    }
    return text->status;
}

int example_put(const struct example_model *model, enum media media, struct bytes *out)
{
    struct yaml text = {.out = out};
    size_t before = bytes_len(out);
    int status = ERR_NOT_FOUND;
    if (media == MEDIA_JSON) {
        status = put_json(model, &text);
    } else if (media == MEDIA_JSONL) {
        status = put_json_lines(model, &text);
    } else if (media == MEDIA_CSV) {
        status = put_csv(model, &text);
    }
    if (status != ERR_OK) {
        out->tail -= bytes_len(out) - before;
    }
    return status;
}
