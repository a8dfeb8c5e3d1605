/* HTTP/2 frames made by hand, good and bad, for what no sound client sends. */
#ifndef H2_FRAMES_H
#define H2_FRAMES_H

#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/slice.h"
#include "http/h2.h"

enum frame_type {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
    FRAME_UNKNOWN = 0x4a,
};

#define FLAG_END_STREAM 0x1
#define FLAG_ACK 0x1
#define FLAG_END_HEADERS 0x4
#define FLAG_PADDED 0x8

static inline void frames_put(struct bytes *out, struct slice bytes)
{
    CHECK(bytes_put(out, bytes) == ERR_OK);
}

static inline void frames_put_number(struct bytes *out, uint32_t number, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--) {
        CHECK(bytes_put_byte(out, (char)(number >> (8 * (i - 1)))) == ERR_OK);
    }
}

static inline void frames_put_frame(struct bytes *out, unsigned type, unsigned flags, int32_t id,
                                    struct slice payload)
{
    frames_put_number(out, (uint32_t)payload.len, 3);
    frames_put_number(out, type, 1);
    frames_put_number(out, flags, 1);
    frames_put_number(out, (uint32_t)id, 4);
    frames_put(out, payload);
}

/* An integer of HPACK with a prefix of 7 bits (RFC 7541 section 5.1). */
static inline void frames_put_integer(struct bytes *block, size_t number)
{
    if (number < 127) {
        frames_put_number(block, (uint32_t)number, 1);
        return;
    }
    frames_put_number(block, 127, 1);
    for (number -= 127; number >= 128; number /= 128) {
        frames_put_number(block, (uint32_t)(number % 128) | 128, 1);
    }
    frames_put_number(block, (uint32_t)number, 1);
}

/* A literal field without indexing and without Huffman coding (RFC 7541 section 6.2.2). */
static inline void frames_put_field(struct bytes *block, struct slice name, struct slice value)
{
    frames_put_number(block, 0, 1);
    frames_put_integer(block, name.len);
    frames_put(block, name);
    frames_put_integer(block, value.len);
    frames_put(block, value);
}

/* "name: value" lines, each ended by LF. A name may start with a colon. */
static inline void frames_put_fields(struct bytes *block, struct slice lines)
{
    struct slice rest = lines;
    while (rest.len > 0) {
        struct slice line = slice_cut(&rest, '\n');
        size_t colon = line.len > 0 ? 1 + slice_find(slice_tail(line, 1), ':') : 0;
        CHECK(colon + 2 <= line.len);
        frames_put_field(block, slice_head(line, colon), slice_tail(line, colon + 2));
    }
}

/* HEADERS, and CONTINUATION where one frame does not hold the block. */
static inline void frames_put_block(struct bytes *out, unsigned flags, int32_t id,
                                    struct slice block)
{
    unsigned type = FRAME_HEADERS;
    while (block.len > H2_MAX_DATA_BYTES) {
        frames_put_frame(out, type, flags, id, slice_head(block, H2_MAX_DATA_BYTES));
        block = slice_tail(block, H2_MAX_DATA_BYTES);
        type = FRAME_CONTINUATION;
        flags = 0;
    }
    frames_put_frame(out, type, flags | FLAG_END_HEADERS, id, block);
}

static inline void frames_put_head(struct bytes *out, unsigned flags, int32_t id,
                                   struct slice lines)
{
    struct bytes block;
    bytes_init(&block, (size_t)1024 * 1024);
    frames_put_fields(&block, lines);
    frames_put_block(out, flags, id, bytes_slice(&block));
    bytes_done(&block);
}

/* What a client begins with: the preface and empty SETTINGS. */
static inline void frames_put_preface(struct bytes *out)
{
    frames_put(out, SLICE(H2_PREFACE));
    frames_put_frame(out, FRAME_SETTINGS, 0, 0, SLICE(""));
}

static inline void frames_put_reset(struct bytes *out, int32_t id, uint32_t code)
{
    const char payload[] = {(char)(code >> 24), (char)(code >> 16), (char)(code >> 8), (char)code};
    frames_put_frame(out, FRAME_RST_STREAM, 0, id, slice_make(payload, sizeof(payload)));
}

static inline void frames_put_window(struct bytes *out, int32_t id, uint32_t increment)
{
    const char payload[] = {(char)(increment >> 24), (char)(increment >> 16),
                            (char)(increment >> 8), (char)increment};
    frames_put_frame(out, FRAME_WINDOW_UPDATE, 0, id, slice_make(payload, sizeof(payload)));
}

#define GET_LINES(path) ":method: GET\n:scheme: http\n:path: " path "\n:authority: localhost:8080\n"
#define POST_LINES(path)                                                                           \
    ":method: POST\n:scheme: http\n:path: " path "\n:authority: localhost:8080\n"

#endif
