/*
 * Reflection and health requests of any bytes: a response is one that protobuf-c's code reads, and the
 * same every time. The bytes as a symbol are looked up without harm.
 */
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/utf8.h"
#include "rpc/descriptors.h"
#include "rpc/health.h"
#include "rpc/reflection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARENA_BYTES ((size_t)64 * 1024)
#define OUT_BYTES ((size_t)64 * 1024)

static int answer(struct slice message, struct bytes *out)
{
    struct error error;
    struct arena arena;
    arena_init(&arena, 4096, ARENA_BYTES);
    bytes_init(out, OUT_BYTES);
    int status = reflection_answer(message, &arena, out, &error);
    CHECK(status == ERR_OK || status == ERR_INVALID || status == ERR_NO_MEMORY);
    CHECK(status == ERR_OK || bytes_len(out) == 0);
    arena_done(&arena);
    return status;
}

static void check_response(struct slice message)
{
    Grpc__Reflection__V1__ServerReflectionResponse *response =
        grpc__reflection__v1__server_reflection_response__unpack(NULL, message.len,
                                                                 (const uint8_t *)message.ptr);
    CHECK(response != NULL && response->original_request != NULL);
    CHECK(response->message_response_case != 0);
    struct slice host = slice_from_str(response->valid_host);
    CHECK(utf8_valid_bytes(host) == host.len);
    grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
}

static void check_health(struct slice message)
{
    struct error error;
    struct slice service;
    struct arena arena;
    arena_init(&arena, 4096, ARENA_BYTES);
    if (health_read_check(message, &arena, &service, &error) == ERR_OK) {
        CHECK(service.len <= message.len);
    }
    arena_done(&arena);
}

static void check_symbol(struct slice symbol)
{
    enum descriptor_kind kind;
    struct descriptor_file file;
    if (descriptors_find_symbol(symbol, &kind, &file)) {
        CHECK(slice_starts_with(symbol, file.package) && symbol.len > file.package.len);
        CHECK(kind != DESCRIPTOR_FILE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice message = slice_make(size == 0 ? (const void *)"" : data, size);
    struct bytes first;
    struct bytes second;
    int status = answer(message, &first);
    CHECK(answer(message, &second) == status);
    CHECK(slice_eq(bytes_slice(&first), bytes_slice(&second)));
    if (status == ERR_OK) {
        check_response(bytes_slice(&first));
    }
    bytes_done(&first);
    bytes_done(&second);
    check_health(message);
    check_symbol(message);
    return 0;
}
