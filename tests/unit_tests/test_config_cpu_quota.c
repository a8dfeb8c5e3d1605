/* CPU quotas, over trees of files as the kernel would show them. */
#include "config/cpu_quota.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "unit_tests/testing.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PATH_BYTES 512

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT                                                                                   \
    "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
#define OTHER_MOUNTS                                                                               \
    "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"                                               \
    "31 30 0:27 / /sys/fs/cgroup/cpuset rw shared:8 - cgroup cgroup rw,cpuset\n"

struct file {
    const char *path, *text;
};

static const struct {
    const char *what;
    const char *cgroup, *mountinfo; /* NULL: no such file */
    struct file files[6];
    unsigned affinity, expected;
} cases[] = {
    {"no files at all", NULL, NULL, {{0}}, 4, 4},
    {"no affinity known", NULL, NULL, {{0}}, 0, 1},
    {"version 2 without a limit",
     "0::/a\n",
     OTHER_MOUNTS V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "max 100000\n"}},
     8,
     8},
    {"version 2, whole CPUs",
     "0::/a\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "200000 100000\n"}},
     8,
     2},
    {"a part is rounded up",
     "0::/a\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "150000 100000\n"}},
     8,
     2},
    {"less than one is one",
     "0::/a\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "1000 100000\n"}},
     8,
     1},
    {"affinity is less",
     "0::/a\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "800000 100000\n"}},
     3,
     3},
    {"the period may be missing",
     "0::/a\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "300000\n"}},
     8,
     3},
    {"a parent is smaller",
     "0::/a/b/c\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "200000 100000\n"},
      {"/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
      {"/sys/fs/cgroup/a/b/c/cpu.max", "500000 100000\n"}},
     8,
     2},
    {"a parent is larger",
     "0::/a/b\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "700000 100000\n"},
      {"/sys/fs/cgroup/a/b/cpu.max", "500000 100000\n"}},
     8,
     5},
    {"the mount's own root",
     "0::/\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/cpu.max", "400000 100000\n"}},
     8,
     4},
    {"a group outside of the namespace",
     "0::/../../x\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/cpu.max", "400000 100000\n"}},
     8,
     4},
    {"a container's group is the mount's root",
     "0::/docker/abc/sub\n",
     "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
     {{"/sys/fs/cgroup/cpu.max", "600000 100000\n"},
      {"/sys/fs/cgroup/sub/cpu.max", "500000 100000\n"}},
     8,
     5},
    {"a name that only starts like the mount's root",
     "0::/docker/abcd\n",
     "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
     {{"/sys/fs/cgroup/cpu.max", "600000 100000\n"}, {"/sys/fs/cgroup/d/cpu.max", "1 100000\n"}},
     8,
     6},
    {"version 1",
     "3:cpu,cpuacct:/a\n2:cpuset:/z\n",
     OTHER_MOUNTS V1_MOUNT,
     {{"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}},
     8,
     3},
    {"version 1 without a limit",
     "3:cpu,cpuacct:/a\n",
     V1_MOUNT,
     {{"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}},
     8,
     8},
    {"version 1, a parent is smaller",
     "3:cpu,cpuacct:/a/b\n",
     V1_MOUNT,
     {{"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "50000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "300000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"}},
     8,
     1},
    {"version 1, no period",
     "3:cpu,cpuacct:/a\n",
     V1_MOUNT,
     {{"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "100000\n"}},
     8,
     8},
    {"both versions at once",
     "3:cpu:/a\n0::/b\n",
     "40 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
     "41 30 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
     {{"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "400000\n"},
      {"/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"},
      {"/sys/fs/cgroup/unified/b/cpu.max", "300000 100000\n"}},
     8,
     3},
    {"a mount point with a space",
     "0::/a b\n",
     "30 23 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n",
     {{"/sys/fs/c group/a b/cpu.max", "200000 100000\n"}},
     8,
     2},
    {"a group with colons",
     "0::/a:b\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a:b/cpu.max", "200000 100000\n"}},
     8,
     2},
    {"a process in no group", "", V2_MOUNT, {{"/sys/fs/cgroup/cpu.max", "100000 100000\n"}}, 8, 8},
    {"no mount", "0::/a\n", OTHER_MOUNTS, {{"/sys/fs/cgroup/a/cpu.max", "1 1\n"}}, 8, 8},
    {"nonsense in cpu.max",
     "0::/a\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "many some\n"}},
     8,
     8},
    {"a period of 0", "0::/a\n", V2_MOUNT, {{"/sys/fs/cgroup/a/cpu.max", "100000 0\n"}}, 8, 8},
    {"a quota of 0", "0::/a\n", V2_MOUNT, {{"/sys/fs/cgroup/a/cpu.max", "0 100000\n"}}, 8, 8},
    {"a quota past every count",
     "0::/a\n",
     V2_MOUNT,
     {{"/sys/fs/cgroup/a/cpu.max", "18446744073709551615 1\n"}},
     8,
     8},
    {"an empty cpu.max", "0::/a\n", V2_MOUNT, {{"/sys/fs/cgroup/a/cpu.max", ""}}, 8, 8},
    {"nonsense in proc",
     "0\n:\n::\n0:cpu\n\n",
     "- -\n1 2 3 4 5 6 -\n1 2 3 4 5 6 - cgroup2\n",
     {{"/sys/fs/cgroup/cpu.max", "1 1\n"}},
     8,
     8},
};

static void write_file(const char *root, const char *path, const char *text)
{
    char whole[PATH_BYTES];
    int len = snprintf(whole, sizeof(whole), "%s%s", root, path);
    assert_true(len > 0 && (size_t)len < sizeof(whole));
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(whole, 0700);
        *at = '/';
    }
    FILE *file = fopen(whole, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void make_root(char *root)
{
    assert_non_null(mkdtemp(root));
}

static void remove_root(const char *root)
{
    assert_int_equal(nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void follows_the_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char root[] = "cpu_quota_test_XXXXXX";
        make_root(root);
        if (cases[i].cgroup != NULL) {
            write_file(root, "/proc/self/cgroup", cases[i].cgroup);
        }
        if (cases[i].mountinfo != NULL) {
            write_file(root, "/proc/self/mountinfo", cases[i].mountinfo);
        }
        for (size_t j = 0; j < COUNT_OF(cases[i].files) && cases[i].files[j].path != NULL; j++) {
            write_file(root, cases[i].files[j].path, cases[i].files[j].text);
        }
        unsigned cpus = cpu_quota_below(root, cases[i].affinity);
        remove_root(root);
        if (cpus != cases[i].expected) {
            fail_msg("%s: %u, not %u", cases[i].what, cpus, cases[i].expected);
        }
    }
}

/* A line that does not fit is skipped, and those behind it still count. */
static void skips_lines_that_are_too_long(void **state)
{
    (void)state;
    char root[] = "cpu_quota_test_XXXXXX";
    size_t size = 20000;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text + size - sizeof("\n" V2_MOUNT), "\n" V2_MOUNT, sizeof("\n" V2_MOUNT));
    make_root(root);
    write_file(root, "/proc/self/mountinfo", text);
    memset(text, 'y', size);
    memcpy(text + size - sizeof("\n0::/a\n"), "\n0::/a\n", sizeof("\n0::/a\n"));
    write_file(root, "/proc/self/cgroup", text);
    write_file(root, "/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    unsigned cpus = cpu_quota_below(root, 8);
    memset(text, '/', size);
    text[size - 1] = '\0';
    assert_int_equal(cpu_quota_below(text, 8), 8); /* a root that is too long is no tree */
    remove_root(root);
    free(text);
    assert_int_equal(cpus, 2);
}

static void this_machine_has_a_cpu(void **state)
{
    (void)state;
    assert_in_range(cpu_quota(), 1, 8192);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_files),
        cmocka_unit_test(skips_lines_that_are_too_long),
        cmocka_unit_test(this_machine_has_a_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
