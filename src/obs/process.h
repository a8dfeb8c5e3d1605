/*
 * The process as the kernel sees it, for the process_* metrics.
 */
#ifndef OBS_PROCESS_H
#define OBS_PROCESS_H

#include <stdint.h>

#include "obs/metrics.h"

/* Sets the process_* gauges and the allocation counter. Reads /proc; what it cannot read stays. */
void process_measure(struct metrics *metrics);

/* Resident memory now, to within what the kernel counts in batches; 0 where it cannot be read. */
uint64_t process_resident_bytes(void);

#endif
