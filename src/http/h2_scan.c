/* Lengths and types only: what a frame says is nghttp2's. */
#include "http/h2_scan.h"

#include <string.h>

#include "http/h2.h"

void h2_scan_init(struct h2_scan *scan)
{
    *scan = (struct h2_scan){.skip = sizeof(H2_PREFACE) - 1};
}

static size_t skip(struct h2_scan *scan, size_t len)
{
    size_t skipped = len < scan->skip ? len : scan->skip;
    scan->skip -= skipped;
    return skipped;
}

size_t h2_scan_next(struct h2_scan *scan, struct slice input, bool *ret_found)
{
    *ret_found = false;
    if (scan->skip > 0) {
        return skip(scan, input.len);
    }
    if (scan->header_len == H2_FRAME_HEADER_BYTES) {
        scan->header_len = 0;
    }
    struct slice more = slice_head(input, H2_FRAME_HEADER_BYTES - scan->header_len);
    memcpy(scan->header + scan->header_len, more.ptr, more.len);
    scan->header_len += more.len;
    if (scan->header_len == H2_FRAME_HEADER_BYTES) {
        const unsigned char *header = scan->header;
        scan->skip = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
        *ret_found = true;
    }
    return more.len;
}

unsigned h2_scan_type(const struct h2_scan *scan)
{
    return scan->header[3];
}

unsigned h2_scan_flags(const struct h2_scan *scan)
{
    return scan->header[4];
}

/* Without the reserved bit. */
uint32_t h2_scan_stream(const struct h2_scan *scan)
{
    const unsigned char *id = scan->header + 5;
    return ((uint32_t)id[0] & 0x7f) << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
}
