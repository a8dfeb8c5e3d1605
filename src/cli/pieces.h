/*
 * Cuts a payload of any size into bodies that the codec decodes one by one, in bounded memory, so
 * that all of them together mean what the whole would: each body but the first begins with the
 * payload's start up to the end of its first row (codec.h, struct codec_origin). The cutter finds
 * where rows end and judges nothing; what is wrong with a payload is for the codec to say. What has
 * no rows to cut between is one body. One owner thread.
 */
#ifndef CLI_PIECES_H
#define CLI_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "cli/csv_scan.h"
#include "cli/json_scan.h"
#include "cli/npy_rows.h"
#include "cli/window.h"
#include "codec/codec.h"

/* Borrowed for the life of the cutter, as what it points to. */
struct piece_rules {
    enum media media;
    const struct codec_plan *plan;
    const struct codec_options *options; /* the plan's */
    bool whole;                          /* never cut */
    bool exact;          /* `rows` rows in every piece but the last, however many bytes */
    uint64_t rows;       /* at most, >= 1 */
    size_t target_bytes; /* a piece ends with the row that reaches this */
    size_t max_bytes;    /* a piece that needs more is an error */
};

struct piece {
    struct slice body; /* valid until the next call */
    struct codec_origin origin;
    uint64_t rows; /* in the body, without repeated ones; 0: not known (one body for all) */
};

struct pieces {
    const struct piece_rules *rules;
    struct window window;
    struct csv_scan csv;
    struct json_scan json;
    struct npy_rows npy;
    struct bytes lead;   /* the payload's start up to the end of the first row */
    uint64_t lead_lines; /* line ends in it */
    bool lead_is_header; /* that row is a header, not one of the rows */
    struct bytes body;
    size_t passed;     /* bytes of the window that the scan has passed */
    size_t row_start;  /* in the window: where the row began that is not complete */
    uint64_t row_line; /* line ends before it */
    size_t piece_end;  /* in the window: of the bytes that the last piece was made of */
    uint64_t piece_rows;
    uint64_t piece_line; /* line ends before the window */
    uint64_t lines;      /* line ends passed */
    uint64_t rows_before;
    bool line_filled; /* JSON Lines: the line is not blank so far */
    bool first_done;  /* the first row has ended */
    bool whole;       /* there is nothing to cut between */
    bool dependent;   /* because of the model */
    bool started;
    bool finished;
};

/* Takes no memory yet. `source` is read from the first piece on. */
void pieces_init(struct pieces *pieces, const struct piece_rules *rules, struct source source);
void pieces_done(struct pieces *pieces);
/*
 * The next piece; *ret_found is false behind the last. There is always a first one, of an empty
 * payload too. ERR_INVALID for a row that does not fit and for what cannot be cut, naming the place;
 * ERR_NO_MEMORY; the source's errors.
 */
MUST_CHECK int pieces_next(struct pieces *pieces, struct piece *ret_piece, bool *ret_found,
                           struct error *error);
/* Whether there was nothing to cut between, so that there is one piece. */
static inline bool pieces_are_whole(const struct pieces *pieces)
{
    return pieces->whole;
}
/*
 * Takes the first piece back, whose body is not to be used any more: the next is the whole payload.
 */
void pieces_take_back(struct pieces *pieces);
/* Bytes of the input that pieces were made of so far. */
uint64_t pieces_consumed_bytes(const struct pieces *pieces);

#endif
