/*
 * One worker process: started with the descriptors docs/worker-protocol.md lists and as little else as it
 * can do with (docs/threat-model.md), talked to, and ended.
 */
#ifndef BACKEND_WORKER_PROCESS_H
#define BACKEND_WORKER_PROCESS_H

#include <poll.h>
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
 * Starts a process. The calling thread must outlive it: its end is the process's (PR_SET_PDEATHSIG).
 * ERR_CONFIG when the program cannot be executed, ERR_NO_MEMORY, ERR_INTERNAL; nothing is left behind
 * then.
 */
MUST_CHECK int worker_process_start(const struct worker_command *command,
                                    struct worker_process *ret_process, struct error *error);
/* Kills it and its process group; it stays to be waited for. Any thread, before its end. */
void worker_process_kill(const struct worker_process *process);
/*
 * Waits for its end, kills it after `grace_ns`, and returns what waitpid(2) will say: it is still there
 * to be ended. -1: nobody knows. *ret_by_itself, which may be NULL: it was not killed here. Any thread, before its end.
 */
int worker_process_wait(const struct worker_process *process, uint64_t grace_ns,
                        bool *ret_by_itself);
/*
 * Kills it and its process group, waits for its end and closes everything. *ret_status, which may be
 * NULL, is what waitpid(2) says (-1: nobody knows). Of a zeroed process: nothing.
 */
void worker_process_end(struct worker_process *process, int *ret_status);

/* Sends one packet. ERR_INTERNAL when the process has gone or does not read. */
MUST_CHECK int worker_process_send(struct worker_process *process,
                                   const struct worker_packet *packet, struct error *error);

enum worker_answer {
    WORKER_ANSWERED, /* *ret_packet is set; its text lies in `bytes` */
    WORKER_SILENT,   /* the deadline has passed */
    WORKER_GONE,     /* it has ended, or closed its socket */
    WORKER_UNHEARD,  /* the same, and it had not read what was sent last */
    WORKER_BREACH    /* its packet breaks a rule, which *error tells */
};

/*
 * Waits for one packet until `deadline_ns` (CLOCK_MONOTONIC; 0: for ever; past: looks once). `bytes` has
 * room for WORKER_PACKET_MAX. *error is set for WORKER_BREACH alone.
 */
MUST_CHECK enum worker_answer worker_process_receive(struct worker_process *process,
                                                     uint64_t deadline_ns, char *bytes,
                                                     struct worker_packet *ret_packet,
                                                     struct error *error);

/* poll(2) until `deadline_ns` (CLOCK_MONOTONIC; 0: for ever), whatever signals come; -1 without memory. */
int worker_poll(struct pollfd *fds, nfds_t count, uint64_t deadline_ns);

/* Gives the pages of both areas back but for those of a new one, between two runs, for who has taken it. */
void worker_process_trim(struct worker_process *process);

/* "it was killed by signal 9 (Killed)", "it ended with exit code 3": for people. */
void worker_status_text(int status, char *text, size_t size);
/* Resident bytes of a process (/proc/<pid>/statm), areas included; 0 when it has gone. Any thread. */
uint64_t worker_process_rss(pid_t pid);

#endif
