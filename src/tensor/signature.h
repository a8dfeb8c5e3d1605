/*
 * What a model takes and gives: its signature, read once when it is loaded and never changed.
 */
#ifndef TENSOR_SIGNATURE_H
#define TENSOR_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "tensor/tensor.h"

enum port_kind { PORT_TENSOR, PORT_SEQUENCE, PORT_MAP, PORT_OPTIONAL, PORT_UNKNOWN };

/* One input or output. */
struct port {
    struct slice name;
    enum port_kind kind;
    enum dtype dtype;                      /* of PORT_TENSOR */
    bool rank_known;                       /* false: any shape */
    unsigned rank;                         /* <= TENSOR_MAX_RANK */
    int64_t dims[TENSOR_MAX_RANK];         /* -1 where free */
    struct slice symbols[TENSOR_MAX_RANK]; /* names of free dimensions, empty where none */
    struct slice type_text; /* for people: "float32[N, 4]", "sequence(map(int64, float32))" */
    /* Where the model itself names them; else NULL and 0. */
    const struct slice *feature_names; /* of the last dimension's elements */
    size_t feature_name_count;
    const struct slice *class_labels; /* by class index */
    size_t class_label_count;
};

struct signature {
    struct port *inputs;
    size_t input_count;
    struct port *outputs;
    size_t output_count;
    /* For inspect; empty where the file does not say. */
    struct slice producer, producer_version, domain, graph_name, description;
    int64_t model_version;   /* 0 where the file does not say */
    struct slice opsets;     /* "ai.onnx 17, ai.onnx.ml 3" */
    struct slice ir_version; /* "8" */
    struct {
        struct slice key, value;
    } * metadata;
    size_t metadata_count;
};

/* Index of the port with this name, or -1. */
int signature_find_input(const struct signature *signature, struct slice name);
int signature_find_output(const struct signature *signature, struct slice name);
/*
 * Whether requests may share a run: every input is a tensor whose first dimension is free, and so
 * is every tensor output's (sequences count as free).
 */
bool signature_is_batchable(const struct signature *signature);

/*
 * Puts the "float32[N, 4]" text of a tensor port into port->type_text (memory of the arena).
 * ERR_NO_MEMORY.
 */
MUST_CHECK int signature_describe_port(struct port *port, struct arena *arena);

#endif
