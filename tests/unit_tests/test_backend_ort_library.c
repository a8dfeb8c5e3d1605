/*
 * Loading the runtime: what cannot be loaded and what is said, once for many threads, and nothing sent
 * or written by it. A process loads a runtime once, so the order of the tests matters.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit_tests/backend_testing.h"

#define THREADS 4

static void refuses_what_is_no_runtime(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *why;
    } cases[] = {
        {"/nowhere/libonnxruntime.so", "cannot open shared object file: No such file or directory"},
        {TEST_DATA_DIR "/models/add2/model.onnx", "cannot be loaded: "},
        {TEST_DATA_DIR, "cannot be loaded: "},
        {"libdl.so.2", "libdl.so.2 is not an ONNX Runtime library"},
        {OLD_RUNTIME, " is ONNX Runtime 1.4.0; 1.15 or newer is needed"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {.code = ERR_OK};
        assert_null(backend_ort.version(cases[i].path, &error));
        assert_int_equal(error.code, ERR_CONFIG);
        if (strstr(error.text, cases[i].why) == NULL) {
            fail_msg("%s", error.text);
        }
    }
    char path[2048];
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    struct error error;
    assert_null(backend_ort.version(path, &error));
    assert_non_null(strstr(error.text, "too long"));
}

/* The test stands two levels below its build tree, from where the search path leads nowhere. */
/*
 * In a process of its own, as a machine may have a runtime on its library path: once loaded it would
 * stay for the tests that follow.
 */
static void names_what_was_searched(void **state)
{
    (void)state;
    int ends[2];
    struct error error = {.text = ""};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const char *version = backend_ort.version(NULL, &error);
        const char *said = version == NULL ? error.text : "";
        _exit(write(ends[1], said, strlen(said)) < 0);
    }
    close(ends[1]);
    ssize_t len = read(ends[0], error.text, sizeof(error.text) - 1);
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(len >= 0);
    if (len == 0) {
        print_message("this machine has a runtime on its library path\n");
        return;
    }
    assert_non_null(strstr(error.text, "libonnxruntime.so.1"));
    assert_non_null(strstr(error.text, "../lib/onnxd"));
    assert_non_null(strstr(error.text, "/tests)"));
    assert_non_null(strstr(error.text, "library path"));
}

static void *load(void *result)
{
    struct error error;
    *(const char **)result = backend_ort.version(RUNTIME_LIBRARY, &error);
    return NULL;
}

static void loads_once_for_all_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    const char *versions[THREADS] = {NULL};
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, load, &versions[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_non_null(versions[i]);
        assert_ptr_equal(versions[i], versions[0]);
    }
    assert_string_equal(getenv("ORT_DISABLE_TELEMETRY"), "1");
}

static unsigned count_sockets(void)
{
    unsigned sockets = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[300];
        char target[300];
        snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        ssize_t len = readlink(path, target, sizeof(target));
        sockets += len >= 7 && memcmp(target, "socket:", 7) == 0;
    }
    closedir(directory);
    return sockets;
}

static void sends_and_writes_nothing(void **state)
{
    const char *home = *state;
    unsigned before = count_sockets();
    struct backend_model *model = open_test_model("add2");
    backend_ort.close(model);
    assert_true(count_sockets() <= before);
    DIR *directory = opendir(home);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            fail_msg("the runtime made %s in the home directory", entry->d_name);
        }
    }
    closedir(directory);
}

static int make_home(void **state)
{
    static char home[] = "/tmp/onnxd-home-XXXXXX";
    *state = home;
    return mkdtemp(home) == NULL || setenv("HOME", home, 1) != 0 || unsetenv("XDG_CACHE_HOME") != 0;
}

static int remove_home(void **state)
{
    return rmdir(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_runtime),
        cmocka_unit_test(names_what_was_searched),
        cmocka_unit_test(loads_once_for_all_threads),
        cmocka_unit_test(sends_and_writes_nothing),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
