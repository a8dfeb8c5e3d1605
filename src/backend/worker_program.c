#include "backend/worker_program.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sys.h"

extern const char worker_program_zip[], worker_program_zip_end[];

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);
        if (written < 0 && errno != EINTR) {
            return -1;
        }
        bytes = slice_tail(bytes, written < 0 ? 0 : (size_t)written);
    }
    return 0;
}

int worker_program_open(int *ret_fd, struct error *error)
{
    struct slice archive =
        slice_make(worker_program_zip, (size_t)(worker_program_zip_end - worker_program_zip));
    int fd = memfd_create("onnxd-worker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write_all(fd, archive) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        int failed = errno;
        if (fd >= 0) {
            sys_close(fd);
        }
        return error_set(error, ERR_INTERNAL, "no memory file for the worker program: %s",
                         sys_error_text(failed));
    }
    *ret_fd = fd;
    return ERR_OK;
}
