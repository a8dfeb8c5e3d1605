/*
 * Shared areas: they grow from either side, never shrink, are never mapped past their end, and give their
 * pages back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/worker_area.h"
#include "unit_tests/testing.h"

#define MAX_BYTES ((size_t)1 << 30)

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static struct worker_area new_area(size_t size_bytes)
{
    struct worker_area area;
    struct error error = {.text = ""};
    if (worker_area_new("onnxd-test", size_bytes, &area, &error) != ERR_OK) {
        fail_msg("%s", error.text);
    }
    return area;
}

static size_t file_bytes(const struct worker_area *area)
{
    struct stat file;
    assert_int_equal(fstat(area->fd, &file), 0);
    return (size_t)file.st_size;
}

static void sizes_are_whole_pages(void **state)
{
    (void)state;
    const size_t page = page_bytes();
    const size_t cases[][2] = {{0, page}, {1, page}, {page, page}, {page + 1, 2 * page}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct worker_area area = new_area(cases[i][0]);
        assert_int_equal(area.mapped_bytes, cases[i][1]);
        assert_int_equal(file_bytes(&area), cases[i][1]);
        assert_int_equal(area.at[area.mapped_bytes - 1], 0);
        area.at[area.mapped_bytes - 1] = 1;
        worker_area_done(&area);
        assert_int_equal(area.fd, -1);
        assert_null(area.at);
        worker_area_done(&area);
    }
}

/* The end of what was never made closes nothing: descriptor 0 is somebody's. */
static void a_zeroed_area_ends_too(void **state)
{
    (void)state;
    int kept = dup(0);
    struct worker_area area = {.fd = 0};
    worker_area_done(&area);
    assert_true(kept < 0 || fcntl(0, F_GETFD) >= 0);
    if (kept >= 0) {
        close(kept);
    }
}

static void nobody_can_shrink_or_seal_it(void **state)
{
    (void)state;
    struct worker_area area = new_area(3 * page_bytes());
    const int seals = F_SEAL_SHRINK | F_SEAL_SEAL; /* a system may add one against execution */
    assert_int_equal(fcntl(area.fd, F_GET_SEALS) & (seals | F_SEAL_GROW | F_SEAL_WRITE), seals);
    assert_int_equal(fcntl(area.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(ftruncate(area.fd, (off_t)page_bytes()), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(area.fd, F_ADD_SEALS, F_SEAL_GROW), -1);
    assert_int_equal(errno, EPERM);
    worker_area_done(&area);
}

static void reserving_grows_by_half_at_least(void **state)
{
    (void)state;
    const size_t page = page_bytes();
    struct error error;
    struct worker_area area = new_area(8 * page);
    memset(area.at, 'a', area.mapped_bytes);
    const char *at = area.at;
    assert_int_equal(worker_area_reserve(&area, 8 * page, &error), ERR_OK);
    assert_ptr_equal(area.at, at); /* there was room */
    assert_int_equal(worker_area_reserve(&area, 8 * page + 1, &error), ERR_OK);
    assert_int_equal(area.mapped_bytes, 12 * page);
    assert_int_equal(worker_area_reserve(&area, 100 * page - 5, &error), ERR_OK);
    assert_int_equal(area.mapped_bytes, 100 * page);
    assert_int_equal(file_bytes(&area), 100 * page);
    assert_int_equal(area.at[8 * page - 1], 'a');
    area.at[area.mapped_bytes - 1] = 'z';
    worker_area_done(&area);
}

/* The other side: another mapping of the same file. */
static void what_the_other_side_has_grown_is_mapped(void **state)
{
    (void)state;
    const size_t page = page_bytes();
    struct error error;
    struct worker_area area = new_area(page);
    area.at[0] = 'a';
    assert_int_equal(ftruncate(area.fd, (off_t)(5 * page + 100)), 0);
    assert_int_equal(pwrite(area.fd, "z", 1, (off_t)(5 * page + 99)), 1);
    assert_int_equal(worker_area_follow(&area, page, MAX_BYTES, &error), ERR_OK);
    assert_int_equal(area.mapped_bytes, page); /* nothing new is needed */
    assert_int_equal(worker_area_follow(&area, 5 * page + 100, MAX_BYTES, &error), ERR_OK);
    assert_true(area.mapped_bytes >= 5 * page + 100);
    assert_int_equal(area.at[0], 'a');
    assert_int_equal(area.at[5 * page + 99], 'z');
    assert_int_equal(worker_area_follow(&area, 10, MAX_BYTES, &error), ERR_OK);
    worker_area_done(&area);
}

static void nothing_is_mapped_that_is_not_there(void **state)
{
    (void)state;
    const size_t page = page_bytes();
    const struct {
        size_t size_bytes;
        const char *error;
    } cases[] = {
        {2 * page + 1, "bytes, it says "},
        {MAX_BYTES, "bytes, it says 1073741824"},
        {MAX_BYTES + 1, "has 1073741825 bytes, at most 1073741824"},
        {SIZE_MAX, "has 18446744073709551615 bytes, at most 1073741824"},
    };
    struct worker_area area = new_area(page);
    const struct worker_area before = area;
    assert_int_equal(ftruncate(area.fd, (off_t)(2 * page)), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        assert_int_equal(worker_area_follow(&area, cases[i].size_bytes, MAX_BYTES, &error),
                         ERR_PROTOCOL);
        assert_non_null(strstr(error.text, cases[i].error));
        assert_memory_equal(&area, &before, sizeof(area));
        area.at[page - 1] = (char)i;
    }
    worker_area_done(&area);
}

/* What fails on our side is not the other's breach. */
static void our_own_failures_are_told_apart(void **state)
{
    (void)state;
    struct worker_area area = new_area(1);
    struct error error;
    assert_int_equal(ftruncate(area.fd, (off_t)(2 * page_bytes())), 0);
    struct worker_area broken = area;
    broken.fd = -1; /* fstat(2) fails */
    assert_int_equal(worker_area_follow(&broken, 2 * page_bytes(), MAX_BYTES, &error),
                     ERR_INTERNAL);
    char path[32]; /* mmap(2) fails where the file cannot be read */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", area.fd);
    broken.fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(broken.fd >= 0);
    assert_int_equal(worker_area_follow(&broken, 2 * page_bytes(), MAX_BYTES, &error),
                     ERR_INTERNAL);
    assert_non_null(strstr(error.text, "cannot map"));
    close(broken.fd);
    assert_int_equal(worker_area_follow(&area, 2 * page_bytes(), MAX_BYTES, &error), ERR_OK);
    worker_area_done(&area);
}

static size_t resident_bytes(const struct worker_area *area)
{
    struct stat file;
    assert_int_equal(fstat(area->fd, &file), 0);
    return (size_t)file.st_blocks * 512;
}

/* Also those that only the other side has mapped; what is kept, the size and the mapping stay. */
static void pages_go_back(void **state)
{
    (void)state;
    const size_t page = page_bytes();
    struct worker_area area = new_area(8 * page);
    struct error error;
    memset(area.at, 'a', area.mapped_bytes);
    assert_int_equal(ftruncate(area.fd, (off_t)(16 * page)), 0);
    assert_int_equal(pwrite(area.fd, "z", 1, (off_t)(15 * page)), 1);
    assert_int_equal(resident_bytes(&area), 9 * page);
    const struct worker_area before = area;
    worker_area_trim(&area, page + 1);
    assert_memory_equal(&area, &before, sizeof(area));
    assert_int_equal(resident_bytes(&area), 2 * page);
    assert_int_equal(file_bytes(&area), 16 * page);
    assert_int_equal(area.at[2 * page - 1], 'a');
    assert_int_equal(area.at[2 * page], 0);
    area.at[8 * page - 1] = 'b';
    assert_int_equal(worker_area_follow(&area, 16 * page, MAX_BYTES, &error), ERR_OK);
    assert_int_equal(area.at[8 * page - 1], 'b');
    assert_int_equal(area.at[15 * page], 0);
    worker_area_trim(&area, 16 * page);
    worker_area_trim(&area, SIZE_MAX);
    assert_int_equal(area.at[8 * page - 1], 'b');
    worker_area_done(&area);
}

/* Where the system refuses, there is an error, the old mapping, and no descriptor left open. */
static void failures_leave_what_there_was(void **state)
{
    (void)state;
    static const size_t too_large[] = {(size_t)1 << 60, (size_t)INT64_MAX, SIZE_MAX};
    int next = dup(0);
    struct worker_area area = new_area(1);
    const struct worker_area before = area;
    struct worker_area none;
    struct error error;
    for (size_t i = 0; i < sizeof(too_large) / sizeof(too_large[0]); i++) {
        assert_int_not_equal(worker_area_new("onnxd-test", too_large[i], &none, &error), ERR_OK);
        assert_true(error.text[0] != '\0');
        assert_int_not_equal(worker_area_reserve(&area, too_large[i], &error), ERR_OK);
        assert_memory_equal(&area, &before, sizeof(area));
        area.at[0] = 1;
    }
    assert_int_equal(worker_area_reserve(&area, 3 * page_bytes(), &error), ERR_OK);
    assert_int_equal(area.mapped_bytes, 3 * page_bytes());
    worker_area_done(&area);
    if (next >= 0) {
        close(next);
        assert_int_equal(dup(0), next);
        close(next);
    }
}

static void descriptors_may_be_used_up(void **state)
{
    (void)state;
    struct rlimit limit;
    struct worker_area area;
    struct error error;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int status = worker_area_new("onnxd-test", 1, &area, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(status, ERR_INTERNAL);
    assert_non_null(strstr(error.text, "Too many open files"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_whole_pages),
        cmocka_unit_test(a_zeroed_area_ends_too),
        cmocka_unit_test(nobody_can_shrink_or_seal_it),
        cmocka_unit_test(reserving_grows_by_half_at_least),
        cmocka_unit_test(what_the_other_side_has_grown_is_mapped),
        cmocka_unit_test(nothing_is_mapped_that_is_not_there),
        cmocka_unit_test(our_own_failures_are_told_apart),
        cmocka_unit_test(pages_go_back),
        cmocka_unit_test(failures_leave_what_there_was),
        cmocka_unit_test(descriptors_may_be_used_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
