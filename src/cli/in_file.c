#include "cli/in_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int in_file_open(struct in_file *file, const char *path, struct error *error)
{
    struct stat status;
    if (strcmp(path, "-") == 0) {
        *file = (struct in_file){.fd = STDIN_FILENO, .shown = "standard input"};
    } else {
        *file = (struct in_file){.fd = open(path, O_RDONLY | O_CLOEXEC), .shown = path};
    }
    if (file->fd < 0 || fstat(file->fd, &status) != 0) {
        int cause = errno;
        in_file_close(file);
        return error_set(error, ERR_CONFIG, "%s: %s", path, strerrordesc_np(cause));
    }
    if (S_ISDIR(status.st_mode)) {
        in_file_close(file);
        return error_set(error, ERR_CONFIG, "%s: %s", path, strerrordesc_np(EISDIR));
    }
    if (S_ISREG(status.st_mode)) {
        file->total_bytes = (uint64_t)status.st_size;
        posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return ERR_OK;
}

void in_file_close(struct in_file *file)
{
    if (file->fd >= 0 && file->fd != STDIN_FILENO) {
        close(file->fd);
    }
    file->fd = -1;
}

static int read_some(void *user, char *into, size_t size, size_t *ret_got, struct error *error)
{
    const struct in_file *file = user;
    for (;;) {
        if (file->stop != NULL && *file->stop) {
            return error_set(error, ERR_INTERNAL, "interrupted");
        }
        ssize_t got = read(file->fd, into, size);
        if (got >= 0) {
            *ret_got = (size_t)got;
            return ERR_OK;
        }
        if (errno != EINTR) {
            return error_set(error, ERR_INTERNAL, "%s: %s", file->shown, strerrordesc_np(errno));
        }
    }
}

struct source in_file_source(struct in_file *file)
{
    return (struct source){.read = read_some, .user = file};
}

enum media file_name_media(const char *path)
{
    static const struct {
        struct slice extension;
        enum media media;
    } known[] = {
        {{".csv", 4}, MEDIA_CSV},      {{".json", 5}, MEDIA_JSON}, {{".jsonl", 6}, MEDIA_JSONL},
        {{".ndjson", 7}, MEDIA_JSONL}, {{".npy", 4}, MEDIA_NPY},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (slice_ends_with_nocase(slice_from_str(path), known[i].extension)) {
            return known[i].media;
        }
    }
    return MEDIA_NONE;
}
