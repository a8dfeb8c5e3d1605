/*
 * What the small C programs of the bench share: clocks, samples of durations and their percentiles,
 * a loop that lasts a given time, and the ways to fail. One thread. Figures are printed as JSON.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Prints "PROGRAM: text" and ends the process with 1. */
_Noreturn void measure_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A decimal number from the command line between 1 and max; fails naming `what`. */
uint64_t measure_parse_count(const char *text, uint64_t max, const char *what);
/* A whole file, in memory that is never given back; fails when it cannot be read. */
struct slice measure_read_file(const char *path);

/* CPU time of all threads of this process, nanoseconds. */
uint64_t measure_cpu_ns(void);

struct measurement {
    uint64_t calls;
    uint64_t wall_ns; /* of all calls */
    uint64_t cpu_ns;  /* of all threads, over all calls */
    uint64_t p50_ns;  /* of one call */
    uint64_t p99_ns;
};

/* Calls step(state) a few times unmeasured, and then for `duration_ms`, at least three times. */
struct measurement measure_calls(void (*step)(void *state), void *state, uint64_t duration_ms);
/* One line of JSON to standard output. */
void measure_print(const struct measurement *measurement);

#endif
