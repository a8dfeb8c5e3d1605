/*
 * A line that may arrive in pieces, put together in an arena: a request line or a field that stays
 * there for the life of the exchange, or one of the lines of a chunked body, which share a buffer.
 * The caller bounds its length. The lines of one arena are put together one at a time.
 */
#ifndef HTTP_H1_LINE_H
#define HTTP_H1_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/slice.h"

/* Zeroed: an empty line without a buffer. */
struct h1_line {
    char *ptr;
    size_t len;
    size_t capacity;
};

/* `last`: no piece will follow, so that no room is kept for one. ERR_NO_MEMORY. */
MUST_CHECK int h1_line_append(struct h1_line *line, struct arena *arena, struct slice piece,
                              bool last);
/* What there is so far; valid until the next append. */
struct slice h1_line_slice(const struct h1_line *line);
/* The bytes stay in the arena, where they are; the line is empty and without a buffer. */
struct slice h1_line_take(struct h1_line *line, struct arena *arena);
/* The line is empty; its buffer serves the next one. */
void h1_line_clear(struct h1_line *line);

#endif
