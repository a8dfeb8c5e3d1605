/*
 * A loaded session's inputs, outputs and metadata as a signature.
 */
#ifndef BACKEND_ORT_SIGNATURE_H
#define BACKEND_ORT_SIGNATURE_H

#include "backend/ort_library.h"
#include "base/arena.h"
#include "tensor/signature.h"

/*
 * Reads everything but opsets and ir_version, which the runtime does not tell. All memory is the
 * arena's; every name and text is NUL-terminated. ERR_CONFIG for a model that cannot be served
 * (an input or output of too high a rank), ERR_NO_MEMORY.
 */
MUST_CHECK int ort_signature_read(const struct ort_library *library, const OrtSession *session,
                                  struct arena *arena, struct signature *ret_signature,
                                  struct error *error);

#endif
