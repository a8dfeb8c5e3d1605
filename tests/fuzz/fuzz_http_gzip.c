/*
 * gzip bodies of any bytes: decoded in one piece and byte by byte they give the same verdict, and
 * where it is good the same bytes, never more than the maximum. Encoded, any bytes decode to themselves.
 */
#include "base/check.h"
#include "http/gzip.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DECODED_MAX_BYTES ((size_t)64 * 1024)

static int decode(struct slice input, size_t piece_bytes, struct bytes *out)
{
    struct error error;
    struct gunzip *gunzip = gunzip_new("Content-Encoding");
    CHECK(gunzip != NULL);
    int status = ERR_OK;
    while (status == ERR_OK && input.len > 0) {
        struct slice piece = slice_head(input, piece_bytes);
        input = slice_tail(input, piece.len);
        status = gunzip_feed(gunzip, piece, out, &error);
    }
    if (status == ERR_OK) {
        status = gunzip_finish(gunzip, &error);
    }
    gunzip_free(gunzip);
    CHECK(bytes_len(out) <= DECODED_MAX_BYTES);
    return status;
}

static void encode_and_decode(struct slice input)
{
    struct gzip *gzip = gzip_new();
    struct bytes packed;
    struct bytes out;
    bytes_init(&packed, input.len * 2 + 100);
    bytes_init(&out, DECODED_MAX_BYTES);
    CHECK(gzip != NULL);
    int status = gzip_feed(gzip, input, &packed);
    CHECK(status == ERR_OK);
    status = gzip_finish(gzip, &packed);
    CHECK(status == ERR_OK);
    status = decode(bytes_slice(&packed), bytes_len(&packed), &out);
    CHECK(status == (input.len > DECODED_MAX_BYTES ? ERR_TOO_LARGE : ERR_OK));
    CHECK(slice_eq(bytes_slice(&out), slice_head(input, DECODED_MAX_BYTES)));
    gzip_free(gzip);
    bytes_done(&packed);
    bytes_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t piece_sizes[] = {1, 7, 20};
    struct slice input = slice_make(size == 0 ? (const void *)"" : data, size);
    struct bytes whole;
    bytes_init(&whole, DECODED_MAX_BYTES);
    int verdict = decode(input, size + 1, &whole);
    for (size_t i = 0; i < sizeof(piece_sizes) / sizeof(piece_sizes[0]); i++) {
        struct bytes pieces;
        bytes_init(&pieces, DECODED_MAX_BYTES);
        CHECK(decode(input, piece_sizes[i], &pieces) == verdict);
        CHECK(verdict != ERR_OK || slice_eq(bytes_slice(&whole), bytes_slice(&pieces)));
        bytes_done(&pieces);
    }
    bytes_done(&whole);
    encode_and_decode(input);
    return 0;
}
