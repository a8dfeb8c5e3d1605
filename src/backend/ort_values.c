/*
 * Walks outputs. The runtime hands out the pieces of a sequence or a map only one by one, each as a
 * copy of its own: a sequence of maps, which is what scikit-learn classifiers answer with, costs
 * three calls and three copies a row. The least is made of it: rows with the same keys share one
 * tensor of keys, and what they map to is packed into few buffers.
 */
#include "backend/ort_values.h"

#include <string.h>

#include "backend/ort_tensor.h"
#include "base/check.h"

#define PACK_MAX_BYTES ((size_t)128 * 1024)
#define PACK_ALIGN 16

/* What is shared over the maps of a sequence. */
struct map_walk {
    const struct ort_library *library;
    struct error *error;
    size_t maps_left;          /* this one included */
    const struct tensor *keys; /* of the map before this one; NULL at the first */
    struct buffer *pack;       /* packed elements; one reference is the walk's */
    size_t pack_used;
};

static int get_piece(const struct ort_library *library, const OrtValue *whole, size_t index,
                     OrtValue **ret_piece, struct error *error)
{
    return ort_take_status(library->api->GetValue(whole, (int)index, library->allocator, ret_piece),
                           ERR_INTERNAL, error);
}

static int take_piece(const struct ort_library *library, const OrtValue *whole, size_t index,
                      struct tensor *ret_tensor, struct error *error)
{
    OrtValue *piece;
    int status = get_piece(library, whole, index, &piece, error);
    return status == ERR_OK ? ort_tensor_take(library, piece, ret_tensor, error) : status;
}

static bool same_strings(const struct slice *a, const struct slice *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!slice_eq(a[i], b[i])) {
            return false;
        }
    }
    return true;
}

static bool same_keys(const struct tensor *a, const struct tensor *b)
{
    if (a->dtype != b->dtype || a->dims[0] != b->dims[0]) {
        return false;
    }
    size_t count = (size_t)a->dims[0];
    return a->dtype == DTYPE_STRING ? same_strings(a->at, b->at, count)
                                    : count == 0 || memcmp(a->at, b->at, tensor_bytes(a)) == 0;
}

static void share_keys(const struct map_walk *walk, struct tensor *keys)
{
    if (walk->keys != NULL && same_keys(walk->keys, keys)) {
        tensor_done(keys);
        *keys = tensor_row_view(walk->keys, 0, walk->keys->dims[0]);
    }
}

/* Room for the mapped elements of this map and, as far as sensible, of those to come. */
static bool reserve_pack(struct map_walk *walk, size_t size_bytes)
{
    if (walk->pack != NULL && size_bytes <= walk->pack->size_bytes - walk->pack_used) {
        return true;
    }
    size_t wanted = walk->maps_left > PACK_MAX_BYTES / size_bytes ? PACK_MAX_BYTES
                                                                  : walk->maps_left * size_bytes;
    struct buffer *pack = buffer_new(wanted < size_bytes ? size_bytes : wanted);
    if (pack == NULL) {
        return false;
    }
    buffer_unref(walk->pack);
    walk->pack = pack;
    walk->pack_used = 0;
    return true;
}

/* Moves small fixed-size elements to the walk's buffer, which gives their own back to the runtime. */
static int pack_mapped(struct map_walk *walk, struct tensor *mapped)
{
    size_t used_bytes = tensor_bytes(mapped);
    size_t size_bytes = (used_bytes + PACK_ALIGN - 1) & ~(size_t)(PACK_ALIGN - 1);
    if (mapped->dtype == DTYPE_STRING || used_bytes == 0 || used_bytes > PACK_MAX_BYTES) {
        return ERR_OK;
    }
    if (!reserve_pack(walk, size_bytes)) {
        return error_set(walk->error, ERR_NO_MEMORY, "no memory for an output");
    }
    struct tensor packed = *mapped;
    packed.buffer = buffer_ref(walk->pack);
    packed.at = (char *)walk->pack->ptr + walk->pack_used;
    memcpy(packed.at, mapped->at, used_bytes);
    walk->pack_used += size_bytes;
    tensor_done(mapped);
    *mapped = packed;
    return ERR_OK;
}

/* *value is VALUE_NONE; on failure too it can be ended with value_done. */
static int read_map(struct map_walk *walk, const OrtValue *map, struct value *value)
{
    value->kind = VALUE_MAP;
    int status = take_piece(walk->library, map, 0, &value->keys, walk->error);
    if (status == ERR_OK) {
        status = take_piece(walk->library, map, 1, &value->mapped, walk->error);
    }
    if (status != ERR_OK) {
        return status;
    }
    if (value->keys.rank != 1 || value->mapped.rank != 1 ||
        value->keys.dims[0] != value->mapped.dims[0] ||
        (value->keys.dtype != DTYPE_I64 && value->keys.dtype != DTYPE_STRING)) {
        return error_set(walk->error, ERR_INTERNAL, "an output is a map of an unknown form");
    }
    share_keys(walk, &value->keys);
    return pack_mapped(walk, &value->mapped);
}

/* Sequences of anything but tensors and maps do not occur in the runtime; checked once, at the first. */
static int check_is_map(const struct map_walk *walk, const OrtValue *item)
{
    enum ONNXType type = ONNX_TYPE_UNKNOWN;
    if (walk->keys != NULL) {
        return ERR_OK;
    }
    int status =
        ort_take_status(walk->library->api->GetValueType(item, &type), ERR_INTERNAL, walk->error);
    if (status == ERR_OK && type != ONNX_TYPE_MAP) {
        return error_set(walk->error, ERR_INTERNAL,
                         "an output is a sequence of neither tensors nor maps");
    }
    return status;
}

/* *value is VALUE_NONE; on failure too it can be ended with value_done. */
static int read_item(struct map_walk *walk, const OrtValue *sequence, size_t index,
                     struct value *value)
{
    const OrtApi *api = walk->library->api;
    OrtValue *item;
    int is_tensor = 0;
    int status = get_piece(walk->library, sequence, index, &item, walk->error);
    if (status != ERR_OK) {
        return status;
    }
    status = ort_take_status(api->IsTensor(item, &is_tensor), ERR_INTERNAL, walk->error);
    if (status == ERR_OK && is_tensor) {
        status = ort_tensor_take(walk->library, item, &value->tensor, walk->error);
        value->kind = status == ERR_OK ? VALUE_TENSOR : VALUE_NONE;
        return status;
    }
    if (status == ERR_OK) {
        status = check_is_map(walk, item);
    }
    if (status == ERR_OK) {
        status = read_map(walk, item, value);
        walk->keys = &value->keys;
    }
    api->ReleaseValue(item);
    return status;
}

/* *value is VALUE_NONE; on failure too it can be ended with value_done. */
static int read_sequence(const struct ort_library *library, const OrtValue *sequence,
                         struct arena *arena, struct value *value, struct error *error)
{
    size_t count = 0;
    int status =
        ort_take_status(library->api->GetValueCount(sequence, &count), ERR_INTERNAL, error);
    if (status != ERR_OK) {
        return status;
    }
    struct value *items = arena_zalloc(arena, count, sizeof(*items));
    if (items == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for an output of %zu items", count);
    }
    *value = (struct value){.kind = VALUE_SEQUENCE, .items = items, .item_count = count};
    struct map_walk walk = {.library = library, .error = error, .maps_left = count};
    for (size_t i = 0; status == ERR_OK && i < count; i++) {
        status = read_item(&walk, sequence, i, &items[i]);
        walk.maps_left--;
    }
    buffer_unref(walk.pack);
    return status;
}

/* A value that is no tensor. */
static int read_container(const struct ort_library *library, const OrtValue *container,
                          struct arena *arena, struct value *value, struct error *error)
{
    enum ONNXType type = ONNX_TYPE_UNKNOWN;
    int status = ort_take_status(library->api->GetValueType(container, &type), ERR_INTERNAL, error);
    if (status != ERR_OK) {
        return status;
    }
    if (type == ONNX_TYPE_SEQUENCE) {
        return read_sequence(library, container, arena, value, error);
    }
    if (type == ONNX_TYPE_MAP) {
        struct map_walk walk = {.library = library, .error = error, .maps_left = 1};
        status = read_map(&walk, container, value);
        buffer_unref(walk.pack);
        return status;
    }
    return error_set(error, ERR_INTERNAL, "an output is neither a tensor, a sequence nor a map");
}

static bool lies_within(const struct tensor *input, const void *at)
{
    return input->dtype != DTYPE_STRING && dtype_size(input->dtype) > 0 && input->at != NULL &&
           (uintptr_t)at >= (uintptr_t)input->at &&
           (uintptr_t)at < (uintptr_t)input->at + tensor_bytes(input);
}

/* An input the graph passes through comes out as the caller's own memory, which is only lent. */
static int own_passed_through(const struct tensor *inputs, size_t input_count,
                              struct tensor *tensor, struct error *error)
{
    for (size_t i = 0; i < input_count; i++) {
        if (!lies_within(&inputs[i], tensor->at)) {
            continue;
        }
        struct tensor copy;
        int status = tensor_new(tensor->dtype, tensor->rank, tensor->dims, &copy, error);
        if (status != ERR_OK) {
            return status;
        }
        memcpy(copy.at, tensor->at, tensor_bytes(tensor));
        tensor_done(tensor);
        *tensor = copy;
        return ERR_OK;
    }
    return ERR_OK;
}

static int take_tensor(const struct ort_library *library, OrtValue *owned,
                       const struct tensor *inputs, size_t input_count, struct value *value,
                       struct error *error)
{
    int status = ort_tensor_take(library, owned, &value->tensor, error);
    if (status == ERR_OK) {
        value->kind = VALUE_TENSOR;
        status = own_passed_through(inputs, input_count, &value->tensor, error);
    }
    return status;
}

int ort_value_take(const struct ort_library *library, OrtValue *owned, const struct tensor *inputs,
                   size_t input_count, struct arena *arena, struct value *ret_value,
                   struct error *error)
{
    const OrtApi *api = library->api;
    struct value value = {.kind = VALUE_NONE};
    int is_there = 0;
    int is_tensor = 0;
    OrtStatus *failed = NULL;
    if (owned != NULL) {
        failed = api->HasValue(owned, &is_there);
    }
    if (failed == NULL && is_there) {
        failed = api->IsTensor(owned, &is_tensor);
    }
    int status = ort_take_status(failed, ERR_INTERNAL, error);
    if (status == ERR_OK && is_tensor) {
        status = take_tensor(library, owned, inputs, input_count, &value, error);
        owned = NULL; /* taken either way */
    } else if (status == ERR_OK && is_there) {
        status = read_container(library, owned, arena, &value, error);
    }
    if (owned != NULL) {
        api->ReleaseValue(owned);
    }
    if (status != ERR_OK) {
        value_done(&value);
        return status;
    }
    *ret_value = value;
    return ERR_OK;
}
