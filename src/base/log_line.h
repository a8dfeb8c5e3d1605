/*
 * The making of a log line, text or JSON, apart from where it goes. Every line ends, and every JSON
 * line is valid, whatever bytes are put in: what does not fit is left out. One owner.
 */
#ifndef BASE_LOG_LINE_H
#define BASE_LOG_LINE_H

#include <stdint.h>

#include "base/log.h"

struct log_line {
    enum log_format format;
    size_t len;
    char bytes[LOG_LINE_MAX_BYTES];
};

/* Time (RFC 3339, UTC, milliseconds), level and message. */
void log_line_begin(struct log_line *line, enum log_format format, enum log_level level,
                    uint64_t unix_ns, struct slice message);
/* Left out where it does not fit; a text that is long is cut. */
void log_line_put_text(struct log_line *line, const char *name, struct slice text);
void log_line_put_number(struct log_line *line, const char *name, double number);
void log_line_end(struct log_line *line);

#endif
