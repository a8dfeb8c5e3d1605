/*
 * Writes response heads: one reservation of an upper bound, then plain stores. What is framed by
 * them (bodies) is the caller's.
 */
#include "http/h1_head.h"

#include <stddef.h>
#include <stdint.h>
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

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Whether one of the eight bytes may be below 0x20 or 0x7f; sure where it says no. */
static inline bool may_have_control(uint64_t word)
{
    uint64_t deleted = word ^ EACH_BYTE(0x7f);
    return (((word - EACH_BYTE(0x20)) & ~word) | ((deleted - EACH_BYTE(1)) & ~deleted)) &
           EACH_BYTE(0x80);
}

static void clean_bytes(char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)at[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            at[i] = ' ';
        }
    }
}

static char *put_value(char *at, struct slice value)
{
    char *end = put(at, value);
    for (uint64_t word; end - at >= (ptrdiff_t)sizeof(word); at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        if (may_have_control(word)) {
            clean_bytes(at, sizeof(word));
        }
    }
    clean_bytes(at, (size_t)(end - at));
    return end;
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
    at = put(at, date);
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
