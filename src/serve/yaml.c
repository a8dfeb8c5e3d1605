/*
 * YAML writing for the served OpenAPI document. It is no YAML library: it knows scalars in double
 * quotes and JSON taken over as flow nodes, which is all that text from outside may become.
 */
#include "serve/yaml.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/check.h"

#define REPLACEMENT_CHARACTER 0xfffdU

void yaml_put(struct yaml *yaml, const char *text)
{
    if (yaml->status == ERR_OK) {
        yaml->status = bytes_put(yaml->out, slice_from_str(text));
    }
}

static void put_slice(struct yaml *yaml, struct slice text)
{
    if (yaml->status == ERR_OK) {
        yaml->status = bytes_put(yaml->out, text);
    }
}

void yaml_printf(struct yaml *yaml, const char *format, ...)
{
    if (yaml->status != ERR_OK) {
        return;
    }
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int wanted = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *at = wanted < 0 ? NULL : bytes_reserve(yaml->out, (size_t)wanted + 1);
    if (at == NULL) {
        yaml->status = ERR_NO_MEMORY;
    } else {
        vsnprintf(at, (size_t)wanted + 1, format, again);
        bytes_commit(yaml->out, (size_t)wanted);
    }
    va_end(again);
}

/* Bytes of the UTF-8 sequence that starts with `lead`; 0 where none does (RFC 3629 section 4). */
static size_t sequence_bytes(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        return 2;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        return 3;
    }
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/* Takes one character off the front of *rest (not empty); a bad byte counts as U+FFFD. */
static uint32_t take_character(struct slice *rest)
{
    const unsigned char *at = (const unsigned char *)rest->ptr;
    size_t size = sequence_bytes(at[0]);
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = REPLACEMENT_CHARACTER;
    if (size == 1) {
        code = at[0];
    } else if (size > 1 && size <= rest->len) {
        code = at[0] & (0x7fU >> size);
        for (size_t i = 1; i < size; i++) {
            code = (at[i] & 0xc0) == 0x80 && code != UINT32_MAX ? code << 6 | (at[i] & 0x3f)
                                                                : UINT32_MAX;
        }
        bool bad = code > 0x10ffff || code < least[size] || (code >= 0xd800 && code <= 0xdfff);
        code = bad ? REPLACEMENT_CHARACTER : code;
        size = bad ? 1 : size;
    } else {
        size = 1;
    }
    *rest = slice_tail(*rest, size);
    return code;
}

/* What YAML 1.2 section 5.1 does not let stand in a stream as it is, and line separators. */
static bool needs_escape(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
           code == 0xfeff || code == 0xfffe || code == 0xffff;
}

static void put_character(struct yaml *yaml, uint32_t code, struct slice original)
{
    if (code == '"' || code == '\\') {
        yaml_printf(yaml, "\\%c", (int)code);
    } else if (code == '\n') {
        yaml_put(yaml, "\\n");
    } else if (needs_escape(code)) {
        yaml_printf(yaml, "\\u%04x", code);
    } else if (code == REPLACEMENT_CHARACTER) {
        yaml_put(yaml, "\xef\xbf\xbd");
    } else {
        put_slice(yaml, original);
    }
}

void yaml_put_quoted(struct yaml *yaml, struct slice text)
{
    yaml_put(yaml, "\"");
    while (text.len > 0) {
        struct slice before = text;
        uint32_t code = take_character(&text);
        put_character(yaml, code, slice_head(before, before.len - text.len));
    }
    yaml_put(yaml, "\"");
}

/* CommonMark 0.31 section 2.4: any ASCII punctuation may be escaped by a backslash. */
static bool is_punctuation(uint32_t code)
{
    return (code > 0x20 && code < '0') || (code > '9' && code < 'A') ||
           (code > 'Z' && code < 'a' && code != '_') || (code > 'z' && code < 0x7f);
}

void yaml_put_markdown(struct yaml *yaml, struct slice text)
{
    while (text.len > 0) {
        struct slice before = text;
        uint32_t code = take_character(&text);
        struct slice original = slice_head(before, before.len - text.len);
        if (needs_escape(code)) {
            yaml_put(yaml, " ");
            continue;
        }
        if (is_punctuation(code)) {
            yaml_put(yaml, "\\\\"); /* one backslash once the quoted scalar is read */
        }
        put_character(yaml, code, original);
    }
}

/* A walk over JSON text: what may come next, and which brackets are open. */
struct json_walk {
    struct slice rest;
    unsigned depth;
    bool is_object[YAML_MAX_DEPTH];
    enum { WANT_VALUE, WANT_VALUE_OR_END, WANT_KEY, WANT_KEY_OR_END, WANT_COMMA_OR_END } want;
};

static bool is_json_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static void skip_space(struct slice *rest)
{
    while (rest->len > 0 && is_json_space(rest->ptr[0])) {
        *rest = slice_tail(*rest, 1);
    }
}

static bool is_hex(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

/* Bytes of the escape sequence at the front of `text` (which starts with a backslash); 0: none. */
static size_t escape_bytes(struct slice text)
{
    if (text.len >= 2 && text.ptr[1] != '\0' && strchr("\"\\/bfnrt", text.ptr[1]) != NULL) {
        return 2;
    }
    bool is_code = text.len >= 6 && text.ptr[1] == 'u' && is_hex(text.ptr[2]) &&
                   is_hex(text.ptr[3]) && is_hex(text.ptr[4]) && is_hex(text.ptr[5]);
    /* YAML has no surrogate pairs: half a character would arrive. */
    bool is_surrogate = is_code && (text.ptr[2] == 'd' || text.ptr[2] == 'D') && text.ptr[3] > '7';
    return is_code && !is_surrogate ? 6 : 0;
}

/* Bytes of the JSON string at the front of `text`, quotes included; 0 where there is none. */
static size_t string_bytes(struct slice text)
{
    if (text.len == 0 || text.ptr[0] != '"') {
        return 0;
    }
    struct slice rest = slice_tail(text, 1);
    while (rest.len > 0 && rest.ptr[0] != '"') {
        if (rest.ptr[0] == '\\') {
            size_t size = escape_bytes(rest);
            if (size == 0) {
                return 0;
            }
            rest = slice_tail(rest, size);
        } else {
            uint32_t code = take_character(&rest);
            if (needs_escape(code) || code == REPLACEMENT_CHARACTER) {
                return 0;
            }
        }
    }
    size_t size = text.len - rest.len + 1;
    return rest.len == 0 || size > YAML_MAX_KEY_BYTES ? 0 : size;
}

static size_t digits(struct slice text)
{
    size_t count = 0;
    while (count < text.len && text.ptr[count] >= '0' && text.ptr[count] <= '9') {
        count++;
    }
    return count;
}

/* Bytes of the number at the front of `text` (RFC 8259 section 6); 0 where there is none. */
static size_t number_bytes(struct slice text)
{
    struct slice rest = text;
    if (rest.len > 0 && rest.ptr[0] == '-') {
        rest = slice_tail(rest, 1);
    }
    size_t whole = digits(rest);
    if (whole == 0 || (whole > 1 && rest.ptr[0] == '0')) {
        return 0;
    }
    rest = slice_tail(rest, whole);
    if (rest.len > 0 && rest.ptr[0] == '.') {
        size_t fraction = digits(slice_tail(rest, 1));
        if (fraction == 0) {
            return 0;
        }
        rest = slice_tail(rest, 1 + fraction);
    }
    if (rest.len > 0 && (rest.ptr[0] == 'e' || rest.ptr[0] == 'E')) {
        rest = slice_tail(rest, 1);
        if (rest.len > 0 && (rest.ptr[0] == '+' || rest.ptr[0] == '-')) {
            rest = slice_tail(rest, 1);
        }
        size_t exponent = digits(rest);
        if (exponent == 0) {
            return 0;
        }
        rest = slice_tail(rest, exponent);
    }
    return text.len - rest.len;
}

/* Bytes of a string, a number or a literal at the front of `text`; 0 where there is none. */
static size_t scalar_bytes(struct slice text)
{
    static const char *const literals[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
        if (slice_starts_with(text, slice_from_str(literals[i]))) {
            return strlen(literals[i]);
        }
    }
    size_t string = string_bytes(text);
    return string > 0 ? string : number_bytes(text);
}

static size_t step_value(struct json_walk *walk)
{
    char first = walk->rest.ptr[0];
    if (first == '[' || first == '{') {
        if (walk->depth == YAML_MAX_DEPTH) {
            return 0;
        }
        walk->is_object[walk->depth++] = first == '{';
        walk->want = first == '{' ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
        return 1;
    }
    walk->want = WANT_COMMA_OR_END;
    return scalar_bytes(walk->rest);
}

static size_t step_end(struct json_walk *walk)
{
    char closing = walk->depth > 0 && walk->is_object[walk->depth - 1] ? '}' : ']';
    if (walk->depth == 0 || walk->rest.ptr[0] != closing) {
        return 0;
    }
    walk->depth--;
    walk->want = WANT_COMMA_OR_END;
    return 1;
}

/* A key and its colon. */
static size_t step_key(struct json_walk *walk)
{
    size_t key = string_bytes(walk->rest);
    if (key == 0) {
        return 0;
    }
    struct slice rest = slice_tail(walk->rest, key);
    skip_space(&rest);
    if (rest.len == 0 || rest.ptr[0] != ':') {
        return 0;
    }
    walk->want = WANT_VALUE;
    return walk->rest.len - rest.len + 1;
}

/* The next token at the front of walk->rest (not empty, no space there): its bytes, 0 if wrong. */
static size_t step(struct json_walk *walk)
{
    bool ends = walk->rest.ptr[0] == ']' || walk->rest.ptr[0] == '}';
    switch (walk->want) {
    case WANT_VALUE:
        return step_value(walk);
    case WANT_VALUE_OR_END:
        return ends ? step_end(walk) : step_value(walk);
    case WANT_KEY:
        return step_key(walk);
    case WANT_KEY_OR_END:
        return ends ? step_end(walk) : step_key(walk);
    case WANT_COMMA_OR_END:
        break;
    }
    if (ends) {
        return step_end(walk);
    }
    if (walk->depth == 0 || walk->rest.ptr[0] != ',') {
        return 0;
    }
    walk->want = walk->is_object[walk->depth - 1] ? WANT_KEY : WANT_VALUE;
    return 1;
}

/* Takes one token off; an empty slice at the end or where the text is wrong. */
static struct slice take_token(struct json_walk *walk)
{
    skip_space(&walk->rest);
    size_t size = walk->rest.len == 0 ? 0 : step(walk);
    struct slice token = slice_head(walk->rest, size);
    walk->rest = slice_tail(walk->rest, size);
    return token;
}

bool yaml_accepts_json(struct slice json)
{
    struct json_walk walk = {.rest = json, .want = WANT_VALUE};
    while (take_token(&walk).len > 0) {}
    return walk.rest.len == 0 && walk.depth == 0 && walk.want == WANT_COMMA_OR_END;
}

void yaml_put_json(struct yaml *yaml, struct slice json)
{
    struct json_walk walk = {.rest = json, .want = WANT_VALUE};
    struct slice token = take_token(&walk);
    while (token.len > 0) {
        if (token.len > 1 && token.ptr[token.len - 1] == ':') {
            struct slice key = slice_head(token, string_bytes(token));
            put_slice(yaml, key);
            yaml_put(yaml, ": ");
        } else {
            put_slice(yaml, token);
            yaml_put(yaml, token.ptr[0] == ',' ? " " : "");
        }
        token = take_token(&walk);
    }
    CHECK(walk.rest.len == 0 && walk.depth == 0);
}
