#include "http/gzip.h"

#include <stdbool.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/check.h"
#include "base/mem.h"

#define STEP_BYTES ((size_t)16 * 1024)
#define GZIP_WINDOW (15 + 16) /* the largest window, gzip wrapper only */
#define GZIP_LEVEL 1          /* numbers as text: 6 saves a tenth more in six times the time */
#define GZIP_MEMORY 8

struct gunzip {
    z_stream stream;
    const char *field; /* that announced the coding */
    unsigned long long consumed_bytes;
    bool ended; /* a whole member was read; another may follow (RFC 1952 section 2.2) */
};

static void *zlib_alloc(void *opaque, unsigned count, unsigned size)
{
    (void)opaque;
    return mem_zalloc(count, size);
}

static void zlib_free(void *opaque, void *block)
{
    (void)opaque;
    mem_free(block);
}

struct gunzip *gunzip_new(const char *field)
{
    struct gunzip *gunzip = mem_zalloc(1, sizeof(*gunzip));
    if (gunzip == NULL) {
        return NULL;
    }
    gunzip->field = field;
    gunzip->stream.zalloc = zlib_alloc;
    gunzip->stream.zfree = zlib_free;
    if (inflateInit2(&gunzip->stream, GZIP_WINDOW) != Z_OK) {
        mem_free(gunzip);
        return NULL;
    }
    return gunzip;
}

void gunzip_free(struct gunzip *gunzip)
{
    if (gunzip != NULL) {
        inflateEnd(&gunzip->stream);
        mem_free(gunzip);
    }
}

/* Room for the next step of output, or 0 where the maximum is reached. */
static size_t reserve(struct bytes *out, char **ret_at)
{
    size_t left = out->max - bytes_len(out);
    size_t size = left < STEP_BYTES ? left : STEP_BYTES;
    *ret_at = size == 0 ? NULL : bytes_reserve(out, size);
    return *ret_at == NULL ? 0 : size;
}

static int too_large(const struct bytes *out, struct error *error)
{
    return error_set(error, ERR_TOO_LARGE, "the decoded body is larger than %zu bytes", out->max);
}

static int check(struct gunzip *gunzip, int result, struct error *error)
{
    switch (result) {
    case Z_OK:
    case Z_BUF_ERROR:
        return ERR_OK;
    case Z_STREAM_END:
        gunzip->ended = true;
        return ERR_OK;
    case Z_MEM_ERROR:
        return error_set(error, ERR_NO_MEMORY, "no memory to decode a gzip body");
    default:
        return error_set(error, ERR_INVALID,
                         "%s gzip: the data at byte offset %llu is no gzip (%s)", gunzip->field,
                         gunzip->consumed_bytes,
                         gunzip->stream.msg == NULL ? "broken" : gunzip->stream.msg);
    }
}

/* When the queue is full, one byte more tells a body that fits exactly from one that does not. */
static int step(struct gunzip *gunzip, struct bytes *out, struct error *error)
{
    z_stream *stream = &gunzip->stream;
    char spare;
    char *at;
    size_t room = reserve(out, &at);
    if (at == NULL && bytes_len(out) < out->max) {
        return error_set(error, ERR_NO_MEMORY, "no memory to decode a gzip body");
    }
    stream->next_out = (unsigned char *)(room == 0 ? &spare : at);
    stream->avail_out = room == 0 ? 1 : (unsigned)room;
    unsigned before_in = stream->avail_in;
    int result = inflate(stream, Z_NO_FLUSH);
    gunzip->consumed_bytes += before_in - stream->avail_in;
    /* First: what is wrong behind that byte may or may not have come yet. */
    if (room == 0 && stream->avail_out == 0) {
        return too_large(out, error);
    }
    int status = check(gunzip, result, error);
    if (status == ERR_OK && room > 0) {
        bytes_commit(out, room - stream->avail_out);
    }
    return status;
}

/* A part of the piece at a time: zlib counts in unsigned. */
static struct slice cut_input(z_stream *stream, struct slice piece)
{
    struct slice part = slice_head(piece, STEP_BYTES);
    stream->next_in = (z_const unsigned char *)(z_const void *)part.ptr;
    stream->avail_in = (unsigned)part.len;
    return slice_tail(piece, part.len);
}

/* Inflates what stands in the stream's input. */
static int inflate_input(struct gunzip *gunzip, struct bytes *out, struct error *error)
{
    z_stream *stream = &gunzip->stream;
    stream->avail_out = 0;
    while (stream->avail_in > 0 || stream->avail_out == 0) {
        if (gunzip->ended) {
            if (stream->avail_in == 0) {
                break;
            }
            gunzip->ended = false;
            inflateReset(stream);
        }
        unsigned before_in = stream->avail_in;
        size_t before_len = bytes_len(out);
        int status = step(gunzip, out, error);
        if (status != ERR_OK) {
            return status;
        }
        if (before_in == stream->avail_in && before_len == bytes_len(out) && !gunzip->ended) {
            break;
        }
    }
    return ERR_OK;
}

int gunzip_feed(struct gunzip *gunzip, struct slice piece, struct bytes *out, struct error *error)
{
    int status;
    do {
        piece = cut_input(&gunzip->stream, piece);
        status = inflate_input(gunzip, out, error);
    } while (status == ERR_OK && piece.len > 0);
    return status;
}

int gunzip_finish(const struct gunzip *gunzip, struct error *error)
{
    if (!gunzip->ended) {
        return error_set(error, ERR_INVALID,
                         "%s gzip: the data ends too early, at byte offset %llu", gunzip->field,
                         gunzip->consumed_bytes);
    }
    return ERR_OK;
}

struct gzip {
    z_stream stream;
};

struct gzip *gzip_new(void)
{
    struct gzip *gzip = mem_zalloc(1, sizeof(*gzip));
    if (gzip == NULL) {
        return NULL;
    }
    gzip->stream.zalloc = zlib_alloc;
    gzip->stream.zfree = zlib_free;
    if (deflateInit2(&gzip->stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        mem_free(gzip);
        return NULL;
    }
    return gzip;
}

void gzip_free(struct gzip *gzip)
{
    if (gzip != NULL) {
        deflateEnd(&gzip->stream);
        mem_free(gzip);
    }
}

/* Deflates what stands in the stream's input until it is taken, or with `flush` until all is said. */
static int deflate_input(z_stream *stream, int flush, struct bytes *out)
{
    int result;
    do {
        char *at;
        size_t room = reserve(out, &at);
        if (room == 0) {
            return ERR_NO_MEMORY;
        }
        stream->next_out = (unsigned char *)at;
        stream->avail_out = (unsigned)room;
        result = deflate(stream, flush);
        CHECK(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR);
        bytes_commit(out, room - stream->avail_out);
    } while (flush == Z_FINISH ? result != Z_STREAM_END : stream->avail_in > 0);
    return ERR_OK;
}

int gzip_feed(struct gzip *gzip, struct slice piece, struct bytes *out)
{
    while (piece.len > 0) {
        piece = cut_input(&gzip->stream, piece);
        int status = deflate_input(&gzip->stream, Z_NO_FLUSH, out);
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

int gzip_finish(struct gzip *gzip, struct bytes *out)
{
    int status = deflate_input(&gzip->stream, Z_FINISH, out);
    if (status == ERR_OK) {
        gzip_reset(gzip);
    }
    return status;
}

void gzip_reset(struct gzip *gzip)
{
    int result = deflateReset(&gzip->stream);
    CHECK(result == Z_OK);
}

const char *gzip_library_version(void)
{
    return zlibVersion();
}
