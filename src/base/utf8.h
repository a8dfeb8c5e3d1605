/* UTF-8 by RFC 3629, one character at a time. Pure functions: any thread. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* What replaces bytes that are no UTF-8: U+FFFD. */
#define UTF8_REPLACEMENT SLICE("\xef\xbf\xbd")

struct utf8_step {
    bool valid;
    size_t bytes; /* of the character, or to skip: as many as could have begun one, at least 1 */
};

/* utf8_step for a first byte that is not ASCII. */
struct utf8_step utf8_step_wide(struct slice text);

/* The character at the start of a text that is not empty. */
static inline struct utf8_step utf8_step(struct slice text)
{
    return (unsigned char)text.ptr[0] < 0x80 ? (struct utf8_step){true, 1} : utf8_step_wide(text);
}

/* The bytes of valid characters at the start of a text: its length where it is UTF-8 throughout. */
static inline size_t utf8_valid_bytes(struct slice text)
{
    struct slice rest = text;
    while (rest.len > 0) {
        struct utf8_step step = utf8_step(rest);
        if (!step.valid) {
            break;
        }
        rest = slice_tail(rest, step.bytes);
    }
    return text.len - rest.len;
}

#endif
