/*
 * The strict half of the HTTP/1.1 engine: pure checks that stand before and behind llhttp, so that
 * no two readers of one request can disagree on where it ends. Not a parser of streams: it sees
 * whole lines only.
 */
#include "http/h1_guard.h"

#include <stddef.h>
#include <string.h>

#include "http/h1.h"

/* A set of ASCII characters: bit n of `low` stands for n, of `high` for 64 + n. */
struct characters {
    uint64_t low, high;
};

/* Letters, digits and, of each set, what its name says. */
static const struct characters token = /* !#$%&'*+-.^_`|~ (RFC 9110 section 5.6.2) */
    {UINT64_C(0x03ff6cfa00000000), UINT64_C(0x57ffffffc7fffffe)};
static const struct characters ip_literal = /* :.-_~!$&'()*+,;= */
    {UINT64_C(0x2fff7fd200000000), UINT64_C(0x47fffffe87fffffe)};
static const struct characters reg_name = /* -._~!$&'()*+,;= (RFC 3986 section 3.2.2) */
    {UINT64_C(0x2bff7fd200000000), UINT64_C(0x47fffffe87fffffe)};

static bool is_in(const struct characters *set, char byte)
{
    unsigned code = (unsigned char)byte;
    return code < 128 && ((code < 64 ? set->low >> code : set->high >> (code - 64)) & 1) != 0;
}

static bool are_in(const struct characters *set, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_in(set, text.ptr[i])) {
            return false;
        }
    }
    return text.len > 0;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_hex(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

bool h1_guard_line_end(struct slice line)
{
    return line.len >= 2 && slice_find(line, '\r') == line.len - 2 &&
           line.ptr[line.len - 1] == '\n';
}

bool h1_guard_is_token(struct slice text)
{
    return are_in(&token, text);
}

/* IP-literal without its brackets (RFC 3986 section 3.2.2), by its characters. */
static bool is_ip_literal(struct slice text)
{
    return are_in(&ip_literal, text);
}

/* reg-name or IPv4 address. */
static bool is_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        if (byte == '%') {
            if (text.len - i < 3 || !is_hex(text.ptr[i + 1]) || !is_hex(text.ptr[i + 2])) {
                return false;
            }
            i += 2;
        } else if (!is_in(&reg_name, byte)) {
            return false;
        }
    }
    return text.len > 0;
}

static bool is_all_digits(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool h1_guard_is_host(struct slice host)
{
    bool literal = host.len > 0 && host.ptr[0] == '[';
    size_t end = literal ? slice_find(host, ']') : slice_find(host, ':');
    struct slice name = slice_head(host, end);
    if (literal) {
        if (end == host.len || !is_ip_literal(slice_tail(name, 1))) {
            return false;
        }
        end++;
    } else if (!is_name(name)) {
        return false;
    }
    struct slice port = slice_tail(host, end);
    return port.len == 0 || (port.ptr[0] == ':' && is_all_digits(slice_tail(port, 1)));
}

/*
 * Wider than RFC 3986: `"<>\^`{|}` pass, as they do in every common server, because clients send
 * them and no reader splits a request there. '#' does not: a fragment has no place in a target.
 */
static bool is_target_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '#') {
            return false;
        }
    }
    return text.len > 0;
}

static void split_query(struct slice target, struct h1_request_line *parts)
{
    struct slice rest = target;
    parts->path = slice_cut(&rest, '?');
    parts->query = rest;
}

/* absolute-form (RFC 9112 section 3.2.2): the authority is judged as a Host and dropped. */
static int split_absolute(struct slice target, struct h1_request_line *parts, struct error *error)
{
    struct slice scheme = slice_head(target, slice_find(target, ':'));
    struct slice rest = slice_tail(target, scheme.len);
    if (!slice_starts_with(rest, SLICE("://")) ||
        !(slice_eq_nocase(scheme, SLICE("http")) || slice_eq_nocase(scheme, SLICE("https")))) {
        error_set(error, ERR_INVALID, "the target is neither a path nor an http or https URI");
        return 400;
    }
    rest = slice_tail(rest, 3);
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?') {
        end++;
    }
    if (!h1_guard_is_host(slice_head(rest, end))) {
        error_set(error, ERR_INVALID, "the target's host is invalid");
        return 400;
    }
    split_query(slice_tail(rest, end), parts);
    if (parts->path.len == 0) {
        parts->path = SLICE("/");
    }
    return 0;
}

/* The four forms of RFC 9112 section 3.2, without authority-form: that is CONNECT's alone. */
int h1_guard_target(struct h1_request_line *parts, struct error *error)
{
    struct slice target = parts->target;
    if (target.len > H1_MAX_TARGET_BYTES) {
        error_set(error, ERR_INVALID, "the target is longer than %d bytes", H1_MAX_TARGET_BYTES);
        return 414;
    }
    if (!is_target_text(target)) {
        error_set(error, ERR_INVALID, "the target is empty or holds a character it must not");
        return 400;
    }
    if (target.ptr[0] == '/') {
        split_query(target, parts);
        return 0;
    }
    if (slice_eq(target, SLICE("*")) && slice_eq(parts->method, SLICE("OPTIONS"))) {
        split_query(target, parts);
        return 0;
    }
    return split_absolute(target, parts, error);
}

static int read_version(struct slice text, unsigned *ret_minor, struct error *error)
{
    if (text.len != 8 || !slice_starts_with(text, SLICE("HTTP/")) || !is_digit(text.ptr[5]) ||
        text.ptr[6] != '.' || !is_digit(text.ptr[7])) {
        error_set(error, ERR_INVALID, "it does not end in an HTTP version");
        return 400;
    }
    if (text.ptr[5] != '1' || text.ptr[7] > '1') {
        error_set(error, ERR_INVALID, "HTTP/%c.%c is not supported here, HTTP/1.1 is", text.ptr[5],
                  text.ptr[7]);
        return 505;
    }
    *ret_minor = (unsigned)(text.ptr[7] - '0');
    return 0;
}

int h1_guard_request_line(struct slice line, struct h1_request_line *ret_parts, struct error *error)
{
    struct slice rest = slice_head(line, line.len - 2);
    struct h1_request_line parts = {.method = slice_cut(&rest, ' ')};
    if (!h1_guard_is_token(parts.method)) {
        error_set(error, ERR_INVALID, "the method is not a token");
        return 400;
    }
    parts.target = slice_cut(&rest, ' ');
    if (rest.ptr == NULL) {
        error_set(error, ERR_INVALID, "it has no HTTP version");
        return 400;
    }
    int status = read_version(rest, &parts.minor, error);
    if (status == 0 && slice_eq(parts.method, SLICE("CONNECT"))) {
        error_set(error, ERR_INVALID, "CONNECT is not supported, this is no proxy");
        status = 501;
    }
    if (status == 0) {
        status = h1_guard_target(&parts, error);
    }
    if (status == 0) {
        *ret_parts = parts;
    }
    return status;
}

int h1_guard_long_request_line(struct slice start, struct error *error)
{
    if (!h1_guard_is_token(slice_head(start, slice_find(start, ' ')))) {
        error_set(error, ERR_INVALID, "the method is not a token");
        return 400;
    }
    error_set(error, ERR_INVALID, "the target is longer than %d bytes", H1_MAX_TARGET_BYTES);
    return 414;
}

static int take_host(struct h1_facts *facts, struct slice value, struct error *error)
{
    if (facts->has_host) {
        error_set(error, ERR_INVALID, "there is more than one Host field");
        return 400;
    }
    if (!h1_guard_is_host(value)) {
        error_set(error, ERR_INVALID, "Host is not a host with an optional port");
        return 400;
    }
    facts->has_host = true;
    return 0;
}

/*
 * RFC 9112 section 6.3 allows a list of identical lengths to be taken as one. It is refused, as are
 * repeated fields: no sound client sends one, and a proxy that counts otherwise is then no danger.
 */
static int take_length(struct h1_facts *facts, struct slice value, struct error *error)
{
    if (value.len == 0 || !is_all_digits(value)) {
        error_set(error, ERR_INVALID, "Content-Length is not a decimal number");
        return 400;
    }
    if (facts->has_length || facts->chunked) {
        error_set(error, ERR_INVALID, "Content-Length %s",
                  facts->has_length ? "is repeated" : "stands beside Transfer-Encoding");
        return 400;
    }
    facts->has_length = true;
    return 0;
}

/*
 * RFC 9112 sections 6.1 and 6.3: only "chunked", once. Where chunked stands in a list that it does
 * not end as the only one, the length of the message is in doubt (400); other codings we do not
 * know (501).
 */
static int refuse_codings(struct slice value, struct error *error)
{
    struct slice rest = value;
    bool in_doubt = false;
    bool after_chunked = false;
    while (rest.ptr != NULL) {
        struct slice coding = slice_trim(slice_cut(&rest, ','));
        in_doubt = in_doubt || coding.len == 0 || after_chunked;
        after_chunked = after_chunked || slice_eq_nocase(coding, SLICE("chunked"));
    }
    if (in_doubt) {
        error_set(error, ERR_INVALID, "Transfer-Encoding does not end in one chunked coding");
        return 400;
    }
    error_set(error, ERR_INVALID, "Transfer-Encoding is other than chunked, which alone is known");
    return 501;
}

static int take_transfer_encoding(struct h1_facts *facts, struct slice value, struct error *error)
{
    const char *wrong = facts->minor == 0   ? "stands in an HTTP/1.0 request"
                        : facts->has_length ? "stands beside Content-Length"
                        : facts->chunked    ? "is repeated"
                                            : NULL;
    if (wrong != NULL) {
        error_set(error, ERR_INVALID, "Transfer-Encoding %s", wrong);
        return 400;
    }
    if (!slice_eq_nocase(value, SLICE("chunked"))) {
        return refuse_codings(value, error);
    }
    facts->chunked = true;
    return 0;
}

/* RFC 9110 section 10.1.1: HTTP/1.0 clients cannot wait for 100, so theirs is ignored. */
static int take_expect(struct h1_facts *facts, struct slice value, struct error *error)
{
    if (!slice_eq_nocase(value, SLICE("100-continue"))) {
        error_set(error, ERR_INVALID, "Expect is other than 100-continue");
        return 417;
    }
    facts->expects_continue = facts->minor >= 1;
    return 0;
}

static void take_connection(struct h1_facts *facts, struct slice value)
{
    struct slice rest = value;
    while (rest.ptr != NULL) {
        struct slice option = slice_trim(slice_cut(&rest, ','));
        facts->wants_close = facts->wants_close || slice_eq_nocase(option, SLICE("close"));
        facts->wants_keep_alive =
            facts->wants_keep_alive || slice_eq_nocase(option, SLICE("keep-alive"));
    }
}

int h1_guard_field(struct h1_facts *facts, const struct http_field *field, struct error *error)
{
    struct slice name = field->name;
    struct slice value = field->value;
    switch (name.len) { /* most fields are none of these: no comparison for them */
    case sizeof("Host") - 1:
        return slice_eq_nocase(name, SLICE("Host")) ? take_host(facts, value, error) : 0;
    case sizeof("Expect") - 1:
        return slice_eq_nocase(name, SLICE("Expect")) ? take_expect(facts, value, error) : 0;
    case sizeof("Connection") - 1:
        if (slice_eq_nocase(name, SLICE("Connection"))) {
            take_connection(facts, value);
        }
        return 0;
    case sizeof("Content-Length") - 1:
        return slice_eq_nocase(name, SLICE("Content-Length")) ? take_length(facts, value, error)
                                                              : 0;
    case sizeof("Transfer-Encoding") - 1:
        return slice_eq_nocase(name, SLICE("Transfer-Encoding"))
                   ? take_transfer_encoding(facts, value, error)
                   : 0;
    default:
        return 0;
    }
}

int h1_guard_head(const struct h1_facts *facts, struct error *error)
{
    if (facts->minor >= 1 && !facts->has_host) {
        error_set(error, ERR_INVALID, "Host is missing");
        return 400;
    }
    return 0;
}

size_t h1_guard_chunk_excess(struct slice line)
{
    size_t digits = 0;
    while (digits < H1_CHUNK_SIZE_DIGITS && is_hex(line.ptr[digits])) {
        digits++;
    }
    return line.len - 2 - digits;
}

bool h1_guard_persists(const struct h1_facts *facts)
{
    return !facts->wants_close && (facts->minor >= 1 || facts->wants_keep_alive);
}
