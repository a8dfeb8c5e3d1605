/*
 * A request and a response as every HTTP version has them (RFC 9110). Plain structs of slices.
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

struct http_field {
    struct slice name;  /* as it came; compare without case */
    struct slice value; /* without leading and trailing white space */
};

#define HTTP_LENGTH_UNKNOWN UINT64_MAX

struct http_request {
    struct slice method; /* "GET"; case-sensitive */
    struct slice target; /* as it came */
    struct slice path;   /* of the target, without the query; not decoded; "*" of OPTIONS * */
    struct slice query;  /* without '?'; {NULL, 0} where there is none */
    struct http_field *fields;
    size_t field_count;      /* fields may be NULL when 0 */
    uint64_t content_length; /* HTTP_LENGTH_UNKNOWN for chunked bodies; 0 without a body */
    bool expect_continue;    /* waits for 100 before its body (RFC 9110 section 10.1.1) */
};

/* The first field with this name, or {NULL, 0}. */
struct slice http_request_field(const struct http_request *request, struct slice name);

/*
 * Makes one field of all with this name, in the place of the first: their values in order with
 * `separator` between them (RFC 9110 section 5.3), but for empty ones, which say nothing. A joined
 * value lives in the arena. ERR_NO_MEMORY leaves the request as it was.
 */
MUST_CHECK int http_request_join(struct http_request *request, struct slice name,
                                 struct slice separator, struct arena *arena);

/*
 * What a field such as Accept or Accept-Encoding says of this name, in any case: its weight (RFC 9110
 * section 12.4.2) in thousandths, the greatest where it stands there more than once; 0 where it does
 * not, or is refused. Wildcards are not looked at, and parameters but q neither.
 */
unsigned http_weight(struct slice field, struct slice name);

struct http_response {
    int status;
    const struct http_field *fields; /* beside Date, Content-Length and Connection */
    size_t field_count;
    uint64_t content_length; /* of the body that follows, or of what HEAD stands for */
};

/* "OK", "Not Found", ...; "" when unknown. Static (RFC 9110 section 15). */
const char *http_reason(int status);

#endif
