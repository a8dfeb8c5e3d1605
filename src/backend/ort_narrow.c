#include "backend/ort_narrow.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backend/onnx_prune.h"
#include "base/bytes.h"

static bool is_same_file(int fd, const struct stat *file)
{
    struct stat now;
    return fstat(fd, &now) == 0 && now.st_dev == file->st_dev && now.st_ino == file->st_ino &&
           now.st_size == file->st_size && now.st_mtim.tv_sec == file->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == file->st_mtim.tv_nsec;
}

static int check_same_file(int fd, const struct stat *file, struct error *error)
{
    return is_same_file(fd, file) ? ERR_OK : error_set(error, ERR_CONFIG, "it has changed");
}

static int read_content(int fd, const struct stat *file, struct bytes *content, struct error *error)
{
    size_t len = (size_t)file->st_size;
    int status = check_same_file(fd, file, error);
    if (status != ERR_OK) {
        return status;
    }
    char *into = bytes_reserve(content, len);
    if (into == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the model's file");
    }
    for (size_t done = 0; done < len;) {
        ssize_t got = read(fd, into + done, len - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return error_set(error, ERR_CONFIG, "it cannot be read to its end");
        }
        done += (size_t)got;
    }
    bytes_commit(content, len);
    return check_same_file(fd, file, error); /* a writer that came in between shows here */
}

static int read_file(const char *path, const struct stat *file, struct bytes *content,
                     struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set(error, ERR_CONFIG, "%s", strerrordesc_np(errno));
    }
    int status = read_content(fd, file, content, error);
    close(fd);
    return status;
}

int ort_narrow_session(const struct ort_library *library, const char *path, const struct stat *file,
                       const OrtSessionOptions *options, const struct slice *wanted,
                       size_t wanted_count, OrtSession **ret_session, struct error *error)
{
    struct bytes content;
    struct bytes pruned;
    OrtSession *session = NULL;
    if (file->st_size < 0 || (uint64_t)file->st_size > ORT_NARROW_MAX_FILE_BYTES) {
        return error_set(error, ERR_CONFIG, "its file is larger than %zu MiB",
                         ORT_NARROW_MAX_FILE_BYTES >> 20);
    }
    bytes_init(&content, ORT_NARROW_MAX_FILE_BYTES);
    bytes_init(&pruned, onnx_prune_max_bytes((size_t)file->st_size));
    int status = read_file(path, file, &content, error);
    if (status == ERR_OK) {
        status = onnx_prune(bytes_slice(&content), wanted, wanted_count, &pruned, error);
    }
    bytes_done(&content); /* before the session takes as much again */
    if (status == ERR_OK && bytes_len(&pruned) > 0) {
        struct slice model = bytes_slice(&pruned);
        status = ort_take_status(library->api->CreateSessionFromArray(library->env, model.ptr,
                                                                      model.len, options, &session),
                                 ERR_CONFIG, error);
    }
    bytes_done(&pruned);
    if (status == ERR_OK) {
        *ret_session = session;
    }
    return status;
}
