/*
 * Looking into a request, and the names of statuses. Nothing here knows a protocol version.
 */
#include "http/message.h"

#include <string.h>

/* The IANA registry, as far as RFC 9110 section 15, RFC 6585 and RFC 4918 fill it. */
static const char *const reasons[] = {
    [100] = "Continue",
    [101] = "Switching Protocols",
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [507] = "Insufficient Storage",
    [511] = "Network Authentication Required",
};

struct slice http_request_field(const struct http_request *request, struct slice name)
{
    for (size_t i = 0; i < request->field_count; i++) {
        if (slice_eq_nocase(request->fields[i].name, name)) {
            return request->fields[i].value;
        }
    }
    return (struct slice){NULL, 0};
}

static struct slice append(struct slice joined, char *end, struct slice text)
{
    memcpy(end, text.ptr, text.len);
    return slice_make(joined.ptr, joined.len + text.len);
}

/* The values at `room`, which has enough of it. */
static struct slice write_joined(const struct http_request *request, struct slice name,
                                 struct slice separator, char *room)
{
    struct slice joined = slice_make(room, 0);
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (field->value.len == 0 || !slice_eq_nocase(field->name, name)) {
            continue;
        }
        if (joined.len > 0) {
            joined = append(joined, room + joined.len, separator);
        }
        joined = append(joined, room + joined.len, field->value);
    }
    return joined;
}

/* The first field of the name gets `value`, the others go. */
static void keep_first(struct http_request *request, struct slice name, struct slice value)
{
    size_t kept = 0;
    bool found = false;
    for (size_t i = 0; i < request->field_count; i++) {
        struct http_field field = request->fields[i];
        if (slice_eq_nocase(field.name, name)) {
            if (found) {
                continue;
            }
            found = true;
            field.value = value;
        }
        request->fields[kept++] = field;
    }
    request->field_count = kept;
}

int http_request_join(struct http_request *request, struct slice name, struct slice separator,
                      struct arena *arena)
{
    size_t bytes = 0;
    size_t count = 0;
    for (size_t i = 0; i < request->field_count; i++) {
        if (slice_eq_nocase(request->fields[i].name, name)) {
            bytes += request->fields[i].value.len + separator.len;
            count++;
        }
    }
    if (count < 2) {
        return ERR_OK;
    }
    char *room = arena_alloc(arena, bytes);
    if (room == NULL) {
        return ERR_NO_MEMORY;
    }
    keep_first(request, name, write_joined(request, name, separator, room));
    return ERR_OK;
}

/* "0.5" in thousandths; what is no weight counts as none. */
static unsigned parse_weight(struct slice text)
{
    struct slice fraction = text;
    struct slice whole = slice_cut(&fraction, '.');
    if (slice_eq(whole, SLICE("1"))) {
        return 1000;
    }
    unsigned weight = 0;
    unsigned place = 100;
    for (size_t i = 0; i < fraction.len && place > 0; i++, place /= 10) {
        char digit = fraction.ptr[i];
        weight += digit >= '0' && digit <= '9' ? (unsigned)(digit - '0') * place : 0;
    }
    return weight;
}

static unsigned find_weight(struct slice parameters)
{
    while (parameters.ptr != NULL) {
        struct slice value = slice_cut(&parameters, ';');
        struct slice name = slice_trim(slice_cut(&value, '='));
        if (slice_eq_nocase(name, SLICE("q"))) {
            return parse_weight(slice_trim(value));
        }
    }
    return 1000;
}

unsigned http_weight(struct slice field, struct slice name)
{
    unsigned most = 0;
    while (field.ptr != NULL) {
        struct slice parameters = slice_cut(&field, ',');
        if (slice_eq_nocase(slice_trim(slice_cut(&parameters, ';')), name)) {
            unsigned weight = find_weight(parameters);
            most = weight > most ? weight : most;
        }
    }
    return most;
}

const char *http_reason(int status)
{
    if (status < 0 || (size_t)status >= sizeof(reasons) / sizeof(reasons[0])) {
        return "";
    }
    return reasons[status] == NULL ? "" : reasons[status];
}
