/*
 * What a worker writes to its stdout and stderr, made into lines for the log: cut, cleaned of control
 * characters and, where there are too many, left out and counted. One thread.
 */
#ifndef BACKEND_WORKER_LOG_H
#define BACKEND_WORKER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/backend.h"
#include "base/slice.h"

#define WORKER_LINE_MAX ((size_t)1024) /* bytes; the rest of a line is left out */
#define WORKER_LINES_PER_S 100

struct worker_log {
    pid_t pid;
    const struct backend_observer *observer; /* borrowed; NULL: nobody reads */
    uint64_t window_ns;                      /* end of the second that lines are counted in */
    unsigned lines;                          /* told in it */
    uint64_t left_out;                       /* not told in it */
    size_t len;
    char line[WORKER_LINE_MAX]; /* not ended yet */
};

void worker_log_init(struct worker_log *log, pid_t pid, const struct backend_observer *observer);
/* Tells the lines that end in these bytes. */
void worker_log_put(struct worker_log *log, struct slice bytes, uint64_t now_ns);
/* Reads what there is in the pipe, at most `max_bytes`. False: nobody writes to it any more. */
bool worker_log_read(struct worker_log *log, int fd, size_t max_bytes, uint64_t now_ns);
/* When worker_log_tick has lines left out to tell of; 0: it has none. */
uint64_t worker_log_due_ns(const struct worker_log *log);
void worker_log_tick(struct worker_log *log, uint64_t now_ns);
/* Tells what is left: a line that was not ended, and how many were left out. */
void worker_log_end(struct worker_log *log, uint64_t now_ns);

#endif
