/*
 * Finds where the records of a JSON document end, however its text is cut into pieces: the elements
 * of an array that is the whole document, or the value of one key of the object that is. It follows
 * strings and brackets and judges nothing else: what is wrong is the codec's to say. Without
 * recursion and without memory of its own; one owner.
 */
#ifndef CLI_JSON_SCAN_H
#define CLI_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum json_scan_event {
    JSON_SCAN_MORE,     /* all of the text was passed */
    JSON_SCAN_RECORD,   /* just behind the comma that follows a record */
    JSON_SCAN_WHOLE,    /* the document has no records to cut between */
    JSON_SCAN_REPEATED, /* the key comes again behind its array, or may do so in disguise (escapes) */
};

struct json_scan {
    struct slice key; /* borrowed; whose array holds the records, in an object */
    /* Whether an array nested `depth` deep is one record rather than an array of them. */
    bool (*is_record)(const void *user, unsigned depth);
    const void *user;

    enum json_scan_place {
        JSON_SCAN_START,  /* before the document */
        JSON_SCAN_OBJECT, /* in the object, before the array */
        JSON_SCAN_FOUND,  /* behind the key, before its value */
        JSON_SCAN_FIRST,  /* in the array, before the first scalar or object */
        JSON_SCAN_ROWS,   /* in the array */
        JSON_SCAN_TAIL,   /* in the object, behind the array */
        JSON_SCAN_END,    /* behind the array, or nothing more to find */
    } place;
    size_t depth; /* open brackets and braces */
    size_t base;  /* how many are open between two records: 1, within an object 2 */
    bool in_string;
    bool escaped; /* behind a backslash */
    bool at_key;  /* the next string is a key of the object */
    bool in_key;
    bool key_escapes; /* the key has a backslash */
    bool key_differs;
    size_t key_len; /* bytes of the key that agreed */
};

/* The text to come starts behind a byte order mark. */
void json_scan_init(struct json_scan *scan, struct slice key,
                    bool (*is_record)(const void *user, unsigned depth), const void *user);
/*
 * Passes over the text up to the next event, or over all of it; returns the bytes passed. After
 * JSON_SCAN_WHOLE and JSON_SCAN_REPEATED it is not to be called again.
 */
size_t json_scan_next(struct json_scan *scan, struct slice text, enum json_scan_event *ret_event);
/* Whether the document is an object, so that the array's end is not its end. */
static inline bool json_scan_in_object(const struct json_scan *scan)
{
    return scan->base == 2;
}

#endif
