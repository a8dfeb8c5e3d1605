/*
 * A borrowed run of bytes: pointer and length, not NUL-terminated. All text and all bytes that come
 * from outside travel as slices; a NUL terminator appears only at libc's border. A slice owns
 * nothing: whoever made it says how long the bytes live.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal. */
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
/* For printf: printf("%.*s", SLICE_FMT(s)). Callers cap long slices with slice_head first. */
#define SLICE_FMT(s) (int)(s).len, (s).ptr

static inline struct slice slice_make(const void *ptr, size_t len)
{
    return (struct slice){(const char *)ptr, len};
}

static inline struct slice slice_from_str(const char *str)
{
    return (struct slice){str, str == NULL ? 0 : strlen(str)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The first at most `max` bytes. */
static inline struct slice slice_head(struct slice s, size_t max)
{
    return (struct slice){s.ptr, s.len < max ? s.len : max};
}

/* Without the first `skip` bytes (skip <= len). */
static inline struct slice slice_tail(struct slice s, size_t skip)
{
    return (struct slice){s.ptr + skip, s.len - skip};
}

/* ASCII case is ignored; bytes over 0x7f compare as they are. */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_ends_with_nocase(struct slice s, struct slice suffix);
/* Without leading and trailing spaces and tabs (RFC 9110 section 5.6.3, OWS). */
struct slice slice_trim(struct slice s);
/* Position of the first `byte`, or `len` when there is none. */
size_t slice_find(struct slice s, char byte);
/*
 * Cuts the text before the first `separator` off *rest and returns it; *rest becomes what follows
 * the separator, and {NULL, 0} after the last piece. Loop while rest->ptr != NULL.
 */
struct slice slice_cut(struct slice *rest, char separator);

#endif
