/*
 * The tables do the work: strict_object walks an object once, and the only recursion is that of the
 * tables themselves, whose depth is fixed when the program is compiled.
 */
#include "config/strict.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "config/suggest.h"

#define PATH_BYTES_MAX 256
#define PATH_DEPTH_MAX 8
#define SHOWN_BYTES_MAX 64

static bool is_plain_key(struct slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '$') {
            return false;
        }
    }
    return key.len > 0;
}

static size_t print_step(const struct strict_place *place, char *text, size_t size)
{
    struct slice key = slice_head(place->key, SHOWN_BYTES_MAX);
    int len;
    if (place->key.ptr == NULL) {
        len = snprintf(text, size, "[%zu]", place->index);
    } else if (is_plain_key(place->key)) {
        len = snprintf(text, size, ".%.*s", SLICE_FMT(key));
    } else {
        len = snprintf(text, size, "[\"%.*s\"]", SLICE_FMT(key));
    }
    CHECK(len >= 0);
    return (size_t)len < size ? (size_t)len : size - 1;
}

static void print_path(const struct strict_place *place, char *text, size_t size)
{
    const struct strict_place *steps[PATH_DEPTH_MAX];
    size_t depth = 0;
    for (; place->parent != NULL; place = place->parent) {
        CHECK(depth < PATH_DEPTH_MAX);
        steps[depth++] = place;
    }
    size_t len = (size_t)snprintf(text, size, "$");
    while (depth > 0) {
        len += print_step(steps[--depth], text + len, size - len);
    }
}

int strict_fail(const struct strict_reader *reader, const struct strict_place *place,
                const char *format, ...)
{
    char path[PATH_BYTES_MAX];
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    print_path(place, path, sizeof(path));
    return error_set(reader->error, ERR_CONFIG, "%s: %s", path, text);
}

int strict_no_memory(const struct strict_reader *reader)
{
    return error_set(reader->error, ERR_NO_MEMORY, "out of memory");
}

int strict_expect(const struct strict_reader *reader, struct document_value *value,
                  const struct strict_place *place, enum document_kind kind)
{
    enum document_kind found = document_kind(value);
    if (found == kind) {
        return ERR_OK;
    }
    return strict_fail(reader, place, "is %s, must be %s", document_kind_name(found),
                       document_kind_name(kind));
}

static int refuse_unknown(const struct strict_reader *reader, const struct strict_place *place,
                          const struct strict_field *fields, size_t field_count)
{
    struct suggestion nearest = {.typed = place->key};
    for (size_t i = 0; i < field_count; i++) {
        suggestion_offer(&nearest, fields[i].key);
    }
    if (nearest.name == NULL) {
        return strict_fail(reader, place, "unknown");
    }
    return strict_fail(reader, place, "unknown; did you mean \"%s\"?", nearest.name);
}

/* The index of the key's field, or field_count. */
static size_t find_field(const struct strict_field *fields, size_t field_count, struct slice key)
{
    size_t i = 0;
    while (i < field_count && !slice_eq(key, slice_from_str(fields[i].key))) {
        i++;
    }
    return i;
}

static int check_required(const struct strict_reader *reader, const struct strict_place *place,
                          const struct strict_field *fields, size_t field_count, const bool *seen)
{
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].required && !seen[i]) {
            return strict_fail(reader, place, "\"%s\" is missing", fields[i].key);
        }
    }
    return ERR_OK;
}

int strict_object(const struct strict_reader *reader, struct document_value *value,
                  const struct strict_place *place, const struct strict_field *fields,
                  size_t field_count, void *object)
{
    bool seen[STRICT_FIELDS_MAX] = {false};
    CHECK(field_count <= STRICT_FIELDS_MAX);
    int status = strict_expect(reader, value, place, DOCUMENT_OBJECT);
    if (status != ERR_OK) {
        return status;
    }
    struct document_walk walk = document_walk(value);
    struct document_value *member;
    struct strict_place at = {.parent = place};
    while (document_next(&walk, &at.key, &member)) {
        size_t i = find_field(fields, field_count, at.key);
        if (i == field_count) {
            return refuse_unknown(reader, &at, fields, field_count);
        }
        if (seen[i]) {
            return strict_fail(reader, &at, "comes twice");
        }
        seen[i] = true;
        status = fields[i].read(reader, member, &at, (char *)object + fields[i].offset);
        if (status != ERR_OK) {
            return status;
        }
    }
    return check_required(reader, place, fields, field_count, seen);
}

int strict_array(const struct strict_reader *reader, struct document_value *value,
                 const struct strict_place *place, size_t max, size_t size, strict_read *read,
                 void **ret_items, size_t *ret_count)
{
    int status = strict_expect(reader, value, place, DOCUMENT_ARRAY);
    if (status != ERR_OK) {
        return status;
    }
    size_t count = document_count(value);
    if (count > max) {
        return strict_fail(reader, place, "has %zu elements, at most %zu are allowed", count, max);
    }
    char *items = arena_zalloc(reader->arena, count, size);
    if (items == NULL) {
        return strict_no_memory(reader);
    }
    struct document_walk walk = document_walk(value);
    struct document_value *element;
    struct slice no_key;
    struct strict_place at = {.parent = place};
    for (; document_next(&walk, &no_key, &element); at.index++) {
        status = read(reader, element, &at, items + at.index * size);
        if (status != ERR_OK) {
            return status;
        }
    }
    *ret_items = items;
    *ret_count = count;
    return ERR_OK;
}

int strict_text(const struct strict_reader *reader, struct document_value *value,
                const struct strict_place *place, void *target)
{
    int status = strict_expect(reader, value, place, DOCUMENT_STRING);
    if (status == ERR_OK) {
        *(struct slice *)target = document_text(value);
    }
    return status;
}

int strict_name(const struct strict_reader *reader, struct document_value *value,
                const struct strict_place *place, void *target)
{
    int status = strict_expect(reader, value, place, DOCUMENT_STRING);
    if (status != ERR_OK) {
        return status;
    }
    struct slice name = document_text(value);
    if (name.len == 0) {
        return strict_fail(reader, place, "is empty");
    }
    *(struct slice *)target = name;
    return ERR_OK;
}
