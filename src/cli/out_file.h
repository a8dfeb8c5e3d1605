/*
 * A file that is written from front to back and appears only when it is complete: the bytes go to a
 * temporary file beside it, which takes its name at the commit; a failure leaves what was there.
 * Also standard output, other things that cannot be replaced (devices, pipes), and spools, which
 * never get a name. Errors are ERR_CONFIG where the path cannot be used, else ERR_INTERNAL. One
 * owner thread at a time.
 */
#ifndef CLI_OUT_FILE_H
#define CLI_OUT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct out_file {
    int fd;
    const char *shown;    /* its name for messages; borrowed */
    char *path;           /* to rename to; NULL: nothing to rename */
    char *temporary;      /* exists as long as the file is not committed or dropped */
    struct bytes pending; /* not written yet */
    uint64_t len;         /* of all that was put */
};

/* Standard output; its descriptor stays open at the end. */
void out_file_open_stdout(struct out_file *file);
/* The file at `path` (borrowed), which may exist. */
MUST_CHECK int out_file_open(struct out_file *file, const char *path, struct error *error);
/*
 * A file without a name that is gone when it is dropped. It lies beside `path`, or with NULL where
 * TMPDIR says.
 */
MUST_CHECK int out_file_open_spool(struct out_file *file, const char *path, struct error *error);

MUST_CHECK int out_file_put(struct out_file *file, struct slice text, struct error *error);
/* Everything that was put into the spool. */
MUST_CHECK int out_file_put_spool(struct out_file *file, struct out_file *spool,
                                  struct error *error);
/* Writes over what was put before, at its start. Only where out_file_can_rewrite. */
MUST_CHECK int out_file_rewrite(struct out_file *file, struct slice text, struct error *error);
static inline bool out_file_can_rewrite(const struct out_file *file)
{
    return file->temporary != NULL;
}

/* Writes what is pending and gives the file its name. The file is to be dropped after it. */
MUST_CHECK int out_file_commit(struct out_file *file, struct error *error);
/* Closes the file and removes what was not committed. A zeroed one with fd -1 is fine. */
void out_file_drop(struct out_file *file);

#endif
