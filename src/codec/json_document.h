/*
 * JSON text as a read-only tree (on yyjson, which only this module sees). Strict RFC 8259, and the
 * literals NaN, Infinity and -Infinity. Reading is bounded before it starts: nesting past
 * JSON_DEPTH_MAX is refused by a scan that allocates nothing, and the tree takes at most 13 bytes
 * for each byte of text (+ 512) from the arena. One request's thread.
 */
#ifndef CODEC_JSON_DOCUMENT_H
#define CODEC_JSON_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "codec/scalar.h"

#define JSON_DEPTH_MAX 128

/* A value in a document; it lives until the reader reads the next one. */
struct json_value;

enum json_kind {
    JSON_SCALAR, /* null, true, false, a number, a string */
    JSON_ARRAY,
    JSON_OBJECT,
};

/* Reads documents one after another, each in the place of the one before. */
struct json_reader {
    struct arena *arena;
    size_t origin_bytes; /* added to offsets in messages */
    char *room;          /* in the arena */
    size_t room_bytes;
    size_t used_bytes;
    size_t last; /* offset of the newest allocation, which may grow */
};

/* `origin_bytes`: where the body stands in the whole payload, as in struct codec_origin. */
void json_reader_init(struct json_reader *reader, struct arena *arena, int64_t origin_bytes);
/*
 * `base` is the offset of the text in the body, for messages. ERR_INVALID with the byte offset of
 * what is wrong, ERR_NO_MEMORY. A byte order mark at offset 0 of the body is skipped.
 */
MUST_CHECK int json_reader_read(struct json_reader *reader, struct slice text, size_t base,
                                const struct json_value **ret_root, struct error *error);

enum json_kind json_value_kind(const struct json_value *value);
/* Elements of an array, members of an object; 0 for the others. */
size_t json_value_count(const struct json_value *value);
/* First element of an array or key of an object; not to be used when there is none. */
const struct json_value *json_value_first(const struct json_value *container);
/*
 * What follows a value: the next element; behind a key its value, behind that the next key. Only
 * for as many as the count says.
 */
const struct json_value *json_value_next(const struct json_value *value);
/* The text of a string or key. */
struct slice json_value_text(const struct json_value *string);
/* The member with this key, the last one of duplicates; NULL where there is none. */
const struct json_value *json_object_find(const struct json_value *object, struct slice key);
/* Any value; arrays and objects by their kind alone. */
struct scalar json_value_scalar(const struct json_value *value);

#endif
