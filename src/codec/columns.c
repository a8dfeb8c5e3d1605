#include "codec/columns.h"

#include <inttypes.h>
#include <string.h>

#include "codec/text.h"

#define ID_COLUMNS "TABULAR_ID_COLUMNS"
#define FEATURE_COLUMNS "TABULAR_FEATURE_COLUMNS"

bool columns_are_plain(const struct codec_plan *plan)
{
    return !plan->ids.set && !plan->chosen.set;
}

int columns_check_count(const struct codec_plan *plan, size_t count, struct error *error)
{
    uint64_t expected = plan->options->num_features;
    if (expected == 0 || count == expected) {
        return ERR_OK;
    }
    return error_set(error, ERR_INVALID,
                     "Feature count mismatch: got %zu expected TABULAR_NUM_FEATURES=%" PRIu64,
                     count, expected);
}

int columns_new(size_t count, struct arena *arena, struct columns *ret_columns, struct error *error)
{
    struct column *items = arena_zalloc(arena, count, sizeof(items[0]));
    if (items == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for %zu columns", count);
    }
    *ret_columns = (struct columns){.items = items, .count = count};
    return ERR_OK;
}

static void drop_all(struct columns *columns)
{
    memset(columns->items, 0, columns->count * sizeof(columns->items[0]));
    columns->kept = 0;
}

/* Marks the chosen columns, in their order; then takes the ids out. */
static void place_columns(const struct codec_plan *plan, size_t chosen_count, size_t id_count,
                          struct sink *sink, struct columns *columns)
{
    for (size_t i = 0; i < chosen_count; i++) {
        size_t column = plan->chosen.set ? selector_at(&plan->chosen, i) : i;
        columns->items[column].sink = sink;
    }
    for (size_t i = 0; i < id_count; i++) {
        columns->items[selector_at(&plan->ids, i)].sink = NULL;
    }
    for (size_t i = 0; i < chosen_count; i++) {
        size_t column = plan->chosen.set ? selector_at(&plan->chosen, i) : i;
        if (columns->items[column].sink != NULL) {
            columns->items[column].index = columns->kept++;
        }
    }
}

int columns_select(struct columns *columns, const struct codec_plan *plan, struct sink *sink,
                   struct error *error)
{
    size_t chosen_count = columns->count;
    size_t id_count;
    int status = selector_count(&plan->ids, ID_COLUMNS, columns->count, &id_count, error);
    if (status == ERR_OK && plan->chosen.set) {
        status =
            selector_count(&plan->chosen, FEATURE_COLUMNS, columns->count, &chosen_count, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    drop_all(columns);
    place_columns(plan, chosen_count, id_count, sink, columns);
    status = columns_check_count(plan, columns->kept, error);
    if (status == ERR_OK && columns->kept == 0) {
        status =
            error_set(error, ERR_INVALID, "no features are left of %zu columns", columns->count);
    }
    return status;
}

static int refuse_twice(struct slice name, struct error *error)
{
    struct slice shown = text_excerpt(name);
    return error_set(error, ERR_INVALID, "the header has the column \"%.*s\" twice",
                     SLICE_FMT(shown));
}

/* Some names are there, this one is not: the header is meant, and wrong. */
static int refuse_partial(const struct codec_plan *plan, const bool *found, struct error *error)
{
    size_t missing = 0;
    while (found[missing]) {
        missing++;
    }
    struct slice name = text_excerpt(plan->options->feature_names[missing]);
    return error_set(error, ERR_INVALID, "the header has no column for the feature \"%.*s\"",
                     SLICE_FMT(name));
}

static int place_features(const struct codec_plan *plan, const struct slice *header, bool *found,
                          struct sink *sink, struct columns *columns, struct error *error)
{
    for (size_t i = 0; i < columns->count; i++) {
        const struct field *field = fields_find(&plan->features, header[i]);
        if (field == NULL) {
            continue;
        }
        if (found[field->index]) {
            return refuse_twice(field->key, error);
        }
        found[field->index] = true;
        columns->items[i] = (struct column){sink, field->index};
        columns->kept++;
    }
    return ERR_OK;
}

int columns_by_feature(struct columns *columns, const struct codec_plan *plan,
                       const struct slice *header, struct sink *sink, struct arena *arena,
                       struct error *error)
{
    drop_all(columns);
    if (plan->features.count == 0 || plan->chosen.set) {
        return ERR_OK;
    }
    bool *found = arena_zalloc(arena, plan->features.count, sizeof(found[0]));
    if (found == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the header");
    }
    int status = place_features(plan, header, found, sink, columns, error);
    if (status != ERR_OK || columns->kept == 0) {
        return status;
    }
    return columns->kept < plan->features.count ? refuse_partial(plan, found, error)
                                                : columns_check_count(plan, columns->kept, error);
}

int columns_by_input(struct columns *columns, const struct codec_plan *plan,
                     const struct slice *header, struct sink *sinks, struct error *error)
{
    drop_all(columns);
    for (size_t i = 0; i < columns->count; i++) {
        const struct field *field = fields_find(&plan->inputs, header[i]);
        if (field == NULL) {
            continue;
        }
        struct sink *sink = &sinks[field->index];
        if (sink->fed) {
            return refuse_twice(field->key, error);
        }
        sink->fed = true;
        columns->items[i] = (struct column){sink, 0};
        columns->kept++;
    }
    for (size_t i = 0; i < plan->signature->input_count; i++) {
        sinks[i].fed = false;
    }
    return ERR_OK;
}
