/*
 * Arithmetic on sizes from outside: true means it overflowed and *ret_result is not to be used.
 */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool checked_add(size_t a, size_t b, size_t *ret_result)
{
    return __builtin_add_overflow(a, b, ret_result);
}

static inline bool checked_mul(size_t a, size_t b, size_t *ret_result)
{
    return __builtin_mul_overflow(a, b, ret_result);
}

static inline bool checked_mul_i64(int64_t a, int64_t b, int64_t *ret_result)
{
    return __builtin_mul_overflow(a, b, ret_result);
}

#endif
