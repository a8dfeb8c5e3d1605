/*
 * Numbers: what num_parse takes for one is what strtod reads in the same text, and what is printed
 * of any bits reads back as them.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0 || (isnan(a) && isnan(b));
}

static void check_text(const char *text, size_t len)
{
    struct num number = num_parse(slice_make(text, len));
    uint64_t wide;
    int64_t narrow;
    require(!num_parse_u64(slice_make(text, len), &wide) || number.kind != NUM_NONE);
    require(!num_parse_i64(slice_make(text, len), &narrow) || number.kind != NUM_NONE);
    if (number.kind == NUM_NONE) {
        return;
    }
    char *end;
    double expected = strtod(text, &end);
    require(end == text + len);
    require(number.kind != NUM_I64 || same((double)number.as.i64 + 0.0, expected + 0.0));
    require(number.kind != NUM_U64 || same((double)number.as.u64, expected));
    require(number.kind != NUM_F64 || same(number.as.f64, expected));
}

static void check_bits(uint64_t bits)
{
    char text[NUM_TEXT_MAX];
    double wide;
    float narrow;
    memcpy(&wide, &bits, sizeof(wide));
    memcpy(&narrow, &bits, sizeof(narrow));
    if (isfinite(wide)) {
        text[num_print_f64(wide, text)] = '\0';
        require(same(strtod(text, NULL), wide));
        require(same(num_parse(slice_from_str(text)).as.f64, wide));
    }
    if (isfinite(narrow)) {
        text[num_print_f32(narrow, text)] = '\0';
        float back = strtof(text, NULL);
        require(memcmp(&back, &narrow, sizeof(back)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == sizeof(uint64_t)) {
        uint64_t bits;
        memcpy(&bits, bytes, sizeof(bits));
        check_bits(bits);
    }
    char *text = malloc(size + 1); /* exactly as long: a read past it is seen */
    require(text != NULL);
    if (size > 0) {
        memcpy(text, bytes, size);
    }
    text[size] = '\0';
    check_text(text, size);
    free(text);
    return 0;
}
