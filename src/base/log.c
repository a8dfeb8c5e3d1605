/*
 * Where lines go. standard error is shared with whoever started the program, so it stays as blocking as
 * it came: a line is written only when poll(2) says that it will be taken, and one thread at a time
 * asks and writes. (A pipe with room for one byte by poll's word has room for PIPE_BUF; a socket is
 * written without waiting.)
 */
#include "base/log.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_line.h"

_Static_assert(LOG_LINE_MAX_BYTES <= PIPE_BUF, "a pipe takes a line whole or not at all");

static enum log_level least_level = LOG_INFO;
static enum log_format line_format = LOG_TEXT;
static bool output_is_socket;

static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER; /* nobody waits while holding it */
static uint64_t refused_in_a_row;                               /* guarded by it */
static _Atomic uint64_t refused_lines;
static _Atomic uint64_t limited_lines;

void log_init(enum log_level least, enum log_format format)
{
    least_level = least;
    line_format = format;
    struct stat status;
    output_is_socket = fstat(STDERR_FILENO, &status) == 0 && S_ISSOCK(status.st_mode);
}

uint64_t log_lines_refused(void)
{
    return atomic_load_explicit(&refused_lines, memory_order_relaxed);
}

uint64_t log_lines_limited(void)
{
    return atomic_load_explicit(&limited_lines, memory_order_relaxed);
}

/* ---- output ---- */

/* False where it would have to wait, or cannot be written at all. */
static bool write_now(const struct log_line *line)
{
    if (output_is_socket) {
        return send(STDERR_FILENO, line->bytes, line->len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
    }
    struct pollfd output = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&output, 1, 0) == 1 && (output.revents & POLLOUT) != 0 &&
           write(STDERR_FILENO, line->bytes, line->len) >= 0;
}

static void begin_now(struct log_line *line, enum log_level level, struct slice message)
{
    log_line_begin(line, line_format, level, clock_realtime_ns(), message);
}

/* Says first what could not be said before. With the lock. */
static bool make_up_for_refused(void)
{
    if (refused_in_a_row == 0) {
        return true;
    }
    char text[96];
    int len = snprintf(text, sizeof(text), "%llu lines were left out: standard error took no more",
                       (unsigned long long)refused_in_a_row);
    struct log_line line;
    begin_now(&line, LOG_WARNING, slice_make(text, (size_t)len));
    log_line_end(&line);
    if (!write_now(&line)) {
        return false;
    }
    refused_in_a_row = 0;
    return true;
}

static void output(const struct log_line *line)
{
    pthread_mutex_lock(&output_lock);
    if (!make_up_for_refused() || !write_now(line)) {
        refused_in_a_row++;
        atomic_fetch_add_explicit(&refused_lines, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&output_lock);
}

static void put_context(struct log_line *line, const struct log_context *context)
{
    if (context != NULL && context->request_id.len > 0) {
        log_line_put_text(line, "request_id", context->request_id);
    }
    if (context != NULL && context->trace_id.len > 0) {
        log_line_put_text(line, "trace_id", context->trace_id);
        log_line_put_text(line, "span_id", context->span_id);
    }
}

/* ---- limits ---- */

/*
 * Whether the place may write now; *ret_left_out: how many of its lines of an earlier second were left
 * out. Threads that meet at the turn of a second may write a line more.
 */
static bool admit(struct log_site *site, uint64_t second, unsigned *ret_left_out)
{
    *ret_left_out = 0;
    uint64_t known = atomic_load_explicit(&site->second, memory_order_relaxed);
    if (known != second && atomic_compare_exchange_strong(&site->second, &known, second)) {
        unsigned lines = atomic_exchange(&site->lines, 1);
        *ret_left_out = lines > LOG_SITE_LINES_PER_S ? lines - LOG_SITE_LINES_PER_S : 0;
        return true;
    }
    if (atomic_fetch_add(&site->lines, 1) < LOG_SITE_LINES_PER_S) {
        return true;
    }
    atomic_fetch_add_explicit(&limited_lines, 1, memory_order_relaxed);
    return false;
}

static void say_left_out(enum log_level level, unsigned count, struct slice like)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "%u lines were left out like this: %.*s", count,
                       SLICE_FMT(slice_head(like, 128)));
    struct log_line line;
    begin_now(&line, level, slice_make(text, (size_t)len));
    log_line_end(&line);
    output(&line);
}

/* ---- lines ---- */

void log_write(enum log_level level, struct log_site *site, const struct log_context *context,
               const char *format, ...)
{
    unsigned left_out = 0;
    if (level < least_level ||
        (site != NULL && !admit(site, clock_monotonic_ns() / CLOCK_NS_PER_S, &left_out))) {
        return;
    }
    char text[LOG_LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int printed = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct slice message = slice_from_str(printed < 0 ? "" : text);
    if (left_out > 0) {
        say_left_out(level, left_out, message);
    }
    struct log_line line;
    begin_now(&line, level, message);
    put_context(&line, context);
    log_line_end(&line);
    output(&line);
}

void log_event(enum log_level level, const struct log_context *context, const char *message,
               const struct log_field *fields, size_t count)
{
    if (level < least_level) {
        return;
    }
    struct log_line line;
    begin_now(&line, level, slice_from_str(message));
    for (size_t i = 0; i < count; i++) {
        if (fields[i].text.ptr != NULL) {
            log_line_put_text(&line, fields[i].name, fields[i].text);
        } else {
            log_line_put_number(&line, fields[i].name, fields[i].number);
        }
    }
    put_context(&line, context);
    log_line_end(&line);
    output(&line);
}
