/*
 * Tensors of the runtime and ours. Fixed-size elements pass without a copy in both directions: the
 * runtime reads our buffers while it runs, and our buffers hold its outputs until their last
 * reference goes. Strings have another form on each side and are copied. Any thread.
 */
#ifndef BACKEND_ORT_TENSOR_H
#define BACKEND_ORT_TENSOR_H

#include "backend/ort_library.h"
#include "tensor/tensor.h"

/*
 * An input for a run. Unless it is of strings it borrows the tensor's memory: that has to stay until
 * the run's outputs are taken. The caller owns *ret_value (ReleaseValue). ERR_INTERNAL.
 */
MUST_CHECK int ort_tensor_lend(const struct ort_library *library, const struct tensor *tensor,
                               OrtValue **ret_value, struct error *error);

/*
 * Takes a tensor of the runtime (on failure it is released) and makes ours of it: over the same
 * memory, or a copy of strings. Elements codecs have no form for come as DTYPE_OTHER. ERR_INVALID
 * for more than TENSOR_MAX_RANK dimensions (the signature's were fewer, so inputs made them so),
 * ERR_NO_MEMORY, ERR_INTERNAL.
 */
MUST_CHECK int ort_tensor_take(const struct ort_library *library, OrtValue *owned,
                               struct tensor *ret_tensor, struct error *error);

#endif
