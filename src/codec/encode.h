/*
 * The encoders behind codec_encode, one an encoding. Internal to this layer. Each appends to the
 * writer and returns ERR_INVALID with a message that names the output where a value has no such
 * form, or ERR_NO_MEMORY without a message. None allocates but through the writer.
 */
#ifndef CODEC_ENCODE_H
#define CODEC_ENCODE_H

#include "base/error.h"
#include "codec/plan.h"
#include "codec/writer.h"
#include "tensor/signature.h"
#include "tensor/tensor.h"

/* One output of the model and its value, both borrowed. */
struct encode_output {
    const struct port *port;
    const struct value *value;
};

/*
 * values[] are those of plan->wanted. With an output map an object of the mapped outputs; else the
 * one wanted value, bare or under options->json_output_key.
 */
MUST_CHECK int encode_json(const struct codec_plan *plan, const struct value *values,
                           struct writer *writer, struct error *error);
/*
 * One line a row, without a final newline. Tensors: [rows, ...], what is behind the rows flattened;
 * a vector is one value a line. Sequences: one item a line, of a tensor all elements, of a map its
 * values in the order of the first map's keys (all maps must have the same).
 */
MUST_CHECK int encode_csv(const struct codec_plan *plan, struct encode_output output,
                          struct writer *writer, struct error *error);
/* Version 1.0 of the NumPy format, little-endian, C order. Tensors of numbers and booleans only. */
MUST_CHECK int encode_npy(struct encode_output output, struct writer *writer, struct error *error);

/* ERR_INVALID, "output 'x' has no CSV form: <reason>". */
int encode_refuse(const struct port *port, const char *encoding, const char *reason,
                  struct error *error);
/* The same because of the element type. */
int encode_refuse_type(const struct port *port, const char *encoding, enum dtype dtype,
                       struct error *error);

#endif
