/*
 * What a worker's process does between fork(2) and execve(2): it gives up what it does not need. The
 * process was forked from a threaded one, so only async-signal-safe calls are made here, nothing is
 * allocated and everything is prepared before the fork.
 */
#ifndef BACKEND_WORKER_EXEC_H
#define BACKEND_WORKER_EXEC_H

#include <stddef.h>
#include <sys/types.h>

#define WORKER_FDS 7 /* descriptors 0 to 6 of docs/worker-protocol.md */

struct worker_exec {
    const char *path;
    char *const *argv;
    char *const *environment;
    int fds[WORKER_FDS];   /* what each descriptor is made of; -1: it stays closed */
    int report;            /* close-on-exec: a worker_exec_failure comes here, or nothing */
    pid_t parent;          /* who starts it */
    const char *oom_score; /* for /proc/self/oom_score_adj */
};

enum worker_exec_step {
    WORKER_EXEC_GROUP,
    WORKER_EXEC_FDS,
    WORKER_EXEC_LIMITS,
    WORKER_EXEC_RIGHTS,
    WORKER_EXEC_PARENT,
    WORKER_EXEC_PROGRAM
};

struct worker_exec_failure {
    enum worker_exec_step step;
    int error_number;
};

/* All signals are blocked when it is called. */
_Noreturn void worker_exec(const struct worker_exec *exec);
/* What a step was to do, for people: "close descriptors". */
const char *worker_exec_step_name(enum worker_exec_step step);

#endif
