/*
 * What proto/ declares: the serialized FileDescriptorProtos that are embedded at build time, and where
 * names stand in them. Pure functions on constants: any thread. Slices are static.
 */
#ifndef RPC_DESCRIPTORS_H
#define RPC_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct descriptor_file {
    struct slice bytes; /* a serialized FileDescriptorProto */
    struct slice name;  /* "onnx_serving_grpc/inference.proto" */
    struct slice package;
};

/* Loops over the files: *position is 0 at first. False after the last one. */
bool descriptors_next_file(size_t *position, struct descriptor_file *ret_file);
/* Loops over the services of a file, by their names without the package. */
bool descriptors_next_service(const struct descriptor_file *file, size_t *position,
                              struct slice *ret_name);

bool descriptors_find_file(struct slice name, struct descriptor_file *ret_file);

enum descriptor_kind {
    DESCRIPTOR_FILE,
    DESCRIPTOR_MESSAGE,
    DESCRIPTOR_ENUM,
    DESCRIPTOR_SERVICE,
    DESCRIPTOR_LEAF, /* a field, a value, a method: holds no further names */
};

/* What a full name, without a leading dot, stands for, and the file that declares it. */
bool descriptors_find_symbol(struct slice symbol, enum descriptor_kind *ret_kind,
                             struct descriptor_file *ret_file);

#endif
