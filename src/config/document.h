/*
 * A parsed JSON text as this layer reads it: strict RFC 8259, numbers kept as they were written, no
 * recursion. For the files of this layer only; the one place here that knows the JSON library.
 * A document is plain memory of an arena: one owner thread, gone with the arena's reset.
 */
#ifndef CONFIG_DOCUMENT_H
#define CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum document_kind {
    DOCUMENT_NULL,
    DOCUMENT_BOOL,
    DOCUMENT_NUMBER,
    DOCUMENT_STRING,
    DOCUMENT_ARRAY,
    DOCUMENT_OBJECT
};

struct document_value; /* one value, in the document's arena */

/* Bytes an arena needs at most to parse a text of this length. */
size_t document_arena_bytes(size_t text_bytes);

/*
 * ERR_CONFIG "invalid JSON at line 3, column 14: unexpected character" (columns count characters,
 * from 1), ERR_NO_MEMORY. The text is not kept.
 */
MUST_CHECK int document_parse(struct slice text, struct arena *arena,
                              struct document_value **ret_root, struct error *error);

enum document_kind document_kind(struct document_value *value);
/* "null", "a boolean", "a number", "a string", "an array", "an object". */
const char *document_kind_name(enum document_kind kind);
/* The bytes of a DOCUMENT_STRING, escapes resolved; the digits of a DOCUMENT_NUMBER. */
struct slice document_text(struct document_value *value);
/* Elements of an array, members of an object. */
size_t document_count(struct document_value *value);

/* A walk over an array or an object, in the order of the text. */
struct document_walk {
    struct document_value *container;
    struct document_value *next;
    size_t index, count;
};

struct document_walk document_walk(struct document_value *container);
/* False at the end. *ret_key is empty in arrays. */
bool document_next(struct document_walk *walk, struct slice *ret_key,
                   struct document_value **ret_value);

/* The value as JSON text without spaces, in the arena. ERR_NO_MEMORY. */
MUST_CHECK int document_print(struct document_value *value, struct arena *arena,
                              struct slice *ret_text, struct error *error);

#endif
