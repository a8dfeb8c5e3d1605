/*
 * Fills a window until enough rows have ended in it, then puts together a body of the payload's
 * start, those rows and what closes them. A piece of JSON ends where a comma stood: the closing
 * bracket takes its place, so that offsets stay what they are in the payload.
 */
#include "cli/pieces.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

#define MARK "\xef\xbb\xbf" /* UTF-8 byte order mark */
/* The start that each body repeats is at most this share of it, within reason. */
#define TARGET_LEADS 4
#define TARGET_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define NPY_HEADER_LOOK_BYTES ((size_t)1024 * 1024)
#define ARENA_BLOCK_BYTES ((size_t)16 * 1024)

static bool is_row(const void *user, unsigned depth)
{
    return codec_array_is_row(user, depth);
}

void pieces_init(struct pieces *pieces, const struct piece_rules *rules, struct source source)
{
    const struct codec_options *options = rules->options;
    CHECK(rules->rows > 0);
    *pieces = (struct pieces){.rules = rules, .whole = rules->whole, .dependent = rules->whole};
    window_init(&pieces->window, source, rules->max_bytes);
    bytes_init(&pieces->lead, rules->max_bytes);
    bytes_init(&pieces->body, rules->max_bytes > SIZE_MAX / 4 ? SIZE_MAX : rules->max_bytes * 3);
    csv_scan_init(&pieces->csv, options->csv_delimiter, options->csv_skip_blank_lines);
    json_scan_init(&pieces->json, options->json_key_instances, is_row, rules->plan);
}

void pieces_done(struct pieces *pieces)
{
    window_done(&pieces->window);
    bytes_done(&pieces->lead);
    bytes_done(&pieces->body);
}

uint64_t pieces_consumed_bytes(const struct pieces *pieces)
{
    return pieces->window.offset + pieces->piece_end;
}

static int refuse_size(const struct pieces *pieces, struct error *error)
{
    uint64_t at = pieces->window.offset + pieces->row_start;
    size_t max = pieces->rules->max_bytes;
    if (pieces->whole) {
        return error_set(
            error, ERR_INVALID,
            "the input cannot be cut into rows%s and is larger than the %zu bytes that "
            "may be read at once",
            pieces->dependent
                ? " (the rows of this model may depend on each other, or BATCHING is off)"
                : "",
            max);
    }
    uint64_t row = pieces->rows_before + pieces->piece_rows;
    if (pieces->piece_rows > 0) {
        return error_set(error, ERR_INVALID,
                         "row %" PRIu64 " (byte %" PRIu64 "): %" PRIu64
                         " rows, of which this is one, are longer than %zu bytes",
                         row, at, pieces->rules->rows, max);
    }
    return error_set(error, ERR_INVALID,
                     "row %" PRIu64 " (byte %" PRIu64 "): longer than %zu bytes", row, at, max);
}

static int fill(struct pieces *pieces, struct error *error)
{
    int status = window_fill(&pieces->window, error);
    return status == ERR_TOO_LARGE ? refuse_size(pieces, error) : status;
}

/* At the start there may be a byte order mark. */
static int start(struct pieces *pieces, struct error *error)
{
    while (!pieces->window.ended && bytes_len(&pieces->window.bytes) < sizeof(MARK) - 1) {
        int status = fill(pieces, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    if (pieces->rules->media != MEDIA_NPY &&
        slice_starts_with(window_slice(&pieces->window), SLICE(MARK))) {
        pieces->passed = sizeof(MARK) - 1;
    }
    pieces->started = true;
    return ERR_OK;
}

/* ---- where rows end ---- */

/* To the end of the next line that is not blank (codec/decode_jsonl.c). */
static size_t scan_lines(struct pieces *pieces, struct slice text, bool *ret_ended)
{
    size_t at = 0;
    *ret_ended = false;
    while (at < text.len && !*ret_ended) {
        char byte = text.ptr[at];
        if (pieces->line_filled) {
            const char *end = memchr(text.ptr + at, '\n', text.len - at);
            if (end == NULL) {
                return text.len;
            }
            at = (size_t)(end - text.ptr);
            byte = '\n';
        }
        if (byte == '\n') {
            *ret_ended = pieces->line_filled;
            pieces->line_filled = false;
            pieces->lines++;
        } else if (byte != ' ' && byte != '\t' && byte != '\r') {
            pieces->line_filled = true;
        }
        at++;
    }
    return at;
}

static int refuse_repeated(const struct pieces *pieces, struct error *error)
{
    struct slice key = slice_head(pieces->rules->options->json_key_instances, 40);
    return error_set(error, ERR_INVALID,
                     "byte %" PRIu64 ": behind the array of \"%.*s\" that key comes again, or one "
                     "written with escapes: an input that is read piece by piece cannot have that",
                     pieces->window.offset + pieces->passed, SLICE_FMT(key));
}

static int scan_json(struct pieces *pieces, struct slice text, bool *ret_ended, struct error *error)
{
    enum json_scan_event event;
    pieces->passed += json_scan_next(&pieces->json, text, &event);
    *ret_ended = event == JSON_SCAN_RECORD;
    if (event == JSON_SCAN_REPEATED && pieces->rows_before > 0) {
        return refuse_repeated(pieces, error);
    }
    pieces->whole |= event == JSON_SCAN_WHOLE || event == JSON_SCAN_REPEATED;
    return ERR_OK;
}

/* Passes over what the window has, up to the end of a row. */
static int scan(struct pieces *pieces, bool *ret_ended, struct error *error)
{
    struct slice text = slice_tail(window_slice(&pieces->window), pieces->passed);
    *ret_ended = false;
    if (pieces->whole) {
        pieces->passed += text.len;
        return ERR_OK;
    }
    switch (pieces->rules->media) {
    case MEDIA_CSV:
        pieces->passed += csv_scan_next(&pieces->csv, text, ret_ended);
        pieces->lines = pieces->csv.lines;
        return ERR_OK;
    case MEDIA_JSONL:
        pieces->passed += scan_lines(pieces, text, ret_ended);
        return ERR_OK;
    case MEDIA_JSON:
        return scan_json(pieces, text, ret_ended, error);
    case MEDIA_NPY:
    case MEDIA_NONE:
        break;
    }
    CHECK(false);
}

/* The text has ended: whether a row ends with it. */
static bool finish_scan(struct pieces *pieces)
{
    switch (pieces->rules->media) {
    case MEDIA_CSV:
        return csv_scan_finish(&pieces->csv);
    case MEDIA_JSONL:
        return pieces->line_filled;
    default:
        return true;
    }
}

/* ---- pieces of text ---- */

/* What the codec makes of a wrong first row shows when it decodes it. */
static int find_header(struct pieces *pieces, struct error *error)
{
    struct arena arena;
    bool header = false;
    arena_init(&arena, ARENA_BLOCK_BYTES, SIZE_MAX);
    int status = codec_csv_has_header(pieces->rules->plan, bytes_slice(&pieces->lead), &arena,
                                      &header, error);
    pieces->lead_is_header = status == ERR_OK && header;
    arena_done(&arena);
    return status == ERR_NO_MEMORY ? status : ERR_OK;
}

static int end_first_row(struct pieces *pieces, struct error *error)
{
    struct slice start = slice_head(window_slice(&pieces->window), pieces->passed);
    pieces->first_done = true;
    if (bytes_put(&pieces->lead, start) != ERR_OK) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the first row");
    }
    pieces->lead_lines = pieces->lines;
    return pieces->rules->media == MEDIA_CSV ? find_header(pieces, error) : ERR_OK;
}

static int end_row(struct pieces *pieces, struct error *error)
{
    int status = pieces->first_done ? ERR_OK : end_first_row(pieces, error);
    bool header = pieces->lead_is_header && pieces->rows_before == 0 && pieces->row_start == 0;
    pieces->row_start = pieces->passed;
    pieces->row_line = pieces->lines;
    pieces->piece_rows += !header;
    return status;
}

static bool is_full(const struct pieces *pieces)
{
    const struct piece_rules *rules = pieces->rules;
    size_t wanted = bytes_len(&pieces->lead) * TARGET_LEADS;
    wanted = wanted > TARGET_MAX_BYTES ? TARGET_MAX_BYTES : wanted;
    wanted = wanted < rules->target_bytes ? rules->target_bytes : wanted;
    return pieces->piece_rows >= rules->rows ||
           (!rules->exact && pieces->piece_rows > 0 && pieces->passed >= wanted);
}

/* Everything in the window is passed. False when a piece ends here, or at the row before. */
static bool wants_more(const struct pieces *pieces)
{
    bool room = bytes_len(&pieces->window.bytes) < pieces->rules->max_bytes;
    bool can_end = pieces->piece_rows > 0 && !pieces->rules->exact && !pieces->whole;
    return !pieces->window.ended && (room || !can_end);
}

/* Reads and scans until a piece is full or the payload has ended. */
static int find_end(struct pieces *pieces, struct error *error)
{
    int status = ERR_OK;
    for (bool done = false; status == ERR_OK && !done;) {
        bool ended;
        status = scan(pieces, &ended, error);
        if (status == ERR_OK && ended) {
            status = end_row(pieces, error);
            done = is_full(pieces);
        } else if (status == ERR_OK && pieces->passed == bytes_len(&pieces->window.bytes)) {
            done = !wants_more(pieces);
            status = done ? ERR_OK : fill(pieces, error);
        }
    }
    return status;
}

/* Whether the payload ends with the rows found so far, and not with the next piece. */
static bool is_last(const struct pieces *pieces)
{
    return pieces->window.ended && pieces->passed == bytes_len(&pieces->window.bytes) &&
           (pieces->passed > pieces->row_start || !is_full(pieces));
}

/* The bytes of the window that are the piece's own, as they go into the body. */
static struct slice own_text(const struct pieces *pieces, bool last)
{
    bool comma = pieces->rules->media == MEDIA_JSON && !last;
    return slice_head(window_slice(&pieces->window), pieces->piece_end - comma);
}

static int put_body(struct pieces *pieces, bool last, struct error *error)
{
    struct bytes *body = &pieces->body;
    int status = ERR_OK;
    bytes_reset(body, SIZE_MAX);
    if (pieces->window.offset > 0) {
        status = bytes_put(body, bytes_slice(&pieces->lead));
    }
    if (status == ERR_OK) {
        status = bytes_put(body, own_text(pieces, last));
    }
    if (status == ERR_OK && pieces->rules->media == MEDIA_JSON && !last) {
        status = bytes_put(body, json_scan_in_object(&pieces->json) ? SLICE("]}") : SLICE("]"));
    }
    return status == ERR_OK ? ERR_OK
                            : error_set(error, ERR_NO_MEMORY, "no memory for a piece of the input");
}

static struct codec_origin text_origin(const struct pieces *pieces)
{
    if (pieces->window.offset == 0) {
        return (struct codec_origin){.rows = 0};
    }
    int64_t skipped = pieces->lead_is_header ? 0 : 1;
    return (struct codec_origin){
        .rows = (int64_t)pieces->rows_before - skipped,
        .lines = (int64_t)(pieces->piece_line - pieces->lead_lines),
        .bytes = (int64_t)(pieces->window.offset - bytes_len(&pieces->lead)),
        .skipped_rows = skipped,
    };
}

/* Gives up the piece before and counts it. */
static void pass_piece(struct pieces *pieces)
{
    window_consume(&pieces->window, pieces->piece_end);
    pieces->rows_before += pieces->piece_rows;
    pieces->piece_rows = 0;
    pieces->piece_line = pieces->row_line;
    pieces->passed -= pieces->piece_end;
    pieces->row_start = 0;
    pieces->piece_end = 0;
}

static int next_text(struct pieces *pieces, struct piece *piece, bool *ret_found,
                     struct error *error)
{
    int status = find_end(pieces, error);
    if (status != ERR_OK) {
        return status;
    }
    bool last = is_last(pieces);
    if (last && !pieces->whole && finish_scan(pieces)) {
        status = end_row(pieces, error);
    }
    pieces->piece_end = last ? pieces->passed : pieces->row_start;
    pieces->finished = last;
    *ret_found = !last || pieces->window.offset == 0 || pieces->piece_rows > 0;
    if (status == ERR_OK && *ret_found) {
        status = put_body(pieces, last, error);
        *piece = (struct piece){.body = bytes_slice(&pieces->body),
                                .origin = text_origin(pieces),
                                .rows = pieces->whole ? 0 : pieces->piece_rows};
    }
    return status;
}

/* ---- pieces of an array ---- */

/* Reads until the window holds so many bytes or all there are. */
static int fill_to(struct pieces *pieces, size_t bytes, struct error *error)
{
    while (!pieces->window.ended && bytes_len(&pieces->window.bytes) < bytes) {
        int status = fill(pieces, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

static int open_npy(struct pieces *pieces, struct error *error)
{
    struct npy_rows *npy = &pieces->npy;
    int status = fill_to(pieces, NPY_HEADER_LOOK_BYTES, error);
    if (status == ERR_OK) {
        status = npy_rows_open(npy, pieces->rules->plan, window_slice(&pieces->window), error);
    }
    if (status == ERR_OK) {
        pieces->whole |= npy->row_bytes == 0;
        pieces->first_done = true;
        pieces->passed = npy->row_bytes == 0 ? 0 : npy->header.bytes_before;
        pieces->piece_end = pieces->passed;
        pass_piece(pieces);
    }
    return status;
}

/* Rows of the next piece, all of them in the window if the file has them. */
static int fill_rows(struct pieces *pieces, uint64_t *ret_rows, struct error *error)
{
    const struct piece_rules *rules = pieces->rules;
    size_t row_bytes = pieces->npy.row_bytes;
    uint64_t left = pieces->npy.rows - pieces->rows_before;
    uint64_t rows = rules->target_bytes / row_bytes > 0 ? rules->target_bytes / row_bytes : 1;
    rows = rules->exact || rows > rules->rows ? rules->rows : rows;
    rows = rows > left || pieces->whole ? left : rows;
    if (rows > rules->max_bytes / row_bytes && pieces->whole) {
        return refuse_size(pieces, error);
    }
    if (rows > rules->max_bytes / row_bytes) {
        return error_set(error, ERR_INVALID, "%" PRIu64 " row%s of %zu bytes: more than %zu bytes",
                         rows, rows == 1 ? "" : "s", row_bytes, rules->max_bytes);
    }
    *ret_rows = rows;
    /* One byte more shows whether the file goes on behind its last row. */
    size_t bytes = (size_t)rows * row_bytes;
    return fill_to(pieces, bytes + (rows == left && bytes < rules->max_bytes), error);
}

static int check_length(const struct pieces *pieces, uint64_t rows, struct error *error)
{
    size_t wanted = (size_t)rows * pieces->npy.row_bytes;
    size_t got = bytes_len(&pieces->window.bytes);
    bool last = rows == pieces->npy.rows - pieces->rows_before;
    if (got < wanted) {
        return error_set(error, ERR_INVALID,
                         "row %" PRIu64 " (byte %" PRIu64 "): the npy file ends where %" PRIu64
                         " rows are expected",
                         pieces->rows_before + got / pieces->npy.row_bytes,
                         pieces->window.offset + got, pieces->npy.rows);
    }
    if (last && got > wanted) {
        return error_set(error, ERR_INVALID,
                         "byte %" PRIu64 ": the npy file goes on behind its %" PRIu64 " rows",
                         pieces->window.offset + wanted, pieces->npy.rows);
    }
    return ERR_OK;
}

static int put_rows(struct pieces *pieces, uint64_t rows, struct piece *piece, struct error *error)
{
    char header[NPY_HEADER_MAX];
    size_t header_len = npy_rows_print_header(&pieces->npy, rows, header);
    pieces->passed = (size_t)rows * pieces->npy.row_bytes;
    pieces->piece_end = pieces->passed;
    pieces->piece_rows = rows;
    bytes_reset(&pieces->body, SIZE_MAX);
    if (bytes_put(&pieces->body, slice_make(header, header_len)) != ERR_OK ||
        bytes_put(&pieces->body, slice_head(window_slice(&pieces->window), pieces->passed)) !=
            ERR_OK) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a piece of the input");
    }
    *piece = (struct piece){
        .body = bytes_slice(&pieces->body),
        .origin = {.rows = (int64_t)pieces->rows_before,
                   .bytes = (int64_t)(pieces->window.offset - header_len)},
        .rows = rows,
    };
    return ERR_OK;
}

static int next_rows(struct pieces *pieces, struct piece *piece, bool *ret_found,
                     struct error *error)
{
    uint64_t rows = 0;
    int status = fill_rows(pieces, &rows, error);
    *ret_found = rows > 0;
    if (status == ERR_OK) {
        status = check_length(pieces, rows, error);
    }
    return status == ERR_OK && rows > 0 ? put_rows(pieces, rows, piece, error) : status;
}

void pieces_take_back(struct pieces *pieces)
{
    CHECK(pieces->started && pieces->rows_before == 0);
    pieces->whole = true;
    pieces->dependent = true;
    pieces->finished = false;
    pieces->piece_rows = 0;
    pieces->piece_end = 0;
}

/* ---- */

int pieces_next(struct pieces *pieces, struct piece *ret_piece, bool *ret_found,
                struct error *error)
{
    int status = ERR_OK;
    *ret_found = false;
    if (pieces->finished) {
        return ERR_OK;
    }
    if (!pieces->started) {
        status = start(pieces, error);
    } else {
        pass_piece(pieces);
    }
    bool npy = pieces->rules->media == MEDIA_NPY;
    if (status == ERR_OK && npy && !pieces->first_done) {
        status = open_npy(pieces, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    return npy && pieces->npy.row_bytes > 0 ? next_rows(pieces, ret_piece, ret_found, error)
                                            : next_text(pieces, ret_piece, ret_found, error);
}
