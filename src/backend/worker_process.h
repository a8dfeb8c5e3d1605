/*
 * One worker process: started with the descriptors docs/worker-protocol.md lists and as little else as it
 * can do with (docs/threat-model.md), talked to, and ended.
 */
#ifndef BACKEND_WORKER_PROCESS_H
#define BACKEND_WORKER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/worker_area.h"
#include "backend/worker_wire.h"
#include "base/error.h"

struct worker_process {
    pid_t pid;  /* leader of its own process group; 0: none */
    int pidfd;  /* readable when it has ended */
    int socket; /* packets; non-blocking, close-on-exec, like all of these */
    int log;    /* its stdout and stderr, to be read here */
    struct worker_area input, output;
};

struct worker_command {
    char *const *argv; /* argv[0] is looked for in PATH where it has no slash; NULL at the end */
    char *const *environment; /* whole: nothing is inherited; NULL at the end */
    int program_fd;           /* becomes descriptor 6; -1: none */
};

/*
 * The environment a worker gets of ours: only names that are needed (docs/threat-model.md) and those of
 * `more` ("A,B"), then OMP_NUM_THREADS and its like from `threads` where we have none. In the arena; NULL without memory.
 */
char *const *worker_environment(char *const *ours, struct slice more, unsigned threads,
                                struct arena *arena);

/*
 * Starts a process. The calling thread must outlive it: its end is the process's (PR_SET_PDEATHSIG).
 * ERR_CONFIG when the program cannot be executed, ERR_INTERNAL; nothing is left behind then.
 */
MUST_CHECK int worker_process_start(const struct worker_command *command,
                                    struct worker_process *ret_process, struct error *error);
/*
 * Kills it and its process group, waits for its end and closes everything. *ret_status, which may be NULL, is
 * what waitpid(2) says. Of a zeroed process: nothing.
 */
void worker_process_end(struct worker_process *process, int *ret_status);

/* Sends one packet. ERR_INTERNAL when the process has gone. */
MUST_CHECK int worker_process_send(struct worker_process *process,
                                   const struct worker_packet *packet, struct error *error);
/*
 * Waits for one packet until `deadline_ns` (CLOCK_MONOTONIC; 0: for ever); its text lies in `bytes`, which has
 * room for WORKER_PACKET_MAX. ERR_TIMEOUT; ERR_INTERNAL when the process has gone or broke a rule.
 */
MUST_CHECK int worker_process_receive(struct worker_process *process, uint64_t deadline_ns,
                                      char *bytes, struct worker_packet *ret_packet,
                                      struct error *error);
/* "it was killed by signal 9 (Killed)", "it ended with exit code 3": for people. */
void worker_status_text(int status, char *text, size_t size);
/* Resident bytes of the process (/proc/<pid>/statm); 0 when it has gone. */
uint64_t worker_process_rss(const struct worker_process *process);

#endif
