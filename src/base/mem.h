/*
 * The only place that calls malloc. It counts what is allocated (so that a test can prove that the
 * steady state allocates nothing) and can be told to fail the Nth allocation from now (so that
 * torture tests reach every out-of-memory path). Any thread.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Owned by the caller, freed with mem_free; NULL when there is no memory. Size 0 is allowed. */
MUST_CHECK void *mem_alloc(size_t size);
/* Zeroed array; NULL also when count * size overflows. */
MUST_CHECK void *mem_zalloc(size_t count, size_t size);
/* On failure returns NULL and the old block stays as it was. */
MUST_CHECK void *mem_realloc(void *old, size_t size);
/* NUL is appended; the slice itself may hold any bytes. */
MUST_CHECK char *mem_strndup(const char *text, size_t len);
void mem_free(void *block); /* NULL is fine */

/*
 * Gives free memory of the C library back to the system, the runtime's too. Takes milliseconds where
 * there is much of it: for when a load has ended.
 */
void mem_trim(void);

/* Allocations and reallocations since the start, over all threads. */
uint64_t mem_allocations(void);
/* Tests only: the nth allocation from now (1 = the next) fails once; 0 switches it off. */
void mem_fail_nth(uint64_t nth);

#endif
