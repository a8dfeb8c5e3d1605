/*
 * The JSON reader of the configuration, on yyjson: its documents live in an arena through an
 * allocator of ours, and its values pass through this file as an opaque type, so that no other file
 * of the layer includes its header. Request bodies have their own reader in codec/.
 */
#include "config/document.h"

#include <yyjson.h>

static yyjson_val *of(struct document_value *value)
{
    return (yyjson_val *)(void *)value;
}

static struct document_value *value_of(yyjson_val *value)
{
    return (struct document_value *)(void *)value;
}

static void *alloc_in_arena(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void *realloc_in_arena(void *arena, void *old, size_t old_size, size_t size)
{
    return arena_realloc(arena, old, old_size, size);
}

static void free_in_arena(void *arena, void *block)
{
    (void)arena;
    (void)block;
}

static yyjson_alc allocator_in(struct arena *arena)
{
    return (yyjson_alc){alloc_in_arena, realloc_in_arena, free_in_arena, arena};
}

size_t document_arena_bytes(size_t text_bytes)
{
    /* Growing by half leaves the smaller blocks behind in the arena: three times the last one. */
    return 4 * yyjson_read_max_memory_usage(text_bytes, YYJSON_READ_NUMBER_AS_RAW);
}

int document_parse(struct slice text, struct arena *arena, struct document_value **ret_root,
                   struct error *error)
{
    yyjson_alc allocator = allocator_in(arena);
    yyjson_read_err why = {0};
    union {
        const char *borrowed;
        char *as_library; /* its signature is not const; it writes only with another flag */
    } bytes = {.borrowed = text.ptr == NULL ? "" : text.ptr};
    yyjson_doc *doc =
        yyjson_read_opts(bytes.as_library, text.len, YYJSON_READ_NUMBER_AS_RAW, &allocator, &why);
    if (doc != NULL) {
        *ret_root = value_of(yyjson_doc_get_root(doc));
        return ERR_OK;
    }
    if (why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return error_set(error, ERR_NO_MEMORY, "out of memory");
    }
    size_t line = 1, column = 1, character = 0;
    (void)yyjson_locate_pos(bytes.borrowed, text.len, why.pos, &line, &column, &character);
    return error_set(error, ERR_CONFIG, "invalid JSON at line %zu, column %zu: %s", line, column,
                     why.msg);
}

enum document_kind document_kind(struct document_value *value)
{
    switch (yyjson_get_type(of(value))) {
    case YYJSON_TYPE_BOOL:
        return DOCUMENT_BOOL;
    case YYJSON_TYPE_RAW:
    case YYJSON_TYPE_NUM:
        return DOCUMENT_NUMBER;
    case YYJSON_TYPE_STR:
        return DOCUMENT_STRING;
    case YYJSON_TYPE_ARR:
        return DOCUMENT_ARRAY;
    case YYJSON_TYPE_OBJ:
        return DOCUMENT_OBJECT;
    default:
        return DOCUMENT_NULL;
    }
}

const char *document_kind_name(enum document_kind kind)
{
    static const char *const names[] = {
        [DOCUMENT_NULL] = "null",       [DOCUMENT_BOOL] = "a boolean",
        [DOCUMENT_NUMBER] = "a number", [DOCUMENT_STRING] = "a string",
        [DOCUMENT_ARRAY] = "an array",  [DOCUMENT_OBJECT] = "an object",
    };
    return names[kind];
}

struct slice document_text(struct document_value *value)
{
    const char *text = document_kind(value) == DOCUMENT_NUMBER ? yyjson_get_raw(of(value))
                                                               : yyjson_get_str(of(value));
    return text == NULL ? SLICE("") : slice_make(text, yyjson_get_len(of(value)));
}

size_t document_count(struct document_value *value)
{
    return document_kind(value) == DOCUMENT_OBJECT ? yyjson_obj_size(of(value))
                                                   : yyjson_arr_size(of(value));
}

struct document_walk document_walk(struct document_value *container)
{
    struct document_walk walk = {.container = container, .count = document_count(container)};
    if (document_kind(container) == DOCUMENT_OBJECT) {
        yyjson_obj_iter iter;
        (void)yyjson_obj_iter_init(of(container), &iter);
        walk.next = value_of(iter.cur);
    } else {
        yyjson_arr_iter iter;
        (void)yyjson_arr_iter_init(of(container), &iter);
        walk.next = value_of(iter.cur);
    }
    return walk;
}

static bool next_member(struct document_walk *walk, struct slice *ret_key,
                        struct document_value **ret_value)
{
    yyjson_obj_iter iter = {walk->index, walk->count, of(walk->next), of(walk->container)};
    yyjson_val *key = yyjson_obj_iter_next(&iter);
    if (key == NULL) {
        return false;
    }
    walk->index = iter.idx;
    walk->next = value_of(iter.cur);
    *ret_key = slice_make(yyjson_get_str(key), yyjson_get_len(key));
    *ret_value = value_of(yyjson_obj_iter_get_val(key));
    return true;
}

static bool next_element(struct document_walk *walk, struct document_value **ret_value)
{
    yyjson_arr_iter iter = {walk->index, walk->count, of(walk->next)};
    yyjson_val *value = yyjson_arr_iter_next(&iter);
    if (value == NULL) {
        return false;
    }
    walk->index = iter.idx;
    walk->next = value_of(iter.cur);
    *ret_value = value_of(value);
    return true;
}

bool document_next(struct document_walk *walk, struct slice *ret_key,
                   struct document_value **ret_value)
{
    if (document_kind(walk->container) == DOCUMENT_OBJECT) {
        return next_member(walk, ret_key, ret_value);
    }
    *ret_key = SLICE("");
    return next_element(walk, ret_value);
}

int document_print(struct document_value *value, struct arena *arena, struct slice *ret_text,
                   struct error *error)
{
    yyjson_alc allocator = allocator_in(arena);
    yyjson_write_err why = {0};
    size_t len;
    char *text = yyjson_val_write_opts(of(value), YYJSON_WRITE_NOFLAG, &allocator, &len, &why);
    if (text == NULL) { /* what was read can be written: only memory can be short */
        return error_set(error, ERR_NO_MEMORY, "out of memory");
    }
    *ret_text = slice_make(text, len);
    return ERR_OK;
}
