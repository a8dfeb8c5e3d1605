/*
 * "Did you mean": how far a mistyped name is from a known one. Any thread.
 */
#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H

#include <stddef.h>

#include "base/slice.h"

/* The nearest known name so far; start with a zeroed one but for `typed`. */
struct suggestion {
    struct slice typed;
    const char *name; /* NULL: none is near */
    size_t distance;  /* of name */
};

/* Keeps `known` (static text) when it is near to what was typed and nearer than all before. */
void suggestion_offer(struct suggestion *suggestion, const char *known);

#endif
