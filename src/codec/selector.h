/*
 * Column selectors: TABULAR_ID_COLUMNS and TABULAR_FEATURE_COLUMNS. "a:b" is the half-open range
 * [a, b), either end may be left out; "i,j,k" is a list. Columns count from 0.
 */
#ifndef CODEC_SELECTOR_H
#define CODEC_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

struct selector {
    bool set;
    size_t first; /* of a range */
    size_t end;   /* SIZE_MAX: up to the last column */
    size_t *list; /* NULL for a range; owned */
    size_t list_count;
};

/*
 * An empty text gives a selector that is not set. ERR_CONFIG naming the setting for anything but
 * the two forms, an empty range, or a column listed twice; ERR_NO_MEMORY. End with selector_done.
 */
MUST_CHECK int selector_parse(struct slice text, const char *setting, struct selector *ret_selector,
                              struct error *error);
void selector_done(struct selector *selector);

/* Columns it selects of `columns`. ERR_INVALID when it names one that is not there. */
MUST_CHECK int selector_count(const struct selector *selector, const char *setting, size_t columns,
                              size_t *ret_count, struct error *error);
/* The i-th selected column (i < count). */
size_t selector_at(const struct selector *selector, size_t i);

#endif
