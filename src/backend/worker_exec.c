#include "backend/worker_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REPORT_FD WORKER_FDS /* where the report's pipe goes */
#define HIGH_FD 32           /* descriptors are first moved up here, out of each other's way */

_Noreturn static void fail(int report, enum worker_exec_step step)
{
    struct worker_exec_failure failure = {.step = step, .error_number = errno};
    /* Where even this fails, whoever reads sees an exit code without a reason. */
    ssize_t written = write(report, &failure, sizeof(failure));
    _exit(written == (ssize_t)sizeof(failure) ? 127 : 126);
}

/*
 * Handlers of ours must not run here; ignored signals would stay ignored over exec. By the system call
 * itself: libc's function refuses the two signals of its own, which somebody above us may ignore.
 */
static void reset_signals(void)
{
    static const unsigned long
        as_usual[4]; /* the kernel's struct sigaction: SIG_DFL, no flag, no mask */
    for (int number = 1; number < NSIG; number++) {
        (void)syscall(SYS_rt_sigaction, number, as_usual, NULL, sizeof(unsigned long));
    }
}

static int move_up(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
}

/* 0 to 6 as they should be, the report above them, and nothing else. */
static int set_fds(const struct worker_exec *exec, int *report)
{
    int high[WORKER_FDS];
    int high_report = move_up(*report);
    if (high_report < 0) {
        return -1;
    }
    for (int i = 0; i < WORKER_FDS; i++) {
        high[i] = move_up(exec->fds[i]);
        if (high[i] < 0 && exec->fds[i] >= 0) {
            return -1;
        }
    }
    if (dup3(high_report, REPORT_FD, O_CLOEXEC) < 0) {
        return -1;
    }
    *report = REPORT_FD;
    for (int i = 0; i < WORKER_FDS; i++) {
        if (high[i] < 0) {
            (void)close(i); /* it may be open in us */
        } else if (dup2(high[i], i) < 0) {
            return -1;
        }
    }
    return (int)syscall(SYS_close_range, (unsigned)REPORT_FD + 1, UINT_MAX, 0);
}

/* No core with a client's data in it; when memory runs out, this process goes and not the server. */
static int set_limits(const struct worker_exec *exec)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0,
                0); /* else /proc/self is root's; exec would set it anyway */
    if (setrlimit(RLIMIT_CORE, &none) != 0) {
        return -1;
    }
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) { /* a container may forbid it: the limit of memory stands without it */
        size_t len = 0;
        while (exec->oom_score[len] != '\0') {
            len++;
        }
        ssize_t written = write(fd, exec->oom_score, len);
        (void)written;
        (void)close(fd);
    }
    return 0;
}

/*
 * The bounding set can be dropped with CAP_SETPCAP alone; without it no_new_privs and the empty sets
 * say the same for whatever is executed from here on.
 */
static int drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}, {0, 0, 0}};
    for (unsigned long capability = 0; capability < 64; capability++) {
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capset, &header, none) != 0
               ? -1
               : 0;
}

/* After the rights: changing them would clear it. Our parent may have gone before it was set. */
static int follow_parent(const struct worker_exec *exec)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
        return -1;
    }
    if (getppid() != exec->parent) {
        errno = ESRCH;
        return -1;
    }
    return 0;
}

void worker_exec(const struct worker_exec *exec)
{
    int report = exec->report;
    reset_signals();
    if (setpgid(0, 0) != 0) {
        fail(report, WORKER_EXEC_GROUP);
    }
    if (set_fds(exec, &report) != 0) {
        fail(report, WORKER_EXEC_FDS);
    }
    if (set_limits(exec) != 0) {
        fail(report, WORKER_EXEC_LIMITS);
    }
    if (drop_rights() != 0) {
        fail(report, WORKER_EXEC_RIGHTS);
    }
    if (follow_parent(exec) != 0) {
        fail(report, WORKER_EXEC_PARENT);
    }
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execve(exec->path, exec->argv, exec->environment);
    fail(report, WORKER_EXEC_PROGRAM);
}

const char *worker_exec_step_name(enum worker_exec_step step)
{
    static const char *const step_names[] = {
        [WORKER_EXEC_GROUP] = "make a process group",
        [WORKER_EXEC_FDS] = "set its descriptors",
        [WORKER_EXEC_LIMITS] = "set its limits",
        [WORKER_EXEC_RIGHTS] = "drop its rights",
        [WORKER_EXEC_PARENT] = "tie it to its parent",
        [WORKER_EXEC_PROGRAM] = "execute the program",
    };
    return step_names[step];
}
