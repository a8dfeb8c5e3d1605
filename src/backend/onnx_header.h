/*
 * What the runtime does not tell of an .onnx file: its opsets, its IR version, its producer's
 * version, and which of its inputs and outputs are scalars (the runtime shows them like those of
 * unknown shape); and what has to be known before it is loaded. Reads the protobuf wire format (onnx.proto, ModelProto) and skips everything else,
 * weights above all, without loading it. Bytes from outside: every length is checked.
 */
#ifndef BACKEND_ONNX_HEADER_H
#define BACKEND_ONNX_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

#define ONNX_HEADER_MAX_OPSETS 32
#define ONNX_HEADER_MAX_SCALARS 64 /* those past it go unrecognised */

struct onnx_opset {
    struct slice domain; /* empty: ai.onnx */
    int64_t version;
};

struct onnx_header {
    int64_t ir_version; /* 0 where the file does not say */
    struct slice producer_version;
    struct onnx_opset opsets[ONNX_HEADER_MAX_OPSETS];
    size_t opset_count;
    struct slice scalars[ONNX_HEADER_MAX_SCALARS]; /* names */
    size_t scalar_count;
    bool input_shapes_vary; /* an input has a free dimension besides its first, or any shape */
};

/* Where the bytes are: a file, or memory where `bytes` is set. */
struct onnx_source {
    uint64_t size_bytes;
    const void *bytes;
    int fd;
};

/*
 * Texts are copied to the arena. ERR_CONFIG with what is wrong (not protobuf, cut off, too many
 * fields, unreadable), ERR_NO_MEMORY; *ret_header is written only on success. Any thread.
 */
MUST_CHECK int onnx_header_parse(const struct onnx_source *source, struct arena *arena,
                                 struct onnx_header *ret_header, struct error *error);
/* The same for the file at `path`. */
MUST_CHECK int onnx_header_read(const char *path, struct arena *arena,
                                struct onnx_header *ret_header, struct error *error);

/* "ai.onnx 17, ai.onnx.ml 3" in the arena; ptr is NULL without memory. */
struct slice onnx_header_describe_opsets(const struct onnx_header *header, struct arena *arena);

#endif
