/*
 * Cells of CSV text (RFC 4180), one after another, without copying them. Rows end at LF, CRLF or a
 * lone CR. A cell whose first byte but for spaces is a quote runs to the closing quote and may hold
 * delimiters, line ends and doubled quotes; in other cells a quote is a character like any other.
 * One request's thread.
 */
#ifndef CODEC_CSV_READER_H
#define CODEC_CSV_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

struct csv_reader {
    const char *at;
    const char *end;
    char delimiter;
    bool skip_blank_lines;
    int64_t line;     /* 1-based, where `at` is */
    int64_t row_line; /* where the row started */
};

struct csv_cell {
    struct slice text; /* without spaces around it and without its quotes */
    bool doubled;      /* has doubled quotes: csv_cell_text undoes them */
    bool last;         /* of its row */
};

/* `text` starts behind a byte order mark. */
void csv_reader_init(struct csv_reader *reader, struct slice text, char delimiter,
                     bool skip_blank_lines);
/*
 * At the start of the next row that is not skipped; false at the end of the text. A line of spaces
 * counts as blank.
 */
bool csv_reader_begin_row(struct csv_reader *reader);
/* Whether the row that begins here is a blank line (only where these are not skipped). */
bool csv_reader_at_blank(const struct csv_reader *reader);
/* The next cell of the row. ERR_INVALID for an open quote or text behind a closing one. */
MUST_CHECK int csv_reader_cell(struct csv_reader *reader, struct csv_cell *ret_cell,
                               struct error *error);
/* Passes over the rest of the row and adds the cells it still had. Errors as above. */
MUST_CHECK int csv_reader_end_row(struct csv_reader *reader, size_t *cells, struct error *error);

/* The text of a cell with doubled quotes undone, in the arena where that changes it. */
MUST_CHECK int csv_cell_text(const struct csv_cell *cell, struct arena *arena,
                             struct slice *ret_text, struct error *error);

#endif
