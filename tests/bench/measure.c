/*
 * Timing for the programs of the bench. Every call is timed by itself, so that a percentile can be
 * told from the mean; the clock costs some 25 ns a call, which is why nothing shorter than a
 * microsecond is judged by these figures.
 */
#include "bench/measure.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

#define MAX_SAMPLES (1U << 20)
#define WARM_UP_CALLS 3
#define MIN_CALLS 3

_Noreturn void measure_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

uint64_t measure_parse_count(const char *text, uint64_t max, const char *what)
{
    uint64_t value;
    if (!num_parse_u64(slice_from_str(text), &value) || value < 1 || value > max) {
        measure_fail("%s must be a number from 1 to %" PRIu64 ", not '%s'", what, max, text);
    }
    return value;
}

struct slice measure_read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        measure_fail("cannot open %s", path);
    }
    long size = ftell(file);
    rewind(file);
    char *content = size < 0 ? NULL : mem_alloc((size_t)size + 1);
    if (content == NULL || fread(content, 1, (size_t)size, file) != (size_t)size) {
        measure_fail("cannot read %s", path);
    }
    fclose(file);
    content[size] = '\0';
    return slice_make(content, (size_t)size);
}

uint64_t measure_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

static int compare_samples(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

struct measurement measure_calls(void (*step)(void *state), void *state, uint64_t duration_ms)
{
    uint64_t *samples = mem_zalloc(MAX_SAMPLES, sizeof(*samples));
    if (samples == NULL) {
        measure_fail("out of memory");
    }
    for (int i = 0; i < WARM_UP_CALLS; i++) {
        step(state);
    }
    struct measurement result = {0};
    uint64_t cpu_before = measure_cpu_ns();
    uint64_t start = clock_monotonic_ns();
    uint64_t end = start + duration_ms * CLOCK_NS_PER_MS;
    uint64_t now = start;
    while (result.calls < MAX_SAMPLES && (now < end || result.calls < MIN_CALLS)) {
        step(state);
        uint64_t after = clock_monotonic_ns();
        samples[result.calls++] = after - now;
        now = after;
    }
    result.cpu_ns = measure_cpu_ns() - cpu_before;
    result.wall_ns = now - start;
    qsort(samples, result.calls, sizeof(*samples), compare_samples);
    result.p50_ns = samples[result.calls / 2];
    result.p99_ns = samples[result.calls * 99 / 100];
    mem_free(samples);
    return result;
}

void measure_print(const struct measurement *measurement)
{
    printf("{\"calls\": %" PRIu64 ", \"wall_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64
           ", \"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 "}\n",
           measurement->calls, measurement->wall_ns, measurement->cpu_ns, measurement->p50_ns,
           measurement->p99_ns);
}
