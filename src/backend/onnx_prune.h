/*
 * Leaves out of an .onnx file what no wanted output needs: the runtime executes a whole graph
 * whatever outputs a run asks for. Works on the protobuf wire format (onnx.proto, ModelProto): whole
 * fields are kept as they stand or dropped. A pure function over bytes from outside; any thread.
 */
#ifndef BACKEND_ONNX_PRUNE_H
#define BACKEND_ONNX_PRUNE_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

#define ONNX_PRUNE_MAX_NAMES (1u << 20) /* of nodes, their inputs and their outputs together */
#define ONNX_PRUNE_MAX_DEPTH 16         /* of subgraphs in subgraphs */

/* What the pruned model may be long at most, for bytes_init. */
size_t onnx_prune_max_bytes(size_t model_bytes);

/*
 * Puts `model` without the nodes from which no output named in `wanted` can be reached to *pruned;
 * nothing where all nodes are needed. What stays computes bit for bit what it did: outputs of nodes
 * that stay remain outputs, and values that a node which goes shared with one that stays become
 * outputs too, so that the runtime fuses no more nodes than before. Inputs and weights all stay.
 *
 * ERR_CONFIG where it had better be left alone, with what is in the way: malformed, no graph or two,
 * an output that it does not have, two makers of one value, weights in files of their own, training,
 * past the limits above. ERR_NO_MEMORY. Then *pruned is as it was.
 */
MUST_CHECK int onnx_prune(struct slice model, const struct slice *wanted, size_t wanted_count,
                          struct bytes *pruned, struct error *error);

#endif
