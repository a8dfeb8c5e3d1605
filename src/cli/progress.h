/*
 * What people see while a long run goes on: one line on a terminal with the share that is done, the
 * rate and the time that remains. The text is a pure function of the numbers; the printer redraws it
 * at most ten times a second and leaves nothing behind. One owner thread.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress_state {
    uint64_t done_bytes;
    uint64_t total_bytes; /* 0: not known */
    uint64_t rows;
    uint64_t elapsed_ns;
};

#define PROGRESS_LINE_MAX 160

/*
 * "[=====>    ]  47 %  1.2 M rows  310 k rows/s  0:12 left" in at most `columns` characters
 * (at least 20); without a known total the bytes read stand in place of the bar. Returns the length.
 */
size_t progress_format(const struct progress_state *state, unsigned columns,
                       char line[PROGRESS_LINE_MAX]);
/* "1234 rows in 0.31 s (3.98 k rows/s)" */
size_t progress_summarize(const struct progress_state *state, char line[PROGRESS_LINE_MAX]);

struct progress {
    FILE *out; /* NULL: silent */
    unsigned columns;
    uint64_t started_ns;
    uint64_t drawn_ns; /* 0: nothing stands on the line */
    struct progress_state state;
};

/* Shows itself only where `out` is a terminal. */
void progress_init(struct progress *progress, FILE *out, uint64_t total_bytes, uint64_t now_ns);
void progress_update(struct progress *progress, uint64_t done_bytes, uint64_t rows,
                     uint64_t now_ns);
/* Erases the line; after a success the summary takes its place. */
void progress_finish(struct progress *progress, bool succeeded, uint64_t now_ns);

#endif
