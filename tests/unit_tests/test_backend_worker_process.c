/* One process: what it is started with, what it can no longer do, how it is talked to and ended. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/worker_environment.h"
#include "backend/worker_log.h"
#include "backend/worker_process.h"
#include "base/clock.h"
#include "base/mem.h"
#include "unit_tests/worker_fixture.h"

static const char *const no_environment[] = {NULL};

/* exec(3) never writes to them. */
static char *const *words(const char *const *list)
{
    return (char *const *)(uintptr_t)list;
}

static struct worker_process start(const char *const *argv, const char *const *environment,
                                   int program_fd)
{
    const struct worker_command command = {
        .argv = words(argv), .environment = words(environment), .program_fd = program_fd};
    struct worker_process process;
    struct error error = {.text = ""};
    if (worker_process_start(&command, &process, &error) != ERR_OK) {
        fail_msg("%s", error.text);
    }
    return process;
}

/* All it says until it ends. */
static size_t read_log(const struct worker_process *process, char *text, size_t size)
{
    size_t len = 0;
    for (;;) {
        struct pollfd log = {.fd = process->log, .events = POLLIN};
        assert_int_equal(worker_poll(&log, 1, 0), 1);
        ssize_t got = read(process->log, text + len, size - len - 1);
        assert_true(got >= 0);
        if (got == 0) {
            text[len] = '\0';
            return len;
        }
        len += (size_t)got;
    }
}

static void assert_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", part, text);
    }
}

static unsigned lines_with(const char *text, const char *beginning)
{
    unsigned count = 0;
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        count += strncmp(at, beginning, strlen(beginning)) == 0;
    }
    return count;
}

/* Ignored and blocked signals, descriptors that would be inherited: none of them gets through. */
static void gives_up_what_it_does_not_need(void **state)
{
    (void)state;
    const char *const argv[] = {WORKER_STAND_IN, "report", NULL};
    const char *const environment[] = {"ONE=1", "TWO=2", NULL};
    static char text[32768];
    char own[64];
    sigset_t blocked;
    sigset_t before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
    void (*handler)(int) = signal(SIGPIPE, SIG_IGN);
    int leak = open("/dev/null", O_RDONLY);
    assert_true(leak >= 0);
    struct worker_process process = start(argv, environment, leak);
    read_log(&process, text, sizeof(text));
    int status = worker_process_wait(&process, UINT64_C(60000000000), NULL);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(process.pid, getpgid(process.pid));
    worker_process_end(&process, NULL);
    close(leak);
    signal(SIGPIPE, handler);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);

    assert_int_equal(lines_with(text, "fd "), 7);
    assert_says(text, "fd 0 /dev/null");
    assert_says(text, "fd 1 pipe:");
    assert_says(text, "fd 2 pipe:");
    assert_says(text, "fd 3 socket:");
    assert_says(text, "fd 4 /memfd:onnxd-input");
    assert_says(text, "fd 5 /memfd:onnxd-output");
    assert_says(text, "fd 6 /dev/null");
    assert_int_equal(lines_with(text, "environ "), 2);
    assert_says(text, "environ ONE=1\nenviron TWO=2\n");
    assert_says(text, "NoNewPrivs:\t1");
    assert_says(text, "CapInh:\t0000000000000000");
    assert_says(text, "CapPrm:\t0000000000000000");
    assert_says(text, "CapEff:\t0000000000000000");
    assert_says(text, "CapAmb:\t0000000000000000");
    assert_says(text, "SigBlk:\t0000000000000000");
    assert_says(text, "SigIgn:\t0000000000000000");
    assert_says(text, "leader 1\ncore 1\n");
    snprintf(own, sizeof(own), "pdeathsig %d\n", SIGKILL);
    assert_says(text, own);
    assert_true(strtol(strstr(text, "oom ") + 4, NULL, 10) >= 500);
}

/* Our own ends of everything then lie among 0 to 6, and must not get in the way of the worker's. */
static void starts_where_low_descriptors_are_free(void **state)
{
    (void)state;
    const char *const argv[] = {WORKER_STAND_IN, "report", NULL};
    static char text[32768];
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (int fd = 0; fd < 10; fd++) {
            close(fd);
        }
        struct worker_process process;
        const struct worker_command command = {
            .argv = words(argv), .environment = words(no_environment), .program_fd = -1};
        struct error error;
        int status = worker_process_start(&command, &process, &error);
        if (status != ERR_OK) {
            _exit(1);
        }
        read_log(&process, text, sizeof(text));
        worker_process_end(&process, NULL);
        _exit(lines_with(text, "fd ") == 6 && lines_with(text, "done") == 1 ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void tells_what_cannot_be_executed(void **state)
{
    (void)state;
    char folder[] = "/tmp/onnxd-worker-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char script[64];
    char path[64];
    snprintf(script, sizeof(script), "%s/noscript", folder);
    snprintf(path, sizeof(path), "PATH=/nowhere::%s", folder);
    int fd = open(script, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    assert_int_equal(write(fd, "\x01\x02", 2), 2);
    close(fd);
    const char *const found[] = {path, NULL};
    const struct {
        const char *name;
        const char *const *environment;
        const char *says;
    } cases[] = {
        {"/nowhere/python3", no_environment, "/nowhere/python3: No such file"},
        {folder, no_environment, "Permission denied"},
        {script, no_environment, "noscript: Exec format error"},
        {"noscript", found, "noscript: Exec format error"},
        {"noscript", no_environment, "noscript: no such program in PATH"},
        {"python9", found, "python9: no such program in PATH"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const argv[] = {cases[i].name, NULL};
        const struct worker_command command = {
            .argv = words(argv), .environment = words(cases[i].environment), .program_fd = -1};
        struct worker_process process = {.pid = 0};
        struct error error;
        assert_int_equal(worker_process_start(&command, &process, &error), ERR_CONFIG);
        assert_says(error.text, cases[i].says);
        assert_int_equal(process.pid, 0);
    }
    unlink(script);
    rmdir(folder);
}

/* Every descriptor that cannot be had, one after the other. */
static void starts_whole_or_not_at_all(void **state)
{
    (void)state;
    const char *const argv[] = {WORKER_STAND_IN, "say", "hello", NULL};
    const struct worker_command command = {
        .argv = words(argv), .environment = words(no_environment), .program_fd = -1};
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    unsigned refused = 0;
    int status = ERR_INTERNAL;
    for (int first_free = dup(0); status != ERR_OK; refused++) {
        close(first_free);
        struct rlimit few = {.rlim_cur = (rlim_t)first_free + refused, .rlim_max = before.rlim_max};
        struct worker_process process;
        struct error error;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        status = worker_process_start(&command, &process, &error);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (status == ERR_OK) {
            worker_process_end(&process, NULL);
        }
        assert_int_equal(open_fds(), fds_before);
        assert_true(refused < 64);
    }
    assert_true(refused > 8);
}

static void says_how_it_ended(void **state)
{
    (void)state;
    char text[96];
    worker_status_text(W_EXITCODE(3, 0), text, sizeof(text));
    assert_string_equal(text, "it ended with exit code 3");
    worker_status_text(W_EXITCODE(0, SIGKILL), text, sizeof(text));
    assert_string_equal(text, "it was killed by signal 9 (Killed)");
    worker_status_text(-1, text, sizeof(text));
    assert_string_equal(text, "it ended");
}

static void ends_with_its_whole_group(void **state)
{
    (void)state;
    const char *const argv[] = {"/bin/sh", "-c", "sleep 1000 & echo $!; wait", NULL};
    const char *const environment[] = {"PATH=/bin:/usr/bin", NULL};
    struct worker_process process = start(argv, environment, -1);
    struct pollfd log = {.fd = process.log, .events = POLLIN};
    char number[32] = "";
    assert_int_equal(worker_poll(&log, 1, 0), 1);
    assert_true(read(process.log, number, sizeof(number) - 1) > 0);
    assert_true(worker_process_rss(process.pid) > 0);
    int status;
    int kept = fcntl(process.log, F_DUPFD_CLOEXEC, 0);
    worker_process_end(&process, &status);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    log.fd = kept; /* closed at the other end when the grandchild has gone too */
    assert_int_equal(worker_poll(&log, 1, 0), 1);
    assert_int_equal(read(kept, number, sizeof(number)), 0);
    close(kept);
    assert_int_equal(worker_process_rss(process.pid), 0);
    worker_process_end(&process, NULL);
}

static void waits_for_an_answer_no_longer_than_told(void **state)
{
    (void)state;
    const char *const argv[] = {"/bin/cat", NULL}; /* its input is /dev/null: it ends at once */
    const char *const sleeping[] = {"/bin/sleep", "1000", NULL};
    char bytes[WORKER_PACKET_MAX];
    struct worker_packet packet;
    struct error error;
    struct worker_process process = start(sleeping, no_environment, -1);
    assert_int_equal(worker_process_receive(&process, 1, bytes, &packet, &error), WORKER_SILENT);
    assert_int_equal(worker_process_receive(&process, clock_monotonic_ns() + CLOCK_NS_PER_MS, bytes,
                                            &packet, &error),
                     WORKER_SILENT);
    const struct worker_packet end = {.type = WORKER_END, .version = WORKER_VERSION};
    assert_int_equal(worker_process_send(&process, &end, &error), ERR_OK);
    worker_process_kill(&process);
    assert_int_equal(worker_process_receive(&process, 0, bytes, &packet, &error), WORKER_UNHEARD);
    worker_process_end(&process, NULL);
    process = start(argv, no_environment, -1);
    assert_int_equal(worker_process_receive(&process, 0, bytes, &packet, &error), WORKER_GONE);
    assert_int_equal(worker_process_send(&process, &end, &error), ERR_INTERNAL);
    assert_int_equal(worker_process_wait(&process, UINT64_C(60000000000), NULL), 0);
    worker_process_end(&process, NULL);
}

/* ---- the environment ---- */

static void passes_on_what_is_needed(void **state)
{
    (void)state;
    const char *const ours[] = {"PATH=/bin",
                                "HOME=/home/a",
                                "OTEL_EXPORTER_OTLP_HEADERS=secret",
                                "AWS_SECRET_KEY=x",
                                "LC_ALL=C.UTF-8",
                                "TF_CPP_MIN_LOG_LEVEL=2",
                                "TORCH_API_TOKEN=x",
                                "MY_LICENCE=here",
                                "CUDA_VISIBLE_DEVICES=0",
                                "OMP_NUM_THREADS=7",
                                "LD_PRELOAD=evil.so",
                                "PATHS=/bin",
                                "WORKER_ENVIRONMENT=",
                                "=odd",
                                NULL};
    struct arena arena;
    arena_init(&arena, 4096, 65536);
    char *const *passed = worker_environment(words(ours), SLICE(" MY_LICENCE ,OTHER,"), 3, &arena);
    static const char *const expected[] = {
        "PATH=/bin",         "HOME=/home/a",           "LC_ALL=C.UTF-8",
        "MY_LICENCE=here",   "TF_CPP_MIN_LOG_LEVEL=2", "CUDA_VISIBLE_DEVICES=0",
        "OMP_NUM_THREADS=7", "OPENBLAS_NUM_THREADS=3", "MKL_NUM_THREADS=3"};
    size_t count = 0;
    for (; passed[count] != NULL; count++) {
        bool known = false;
        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
            known = known || strcmp(passed[count], expected[i]) == 0;
        }
        if (!known) {
            fail_msg("%s was passed on", passed[count]);
        }
    }
    assert_int_equal(count, sizeof(expected) / sizeof(expected[0]));
    arena_done(&arena);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        arena_init(&arena, 64, 65536);
        mem_fail_nth(nth);
        assert_null(worker_environment(words(ours), SLICE(""), 3, &arena));
        mem_fail_nth(0);
        arena_done(&arena);
    }
}

/* ---- its log ---- */

static void makes_lines_of_what_it_writes(void **state)
{
    (void)state;
    struct worker_log log;
    char longer[3000];
    memset(longer, 'x', sizeof(longer));
    worker_log_init(&log, 12, &observer);
    worker_log_put(&log, SLICE("one\ntw"), 1);
    assert_int_equal(told.count, 1);
    worker_log_put(&log, SLICE("o\r\n\n\x1b[1mthree\t\xff\xc3\xa4\n"), 1);
    worker_log_put(&log, slice_make(longer, sizeof(longer)), 1);
    worker_log_end(&log, 1);
    assert_int_equal(told.count, 4);
    assert_string_equal(told.lines[0], "worker 12: one");
    assert_string_equal(told.lines[1], "worker 12: two");
    assert_string_equal(told.lines[2], "worker 12: ?[1mthree ?\xc3\xa4");
    assert_int_equal(strlen(told.lines[3]), strlen("worker 12: ") + WORKER_LINE_MAX);
}

static void counts_the_lines_it_leaves_out(void **state)
{
    (void)state;
    struct worker_log log;
    uint64_t now_ns = 5 * CLOCK_NS_PER_S;
    worker_log_init(&log, 12, &observer);
    for (int i = 0; i < WORKER_LINES_PER_S + 7; i++) {
        worker_log_put(&log, SLICE("again\n"), now_ns + (uint64_t)i);
    }
    assert_int_equal(told.count, WORKER_LINES_PER_S);
    assert_true(worker_log_due_ns(&log) == now_ns + CLOCK_NS_PER_S);
    worker_log_tick(&log, now_ns + CLOCK_NS_PER_S - 1);
    assert_int_equal(told.count, WORKER_LINES_PER_S);
    worker_log_tick(&log, now_ns + CLOCK_NS_PER_S);
    assert_string_equal(told.lines[WORKER_LINES_PER_S], "worker 12: 7 lines left out");
    assert_true(worker_log_due_ns(&log) == 0);
    worker_log_put(&log, SLICE("more\n"), now_ns + CLOCK_NS_PER_S);
    assert_string_equal(told.lines[WORKER_LINES_PER_S + 1], "worker 12: more");
    worker_log_init(&log, 13, NULL);
    worker_log_put(&log, SLICE("nobody listens\n"), now_ns);
    worker_log_end(&log, now_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIDY(gives_up_what_it_does_not_need),
        TIDY(starts_where_low_descriptors_are_free),
        TIDY(tells_what_cannot_be_executed),
        TIDY(starts_whole_or_not_at_all),
        TIDY(says_how_it_ended),
        TIDY(ends_with_its_whole_group),
        TIDY(waits_for_an_answer_no_longer_than_told),
        TIDY(passes_on_what_is_needed),
        TIDY(makes_lines_of_what_it_writes),
        TIDY(counts_the_lines_it_leaves_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
