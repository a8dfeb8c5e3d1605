/* What a writer under test has written, as text to look into. */
#ifndef WRITTEN_TEXT_H
#define WRITTEN_TEXT_H

#include <string.h>

#include "base/bytes.h"
#include "unit_tests/testing.h"

/* Into text[], NUL-terminated; it has room for one byte more. The bytes are ended. */
static inline void take_text(struct bytes *written, char *text)
{
    struct slice bytes = bytes_slice(written);
    memcpy(text, bytes.ptr, bytes.len);
    text[bytes.len] = '\0';
    bytes_done(written);
}

static inline void assert_holds(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("%s\nis not in\n%s", part, text);
    }
}

#endif
