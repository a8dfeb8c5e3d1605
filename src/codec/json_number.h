/*
 * Numbers of JSON arrays, read from the text straight into memory of their type. For text whose last
 * byte is a bracket or a brace: digits are read without looking where the text ends. Pure functions:
 * any thread.
 */
#ifndef CODEC_JSON_NUMBER_H
#define CODEC_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct json_cursor {
    const char *at;
    const char *end; /* end[-1] is a bracket or a brace */
};

/* RFC 8259 section 2. */
static inline bool json_is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline void json_skip_space(struct json_cursor *cursor)
{
    while (cursor->at < cursor->end && json_is_space(*cursor->at)) {
        cursor->at++;
    }
}

/* Takes this byte, with the space before it; false (and only the space is taken) for another. */
static inline bool json_take(struct json_cursor *cursor, char byte)
{
    json_skip_space(cursor);
    if (cursor->at == cursor->end || *cursor->at != byte) {
        return false;
    }
    cursor->at++;
    return true;
}

/* Takes these bytes if they come next. */
bool json_take_word(struct json_cursor *cursor, struct slice word);

/*
 * Exactly `count` values with commas between them; space before them is taken, behind them not.
 * Floats may be numbers, NaN, Infinity, -Infinity, null (NaN), true and false (1 and 0); integers
 * whole numbers in int64_t without point or exponent. False for anything else: `out` and the cursor
 * are then not to be used.
 */
bool json_read_f32(struct json_cursor *cursor, size_t count, float *out);
bool json_read_f64(struct json_cursor *cursor, size_t count, double *out);
bool json_read_i64(struct json_cursor *cursor, size_t count, int64_t *out);

/*
 * One number where it starts (RFC 8259 section 6), in a text that goes on to `end`: the byte behind the
 * number's last digit has to be there. Returns where it ends, NULL when none starts here.
 */
const char *json_number_f32(const char *at, const char *end, float *ret_value);
const char *json_number_f64(const char *at, const char *end, double *ret_value);

#endif
