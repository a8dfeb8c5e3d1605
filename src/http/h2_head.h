/*
 * Makes a struct http_request of the fields of an HTTP/2 head, one after the other, in an arena
 * (RFC 9113 section 8.3.1). The rules of section 8.1.1 that concern single fields and the order of
 * pseudo-header fields have been applied before (nghttp2). Pure; knows no frames.
 */
#ifndef HTTP_H2_HEAD_H
#define HTTP_H2_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "http/message.h"

/*
 * What is too large is still counted, so that it can be answered with 431; heads (with their
 * trailers) this many times too large are an attack on whoever decompresses them.
 */
#define H2_HEAD_FLOOD_FACTOR 8

struct h2_head_limits {
    size_t max_bytes; /* names, values and 32 a field */
    size_t max_fields;
};

/* Zeroed: an empty head, but for the arena. */
struct h2_head {
    struct arena *arena;
    struct http_request request;
    struct slice scheme;
    size_t field_capacity;
    size_t bytes; /* so far, trailers too */
    size_t field_count;
    bool has_host;
    bool has_length;
    bool is_expecting; /* has an Expect field */
    bool is_malformed;
    bool is_too_large;
    bool is_out_of_memory;
};

/*
 * Takes in the next field of the head, or counts one of its trailers, which are dropped. False when
 * that makes it a flood. What is wrong with the head is said by h2_head_finish.
 */
MUST_CHECK bool h2_head_add(struct h2_head *head, const struct h2_head_limits *limits,
                            struct slice name, struct slice value);
MUST_CHECK bool h2_head_add_trailer(struct h2_head *head, const struct h2_head_limits *limits,
                                    struct slice name, struct slice value);

#define H2_HEAD_MALFORMED (-1)
/*
 * The head is complete; `ended`: no body follows. 0: head->request is; H2_HEAD_MALFORMED: it is no
 * request (RFC 9113 section 8.1.1); else the status to refuse it with, and why in *error.
 */
MUST_CHECK int h2_head_finish(struct h2_head *head, bool ended, struct error *error);

#endif
