/*
 * A payload cut into pieces, each decoded, and the tensors joined again: what must come out as if the
 * whole had been decoded at once. For tests and fuzz targets; one thread.
 */
#ifndef PIECES_FIXTURE_H
#define PIECES_FIXTURE_H

#include "base/check.h"
#include "cli/pieces.h"
#include "codec_fixture.h"

/* How a payload arrives and is cut. */
struct cutting {
    size_t read_bytes; /* at most so many a read */
    uint64_t rows;
    size_t target_bytes;
    size_t max_bytes;
    bool exact;
    bool whole;
};

struct memory_source {
    struct slice rest;
    size_t read_bytes;
};

static inline int memory_source_read(void *user, char *into, size_t size, size_t *ret_got,
                                     struct error *error)
{
    struct memory_source *memory = user;
    (void)error;
    size_t got = size < memory->read_bytes ? size : memory->read_bytes;
    got = got < memory->rest.len ? got : memory->rest.len;
    if (got > 0) {
        memcpy(into, memory->rest.ptr, got);
    }
    memory->rest = slice_tail(memory->rest, got);
    *ret_got = got;
    return ERR_OK;
}

/* `joined` with the rows of `more` behind its own, in a tensor of its own. */
static inline int sum_tensors(const struct tensor *joined, const struct tensor *more,
                              struct tensor *ret_sum, struct error *error)
{
    int64_t dims[TENSOR_MAX_RANK];
    memcpy(dims, joined->dims, sizeof(dims));
    dims[0] += more->dims[0];
    size_t size = dtype_size(joined->dtype);
    size_t mine = (size_t)tensor_elements(joined) * size;
    size_t its = (size_t)tensor_elements(more) * size;
    char *both = malloc(mine + its + 1);
    CHECK(both != NULL);
    memcpy(both, joined->at, mine);
    memcpy(both + mine, more->at, its);
    bool strings = joined->dtype == DTYPE_STRING;
    int status = strings ? tensor_new_strings(joined->rank, dims,
                                              (const struct slice *)(void *)both, ret_sum, error)
                         : tensor_new(joined->dtype, joined->rank, dims, ret_sum, error);
    if (status == ERR_OK && !strings) {
        memcpy(ret_sum->at, both, mine + its);
    }
    free(both);
    return status;
}

/* Appends the rows of `more` to `joined`. */
static inline int join_tensor(struct tensor *joined, struct tensor *more, struct error *error)
{
    bool fits = joined->dtype == more->dtype && joined->rank == more->rank;
    for (unsigned i = 1; i < joined->rank && fits; i++) {
        fits = joined->dims[i] == more->dims[i];
    }
    if (!fits || (joined->rank == 0 && joined->dtype != DTYPE_NONE)) {
        return error_set(error, ERR_INVALID, "the pieces do not fit together");
    }
    if (joined->dtype == DTYPE_NONE) {
        return ERR_OK; /* an input that was not given */
    }
    struct tensor sum;
    int status = sum_tensors(joined, more, &sum, error);
    if (status == ERR_OK) {
        tensor_done(joined);
        *joined = sum;
    }
    return status;
}

/* Takes the tensors of the first piece, appends those of the others. */
static inline int join_inputs(struct codec_inputs *joined, struct codec_inputs *more,
                              struct error *error)
{
    int status = ERR_OK;
    for (size_t i = 0; i < more->count && status == ERR_OK; i++) {
        if (joined->rows == 0) {
            joined->tensors[i] = more->tensors[i];
            more->tensors[i] = (struct tensor){.dtype = DTYPE_NONE};
        } else {
            status = join_tensor(&joined->tensors[i], &more->tensors[i], error);
        }
    }
    joined->rows += more->rows;
    return status;
}

/*
 * Decodes piece by piece; the joined inputs are in the arena. *ret_pieces counts those that were
 * decoded. Errors as pieces_next's and codec_decode_piece's.
 */
static inline int decode_pieces(const struct codec_fixture *fixture, const struct codec_plan *plan,
                                enum media media, struct slice body, const struct cutting *cutting,
                                struct arena *arena, struct codec_inputs *ret_inputs,
                                unsigned *ret_pieces, struct error *error)
{
    struct piece_rules rules = {
        .media = media,
        .plan = plan,
        .options = &fixture->options,
        .whole = cutting->whole,
        .exact = cutting->exact,
        .rows = cutting->rows,
        .target_bytes = cutting->target_bytes,
        .max_bytes = cutting->max_bytes,
    };
    struct memory_source memory = {body, cutting->read_bytes};
    struct pieces pieces;
    struct codec_inputs joined = {.count = fixture->signature.input_count};
    *ret_pieces = 0;
    joined.tensors = arena_zalloc(arena, joined.count, sizeof(joined.tensors[0]));
    if (joined.tensors == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory");
    }
    pieces_init(&pieces, &rules, (struct source){memory_source_read, &memory});
    bool found = true;
    int status = ERR_OK;
    while (status == ERR_OK) {
        struct piece piece;
        struct codec_inputs inputs;
        status = pieces_next(&pieces, &piece, &found, error);
        if (status != ERR_OK || !found) {
            break;
        }
        status = codec_decode_piece(plan, media, piece.body, &piece.origin, arena, &inputs, error);
        if (status == ERR_OK) {
            CHECK(piece.rows == 0 || piece.rows == (uint64_t)inputs.rows);
            CHECK(piece.rows <= cutting->rows || cutting->whole);
            status = join_inputs(&joined, &inputs, error);
            codec_inputs_done(&inputs);
            ++*ret_pieces;
        }
    }
    if (status == ERR_OK) {
        CHECK(pieces_consumed_bytes(&pieces) == body.len);
        *ret_inputs = joined;
    } else {
        codec_inputs_done(&joined);
    }
    pieces_done(&pieces);
    return status;
}

#endif
