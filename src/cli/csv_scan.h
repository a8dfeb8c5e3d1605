/*
 * Finds where the rows of CSV text (RFC 4180) end, however the text is cut into pieces. It follows
 * the rules of codec/csv_reader.h, byte by byte and without judging: what is wrong with a row is the
 * codec's to say. Pure memory; one owner.
 */
#ifndef CLI_CSV_SCAN_H
#define CLI_CSV_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct csv_scan {
    char delimiter;
    bool skip_blank_lines;
    enum csv_scan_state {
        CSV_SCAN_CELL, /* before a cell: nothing but spaces so far */
        CSV_SCAN_BARE, /* in a cell where a quote is a character like any other */
        CSV_SCAN_QUOTED,
        CSV_SCAN_QUOTE,  /* behind a quote that closes a cell, or is the first of two */
        CSV_SCAN_RETURN, /* behind a CR that ended a row; its LF may follow */
    } state;
    bool begun;     /* the row has bytes */
    bool filled;    /* and not only spaces */
    bool after_cr;  /* the byte before was a CR within quotes */
    uint64_t lines; /* line ends passed */
};

/* The text to come starts behind a byte order mark. */
void csv_scan_init(struct csv_scan *scan, char delimiter, bool skip_blank_lines);
/*
 * Passes over the text up to the end of the next row that counts, its line end included, or over all
 * of it; returns the bytes passed. *ret_ended: a row ended there.
 */
size_t csv_scan_next(struct csv_scan *scan, struct slice text, bool *ret_ended);
/* The text has ended: whether a row that counts ends with it. */
bool csv_scan_finish(struct csv_scan *scan);

#endif
