/*
 * An offline run: pieces of an input through the codec and the model of a deployment, the very ones
 * that serve requests, to one joined answer. One thread.
 */
#ifndef CLI_PREDICTION_H
#define CLI_PREDICTION_H

#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "cli/pieces.h"
#include "cli/join.h"
#include "serve/deployment.h"

struct prediction {
    const struct deployment *deployment; /* borrowed */
    struct codec_options options;        /* the deployment's, without a limit on records */
    struct codec_plan *plan;
    struct piece_rules rules;
    struct pieces pieces;
    struct join join;
    struct arena arena;
    uint64_t rows; /* answered so far */
    bool untried;  /* whether rows are independent is yet to be seen on the first piece */
};

/*
 * The input is read from `source`, in this encoding; the answer goes to `out` in the other (borrowed
 * both). `beside` as out_file_open_spool's path.
 */
MUST_CHECK int prediction_init(struct prediction *prediction, const struct deployment *deployment,
                               enum media input, struct source source, enum media output,
                               struct out_file *out, const char *beside, struct error *error);
void prediction_done(struct prediction *prediction);
/*
 * Answers the next piece; *ret_more is false once there is none and the answer is closed. ERR_INVALID
 * names the place in the input.
 */
MUST_CHECK int prediction_step(struct prediction *prediction, bool *ret_more, struct error *error);
/* Bytes of the input that were taken so far. */
uint64_t prediction_consumed_bytes(const struct prediction *prediction);

#endif
