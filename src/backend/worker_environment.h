/*
 * What a worker may know of our environment (docs/threat-model.md): what a framework needs to find its
 * libraries, its devices and its number of threads, and what the operator names. Any thread.
 */
#ifndef BACKEND_WORKER_ENVIRONMENT_H
#define BACKEND_WORKER_ENVIRONMENT_H

#include "base/arena.h"
#include "base/slice.h"

/*
 * The environment of a worker, from `ours` ("NAME=value", NULL at the end): only names that are needed
 * and those of `more` ("A,B"), then OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and MKL_NUM_THREADS from
 * `threads` where we have none. Everything is copied into the arena; NULL without memory.
 */
char *const *worker_environment(char *const *ours, struct slice more, unsigned threads,
                                struct arena *arena);

#endif
