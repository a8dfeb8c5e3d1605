#include "backend/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/worker_exec.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/sys.h"

#define AREA_BYTES ((size_t)64 * 1024) /* of a new area; both grow */
#define OOM_SCORE_ABOVE 500            /* a worker's oom_score_adj above ours */
#define OOM_SCORE_MAX 1000

/* The child's ends of everything, which are closed here once it runs. */
struct child_ends {
    int null;
    int socket;
    int log;
    int report; /* the end it writes */
    int read;   /* ours */
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        sys_close(*fd);
        *fd = -1;
    }
}

/* ---- what is prepared before the fork ---- */

static bool is_program(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
}

/* Where the worker's own PATH has the program. An empty piece is not taken for the current folder. */
static int find_program(const struct worker_command *command, char path[PATH_MAX],
                        struct error *error)
{
    const char *name = command->argv[0];
    if (strchr(name, '/') != NULL) {
        if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX) {
            return error_set(error, ERR_CONFIG, "%s: the path is too long", name);
        }
        return ERR_OK;
    }
    struct slice folders = {NULL, 0};
    for (char *const *each = command->environment; *each != NULL; each++) {
        if (strncmp(*each, "PATH=", 5) == 0) {
            folders = slice_from_str(*each + 5);
        }
    }
    while (folders.ptr != NULL) {
        struct slice folder = slice_cut(&folders, ':');
        if (folder.len > 0 && folder.len < PATH_MAX &&
            snprintf(path, PATH_MAX, "%.*s/%s", SLICE_FMT(folder), name) < PATH_MAX &&
            is_program(path)) {
            return ERR_OK;
        }
    }
    return error_set(error, ERR_CONFIG, "%s: no such program in PATH", name);
}

static void put_oom_score(char *text, size_t size)
{
    char ours[16] = "";
    uint64_t score = 0; /* a negative one of ours counts as none */
    int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got = sys_read(fd, ours, sizeof(ours));
        size_t len = got > 0 ? (size_t)got : 0;
        (void)num_parse_u64(slice_head(slice_make(ours, len), len == 0 ? 0 : len - 1), &score);
        sys_close(fd);
    }
    score = score > OOM_SCORE_MAX - OOM_SCORE_ABOVE ? OOM_SCORE_MAX : score + OOM_SCORE_ABOVE;
    snprintf(text, size, "%u", (unsigned)score);
}

static int open_ends(struct worker_process *process, struct child_ends *ends, struct error *error)
{
    int pair[2];
    ends->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (ends->null < 0) {
        return error_set(error, ERR_INTERNAL, "/dev/null: %s", sys_error_text(errno));
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return error_set(error, ERR_INTERNAL, "no socket for a worker: %s", sys_error_text(errno));
    }
    process->socket = pair[0];
    ends->socket = pair[1];
    if (pipe2(pair, O_CLOEXEC) != 0) {
        return error_set(error, ERR_INTERNAL, "no pipe for a worker: %s", sys_error_text(errno));
    }
    process->log = pair[0];
    ends->log = pair[1];
    if (pipe2(pair, O_CLOEXEC) != 0) {
        return error_set(error, ERR_INTERNAL, "no pipe for a worker: %s", sys_error_text(errno));
    }
    ends->read = pair[0];
    ends->report = pair[1];
    /* Of our ends alone: the worker's block. */
    CHECK(fcntl(process->socket, F_SETFL, O_NONBLOCK) == 0);
    CHECK(fcntl(process->log, F_SETFL, O_NONBLOCK) == 0);
    int status = worker_area_new("onnxd-input", AREA_BYTES, &process->input, error);
    return status == ERR_OK ? worker_area_new("onnxd-output", AREA_BYTES, &process->output, error)
                            : status;
}

/* ---- the fork ---- */

/* With all signals blocked, so that no handler of ours runs in the child. */
static int fork_worker(const struct worker_exec *exec, pid_t *ret_pid, struct error *error)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        worker_exec(exec);
    }
    int failed = errno;
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (pid < 0) {
        return error_set(error, ERR_INTERNAL, "no process for a worker: %s",
                         sys_error_text(failed));
    }
    *ret_pid = pid;
    return ERR_OK;
}

/* Waits until the program is executed, which closes the pipe, or the child says why it is not. */
static int read_report(int fd, const char *path, struct error *error)
{
    struct worker_exec_failure failure;
    ssize_t got = sys_read(fd, &failure, sizeof(failure));
    if (got == 0) {
        return ERR_OK;
    }
    if (got != (ssize_t)sizeof(failure)) {
        return error_set(error, ERR_INTERNAL, "a worker ended before it began");
    }
    const char *reason = sys_error_text(failure.error_number);
    if (failure.step == WORKER_EXEC_PROGRAM) {
        return error_set(error, ERR_CONFIG, "%s: %s", path, reason);
    }
    return error_set(error, ERR_INTERNAL, "a worker could not %s: %s",
                     worker_exec_step_name(failure.step), reason);
}

static int run_program(const struct worker_command *command, struct worker_process *process,
                       struct child_ends *ends, struct error *error)
{
    char path[PATH_MAX];
    char oom_score[16];
    int status = find_program(command, path, error);
    if (status != ERR_OK) {
        return status;
    }
    put_oom_score(oom_score, sizeof(oom_score));
    const struct worker_exec exec = {
        .path = path,
        .argv = command->argv,
        .environment = command->environment,
        .fds = {ends->null, ends->log, ends->log, ends->socket, process->input.fd,
                process->output.fd, command->program_fd},
        .report = ends->report,
        .parent = getpid(),
        .oom_score = oom_score,
    };
    status = fork_worker(&exec, &process->pid, error);
    if (status != ERR_OK) {
        return status;
    }
    close_fd(&ends->report);
    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd < 0) {
        return error_set(error, ERR_INTERNAL, "no descriptor of a worker's process: %s",
                         sys_error_text(errno));
    }
    return read_report(ends->read, path, error);
}

static void close_process(struct worker_process *process)
{
    close_fd(&process->pidfd);
    close_fd(&process->socket);
    close_fd(&process->log);
    worker_area_done(&process->input);
    worker_area_done(&process->output);
    process->pid = 0;
}

int worker_process_start(const struct worker_command *command, struct worker_process *ret_process,
                         struct error *error)
{
    struct worker_process process = {
        .pidfd = -1, .socket = -1, .log = -1, .input = {.fd = -1}, .output = {.fd = -1}};
    struct child_ends ends = {-1, -1, -1, -1, -1};
    int status = open_ends(&process, &ends, error);
    if (status == ERR_OK) {
        status = run_program(command, &process, &ends, error);
    }
    close_fd(&ends.null);
    close_fd(&ends.socket);
    close_fd(&ends.log);
    close_fd(&ends.report);
    close_fd(&ends.read);
    if (status == ERR_OK) {
        *ret_process = process;
    } else if (process.pid != 0) {
        worker_process_end(&process, NULL);
    } else {
        close_process(&process);
    }
    return status;
}

/* ---- its end ---- */

void worker_process_kill(const struct worker_process *process)
{
    CHECK(process->pid > 0);
    (void)kill(-process->pid, SIGKILL); /* ESRCH where it has not made its group yet */
    (void)kill(process->pid, SIGKILL);
}

int worker_poll(struct pollfd *fds, nfds_t count, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
        struct timespec left = {.tv_sec = (time_t)(left_ns / CLOCK_NS_PER_S),
                                .tv_nsec = (long)(left_ns % CLOCK_NS_PER_S)};
        int ready = ppoll(fds, count, deadline_ns == 0 ? NULL : &left, NULL);
        if (ready >= 0 || errno != EINTR) {
            CHECK(ready >= 0 || errno == ENOMEM);
            return ready;
        }
    }
}

int worker_process_wait(const struct worker_process *process, uint64_t grace_ns,
                        bool *ret_by_itself)
{
    struct pollfd end = {.fd = process->pidfd, .events = POLLIN};
    bool by_itself = worker_poll(&end, 1, clock_monotonic_ns() + grace_ns) > 0;
    if (ret_by_itself != NULL) {
        *ret_by_itself = by_itself;
    }
    worker_process_kill(process); /* its group may have more */
    siginfo_t about = {.si_pid = 0};
    int result;
    do {
        result = waitid(P_PID, (id_t)process->pid, &about, WEXITED | WNOWAIT);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return -1;
    }
    return about.si_code == CLD_EXITED ? W_EXITCODE(about.si_status, 0) : about.si_status;
}

void worker_process_end(struct worker_process *process, int *ret_status)
{
    if (process->pid == 0) {
        return;
    }
    worker_process_kill(process);
    int status;
    pid_t ended;
    do {
        ended = waitpid(process->pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    if (ret_status != NULL) {
        *ret_status = ended == process->pid ? status : -1;
    }
    if (getpid() == 1) { /* what it had started, killed with its group, is ours to bury */
        while (waitpid(-process->pid, NULL, 0) > 0 || errno == EINTR) {}
    }
    close_process(process);
}

void worker_status_text(int status, char *text, size_t size)
{
    if (status >= 0 && WIFSIGNALED(status)) {
        const char *name = sigdescr_np(WTERMSIG(status));
        snprintf(text, size, "it was killed by signal %d (%s)", WTERMSIG(status),
                 name == NULL ? "unknown" : name);
    } else if (status >= 0 && WIFEXITED(status)) {
        snprintf(text, size, "it ended with exit code %d", WEXITSTATUS(status));
    } else {
        snprintf(text, size, "it ended");
    }
}

void worker_process_trim(struct worker_process *process)
{
    worker_area_trim(&process->input, AREA_BYTES);
    worker_area_trim(&process->output, AREA_BYTES);
}

/* ---- talking ---- */

int worker_process_send(struct worker_process *process, const struct worker_packet *packet,
                        struct error *error)
{
    char bytes[WORKER_PACKET_MAX];
    size_t len = worker_packet_write(packet, bytes);
    if (sys_send(process->socket, bytes, len) != (ssize_t)len) {
        return error_set(error, ERR_INTERNAL, "a worker cannot be told: %s", sys_error_text(errno));
    }
    return ERR_OK;
}

/*
 * A socket pair says ECONNRESET, not the end of the stream, when the other side was closed with packets
 * in its queue: what was sent last was never read. (Where a signal to kill it is on its way, the kernel
 * may still have read it for the process; that cannot be told from a death in the run.)
 */
static enum worker_answer gone_or_unheard(int error_number)
{
    return error_number == ECONNRESET ? WORKER_UNHEARD : WORKER_GONE;
}

enum worker_answer worker_process_receive(struct worker_process *process, uint64_t deadline_ns,
                                          char *bytes, struct worker_packet *ret_packet,
                                          struct error *error)
{
    /* Its end too: a process it has started may hold its socket. */
    struct pollfd fds[] = {{.fd = process->socket, .events = POLLIN},
                           {.fd = process->pidfd, .events = POLLIN}};
    for (;;) {
        if (worker_poll(fds, 2, deadline_ns) == 0) {
            return WORKER_SILENT;
        }
        ssize_t got = recv(process->socket, bytes, WORKER_PACKET_MAX, MSG_TRUNC | MSG_DONTWAIT);
        if (got > WORKER_PACKET_MAX) {
            error_set(error, ERR_INTERNAL, "a packet has %zd bytes", got);
            return WORKER_BREACH;
        }
        if (got > 0) {
            int status = worker_packet_read(slice_make(bytes, (size_t)got), ret_packet, error);
            return status == ERR_OK ? WORKER_ANSWERED : WORKER_BREACH;
        }
        if (got == 0) {
            if ((fds[0].revents & (POLLIN | POLLHUP)) != POLLIN) {
                return WORKER_GONE;
            }
            error_set(error, ERR_INTERNAL, "a packet is empty");
            return WORKER_BREACH;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return gone_or_unheard(errno);
        }
        if (errno == EAGAIN && fds[1].revents != 0) {
            return WORKER_GONE;
        }
    }
}

uint64_t worker_process_rss(pid_t pid)
{
    char path[32];
    char text[128];
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t got = sys_read(fd, text, sizeof(text));
    sys_close(fd);
    struct slice rest = slice_make(text, got > 0 ? (size_t)got : 0);
    uint64_t pages = 0;
    (void)slice_cut(&rest, ' '); /* the first number is the size of its address space */
    (void)num_parse_u64(slice_cut(&rest, ' '), &pages);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
