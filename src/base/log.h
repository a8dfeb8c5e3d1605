/*
 * Log lines to standard error, one an event, text for people or JSON for machines. Only serve/ and
 * main log; everything below returns errors. Any thread; a line is one write(2).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* Before the first thread starts. */
void log_init(enum log_level least, enum log_format format);
/* 0 and *ret_level for DEBUG INFO WARNING|WARN ERROR (any case; CRITICAL counts as ERROR). */
int log_parse_level(struct slice name, enum log_level *ret_level);

/* Control characters in the text arrive escaped; a line is cut at 4 KiB. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
