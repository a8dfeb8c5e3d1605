/*
 * Header fields by the grammar of PROTOCOL-HTTP2.md, and the state machine of the reader: prefix, then
 * message, then either the end or the next one.
 */
#include "http/grpc.h"

#include <string.h>

#include "base/check.h"
#include "base/checked.h"
#include "base/clock.h"

#define TIMEOUT_DIGITS_MAX 8
#define SHOWN_BYTES 64 /* of a field's value in a message */

/* ---- header fields ---- */

bool grpc_split_path(struct slice path, struct slice *ret_service, struct slice *ret_method)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        return false;
    }
    struct slice method = slice_tail(path, 1);
    struct slice service = slice_cut(&method, '/');
    if (service.len == 0 || method.len == 0 || slice_find(method, '/') < method.len) {
        return false;
    }
    *ret_service = service;
    *ret_method = method;
    return true;
}

bool grpc_is_content_type(struct slice value)
{
    struct slice type = slice_trim(slice_cut(&value, ';'));
    return slice_eq_nocase(type, SLICE("application/grpc")) ||
           slice_eq_nocase(type, SLICE("application/grpc+proto"));
}

/* 0 where the byte is no unit. */
static uint64_t unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return 3600 * CLOCK_NS_PER_S;
    case 'M':
        return 60 * CLOCK_NS_PER_S;
    case 'S':
        return CLOCK_NS_PER_S;
    case 'm':
        return CLOCK_NS_PER_MS;
    case 'u':
        return CLOCK_NS_PER_US;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

/* False where it is no run of 1 to 8 digits. */
static bool parse_digits(struct slice text, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret_value = value;
    return text.len > 0;
}

int grpc_parse_timeout(struct slice value, uint64_t *ret_ns, struct error *error)
{
    uint64_t count = 0;
    uint64_t unit = 0;
    if (value.len >= 2 && value.len <= TIMEOUT_DIGITS_MAX + 1) {
        unit = unit_ns(value.ptr[value.len - 1]);
    }
    if (unit == 0 || !parse_digits(slice_head(value, value.len - 1), &count)) {
        struct slice shown = slice_head(value, SHOWN_BYTES);
        return error_set(error, ERR_INVALID,
                         "grpc-timeout '%.*s' is not up to 8 digits and a unit of H M S m u n",
                         SLICE_FMT(shown));
    }
    *ret_ns = count > UINT64_MAX / unit ? UINT64_MAX : count * unit;
    return ERR_OK;
}

struct slice grpc_coding_name(enum grpc_coding coding)
{
    return coding == GRPC_GZIP ? SLICE("gzip") : SLICE("identity");
}

int grpc_parse_coding(struct slice value, enum grpc_coding *ret_coding, struct error *error)
{
    struct slice name = slice_trim(value);
    if (value.ptr == NULL || slice_eq_nocase(name, grpc_coding_name(GRPC_IDENTITY))) {
        *ret_coding = GRPC_IDENTITY;
        return ERR_OK;
    }
    if (slice_eq_nocase(name, grpc_coding_name(GRPC_GZIP))) {
        *ret_coding = GRPC_GZIP;
        return ERR_OK;
    }
    struct slice shown = slice_head(name, SHOWN_BYTES);
    return error_set(error, ERR_METHOD,
                     "grpc-encoding '%.*s' is not supported; identity and gzip are",
                     SLICE_FMT(shown));
}

enum grpc_coding grpc_choose_coding(struct slice accepted)
{
    while (accepted.ptr != NULL) {
        struct slice name = slice_trim(slice_cut(&accepted, ','));
        if (slice_eq_nocase(name, grpc_coding_name(GRPC_GZIP))) {
            return GRPC_GZIP;
        }
    }
    return GRPC_IDENTITY;
}

static bool is_unencoded(char byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '%';
}

struct slice grpc_encode_message(struct slice text, struct arena *arena)
{
    size_t encoded = 0;
    for (size_t i = 0; i < text.len; i++) {
        encoded += is_unencoded(text.ptr[i]) ? 0 : 1;
    }
    if (encoded == 0) {
        return text.ptr == NULL ? SLICE("") : text;
    }
    size_t size;
    char *to = NULL;
    if (!checked_mul(encoded, 2, &size) && !checked_add(size, text.len, &size)) {
        to = arena_alloc(arena, size);
    }
    if (to == NULL) {
        return (struct slice){NULL, 0};
    }
    struct slice message = slice_make(to, size);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (is_unencoded(text.ptr[i])) {
            *to++ = text.ptr[i];
        } else {
            *to++ = '%';
            *to++ = "0123456789ABCDEF"[byte >> 4];
            *to++ = "0123456789ABCDEF"[byte & 15];
        }
    }
    return message;
}

/* ---- messages in ---- */

void grpc_reader_init(struct grpc_reader *reader, enum grpc_coding coding, bool unary)
{
    *reader = (struct grpc_reader){.coding = coding, .unary = unary};
}

void grpc_reader_done(struct grpc_reader *reader)
{
    gunzip_free(reader->gunzip);
    reader->gunzip = NULL;
}

static int begin_decoding(struct grpc_reader *reader, struct error *error)
{
    if (reader->coding != GRPC_GZIP) {
        return error_set(error, ERR_PROTOCOL,
                         "a message is marked as compressed, and grpc-encoding names no coding");
    }
    reader->gunzip = gunzip_new("grpc-encoding");
    return reader->gunzip == NULL
               ? error_set(error, ERR_NO_MEMORY, "no memory to decode a gzip message")
               : ERR_OK;
}

static int judge_prefix(struct grpc_reader *reader, const struct bytes *message,
                        struct error *error)
{
    const unsigned char *prefix = reader->prefix;
    reader->message_bytes = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 |
                            (size_t)prefix[3] << 8 | (size_t)prefix[4];
    reader->missing_bytes = reader->message_bytes;
    reader->compressed = prefix[0] == 1;
    if (prefix[0] > 1) {
        return error_set(error, ERR_INVALID,
                         "byte 0x%02x where a gRPC message's compressed flag is 0 or 1", prefix[0]);
    }
    if (reader->message_bytes > message->max) {
        return error_set(error, ERR_TOO_LARGE, "a message of %zu bytes is larger than %zu",
                         reader->message_bytes, message->max);
    }
    return reader->compressed ? begin_decoding(reader, error) : ERR_OK;
}

static struct slice cut_head(struct slice *piece, size_t max)
{
    struct slice head = slice_head(*piece, max);
    *piece = slice_tail(*piece, head.len);
    return head;
}

static int read_prefix(struct grpc_reader *reader, struct slice *piece, const struct bytes *message,
                       struct error *error)
{
    CHECK(bytes_len(message) == 0);
    struct slice part = cut_head(piece, GRPC_PREFIX_BYTES - reader->prefix_bytes);
    memcpy(reader->prefix + reader->prefix_bytes, part.ptr, part.len);
    reader->prefix_bytes += part.len;
    return reader->prefix_bytes < GRPC_PREFIX_BYTES ? ERR_OK : judge_prefix(reader, message, error);
}

static int read_message(struct grpc_reader *reader, struct slice *piece, struct bytes *message,
                        struct error *error)
{
    struct slice part = cut_head(piece, reader->missing_bytes);
    reader->missing_bytes -= part.len;
    if (reader->compressed) {
        return gunzip_feed(reader->gunzip, part, message, error);
    }
    return bytes_put(message, part) == ERR_OK
               ? ERR_OK
               : error_set(error, ERR_NO_MEMORY, "no memory for a request's message");
}

static int complete_message(struct grpc_reader *reader, struct error *error)
{
    int status = reader->compressed ? gunzip_finish(reader->gunzip, error) : ERR_OK;
    grpc_reader_done(reader);
    reader->complete = status == ERR_OK;
    return status;
}

static int read_part(struct grpc_reader *reader, struct slice *piece, struct bytes *message,
                     struct error *error)
{
    int status = reader->prefix_bytes < GRPC_PREFIX_BYTES
                     ? read_prefix(reader, piece, message, error)
                     : read_message(reader, piece, message, error);
    bool whole = reader->prefix_bytes == GRPC_PREFIX_BYTES && reader->missing_bytes == 0;
    return status == ERR_OK && whole ? complete_message(reader, error) : status;
}

int grpc_reader_feed(struct grpc_reader *reader, struct slice *piece, struct bytes *message,
                     struct error *error)
{
    int status = ERR_OK;
    CHECK(!reader->complete || reader->unary);
    while (status == ERR_OK && piece->len > 0 && !reader->complete) {
        status = read_part(reader, piece, message, error);
    }
    if (status == ERR_OK && reader->unary && piece->len > 0) {
        return error_set(error, ERR_METHOD, "more than one message in a unary request");
    }
    return status;
}

void grpc_reader_next(struct grpc_reader *reader)
{
    CHECK(reader->complete && !reader->unary);
    reader->complete = false;
    reader->prefix_bytes = 0;
}

int grpc_reader_finish(const struct grpc_reader *reader, struct error *error)
{
    if (reader->complete) {
        return ERR_OK;
    }
    if (reader->prefix_bytes == GRPC_PREFIX_BYTES) {
        return error_set(error, ERR_INVALID, "the message ends after %zu of %zu bytes",
                         reader->message_bytes - reader->missing_bytes, reader->message_bytes);
    }
    if (reader->prefix_bytes > 0) {
        return error_set(error, ERR_INVALID, "the request ends in the prefix of a message");
    }
    return reader->unary ? error_set(error, ERR_METHOD, "no message in a unary request") : ERR_OK;
}

/* ---- messages out ---- */

int grpc_message_begin(struct bytes *out)
{
    static const char room[GRPC_PREFIX_BYTES];
    return bytes_put(out, slice_make(room, sizeof(room)));
}

int grpc_message_end(struct bytes *out, size_t at, bool compressed, struct error *error)
{
    CHECK(bytes_len(out) >= at + GRPC_PREFIX_BYTES);
    size_t size = bytes_len(out) - at - GRPC_PREFIX_BYTES;
    return grpc_write_prefix(out->ptr + out->head + at, size, compressed, error);
}

int grpc_write_prefix(char prefix[GRPC_PREFIX_BYTES], size_t size, bool compressed,
                      struct error *error)
{
    if (size > UINT32_MAX) {
        return error_set(error, ERR_TOO_LARGE, "a reply of %zu bytes is larger than a gRPC message",
                         size);
    }
    prefix[0] = compressed ? 1 : 0;
    for (int i = 1; i < GRPC_PREFIX_BYTES; i++) {
        prefix[i] = (char)(unsigned char)(size >> (8 * (GRPC_PREFIX_BYTES - 1 - i)));
    }
    return ERR_OK;
}
