/*
 * Strict reading of a JSON document into structs: each object is described by a table of its keys,
 * and whatever is not in the table, comes twice, is missing or has the wrong type is an error that
 * names its place as a JSON path. For the files of this layer only; memory is the reader's arena.
 */
#ifndef CONFIG_STRICT_H
#define CONFIG_STRICT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "config/document.h"

struct strict_reader {
    struct arena *arena;
    struct error *error;
};

/* A value's way from the root: a member's key or an element's index, and the container's place. */
struct strict_place {
    const struct strict_place *parent; /* NULL: this is the root, "$" */
    struct slice key;                  /* ptr NULL: an element of an array */
    size_t index;
};

/* Reads one value into `target`: the object's struct plus the field's offset. */
typedef int strict_read(const struct strict_reader *reader, struct document_value *value,
                        const struct strict_place *place, void *target);

struct strict_field {
    const char *key;
    strict_read *read;
    size_t offset;
    bool required;
};

#define STRICT_FIELDS_MAX 32 /* an object's table has no more */

/* ERR_CONFIG "$.inputs[0].shape: " and the message. */
int strict_fail(const struct strict_reader *reader, const struct strict_place *place,
                const char *format, ...) __attribute__((format(printf, 3, 4)));
int strict_no_memory(const struct strict_reader *reader);

/* ERR_CONFIG "... is a string, an array is expected" unless the value is of this kind. */
MUST_CHECK int strict_expect(const struct strict_reader *reader, struct document_value *value,
                             const struct strict_place *place, enum document_kind kind);
/* Reads the members of an object into *object, each by its field. */
MUST_CHECK int strict_object(const struct strict_reader *reader, struct document_value *value,
                             const struct strict_place *place, const struct strict_field *fields,
                             size_t field_count, void *object);
/*
 * Reads an array of at most `max` elements of `size` bytes each, every one with `read`. The result
 * is in the arena.
 */
MUST_CHECK int strict_array(const struct strict_reader *reader, struct document_value *value,
                            const struct strict_place *place, size_t max, size_t size,
                            strict_read *read, void **ret_items, size_t *ret_count);

/* Readers of a struct slice: any string; one that is not empty. Borrowed from the document. */
strict_read strict_text, strict_name;

#endif
