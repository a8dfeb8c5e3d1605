/*
 * gRPC over HTTP/2 (PROTOCOL-HTTP2.md of gRPC), as far as it is pure functions: messages in and out of
 * their length-prefixed frames, and the header fields of a call. It knows neither streams nor what
 * stands in a message; `rpc/` does. No clock; one thread at a time an object.
 */
#ifndef HTTP_GRPC_H
#define HTTP_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "http/gzip.h"

/* Compressed-Flag and Message-Length, which stand before each message. */
#define GRPC_PREFIX_BYTES 5

/* ---- header fields ---- */

/* "/package.Service/Method". False where a path is anything else; both parts borrow from it. */
bool grpc_split_path(struct slice path, struct slice *ret_service, struct slice *ret_method);

/*
 * Whether content-type says gRPC with protobuf messages: application/grpc or application/grpc+proto in
 * any case, with or without parameters. A call with another one is answered with HTTP status 415.
 */
bool grpc_is_content_type(struct slice value);

/*
 * grpc-timeout in nanoseconds: at most 8 digits and one of the units H M S m u n. UINT64_MAX where it
 * is longer than that can hold. ERR_INVALID when it is anything else.
 */
MUST_CHECK int grpc_parse_timeout(struct slice value, uint64_t *ret_ns, struct error *error);

/* Message codings: what grpc-encoding may name, and what is said in grpc-accept-encoding. */
enum grpc_coding {
    GRPC_IDENTITY,
    GRPC_GZIP,
};
#define GRPC_ACCEPT_ENCODING SLICE("identity,gzip")

/*
 * grpc-encoding of a request; {NULL, 0}, the field's absence, is GRPC_IDENTITY. ERR_METHOD (on the
 * wire UNIMPLEMENTED) for codings unknown here.
 */
MUST_CHECK int grpc_parse_coding(struct slice value, enum grpc_coding *ret_coding,
                                 struct error *error);
/* The best coding for a reply to a caller with this grpc-accept-encoding, which may be {NULL, 0}. */
enum grpc_coding grpc_choose_coding(struct slice accepted);
/* "identity", "gzip": for grpc-encoding. */
struct slice grpc_coding_name(enum grpc_coding coding);

/*
 * The value of grpc-message for a text: percent-encoded but for printable ASCII without '%'. In the
 * arena, or the text itself where nothing has to be encoded; {NULL, 0} without memory.
 */
struct slice grpc_encode_message(struct slice text, struct arena *arena);

/* ---- messages ---- */

/*
 * Takes the messages of one request out of its body, which comes in pieces of any size: the result is
 * the same for every split. Compressed ones are decoded on the way.
 */
struct grpc_reader {
    enum grpc_coding coding; /* of messages whose flag is set */
    bool unary;              /* the request is exactly one message */
    bool complete;           /* a whole message stands in the caller's bytes */
    bool compressed;         /* the message at hand */
    unsigned char prefix[GRPC_PREFIX_BYTES];
    size_t prefix_bytes;  /* read of the prefix */
    size_t message_bytes; /* by the prefix */
    size_t missing_bytes; /* of the message */
    struct gunzip *gunzip;
};

/* Allocates nothing yet. */
void grpc_reader_init(struct grpc_reader *reader, enum grpc_coding coding, bool unary);
void grpc_reader_done(struct grpc_reader *reader);

/*
 * Takes bytes off *piece until a message is complete or the piece is empty (all of it, where the
 * request is unary), and appends the message, decoded, to `message`, which the caller gives empty for
 * each. Its maximum is the limit of a message's size, as it comes and decoded: ERR_TOO_LARGE, for the
 * former as soon as the prefix is read. ERR_INVALID for a prefix or gzip data that are none; ERR_PROTOCOL
 * (on the wire INTERNAL, compression.md of gRPC) for a compressed message where the coding is
 * GRPC_IDENTITY; ERR_METHOD (on the wire UNIMPLEMENTED) for a second message of a unary request;
 * ERR_NO_MEMORY. After an error only grpc_reader_done may follow.
 */
MUST_CHECK int grpc_reader_feed(struct grpc_reader *reader, struct slice *piece,
                                struct bytes *message, struct error *error);
/*
 * Goes on after a complete message, which the caller has done with: of requests that are not unary.
 */
void grpc_reader_next(struct grpc_reader *reader);
/*
 * The request's body has ended: ERR_INVALID where it ends inside a message, ERR_METHOD where a unary
 * request has none.
 */
MUST_CHECK int grpc_reader_finish(const struct grpc_reader *reader, struct error *error);

/*
 * Frames a message that is written behind the bytes of `out` between these two: room for the prefix
 * first, its content at the end. `at` is bytes_len(out) before the first call, and the head of `out`
 * stays where it is meanwhile. ERR_NO_MEMORY; ERR_TOO_LARGE for a message of 4 GiB or more.
 */
MUST_CHECK int grpc_message_begin(struct bytes *out);
MUST_CHECK int grpc_message_end(struct bytes *out, size_t at, bool compressed, struct error *error);
/* The prefix alone, of a message of so many bytes that lies elsewhere. ERR_TOO_LARGE. */
MUST_CHECK int grpc_write_prefix(char prefix[GRPC_PREFIX_BYTES], size_t size, bool compressed,
                                 struct error *error);

#endif
