/*
 * Joins the answers to the pieces of a payload to the answer that the whole would have got: rows of
 * CSV, one JSON array (or an object of them), one npy array. One owner thread.
 */
#ifndef CLI_JOIN_H
#define CLI_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "cli/out_file.h"
#include "codec/codec.h"
#include "codec/npy_header.h"
#include "tensor/signature.h"

/* One output on its way: bare where there is one, a member of an object otherwise. */
struct join_member {
    struct codec_options options; /* of an answer that is this output alone */
    struct codec_plan *plan;
    size_t value;          /* which of the wanted values it is */
    struct slice key;      /* in the object; no pointer: bare */
    struct out_file spool; /* where there are several */
    struct out_file *out;  /* the spool or the join's */
    char held;             /* the last byte of the JSON so far: it may have to go on */
    enum dtype dtype;      /* of the first piece's tensor, as the next three */
    unsigned rank;
    int64_t dims[TENSOR_MAX_RANK];
    bool divides; /* it had a row for each row that went in */
};

struct join {
    const struct signature *signature; /* borrowed */
    enum media media;
    struct out_file *out; /* borrowed */
    struct join_member *members;
    size_t member_count;
    struct out_file rows; /* npy: the elements, where the header cannot be written over */
    size_t header_len;    /* npy: what is kept free for it */
    struct bytes answer;  /* one piece's */
    uint64_t rows_joined;
    bool started;
};

/*
 * For answers of `plan`, made of these options and signature (all borrowed), in the given encoding;
 * with an output map it is JSON whatever is asked. `beside` as out_file_open_spool's path. Nothing is
 * left behind on failure.
 */
MUST_CHECK int join_init(struct join *join, const struct codec_options *options,
                         const struct signature *signature, enum media media, struct out_file *out,
                         const char *beside, struct error *error);
void join_done(struct join *join);
/*
 * The values of a run over the next `rows` rows, in the order of the plan's wanted outputs.
 * ERR_INVALID where they have no such encoding, or cannot be joined to those before.
 */
MUST_CHECK int join_put(struct join *join, const struct value *values, int64_t rows,
                        struct error *error);
/* What closes the answer. */
MUST_CHECK int join_finish(struct join *join, struct error *error);

#endif
