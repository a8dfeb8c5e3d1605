/*
 * Control groups as the kernel shows them: /proc/self/cgroup names the process's group in each
 * hierarchy, /proc/self/mountinfo where that hierarchy is mounted and which group is the mount's
 * root (cgroups(7), proc(5)). Only the CPU bandwidth files are read:
 * cpu.max in version 2, cpu.cfs_quota_us and cpu.cfs_period_us in version 1.
 */
#include "config/cpu_quota.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/slice.h"

#define LINE_BYTES_MAX (2 * PATH_MAX)
#define AFFINITY_SETS 8          /* of 1024 CPUs */
#define DEFAULT_PERIOD_US 100000 /* of cpu.max, where the file does not say */

/* One hierarchy the process is in: where its files are. */
struct hierarchy {
    bool unified;         /* version 2 */
    char mount[PATH_MAX]; /* below the root directory */
    char group[PATH_MAX]; /* the process's group, below the mount: "" or "/a/b" */
};

static bool read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool got = fgets(line, (int)size, file) != NULL;
    fclose(file);
    if (got) {
        line[strcspn(line, "\n")] = '\0';
    }
    return got;
}

static bool has_item(struct slice list, struct slice item)
{
    while (list.ptr != NULL) {
        if (slice_eq(slice_cut(&list, ','), item)) {
            return true;
        }
    }
    return false;
}

/* The next line; one that does not fit is skipped whole. */
static bool next_line(FILE *file, char *line, size_t size)
{
    while (fgets(line, (int)size, file) != NULL) {
        size_t len = strcspn(line, "\n");
        if (line[len] == '\n') {
            line[len] = '\0';
            return true;
        }
        int byte;
        do {
            byte = getc(file);
        } while (byte != '\n' && byte != EOF);
        if (byte == EOF) {
            return false;
        }
    }
    return false;
}

static bool store(struct slice text, char *path)
{
    if (text.len >= PATH_MAX) {
        return false;
    }
    memcpy(path, text.ptr, text.len);
    path[text.len] = '\0';
    return true;
}

/* The group of "3:cpu,cpuacct:/a/b" or "0::/a/b" in proc/self/cgroup. */
static bool find_group(const char *root, bool unified, char *ret_group)
{
    char path[PATH_MAX], line[LINE_BYTES_MAX];
    bool found = false;
    int len = snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *file = len > 0 && (size_t)len < sizeof(path) ? fopen(path, "re") : NULL;
    while (file != NULL && !found && next_line(file, line, sizeof(line))) {
        struct slice rest = slice_from_str(line);
        struct slice number = slice_cut(&rest, ':');
        struct slice controllers = rest.ptr == NULL ? rest : slice_cut(&rest, ':');
        bool wanted = unified ? slice_eq(number, SLICE("0")) && controllers.len == 0
                              : has_item(controllers, SLICE("cpu"));
        found = wanted && rest.ptr != NULL && store(rest, ret_group);
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* proc writes space, tab, newline and backslash in paths as three octal digits. */
static void unescape(char *path)
{
    char *to = path;
    for (const char *from = path; *from != '\0'; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* What a line of proc/self/mountinfo says of one mount. */
struct mount {
    struct slice group;   /* the group that is the mount's root */
    struct slice point;   /* where it is mounted */
    struct slice kind;    /* "cgroup", "cgroup2" */
    struct slice options; /* of the file system: controllers in version 1 */
};

/* "36 25 0:31 /group /point rw,... shared:1 - cgroup cgroup rw,cpu,cpuacct" (proc(5)) */
static struct mount cut_mount(struct slice line)
{
    struct mount mount = {.options = {NULL, 0}};
    for (int field = 0; line.ptr != NULL; field++) {
        struct slice text = slice_cut(&line, ' ');
        mount.group = field == 3 ? text : mount.group;
        mount.point = field == 4 ? text : mount.point;
        if (field > 5 && slice_eq(text, SLICE("-"))) {
            break;
        }
    }
    if (line.ptr != NULL) {
        mount.kind = slice_cut(&line, ' ');
    }
    if (line.ptr != NULL) {
        (void)slice_cut(&line, ' ');
        mount.options = line;
    }
    return mount;
}

/*
 * The group below the mount: a container that sees the host's group names has its own group mounted
 * as the root. A group outside of the mount (with "..", or another branch) counts as the root.
 */
static void make_relative(char *group, const char *mount_group)
{
    size_t len = strcmp(mount_group, "/") == 0 ? 0 : strlen(mount_group);
    bool inside =
        strncmp(group, mount_group, len) == 0 && (group[len] == '/' || group[len] == '\0');
    if (!inside || strstr(group, "/..") != NULL || strcmp(group + len, "/") == 0) {
        group[0] = '\0';
        return;
    }
    memmove(group, group + len, strlen(group + len) + 1);
}

static bool find_mount(const char *root, bool unified, struct hierarchy *hierarchy)
{
    char path[PATH_MAX], line[LINE_BYTES_MAX], mount_group[PATH_MAX];
    bool found = false;
    int len = snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
    FILE *file = len > 0 && (size_t)len < sizeof(path) ? fopen(path, "re") : NULL;
    while (file != NULL && !found && next_line(file, line, sizeof(line))) {
        struct mount mount = cut_mount(slice_from_str(line));
        bool wanted = unified ? slice_eq(mount.kind, SLICE("cgroup2"))
                              : slice_eq(mount.kind, SLICE("cgroup")) &&
                                    has_item(mount.options, SLICE("cpu"));
        found = wanted && store(mount.group, mount_group) && store(mount.point, hierarchy->mount);
    }
    if (file != NULL) {
        fclose(file);
    }
    if (found) {
        unescape(mount_group);
        unescape(hierarchy->mount);
        make_relative(hierarchy->group, mount_group);
    }
    return found;
}

/* quota / period rounded up; 0: no limit. */
static unsigned cpus_of(struct slice quota, struct slice period)
{
    uint64_t quota_us, period_us = DEFAULT_PERIOD_US;
    if (!num_parse_u64(quota, &quota_us) || quota_us == 0 || /* "max" and "-1" are no limit */
        (period.len > 0 && !num_parse_u64(period, &period_us)) || period_us == 0) {
        return 0;
    }
    uint64_t cpus = quota_us / period_us + (quota_us % period_us != 0);
    return cpus > UINT_MAX ? 0 : (unsigned)cpus;
}

static bool read_group_file(const char *root, const struct hierarchy *hierarchy, const char *name,
                            char *line, size_t size)
{
    char path[2 * PATH_MAX];
    int len =
        snprintf(path, sizeof(path), "%s%s%s/%s", root, hierarchy->mount, hierarchy->group, name);
    return len > 0 && (size_t)len < sizeof(path) && read_line(path, line, size);
}

/* The limit of one group; 0: none. */
static unsigned group_limit(const char *root, const struct hierarchy *hierarchy)
{
    char first[64], second[64];
    if (hierarchy->unified) {
        if (!read_group_file(root, hierarchy, "cpu.max", first, sizeof(first))) {
            return 0;
        }
        struct slice rest = slice_from_str(first);
        struct slice quota = slice_cut(&rest, ' ');
        return cpus_of(quota, rest.ptr == NULL ? SLICE("") : rest);
    }
    if (!read_group_file(root, hierarchy, "cpu.cfs_quota_us", first, sizeof(first)) ||
        !read_group_file(root, hierarchy, "cpu.cfs_period_us", second, sizeof(second))) {
        return 0;
    }
    return cpus_of(slice_from_str(first), slice_from_str(second));
}

/* The smallest limit on the way up; 0: none. */
static unsigned hierarchy_limit(const char *root, bool unified)
{
    struct hierarchy hierarchy = {.unified = unified};
    unsigned least = 0;
    if (!find_group(root, unified, hierarchy.group) || !find_mount(root, unified, &hierarchy)) {
        return 0;
    }
    for (;;) {
        unsigned limit = group_limit(root, &hierarchy);
        least = limit != 0 && (least == 0 || limit < least) ? limit : least;
        char *slash = strrchr(hierarchy.group, '/');
        if (slash == NULL) {
            return least;
        }
        *slash = '\0';
    }
}

unsigned cpu_quota_below(const char *root, unsigned affinity)
{
    unsigned cpus = affinity == 0 ? 1 : affinity;
    for (int version = 1; version <= 2; version++) {
        unsigned limit = hierarchy_limit(root, version == 2);
        cpus = limit != 0 && limit < cpus ? limit : cpus;
    }
    return cpus;
}

unsigned cpu_quota(void)
{
    cpu_set_t allowed[AFFINITY_SETS]; /* one set alone fails on a kernel built for more CPUs */
    int count = sched_getaffinity(0, sizeof(allowed), allowed) == 0
                    ? CPU_COUNT_S(sizeof(allowed), allowed)
                    : 1;
    return cpu_quota_below("", count < 1 ? 1 : (unsigned)count);
}
