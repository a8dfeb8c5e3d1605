#include "codec/npy_header.h"

#include <string.h>

#include "base/check.h"
#include "base/checked.h"
#include "base/num.h"
#include "codec/text.h"

#define MAGIC "\x93NUMPY"
#define VERSION_OFFSET 6
#define LENGTH_OFFSET 8
#define NPY_ALIGN 64 /* the elements of a file we write start at a multiple of this */

/* The rest of the dict literal. */
struct cursor {
    struct slice rest;
    struct error *error;
};

static int refuse(struct error *error, const char *what)
{
    return error_set(error, ERR_INVALID, "invalid npy header: %s", what);
}

static void skip_space(struct cursor *cursor)
{
    while (cursor->rest.len > 0 && (cursor->rest.ptr[0] == ' ' || cursor->rest.ptr[0] == '\n')) {
        cursor->rest = slice_tail(cursor->rest, 1);
    }
}

/* Takes this text, with the space before it. */
static bool take(struct cursor *cursor, struct slice text)
{
    skip_space(cursor);
    if (!slice_starts_with(cursor->rest, text)) {
        return false;
    }
    cursor->rest = slice_tail(cursor->rest, text.len);
    return true;
}

/* A string literal without escapes. */
static bool take_string(struct cursor *cursor, struct slice *ret_text)
{
    skip_space(cursor);
    if (cursor->rest.len == 0 || (cursor->rest.ptr[0] != '\'' && cursor->rest.ptr[0] != '"')) {
        return false;
    }
    char quote = cursor->rest.ptr[0];
    struct slice behind = slice_tail(cursor->rest, 1);
    size_t end = slice_find(behind, quote);
    if (end == behind.len || slice_find(slice_head(behind, end), '\\') < end) {
        return false;
    }
    *ret_text = slice_head(behind, end);
    cursor->rest = slice_tail(behind, end + 1);
    return true;
}

/* Kind and bytes of an element. */
static const struct {
    struct slice name;
    enum dtype dtype;
} types[] = {
    {{"f2", 2}, DTYPE_F16}, {{"f4", 2}, DTYPE_F32}, {{"f8", 2}, DTYPE_F64}, {{"i1", 2}, DTYPE_I8},
    {{"i2", 2}, DTYPE_I16}, {{"i4", 2}, DTYPE_I32}, {{"i8", 2}, DTYPE_I64}, {{"u1", 2}, DTYPE_U8},
    {{"u2", 2}, DTYPE_U16}, {{"u4", 2}, DTYPE_U32}, {{"u8", 2}, DTYPE_U64}, {{"b1", 2}, DTYPE_BOOL},
};

/* "<f4": byte order, kind, bytes an element. */
static int parse_descr(struct cursor *cursor, struct npy_header *header)
{
    struct slice descr;
    if (!take_string(cursor, &descr)) {
        return refuse(cursor->error, "descr is not a plain type");
    }
    bool ordered = descr.len > 0 && (descr.ptr[0] == '<' || descr.ptr[0] == '>');
    bool single = descr.len > 0 && descr.ptr[0] == '|';
    struct slice name = slice_tail(descr, ordered || single);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (slice_eq(name, types[i].name) && (ordered || dtype_size(types[i].dtype) == 1)) {
            header->dtype = types[i].dtype;
            header->swapped = ordered && descr.ptr[0] == '>' && dtype_size(header->dtype) > 1;
            return ERR_OK;
        }
    }
    struct slice shown = text_excerpt(descr);
    return error_set(cursor->error, ERR_INVALID,
                     "npy arrays of type \"%.*s\" are not supported: floats, integers and booleans "
                     "are",
                     SLICE_FMT(shown));
}

static int parse_order(struct cursor *cursor, struct npy_header *header)
{
    header->fortran_order = take(cursor, SLICE("True"));
    if (!header->fortran_order && !take(cursor, SLICE("False"))) {
        return refuse(cursor->error, "fortran_order is neither True nor False");
    }
    return ERR_OK;
}

static bool take_number(struct cursor *cursor, uint64_t *ret_value)
{
    skip_space(cursor);
    size_t len = 0;
    while (len < cursor->rest.len && cursor->rest.ptr[len] >= '0' && cursor->rest.ptr[len] <= '9') {
        len++;
    }
    struct slice digits = slice_head(cursor->rest, len);
    cursor->rest = slice_tail(cursor->rest, len);
    return num_parse_u64(digits, ret_value);
}

/* "()", "(3,)", "(2, 3)". */
static int parse_shape(struct cursor *cursor, struct npy_header *header)
{
    bool comma = true;
    header->rank = 0;
    header->elements = 1;
    if (!take(cursor, SLICE("("))) {
        return refuse(cursor->error, "shape is not a tuple");
    }
    while (!take(cursor, SLICE(")"))) {
        uint64_t dim;
        if (!comma || !take_number(cursor, &dim)) {
            return refuse(cursor->error, "shape is not a tuple of sizes");
        }
        if (header->rank == TENSOR_MAX_RANK) {
            return refuse(cursor->error, "shape has too many dimensions");
        }
        if (dim > INT64_MAX || checked_mul(header->elements, (size_t)dim, &header->elements)) {
            return refuse(cursor->error, "shape is too large");
        }
        header->dims[header->rank++] = (int64_t)dim;
        comma = take(cursor, SLICE(","));
    }
    return header->rank == 1 && !comma ? refuse(cursor->error, "shape is not a tuple") : ERR_OK;
}

enum key { KEY_DESCR, KEY_ORDER, KEY_SHAPE, KEY_COUNT };

static enum key find_key(struct slice name)
{
    static const struct slice names[KEY_COUNT] = {[KEY_DESCR] = {"descr", 5},
                                                  [KEY_ORDER] = {"fortran_order", 13},
                                                  [KEY_SHAPE] = {"shape", 5}};
    enum key key = KEY_DESCR;
    while (key < KEY_COUNT && !slice_eq(names[key], name)) {
        key++;
    }
    return key;
}

static int parse_member(struct cursor *cursor, bool seen[KEY_COUNT], struct npy_header *header)
{
    struct slice name;
    if (!take_string(cursor, &name) || !take(cursor, SLICE(":"))) {
        return refuse(cursor->error, "not a dict literal");
    }
    enum key key = find_key(name);
    if (key == KEY_COUNT || seen[key]) {
        return refuse(cursor->error, "a key is unknown or occurs twice");
    }
    seen[key] = true;
    return key == KEY_DESCR   ? parse_descr(cursor, header)
           : key == KEY_ORDER ? parse_order(cursor, header)
                              : parse_shape(cursor, header);
}

static int parse_dict(struct cursor *cursor, struct npy_header *header)
{
    bool seen[KEY_COUNT] = {false};
    bool comma = true;
    if (!take(cursor, SLICE("{"))) {
        return refuse(cursor->error, "not a dict literal");
    }
    while (!take(cursor, SLICE("}"))) {
        int status = comma ? parse_member(cursor, seen, header)
                           : refuse(cursor->error, "not a dict literal");
        if (status != ERR_OK) {
            return status;
        }
        comma = take(cursor, SLICE(","));
    }
    skip_space(cursor);
    if (cursor->rest.len > 0) {
        return refuse(cursor->error, "text behind the dict");
    }
    if (!seen[KEY_DESCR] || !seen[KEY_ORDER] || !seen[KEY_SHAPE]) {
        return refuse(cursor->error, "descr, fortran_order or shape is missing");
    }
    return ERR_OK;
}

/* Little-endian, of two or four bytes. */
static size_t read_length(const char *at, size_t bytes)
{
    size_t length = 0;
    for (size_t i = 0; i < bytes; i++) {
        length |= (size_t)(unsigned char)at[i] << (8 * i);
    }
    return length;
}

int npy_header_parse(struct slice file, struct npy_header *ret_header, struct error *error)
{
    struct npy_header header = {.rank = 0};
    if (file.len < LENGTH_OFFSET || !slice_starts_with(file, SLICE(MAGIC))) {
        return error_set(error, ERR_INVALID, "the payload is not an npy file");
    }
    unsigned char version = (unsigned char)file.ptr[VERSION_OFFSET];
    if (version < 1 || version > 3 || file.ptr[VERSION_OFFSET + 1] != 0) {
        return error_set(error, ERR_INVALID, "npy format version %d.%d is not supported", version,
                         (unsigned char)file.ptr[VERSION_OFFSET + 1]);
    }
    size_t length_bytes = version == 1 ? 2 : 4;
    struct slice rest = slice_tail(file, LENGTH_OFFSET);
    if (rest.len < length_bytes) {
        return refuse(error, "cut short");
    }
    size_t length = read_length(rest.ptr, length_bytes);
    rest = slice_tail(rest, length_bytes);
    if (length > rest.len) {
        return refuse(error, "cut short");
    }
    header.bytes_before = LENGTH_OFFSET + length_bytes + length;
    struct cursor cursor = {slice_head(rest, length), error};
    int status = parse_dict(&cursor, &header);
    if (status == ERR_OK) {
        *ret_header = header;
    }
    return status;
}

static struct slice find_name(enum dtype dtype)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i].dtype == dtype) {
            return types[i].name;
        }
    }
    return (struct slice){NULL, 0};
}

bool npy_has_type(enum dtype dtype)
{
    return find_name(dtype).len > 0;
}

static char *put(char *at, struct slice text)
{
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

static char *put_descr(char *at, const struct npy_header *header)
{
    struct slice name = find_name(header->dtype);
    CHECK(name.len > 0);
    *at++ = dtype_size(header->dtype) == 1 ? '|' : header->swapped ? '>' : '<';
    return put(at, name);
}

/* "()", "(3,)", "(3, 4)": a Python tuple. */
static char *put_shape(char *at, const struct npy_header *header)
{
    *at++ = '(';
    for (unsigned i = 0; i < header->rank; i++) {
        if (i > 0) {
            *at++ = ' ';
        }
        at += num_print_i64(header->dims[i], at);
        if (i == 0 || i + 1 < header->rank) {
            *at++ = ',';
        }
    }
    *at++ = ')';
    return at;
}

size_t npy_header_print(const struct npy_header *header, size_t least_bytes,
                        char text[NPY_HEADER_MAX])
{
    char *begin = put(text, SLICE(MAGIC "\x01")) + 3;
    char *at = put(begin, SLICE("{'descr': '"));
    at = put_descr(at, header);
    at = put(at, header->fortran_order ? SLICE("', 'fortran_order': True, 'shape': ")
                                       : SLICE("', 'fortran_order': False, 'shape': "));
    at = put_shape(at, header);
    at = put(at, SLICE(", }"));
    while ((at - text + 1) % NPY_ALIGN != 0 || (size_t)(at - text + 1) < least_bytes) {
        *at++ = ' ';
    }
    *at++ = '\n';
    size_t len = (size_t)(at - begin);
    begin[-3] = 0; /* minor version */
    begin[-2] = (char)(len & 0xff);
    begin[-1] = (char)(len >> 8);
    return (size_t)(at - text);
}
