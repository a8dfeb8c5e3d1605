/*
 * The seal against shrinking is what makes a mapping safe to read: a file that is large enough when it is
 * mapped stays so, and no access beyond its end can raise a signal.
 */
#include "backend/worker_area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/checked.h"
#include "base/sys.h"

static int fail(struct error *error, const char *what, size_t size_bytes)
{
    int number = errno;
    bool is_full = number == ENOMEM || number == EFBIG || number == ENOSPC;
    return error_set(error, is_full ? ERR_NO_MEMORY : ERR_INTERNAL,
                     "%s shared memory of %zu bytes: %s", what, size_bytes, sys_error_text(number));
}

/* Rounded up to whole pages, at least one; false when a file cannot be so large. */
static bool round_to_pages(size_t size_bytes, size_t *ret_bytes)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t rounded;
    if (checked_add(size_bytes > 0 ? size_bytes : 1, page_bytes - 1, &rounded)) {
        return false;
    }
    *ret_bytes = rounded & ~(page_bytes - 1);
    return *ret_bytes <= (size_t)INT64_MAX;
}

/* Replaces the mapping by one of `size_bytes`, which the file has; the old one stays when that fails. */
static int map(struct worker_area *area, size_t size_bytes, struct error *error)
{
    void *at = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, area->fd, 0);
    if (at == MAP_FAILED) {
        return fail(error, "cannot map", size_bytes);
    }
    if (area->at != NULL) {
        CHECK(munmap(area->at, area->mapped_bytes) == 0);
    }
    area->at = at;
    area->mapped_bytes = size_bytes;
    return ERR_OK;
}

/*
 * Makes the file so large, in whole pages, and maps it. It may be larger already: where a mapping failed,
 * or where the other side has grown it.
 */
static int grow(struct worker_area *area, size_t size_bytes, struct error *error)
{
    size_t rounded;
    struct stat file;
    if (!round_to_pages(size_bytes, &rounded)) {
        return error_set(error, ERR_NO_MEMORY, "no file can have %zu bytes", size_bytes);
    }
    if (fstat(area->fd, &file) != 0 ||
        (file.st_size < (off_t)rounded && ftruncate(area->fd, (off_t)rounded) != 0)) {
        return fail(error, "cannot make", rounded);
    }
    return map(area, rounded, error);
}

int worker_area_new(const char *name, size_t size_bytes, struct worker_area *ret_area,
                    struct error *error)
{
    struct worker_area area = {.fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (area.fd < 0) {
        return fail(error, "cannot make", size_bytes);
    }
    int status = grow(&area, size_bytes, error);
    if (status == ERR_OK && fcntl(area.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        status = fail(error, "cannot seal", area.mapped_bytes);
    }
    if (status == ERR_OK) {
        *ret_area = area;
    } else if (area.at != NULL) {
        worker_area_done(&area);
    } else {
        sys_close(area.fd);
    }
    return status;
}

/* What has no mapping has no descriptor: a zeroed area's 0 is somebody else's. */
void worker_area_done(struct worker_area *area)
{
    if (area->at != NULL) {
        CHECK(munmap(area->at, area->mapped_bytes) == 0);
        sys_close(area->fd);
    }
    *area = (struct worker_area){.fd = -1};
}

int worker_area_reserve(struct worker_area *area, size_t size_bytes, struct error *error)
{
    CHECK(area->at != NULL);
    if (size_bytes <= area->mapped_bytes) {
        return ERR_OK;
    }
    size_t grown;
    if (checked_add(area->mapped_bytes, area->mapped_bytes / 2, &grown) || grown < size_bytes) {
        grown = size_bytes;
    }
    return grow(area, grown, error);
}

int worker_area_follow(struct worker_area *area, size_t size_bytes, size_t max_bytes,
                       struct error *error)
{
    CHECK(area->at != NULL);
    struct stat file;
    if (size_bytes > max_bytes) {
        return error_set(error, ERR_PROTOCOL,
                         "the worker's shared memory has %zu bytes, at most %zu", size_bytes,
                         max_bytes);
    }
    if (size_bytes <= area->mapped_bytes) {
        return ERR_OK;
    }
    if (fstat(area->fd, &file) != 0) {
        return fail(error, "cannot look at", size_bytes);
    }
    if (file.st_size < 0 || (size_t)file.st_size < size_bytes) {
        return error_set(error, ERR_PROTOCOL,
                         "the worker's shared memory has %lld bytes, it says %zu",
                         (long long)file.st_size, size_bytes);
    }
    return map(area, size_bytes, error);
}

/* The whole file, of which the other side may have grown more than is mapped here. */
void worker_area_trim(struct worker_area *area, size_t keep_bytes)
{
    CHECK(area->at != NULL);
    struct stat file;
    size_t from;
    if (!round_to_pages(keep_bytes, &from) || fstat(area->fd, &file) != 0 ||
        file.st_size <= (off_t)from) {
        return;
    }
    (void)fallocate(area->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
                    file.st_size - (off_t)from);
}
