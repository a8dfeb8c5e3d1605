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
    ERR_PROTOCOL, /* the request breaks gRPC's framing, which calls that INTERNAL; told as it is */
    ERR_CODES     /* how many there are */
};

/* gRPC's canonical codes (google/rpc/code.proto). */
enum grpc_status {
    GRPC_OK,
    GRPC_CANCELLED, /* no error of ours has it: the client has gone, and nobody is answered */
    GRPC_UNKNOWN,
    GRPC_INVALID_ARGUMENT,
    GRPC_DEADLINE_EXCEEDED,
    GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED,
    GRPC_RESOURCE_EXHAUSTED,
    GRPC_FAILED_PRECONDITION,
    GRPC_ABORTED,
    GRPC_OUT_OF_RANGE,
    GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL,
    GRPC_UNAVAILABLE,
    GRPC_DATA_LOSS,
    GRPC_UNAUTHENTICATED,
    GRPC_STATUSES /* how many there are */
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
enum grpc_status error_grpc_status(enum error_code code);

#endif
