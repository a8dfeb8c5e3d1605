/*
 * What a manifest says of one input or output: names, types and shapes of a port, and what a port
 * says against itself.
 */
#include "config/manifest_port.h"

#include <stdlib.h>

#include "base/num.h"
#include "config/suggest.h"

#define PORTS_MAX 1024
#define STRINGS_MAX MANIFEST_MAX_BYTES /* the text's own size is the bound */

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static int read_strings(const struct strict_reader *reader, struct document_value *value,
                        const struct strict_place *place, strict_read *read,
                        const struct slice **ret_items, size_t *ret_count)
{
    void *items;
    int status = strict_array(reader, value, place, STRINGS_MAX, sizeof(struct slice), read, &items,
                              ret_count);
    if (status == ERR_OK) {
        *ret_items = items;
    }
    return status;
}

static int compare_slices(const void *left, const void *right)
{
    const struct slice *a = left, *b = right;
    size_t len = a->len < b->len ? a->len : b->len;
    int order = len == 0 ? 0 : memcmp(a->ptr, b->ptr, len);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Sorted copies side by side: a manifest may name a hundred thousand features. */
static int check_unique(const struct strict_reader *reader, const struct strict_place *place,
                        const struct slice *names, size_t count)
{
    struct slice *sorted = arena_zalloc(reader->arena, count, sizeof(*sorted));
    if (sorted == NULL) {
        return strict_no_memory(reader);
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = names[i];
    }
    qsort(sorted, count, sizeof(*sorted), compare_slices);
    for (size_t i = 1; i < count; i++) {
        if (slice_eq(sorted[i - 1], sorted[i])) {
            struct slice shown = slice_head(sorted[i], 64);
            return strict_fail(reader, place, "\"%.*s\" comes twice", SLICE_FMT(shown));
        }
    }
    return ERR_OK;
}

static int read_feature_names(const struct strict_reader *reader, struct document_value *value,
                              const struct strict_place *place, void *target)
{
    struct manifest_port *port = target;
    int status = read_strings(reader, value, place, strict_name, &port->feature_names,
                              &port->feature_name_count);
    if (status != ERR_OK) {
        return status;
    }
    return check_unique(reader, place, port->feature_names, port->feature_name_count);
}

/* Labels may come twice: ImageNet has two kinds of crane. */
static int read_class_labels(const struct strict_reader *reader, struct document_value *value,
                             const struct strict_place *place, void *target)
{
    struct manifest_port *port = target;
    return read_strings(reader, value, place, strict_name, &port->class_labels,
                        &port->class_label_count);
}

static int read_units(const struct strict_reader *reader, struct document_value *value,
                      const struct strict_place *place, void *target)
{
    struct manifest_port *port = target;
    if (document_kind(value) == DOCUMENT_STRING) {
        struct slice *unit = arena_zalloc(reader->arena, 1, sizeof(*unit));
        if (unit == NULL) {
            return strict_no_memory(reader);
        }
        *unit = document_text(value);
        port->units = unit;
        port->unit_count = 1;
        return ERR_OK;
    }
    if (document_kind(value) != DOCUMENT_ARRAY) {
        return strict_fail(reader, place, "is %s, must be a string or an array of strings",
                           document_kind_name(document_kind(value)));
    }
    port->units_each = true;
    return read_strings(reader, value, place, strict_text, &port->units, &port->unit_count);
}

int manifest_port_read_dtype(const struct strict_reader *reader, struct document_value *value,
                             const struct strict_place *place, void *target)
{
    int status = strict_expect(reader, value, place, DOCUMENT_STRING);
    if (status != ERR_OK) {
        return status;
    }
    struct slice name = document_text(value);
    enum dtype dtype = dtype_parse(name);
    /* Full names only: a manifest is read by other programs too. */
    if (dtype == DTYPE_NONE || !slice_eq(name, slice_from_str(dtype_name(dtype)))) {
        struct suggestion nearest = {.typed = name};
        for (enum dtype known = DTYPE_F16; known <= DTYPE_STRING; known++) {
            suggestion_offer(&nearest, dtype_name(known));
        }
        const char *meant = dtype != DTYPE_NONE ? dtype_name(dtype) : nearest.name;
        struct slice shown = slice_head(name, 64);
        return strict_fail(reader, place, "\"%.*s\" is no type%s%s%s", SLICE_FMT(shown),
                           meant == NULL ? "" : "; did you mean \"", meant == NULL ? "" : meant,
                           meant == NULL ? ": float32, int64, string, ... are" : "\"?");
    }
    *(enum dtype *)target = dtype;
    return ERR_OK;
}

static int read_dimension(const struct strict_reader *reader, struct document_value *value,
                          const struct strict_place *place, void *target)
{
    int64_t dimension;
    int status = strict_expect(reader, value, place, DOCUMENT_NUMBER);
    if (status != ERR_OK) {
        return status;
    }
    struct slice text = document_text(value);
    if (!num_parse_i64(text, &dimension) || (dimension < 1 && dimension != -1)) {
        struct slice shown = slice_head(text, 64);
        return strict_fail(reader, place, "is %.*s, must be a whole number from 1 or -1 (free)",
                           SLICE_FMT(shown));
    }
    *(int64_t *)target = dimension;
    return ERR_OK;
}

static int read_shape(const struct strict_reader *reader, struct document_value *value,
                      const struct strict_place *place, void *target)
{
    struct manifest_port *port = target;
    void *dimensions;
    size_t rank;
    int status = strict_array(reader, value, place, TENSOR_MAX_RANK, sizeof(int64_t),
                              read_dimension, &dimensions, &rank);
    if (status != ERR_OK) {
        return status;
    }
    port->has_shape = true;
    port->rank = (unsigned)rank;
    memcpy(port->dims, dimensions, rank * sizeof(int64_t));
    return ERR_OK;
}

/* Names and units, each by the feature, must agree with each other and with the shape. */
static int check_features(const struct strict_reader *reader, const struct strict_place *place,
                          const struct manifest_port *port)
{
    size_t names = port->feature_name_count;
    size_t units = port->units_each ? port->unit_count : 0;
    if (names > 0 && units > 0 && names != units) {
        return strict_fail(reader, place, "%zu feature_names and %zu units do not agree", names,
                           units);
    }
    size_t features = names > 0 ? names : units;
    int64_t last = port->has_shape && port->rank >= 2 ? port->dims[port->rank - 1] : -1;
    if (features > 0 && last >= 0 && (uint64_t)last != features) {
        return strict_fail(reader, place, "%zu %s do not agree with a shape of %lld features",
                           features, names > 0 ? "feature_names" : "units", (long long)last);
    }
    return ERR_OK;
}

static const struct strict_field port_fields[] = {
    {"name", strict_name, offsetof(struct manifest_port, name), true},
    {"dtype", manifest_port_read_dtype, offsetof(struct manifest_port, dtype), false},
    {"shape", read_shape, 0, false},
    {"feature_names", read_feature_names, 0, false},
    {"class_labels", read_class_labels, 0, false},
    {"units", read_units, 0, false},
    {"description", strict_text, offsetof(struct manifest_port, description), false},
};

static int read_port(const struct strict_reader *reader, struct document_value *value,
                     const struct strict_place *place, void *target)
{
    struct manifest_port *port = target;
    *port = (struct manifest_port){.description = SLICE("")};
    int status = strict_object(reader, value, place, port_fields, COUNT_OF(port_fields), port);
    return status != ERR_OK ? status : check_features(reader, place, port);
}

const struct manifest_port *manifest_port_find(const struct manifest_port *ports, size_t count,
                                               struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(ports[i].name, name)) {
            return &ports[i];
        }
    }
    return NULL;
}

int manifest_port_read_all(const struct strict_reader *reader, struct document_value *value,
                           const struct strict_place *place, const struct manifest_port **ret_ports,
                           size_t *ret_count)
{
    void *items;
    size_t count;
    int status = strict_array(reader, value, place, PORTS_MAX, sizeof(struct manifest_port),
                              read_port, &items, &count);
    if (status != ERR_OK) {
        return status;
    }
    const struct manifest_port *ports = items;
    for (size_t i = 0; i < count; i++) {
        if (manifest_port_find(ports, i, ports[i].name) != NULL) {
            struct slice shown = slice_head(ports[i].name, 64);
            return strict_fail(reader, place, "the name \"%.*s\" comes twice", SLICE_FMT(shown));
        }
    }
    *ret_ports = ports;
    *ret_count = count;
    return ERR_OK;
}
