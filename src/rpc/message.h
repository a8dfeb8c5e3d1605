/*
 * Messages by the code that protobuf-c generates from proto/, in this program's memory: unpacked ones live
 * in an arena, packed ones in bounded bytes. Pure functions: any thread.
 */
#ifndef RPC_MESSAGE_H
#define RPC_MESSAGE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;

/*
 * The message of this type that stands in `bytes`: in the arena, with copies of its strings, which end
 * at their first NUL. ERR_INVALID where there is none, ERR_NO_MEMORY where the arena is too small.
 */
MUST_CHECK int message_read(const struct ProtobufCMessageDescriptor *type, struct slice bytes,
                            struct arena *arena, struct ProtobufCMessage **ret_message,
                            struct error *error);
/* Appends the message serialized: fields by their numbers, defaults left out. ERR_NO_MEMORY. */
MUST_CHECK int message_put(struct bytes *out, const struct ProtobufCMessage *message);

#endif
