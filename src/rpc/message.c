#include "rpc/message.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/check.h"

/* What protobuf-c does not tell: why it gave up. */
struct memory {
    struct arena *arena;
    bool is_out;
};

static void *memory_alloc(void *of, size_t size)
{
    struct memory *memory = of;
    void *block = arena_alloc(memory->arena, size);
    memory->is_out = memory->is_out || block == NULL;
    return block;
}

static void memory_free(void *of, void *block)
{
    (void)of;
    (void)block; /* goes with the arena */
}

int message_read(const struct ProtobufCMessageDescriptor *type, struct slice bytes,
                 struct arena *arena, struct ProtobufCMessage **ret_message, struct error *error)
{
    struct memory memory = {.arena = arena};
    ProtobufCAllocator allocator = {memory_alloc, memory_free, &memory};
    const uint8_t *at = (const uint8_t *)(bytes.ptr == NULL ? "" : bytes.ptr);
    struct ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, bytes.len, at);
    if (message != NULL) {
        *ret_message = message;
        return ERR_OK;
    }
    return memory.is_out
               ? error_set(error, ERR_NO_MEMORY, "no memory to read a message")
               : error_set(error, ERR_INVALID, "protobuf: the message is no %s", type->name);
}

int message_put(struct bytes *out, const struct ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size == 0) {
        return ERR_OK; /* all defaults */
    }
    char *at = bytes_reserve(out, size);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t packed = protobuf_c_message_pack(message, (uint8_t *)at);
    CHECK(packed == size);
    bytes_commit(out, size);
    return ERR_OK;
}
