#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

static const struct {
    int http;
    enum grpc_status grpc;
} statuses[ERR_CODES] = {
    [ERR_OK] = {200, GRPC_OK},
    [ERR_INVALID] = {400, GRPC_INVALID_ARGUMENT},
    [ERR_NOT_FOUND] = {404, GRPC_UNIMPLEMENTED},
    [ERR_METHOD] = {405, GRPC_UNIMPLEMENTED},
    [ERR_TOO_LARGE] = {413, GRPC_RESOURCE_EXHAUSTED},
    [ERR_BUSY] = {429, GRPC_RESOURCE_EXHAUSTED},
    [ERR_TIMEOUT] = {504, GRPC_DEADLINE_EXCEEDED},
    [ERR_UNAVAILABLE] = {503, GRPC_UNAVAILABLE},
    [ERR_CONFIG] = {500, GRPC_INTERNAL},
    [ERR_NO_MEMORY] = {500, GRPC_INTERNAL},
    [ERR_INTERNAL] = {500, GRPC_INTERNAL},
    [ERR_PROTOCOL] = {400, GRPC_INTERNAL},
};

/* Cuts an incomplete UTF-8 sequence off the end of a text that was too long for its array. */
static void cut_to_character(char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0xc0) {
        text[start - 1] = '\0';
    }
}

__attribute__((format(printf, 3, 0))) static void put_text(char *text, size_t size,
                                                           const char *format, va_list args)
{
    int wanted = vsnprintf(text, size, format, args);
    if (wanted < 0) {
        text[0] = '\0';
    } else if ((size_t)wanted >= size) {
        cut_to_character(text, size - 1);
    }
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
}

int error_set(struct error *error, enum error_code code, const char *format, ...)
{
    CHECK(code > ERR_OK && code < ERR_CODES);
    if (error == NULL) {
        return (int)code;
    }
    error->code = code;
    va_list args;
    va_start(args, format);
    put_text(error->text, sizeof(error->text), format, args);
    va_end(args);
    return (int)code;
}

int error_prefix(struct error *error, const char *format, ...)
{
    char prefix[ERROR_TEXT_MAX];
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    put_text(prefix, sizeof(prefix), format, args);
    va_end(args);
    memcpy(text, error->text, sizeof(text));
    return error_set(error, error->code, "%s: %s", prefix, text);
}

int error_http_status(enum error_code code)
{
    CHECK(code < ERR_CODES);
    return statuses[code].http;
}

enum grpc_status error_grpc_status(enum error_code code)
{
    CHECK(code < ERR_CODES);
    return statuses[code].grpc;
}
