/*
 * A run's outputs as values: tensors, sequences of tensors or maps, maps, and optional ones.
 */
#ifndef BACKEND_ORT_VALUES_H
#define BACKEND_ORT_VALUES_H

#include "backend/ort_library.h"
#include "base/arena.h"
#include "tensor/tensor.h"

/*
 * Takes an output (released, or kept alive by *ret_value; NULL is one that is not there) and makes
 * a value of it: structs in the arena, buffers counted. `inputs` are those of the run: an output
 * that is nothing but an input passed through is copied, since its memory is the caller's.
 * ERR_INVALID as ort_tensor_take, ERR_NO_MEMORY, ERR_INTERNAL for a kind that has no form here.
 */
MUST_CHECK int ort_value_take(const struct ort_library *library, OrtValue *owned,
                              const struct tensor *inputs, size_t input_count, struct arena *arena,
                              struct value *ret_value, struct error *error);

#endif
