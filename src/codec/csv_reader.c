#include "codec/csv_reader.h"

#include <inttypes.h>
#include <string.h>

void csv_reader_init(struct csv_reader *reader, struct slice text, char delimiter,
                     bool skip_blank_lines)
{
    *reader = (struct csv_reader){.at = text.ptr,
                                  .end = text.ptr + text.len,
                                  .delimiter = delimiter,
                                  .skip_blank_lines = skip_blank_lines,
                                  .line = 1};
}

static bool is_space(const struct csv_reader *reader, char byte)
{
    return (byte == ' ' || byte == '\t') && byte != reader->delimiter;
}

static bool is_line_end(char byte)
{
    return byte == '\n' || byte == '\r';
}

/* Behind the line end that stands here. */
static void pass_line_end(struct csv_reader *reader)
{
    bool crlf = reader->end - reader->at >= 2 && reader->at[0] == '\r' && reader->at[1] == '\n';
    reader->at += crlf ? 2 : 1;
    reader->line++;
}

/* The line end or end of text that only spaces come before, else NULL. */
static const char *blank_line_end(const struct csv_reader *reader)
{
    const char *at = reader->at;
    while (at < reader->end && is_space(reader, *at)) {
        at++;
    }
    return at == reader->end || is_line_end(*at) ? at : NULL;
}

bool csv_reader_begin_row(struct csv_reader *reader)
{
    while (reader->skip_blank_lines && reader->at < reader->end) {
        const char *end = blank_line_end(reader);
        if (end == NULL) {
            break;
        }
        reader->at = end;
        if (end < reader->end) {
            pass_line_end(reader);
        }
    }
    reader->row_line = reader->line;
    return reader->at < reader->end;
}

bool csv_reader_at_blank(const struct csv_reader *reader)
{
    return blank_line_end(reader) != NULL;
}

/* Behind a cell: its delimiter or line end is passed, or it was the text's last. */
static bool pass_cell_end(struct csv_reader *reader)
{
    if (reader->at == reader->end) {
        return true;
    }
    if (*reader->at == reader->delimiter) {
        reader->at++;
        return false;
    }
    pass_line_end(reader);
    return true;
}

static bool at_cell_end(const struct csv_reader *reader)
{
    return reader->at == reader->end || *reader->at == reader->delimiter ||
           is_line_end(*reader->at);
}

static void pass_spaces(struct csv_reader *reader)
{
    while (reader->at < reader->end && is_space(reader, *reader->at)) {
        reader->at++;
    }
}

/* To the closing quote; counts the lines on the way. False where there is none. */
static bool find_closing_quote(struct csv_reader *reader, struct csv_cell *cell)
{
    for (; reader->at < reader->end; reader->at++) {
        char byte = *reader->at;
        bool pair = reader->end - reader->at >= 2;
        if (byte == '"') {
            if (!pair || reader->at[1] != '"') {
                return true;
            }
            cell->doubled = true;
            reader->at++;
        } else if (byte == '\n' || (byte == '\r' && !(pair && reader->at[1] == '\n'))) {
            reader->line++;
        }
    }
    return false;
}

static int read_quoted(struct csv_reader *reader, struct csv_cell *cell, struct error *error)
{
    int64_t line = reader->line;
    const char *start = ++reader->at;
    if (!find_closing_quote(reader, cell)) {
        return error_set(error, ERR_INVALID, "line %" PRId64 ": a quote is not closed", line);
    }
    cell->text = slice_make(start, (size_t)(reader->at - start));
    reader->at++;
    pass_spaces(reader);
    if (!at_cell_end(reader)) {
        return error_set(error, ERR_INVALID, "line %" PRId64 ": text behind a closing quote",
                         reader->line);
    }
    return ERR_OK;
}

static void read_bare(struct csv_reader *reader, struct csv_cell *cell)
{
    /* In variables of its own: a byte could be the reader itself, for all the compiler knows. */
    const char *start = reader->at;
    const char *end = reader->end;
    const char *at = start;
    char delimiter = reader->delimiter;
    while (at < end && *at != delimiter && *at != '\n' && *at != '\r') {
        at++;
    }
    reader->at = at;
    while (at > start && is_space(reader, at[-1])) {
        at--;
    }
    cell->text = slice_make(start, (size_t)(at - start));
}

int csv_reader_cell(struct csv_reader *reader, struct csv_cell *ret_cell, struct error *error)
{
    struct csv_cell cell = {.doubled = false};
    pass_spaces(reader);
    if (reader->at < reader->end && *reader->at == '"') {
        int status = read_quoted(reader, &cell, error);
        if (status != ERR_OK) {
            return status;
        }
    } else {
        read_bare(reader, &cell);
    }
    cell.last = pass_cell_end(reader);
    *ret_cell = cell;
    return ERR_OK;
}

int csv_reader_end_row(struct csv_reader *reader, size_t *cells, struct error *error)
{
    struct csv_cell cell = {.last = false};
    while (!cell.last) {
        int status = csv_reader_cell(reader, &cell, error);
        if (status != ERR_OK) {
            return status;
        }
        ++*cells;
    }
    return ERR_OK;
}

int csv_cell_text(const struct csv_cell *cell, struct arena *arena, struct slice *ret_text,
                  struct error *error)
{
    if (!cell->doubled) {
        *ret_text = cell->text;
        return ERR_OK;
    }
    char *copy = arena_alloc(arena, cell->text.len);
    if (copy == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a cell of %zu bytes", cell->text.len);
    }
    size_t len = 0;
    for (size_t i = 0; i < cell->text.len; i++) {
        copy[len++] = cell->text.ptr[i];
        i += cell->text.ptr[i] == '"'; /* the second of the two */
    }
    *ret_text = slice_make(copy, len);
    return ERR_OK;
}
