/*
 * Text of payloads: UTF-8 checks, the byte order mark, and cutting of user text for messages. Pure
 * functions: any thread.
 */
#ifndef CODEC_TEXT_H
#define CODEC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* Bytes of a UTF-8 byte order mark at the start of the text: 3 or 0. */
size_t text_mark_bytes(struct slice text);
/* Offset of the first sequence that is not UTF-8 (RFC 3629), or the text's length. */
size_t text_find_invalid(struct slice text);
/*
 * The first characters of user text for a message: at most 40 bytes, cut between characters and
 * before anything that is not UTF-8.
 */
struct slice text_excerpt(struct slice text);
/* "..." where text_excerpt left something out, "" otherwise. Static. */
const char *text_ellipsis(struct slice text);
/* How many of these bytes are `byte`. */
size_t text_count(struct slice text, char byte);

/* Where a value stands in the payload, for messages. */
struct place {
    int64_t line;   /* 1-based; 0 where the encoding has no lines */
    int64_t row;    /* 0-based */
    int64_t column; /* 0-based, of the payload; -1 when the whole row is meant */
};

/* Puts "line 4, row 2, column 1: " before the message. Returns error->code. */
int place_prefix(struct error *error, const struct place *place);

#endif
