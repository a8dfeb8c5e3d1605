#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 4096

static enum log_level least_level = LOG_INFO;
static enum log_format line_format = LOG_TEXT;

static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

void log_init(enum log_level least, enum log_format format)
{
    least_level = least;
    line_format = format;
}

int log_parse_level(struct slice name, enum log_level *ret_level)
{
    static const struct {
        struct slice name;
        enum log_level level;
    } names[] = {
        {{"DEBUG", 5}, LOG_DEBUG},  {{"INFO", 4}, LOG_INFO},   {{"WARNING", 7}, LOG_WARNING},
        {{"WARN", 4}, LOG_WARNING}, {{"ERROR", 5}, LOG_ERROR}, {{"CRITICAL", 8}, LOG_ERROR},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_eq_nocase(name, names[i].name)) {
            *ret_level = names[i].level;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

/* Appends the text, control characters escaped (and, for JSON, quotes and backslashes). */
static size_t put_escaped(char *line, size_t len, const char *text)
{
    for (; *text != '\0' && len + 8 < LINE_MAX_BYTES; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            len += (size_t)snprintf(line + len, LINE_MAX_BYTES - len, "\\u%04x", c);
        } else if (line_format == LOG_JSON && (c == '"' || c == '\\')) {
            line[len++] = '\\';
            line[len++] = (char)c;
        } else {
            line[len++] = (char)c;
        }
    }
    return len;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level < least_level) {
        return;
    }
    char text[LINE_MAX_BYTES / 2];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0) {
        text[0] = '\0';
    }
    va_end(args);

    uint64_t now_ns = clock_realtime_ns();
    time_t seconds = (time_t)(now_ns / CLOCK_NS_PER_S);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char stamp[32];
    size_t stamp_len = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    unsigned ms = (unsigned)(now_ns / CLOCK_NS_PER_MS % 1000);

    char line[LINE_MAX_BYTES];
    size_t len;
    if (line_format == LOG_JSON) {
        len = (size_t)snprintf(line, sizeof(line),
                               "{\"time\":\"%.*s.%03uZ\",\"level\":\"%s\",\"message\":\"",
                               (int)stamp_len, stamp, ms, level_names[level]);
    } else {
        len = (size_t)snprintf(line, sizeof(line), "%.*s.%03uZ %s ", (int)stamp_len, stamp, ms,
                               level_names[level]);
    }
    len = put_escaped(line, len, text);
    const char *end = line_format == LOG_JSON ? "\"}\n" : "\n";
    for (; *end != '\0'; end++) {
        line[len++] = *end;
    }
    /* A log that cannot be written must not stop the service. */
    if (write(STDERR_FILENO, line, len) < 0) {
        return;
    }
}
