/*
 * One value of a payload before it has a type, and its way into an element of a tensor: exactly or
 * not at all for integers and booleans, rounded for floats. Pure functions: any thread.
 */
#ifndef CODEC_SCALAR_H
#define CODEC_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slice.h"
#include "tensor/dtype.h"

enum scalar_kind {
    SCALAR_NULL,   /* a missing value */
    SCALAR_BOOL,   /* as.truth */
    SCALAR_I64,    /* as.i64 */
    SCALAR_U64,    /* as.u64, more than int64_t holds */
    SCALAR_F64,    /* as.f64 */
    SCALAR_STRING, /* text */
    SCALAR_ARRAY,  /* a container where a value should be */
    SCALAR_OBJECT,
};

struct scalar {
    enum scalar_kind kind;
    bool exact; /* of F64: the number itself, not the nearest double to a decimal text */
    union {
        bool truth;
        int64_t i64;
        uint64_t u64;
        double f64;
    } as;
    struct slice
        text; /* of STRING; of a number how it was written, empty where that is not known */
};

/* What keeps a scalar out of an element. */
enum scalar_fault {
    SCALAR_FITS,
    SCALAR_NOT_A_NUMBER, /* text in a numeric tensor */
    SCALAR_NOT_TEXT,     /* a number in a string tensor */
    SCALAR_MISSING,      /* null in anything but a float tensor */
    SCALAR_FRACTION,     /* 3.5 for an integer */
    SCALAR_RANGE,        /* 300 for uint8 */
    SCALAR_LOST,         /* 9007199254740993.0 for an integer: as a double it is another number */
    SCALAR_CHANGED,      /* an integer that the type on the way does not hold */
    SCALAR_NESTED,       /* an array or an object */
};

/* A number read from text; its text stays borrowed for messages. */
struct scalar scalar_from_num(struct num num, struct slice text);

/*
 * Stores `value` as an element of `dtype` (any but STRING, NONE and OTHER). A `through` other than
 * DTYPE_NONE is converted to first, by the same rules: a float there rounds a fraction, but an
 * integer that it would change does not get into an integer tensor.
 */
enum scalar_fault scalar_store(const struct scalar *value, enum dtype through, enum dtype dtype,
                               void *element);
/* The scalar in an element of `dtype` (not STRING, NONE or OTHER). Booleans come as 0 or 1. */
struct scalar scalar_load(enum dtype dtype, const void *element);

/* ERR_INVALID with a text such as `"a" is not a number (input "x", float32)`. */
int scalar_refuse(const struct scalar *value, enum scalar_fault fault, enum dtype dtype,
                  struct slice input_name, struct error *error);

#endif
