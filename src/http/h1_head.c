/*
 * Writes response heads: one reservation of an upper bound, then plain stores. What is framed by
 * them (bodies) is the caller's.
 */
#include "http/h1_head.h"

#include <string.h>

#include "base/check.h"
#include "base/num.h"
#include "http/h1_guard.h"

static const char *const connection_lines[] = {
    [H1_CONNECTION_DEFAULT] = "",
    [H1_CONNECTION_CLOSE] = "Connection: close\r\n",
    [H1_CONNECTION_KEEP_ALIVE] = "Connection: keep-alive\r\n",
};

/* "HTTP/1.1 200 ", CRLF, "Date: ", CRLF, "Content-Length: ", a number, CRLF, Connection, CRLF. */
#define FIXED_BYTES_MAX 128
/* ": " and CRLF */
#define FIELD_EXTRA_BYTES 4

static char *put(char *at, struct slice text)
{
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

static char *put_value(char *at, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char byte = (unsigned char)value.ptr[i];
        at[i] = (byte < 0x20 && byte != '\t') || byte == 0x7f ? ' ' : value.ptr[i];
    }
    return at + value.len;
}

static char *put_status_line(char *at, int status)
{
    const char *reason = http_reason(status);
    at = put(at, SLICE("HTTP/1.1 "));
    *at++ = (char)('0' + status / 100);
    *at++ = (char)('0' + status / 10 % 10);
    *at++ = (char)('0' + status % 10);
    *at++ = ' ';
    at = put(at, slice_from_str(reason));
    return put(at, SLICE("\r\n"));
}

static bool is_written_here(struct slice name)
{
    switch (name.len) {
    case sizeof("Date") - 1:
        return slice_eq_nocase(name, SLICE("Date"));
    case sizeof("Connection") - 1:
        return slice_eq_nocase(name, SLICE("Connection"));
    case sizeof("Content-Length") - 1:
        return slice_eq_nocase(name, SLICE("Content-Length"));
    case sizeof("Transfer-Encoding") - 1:
        return slice_eq_nocase(name, SLICE("Transfer-Encoding"));
    default:
        return false;
    }
}

static char *put_field(char *at, const struct http_field *field)
{
    CHECK(h1_guard_is_token(field->name) && !is_written_here(field->name));
    at = put(at, field->name);
    at = put(at, SLICE(": "));
    at = put_value(at, field->value);
    return put(at, SLICE("\r\n"));
}

static size_t head_bytes_max(const struct http_response *response, struct slice date)
{
    size_t size = FIXED_BYTES_MAX + strlen(http_reason(response->status)) + date.len;
    for (size_t i = 0; i < response->field_count; i++) {
        size += response->fields[i].name.len + response->fields[i].value.len + FIELD_EXTRA_BYTES;
    }
    return size;
}

int h1_head_put(const struct http_response *response, struct slice date,
                enum h1_connection connection, struct bytes *out)
{
    int status = response->status;
    CHECK(status >= 100 && status <= 999);
    char *start = bytes_reserve(out, head_bytes_max(response, date));
    if (start == NULL) {
        return ERR_NO_MEMORY;
    }
    char *at = put_status_line(start, status);
    at = put(at, SLICE("Date: "));
    at = put_value(at, date);
    at = put(at, SLICE("\r\n"));
    if (status >= 200 && status != 204 && status != 304) {
        at = put(at, SLICE("Content-Length: "));
        at += num_print_u64(response->content_length, at);
        at = put(at, SLICE("\r\n"));
    }
    at = put(at, slice_from_str(connection_lines[connection]));
    for (size_t i = 0; i < response->field_count; i++) {
        at = put_field(at, &response->fields[i]);
    }
    at = put(at, SLICE("\r\n"));
    bytes_commit(out, (size_t)(at - start));
    return ERR_OK;
}
