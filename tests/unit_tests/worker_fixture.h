/*
 * For tests of worker processes: an observer whose lines can be waited for, the stand-in as the program,
 * and proof that nothing is left behind.
 */
#ifndef WORKER_FIXTURE_H
#define WORKER_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "backend/backend.h"
#include "unit_tests/testing.h"
#include "unit_tests/worker_stand_in.h"

#define LINES_MAX 4096
#define PATIENCE_S 60 /* after so long a test has failed; none waits for it */

/* ---- what the observer was told ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *lines[LINES_MAX];
    size_t count;
    int inside; /* calls at the moment */
    bool healthy;
    unsigned health_changes;
} told = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline void told_line(void *user, enum log_level level, const char *text)
{
    (void)user;
    (void)level;
    pthread_mutex_lock(&told.lock);
    if (told.count < LINES_MAX) {
        told.lines[told.count] = strdup(text);
        told.count++;
    }
    pthread_cond_broadcast(&told.changed);
    pthread_mutex_unlock(&told.lock);
}

static inline void told_health(void *user, bool healthy)
{
    (void)user;
    pthread_mutex_lock(&told.lock);
    told.healthy = healthy;
    told.health_changes++;
    pthread_cond_broadcast(&told.changed);
    pthread_mutex_unlock(&told.lock);
}

static const struct backend_observer observer = {.line = told_line, .health = told_health};

static inline void told_reset(void)
{
    pthread_mutex_lock(&told.lock);
    for (size_t i = 0; i < told.count; i++) {
        free(told.lines[i]);
    }
    told.count = 0;
    told.healthy = true;
    told.health_changes = 0;
    pthread_mutex_unlock(&told.lock);
}

static inline void told_wait(const char *what)
{
    struct timespec due;
    clock_gettime(CLOCK_REALTIME, &due);
    due.tv_sec += PATIENCE_S;
    if (pthread_cond_timedwait(&told.changed, &told.lock, &due) == ETIMEDOUT) {
        for (size_t i = 0; i < told.count; i++) {
            print_message("%s\n", told.lines[i]);
        }
        pthread_mutex_unlock(&told.lock);
        fail_msg("nobody said: %s", what);
    }
}

/* How many lines have the part in them. */
static inline unsigned told_count(const char *part)
{
    unsigned count = 0;
    pthread_mutex_lock(&told.lock);
    for (size_t i = 0; i < told.count; i++) {
        count += strstr(told.lines[i], part) != NULL;
    }
    pthread_mutex_unlock(&told.lock);
    return count;
}

/* Waits until so many lines have it; returns the last of them. */
static inline const char *told_until(const char *part, unsigned wanted)
{
    pthread_mutex_lock(&told.lock);
    for (;;) {
        unsigned count = 0;
        const char *line = NULL;
        for (size_t i = 0; i < told.count && count < wanted; i++) {
            if (strstr(told.lines[i], part) != NULL) {
                count++;
                line = told.lines[i];
            }
        }
        if (count == wanted) {
            pthread_mutex_unlock(&told.lock);
            return line;
        }
        told_wait(part);
    }
}

static inline void told_until_health(unsigned changes, bool healthy)
{
    pthread_mutex_lock(&told.lock);
    while (told.health_changes < changes) {
        told_wait("health");
    }
    assert_int_equal(told.health_changes, changes);
    assert_int_equal(told.healthy, healthy);
    pthread_mutex_unlock(&told.lock);
}

/* ---- what is left behind ---- */

static inline unsigned open_fds(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static inline unsigned mapped_areas(void)
{
    char line[4096];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        count += strstr(line, "memfd:onnxd") != NULL;
    }
    fclose(maps);
    return count;
}

/* In memory, of all areas that are open. */
static inline uint64_t area_bytes(void)
{
    uint64_t bytes = 0;
    for (int fd = 0; fd < 1024; fd++) {
        struct stat file;
        if (fcntl(fd, F_GET_SEALS) >= 0 && fstat(fd, &file) == 0) {
            bytes += (uint64_t)file.st_blocks * 512;
        }
    }
    return bytes;
}

static unsigned fds_before;

static inline int remember(void **state)
{
    (void)state;
    told_reset();
    fds_before = open_fds();
    return 0;
}

static inline int nothing_is_left(void **state)
{
    (void)state;
    told_reset();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* neither a process nor a zombie */
    assert_int_equal(errno, ECHILD);
    assert_int_equal(open_fds(), fds_before);
    assert_int_equal(mapped_areas(), 0);
    return 0;
}

#define TIDY(test) cmocka_unit_test_setup_teardown(test, remember, nothing_is_left)

/* ---- the stand-in as a model ---- */

static inline struct backend_options stand_in_options(const char *command)
{
    return (struct backend_options){
        .path = "/nowhere/model",
        .worker = {.kind = "sklearn",
                   .count = 1,
                   .threads = 2,
                   .command = slice_from_str(command),
                   .start_timeout_ns = UINT64_C(60000000000)},
        .observer = &observer,
    };
}

static inline struct backend_model *open_stand_in(const struct backend_options *options)
{
    struct backend_model *model = NULL;
    struct error error = {.text = ""};
    if (backend_worker.open(options, &model, &error) != ERR_OK) {
        fail_msg("%s", error.text);
    }
    return model;
}

/* What a run of one row [first, 2] within limits comes to; on success the answer is checked. */
static inline int run_stand_in_within(struct backend_model *model, double first,
                                      const struct backend_limits *limits, struct error *error)
{
    static const size_t wanted[] = {1, 0};
    struct tensor x;
    struct value values[2];
    *error = (struct error){.text = ""};
    assert_int_equal(tensor_new(DTYPE_F64, 2, (const int64_t[]){1, 2}, &x, error), ERR_OK);
    ((double *)x.at)[0] = first;
    ((double *)x.at)[1] = 2;
    int status = backend_worker.run_within(model, &x, wanted, 2, limits, NULL, values, error);
    if (status == ERR_OK) {
        assert_memory_equal(values[1].tensor.at, x.at, 2 * sizeof(double));
        double sum = first + 2;
        assert_memory_equal(values[0].tensor.at, &sum, sizeof(sum));
        value_done(&values[0]);
        value_done(&values[1]);
    }
    tensor_done(&x);
    return status;
}

static inline int run_stand_in(struct backend_model *model, double first, struct error *error)
{
    static const struct backend_limits none;
    return run_stand_in_within(model, first, &none, error);
}

static inline struct backend_figures figures_of(struct backend_model *model)
{
    struct backend_figures figures;
    backend_worker.measure(model, &figures);
    return figures;
}

#endif
