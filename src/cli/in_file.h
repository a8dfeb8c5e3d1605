/*
 * The input of an offline run: a file or standard input, read from front to back. Errors are
 * ERR_CONFIG where it cannot be opened, ERR_INTERNAL where it cannot be read. One owner thread.
 */
#ifndef CLI_IN_FILE_H
#define CLI_IN_FILE_H

#include <signal.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/window.h"
#include "codec/codec.h"

struct in_file {
    int fd;
    const char *shown;                 /* its name for messages; borrowed */
    uint64_t total_bytes;              /* 0: not known (a pipe) */
    const volatile sig_atomic_t *stop; /* set by a signal: reading fails; may be NULL */
};

/* "-" is standard input. */
MUST_CHECK int in_file_open(struct in_file *file, const char *path, struct error *error);
void in_file_close(struct in_file *file);
/* Reads from the file, which is borrowed. */
struct source in_file_source(struct in_file *file);
/* The encoding that a file's name says it has: .csv .json .jsonl .ndjson .npy, any case. */
enum media file_name_media(const char *path);

#endif
