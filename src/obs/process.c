/*
 * Reads /proc/self (proc(5)) and getrusage for the process_* metrics of the Prometheus client
 * libraries. Called at a scrape, and when a model is loaded.
 */
#include "obs/process.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"

static void measure_cpu(struct metrics *metrics)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        uint64_t seconds = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
        uint64_t micros = (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
        metrics_set(metrics, METRIC_PROCESS_CPU, seconds * 1000000u + micros);
    }
}

static bool read_memory(uint64_t *ret_virtual_bytes, uint64_t *ret_resident_bytes)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long pages[2];
    bool is_read = file != NULL && fscanf(file, "%llu %llu", &pages[0], &pages[1]) == 2;
    if (is_read) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        *ret_virtual_bytes = pages[0] * page;
        *ret_resident_bytes = pages[1] * page;
    }
    if (file != NULL) {
        fclose(file);
    }
    return is_read;
}

static void measure_memory(struct metrics *metrics)
{
    uint64_t virtual_bytes;
    uint64_t resident_bytes;
    if (read_memory(&virtual_bytes, &resident_bytes)) {
        metrics_set(metrics, METRIC_PROCESS_VIRTUAL, virtual_bytes);
        metrics_set(metrics, METRIC_PROCESS_RESIDENT, resident_bytes);
    }
}

uint64_t process_resident_bytes(void)
{
    uint64_t virtual_bytes;
    uint64_t resident_bytes;
    return read_memory(&virtual_bytes, &resident_bytes) ? resident_bytes : 0;
}

static void measure_descriptors(struct metrics *metrics)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory != NULL) {
        uint64_t count = 0;
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
            count += entry->d_name[0] != '.';
        }
        closedir(directory);
        metrics_set(metrics, METRIC_PROCESS_OPEN_FDS, count - 1); /* without our own */
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        metrics_set(metrics, METRIC_PROCESS_MAX_FDS, limit.rlim_cur);
    }
}

/* Seconds since 1970 at boot: "btime" of /proc/stat. */
static unsigned long long boot_seconds(void)
{
    unsigned long long seconds = 0;
    char line[256];
    FILE *file = fopen("/proc/stat", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "btime %llu", &seconds) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return seconds;
}

/* Field 22 of /proc/self/stat, counted after the command's closing parenthesis. */
static unsigned long long start_ticks(void)
{
    char line[1024];
    unsigned long long ticks = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    if (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *at = strrchr(line, ')');
        for (int field = 2; at != NULL && field < 22; field++) {
            at = strchr(at + 1, ' ');
        }
        ticks = at == NULL ? 0 : strtoull(at + 1, NULL, 10);
    }
    if (file != NULL) {
        fclose(file);
    }
    return ticks;
}

static void measure_start(struct metrics *metrics)
{
    unsigned long long per_second = (unsigned long long)sysconf(_SC_CLK_TCK);
    metrics_set(metrics, METRIC_PROCESS_START,
                boot_seconds() * 1000u + start_ticks() * 1000u / per_second);
}

void process_measure(struct metrics *metrics)
{
    measure_cpu(metrics);
    measure_memory(metrics);
    measure_descriptors(metrics);
    measure_start(metrics);
    metrics_set(metrics, METRIC_HEAP_ALLOCATIONS, mem_allocations());
}
