/*
 * Reads a session's signature. Types nest (a sequence of maps of tensors); they are described from the
 * outside in by a loop of bounded depth, since the nesting is the model file's to choose.
 */
#include "backend/ort_signature.h"

#include <string.h>

#include "backend/ort_dtype.h"
#include "base/bytes.h"
#include "base/check.h"

#define TYPE_TEXT_MAX ((size_t)64 * 1024)
#define TYPE_DEPTH_MAX 8

/* What a reading needs everywhere. */
struct reader {
    const struct ort_library *library;
    const OrtSession *session;
    struct arena *arena;
    struct error *error;
};

static int no_memory(const struct reader *reader)
{
    return error_set(reader->error, ERR_NO_MEMORY, "no memory for the model's signature");
}

static int take(const struct reader *reader, OrtStatus *status)
{
    return ort_take_status(status, ERR_CONFIG, reader->error);
}

/* Copies a text the runtime has allocated (NULL counts as empty) and gives it back. */
static int take_text(const struct reader *reader, char *text, struct slice *ret_text)
{
    struct slice copy = arena_copy(reader->arena, slice_from_str(text));
    OrtAllocator *allocator = reader->library->allocator;
    if (text != NULL) {
        ort_drop_status(reader->library->api->AllocatorFree(allocator, text));
    }
    if (copy.ptr == NULL) {
        return no_memory(reader);
    }
    *ret_text = copy;
    return ERR_OK;
}

static int read_symbols(const struct reader *reader, const OrtTensorTypeAndShapeInfo *info,
                        struct port *port)
{
    const char *symbols[TENSOR_MAX_RANK] = {NULL};
    int status =
        take(reader, reader->library->api->GetSymbolicDimensions(info, symbols, port->rank));
    for (unsigned i = 0; status == ERR_OK && i < port->rank; i++) {
        port->symbols[i] = arena_copy(reader->arena, slice_from_str(symbols[i]));
        if (port->symbols[i].ptr == NULL) {
            status = no_memory(reader);
        }
    }
    return status;
}

/*
 * Type and shape of a tensor. The runtime gives no sign of an unknown shape but rank 0, so rank 0
 * is "any shape" here; a true scalar is described the same and is none the worse for it.
 */
static int read_tensor_type(const struct reader *reader, const OrtTensorTypeAndShapeInfo *info,
                            struct port *port, ONNXTensorElementDataType *ret_type)
{
    const OrtApi *api = reader->library->api;
    size_t rank;
    int status = take(reader, api->GetTensorElementType(info, ret_type));
    if (status == ERR_OK) {
        status = take(reader, api->GetDimensionsCount(info, &rank));
    }
    if (status != ERR_OK) {
        return status;
    }
    if (rank > TENSOR_MAX_RANK) {
        return error_set(reader->error, ERR_CONFIG, "has %zu dimensions, at most %d can be served",
                         rank, TENSOR_MAX_RANK);
    }
    port->dtype = ort_dtype_from(*ret_type);
    port->rank = (unsigned)rank;
    port->rank_known = rank > 0;
    status = take(reader, api->GetDimensions(info, port->dims, rank));
    return status == ERR_OK ? read_symbols(reader, info, port) : status;
}

/* "float32[N, 4]". */
static int put_tensor_type(const struct reader *reader, const OrtTensorTypeAndShapeInfo *info,
                           struct bytes *text, struct port *port)
{
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    int status = read_tensor_type(reader, info, port, &type);
    if (status == ERR_OK && signature_describe_port(port, reader->arena) != ERR_OK) {
        status = no_memory(reader);
    }
    if (status != ERR_OK) {
        return status;
    }
    /* The element type's own name, where ours is only "unsupported". */
    struct slice shape = slice_tail(port->type_text, strlen(dtype_name(port->dtype)));
    if (bytes_put(text, slice_from_str(ort_dtype_name(type))) != ERR_OK ||
        bytes_put(text, shape) != ERR_OK) {
        return no_memory(reader);
    }
    return ERR_OK;
}

/* The types a descent has passed; those it got as its own are given back at the end. */
struct descent {
    const OrtTypeInfo *type;
    OrtTypeInfo *owned[TYPE_DEPTH_MAX];
    size_t depth;
};

static OrtStatus *enter_sequence(const OrtApi *api, struct descent *descent)
{
    const OrtSequenceTypeInfo *sequence;
    OrtStatus *status = api->CastTypeInfoToSequenceTypeInfo(descent->type, &sequence);
    return status != NULL ? status
                          : api->GetSequenceElementType(sequence, &descent->owned[descent->depth]);
}

static OrtStatus *enter_map(const OrtApi *api, struct descent *descent,
                            ONNXTensorElementDataType *ret_key)
{
    const OrtMapTypeInfo *map;
    OrtStatus *status = api->CastTypeInfoToMapTypeInfo(descent->type, &map);
    if (status == NULL) {
        status = api->GetMapKeyType(map, ret_key);
    }
    return status != NULL ? status : api->GetMapValueType(map, &descent->owned[descent->depth]);
}

static OrtStatus *enter_optional(const OrtApi *api, struct descent *descent)
{
    const OrtOptionalTypeInfo *optional;
    OrtStatus *status = api->CastTypeInfoToOptionalTypeInfo(descent->type, &optional);
    return status != NULL
               ? status
               : api->GetOptionalContainedTypeInfo(optional, &descent->owned[descent->depth]);
}

static enum port_kind kind_of(enum ONNXType type)
{
    switch (type) {
    case ONNX_TYPE_TENSOR:
        return PORT_TENSOR;
    case ONNX_TYPE_SEQUENCE:
        return PORT_SEQUENCE;
    case ONNX_TYPE_MAP:
        return PORT_MAP;
    case ONNX_TYPE_OPTIONAL:
        return PORT_OPTIONAL;
    case ONNX_TYPE_UNKNOWN:
    case ONNX_TYPE_OPAQUE:
    case ONNX_TYPE_SPARSETENSOR:
        break;
    }
    return PORT_UNKNOWN;
}

/* The leaf of a type: a tensor with or without a shape, or something that cannot be served. */
static int put_leaf(const struct reader *reader, const struct descent *descent, enum ONNXType type,
                    bool in_map, struct bytes *text, struct port *port)
{
    const OrtTensorTypeAndShapeInfo *info;
    if (type != ONNX_TYPE_TENSOR) {
        return bytes_put(text, type == ONNX_TYPE_SPARSETENSOR ? SLICE("sparse tensor")
                                                              : SLICE("unsupported"));
    }
    int status = take(reader, reader->library->api->CastTypeInfoToTensorInfo(descent->type, &info));
    if (status == ERR_OK && in_map) { /* what a map holds has no shape worth telling */
        ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        status = take(reader, reader->library->api->GetTensorElementType(info, &element));
        return status == ERR_OK ? bytes_put(text, slice_from_str(ort_dtype_name(element))) : status;
    }
    if (status == ERR_OK) {
        status = put_tensor_type(reader, info, text, port);
    }
    return status;
}

/* One level down: "sequence(", "map(int64, " or "optional(". */
static int enter(const struct reader *reader, enum port_kind kind, struct descent *descent,
                 struct bytes *text)
{
    const OrtApi *api = reader->library->api;
    ONNXTensorElementDataType key = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    OrtStatus *status = kind == PORT_SEQUENCE ? enter_sequence(api, descent)
                        : kind == PORT_MAP    ? enter_map(api, descent, &key)
                                              : enter_optional(api, descent);
    if (status != NULL) {
        return take(reader, status);
    }
    descent->type = descent->owned[descent->depth];
    descent->depth++;
    if (kind == PORT_MAP) {
        return bytes_printf(text, "map(%s, ", ort_dtype_name(key));
    }
    return bytes_put(text, kind == PORT_SEQUENCE ? SLICE("sequence(") : SLICE("optional("));
}

/* Walks down `descent` writing the type's text; the first level's kind is the port's. */
static int describe(const struct reader *reader, struct descent *descent, struct bytes *text,
                    struct port *port)
{
    const OrtApi *api = reader->library->api;
    bool in_map = false;
    for (;;) {
        enum ONNXType type = ONNX_TYPE_UNKNOWN;
        int status = take(reader, api->GetOnnxTypeFromTypeInfo(descent->type, &type));
        if (status != ERR_OK) {
            return status;
        }
        enum port_kind kind = kind_of(type);
        if (descent->depth == 0) {
            port->kind = kind;
        }
        if (kind == PORT_TENSOR || kind == PORT_UNKNOWN || descent->depth == TYPE_DEPTH_MAX) {
            return put_leaf(reader, descent, type, in_map, text, port);
        }
        in_map = kind == PORT_MAP;
        status = enter(reader, kind, descent, text);
        if (status != ERR_OK) {
            return status;
        }
    }
}

/* Fills everything of a port but its name. */
static int read_type(const struct reader *reader, const OrtTypeInfo *type, struct port *port)
{
    struct descent descent = {.type = type};
    struct bytes text;
    bytes_init(&text, TYPE_TEXT_MAX);
    int status = describe(reader, &descent, &text, port);
    for (size_t i = 0; status == ERR_OK && i < descent.depth; i++) {
        status = bytes_put_byte(&text, ')');
    }
    if (status == ERR_OK) {
        port->type_text = arena_copy(reader->arena, bytes_slice(&text));
        status = port->type_text.ptr == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    if (status == ERR_NO_MEMORY) {
        (void)no_memory(reader);
    }
    if (port->kind != PORT_TENSOR) { /* what stands in it now is the innermost tensor's */
        port->dtype = DTYPE_NONE;
        port->rank = 0;
        port->rank_known = false;
    }
    for (size_t i = 0; i < descent.depth; i++) {
        reader->library->api->ReleaseTypeInfo(descent.owned[i]);
    }
    bytes_done(&text);
    return status;
}

/* The same for inputs and outputs: how many there are, their names and their types. */
struct side {
    const char *what;
    OrtStatus *(*count)(const OrtSession *session, size_t *ret_count);
    OrtStatus *(*name)(const OrtSession *session, size_t index, OrtAllocator *allocator,
                       char **ret_name);
    OrtStatus *(*type)(const OrtSession *session, size_t index, OrtTypeInfo **ret_type);
};

static int read_port(const struct reader *reader, const struct side *side, size_t index,
                     struct port *port)
{
    char *name = NULL;
    int status =
        take(reader, side->name(reader->session, index, reader->library->allocator, &name));
    if (status == ERR_OK) {
        status = take_text(reader, name, &port->name);
    }
    OrtTypeInfo *type = NULL;
    if (status == ERR_OK) {
        status = take(reader, side->type(reader->session, index, &type));
    }
    if (status != ERR_OK) {
        return status;
    }
    status = read_type(reader, type, port);
    reader->library->api->ReleaseTypeInfo(type);
    if (status == ERR_CONFIG) {
        return error_prefix(reader->error, "%s '%s'", side->what, port->name.ptr);
    }
    return status;
}

static int read_ports(const struct reader *reader, const struct side *side, struct port **ret_ports,
                      size_t *ret_count)
{
    size_t count = 0;
    int status = take(reader, side->count(reader->session, &count));
    if (status != ERR_OK) {
        return status;
    }
    struct port *ports = arena_zalloc(reader->arena, count, sizeof(*ports));
    if (ports == NULL) {
        return no_memory(reader);
    }
    for (size_t i = 0; status == ERR_OK && i < count; i++) {
        status = read_port(reader, side, i, &ports[i]);
    }
    *ret_ports = ports;
    *ret_count = count;
    return status;
}

static int read_custom_entry(const struct reader *reader, const OrtModelMetadata *metadata,
                             char *key, struct slice *ret_key, struct slice *ret_value)
{
    char *value = NULL;
    OrtAllocator *allocator = reader->library->allocator;
    int status = take(reader, reader->library->api->ModelMetadataLookupCustomMetadataMap(
                                  metadata, allocator, key, &value));
    if (status == ERR_OK) {
        status = take_text(reader, value, ret_value);
    }
    int key_status = take_text(reader, key, ret_key);
    return status != ERR_OK ? status : key_status;
}

static int read_custom_metadata(const struct reader *reader, const OrtModelMetadata *metadata,
                                struct signature *signature)
{
    const OrtApi *api = reader->library->api;
    OrtAllocator *allocator = reader->library->allocator;
    char **keys = NULL;
    int64_t count = 0;
    int status = take(
        reader, api->ModelMetadataGetCustomMetadataMapKeys(metadata, allocator, &keys, &count));
    if (status != ERR_OK || keys == NULL) {
        return status;
    }
    signature->metadata =
        arena_zalloc(reader->arena, (size_t)count, sizeof(signature->metadata[0]));
    if (signature->metadata == NULL) {
        status = no_memory(reader);
    }
    for (size_t i = 0; i < (size_t)count; i++) {
        if (status != ERR_OK ||
            signature->metadata == NULL) { /* the rest only has to be given back */
            ort_drop_status(api->AllocatorFree(allocator, keys[i]));
            continue;
        }
        status = read_custom_entry(reader, metadata, keys[i], &signature->metadata[i].key,
                                   &signature->metadata[i].value);
        signature->metadata_count = i + 1;
    }
    ort_drop_status(api->AllocatorFree(allocator, keys));
    return status;
}

static int read_metadata(const struct reader *reader, const OrtModelMetadata *metadata,
                         struct signature *signature)
{
    const OrtApi *api = reader->library->api;
    const struct {
        OrtStatus *(*get)(const OrtModelMetadata *metadata, OrtAllocator *allocator,
                          char **ret_text);
        struct slice *into;
    } texts[] = {
        {api->ModelMetadataGetProducerName, &signature->producer},
        {api->ModelMetadataGetGraphName, &signature->graph_name},
        {api->ModelMetadataGetDomain, &signature->domain},
        {api->ModelMetadataGetDescription, &signature->description},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *text = NULL;
        int status = take(reader, texts[i].get(metadata, reader->library->allocator, &text));
        if (status == ERR_OK) {
            status = take_text(reader, text, texts[i].into);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    int status = take(reader, api->ModelMetadataGetVersion(metadata, &signature->model_version));
    if (signature->model_version == INT64_MAX) {
        signature->model_version = 0; /* the runtime's way to say that there is none */
    }
    return status == ERR_OK ? read_custom_metadata(reader, metadata, signature) : status;
}

int ort_signature_read(const struct ort_library *library, const OrtSession *session,
                       struct arena *arena, struct signature *ret_signature, struct error *error)
{
    const OrtApi *api = library->api;
    const struct reader reader = {library, session, arena, error};
    const struct side inputs = {"input", api->SessionGetInputCount, api->SessionGetInputName,
                                api->SessionGetInputTypeInfo};
    const struct side outputs = {"output", api->SessionGetOutputCount, api->SessionGetOutputName,
                                 api->SessionGetOutputTypeInfo};
    struct signature signature = {.inputs = NULL};
    int status = read_ports(&reader, &inputs, &signature.inputs, &signature.input_count);
    if (status == ERR_OK) {
        status = read_ports(&reader, &outputs, &signature.outputs, &signature.output_count);
    }
    OrtModelMetadata *metadata = NULL;
    if (status == ERR_OK) {
        status = take(&reader, api->SessionGetModelMetadata(session, &metadata));
    }
    if (status == ERR_OK) {
        status = read_metadata(&reader, metadata, &signature);
        api->ReleaseModelMetadata(metadata);
    }
    if (status == ERR_OK) {
        *ret_signature = signature;
    }
    return status;
}
