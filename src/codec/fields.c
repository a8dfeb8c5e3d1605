#include "codec/fields.h"

#include <stdlib.h>

#include "base/mem.h"

int fields_new(size_t count, struct fields *ret_fields, struct error *error)
{
    struct field *items = mem_zalloc(count, sizeof(items[0]));
    if (items == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for %zu names", count);
    }
    *ret_fields = (struct fields){items, count};
    return ERR_OK;
}

void fields_free(struct fields *fields)
{
    mem_free(fields->items);
    *fields = (struct fields){NULL, 0};
}

/* Shorter keys first: most comparisons end at the length. */
static int compare_keys(struct slice a, struct slice b)
{
    if (a.len != b.len) {
        return a.len < b.len ? -1 : 1;
    }
    return a.len == 0 ? 0 : memcmp(a.ptr, b.ptr, a.len);
}

static int compare_fields(const void *a, const void *b)
{
    const struct field *left = a;
    const struct field *right = b;
    return compare_keys(left->key, right->key);
}

size_t fields_sort(struct fields *fields)
{
    qsort(fields->items, fields->count, sizeof(fields->items[0]), compare_fields);
    for (size_t i = 1; i < fields->count; i++) {
        if (slice_eq(fields->items[i - 1].key, fields->items[i].key)) {
            return i;
        }
    }
    return FIELD_NONE;
}

const struct field *fields_find(const struct fields *fields, struct slice key)
{
    size_t low = 0;
    size_t high = fields->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_keys(key, fields->items[middle].key);
        if (order == 0) {
            return &fields->items[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}
