/* Growing lines in an arena. No knowledge of HTTP beyond how long its lines commonly are. */
#include "http/h1_line.h"

#include <string.h>

#define FIRST_CAPACITY 128

int h1_line_append(struct h1_line *line, struct arena *arena, struct slice piece, bool last)
{
    size_t needed = line->len + piece.len;
    if (needed > line->capacity) {
        size_t capacity = line->capacity == 0 ? FIRST_CAPACITY : line->capacity * 2;
        capacity = last || capacity < needed ? needed : capacity;
        char *grown = arena_realloc(arena, line->ptr, line->capacity, capacity);
        if (grown == NULL) {
            return ERR_NO_MEMORY;
        }
        line->ptr = grown;
        line->capacity = capacity;
    }
    if (piece.len > 0) {
        memcpy(line->ptr + line->len, piece.ptr, piece.len);
    }
    line->len = needed;
    return ERR_OK;
}

struct slice h1_line_slice(const struct h1_line *line)
{
    return slice_make(line->ptr == NULL ? "" : line->ptr, line->len);
}

struct slice h1_line_take(struct h1_line *line, struct arena *arena)
{
    struct slice taken = h1_line_slice(line);
    if (line->len < line->capacity) {
        /* Gives the room behind the line back where it is the arena's newest; cannot fail. */
        void *same = arena_realloc(arena, line->ptr, line->capacity, line->len);
        (void)same;
    }
    *line = (struct h1_line){0};
    return taken;
}

void h1_line_clear(struct h1_line *line)
{
    line->len = 0;
}
