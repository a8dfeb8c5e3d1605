/*
 * A worker for tests: speaks docs/worker-protocol.md with code of its own, so that onnxd's side is held to
 * the page and not to itself. What it does while it loads is said by its arguments, what it does in a run by
 * the inputs (worker_stand_in.h). The version of its framework is what stands in the model's file.
 */
#include "worker_stand_in.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKET = 3, INPUT = 4, OUTPUT = 5 };
enum { HELLO = 1, WELCOME, READY, FAILED, RUN, RESULT, ERROR, END };
enum { PACKET_MAX = 4096, RECORD = 88, OUTPUT_BYTES = 1 << 20, DATA = 4096, FLOAT64 = 11 };

#define MAGIC 0x57584e4fu

extern char **environ;

static char packet[PACKET_MAX + 4096];
static char *output;
static char *input;
static size_t input_bytes;
static bool is_mute; /* told END and stays */

static void need(bool condition, const char *what)
{
    if (!condition) {
        dprintf(2, "stand-in: %s\n", what);
        _exit(99);
    }
}

static uint32_t u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t u64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static char *put_u32(char *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

static char *put_u64(char *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

static char *put_text(char *at, const char *text)
{
    at = put_u32(at, (uint32_t)strlen(text));
    memcpy(at, text, strlen(text));
    return at + strlen(text);
}

static void map_input(uint64_t size)
{
    if (size > input_bytes) {
        input = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, INPUT, 0);
        need(input != MAP_FAILED, "the input area cannot be mapped");
        input_bytes = size;
    }
}

static char *head(unsigned type, unsigned version, uint64_t run)
{
    return put_u64(put_u32(put_u32(packet, MAGIC), version | type << 16), run);
}

static void send_packet(const char *end)
{
    need(send(SOCKET, packet, (size_t)(end - packet), MSG_NOSIGNAL) == end - packet, "send");
}

static void send_text(unsigned type, uint64_t run, uint32_t reason, const char *text)
{
    send_packet(put_text(put_u32(head(type, 1, run), reason), text));
}

/* Which packet came; the process ends with the socket. */
static unsigned receive(void)
{
    ssize_t got = recv(SOCKET, packet, PACKET_MAX, 0);
    if (got <= 0) {
        _exit(0);
    }
    need(got >= 16 && u32(packet) == MAGIC && (u32(packet + 4) & 0xffff) == 1, "a bad head");
    return u32(packet + 4) >> 16;
}

/* ---- what it is, for the tests of how it is started ---- */

static void copy_lines(const char *path, const char *const *names)
{
    char line[4096];
    FILE *file = fopen(path, "re");
    need(file != NULL, path);
    while (fgets(line, sizeof(line), file) != NULL) {
        for (int i = 0; names[i] != NULL; i++) {
            if (strncmp(line, names[i], strlen(names[i])) == 0) {
                printf("%s", line);
            }
        }
    }
    fclose(file);
}

static void report_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    need(folder != NULL, "/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[300];
        char target[300];
        snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        ssize_t len = readlink(path, target, sizeof(target));
        if (len > 0 && strtol(entry->d_name, NULL, 10) != dirfd(folder)) {
            printf("fd %s %.*s\n", entry->d_name, (int)len, target);
        }
    }
    closedir(folder);
}

static void report(void)
{
    int death = 0;
    struct rlimit core;
    report_fds();
    copy_lines("/proc/self/status",
               (const char *const[]){"NoNewPrivs:", "Cap", "SigBlk:", "SigIgn:", NULL});
    for (char **each = environ; *each != NULL; each++) {
        printf("environ %s\n", *each);
    }
    need(prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0) == 0, "no parent death signal");
    need(getrlimit(RLIMIT_CORE, &core) == 0, "no limit of cores");
    printf("pdeathsig %d\nleader %d\ncore %d\noom ", death, getpgid(0) == getpid(),
           core.rlim_max == 0);
    fflush(stdout);
    copy_lines("/proc/self/oom_score_adj", (const char *const[]){"", NULL});
    printf("done\n");
    fflush(stdout);
}

/* ---- the model ---- */

static char *put_port(char *at, const char *name, uint32_t dtype, uint32_t rank)
{
    at = put_u32(put_u32(put_text(at, name), dtype), rank);
    for (uint32_t i = 0; i < rank; i++) {
        at = put_u64(at, UINT64_MAX);
    }
    return put_u32(put_u32(at, 0), 0);
}

/* Into the output area; how long it is. */
static size_t put_signature(const char *version)
{
    char *at = put_text(put_text(output, "stand-in"), version);
    at = put_u32(put_u32(at, 1), 2);
    at = put_port(at, "x", FLOAT64, 2);
    at = put_port(at, "echo", FLOAT64, 2);
    at = put_port(at, "sum", FLOAT64, 1);
    return (size_t)(at - output);
}

/* The model's path out of the options, and the first word in that file. */
static void read_model(uint64_t at, char version[64])
{
    char path[4096] = "";
    const char *options = input + at;
    uint32_t count = u32(options);
    options += 4;
    for (uint32_t i = 0; i < count; i++) {
        const char *key = options;
        const char *value = key + 4 + u32(key);
        if (u32(key) == 5 && memcmp(key + 4, "model", 5) == 0) {
            snprintf(path, sizeof(path), "%.*s", (int)u32(value), value + 4);
        }
        options = value + 4 + u32(value);
    }
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%63s", version) != 1) {
        snprintf(version, 64, "1");
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void load(int argc, char **argv)
{
    char version[64];
    uint64_t shift = 0;
    need(receive() == HELLO, "no HELLO");
    map_input(u64(packet + 24));
    read_model(u64(packet + 32), version);
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        value = value == NULL ? argv[i] : value + 1;
        if (strcmp(argv[i], "mute") == 0) {
            is_mute = true;
        } else if (strcmp(argv[i], "no_welcome") == 0) {
            pause();
        } else if (strcmp(argv[i], "early") == 0) {
            send_packet(put_u64(put_u64(put_u64(head(READY, 1, 0), OUTPUT_BYTES), 0), 64));
            pause();
        } else if (strncmp(argv[i], "version=", 8) == 0) {
            send_packet(head(WELCOME, (unsigned)strtoul(value, NULL, 10), 0));
            pause();
        } else if (strcmp(argv[i], "outside") == 0) {
            shift = OUTPUT_BYTES - 8;
        } else if (strcmp(argv[i], "fails_when_changed") == 0 && strcmp(version, "1") != 0) {
            send_packet(head(WELCOME, 1, 0));
            send_text(FAILED, 0, 2, "told to fail");
            _exit(1);
        }
    }
    send_packet(head(WELCOME, 1, 0));
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "fail=", 5) == 0) {
            send_text(FAILED, 0, (uint32_t)strtoul(argv[i] + 5, NULL, 10), "told\nto fail");
            _exit(1);
        } else if (strcmp(argv[i], "no_ready") == 0) {
            pause();
        } else if (strcmp(argv[i], "crash") == 0 ||
                   (strncmp(argv[i], "crash_once=", 11) == 0 && unlink(argv[i] + 11) == 0)) {
            dprintf(2, "last words");
            raise(SIGKILL);
        } else if (strcmp(argv[i], "idle_exit") == 0) {
            size_t size = put_signature(version);
            send_packet(put_u64(put_u64(put_u64(head(READY, 1, 0), OUTPUT_BYTES), 0), size));
            _exit(5);
        }
    }
    size_t size = put_signature(version);
    if (shift > 0) {
        memmove(output + shift, output, 8);
    }
    send_packet(put_u64(put_u64(put_u64(head(READY, 1, 0), OUTPUT_BYTES), shift), size));
}

/* ---- a run ---- */

struct input {
    uint64_t run;
    const double *elements;
    uint64_t rows, width;
    const char *wanted;
    uint32_t wanted_count;
};

static struct input read_run(void)
{
    struct input x = {.run = u64(packet + 8), .wanted_count = u32(packet + 36)};
    map_input(u64(packet + 16));
    const char *record = input + u64(packet + 24);
    need(u32(packet + 32) == 1 && u32(record) == FLOAT64 && u32(record + 4) == 2, "another input");
    need(u64(record + 8) % 64 == 0, "data that is not aligned");
    x.rows = u64(record + 24);
    x.width = u64(record + 32);
    need(u64(record + 16) == x.rows * x.width * sizeof(double), "another size");
    x.elements = (const double *)(const void *)(input + u64(record + 8));
    x.wanted = record + RECORD;
    return x;
}

static void put_record(char *at, uint32_t dtype, uint64_t offset, const struct input *x, bool sum)
{
    uint64_t width = sum ? 1 : x->width;
    memset(at, 0, RECORD);
    at = put_u32(put_u32(at, dtype), sum ? 1 : 2);
    at = put_u64(put_u64(at, offset), x->rows * width * sizeof(double));
    put_u64(put_u64(at, x->rows), sum ? 0 : width);
}

static void put_output(char *at, const struct input *x, bool sum)
{
    double *to = (double *)(void *)at;
    for (uint64_t row = 0; row < x->rows; row++) {
        double total = 0;
        for (uint64_t i = 0; i < x->width; i++) {
            double element = x->elements[row * x->width + i];
            total += element;
            if (!sum) {
                to[row * x->width + i] = element;
            }
        }
        if (sum) {
            to[row] = total;
        }
    }
}

/* Answers, with what the command has wrong in it. */
static void answer(const struct input *x, int command)
{
    uint64_t offset = DATA;
    for (uint32_t i = 0; i < x->wanted_count; i++) {
        bool sum = u32(x->wanted + 4 * i) == 1;
        uint64_t place = command == STAND_IN_PLACE ? OUTPUT_BYTES : offset;
        put_record(output + RECORD * i, command == STAND_IN_DTYPE ? 7 : FLOAT64, place, x, sum);
        put_output(output + offset, x, sum);
        offset += (x->rows * (sum ? 1 : x->width) * sizeof(double) + 63) / 64 * 64;
    }
    char *at =
        head(command == STAND_IN_TYPE ? READY : RESULT, 1, x->run + (command == STAND_IN_NUMBER));
    if (command == STAND_IN_TYPE) {
        at = head(READY, 1, 0);
    }
    if (command == STAND_IN_MAGIC) {
        packet[0] = 'x';
    }
    at = put_u64(at, command == STAND_IN_AREA ? 2 * OUTPUT_BYTES : OUTPUT_BYTES);
    at = put_u64(at, 0);
    at = command == STAND_IN_TYPE
             ? put_u64(at, 64)
             : put_u32(put_u32(at, x->wanted_count - (command == STAND_IN_COUNT)), 0);
    if (command == STAND_IN_LONG) {
        memset(at, 0, 5000);
        at = packet + 5000;
    } else if (command == STAND_IN_SHORT) {
        at = packet + 12;
    } else if (command == STAND_IN_EMPTY) {
        at = packet;
    }
    send_packet(at);
}

static void grow(void)
{
    size_t size = (size_t)256 << 20;
    char *more =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    need(more != MAP_FAILED, "no memory");
}

/* What comes before the answer, or in its place (true). */
static bool obey(const struct input *x, int command)
{
    switch (command) {
    case STAND_IN_KILL:
        raise(SIGKILL);
        return true;
    case STAND_IN_EXIT:
        _exit(3);
    case STAND_IN_WAIT:
        dprintf(1, "in the run\n");
        __attribute__((fallthrough));
    case STAND_IN_HANG:
        for (;;) {
            pause();
        }
    case STAND_IN_BLAME:
        send_text(ERROR, x->run, 1, "x is not to my taste");
        return true;
    case STAND_IN_FAIL:
        send_text(ERROR, x->run, 2, "I am not well");
        return true;
    case STAND_IN_CLOSE:
        close(SOCKET);
        for (;;) {
            pause();
        }
    case STAND_IN_ORPHAN:
        if (fork() == 0) {
            pause();
        }
        _exit(6);
    case STAND_IN_CHATTER:
        for (int i = 0; i < 1000; i++) {
            dprintf(i % 2 + 1, "line %d\n", i);
        }
        return false;
    case STAND_IN_GROW:
        grow();
        return false;
    default:
        return false;
    }
}

static void serve(void)
{
    for (;;) {
        unsigned type = receive();
        if (type == END && is_mute) {
            pause();
        }
        if (type == END) {
            exit(0);
        }
        need(type == RUN, "neither RUN nor END");
        struct input x = read_run();
        int command = x.rows * x.width == 0 ? 0
                      : x.elements[0] < STAND_IN_LAST && x.elements[0] >= STAND_IN_KILL
                          ? (int)x.elements[0]
                          : 0;
        if (!obey(&x, command)) {
            answer(&x, command);
        }
        if (command == STAND_IN_STOP) {
            raise(SIGSTOP);
        } else if (command == STAND_IN_LEAVE) {
            _exit(4);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "report") == 0) {
        report();
        return 7;
    }
    if (argc > 2 && strcmp(argv[1], "say") == 0) {
        dprintf(1, "%s", argv[2]);
        return 0;
    }
    need(ftruncate(OUTPUT, OUTPUT_BYTES) == 0, "the output area cannot grow");
    output = mmap(NULL, OUTPUT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, OUTPUT, 0);
    need(output != MAP_FAILED, "the output area cannot be mapped");
    load(argc, argv);
    serve();
}
