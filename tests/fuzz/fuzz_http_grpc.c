/*
 * A gRPC request's body of any bytes, the first of which says how it is read: whole, byte by byte, and in
 * pieces of other sizes it gives the same messages and the same verdict, and no message is larger than the
 * maximum. The same bytes as header fields are judged without harm.
 */
#include <string.h>

#include "base/check.h"
#include "http/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_MAX_BYTES ((size_t)4096)
#define TRACE_MAX_BYTES ((size_t)16 * 1024 * 1024)

/* What was read, to be compared: each message with its length, and the verdict. */
struct trace {
    struct bytes text;
    int status;
};

static void put(struct bytes *text, struct slice more)
{
    int status = bytes_put(text, more);
    CHECK(status == ERR_OK);
}

/* A piece of the body, to its end. */
static int feed(struct grpc_reader *reader, struct slice piece, struct bytes *message,
                struct bytes *text)
{
    struct error error;
    while (piece.len > 0) {
        int status = grpc_reader_feed(reader, &piece, message, &error);
        CHECK(bytes_len(message) <= MESSAGE_MAX_BYTES);
        if (status != ERR_OK) {
            CHECK(status == (int)error.code && error.text[0] != '\0');
            return status;
        }
        if (reader->complete && !reader->unary) {
            size_t len = bytes_len(message);
            put(text, slice_make(&len, sizeof(len)));
            put(text, bytes_slice(message));
            bytes_reset(message, MESSAGE_MAX_BYTES);
            grpc_reader_next(reader);
        }
    }
    return ERR_OK;
}

static void run(struct trace *trace, unsigned how, struct slice body, size_t piece_bytes)
{
    struct error error;
    struct bytes message;
    struct grpc_reader reader;
    trace->status = ERR_OK;
    bytes_init(&trace->text, TRACE_MAX_BYTES);
    bytes_init(&message, MESSAGE_MAX_BYTES);
    grpc_reader_init(&reader, (how & 1) == 0 ? GRPC_IDENTITY : GRPC_GZIP, (how & 2) == 0);
    while (trace->status == ERR_OK && body.len > 0) {
        struct slice piece = slice_head(body, piece_bytes);
        body = slice_tail(body, piece.len);
        trace->status = feed(&reader, piece, &message, &trace->text);
    }
    if (trace->status == ERR_OK) {
        trace->status = grpc_reader_finish(&reader, &error);
    }
    if (trace->status == ERR_OK) {
        put(&trace->text, bytes_slice(&message));
    }
    grpc_reader_done(&reader);
    bytes_done(&message);
}

static void check_messages(unsigned how, struct slice body)
{
    static const size_t piece_sizes[] = {1, 4, 23};
    struct trace whole;
    run(&whole, how, body, body.len + 1);
    for (size_t i = 0; i < sizeof(piece_sizes) / sizeof(piece_sizes[0]); i++) {
        struct trace pieces;
        run(&pieces, how, body, piece_sizes[i]);
        CHECK(pieces.status == whole.status);
        CHECK(slice_eq(bytes_slice(&pieces.text), bytes_slice(&whole.text)));
        bytes_done(&pieces.text);
    }
    bytes_done(&whole.text);
}

static int hex_digit(char byte)
{
    const char *digits = "0123456789ABCDEF";
    const char *at = strchr(digits, byte);
    CHECK(byte != '\0' && at != NULL);
    return (int)(at - digits);
}

/* Decodes what was encoded, and demands that it is printable ASCII. */
static void check_encoding(struct slice text, struct slice encoded)
{
    size_t at = 0;
    for (size_t i = 0; i < encoded.len; i++, at++) {
        int byte = (unsigned char)encoded.ptr[i];
        CHECK(byte >= 0x20 && byte <= 0x7e && at < text.len);
        if (byte == '%') {
            CHECK(encoded.len - i >= 3);
            byte = hex_digit(encoded.ptr[i + 1]) * 16 + hex_digit(encoded.ptr[i + 2]);
            i += 2;
        }
        CHECK(byte == (unsigned char)text.ptr[at]);
    }
    CHECK(at == text.len);
}

static void check_fields(struct slice value)
{
    struct error error;
    struct slice service;
    struct slice method;
    uint64_t ns;
    enum grpc_coding coding;
    if (grpc_split_path(value, &service, &method)) {
        CHECK(value.ptr[0] == '/' && service.len > 0 && method.len > 0);
        CHECK(service.len + method.len + 2 == value.len);
    }
    if (grpc_parse_timeout(value, &ns, &error) == ERR_OK) {
        CHECK(value.len >= 2 && value.len <= 9);
    }
    if (grpc_parse_coding(value, &coding, &error) == ERR_OK) {
        CHECK(slice_eq_nocase(slice_trim(value), grpc_coding_name(coding)));
    }
    CHECK(!grpc_is_content_type(value) || value.len >= strlen("application/grpc"));
    CHECK(grpc_choose_coding(value) == GRPC_IDENTITY || value.len >= strlen("gzip"));
    struct arena arena;
    arena_init(&arena, 4096, TRACE_MAX_BYTES);
    check_encoding(value, grpc_encode_message(value, &arena));
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        struct slice rest = slice_make(data + 1, size - 1);
        check_messages(data[0], rest);
        check_fields(rest);
    }
    return 0;
}
