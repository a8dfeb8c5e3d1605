/*
 * One error code for the whole program and a message in the caller's memory. Functions that can
 * fail return `int`: ERR_OK (0) or one of these codes, and then the message says what was wrong and
 * where, in one line without a final full stop. Codes map to an HTTP and a gRPC status in one
 * table. Nothing here logs; no thread rule (plain memory).
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stddef.h>

enum error_code {
    ERR_OK = 0,
    ERR_INVALID,     /* the request is wrong; the text names the place */
    ERR_NOT_FOUND,   /* no such path, file or name */
    ERR_METHOD,      /* the path exists, the method does not fit */
    ERR_TOO_LARGE,   /* a body over MAX_BODY_BYTES */
    ERR_BUSY,        /* no execution slot in time, or a queue is full */
    ERR_TIMEOUT,     /* the request's deadline has passed */
    ERR_UNAVAILABLE, /* no model is ready */
    ERR_CONFIG,      /* a setting, a manifest or a model file that cannot be used */
    ERR_NO_MEMORY,   /* an allocation failed or an arena reached its maximum */
    ERR_INTERNAL,    /* everything else; the text is for the log, never for a client */
    ERR_CODES        /* how many there are */
};

#define ERROR_TEXT_MAX 512

struct error {
    enum error_code code;
    char text[ERROR_TEXT_MAX]; /* NUL-terminated, cut at a UTF-8 character where it was too long */
};

/* Marks a return value that has to be looked at. */
#define MUST_CHECK __attribute__((warn_unused_result))

/*
 * Fills *error (which may be NULL) and returns `code`, so that `return error_set(...)` reads well.
 * Bytes of user text that are control characters arrive in the message as `?`.
 */
int error_set(struct error *error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message. Returns error->code. */
int error_prefix(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* HTTP status (RFC 9110 section 15) and gRPC canonical code of an error code. */
int error_http_status(enum error_code code);
int error_grpc_status(enum error_code code);

#endif
