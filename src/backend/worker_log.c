#include "backend/worker_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/sys.h"
#include "base/utf8.h"

#define READ_BYTES ((size_t)4096)

void worker_log_init(struct worker_log *log, pid_t pid, const struct backend_observer *observer)
{
    *log = (struct worker_log){.pid = pid, .observer = observer};
}

static void tell(const struct worker_log *log, enum log_level level, const char *text)
{
    if (log->observer != NULL && log->observer->line != NULL) {
        log->observer->line(log->observer->user, level, text);
    }
}

void worker_log_tick(struct worker_log *log, uint64_t now_ns)
{
    if (now_ns < log->window_ns) {
        return;
    }
    if (log->left_out > 0) {
        char text[96];
        snprintf(text, sizeof(text), "worker %d: %" PRIu64 " lines left out", (int)log->pid,
                 log->left_out);
        tell(log, LOG_WARNING, text);
    }
    log->left_out = 0;
    log->lines = 0;
}

uint64_t worker_log_due_ns(const struct worker_log *log)
{
    return log->left_out > 0 ? log->window_ns : 0;
}

/* In place: bytes that are no UTF-8 and control characters become question marks. */
static void clean(char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        struct utf8_step step = utf8_step(slice_make(text + at, len - at));
        if (!step.valid) {
            memset(text + at, '?', step.bytes);
        } else if ((unsigned char)text[at] < 0x20 || text[at] == 0x7f) {
            text[at] = text[at] == '\t' ? ' ' : '?';
        }
        at += step.bytes;
    }
}

static void end_line(struct worker_log *log, uint64_t now_ns)
{
    size_t len = log->len;
    log->len = 0;
    if (len == 0) {
        return;
    }
    worker_log_tick(log, now_ns);
    if (log->lines == 0) {
        log->window_ns = now_ns + CLOCK_NS_PER_S;
    }
    if (log->lines == WORKER_LINES_PER_S) {
        log->left_out++;
        return;
    }
    log->lines++;
    clean(log->line, len);
    char text[WORKER_LINE_MAX + 32];
    snprintf(text, sizeof(text), "worker %d: %.*s", (int)log->pid, (int)len, log->line);
    tell(log, LOG_INFO, text);
}

void worker_log_put(struct worker_log *log, struct slice bytes, uint64_t now_ns)
{
    for (size_t i = 0; i < bytes.len; i++) {
        /* A progress bar ends its lines with a carriage return alone. */
        if (bytes.ptr[i] == '\n' || bytes.ptr[i] == '\r') {
            end_line(log, now_ns);
        } else if (log->len < sizeof(log->line)) {
            log->line[log->len++] = bytes.ptr[i];
        }
    }
}

bool worker_log_read(struct worker_log *log, int fd, size_t max_bytes, uint64_t now_ns)
{
    char bytes[READ_BYTES];
    for (size_t total = 0; total < max_bytes;) {
        ssize_t got = sys_read(fd, bytes, sizeof(bytes));
        if (got <= 0) {
            return got < 0 && errno == EAGAIN;
        }
        total += (size_t)got;
        worker_log_put(log, slice_make(bytes, (size_t)got), now_ns);
    }
    return true;
}

void worker_log_end(struct worker_log *log, uint64_t now_ns)
{
    end_line(log, now_ns);
    worker_log_tick(log, log->window_ns);
}
