/*
 * A piece of memory shared with a worker: a memfd, sealed against shrinking (memfd_create(2),
 * F_ADD_SEALS), mapped here. It grows and never shrinks, but its pages can go back. One thread at a time.
 */
#ifndef BACKEND_WORKER_AREA_H
#define BACKEND_WORKER_AREA_H

#include <stddef.h>

#include "base/error.h"

struct worker_area {
    int fd;   /* close-on-exec; -1: none */
    char *at; /* the mapping; NULL: none */
    size_t mapped_bytes;
};

/* A new area of `size_bytes`, rounded up to pages. ERR_NO_MEMORY, ERR_INTERNAL. `name` is for /proc. */
MUST_CHECK int worker_area_new(const char *name, size_t size_bytes, struct worker_area *ret_area,
                               struct error *error);
/* Of a zeroed or failed area too. */
void worker_area_done(struct worker_area *area);
/*
 * Grows what is ours to write: at least so large, and by half at least, so that growing is rare. The
 * mapping moves then; on failure it stays. ERR_NO_MEMORY, ERR_INTERNAL.
 */
MUST_CHECK int worker_area_reserve(struct worker_area *area, size_t size_bytes,
                                   struct error *error);
/*
 * Maps what the other side has grown: `size_bytes` of it, where less is mapped. The mapping moves then.
 * ERR_PROTOCOL where the file is not that large or `size_bytes` is above `max_bytes`: the other side has
 * said what is not so. ERR_NO_MEMORY, ERR_INTERNAL where our system refuses. The old mapping stays then.
 */
MUST_CHECK int worker_area_follow(struct worker_area *area, size_t size_bytes, size_t max_bytes,
                                  struct error *error);
/*
 * Gives the pages behind the first `keep_bytes` back to the system: what was there reads as zeros, for the
 * other side too. Neither side may be using it. Size and mappings stay; where the system refuses, so do
 * the pages.
 */
void worker_area_trim(struct worker_area *area, size_t keep_bytes);

#endif
