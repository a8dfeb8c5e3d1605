#include "cli/csv_scan.h"

void csv_scan_init(struct csv_scan *scan, char delimiter, bool skip_blank_lines)
{
    *scan = (struct csv_scan){.delimiter = delimiter, .skip_blank_lines = skip_blank_lines};
}

/* Whether the row that ends here counts. */
static bool end_row(struct csv_scan *scan)
{
    bool counts = scan->begun && (scan->filled || !scan->skip_blank_lines);
    scan->state = CSV_SCAN_CELL;
    scan->begun = false;
    scan->filled = false;
    return counts;
}

static void count_line(struct csv_scan *scan, char byte)
{
    scan->lines += byte == '\r' || (byte == '\n' && !scan->after_cr);
    scan->after_cr = byte == '\r';
}

/* A byte outside quotes that ends no row. */
static enum csv_scan_state next_state(const struct csv_scan *scan, char byte)
{
    if (byte == scan->delimiter) {
        return CSV_SCAN_CELL;
    }
    if (scan->state != CSV_SCAN_CELL) {
        return CSV_SCAN_BARE;
    }
    return byte == '"'                   ? CSV_SCAN_QUOTED
           : byte == ' ' || byte == '\t' ? CSV_SCAN_CELL
                                         : CSV_SCAN_BARE;
}

/* Over the bytes that change nothing; most bytes are such. */
static size_t pass_bare(const struct csv_scan *scan, struct slice text, size_t at)
{
    while (at < text.len && text.ptr[at] != scan->delimiter && text.ptr[at] != '\n' &&
           text.ptr[at] != '\r') {
        at++;
    }
    return at;
}

static void step_quoted(struct csv_scan *scan, char byte)
{
    if (byte == '"') {
        scan->state = CSV_SCAN_QUOTE;
        scan->after_cr = false;
    } else {
        count_line(scan, byte);
    }
}

/* Outside quotes. True when the byte ended a row that counts. */
static bool step_plain(struct csv_scan *scan, char byte)
{
    scan->begun = true;
    if (byte == '\n' || byte == '\r') {
        scan->lines++;
        if (byte == '\n') {
            return end_row(scan);
        }
        scan->state = CSV_SCAN_RETURN;
        return false;
    }
    scan->filled |= (byte != ' ' && byte != '\t') || byte == scan->delimiter;
    scan->state = next_state(scan, byte);
    return false;
}

size_t csv_scan_next(struct csv_scan *scan, struct slice text, bool *ret_ended)
{
    size_t at = 0;
    *ret_ended = false;
    while (at < text.len && !*ret_ended) {
        char byte = text.ptr[at];
        if (scan->state == CSV_SCAN_BARE) {
            at = pass_bare(scan, text, at);
            if (at == text.len) {
                break;
            }
            byte = text.ptr[at];
        }
        if (scan->state == CSV_SCAN_RETURN) {
            *ret_ended = end_row(scan);
            at += byte == '\n';
        } else if (scan->state == CSV_SCAN_QUOTED) {
            step_quoted(scan, byte);
            at++;
        } else if (scan->state == CSV_SCAN_QUOTE && byte == '"') {
            scan->state = CSV_SCAN_QUOTED;
            at++;
        } else {
            *ret_ended = step_plain(scan, byte);
            at++;
        }
    }
    return at;
}

bool csv_scan_finish(struct csv_scan *scan)
{
    return end_row(scan);
}
