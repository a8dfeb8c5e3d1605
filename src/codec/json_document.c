/*
 * The border to yyjson. It gets its memory from a piece of the arena that is large enough from the
 * start, so that it neither copies nor touches the heap.
 */
#include "codec/json_document.h"

#include <math.h>
#include <string.h>

#include <yyjson.h>

#include "base/check.h"
#include "base/checked.h"
#include "base/num.h"
#include "codec/codec.h"
#include "codec/text.h"

#define ROOM_ALIGN 16
/* The document's own place among the values, and those yyjson keeps free. */
#define VALUES_EXTRA 12
/* It starts with one value for each six bytes of text. */
#define BYTES_PER_VALUE_GUESS 6

static void *room_alloc(void *reader, size_t size);
static void *room_realloc(void *reader, void *old, size_t old_size, size_t size);

static void room_free(void *reader, void *block)
{
    (void)reader;
    (void)block; /* the arena's */
}

static size_t room_aligned(size_t size)
{
    return (size + ROOM_ALIGN - 1) & ~(size_t)(ROOM_ALIGN - 1);
}

static void *room_alloc(void *reader_pointer, size_t size)
{
    struct json_reader *reader = reader_pointer;
    if (size > reader->room_bytes || room_aligned(size) > reader->room_bytes - reader->used_bytes) {
        return arena_alloc(reader->arena, size);
    }
    reader->last = reader->used_bytes;
    reader->used_bytes += room_aligned(size);
    return reader->room + reader->last;
}

static void *room_realloc(void *reader_pointer, void *old, size_t old_size, size_t size)
{
    struct json_reader *reader = reader_pointer;
    if (old == reader->room + reader->last && size <= reader->room_bytes - reader->last) {
        size_t end = reader->last + room_aligned(size);
        reader->used_bytes = end < reader->room_bytes ? end : reader->room_bytes;
        return old;
    }
    void *block = room_alloc(reader, size);
    if (block != NULL) {
        memcpy(block, old, old_size < size ? old_size : size);
    }
    return block;
}

void json_reader_init(struct json_reader *reader, struct arena *arena, int64_t origin_bytes)
{
    *reader = (struct json_reader){.arena = arena, .origin_bytes = (size_t)origin_bytes};
}

/* Skips a string; `at` is behind its opening quote. Returns the offset behind the closing one. */
static size_t skip_string(struct slice text, size_t at)
{
    while (at < text.len && text.ptr[at] != '"') {
        at += text.ptr[at] == '\\' ? 2 : 1;
    }
    return at + 1;
}

/*
 * Bytes of the literal that starts here; 0 where yyjson would take a word that is none ("nan",
 * "inf", "-NaN").
 */
static size_t literal_bytes(struct slice text, size_t at)
{
    static const struct slice literals[] = {
        {"null", 4},
        {"NaN", 3},
        {"Infinity", 8},
    };
    for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
        if (slice_starts_with(slice_tail(text, at), literals[i])) {
            return i == 1 && at > 0 && text.ptr[at - 1] == '-' ? 0 : literals[i].len;
        }
    }
    return 0;
}

static int refuse_at(size_t offset, const char *why, struct error *error)
{
    return error_set(error, ERR_INVALID, "invalid JSON at byte %zu: %s", offset, why);
}

/*
 * Bounds the number of values (each but the root stands behind one of "[{,:") and refuses deep
 * nesting. Whether the text is JSON at all is for yyjson to say.
 */
static int scan(struct slice text, size_t base, size_t *ret_values, struct error *error)
{
    size_t values = 1;
    size_t depth = 0;
    for (size_t at = 0; at < text.len;) {
        char byte = text.ptr[at++];
        switch (byte) {
        case '"':
            at = skip_string(text, at);
            break;
        case '[':
        case '{':
            values++;
            if (++depth > JSON_DEPTH_MAX) {
                return refuse_at(base + at - 1, "nested too deeply", error);
            }
            break;
        case ']':
        case '}':
            depth -= depth > 0;
            break;
        case ',':
        case ':':
            values++;
            break;
        case 'n':
        case 'N':
        case 'i':
        case 'I':
            if (literal_bytes(text, at - 1) == 0) {
                return refuse_at(base + at - 1, "unknown literal", error);
            }
            at += literal_bytes(text, at - 1) - 1;
            break;
        default:
            break;
        }
    }
    /* Two bytes a value is the densest JSON there is: "[1,1,1". More is not JSON. */
    *ret_values = values < text.len / 2 + 2 ? values : text.len / 2 + 2;
    return ERR_OK;
}

/*
 * Bytes yyjson needs at most: a padded copy of the text, then the values with the document before
 * them. It starts with a guess by the text's length and grows by half where that is too few. False
 * on overflow.
 */
static bool room_needed(size_t len, size_t values, size_t *ret_bytes)
{
    size_t guess = len / BYTES_PER_VALUE_GUESS + VALUES_EXTRA;
    size_t wanted = values + VALUES_EXTRA;
    size_t tree;
    return !checked_mul(wanted > guess ? wanted + wanted / 2 : guess, sizeof(yyjson_val), &tree) &&
           !checked_add(tree, room_aligned(len + YYJSON_PADDING_SIZE), ret_bytes);
}

static int make_room(struct json_reader *reader, size_t len, size_t values, struct error *error)
{
    size_t needed;
    if (len > SIZE_MAX / 2 || !room_needed(len, values, &needed)) {
        return error_set(error, ERR_NO_MEMORY, "the JSON text is too large");
    }
    if (needed > reader->room_bytes) {
        /* The first is just large enough; then each grows by half, so that their sum stays small. */
        size_t grown = reader->room_bytes + reader->room_bytes / 2;
        size_t wanted = needed > grown ? needed : grown;
        char *room = arena_alloc(reader->arena, wanted);
        if (room == NULL) {
            return error_set(error, ERR_NO_MEMORY, "no memory for a JSON text of %zu bytes", len);
        }
        reader->room = room;
        reader->room_bytes = wanted;
    }
    reader->used_bytes = 0;
    reader->last = 0;
    return ERR_OK;
}

static int refuse(struct slice text, size_t base, bool at_start, const yyjson_read_err *fault,
                  struct error *error)
{
    size_t line = 0;
    size_t column = 0;
    size_t character = 0;
    if (fault->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a JSON text of %zu bytes", text.len);
    }
    size_t invalid = text_find_invalid(text);
    if (invalid <= fault->pos && invalid < text.len) {
        return error_set(error, ERR_INVALID, "invalid UTF-8 at byte %zu", base + invalid);
    }
    if (!at_start ||
        !yyjson_locate_pos(text.ptr, text.len, fault->pos, &line, &column, &character)) {
        return refuse_at(base + fault->pos, fault->msg, error);
    }
    return error_set(error, ERR_INVALID, "invalid JSON at byte %zu (line %zu, column %zu): %s",
                     base + fault->pos, line, column, fault->msg);
}

int json_reader_read(struct json_reader *reader, struct slice text, size_t base,
                     const struct json_value **ret_root, struct error *error)
{
    size_t values = 0;
    size_t mark = base == 0 ? text_mark_bytes(text) : 0;
    text = slice_tail(text, mark);
    bool at_start = base + reader->origin_bytes == 0;
    base += mark + reader->origin_bytes;
    if (text.len == 0) {
        return refuse_at(base, "the text is empty", error);
    }
    int status = scan(text, base, &values, error);
    if (status == ERR_OK) {
        status = make_room(reader, text.len, values, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    yyjson_alc memory = {room_alloc, room_realloc, room_free, reader};
    yyjson_read_err fault;
    yyjson_doc *document =
        /* Without the in-situ flag the text is only read. */
        yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len,
                         YYJSON_READ_ALLOW_INF_AND_NAN | YYJSON_READ_BIGNUM_AS_RAW, &memory,
                         &fault);
    if (document == NULL) {
        return refuse(text, base, at_start, &fault, error);
    }
    *ret_root = (const struct json_value *)yyjson_doc_get_root(document);
    return ERR_OK;
}

static yyjson_val *node(const struct json_value *value)
{
    return (yyjson_val *)(uintptr_t)value;
}

enum json_kind json_value_kind(const struct json_value *value)
{
    switch (yyjson_get_type(node(value))) {
    case YYJSON_TYPE_ARR:
        return JSON_ARRAY;
    case YYJSON_TYPE_OBJ:
        return JSON_OBJECT;
    default:
        return JSON_SCALAR;
    }
}

size_t json_value_count(const struct json_value *value)
{
    return json_value_kind(value) == JSON_SCALAR ? 0 : unsafe_yyjson_get_len(node(value));
}

const struct json_value *json_value_first(const struct json_value *container)
{
    return (const struct json_value *)unsafe_yyjson_get_first(node(container));
}

const struct json_value *json_value_next(const struct json_value *value)
{
    return (const struct json_value *)unsafe_yyjson_get_next(node(value));
}

struct slice json_value_text(const struct json_value *string)
{
    return slice_make(unsafe_yyjson_get_str(node(string)), unsafe_yyjson_get_len(node(string)));
}

const struct json_value *json_object_find(const struct json_value *object, struct slice key)
{
    const struct json_value *found = NULL;
    size_t count = json_value_count(object);
    const struct json_value *at = json_value_first(object);
    for (size_t i = 0; i < count; i++) {
        const struct json_value *value = json_value_next(at);
        if (slice_eq(json_value_text(at), key)) {
            found = value;
        }
        at = json_value_next(value);
    }
    return found;
}

static struct scalar number_scalar(yyjson_val *number)
{
    switch (yyjson_get_subtype(number)) {
    case YYJSON_SUBTYPE_UINT: {
        uint64_t value = unsafe_yyjson_get_uint(number);
        if (value > (uint64_t)INT64_MAX) {
            return (struct scalar){.kind = SCALAR_U64, .as.u64 = value};
        }
        return (struct scalar){.kind = SCALAR_I64, .as.i64 = (int64_t)value};
    }
    case YYJSON_SUBTYPE_SINT:
        return (struct scalar){.kind = SCALAR_I64, .as.i64 = unsafe_yyjson_get_sint(number)};
    default:
        return (struct scalar){.kind = SCALAR_F64, .as.f64 = unsafe_yyjson_get_real(number)};
    }
}

struct scalar json_value_scalar(const struct json_value *value)
{
    yyjson_val *at = node(value);
    switch (yyjson_get_type(at)) {
    case YYJSON_TYPE_NUM:
        return number_scalar(at);
    case YYJSON_TYPE_RAW: /* past what 64 bits or a double hold, or a literal */
        return scalar_from_num(num_parse(json_value_text(value)), json_value_text(value));
    case YYJSON_TYPE_BOOL:
        return (struct scalar){.kind = SCALAR_BOOL, .as.truth = unsafe_yyjson_get_bool(at)};
    case YYJSON_TYPE_STR:
        return (struct scalar){.kind = SCALAR_STRING, .text = json_value_text(value)};
    case YYJSON_TYPE_ARR:
        return (struct scalar){.kind = SCALAR_ARRAY};
    case YYJSON_TYPE_OBJ:
        return (struct scalar){.kind = SCALAR_OBJECT};
    default:
        return (struct scalar){.kind = SCALAR_NULL};
    }
}

const char *codec_library_version(void)
{
    return YYJSON_VERSION_STRING;
}
