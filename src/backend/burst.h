/*
 * Sees when a burst of large runs is over, so that memory the runtime has grown for it can go back:
 * it keeps the peak of past runs for ever. Giving back costs the next large run its page faults, so it
 * waits until large runs have stopped. Counts are approximate where runs overlap. Any thread.
 */
#ifndef BACKEND_BURST_H
#define BACKEND_BURST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BURST_LEAST_BYTES ((size_t)16 * 1024) /* of inputs: below it no run is large */
#define BURST_RATIO 4       /* a run is small beside a peak of more than so many times its inputs */
#define BURST_SMALL_RUNS 32 /* that many without a large one between them, */
#define BURST_QUIET_NS UINT64_C(1000000000) /* and so long since the last large one */

struct burst { /* zeroed at first */
    _Atomic size_t peak_bytes;
    _Atomic uint64_t last_large_ns;
    _Atomic unsigned small_runs;
};

/*
 * Notes a run with so many bytes of inputs. True for the one run that should give memory back; the
 * next burst is then seen anew.
 */
bool burst_note_run(struct burst *burst, size_t input_bytes, uint64_t (*now_ns)(void));

#endif
