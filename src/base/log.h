/*
 * Log lines to standard error, one an event, text for people or JSON for machines. Only serve/ and
 * main log; everything below returns errors. Any thread.
 *
 * Nothing waits for a reader: a line that standard error does not take at once (a full pipe) is left
 * out and counted, and so are the lines of one place past LOG_SITE_LINES_PER_S; the next line that is
 * written says how many were. What comes from outside stands escaped and cut in a line, and bytes that
 * are no UTF-8 do not come through.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* Lines that one place in the code may write in a second. */
#define LOG_SITE_LINES_PER_S 10
/* A line with its end; what a pipe takes in one piece (PIPE_BUF). */
#define LOG_LINE_MAX_BYTES 4096

/* Before the first thread starts. Until then: INFO, text. */
void log_init(enum log_level least, enum log_format format);

/* Whose line it is. All borrowed, empty where there is none. */
struct log_context {
    struct slice request_id;
    struct slice trace_id, span_id; /* hexadecimal */
};

/* A member of an event's line. */
struct log_field {
    const char *name;
    struct slice text; /* ptr NULL: the number */
    double number;     /* finite */
};

/* How often a place has written. All zero; static. */
struct log_site {
    _Atomic uint64_t second;
    _Atomic unsigned lines; /* in that second, those left out too */
};

/* `site` NULL: not limited; `context` NULL: of no request. */
void log_write(enum log_level level, struct log_site *site, const struct log_context *context,
               const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A line of fields behind a fixed message. Not limited. */
void log_event(enum log_level level, const struct log_context *context, const char *message,
               const struct log_field *fields, size_t count);

#define log_at(level, context, ...)                                                                \
    do {                                                                                           \
        static struct log_site log_site_;                                                          \
        log_write((level), &log_site_, (context), __VA_ARGS__);                                    \
    } while (0)
#define log_debug(...) log_at(LOG_DEBUG, NULL, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, NULL, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, NULL, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, NULL, __VA_ARGS__)

/* Lines left out since the start. */
uint64_t log_lines_refused(void); /* by standard error */
uint64_t log_lines_limited(void); /* of places that wrote too often */

#endif
