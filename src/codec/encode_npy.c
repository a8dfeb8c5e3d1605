/*
 * Tensors as .npy, version 1.0 (NumPy Enhancement Proposal 1, "A simple file format for NumPy
 * arrays"): the header, then the elements.
 */
#include "codec/encode.h"

#include "codec/npy_header.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are written as they lie");

int encode_npy(struct encode_output output, struct writer *writer, struct error *error)
{
    const struct tensor *tensor = &output.value->tensor;
    if (output.value->kind != VALUE_TENSOR) {
        return encode_refuse(output.port, "npy", "it is not a tensor", error);
    }
    if (!npy_has_type(tensor->dtype)) {
        return encode_refuse_type(output.port, "npy", tensor->dtype, error);
    }
    if (!writer_has_room(writer, NPY_HEADER_MAX)) {
        return ERR_NO_MEMORY;
    }
    struct npy_header header = {.dtype = tensor->dtype, .rank = tensor->rank};
    memcpy(header.dims, tensor->dims, sizeof(header.dims));
    writer->at += npy_header_print(&header, 0, writer->at);
    return writer_put(writer, slice_make(tensor->at, tensor_bytes(tensor)));
}
