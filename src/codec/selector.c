#include "codec/selector.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "codec/text.h"

/* More columns than any payload has; keeps sums of indices away from overflow. */
#define COLUMN_MAX UINT32_MAX

static int refuse(struct slice text, const char *setting, const char *why, struct error *error)
{
    struct slice shown = text_excerpt(text);
    return error_set(
        error, ERR_CONFIG,
        "%s=\"%.*s\": %s; accepted are a range \"a:b\" and a list \"i,j,k\" of columns "
        "counted from 0",
        setting, SLICE_FMT(shown), why);
}

static bool parse_column(struct slice text, size_t *ret_column)
{
    uint64_t value;
    if (!num_parse_u64(slice_trim(text), &value) || value > COLUMN_MAX) {
        return false;
    }
    *ret_column = (size_t)value;
    return true;
}

static int parse_range(struct slice text, const char *setting, struct selector *selector,
                       struct error *error)
{
    struct slice rest = text;
    struct slice first = slice_trim(slice_cut(&rest, ':'));
    struct slice end = slice_trim(rest);
    selector->first = 0;
    selector->end = SIZE_MAX;
    if ((first.len > 0 && !parse_column(first, &selector->first)) ||
        (end.len > 0 && !parse_column(end, &selector->end))) {
        return refuse(text, setting, "an end is not a column number", error);
    }
    if (selector->first >= selector->end) {
        return refuse(text, setting, "the range is empty", error);
    }
    return ERR_OK;
}

static int compare_columns(const void *a, const void *b)
{
    size_t left = *(const size_t *)a;
    size_t right = *(const size_t *)b;
    return (left > right) - (left < right);
}

static int refuse_twice(struct slice text, const char *setting, const struct selector *selector,
                        struct error *error)
{
    size_t *sorted = mem_alloc(selector->list_count * sizeof(sorted[0]));
    if (sorted == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the columns of %s", setting);
    }
    memcpy(sorted, selector->list, selector->list_count * sizeof(sorted[0]));
    qsort(sorted, selector->list_count, sizeof(sorted[0]), compare_columns);
    bool twice = false;
    for (size_t i = 1; i < selector->list_count; i++) {
        twice |= sorted[i] == sorted[i - 1];
    }
    mem_free(sorted);
    return twice ? refuse(text, setting, "a column is listed twice", error) : ERR_OK;
}

static int parse_list(struct slice text, const char *setting, struct selector *selector,
                      struct error *error)
{
    size_t count = text_count(text, ',') + 1;
    selector->list = mem_zalloc(count, sizeof(selector->list[0]));
    if (selector->list == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the columns of %s", setting);
    }
    for (struct slice rest = text; rest.ptr != NULL; selector->list_count++) {
        if (!parse_column(slice_cut(&rest, ','), &selector->list[selector->list_count])) {
            return refuse(text, setting, "a part is not a column number", error);
        }
    }
    return refuse_twice(text, setting, selector, error);
}

int selector_parse(struct slice text, const char *setting, struct selector *ret_selector,
                   struct error *error)
{
    struct selector selector = {.set = true};
    struct slice trimmed = slice_trim(text);
    if (trimmed.len == 0) {
        *ret_selector = (struct selector){.set = false};
        return ERR_OK;
    }
    int status = slice_find(trimmed, ':') < trimmed.len
                     ? parse_range(trimmed, setting, &selector, error)
                     : parse_list(trimmed, setting, &selector, error);
    if (status != ERR_OK) {
        selector_done(&selector);
        return status;
    }
    *ret_selector = selector;
    return ERR_OK;
}

void selector_done(struct selector *selector)
{
    mem_free(selector->list);
    *selector = (struct selector){.set = false};
}

static int out_of_range(const char *setting, size_t column, size_t columns, struct error *error)
{
    return error_set(error, ERR_INVALID, "%s selects column %zu, but the rows have %zu columns",
                     setting, column, columns);
}

int selector_count(const struct selector *selector, const char *setting, size_t columns,
                   size_t *ret_count, struct error *error)
{
    if (!selector->set) {
        *ret_count = 0;
        return ERR_OK;
    }
    for (size_t i = 0; i < selector->list_count; i++) {
        if (selector->list[i] >= columns) {
            return out_of_range(setting, selector->list[i], columns, error);
        }
    }
    if (selector->list != NULL) {
        *ret_count = selector->list_count;
        return ERR_OK;
    }
    size_t end = selector->end == SIZE_MAX ? columns : selector->end;
    if (end > columns || selector->first > columns) {
        return out_of_range(setting, end > columns ? end - 1 : selector->first, columns, error);
    }
    *ret_count = end - selector->first;
    return ERR_OK;
}

size_t selector_at(const struct selector *selector, size_t i)
{
    return selector->list != NULL ? selector->list[i] : selector->first + i;
}
