#include "cli/npy_rows.h"

#include "base/checked.h"

int npy_rows_open(struct npy_rows *npy, const struct codec_plan *plan, struct slice start,
                  struct error *error)
{
    struct npy_rows opened = {.row_bytes = 0};
    int status = npy_header_parse(start, &opened.header, error);
    if (status != ERR_OK) {
        return status;
    }
    const struct npy_header *header = &opened.header;
    bool row_major = !header->fortran_order || header->rank == 1;
    if (header->elements > 0 && header->rank > 0 && row_major &&
        !codec_array_is_row(plan, header->rank)) {
        opened.rows = (uint64_t)header->dims[0];
        if (checked_mul(header->elements / opened.rows, dtype_size(header->dtype),
                        &opened.row_bytes)) {
            return error_set(error, ERR_INVALID, "invalid npy header: shape is too large");
        }
    }
    *npy = opened;
    return ERR_OK;
}

size_t npy_rows_print_header(const struct npy_rows *npy, uint64_t rows, char text[NPY_HEADER_MAX])
{
    struct npy_header header = npy->header;
    header.fortran_order = false;
    header.dims[0] = (int64_t)rows;
    return npy_header_print(&header, 0, text);
}
