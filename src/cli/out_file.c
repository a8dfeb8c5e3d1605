#include "cli/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

#define PENDING_BYTES ((size_t)64 * 1024)
#define COPY_BYTES ((size_t)64 * 1024)

static int fail(const struct out_file *file, enum error_code code, const char *what,
                struct error *error)
{
    return error_set(error, code, "%s: %s: %s", file->shown, what, strerrordesc_np(errno));
}

static void init(struct out_file *file, int fd, const char *shown)
{
    *file = (struct out_file){.fd = fd, .shown = shown};
    bytes_init(&file->pending, PENDING_BYTES);
}

void out_file_open_stdout(struct out_file *file)
{
    init(file, STDOUT_FILENO, "standard output");
}

/* What a new file at the path would be allowed; that of the old one where there is one. */
static mode_t permissions_for(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0) {
        return status.st_mode & 07777;
    }
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/*
 * "dir/.name.XXXXXX" for "dir/name", so that the rename stays within one file system. A long name is
 * cut: the whole of it may be as long as a name can be.
 */
static char *name_temporary(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t size = strlen(path) + sizeof("..XXXXXX");
    char *temporary = mem_alloc(size);
    if (temporary != NULL) {
        snprintf(temporary, size, "%.*s.%.200s.XXXXXX", (int)(name - path), path, name);
    }
    return temporary;
}

/* The file that a link at the end of the path points to: the link itself is to stay. */
static char *resolve(const char *path)
{
    char room[PATH_MAX];
    const char *real = realpath(path, room);
    real = real == NULL ? path : real; /* new, or a dangling link: then that is replaced */
    return mem_strndup(real, strlen(real));
}

static int open_temporary(struct out_file *file, const char *path, struct error *error)
{
    file->path = resolve(path);
    file->temporary = file->path == NULL ? NULL : name_temporary(file->path);
    if (file->temporary == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a file name");
    }
    file->fd = mkostemp(file->temporary, O_CLOEXEC);
    if (file->fd < 0) {
        int status = fail(file, ERR_CONFIG, "no file can be made beside it", error);
        mem_free(file->temporary);
        file->temporary = NULL;
        return status;
    }
    return fchmod(file->fd, permissions_for(file->path)) == 0
               ? ERR_OK
               : fail(file, ERR_CONFIG, "its permissions cannot be set", error);
}

int out_file_open(struct out_file *file, const char *path, struct error *error)
{
    struct stat status;
    init(file, -1, path);
    bool exists = stat(path, &status) == 0;
    int result = ERR_OK;
    if (exists && S_ISDIR(status.st_mode)) {
        return error_set(error, ERR_CONFIG, "%s: is a directory", path);
    }
    if (!exists || S_ISREG(status.st_mode)) {
        result = open_temporary(file, path, error);
    } else {
        file->fd = open(path, O_WRONLY | O_CLOEXEC);
        result = file->fd >= 0 ? ERR_OK : fail(file, ERR_CONFIG, "cannot be written", error);
    }
    if (result != ERR_OK) {
        out_file_drop(file);
    }
    return result;
}

int out_file_open_spool(struct out_file *file, const char *path, struct error *error)
{
    const char *directory = getenv("TMPDIR");
    char beside[PATH_MAX];
    init(file, -1, "a temporary file");
    if (path == NULL) {
        directory = directory == NULL || directory[0] == '\0' ? "/tmp" : directory;
        if (snprintf(beside, sizeof(beside), "%s/onnxd", directory) >= (int)sizeof(beside)) {
            return error_set(error, ERR_CONFIG, "TMPDIR: the path is too long");
        }
        path = beside;
    }
    char *name = name_temporary(path);
    if (name == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a file name");
    }
    file->fd = mkostemp(name, O_CLOEXEC);
    int status = file->fd >= 0
                     ? ERR_OK
                     : error_set(error, ERR_CONFIG, "%s: %s", name, strerrordesc_np(errno));
    if (status == ERR_OK) {
        unlink(name);
    }
    mem_free(name);
    return status;
}

static int write_all(const struct out_file *file, struct slice text, struct error *error)
{
    while (text.len > 0) {
        ssize_t wrote = write(file->fd, text.ptr, text.len);
        if (wrote < 0 && errno != EINTR) {
            return fail(file, ERR_INTERNAL, "cannot be written", error);
        }
        text = slice_tail(text, wrote < 0 ? 0 : (size_t)wrote);
    }
    return ERR_OK;
}

static int flush(struct out_file *file, struct error *error)
{
    int status = write_all(file, bytes_slice(&file->pending), error);
    if (status == ERR_OK) {
        bytes_reset(&file->pending, PENDING_BYTES);
    }
    return status;
}

int out_file_put(struct out_file *file, struct slice text, struct error *error)
{
    int status = ERR_OK;
    if (text.len > PENDING_BYTES - bytes_len(&file->pending)) {
        status = flush(file, error);
    }
    if (status == ERR_OK) {
        status = text.len >= PENDING_BYTES ? write_all(file, text, error)
                                           : bytes_put(&file->pending, text);
    }
    if (status == ERR_OK) {
        file->len += text.len;
    } else if (status == ERR_NO_MEMORY) {
        error_set(error, ERR_NO_MEMORY, "no memory to write with");
    }
    return status;
}

int out_file_put_spool(struct out_file *file, struct out_file *spool, struct error *error)
{
    char *piece = mem_alloc(COPY_BYTES);
    int status = piece == NULL ? error_set(error, ERR_NO_MEMORY, "no memory to copy with")
                               : flush(spool, error);
    for (uint64_t at = 0; status == ERR_OK && at < spool->len;) {
        ssize_t got = pread(spool->fd, piece, COPY_BYTES, (off_t)at);
        if (got > 0) {
            status = out_file_put(file, slice_make(piece, (size_t)got), error);
            at += (uint64_t)got;
        } else if (got == 0) {
            status = error_set(error, ERR_INTERNAL, "%s: has lost its end", spool->shown);
        } else if (errno != EINTR) {
            status = fail(spool, ERR_INTERNAL, "cannot be read", error);
        }
    }
    mem_free(piece);
    return status;
}

int out_file_rewrite(struct out_file *file, struct slice text, struct error *error)
{
    CHECK(out_file_can_rewrite(file) && text.len <= file->len);
    int status = flush(file, error);
    for (off_t at = 0; status == ERR_OK && text.len > 0;) {
        ssize_t wrote = pwrite(file->fd, text.ptr, text.len, at);
        if (wrote < 0 && errno != EINTR) {
            return fail(file, ERR_INTERNAL, "cannot be written", error);
        }
        size_t passed = wrote < 0 ? 0 : (size_t)wrote;
        text = slice_tail(text, passed);
        at += (off_t)passed;
    }
    return status;
}

int out_file_commit(struct out_file *file, struct error *error)
{
    int status = flush(file, error);
    if (status != ERR_OK || file->temporary == NULL) {
        return status;
    }
    if (fsync(file->fd) != 0) {
        return fail(file, ERR_INTERNAL, "cannot be written", error);
    }
    if (rename(file->temporary, file->path) != 0) {
        return fail(file, ERR_INTERNAL, "cannot take its place", error);
    }
    mem_free(file->temporary);
    file->temporary = NULL;
    return ERR_OK;
}

void out_file_drop(struct out_file *file)
{
    if (file->temporary != NULL) {
        unlink(file->temporary);
    }
    if (file->fd >= 0 && file->fd != STDOUT_FILENO) {
        close(file->fd);
    }
    mem_free(file->temporary);
    mem_free(file->path);
    bytes_done(&file->pending);
    *file = (struct out_file){.fd = -1};
}
