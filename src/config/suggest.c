/*
 * Edit distance with transpositions of neighbours (optimal string alignment), in three rows of a
 * fixed width: names longer than that are never near to anything.
 */
#include "config/suggest.h"

#define NAME_MAX_BYTES 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Both at most NAME_MAX_BYTES long. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][NAME_MAX_BYTES + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++) {
        before[j] = 0; /* read only from the second row on */
        above[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t same = a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1;
            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + same);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1]) {
                row[j] = least(row[j], before[j - 2] + 1);
            }
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.len];
}

void suggestion_offer(struct suggestion *suggestion, const char *known)
{
    struct slice name = slice_from_str(known);
    struct slice typed = suggestion->typed;
    size_t most = typed.len > name.len ? typed.len : name.len;
    size_t fewest = least(typed.len, name.len);
    /* One slip, or one for every three letters: "prot" is near "port", "blob" nothing. */
    size_t limit = typed.len <= 2 ? 0 : most < 6 ? 1 : most / 3;
    if (most > NAME_MAX_BYTES || most - fewest > limit) {
        return;
    }
    size_t found = distance(typed, name);
    if (found <= limit && (suggestion->name == NULL || found < suggestion->distance)) {
        suggestion->name = known;
        suggestion->distance = found;
    }
}
