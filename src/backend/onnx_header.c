/*
 * A reader of the protobuf wire format for the few fields wanted. It works on spans of the source
 * through a small window, so that a model of gigabytes costs a handful of reads; messages nest
 * exactly as deep as the functions below, whatever the file says.
 */
#include "backend/onnx_header.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

#define WINDOW_BYTES 512
#define TEXT_MAX_BYTES 4096   /* of a name or version; longer ones do not occur */
#define FIELDS_MAX (1u << 20) /* of all messages looked into: bounds the work of a hostile file */
#define VARINT_MAX_BYTES 10

/* Field numbers of onnx.proto. */
enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_GRAPH = 7,
    MODEL_OPSET_IMPORT = 8,
    OPSET_DOMAIN = 1,
    OPSET_VERSION = 2,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
};

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct span {
    uint64_t at;
    uint64_t end;
};

struct wire {
    const struct onnx_source *source;
    struct arena *arena;
    struct error *error;
    unsigned fields;
    uint64_t window_at; /* of the source */
    size_t window_len;
    unsigned char window[WINDOW_BYTES];
};

struct field {
    uint64_t number;
    uint64_t type;
    uint64_t varint;  /* of WIRE_VARINT */
    struct span body; /* of WIRE_BYTES */
};

static int malformed(const struct wire *wire, const char *what)
{
    return error_set(wire->error, ERR_CONFIG, "not an ONNX file: %s", what);
}

static int read_source(const struct wire *wire, uint64_t at, void *into, size_t len)
{
    const struct onnx_source *source = wire->source;
    if (source->bytes != NULL) {
        memcpy(into, (const char *)source->bytes + at, len);
        return ERR_OK;
    }
    for (size_t done = 0; done < len;) {
        ssize_t got = pread(source->fd, (char *)into + done, len - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return malformed(wire, "it cannot be read to its end");
        }
        done += (size_t)got;
    }
    return ERR_OK;
}

static int read_byte(struct wire *wire, struct span *span, unsigned char *ret_byte)
{
    if (span->at == span->end) {
        return malformed(wire, "it ends in the middle of a field");
    }
    if (span->at < wire->window_at || span->at - wire->window_at >= wire->window_len) {
        uint64_t left = wire->source->size_bytes - span->at;
        size_t len = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        int status = read_source(wire, span->at, wire->window, len);
        if (status != ERR_OK) {
            wire->window_len = 0;
            return status;
        }
        wire->window_at = span->at;
        wire->window_len = len;
    }
    *ret_byte = wire->window[span->at - wire->window_at];
    span->at++;
    return ERR_OK;
}

static int read_varint(struct wire *wire, struct span *span, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_MAX_BYTES; i++) {
        unsigned char byte = 0;
        int status = read_byte(wire, span, &byte);
        if (status != ERR_OK) {
            return status;
        }
        value |= (uint64_t)(byte & 0x7f)
                 << (7 * i); /* bits past the 64th fall off, as they should */
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return ERR_OK;
        }
    }
    return malformed(wire, "a number has too many bytes");
}

static int skip(struct wire *wire, struct span *span, uint64_t len)
{
    if (len > span->end - span->at) {
        return malformed(wire, "a field is longer than what holds it");
    }
    span->at += len;
    return ERR_OK;
}

/* The next field of the message in *span, moved behind it. The span must not be empty. */
static int read_field(struct wire *wire, struct span *span, struct field *field)
{
    uint64_t tag;
    uint64_t len;
    int status = read_varint(wire, span, &tag);
    if (status != ERR_OK) {
        return status;
    }
    *field = (struct field){.number = tag >> 3, .type = tag & 7};
    if (field->number == 0 || ++wire->fields > FIELDS_MAX) {
        return malformed(wire, field->number == 0 ? "a field has number 0" : "too many fields");
    }
    switch (field->type) {
    case WIRE_VARINT:
        return read_varint(wire, span, &field->varint);
    case WIRE_FIXED64:
        return skip(wire, span, 8);
    case WIRE_FIXED32:
        return skip(wire, span, 4);
    case WIRE_BYTES:
        status = read_varint(wire, span, &len);
        if (status == ERR_OK) {
            field->body.at = span->at;
            status = skip(wire, span, len);
            field->body.end = span->at;
        }
        return status;
    default:
        return malformed(wire, "a field has an unknown wire type");
    }
}

static bool is_bytes(const struct field *field, uint64_t number)
{
    return field->number == number && field->type == WIRE_BYTES;
}

static bool is_varint(const struct field *field, uint64_t number)
{
    return field->number == number && field->type == WIRE_VARINT;
}

static int read_text(struct wire *wire, struct span body, struct slice *ret_text)
{
    char text[TEXT_MAX_BYTES];
    uint64_t len = body.end - body.at;
    if (len > sizeof(text)) {
        return malformed(wire, "a name is too long");
    }
    int status = read_source(wire, body.at, text, (size_t)len);
    if (status != ERR_OK) {
        return status;
    }
    struct slice copy = arena_copy(wire->arena, slice_make(text, (size_t)len));
    if (copy.ptr == NULL) {
        return error_set(wire->error, ERR_NO_MEMORY, "no memory for the model's header");
    }
    *ret_text = copy;
    return ERR_OK;
}

static int read_opset(struct wire *wire, struct span message, struct onnx_header *header)
{
    struct onnx_opset opset = {.version = 0};
    struct field field;
    while (message.at < message.end) {
        int status = read_field(wire, &message, &field);
        if (status == ERR_OK && is_bytes(&field, OPSET_DOMAIN)) {
            status = read_text(wire, field.body, &opset.domain);
        }
        if (status != ERR_OK) {
            return status;
        }
        if (is_varint(&field, OPSET_VERSION)) {
            opset.version = (int64_t)field.varint;
        }
    }
    if (header->opset_count == ONNX_HEADER_MAX_OPSETS) {
        return malformed(wire, "too many opsets");
    }
    header->opsets[header->opset_count++] = opset;
    return ERR_OK;
}

/* Finds the last field `number` of a message; *ret_found says whether it is there. */
static int find_message(struct wire *wire, struct span message, uint64_t number,
                        struct span *ret_body, bool *ret_found)
{
    struct field field;
    *ret_found = false;
    while (message.at < message.end) {
        int status = read_field(wire, &message, &field);
        if (status != ERR_OK) {
            return status;
        }
        if (is_bytes(&field, number)) {
            *ret_body = field.body;
            *ret_found = true;
        }
    }
    return ERR_OK;
}

/* What the shape of a ValueInfoProto says; all false for what is no tensor or has no shape. */
struct port_shape {
    bool is_tensor;
    bool is_known;
    unsigned rank;
    bool varies; /* a dimension after the first is free */
};

/* A free dimension has no value: it has a name, or nothing. */
static int read_dimension(struct wire *wire, struct span dimension, bool *ret_is_free)
{
    struct field field;
    bool is_free = true;
    while (dimension.at < dimension.end) {
        int status = read_field(wire, &dimension, &field);
        if (status != ERR_OK) {
            return status;
        }
        is_free = is_free && !is_varint(&field, DIM_VALUE);
    }
    *ret_is_free = is_free;
    return ERR_OK;
}

static int read_dimensions(struct wire *wire, struct span message, struct port_shape *shape)
{
    struct field field;
    while (message.at < message.end) {
        bool is_free = false;
        int status = read_field(wire, &message, &field);
        if (status == ERR_OK && is_bytes(&field, SHAPE_DIM)) {
            status = read_dimension(wire, field.body, &is_free);
            shape->varies = shape->varies || (is_free && shape->rank > 0);
            shape->rank++;
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

/* ValueInfoProto.type.tensor_type.shape. */
static int read_shape(struct wire *wire, struct span value, struct port_shape *shape)
{
    *shape = (struct port_shape){.is_tensor = false};
    int status = find_message(wire, value, VALUE_TYPE, &value, &shape->is_tensor);
    if (status == ERR_OK && shape->is_tensor) {
        status = find_message(wire, value, TYPE_TENSOR, &value, &shape->is_tensor);
    }
    if (status == ERR_OK && shape->is_tensor) {
        status = find_message(wire, value, TENSOR_SHAPE, &value, &shape->is_known);
    }
    return status == ERR_OK && shape->is_known ? read_dimensions(wire, value, shape) : status;
}

static int add_scalar(struct wire *wire, struct span value, struct onnx_header *header)
{
    struct span name;
    bool has_name = false;
    int status = find_message(wire, value, VALUE_NAME, &name, &has_name);
    if (status == ERR_OK && has_name && header->scalar_count < ONNX_HEADER_MAX_SCALARS) {
        status = read_text(wire, name, &header->scalars[header->scalar_count]);
        header->scalar_count += status == ERR_OK;
    }
    return status;
}

static int read_port(struct wire *wire, const struct field *field, struct onnx_header *header)
{
    struct port_shape shape;
    int status = read_shape(wire, field->body, &shape);
    if (status != ERR_OK || !shape.is_tensor) {
        return status;
    }
    if (field->number == GRAPH_INPUT && (shape.varies || !shape.is_known)) {
        header->input_shapes_vary = true;
    }
    return shape.is_known && shape.rank == 0 ? add_scalar(wire, field->body, header) : ERR_OK;
}

static int read_graph(struct wire *wire, struct span message, struct onnx_header *header)
{
    struct field field;
    while (message.at < message.end) {
        int status = read_field(wire, &message, &field);
        if (status == ERR_OK && (is_bytes(&field, GRAPH_INPUT) || is_bytes(&field, GRAPH_OUTPUT))) {
            status = read_port(wire, &field, header);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

static int read_model_field(struct wire *wire, const struct field *field,
                            struct onnx_header *header)
{
    if (is_varint(field, MODEL_IR_VERSION)) {
        header->ir_version = (int64_t)field->varint;
    } else if (is_bytes(field, MODEL_PRODUCER_VERSION)) {
        return read_text(wire, field->body, &header->producer_version);
    } else if (is_bytes(field, MODEL_OPSET_IMPORT)) {
        return read_opset(wire, field->body, header);
    } else if (is_bytes(field, MODEL_GRAPH)) {
        return read_graph(wire, field->body, header);
    }
    return ERR_OK;
}

int onnx_header_parse(const struct onnx_source *source, struct arena *arena,
                      struct onnx_header *ret_header, struct error *error)
{
    struct wire wire = {.source = source, .arena = arena, .error = error};
    struct onnx_header header = {.ir_version = 0};
    struct span message = {0, source->size_bytes};
    struct field field;
    while (message.at < message.end) {
        int status = read_field(&wire, &message, &field);
        if (status == ERR_OK) {
            status = read_model_field(&wire, &field, &header);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    *ret_header = header;
    return ERR_OK;
}

int onnx_header_read(const char *path, struct arena *arena, struct onnx_header *ret_header,
                     struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat file;
    if (fd < 0 || fstat(fd, &file) != 0 || file.st_size < 0) {
        int status = error_set(error, ERR_CONFIG, "%s: %s", path, strerrordesc_np(errno));
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    const struct onnx_source source = {.size_bytes = (uint64_t)file.st_size, .fd = fd};
    int status = onnx_header_parse(&source, arena, ret_header, error);
    close(fd);
    return status;
}

struct slice onnx_header_describe_opsets(const struct onnx_header *header, struct arena *arena)
{
    struct bytes text;
    struct slice description = {NULL, 0};
    int status = ERR_OK;
    bytes_init(&text, ONNX_HEADER_MAX_OPSETS * (TEXT_MAX_BYTES + 32));
    for (size_t i = 0; status == ERR_OK && i < header->opset_count; i++) {
        const struct onnx_opset *opset = &header->opsets[i];
        struct slice domain = opset->domain.len > 0 ? opset->domain : SLICE("ai.onnx");
        status = bytes_printf(&text, "%s%.*s %lld", i > 0 ? ", " : "", SLICE_FMT(domain),
                              (long long)opset->version);
    }
    if (status == ERR_OK) {
        description = arena_copy(arena, bytes_slice(&text));
    }
    bytes_done(&text);
    return description;
}
