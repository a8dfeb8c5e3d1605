/*
 * The short way for what nearly every JSON request is: nested arrays of plain numbers, read from
 * the text straight into the tensor, without a tree and without memory from the arena. It only ever
 * takes what it understands completely; for anything else it says so, and the long way decides (and
 * words the error). Both ways give the same tensors for what both take.
 */
#ifndef CODEC_JSON_PLAIN_H
#define CODEC_JSON_PLAIN_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "codec/decode.h"
#include "codec/sink.h"

/*
 * Decodes a body that is a matrix, bare or as the only member of an object with the instances key.
 * *ret_done is false when it is not, or would be refused (then nothing has happened). ERR_NO_MEMORY
 * is the one error.
 */
MUST_CHECK int json_plain_decode(struct decode *decode, bool *ret_done, struct error *error);

/*
 * Puts one row of the sink's shape and ends it. False when the text is anything else; the sink then
 * still expects the row. The sink is open, with room for the row.
 */
bool json_plain_put_row(struct slice text, struct sink *sink);

#endif
