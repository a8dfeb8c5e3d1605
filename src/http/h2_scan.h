/*
 * Finds the headers of frames in a client's bytes (RFC 9113 section 4.1), so that every frame can be
 * counted before nghttp2 sees it. nghttp2 tells of some only: not of those it ignores. And how many
 * CONTINUATION frames some versions of it count depends on how their bytes were split.
 */
#ifndef HTTP_H2_SCAN_H
#define HTTP_H2_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define H2_FRAME_HEADER_BYTES 9

struct h2_scan {
    size_t skip; /* of the preface, or of a payload */
    unsigned char header[H2_FRAME_HEADER_BYTES];
    size_t header_len;
};

/* At the first byte of a connection. */
void h2_scan_init(struct h2_scan *scan);
/*
 * Takes in a prefix of `input`, which is not empty: to the end of a frame's header, or of its
 * payload, or all. Returns its length. *ret_found: the last byte of it ended a header.
 */
size_t h2_scan_next(struct h2_scan *scan, struct slice input, bool *ret_found);
/* Of the header that was found, until the next call of h2_scan_next. */
unsigned h2_scan_type(const struct h2_scan *scan);
unsigned h2_scan_flags(const struct h2_scan *scan);
uint32_t h2_scan_stream(const struct h2_scan *scan);

#endif
