/*
 * Field numbers are those of google/protobuf/descriptor.proto. The bytes are our own, from the
 * compiler: whatever is wrong with them is an error of the build.
 */
#include "rpc/descriptors.h"

#include "base/check.h"
#include "rpc/wire.h"

/* A serialized FileDescriptorSet (cmake/protos.cmake). */
extern const char proto_descriptors[];
extern const char proto_descriptors_end[];

enum {
    SET_FILE = 1,
    NAME = 1, /* of every descriptor */
    FILE_PACKAGE = 2,
    FILE_SERVICE = 6,
};

/* The next field with this number; false where there is none. */
static bool next_value(struct slice descriptor, size_t *position, uint32_t number,
                       struct slice *ret_value)
{
    struct wire_reader reader = {descriptor, *position};
    while (wire_reader_has_field(&reader)) {
        struct wire_field field;
        int status = wire_read_field(&reader, &field, NULL);
        CHECK(status == ERR_OK);
        if (field.number == number) {
            *position = reader.at;
            *ret_value = field.bytes;
            return true;
        }
    }
    return false;
}

static struct slice only_value(struct slice descriptor, uint32_t number)
{
    size_t position = 0;
    struct slice value = SLICE("");
    return next_value(descriptor, &position, number, &value) ? value : SLICE("");
}

bool descriptors_next_file(size_t *position, struct descriptor_file *ret_file)
{
    size_t size = (size_t)(proto_descriptors_end - proto_descriptors);
    struct slice bytes;
    if (!next_value(slice_make(proto_descriptors, size), position, SET_FILE, &bytes)) {
        return false;
    }
    *ret_file =
        (struct descriptor_file){bytes, only_value(bytes, NAME), only_value(bytes, FILE_PACKAGE)};
    return true;
}

bool descriptors_next_service(const struct descriptor_file *file, size_t *position,
                              struct slice *ret_name)
{
    struct slice service;
    if (!next_value(file->bytes, position, FILE_SERVICE, &service)) {
        return false;
    }
    *ret_name = only_value(service, NAME);
    return true;
}

bool descriptors_find_file(struct slice name, struct descriptor_file *ret_file)
{
    struct descriptor_file file;
    for (size_t position = 0; descriptors_next_file(&position, &file);) {
        if (slice_eq(file.name, name)) {
            *ret_file = file;
            return true;
        }
    }
    return false;
}

/* ---- symbols ---- */

/* Which fields of a descriptor hold named ones, and of what kind. */
static const struct {
    enum descriptor_kind parent;
    uint32_t number;
    enum descriptor_kind kind;
} children[] = {
    {DESCRIPTOR_FILE, 4, DESCRIPTOR_MESSAGE},
    {DESCRIPTOR_FILE, 5, DESCRIPTOR_ENUM},
    {DESCRIPTOR_FILE, 6, DESCRIPTOR_SERVICE},
    {DESCRIPTOR_FILE, 7, DESCRIPTOR_LEAF},    /* extension */
    {DESCRIPTOR_MESSAGE, 2, DESCRIPTOR_LEAF}, /* field */
    {DESCRIPTOR_MESSAGE, 3, DESCRIPTOR_MESSAGE},
    {DESCRIPTOR_MESSAGE, 4, DESCRIPTOR_ENUM},
    {DESCRIPTOR_MESSAGE, 6, DESCRIPTOR_LEAF}, /* extension */
    {DESCRIPTOR_MESSAGE, 8, DESCRIPTOR_LEAF}, /* oneof */
    {DESCRIPTOR_ENUM, 2, DESCRIPTOR_LEAF},    /* value */
    {DESCRIPTOR_SERVICE, 2, DESCRIPTOR_LEAF}, /* method */
};

/* A step of the search: names still to be found below a descriptor. */
struct scope {
    struct slice descriptor;
    enum descriptor_kind kind;
    struct slice path; /* "Message.field"; "" where the descriptor is what is sought */
};

/* Takes the child's name off the front of the path; false where it stands not there. */
static bool cut_name(struct slice *path, struct slice name)
{
    if (!slice_starts_with(*path, name)) {
        return false;
    }
    struct slice rest = slice_tail(*path, name.len);
    if (rest.len == 0) {
        *path = rest;
        return true;
    }
    if (rest.ptr[0] != '.' || rest.len == 1) {
        return false;
    }
    *path = slice_tail(rest, 1);
    return true;
}

/* The child that the path leads to or through. Values of an enum are named beside it, not in it. */
static bool enter_child(const struct scope *scope, struct scope *ret_child)
{
    for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
        struct slice child;
        size_t position = 0;
        while (children[i].parent == scope->kind &&
               next_value(scope->descriptor, &position, children[i].number, &child)) {
            struct scope next = {child, children[i].kind, scope->path};
            if (cut_name(&next.path, only_value(child, NAME))) {
                *ret_child = next;
                return true;
            }
            struct scope values = {child, DESCRIPTOR_ENUM, scope->path};
            if (children[i].kind == DESCRIPTOR_ENUM && enter_child(&values, ret_child)) {
                return true;
            }
        }
    }
    return false;
}

static bool find_in_file(const struct descriptor_file *file, struct slice symbol,
                         enum descriptor_kind *ret_kind)
{
    struct scope scope = {file->bytes, DESCRIPTOR_FILE, symbol};
    if (!cut_name(&scope.path, file->package) || scope.path.len == 0) {
        return false;
    }
    while (scope.path.len > 0) {
        if (scope.kind == DESCRIPTOR_ENUM || !enter_child(&scope, &scope)) {
            return false;
        }
    }
    *ret_kind = scope.kind;
    return true;
}

bool descriptors_find_symbol(struct slice symbol, enum descriptor_kind *ret_kind,
                             struct descriptor_file *ret_file)
{
    struct descriptor_file file;
    for (size_t position = 0; descriptors_next_file(&position, &file);) {
        if (find_in_file(&file, symbol, ret_kind)) {
            *ret_file = file;
            return true;
        }
    }
    return false;
}
