/* Reflection: what each kind of request is answered with, and the names that proto/ declares. */
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/descriptors.h"
#include "rpc/reflection.h"
#include "rpc/wire.h"
#include "unit_tests/testing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ARENA_BYTES ((size_t)16 * 1024)

/* The answer to a request whose field `number` is `value`; freed by the caller. */
static struct Grpc__Reflection__V1__ServerReflectionResponse *ask(uint32_t number,
                                                                  struct slice value)
{
    struct error error;
    struct arena arena;
    struct bytes request;
    struct bytes out;
    arena_init(&arena, 4096, ARENA_BYTES);
    bytes_init(&request, 1000);
    bytes_init(&out, 10000);
    assert_int_equal(wire_put_bytes(&request, 1, SLICE("a host")), ERR_OK);
    assert_int_equal(wire_put_bytes(&request, number, value), ERR_OK);
    assert_int_equal(reflection_answer(bytes_slice(&request), &arena, &out, &error), ERR_OK);
    struct Grpc__Reflection__V1__ServerReflectionResponse *response =
        grpc__reflection__v1__server_reflection_response__unpack(
            NULL, bytes_len(&out), (const uint8_t *)bytes_slice(&out).ptr);
    assert_non_null(response);
    assert_string_equal(response->valid_host, "a host");
    uint8_t echo[1000];
    size_t echo_len =
        grpc__reflection__v1__server_reflection_request__pack(response->original_request, echo);
    assert_true(slice_eq(slice_make(echo, echo_len), bytes_slice(&request)));
    bytes_done(&out);
    bytes_done(&request);
    arena_done(&arena);
    return response;
}

static void end(struct Grpc__Reflection__V1__ServerReflectionResponse *response)
{
    grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
}

static void services_are_listed(void **state)
{
    (void)state;
    static const char *const names[] = {
        "onnxserving.grpc.InferenceService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    };
    struct Grpc__Reflection__V1__ServerReflectionResponse *response = ask(7, SLICE("*"));
    assert_int_equal(response->message_response_case, 6);
    assert_int_equal(response->list_services_response->n_service, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(response->list_services_response->service[i]->name, names[i]);
    }
    end(response);
}

/* True where the answer is the one file with that name. */
static bool is_file(const struct Grpc__Reflection__V1__ServerReflectionResponse *response,
                    struct slice name)
{
    if (response->message_response_case != 4 ||
        response->file_descriptor_response->n_file_descriptor_proto != 1) {
        return false;
    }
    const ProtobufCBinaryData *file = response->file_descriptor_response->file_descriptor_proto;
    struct descriptor_file known;
    return descriptors_find_file(name, &known) &&
           slice_eq(known.bytes, slice_make(file->data, file->len));
}

static void files_are_found_by_name_and_symbol(void **state)
{
    (void)state;
    const struct {
        uint32_t number;
        struct slice asked;
        struct slice file;
    } cases[] = {
        {3, SLICE("grpc/health/v1/health.proto"), SLICE("grpc/health/v1/health.proto")},
        {4, SLICE("grpc.reflection.v1.ServerReflection"),
         SLICE("grpc/reflection/v1/reflection.proto")},
        {4, SLICE("grpc.reflection.v1alpha.ServerReflection"),
         SLICE("grpc/reflection/v1alpha/reflection.proto")},
        {4, SLICE("onnxserving.grpc.InferenceService.Predict"),
         SLICE("onnx_serving_grpc/inference.proto")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct Grpc__Reflection__V1__ServerReflectionResponse *response =
            ask(cases[i].number, cases[i].asked);
        assert_true(is_file(response, cases[i].file));
        end(response);
    }
}

static void what_is_not_known_is_an_error_response(void **state)
{
    (void)state;
    const struct {
        uint32_t number;
        struct slice asked;
        int code;
        const char *text;
    } cases[] = {
        {3, SLICE("health.proto"), 5, "no such file"},
        {3, SLICE(""), 5, "no such file"},
        {4, SLICE("grpc.health.v1"), 5, "no such symbol"},
        {5, SLICE("\x0a\1x\x10\1"), 5, "no such extension"},
        {6, SLICE("grpc.health.v1.Health"), 5, "no such message type"},
        {6, SLICE("x"), 5, "no such message type"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct Grpc__Reflection__V1__ServerReflectionResponse *response =
            ask(cases[i].number, cases[i].asked);
        assert_int_equal(response->message_response_case, 7);
        assert_int_equal(response->error_response->error_code, cases[i].code);
        assert_string_equal(response->error_response->error_message, cases[i].text);
        end(response);
    }
}

/* The number 0 is no field's; protobuf-c takes it where its tag is longer than it needs to be. */
static void unknown_fields_are_not_repeated(void **state)
{
    (void)state;
    const struct {
        struct slice message;
        struct slice response;
    } cases[] = {
        {SLICE("\x82\0\1x"), SLICE("\x12\0\x3a\x26\x08\3\x12\x22"
                                   "the request asks for nothing known")},
        {SLICE("\x2a\4\x82\0\1x\x4a\1y"),
         SLICE("\x12\2\x2a\0\x3a\x15\x08\5\x12\x11no such extension")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error;
        struct arena arena;
        struct bytes out;
        arena_init(&arena, 4096, ARENA_BYTES);
        bytes_init(&out, 1000);
        assert_int_equal(reflection_answer(cases[i].message, &arena, &out, &error), ERR_OK);
        assert_true(slice_eq(bytes_slice(&out), cases[i].response));
        bytes_done(&out);
        arena_done(&arena);
    }
}

static void messages_have_no_extensions(void **state)
{
    (void)state;
    struct Grpc__Reflection__V1__ServerReflectionResponse *response =
        ask(6, SLICE("onnxserving.grpc.PredictRequest"));
    assert_int_equal(response->message_response_case, 5);
    assert_string_equal(response->all_extension_numbers_response->base_type_name,
                        "onnxserving.grpc.PredictRequest");
    assert_int_equal(response->all_extension_numbers_response->n_extension_number, 0);
    end(response);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    const struct {
        struct slice message;
        const char *text;
    } cases[] = {
        {SLICE("\x3a\5x"),
         "protobuf: the message is no grpc.reflection.v1.ServerReflectionRequest"},
        {SLICE("\x0a\1\xff\x3a\0"), "protobuf: a text of the message is not UTF-8"},
        {SLICE("\x22\1\xff"), "protobuf: a text of the message is not UTF-8"},
        {SLICE("\x2a\3\x0a\1\xff"), "protobuf: a text of the message is not UTF-8"},
    };
    struct arena arena;
    struct bytes out;
    arena_init(&arena, 4096, ARENA_BYTES);
    bytes_init(&out, 1000);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error;
        assert_int_equal(reflection_answer(cases[i].message, &arena, &out, &error), ERR_INVALID);
        assert_string_equal(error.text, cases[i].text);
        assert_int_equal(bytes_len(&out), 0);
    }
    bytes_done(&out);
    arena_done(&arena);
}

static void symbols_are_found_with_their_kinds(void **state)
{
    (void)state;
    const struct {
        struct slice symbol;
        int kind; /* -1: there is none */
    } cases[] = {
        {SLICE("grpc.health.v1.Health"), DESCRIPTOR_SERVICE},
        {SLICE("grpc.health.v1.Health.Watch"), DESCRIPTOR_LEAF},
        {SLICE("grpc.health.v1.HealthCheckRequest"), DESCRIPTOR_MESSAGE},
        {SLICE("grpc.health.v1.HealthCheckRequest.service"), DESCRIPTOR_LEAF},
        {SLICE("grpc.health.v1.HealthCheckResponse.ServingStatus"), DESCRIPTOR_ENUM},
        {SLICE("grpc.health.v1.HealthCheckResponse.NOT_SERVING"), DESCRIPTOR_LEAF},
        {SLICE("grpc.reflection.v1.ServerReflectionRequest.message_request"), DESCRIPTOR_LEAF},
        {SLICE("onnxserving.grpc.PredictReply.MetadataEntry.key"), DESCRIPTOR_LEAF},
        {SLICE("grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING"), -1},
        {SLICE("grpc.health.v1.NOT_SERVING"), -1},
        {SLICE("grpc.health.v1.Health.Watch.x"), -1},
        {SLICE("grpc.health.v1.Health."), -1},
        {SLICE("grpc.health.v1.Healt"), -1},
        {SLICE("grpc.health.v1.Healthy"), -1},
        {SLICE("grpc.health.v1."), -1},
        {SLICE("grpc.health.v1"), -1},
        {SLICE(".grpc.health.v1.Health"), -1},
        {SLICE("Health"), -1},
        {SLICE(""), -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum descriptor_kind kind;
        struct descriptor_file file;
        bool found = descriptors_find_symbol(cases[i].symbol, &kind, &file);
        assert_int_equal(found ? (int)kind : -1, cases[i].kind);
    }
}

/* A client that has got a file has got all of it: none needs another (field 3, dependency). */
static void files_import_nothing(void **state)
{
    (void)state;
    struct descriptor_file file;
    size_t files = 0;
    for (size_t position = 0; descriptors_next_file(&position, &file); files++) {
        struct wire_reader reader = {.message = file.bytes};
        while (wire_reader_has_field(&reader)) {
            struct wire_field field;
            struct error error;
            assert_int_equal(wire_read_field(&reader, &field, &error), ERR_OK);
            assert_int_not_equal(field.number, 3);
        }
    }
    assert_int_equal(files, 4);
}

static int answer_within(size_t arena_bytes, size_t out_bytes)
{
    struct error error;
    struct arena arena;
    struct bytes out;
    arena_init(&arena, 64, arena_bytes);
    bytes_init(&out, out_bytes);
    int status = reflection_answer(SLICE("\x3a\1*"), &arena, &out, &error);
    bytes_done(&out);
    arena_done(&arena);
    return status;
}

static void without_room_there_is_no_answer(void **state)
{
    (void)state;
    assert_int_equal(answer_within(ARENA_BYTES, 10000), ERR_OK);
    assert_int_equal(answer_within(ARENA_BYTES, 50), ERR_NO_MEMORY);
    size_t bytes = 64;
    while (answer_within(bytes, 10000) == ERR_NO_MEMORY) {
        bytes += 64;
    }
    assert_in_range(bytes, 300, 2000);
    int status = ERR_NO_MEMORY;
    uint64_t nth = 1;
    for (; status == ERR_NO_MEMORY; nth++) {
        mem_fail_nth(nth);
        status = answer_within(ARENA_BYTES, 10000);
        mem_fail_nth(0);
    }
    assert_int_equal(status, ERR_OK);
    assert_true(nth > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_are_listed),
        cmocka_unit_test(files_are_found_by_name_and_symbol),
        cmocka_unit_test(what_is_not_known_is_an_error_response),
        cmocka_unit_test(unknown_fields_are_not_repeated),
        cmocka_unit_test(messages_have_no_extensions),
        cmocka_unit_test(what_is_no_request_is_refused),
        cmocka_unit_test(symbols_are_found_with_their_kinds),
        cmocka_unit_test(files_import_nothing),
        cmocka_unit_test(without_room_there_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
