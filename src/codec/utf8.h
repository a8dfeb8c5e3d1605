/* UTF-8 by RFC 3629, one character at a time. Pure functions: any thread. */
#ifndef CODEC_UTF8_H
#define CODEC_UTF8_H

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

#endif
