/*
 * One request is one response: its parts stand in a struct on the stack, point at the descriptors, and are
 * packed at once.
 */
#include "rpc/reflection.h"

#include <grpc/reflection/v1/reflection.pb-c.h>
#include <stdint.h>

#include "base/utf8.h"
#include "rpc/descriptors.h"
#include "rpc/message.h"

#define REQUEST_CASE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE_CASE(name)                                                                        \
    GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

/* The response and whatever it may be made of. */
struct answer {
    struct arena *arena;
    Grpc__Reflection__V1__ServerReflectionResponse response;
    Grpc__Reflection__V1__FileDescriptorResponse files;
    ProtobufCBinaryData file;
    Grpc__Reflection__V1__ExtensionNumberResponse extensions;
    Grpc__Reflection__V1__ListServiceResponse services;
    Grpc__Reflection__V1__ErrorResponse error;
};

/*
 * What is repeated of a request is what is known of it: unknown fields may have the number 0, which
 * protobuf-c lets in, and clients not.
 */
static void forget_unknown(Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    request->base.n_unknown_fields = 0;
    if (request->message_request_case == REQUEST_CASE(FILE_CONTAINING_EXTENSION)) {
        request->file_containing_extension->base.n_unknown_fields = 0;
    }
}

static void init_answer(struct answer *answer, struct arena *arena,
                        Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    *answer = (struct answer){.arena = arena};
    grpc__reflection__v1__server_reflection_response__init(&answer->response);
    grpc__reflection__v1__file_descriptor_response__init(&answer->files);
    grpc__reflection__v1__extension_number_response__init(&answer->extensions);
    grpc__reflection__v1__list_service_response__init(&answer->services);
    grpc__reflection__v1__error_response__init(&answer->error);
    answer->response.valid_host = request->host;
    answer->response.original_request = request;
}

static int answer_error(struct answer *answer, enum grpc_status status, const char *text)
{
    answer->error.error_code = (int32_t)status;
    answer->error.error_message = (char *)(uintptr_t)text;
    answer->response.message_response_case = RESPONSE_CASE(ERROR_RESPONSE);
    answer->response.error_response = &answer->error;
    return ERR_OK;
}

/* Files of proto/ import nothing, so that each is all that a client needs. */
static int answer_file(struct answer *answer, const struct descriptor_file *file)
{
    answer->file.data = (uint8_t *)(uintptr_t)file->bytes.ptr;
    answer->file.len = file->bytes.len;
    answer->files.file_descriptor_proto = &answer->file;
    answer->files.n_file_descriptor_proto = 1;
    answer->response.message_response_case = RESPONSE_CASE(FILE_DESCRIPTOR_RESPONSE);
    answer->response.file_descriptor_response = &answer->files;
    return ERR_OK;
}

static int answer_filename(struct answer *answer, struct slice name)
{
    struct descriptor_file file;
    return descriptors_find_file(name, &file)
               ? answer_file(answer, &file)
               : answer_error(answer, GRPC_NOT_FOUND, "no such file");
}

static int answer_symbol(struct answer *answer, struct slice symbol)
{
    enum descriptor_kind kind;
    struct descriptor_file file;
    return descriptors_find_symbol(symbol, &kind, &file)
               ? answer_file(answer, &file)
               : answer_error(answer, GRPC_NOT_FOUND, "no such symbol");
}

/* proto3 has no extensions: of any type there are none. */
static int answer_extensions(struct answer *answer, char *type)
{
    enum descriptor_kind kind;
    struct descriptor_file file;
    if (!descriptors_find_symbol(slice_from_str(type), &kind, &file) ||
        kind != DESCRIPTOR_MESSAGE) {
        return answer_error(answer, GRPC_NOT_FOUND, "no such message type");
    }
    answer->extensions.base_type_name = type;
    answer->response.message_response_case = RESPONSE_CASE(ALL_EXTENSION_NUMBERS_RESPONSE);
    answer->response.all_extension_numbers_response = &answer->extensions;
    return ERR_OK;
}

/* "package.Service", NUL-terminated; NULL without memory. */
static char *full_name(struct arena *arena, struct slice package, struct slice service)
{
    char *name = arena_alloc(arena, package.len + service.len + 2);
    if (name != NULL) {
        memcpy(name, package.ptr, package.len);
        name[package.len] = '.';
        memcpy(name + package.len + 1, service.ptr, service.len);
        name[package.len + 1 + service.len] = '\0';
    }
    return name;
}

static int add_service(struct answer *answer, struct slice package, struct slice name)
{
    Grpc__Reflection__V1__ListServiceResponse *list = &answer->services;
    size_t slot_bytes = sizeof(Grpc__Reflection__V1__ServiceResponse *);
    size_t old_bytes = list->n_service * slot_bytes;
    void *grown = arena_realloc(answer->arena, list->service, old_bytes, old_bytes + slot_bytes);
    Grpc__Reflection__V1__ServiceResponse *service = arena_alloc(answer->arena, sizeof(*service));
    char *full = full_name(answer->arena, package, name);
    if (grown == NULL || service == NULL || full == NULL) {
        return ERR_NO_MEMORY;
    }
    grpc__reflection__v1__service_response__init(service);
    service->name = full;
    list->service = grown;
    list->service[list->n_service++] = service;
    return ERR_OK;
}

static int answer_services(struct answer *answer)
{
    struct descriptor_file file;
    for (size_t at = 0; descriptors_next_file(&at, &file);) {
        struct slice name;
        for (size_t position = 0; descriptors_next_service(&file, &position, &name);) {
            int status = add_service(answer, file.package, name);
            if (status != ERR_OK) {
                return status;
            }
        }
    }
    answer->response.message_response_case = RESPONSE_CASE(LIST_SERVICES_RESPONSE);
    answer->response.list_services_response = &answer->services;
    return ERR_OK;
}

static int answer_request(struct answer *answer,
                          const Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    switch (request->message_request_case) {
    case REQUEST_CASE(FILE_BY_FILENAME):
        return answer_filename(answer, slice_from_str(request->file_by_filename));
    case REQUEST_CASE(FILE_CONTAINING_SYMBOL):
        return answer_symbol(answer, slice_from_str(request->file_containing_symbol));
    case REQUEST_CASE(FILE_CONTAINING_EXTENSION):
        return answer_error(answer, GRPC_NOT_FOUND, "no such extension");
    case REQUEST_CASE(ALL_EXTENSION_NUMBERS_OF_TYPE):
        return answer_extensions(answer, request->all_extension_numbers_of_type);
    case REQUEST_CASE(LIST_SERVICES):
        return answer_services(answer);
    default:
        return answer_error(answer, GRPC_INVALID_ARGUMENT, "the request asks for nothing known");
    }
}

/* What is asked for, whatever it is. */
static const char *asked_text(const Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    switch (request->message_request_case) {
    case REQUEST_CASE(_NOT_SET):
        return "";
    case REQUEST_CASE(FILE_CONTAINING_EXTENSION):
        return request->file_containing_extension->containing_type;
    default:
        return request->list_services; /* in a union with the other texts */
    }
}

/* The response repeats what it answers, and has to be valid itself. */
static int check_text(const char *text, struct error *error)
{
    struct slice slice = slice_from_str(text);
    return utf8_valid_bytes(slice) == slice.len
               ? ERR_OK
               : error_set(error, ERR_INVALID, "protobuf: a text of the message is not UTF-8");
}

int reflection_answer(struct slice message, struct arena *arena, struct bytes *out,
                      struct error *error)
{
    struct ProtobufCMessage *read;
    int status = message_read(&grpc__reflection__v1__server_reflection_request__descriptor, message,
                              arena, &read, error);
    if (status != ERR_OK) {
        return status;
    }
    Grpc__Reflection__V1__ServerReflectionRequest *request = (void *)read;
    status = check_text(request->host, error);
    if (status == ERR_OK) {
        status = check_text(asked_text(request), error);
    }
    if (status != ERR_OK) {
        return status;
    }
    struct answer answer;
    forget_unknown(request);
    init_answer(&answer, arena, request);
    status = answer_request(&answer, request);
    if (status == ERR_OK) {
        status = message_put(out, &answer.response.base);
    }
    return status == ERR_OK ? ERR_OK
                            : error_set(error, ERR_NO_MEMORY, "no memory to answer by reflection");
}
