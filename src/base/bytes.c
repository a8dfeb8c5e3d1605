#include "base/bytes.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define BYTES_FIRST_CAPACITY 1024

void bytes_init(struct bytes *bytes, size_t max)
{
    *bytes = (struct bytes){.max = max};
}

void bytes_done(struct bytes *bytes)
{
    mem_free(bytes->ptr);
    *bytes = (struct bytes){.max = bytes->max};
}

void bytes_reset(struct bytes *bytes, size_t keep)
{
    bytes->head = bytes->tail = 0;
    if (bytes->capacity > keep) {
        bytes_done(bytes);
    }
}

static void move_to_front(struct bytes *bytes)
{
    size_t len = bytes_len(bytes);
    if (bytes->ptr != NULL && bytes->head > 0 && len > 0) {
        memmove(bytes->ptr, bytes->ptr + bytes->head, len);
    }
    bytes->head = 0;
    bytes->tail = len;
}

static char *grow(struct bytes *bytes, size_t size)
{
    size_t len = bytes_len(bytes);
    if (len > bytes->max || size > bytes->max - len) {
        return NULL;
    }
    if (len + size <= bytes->capacity) {
        move_to_front(bytes);
        return bytes->ptr + bytes->tail;
    }
    size_t capacity =
        bytes->capacity < BYTES_FIRST_CAPACITY ? BYTES_FIRST_CAPACITY : bytes->capacity;
    while (capacity < len + size) {
        capacity = capacity > bytes->max / 2 ? bytes->max : capacity * 2;
    }
    capacity = capacity > bytes->max ? bytes->max : capacity;
    move_to_front(bytes);
    char *moved = mem_realloc(bytes->ptr, capacity);
    if (moved == NULL) {
        return NULL;
    }
    bytes->ptr = moved;
    bytes->capacity = capacity;
    return bytes->ptr + bytes->tail;
}

char *bytes_reserve(struct bytes *bytes, size_t size)
{
    if (bytes->ptr != NULL && size <= bytes->capacity - bytes->tail) {
        return bytes->ptr + bytes->tail;
    }
    return grow(bytes, size);
}

void bytes_commit(struct bytes *bytes, size_t size)
{
    CHECK(size <= bytes->capacity - bytes->tail);
    bytes->tail += size;
}

size_t bytes_room(const struct bytes *bytes)
{
    return bytes->capacity - bytes->tail;
}

int bytes_put(struct bytes *bytes, struct slice more)
{
    if (more.len == 0) {
        return ERR_OK; /* a queue that has allocated nothing has no place to point at */
    }
    char *at = bytes_reserve(bytes, more.len);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(at, more.ptr, more.len);
    bytes->tail += more.len;
    return ERR_OK;
}

int bytes_put_byte(struct bytes *bytes, char byte)
{
    return bytes_put(bytes, slice_make(&byte, 1));
}

int bytes_printf(struct bytes *bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int wanted = vsnprintf(NULL, 0, format, args);
    va_end(args);
    int status = ERR_NO_MEMORY;
    char *at = wanted < 0 ? NULL : bytes_reserve(bytes, (size_t)wanted + 1);
    if (at != NULL) {
        vsnprintf(at, (size_t)wanted + 1, format, again);
        bytes->tail += (size_t)wanted;
        status = ERR_OK;
    }
    va_end(again);
    return status;
}

void bytes_consume(struct bytes *bytes, size_t size)
{
    CHECK(size <= bytes_len(bytes));
    bytes->head += size;
    if (bytes->head == bytes->tail) {
        bytes->head = bytes->tail = 0;
    }
}

void bytes_adopt(struct bytes *bytes, char *storage, size_t size)
{
    CHECK(bytes->ptr == NULL && storage != NULL && size <= bytes->max);
    *bytes = (struct bytes){.ptr = storage, .capacity = size, .max = bytes->max};
}

char *bytes_take_storage(struct bytes *bytes, size_t *ret_size)
{
    CHECK(bytes_len(bytes) == 0);
    char *storage = bytes->ptr;
    *ret_size = bytes->capacity;
    *bytes = (struct bytes){.max = bytes->max};
    return storage;
}

void bytes_truncate(struct bytes *bytes, size_t len)
{
    CHECK(len <= bytes_len(bytes));
    bytes->tail = bytes->head + len;
}
