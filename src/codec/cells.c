/*
 * The loops a large answer spends its time in. Each decides nothing per cell but whether there is
 * room, and stores digits straight into the response.
 */
#include "codec/cells.h"

#include <math.h>
#include <stdint.h>

#include "base/check.h"
#include "base/num.h"

/* The longest cell that is not a string, with its separator. */
#define CELL_ROOM (NUM_TEXT_MAX + 1)

static char *put_word(char *at, struct slice word)
{
    memcpy(at, word.ptr, word.len);
    return at + word.len;
}

/* NULL where the style refuses the value. */
static char *put_nonfinite(char *at, bool nan, bool negative, const struct cell_style *style)
{
    if (style->refuse_nonfinite) {
        return NULL;
    }
    if (nan) {
        return put_word(at, style->nan);
    }
    return put_word(at, negative ? style->negative_infinity : style->infinity);
}

static inline char *put_f32(char *at, float value, const struct cell_style *style)
{
    if (__builtin_expect(!isfinite(value), 0)) {
        return put_nonfinite(at, isnan(value), signbit(value), style);
    }
    return at + num_print_f32(value, at);
}

static inline char *put_f64(char *at, double value, const struct cell_style *style)
{
    if (__builtin_expect(!isfinite(value), 0)) {
        return put_nonfinite(at, isnan(value), signbit(value), style);
    }
    return at + num_print_f64(value, at);
}

static inline char *put_f16(char *at, uint16_t bits, const struct cell_style *style)
{
    if ((bits & 0x7c00) == 0x7c00) {
        return put_nonfinite(at, (bits & 0x3ff) != 0, bits >> 15 != 0, style);
    }
    return at + num_print_f16(bits, at);
}

static inline char *put_bf16(char *at, uint16_t bits, const struct cell_style *style)
{
    if ((bits & 0x7f80) == 0x7f80) {
        return put_nonfinite(at, (bits & 0x7f) != 0, bits >> 15 != 0, style);
    }
    return at + num_print_bf16(bits, at);
}

static inline char *put_i64(char *at, int64_t value, const struct cell_style *style)
{
    (void)style;
    return at + num_print_i64(value, at);
}

static inline char *put_u64(char *at, uint64_t value, const struct cell_style *style)
{
    (void)style;
    return at + num_print_u64(value, at);
}

static inline char *put_bool(char *at, uint8_t value, const struct cell_style *style)
{
    return put_word(at, value != 0 ? style->yes : style->no);
}

typedef int put_run(struct writer *writer, const struct cell_style *style, char separator,
                    const void *cells, size_t count, size_t *ret_refused);

#define DEFINE_PUT_RUN(name, type, put_cell)                                                       \
    static int name(struct writer *writer, const struct cell_style *style, char separator,         \
                    const void *cells, size_t count, size_t *ret_refused)                          \
    {                                                                                              \
        const type *cell = cells;                                                                  \
        for (size_t i = 0; i < count; i++) {                                                       \
            if (!writer_has_room(writer, CELL_ROOM)) {                                             \
                return ERR_NO_MEMORY;                                                              \
            }                                                                                      \
            char *at = writer->at;                                                                 \
            *at = separator;                                                                       \
            at = put_cell(at + (i > 0), cell[i], style);                                           \
            if (at == NULL) {                                                                      \
                *ret_refused = i;                                                                  \
                return ERR_INVALID;                                                                \
            }                                                                                      \
            writer->at = at;                                                                       \
        }                                                                                          \
        return ERR_OK;                                                                             \
    }

DEFINE_PUT_RUN(put_run_f16, uint16_t, put_f16)
DEFINE_PUT_RUN(put_run_bf16, uint16_t, put_bf16)
DEFINE_PUT_RUN(put_run_f32, float, put_f32)
DEFINE_PUT_RUN(put_run_f64, double, put_f64)
DEFINE_PUT_RUN(put_run_i8, int8_t, put_i64)
DEFINE_PUT_RUN(put_run_i16, int16_t, put_i64)
DEFINE_PUT_RUN(put_run_i32, int32_t, put_i64)
DEFINE_PUT_RUN(put_run_i64, int64_t, put_i64)
DEFINE_PUT_RUN(put_run_u8, uint8_t, put_u64)
DEFINE_PUT_RUN(put_run_u16, uint16_t, put_u64)
DEFINE_PUT_RUN(put_run_u32, uint32_t, put_u64)
DEFINE_PUT_RUN(put_run_u64, uint64_t, put_u64)
DEFINE_PUT_RUN(put_run_bool, uint8_t, put_bool)

static int put_run_string(struct writer *writer, const struct cell_style *style, char separator,
                          const void *cells, size_t count, size_t *ret_refused)
{
    (void)ret_refused;
    const struct slice *cell = cells;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && writer_put_byte(writer, separator) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        if (style->put_string(writer, cell[i], style) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

static put_run *const runs[DTYPE_COUNT] = {
    [DTYPE_F16] = put_run_f16,   [DTYPE_BF16] = put_run_bf16,     [DTYPE_F32] = put_run_f32,
    [DTYPE_F64] = put_run_f64,   [DTYPE_I8] = put_run_i8,         [DTYPE_I16] = put_run_i16,
    [DTYPE_I32] = put_run_i32,   [DTYPE_I64] = put_run_i64,       [DTYPE_U8] = put_run_u8,
    [DTYPE_U16] = put_run_u16,   [DTYPE_U32] = put_run_u32,       [DTYPE_U64] = put_run_u64,
    [DTYPE_BOOL] = put_run_bool, [DTYPE_STRING] = put_run_string,
};

bool cells_are_supported(enum dtype dtype)
{
    return dtype < DTYPE_COUNT && runs[dtype] != NULL;
}

int cells_put(struct writer *writer, const struct cell_style *style, char separator,
              enum dtype dtype, const void *cells, size_t count, size_t *ret_refused)
{
    CHECK(cells_are_supported(dtype));
    return runs[dtype](writer, style, separator, cells, count, ret_refused);
}
