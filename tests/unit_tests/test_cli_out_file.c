/* Files that appear complete or not at all, and leave nothing behind. */
#include "cli/out_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "unit_tests/testing.h"

struct place {
    char directory[64];
    char path[128];
};

static int make_place(void **state)
{
    static struct place place;
    snprintf(place.directory, sizeof(place.directory), "/tmp/onnxd-test-XXXXXX");
    assert_non_null(mkdtemp(place.directory));
    snprintf(place.path, sizeof(place.path), "%s/answer", place.directory);
    *state = &place;
    return 0;
}

/* Files there are, by name; at most one is expected. */
static unsigned list(const struct place *place, char *ret_name, size_t size)
{
    DIR *directory = opendir(place->directory);
    unsigned count = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            snprintf(ret_name, size, "%s", entry->d_name);
            count++;
        }
    }
    closedir(directory);
    return count;
}

static int remove_place(void **state)
{
    const struct place *place = *state;
    char name[256];
    while (list(place, name, sizeof(name)) > 0) {
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", place->directory, name);
        assert_int_equal(remove(path), 0);
    }
    return rmdir(place->directory);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_content(const char *path, const char *want)
{
    char text[256];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    assert_string_equal(text, want);
}

static void appears_at_the_commit(void **state)
{
    const struct place *place = *state;
    struct out_file file;
    struct error error;
    char name[256];
    assert_int_equal(out_file_open(&file, place->path, &error), ERR_OK);
    assert_int_equal(out_file_put(&file, SLICE("header\n"), &error), ERR_OK);
    assert_int_equal(out_file_put(&file, SLICE("one\n"), &error), ERR_OK);
    assert_int_not_equal(access(place->path, F_OK), 0);
    assert_true(out_file_can_rewrite(&file));
    assert_int_equal(out_file_rewrite(&file, SLICE("HEAD"), &error), ERR_OK);
    assert_int_equal(out_file_put(&file, SLICE("two\n"), &error), ERR_OK);
    assert_int_equal(file.len, 15);
    assert_int_equal(out_file_commit(&file, &error), ERR_OK);
    out_file_drop(&file);
    assert_content(place->path, "HEADer\none\ntwo\n");
    assert_int_equal(list(place, name, sizeof(name)), 1);

    struct stat status;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0666 & ~mask);
}

static void leaves_the_old_file_when_dropped(void **state)
{
    const struct place *place = *state;
    struct out_file file;
    struct error error;
    char name[256];
    write_file(place->path, "old");
    assert_int_equal(out_file_open(&file, place->path, &error), ERR_OK);
    assert_int_equal(out_file_put(&file, SLICE("new"), &error), ERR_OK);
    out_file_drop(&file);
    assert_content(place->path, "old");
    assert_int_equal(list(place, name, sizeof(name)), 1);
}

static void keeps_permissions_and_links(void **state)
{
    const struct place *place = *state;
    struct out_file file;
    struct error error;
    struct stat status;
    char link_path[160];
    snprintf(link_path, sizeof(link_path), "%s/link", place->directory);
    write_file(place->path, "old");
    assert_int_equal(chmod(place->path, 0640), 0);
    assert_int_equal(symlink("answer", link_path), 0);
    assert_int_equal(out_file_open(&file, link_path, &error), ERR_OK);
    assert_int_equal(out_file_put(&file, SLICE("new"), &error), ERR_OK);
    assert_int_equal(out_file_commit(&file, &error), ERR_OK);
    out_file_drop(&file);
    assert_content(place->path, "new");
    assert_int_equal(lstat(link_path, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

static void replaces_no_device(void **state)
{
    (void)state;
    struct out_file file;
    struct error error;
    struct stat status;
    assert_int_equal(out_file_open(&file, "/dev/null", &error), ERR_OK);
    assert_false(out_file_can_rewrite(&file));
    assert_int_equal(out_file_put(&file, SLICE("gone"), &error), ERR_OK);
    assert_int_equal(out_file_commit(&file, &error), ERR_OK);
    out_file_drop(&file);
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

static void refuses_places_that_are_none(void **state)
{
    const struct place *place = *state;
    struct out_file file;
    struct error error;
    char path[160];
    snprintf(path, sizeof(path), "%s/none/answer", place->directory);
    assert_int_equal(out_file_open(&file, path, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, "No such file or directory"));
    assert_non_null(strstr(error.text, path));
    assert_int_equal(out_file_open(&file, place->directory, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, "is a directory"));
}

static void says_when_the_disk_is_full(void **state)
{
    (void)state;
    struct out_file file;
    struct error error;
    if (access("/dev/full", W_OK) != 0) {
        skip();
    }
    assert_int_equal(out_file_open(&file, "/dev/full", &error), ERR_OK);
    assert_int_equal(out_file_put(&file, SLICE("text"), &error), ERR_OK); /* still pending */
    assert_int_equal(out_file_commit(&file, &error), ERR_INTERNAL);
    assert_non_null(strstr(error.text, "No space left on device"));
    out_file_drop(&file);
}

/* Larger than what is held back, so that every path of writing is taken. */
static void copies_spools(void **state)
{
    const struct place *place = *state;
    struct out_file file;
    struct out_file spool;
    struct error error;
    char name[256];
    static char big[200000];
    memset(big, 'x', sizeof(big));
    assert_int_equal(out_file_open(&file, place->path, &error), ERR_OK);
    assert_int_equal(out_file_open_spool(&spool, place->path, &error), ERR_OK);
    assert_int_equal(list(place, name, sizeof(name)), 1); /* the spool has no name */
    assert_int_equal(out_file_put(&spool, slice_make(big, sizeof(big)), &error), ERR_OK);
    assert_int_equal(out_file_put(&spool, SLICE("end"), &error), ERR_OK);
    assert_int_equal(out_file_put(&file, SLICE("begin"), &error), ERR_OK);
    assert_int_equal(out_file_put_spool(&file, &spool, &error), ERR_OK);
    assert_int_equal(out_file_commit(&file, &error), ERR_OK);
    out_file_drop(&spool);
    out_file_drop(&file);

    FILE *read = fopen(place->path, "r");
    assert_non_null(read);
    static char text[sizeof(big) + 100];
    size_t len = fread(text, 1, sizeof(text), read);
    fclose(read);
    assert_int_equal(len, sizeof(big) + 8);
    assert_memory_equal(text, "begin", 5);
    assert_memory_equal(text + 5, big, sizeof(big));
    assert_memory_equal(text + 5 + sizeof(big), "end", 3);
}

static void survives_missing_memory(void **state)
{
    const struct place *place = *state;
    char name[256];
    int status = ERR_NO_MEMORY;
    unsigned failures = 0;
    for (uint64_t nth = 1; status != ERR_OK; nth++) {
        struct out_file file;
        struct error error;
        mem_fail_nth(nth);
        status = out_file_open(&file, place->path, &error);
        if (status == ERR_OK) {
            status = out_file_put(&file, SLICE("text"), &error);
            status = status == ERR_OK ? out_file_commit(&file, &error) : status;
            out_file_drop(&file);
        }
        mem_fail_nth(0);
        if (status != ERR_OK) {
            assert_int_equal(status, ERR_NO_MEMORY);
            assert_int_equal(list(place, name, sizeof(name)), 0);
            failures++;
        }
    }
    assert_int_equal(failures, 3);
    assert_content(place->path, "text");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(appears_at_the_commit),
        TEST(leaves_the_old_file_when_dropped),
        TEST(keeps_permissions_and_links),
        cmocka_unit_test(replaces_no_device),
        TEST(refuses_places_that_are_none),
        cmocka_unit_test(says_when_the_disk_is_full),
        TEST(copies_spools),
        TEST(survives_missing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
