#include "tensor/dtype.h"

#include <stdint.h>

#include "base/check.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[DTYPE_COUNT] = {
    [DTYPE_NONE] = {"none", 0},
    [DTYPE_F16] = {"float16", 2},
    [DTYPE_BF16] = {"bfloat16", 2},
    [DTYPE_F32] = {"float32", 4},
    [DTYPE_F64] = {"float64", 8},
    [DTYPE_I8] = {"int8", 1},
    [DTYPE_I16] = {"int16", 2},
    [DTYPE_I32] = {"int32", 4},
    [DTYPE_I64] = {"int64", 8},
    [DTYPE_U8] = {"uint8", 1},
    [DTYPE_U16] = {"uint16", 2},
    [DTYPE_U32] = {"uint32", 4},
    [DTYPE_U64] = {"uint64", 8},
    [DTYPE_BOOL] = {"bool", 1},
    [DTYPE_STRING] = {"string", sizeof(struct slice)},
    [DTYPE_OTHER] = {"unsupported", 0},
};

static const struct {
    const char *name;
    enum dtype dtype;
} aliases[] = {
    {"f16", DTYPE_F16},   {"half", DTYPE_F16},     {"bf16", DTYPE_BF16},  {"f32", DTYPE_F32},
    {"float", DTYPE_F32}, {"f64", DTYPE_F64},      {"double", DTYPE_F64}, {"i8", DTYPE_I8},
    {"i16", DTYPE_I16},   {"i32", DTYPE_I32},      {"int", DTYPE_I64},    {"i64", DTYPE_I64},
    {"long", DTYPE_I64},  {"u8", DTYPE_U8},        {"u16", DTYPE_U16},    {"u32", DTYPE_U32},
    {"u64", DTYPE_U64},   {"boolean", DTYPE_BOOL}, {"str", DTYPE_STRING},
};

size_t dtype_size(enum dtype dtype)
{
    CHECK(dtype < DTYPE_COUNT);
    return dtypes[dtype].size;
}

const char *dtype_name(enum dtype dtype)
{
    CHECK(dtype < DTYPE_COUNT);
    return dtypes[dtype].name;
}

enum dtype dtype_parse(struct slice name)
{
    for (enum dtype dtype = DTYPE_F16; dtype < DTYPE_OTHER; dtype++) {
        if (slice_eq_nocase(name, slice_from_str(dtypes[dtype].name))) {
            return dtype;
        }
    }
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (slice_eq_nocase(name, slice_from_str(aliases[i].name))) {
            return aliases[i].dtype;
        }
    }
    return DTYPE_NONE;
}
