/*
 * JSON objects in settings: ONNX_INPUT_MAP_JSON, ONNX_OUTPUT_MAP_JSON, ONNX_INPUT_DTYPE_MAP_JSON.
 * Whether the names exist in the model is the codec's to say; here only the text is checked.
 */
#include "config/settings_map.h"

#include "config/document.h"

#define TEXT_BYTES_MAX ((size_t)1 << 20)
#define SCRATCH_BLOCK_BYTES 4096
#define SHOWN_BYTES_MAX 80

struct map_reader {
    bool of_dtypes;
    struct arena *arena;
    struct error *error;
};

static const char *accepted(bool of_dtypes)
{
    return of_dtypes ? SETTINGS_DTYPE_MAP_ACCEPTED : SETTINGS_MAP_ACCEPTED;
}

static int refuse(const struct map_reader *reader, struct slice key, const char *why)
{
    struct slice shown = slice_head(key, SHOWN_BYTES_MAX);
    return error_set(reader->error, ERR_CONFIG, "key \"%.*s\" %s: give %s", SLICE_FMT(shown), why,
                     accepted(reader->of_dtypes));
}

static int read_mapping(const struct map_reader *reader, struct slice key,
                        struct document_value *value, struct settings_mapping *ret_mapping)
{
    struct settings_mapping mapping = {.dtype = DTYPE_NONE, .port = SLICE("")};
    if (key.len == 0) {
        return refuse(reader, key, "is empty");
    }
    if (document_kind(value) != DOCUMENT_STRING) {
        return refuse(reader, key, "has a value that is no string");
    }
    struct slice text = document_text(value);
    mapping.key = arena_copy(reader->arena, key);
    if (reader->of_dtypes) {
        mapping.dtype = dtype_parse(text);
        if (mapping.dtype == DTYPE_NONE) {
            return refuse(reader, key, "has an unknown type");
        }
    } else if (text.len == 0) {
        return refuse(reader, key, "has an empty name");
    } else {
        mapping.port = arena_copy(reader->arena, text);
    }
    if (mapping.key.ptr == NULL || mapping.port.ptr == NULL) {
        return error_set(reader->error, ERR_NO_MEMORY, "out of memory");
    }
    *ret_mapping = mapping;
    return ERR_OK;
}

static bool has_key(const struct settings_mapping *items, size_t count, struct slice key)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(items[i].key, key)) {
            return true;
        }
    }
    return false;
}

static int read_object(const struct map_reader *reader, struct document_value *object,
                       struct settings_map *ret_map)
{
    size_t count = document_count(object);
    if (count > SETTINGS_MAP_MAX) {
        return error_set(reader->error, ERR_CONFIG, "%zu keys are too many: give at most %d", count,
                         SETTINGS_MAP_MAX);
    }
    struct settings_mapping *items = arena_zalloc(reader->arena, count, sizeof(*items));
    if (items == NULL) {
        return error_set(reader->error, ERR_NO_MEMORY, "out of memory");
    }
    struct document_walk walk = document_walk(object);
    struct document_value *value;
    struct slice key;
    for (size_t i = 0; document_next(&walk, &key, &value); i++) {
        if (has_key(items, i, key)) {
            return refuse(reader, key, "comes twice");
        }
        int status = read_mapping(reader, key, value, &items[i]);
        if (status != ERR_OK) {
            return status;
        }
    }
    *ret_map = (struct settings_map){items, count};
    return ERR_OK;
}

static int read_text(const struct map_reader *reader, struct slice text, struct arena *scratch,
                     struct settings_map *ret_map)
{
    struct document_value *root;
    struct slice shown = slice_head(text, SHOWN_BYTES_MAX);
    const char *more = shown.len < text.len ? "..." : "";
    int status = document_parse(text, scratch, &root, reader->error);
    if (status == ERR_CONFIG) {
        struct error why = *reader->error;
        return error_set(reader->error, ERR_CONFIG, "\"%.*s%s\" is %s: give %s", SLICE_FMT(shown),
                         more, why.text, accepted(reader->of_dtypes));
    }
    if (status != ERR_OK) {
        return status;
    }
    if (document_kind(root) != DOCUMENT_OBJECT) {
        return error_set(reader->error, ERR_CONFIG, "\"%.*s%s\" is %s: give %s", SLICE_FMT(shown),
                         more, document_kind_name(document_kind(root)),
                         accepted(reader->of_dtypes));
    }
    status = read_object(reader, root, ret_map);
    if (status == ERR_CONFIG) {
        (void)error_prefix(reader->error, "\"%.*s%s\"", SLICE_FMT(shown), more);
    }
    return status;
}

int settings_map_parse(struct slice text, bool of_dtypes, struct arena *arena,
                       struct settings_map *ret_map, struct error *error)
{
    struct error unwanted;
    const struct map_reader reader = {of_dtypes, arena, error != NULL ? error : &unwanted};
    if (text.len == 0) {
        *ret_map = (struct settings_map){NULL, 0};
        return ERR_OK;
    }
    if (text.len > TEXT_BYTES_MAX) {
        return error_set(reader.error, ERR_CONFIG, "%zu bytes are too many: give at most %zu",
                         text.len, TEXT_BYTES_MAX);
    }
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BLOCK_BYTES, SCRATCH_BLOCK_BYTES + document_arena_bytes(text.len));
    int status = read_text(&reader, text, &scratch, ret_map);
    arena_done(&scratch);
    return status;
}

static enum dtype find_dtype(const struct settings_map *dtypes, struct slice name)
{
    for (size_t i = 0; i < dtypes->count; i++) {
        if (slice_eq(dtypes->items[i].key, name)) {
            return dtypes->items[i].dtype;
        }
    }
    return DTYPE_NONE;
}

void settings_map_join(struct settings_map *map, const struct settings_map *dtypes)
{
    for (size_t i = 0; i < map->count; i++) {
        struct settings_mapping *item = &map->items[i];
        enum dtype dtype = find_dtype(dtypes, item->key);
        item->dtype = dtype != DTYPE_NONE ? dtype : find_dtype(dtypes, item->port);
    }
}
