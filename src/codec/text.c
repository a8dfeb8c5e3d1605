#include "codec/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define EXCERPT_BYTES 40

size_t text_mark_bytes(struct slice text)
{
    return slice_starts_with(text, SLICE("\xef\xbb\xbf")) ? 3 : 0;
}

/* Bytes at the start that are ASCII for sure; looks at eight at a time. */
static size_t ascii_prefix(struct slice text)
{
    size_t at = 0;
    for (; text.len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, text.ptr + at, sizeof(word));
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
    }
    return at;
}

size_t text_find_invalid(struct slice text)
{
    size_t at = 0;
    while (at < text.len) {
        size_t ascii = ascii_prefix(slice_tail(text, at));
        struct utf8_step step =
            ascii > 0 ? (struct utf8_step){true, ascii} : utf8_step(slice_tail(text, at));
        if (!step.valid) {
            break;
        }
        at += step.bytes;
    }
    return at;
}

struct slice text_excerpt(struct slice text)
{
    struct slice shown = slice_head(text, EXCERPT_BYTES);
    /* A character cut in two is invalid at its start, and so is what was no UTF-8 to begin with. */
    return slice_head(shown, text_find_invalid(shown));
}

const char *text_ellipsis(struct slice text)
{
    return text.len > EXCERPT_BYTES ? "..." : "";
}

/* Sixteen bytes side by side; gcc and clang know the vectors of every machine. */
typedef uint8_t lanes __attribute__((vector_size(16)));
/* So many rounds fit the counts of a byte. */
#define LANES_ROUNDS 255

static size_t sum_lanes(lanes counts)
{
    size_t sum = 0;
    for (size_t i = 0; i < sizeof(counts); i++) {
        sum += counts[i];
    }
    return sum;
}

size_t text_count(struct slice text, char byte)
{
    const lanes pattern = (unsigned char)byte - (lanes){0};
    size_t count = 0;
    size_t at = 0;
    while (text.len - at >= sizeof(pattern)) {
        lanes counts = {0};
        for (unsigned i = 0; i < LANES_ROUNDS && text.len - at >= sizeof(pattern); i++) {
            lanes word;
            memcpy(&word, text.ptr + at, sizeof(word));
            counts -= (lanes)(word == pattern); /* true is -1 */
            at += sizeof(word);
        }
        count += sum_lanes(counts);
    }
    for (; at < text.len; at++) {
        count += text.ptr[at] == byte;
    }
    return count;
}

int place_prefix(struct error *error, const struct place *place)
{
    char line[32] = "";
    char column[32] = "";
    if (error == NULL) {
        return ERR_INVALID;
    }
    if (place->line > 0) {
        snprintf(line, sizeof(line), "line %" PRId64 ", ", place->line);
    }
    if (place->column >= 0) {
        snprintf(column, sizeof(column), ", column %" PRId64, place->column);
    }
    return error_prefix(error, "%srow %" PRId64 "%s", line, place->row, column);
}
