/*
 * onnxd's own worker program (python/onnxd_worker), which is embedded in the binary as a zip archive that
 * Python runs, so that there is no file of it to be lost or changed.
 */
#ifndef BACKEND_WORKER_PROGRAM_H
#define BACKEND_WORKER_PROGRAM_H

#include "base/error.h"

/* A sealed memfd with the archive, close-on-exec, owned by the caller. ERR_INTERNAL. */
MUST_CHECK int worker_program_open(int *ret_fd, struct error *error);

#endif
