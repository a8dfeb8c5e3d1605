/*
 * Where the columns of a table go: each source column to an element of a sink's row, or nowhere.
 * TABULAR_ID_COLUMNS are dropped; TABULAR_FEATURE_COLUMNS, where set, selects from the columns as
 * they came and in its own order. Made once a request, when the number of columns is known.
 */
#ifndef CODEC_COLUMNS_H
#define CODEC_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "codec/plan.h"
#include "codec/sink.h"

struct column {
    struct sink *sink; /* NULL: dropped */
    size_t index;      /* element of the sink's row */
};

struct columns {
    struct column *items; /* one a source column */
    size_t count;
    size_t kept; /* columns that go somewhere */
};

/* `count` source columns, all dropped. Memory of the arena; ERR_NO_MEMORY. */
MUST_CHECK int columns_new(size_t count, struct arena *arena, struct columns *ret_columns,
                           struct error *error);

/*
 * The three below place columns anew, whatever was there. First, by the selectors: columns of a
 * matrix that all go to `sink`. ERR_INVALID when a selector names a column that is not there or
 * nothing is left, and `Feature count mismatch: ...` when the number kept is not
 * TABULAR_NUM_FEATURES.
 */
MUST_CHECK int columns_select(struct columns *columns, const struct codec_plan *plan,
                              struct sink *sink, struct error *error);
/*
 * By a header with the manifest's feature names: in the features' order, other columns dropped.
 * columns->kept is 0 when the header has none of the names (or there are no names, or
 * TABULAR_FEATURE_COLUMNS decides). ERR_INVALID when it has some of them but not all, or one twice;
 * ERR_NO_MEMORY.
 */
MUST_CHECK int columns_by_feature(struct columns *columns, const struct codec_plan *plan,
                                  const struct slice *header, struct sink *sink,
                                  struct arena *arena, struct error *error);
/*
 * By a header with input names: each column feeds the input it is named after, other columns are
 * dropped; sinks[] as in struct decode. columns->kept is 0 when the header names no input.
 * ERR_INVALID for a name that occurs twice.
 */
MUST_CHECK int columns_by_input(struct columns *columns, const struct codec_plan *plan,
                                const struct slice *header, struct sink *sinks,
                                struct error *error);

/* `Feature count mismatch: got <n> expected TABULAR_NUM_FEATURES=<m>` */
MUST_CHECK int columns_check_count(const struct codec_plan *plan, size_t count,
                                   struct error *error);
/* Whether every column is kept in its place: then a matrix needs no struct columns. */
bool columns_are_plain(const struct codec_plan *plan);

#endif
