/*
 * Time. Code below serve/ never reads the clock: it is handed `now_ns`, so that tests inject time.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_NS_PER_S UINT64_C(1000000000)
#define CLOCK_NS_PER_MS UINT64_C(1000000)
#define CLOCK_NS_PER_US UINT64_C(1000)

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t clock_monotonic_ns(void);
/* CLOCK_REALTIME, nanoseconds since 1970. */
uint64_t clock_realtime_ns(void);

#endif
