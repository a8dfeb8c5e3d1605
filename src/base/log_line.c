#include "base/log_line.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/utf8.h"

/* Escaped: of a message, and of the value of a field. A message leaves room for a request's fields. */
#define MESSAGE_MAX_BYTES ((size_t)2400)
#define VALUE_MAX_BYTES ((size_t)640)
#define END_BYTES ((size_t)2)        /* "}\n" */
#define ESCAPE_MAX_BYTES ((size_t)8) /* "\u001b", and a NUL while it is printed */

static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

static size_t room(const struct log_line *line)
{
    return sizeof(line->bytes) - END_BYTES - line->len;
}

static void put(struct log_line *line, struct slice text)
{
    CHECK(text.len <= room(line));
    memcpy(line->bytes + line->len, text.ptr, text.len);
    line->len += text.len;
}

static void put_str(struct log_line *line, const char *text)
{
    put(line, slice_from_str(text));
}

/* C1 controls (U+0080 to U+009F) are commands to some terminals, like ESC. */
static bool is_control(struct slice character)
{
    unsigned char first = (unsigned char)character.ptr[0];
    return first < 0x20 || first == 0x7f ||
           (character.len == 2 && first == 0xc2 && (unsigned char)character.ptr[1] < 0xa0);
}

static unsigned code_of(struct slice control)
{
    return (unsigned char)control.ptr[control.len - 1];
}

/* Writes the character as it may stand in a line. */
static size_t escape(struct slice character, bool valid, bool quoted, char out[ESCAPE_MAX_BYTES])
{
    if (!valid) {
        struct slice replacement = UTF8_REPLACEMENT;
        memcpy(out, replacement.ptr, replacement.len);
        return replacement.len;
    }
    if (is_control(character)) {
        return (size_t)snprintf(out, ESCAPE_MAX_BYTES, "\\u%04x", code_of(character));
    }
    size_t len = 0;
    if (quoted && (character.ptr[0] == '"' || character.ptr[0] == '\\')) {
        out[len++] = '\\';
    }
    memcpy(out + len, character.ptr, character.len);
    return len + character.len;
}

/* At most `max` bytes, and whole characters only. */
static void put_escaped(struct log_line *line, struct slice text, bool quoted, size_t max)
{
    size_t end = line->len + (max < room(line) ? max : room(line));
    while (text.len > 0) {
        char out[ESCAPE_MAX_BYTES];
        struct utf8_step step = utf8_step(text);
        size_t len = escape(slice_head(text, step.bytes), step.valid, quoted, out);
        if (line->len + len > end) {
            return;
        }
        put(line, slice_make(out, len));
        text = slice_tail(text, step.bytes);
    }
}

static void put_time(struct log_line *line, uint64_t unix_ns)
{
    time_t seconds = (time_t)(unix_ns / CLOCK_NS_PER_S);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char text[32];
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    put(line, slice_make(text, len));
    snprintf(text, sizeof(text), ".%03uZ", (unsigned)(unix_ns / CLOCK_NS_PER_MS % 1000));
    put_str(line, text);
}

void log_line_begin(struct log_line *line, enum log_format format, enum log_level level,
                    uint64_t unix_ns, struct slice message)
{
    bool json = format == LOG_JSON;
    line->format = format;
    line->len = 0;
    put_str(line, json ? "{\"time\":\"" : "");
    put_time(line, unix_ns);
    put_str(line, json ? "\",\"level\":\"" : " ");
    put_str(line, level_names[level]);
    put_str(line, json ? "\",\"message\":\"" : " ");
    put_escaped(line, message, json, MESSAGE_MAX_BYTES);
    put_str(line, json ? "\"" : "");
}

/* What stands around a name and a value, at most. */
#define AROUND_BYTES 6

static bool begin_field(struct log_line *line, const char *name, size_t least)
{
    if (room(line) < strlen(name) + AROUND_BYTES + least) {
        return false;
    }
    bool json = line->format == LOG_JSON;
    put_str(line, json ? ",\"" : " ");
    put_str(line, name);
    put_str(line, json ? "\":" : "=");
    return true;
}

/* Whether a text for people needs no quotes. */
static bool is_plain(struct slice text)
{
    bool plain = text.len > 0;
    for (size_t i = 0; plain && i < text.len; i++) {
        plain = text.ptr[i] > 0x20 && text.ptr[i] < 0x7f && text.ptr[i] != '"' &&
                text.ptr[i] != '\\' && text.ptr[i] != '=';
    }
    return plain;
}

void log_line_put_text(struct log_line *line, const char *name, struct slice text)
{
    if (!begin_field(line, name, ESCAPE_MAX_BYTES)) {
        return;
    }
    bool quoted = line->format == LOG_JSON || !is_plain(text);
    size_t most = room(line) - 1; /* the quote that closes */
    put_str(line, quoted ? "\"" : "");
    put_escaped(line, text, quoted, most - 1 < VALUE_MAX_BYTES ? most - 1 : VALUE_MAX_BYTES);
    put_str(line, quoted ? "\"" : "");
}

void log_line_put_number(struct log_line *line, const char *name, double number)
{
    char text[NUM_TEXT_MAX];
    bool whole = number >= 0 && number < 1e15 && (double)(uint64_t)number == number;
    size_t len = whole ? num_print_u64((uint64_t)number, text) : num_print_f64(number, text);
    if (begin_field(line, name, len)) {
        put(line, slice_make(text, len));
    }
}

void log_line_end(struct log_line *line)
{
    if (line->format == LOG_JSON) {
        line->bytes[line->len++] = '}';
    }
    line->bytes[line->len++] = '\n';
}
