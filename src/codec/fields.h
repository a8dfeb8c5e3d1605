/*
 * A sorted set of names, each standing for something by number: request keys for inputs, header
 * names for columns. Built once, read from any thread.
 */
#ifndef CODEC_FIELDS_H
#define CODEC_FIELDS_H

#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "tensor/dtype.h"

#define FIELD_NONE ((size_t)-1)

struct field {
    struct slice key;   /* borrowed */
    size_t index;       /* of an input, or of a feature */
    enum dtype through; /* values are converted to this before the input's own type; or NONE */
};

struct fields {
    struct field *items; /* sorted by key */
    size_t count;
};

/* Room for `count` fields, all empty. ERR_NO_MEMORY. */
MUST_CHECK int fields_new(size_t count, struct fields *ret_fields, struct error *error);
void fields_free(struct fields *fields);
/* To be called once all items are there. The position of a key that occurs twice, or FIELD_NONE. */
size_t fields_sort(struct fields *fields);
/* The field with this key, or NULL. */
const struct field *fields_find(const struct fields *fields, struct slice key);

#endif
