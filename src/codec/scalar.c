/*
 * Conversions of single values. The decoders' inner loops have faster ways for what is common (a
 * number into float32); what those do not take comes here, and so does every refusal.
 */
#include "codec/scalar.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "codec/text.h"

/* Every whole number below has a double of its own, which no other rounds to. */
#define EXACT_MAX 9007199254740992.0

struct scalar scalar_from_num(struct num num, struct slice text)
{
    struct scalar value = {.text = text};
    switch (num.kind) {
    case NUM_I64:
        value.kind = SCALAR_I64;
        value.as.i64 = num.as.i64;
        break;
    case NUM_U64:
        value.kind = SCALAR_U64;
        value.as.u64 = num.as.u64;
        break;
    case NUM_F64:
        value.kind = SCALAR_F64;
        value.as.f64 = num.as.f64;
        break;
    case NUM_NONE:
        value.kind = SCALAR_STRING;
        break;
    }
    return value;
}

static double to_double(const struct scalar *value)
{
    switch (value->kind) {
    case SCALAR_BOOL:
        return value->as.truth ? 1.0 : 0.0;
    case SCALAR_I64:
        return (double)value->as.i64;
    case SCALAR_U64:
        return (double)value->as.u64;
    case SCALAR_F64:
        return value->as.f64;
    default:
        return (double)NAN;
    }
}

/*
 * The float next to a double towards zero, with its last bit set where bits were lost: rounding it
 * once more to a narrower format gives what rounding the double itself would.
 */
static float round_to_odd(double value)
{
    float nearest = (float)value;
    uint32_t bits;
    if (isnan(value) || (double)nearest == value) {
        return nearest;
    }
    memcpy(&bits, &nearest, sizeof(bits));
    if (fabs((double)nearest) > fabs(value)) {
        bits--;
    }
    bits |= 1;
    memcpy(&nearest, &bits, sizeof(bits));
    return nearest;
}

static void store_float(double value, enum dtype dtype, void *element)
{
    float narrow = (float)value;
    uint16_t half;
    switch (dtype) {
    case DTYPE_F16:
        half = num_f32_to_f16(round_to_odd(value));
        memcpy(element, &half, sizeof(half));
        break;
    case DTYPE_BF16:
        half = num_f32_to_bf16(round_to_odd(value));
        memcpy(element, &half, sizeof(half));
        break;
    case DTYPE_F32:
        memcpy(element, &narrow, sizeof(narrow));
        break;
    default:
        memcpy(element, &value, sizeof(value));
        break;
    }
}

/* The least value, and the greatest, of integer dtypes and bool. */
static const struct {
    int64_t min;
    uint64_t max;
} ranges[DTYPE_COUNT] = {
    [DTYPE_I8] = {INT8_MIN, INT8_MAX},
    [DTYPE_I16] = {INT16_MIN, INT16_MAX},
    [DTYPE_I32] = {INT32_MIN, INT32_MAX},
    [DTYPE_I64] = {INT64_MIN, INT64_MAX},
    [DTYPE_U8] = {0, UINT8_MAX},
    [DTYPE_U16] = {0, UINT16_MAX},
    [DTYPE_U32] = {0, UINT32_MAX},
    [DTYPE_U64] = {0, UINT64_MAX},
    [DTYPE_BOOL] = {0, 1},
};

/* A whole number in two's complement and its sign. */
struct whole {
    bool negative;
    uint64_t bits;
};

static enum scalar_fault whole_from_double(const struct scalar *value, struct whole *ret_whole)
{
    double number = value->as.f64;
    if (!isfinite(number) || number < -0x1p63 || number >= 0x1p64) {
        return SCALAR_RANGE;
    }
    if (number != trunc(number)) {
        return SCALAR_FRACTION;
    }
    if (!value->exact && fabs(number) >= EXACT_MAX) {
        return SCALAR_LOST;
    }
    ret_whole->negative = number < 0;
    ret_whole->bits = number < 0 ? (uint64_t)(int64_t)number : (uint64_t)number;
    return SCALAR_FITS;
}

static enum scalar_fault to_whole(const struct scalar *value, struct whole *ret_whole)
{
    switch (value->kind) {
    case SCALAR_BOOL:
        *ret_whole = (struct whole){false, value->as.truth};
        return SCALAR_FITS;
    case SCALAR_I64:
        *ret_whole = (struct whole){value->as.i64 < 0, (uint64_t)value->as.i64};
        return SCALAR_FITS;
    case SCALAR_U64:
        *ret_whole = (struct whole){false, value->as.u64};
        return SCALAR_FITS;
    case SCALAR_F64:
        return whole_from_double(value, ret_whole);
    default:
        return SCALAR_MISSING;
    }
}

static enum scalar_fault store_whole(const struct scalar *value, enum dtype dtype, void *element)
{
    struct whole whole;
    enum scalar_fault fault = to_whole(value, &whole);
    if (fault != SCALAR_FITS) {
        return fault;
    }
    if (whole.negative ? (int64_t)whole.bits < ranges[dtype].min : whole.bits > ranges[dtype].max) {
        return SCALAR_RANGE;
    }
    uint8_t bits8 = (uint8_t)whole.bits;
    uint16_t bits16 = (uint16_t)whole.bits;
    uint32_t bits32 = (uint32_t)whole.bits;
    switch (dtype_size(dtype)) {
    case 1:
        memcpy(element, &bits8, sizeof(bits8));
        break;
    case 2:
        memcpy(element, &bits16, sizeof(bits16));
        break;
    case 4:
        memcpy(element, &bits32, sizeof(bits32));
        break;
    default:
        memcpy(element, &whole.bits, sizeof(whole.bits));
        break;
    }
    return SCALAR_FITS;
}

static enum scalar_fault store_direct(const struct scalar *value, enum dtype dtype, void *element)
{
    switch (value->kind) {
    case SCALAR_STRING:
        return SCALAR_NOT_A_NUMBER;
    case SCALAR_ARRAY:
    case SCALAR_OBJECT:
        return SCALAR_NESTED;
    default:
        break;
    }
    if (dtype_is_float(dtype)) {
        store_float(to_double(value), dtype, element);
        return SCALAR_FITS;
    }
    return store_whole(value, dtype, element);
}

enum scalar_fault scalar_store(const struct scalar *value, enum dtype through, enum dtype dtype,
                               void *element)
{
    if (through == DTYPE_NONE || through == dtype) {
        return store_direct(value, dtype, element);
    }
    uint64_t room;
    enum scalar_fault fault = store_direct(value, through, &room);
    if (fault != SCALAR_FITS) {
        return fault;
    }
    struct scalar via = scalar_load(through, &room);
    if (!dtype_is_float(through) || dtype_is_float(dtype)) {
        return store_direct(&via, dtype, element);
    }
    /* A float on the way to an integer must not have changed it. */
    uint64_t changed = 0;
    fault = store_direct(value, dtype, element);
    if (fault == SCALAR_FITS && (store_direct(&via, dtype, &changed) != SCALAR_FITS ||
                                 memcmp(&changed, element, dtype_size(dtype)) != 0)) {
        fault = SCALAR_CHANGED;
    }
    return fault;
}

static struct scalar from_i64(int64_t value)
{
    return (struct scalar){.kind = SCALAR_I64, .as.i64 = value};
}

static struct scalar from_u64(uint64_t value)
{
    if (value <= (uint64_t)INT64_MAX) {
        return from_i64((int64_t)value);
    }
    return (struct scalar){.kind = SCALAR_U64, .as.u64 = value};
}

static struct scalar from_double(double value)
{
    return (struct scalar){.kind = SCALAR_F64, .exact = true, .as.f64 = value};
}

/* The bytes of an element of any width, zero-extended. */
static uint64_t load_bits(size_t size, const void *element)
{
    uint8_t bits8;
    uint16_t bits16;
    uint32_t bits32;
    uint64_t bits64;
    switch (size) {
    case 1:
        memcpy(&bits8, element, sizeof(bits8));
        return bits8;
    case 2:
        memcpy(&bits16, element, sizeof(bits16));
        return bits16;
    case 4:
        memcpy(&bits32, element, sizeof(bits32));
        return bits32;
    default:
        memcpy(&bits64, element, sizeof(bits64));
        return bits64;
    }
}

struct scalar scalar_load(enum dtype dtype, const void *element)
{
    uint64_t bits = load_bits(dtype_size(dtype), element);
    float f32;
    double f64;
    switch (dtype) {
    case DTYPE_F16:
        return from_double((double)num_f16_to_f32((uint16_t)bits));
    case DTYPE_BF16:
        return from_double((double)num_bf16_to_f32((uint16_t)bits));
    case DTYPE_F32:
        memcpy(&f32, element, sizeof(f32));
        return from_double((double)f32);
    case DTYPE_F64:
        memcpy(&f64, element, sizeof(f64));
        return from_double(f64);
    case DTYPE_I8:
        return from_i64((int8_t)bits);
    case DTYPE_I16:
        return from_i64((int16_t)bits);
    case DTYPE_I32:
        return from_i64((int32_t)bits);
    case DTYPE_I64:
        return from_i64((int64_t)bits);
    default:
        return from_u64(bits);
    }
}

/* As it was written where that is known. */
static void describe_f64(const struct scalar *value, char *text, size_t size)
{
    char digits[NUM_TEXT_MAX];
    struct slice shown = text_excerpt(value->text);
    double number = value->as.f64;
    if (shown.len > 0) {
        snprintf(text, size, "%.*s%s", SLICE_FMT(shown), text_ellipsis(value->text));
    } else if (isnan(number)) {
        snprintf(text, size, "NaN");
    } else if (isinf(number)) {
        snprintf(text, size, "%sInfinity", number < 0 ? "-" : "");
    } else {
        snprintf(text, size, "%.*s", (int)num_print_f64(number, digits), digits);
    }
}

/* The value for people, into text[size]. */
static void describe(const struct scalar *value, char *text, size_t size)
{
    struct slice shown = text_excerpt(value->text);
    switch (value->kind) {
    case SCALAR_NULL:
        snprintf(text, size, "null");
        break;
    case SCALAR_BOOL:
        snprintf(text, size, "%s", value->as.truth ? "true" : "false");
        break;
    case SCALAR_I64:
        snprintf(text, size, "%" PRId64, value->as.i64);
        break;
    case SCALAR_U64:
        snprintf(text, size, "%" PRIu64, value->as.u64);
        break;
    case SCALAR_F64:
        describe_f64(value, text, size);
        break;
    case SCALAR_STRING:
        snprintf(text, size, "\"%.*s%s\"", SLICE_FMT(shown), text_ellipsis(value->text));
        break;
    case SCALAR_ARRAY:
        snprintf(text, size, "an array");
        break;
    case SCALAR_OBJECT:
        snprintf(text, size, "an object");
        break;
    }
}

static const char *const fault_texts[] = {
    [SCALAR_FITS] = "fits",
    [SCALAR_NOT_A_NUMBER] = "is not a number",
    [SCALAR_NOT_TEXT] = "is not a string",
    [SCALAR_MISSING] = "has no value in this type",
    [SCALAR_FRACTION] = "is not a whole number",
    [SCALAR_RANGE] = "is out of range",
    [SCALAR_LOST] = "is a double and may have lost digits",
    [SCALAR_CHANGED] = "is changed by TABULAR_DTYPE or the input map's type",
    [SCALAR_NESTED] = "stands where a single value is expected",
};

int scalar_refuse(const struct scalar *value, enum scalar_fault fault, enum dtype dtype,
                  struct slice input_name, struct error *error)
{
    CHECK(fault != SCALAR_FITS);
    char shown[96];
    struct slice name = text_excerpt(input_name);
    describe(value, shown, sizeof(shown));
    if (value->kind == SCALAR_STRING && value->text.len == 0 && fault == SCALAR_NOT_A_NUMBER) {
        return error_set(error, ERR_INVALID, "the cell is empty (input \"%.*s\", %s)",
                         SLICE_FMT(name), dtype_name(dtype));
    }
    return error_set(error, ERR_INVALID, "%s %s (input \"%.*s\", %s)", shown, fault_texts[fault],
                     SLICE_FMT(name), dtype_name(dtype));
}
