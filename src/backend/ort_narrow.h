/*
 * A session that computes only some of a model's outputs: of the model's file without the nodes
 * that the others alone need.
 */
#ifndef BACKEND_ORT_NARROW_H
#define BACKEND_ORT_NARROW_H

#include <sys/stat.h>

#include "backend/ort_library.h"
#include "base/slice.h"

/* Above it a model is left whole: loading it twice takes longer (up to 15 ms a MiB, for forests). */
#define ORT_NARROW_MAX_FILE_BYTES ((size_t)16 * 1024 * 1024)

/*
 * `file` is what stat said of the file at `path` before its own session was made; a file that has
 * changed since is left alone. The caller owns *ret_session (ReleaseSession); it is NULL where no
 * node can be left out. ERR_CONFIG and ERR_NO_MEMORY with a line saying why there is no such
 * session; *ret_session is written only on success. Blocking; any thread.
 */
MUST_CHECK int ort_narrow_session(const struct ort_library *library, const char *path,
                                  const struct stat *file, const OrtSessionOptions *options,
                                  const struct slice *wanted, size_t wanted_count,
                                  OrtSession **ret_session, struct error *error);

#endif
