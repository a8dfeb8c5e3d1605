/* gzip both ways: whole, cut, in members, at the maximum, without memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/gzip.h"
#include "unit_tests/testing.h"

static const char member_head[] = "\x1f\x8b\x08\0\0\0\0\0\0\xff";

static uint32_t crc32_of(const char *text, size_t len)
{
    uint32_t crc = UINT32_MAX; /* RFC 1952 section 8, bit by bit */
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned char)text[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (UINT32_C(0xedb88320) & (0u - (crc & 1)));
        }
    }
    return ~crc;
}

/* A member of `len` stored bytes (RFC 1951 section 3.2.4), len < 65536. */
static size_t put_member(char *out, const char *text, size_t len)
{
    size_t at = 10;
    memcpy(out, member_head, at);
    out[at++] = 1;
    const size_t fields[] = {len, ~len};
    for (size_t i = 0; i < 2; i++) {
        out[at++] = (char)fields[i];
        out[at++] = (char)(fields[i] >> 8);
    }
    memcpy(out + at, text, len);
    at += len;
    const size_t trailer[] = {crc32_of(text, len), len};
    for (size_t i = 0; i < 8; i++) {
        out[at++] = (char)(trailer[i / 4] >> (8 * (i % 4)));
    }
    return at;
}

static int decode(struct slice input, size_t piece_bytes, struct bytes *out, struct error *error)
{
    struct gunzip *gunzip = gunzip_new("Content-Encoding");
    if (gunzip == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory");
    }
    int status = ERR_OK;
    while (status == ERR_OK && input.len > 0) {
        struct slice piece = slice_head(input, piece_bytes);
        input = slice_tail(input, piece.len);
        status = gunzip_feed(gunzip, piece, out, error);
    }
    if (status == ERR_OK) {
        status = gunzip_finish(gunzip, error);
    }
    gunzip_free(gunzip);
    return status;
}

static void any_split_decodes_alike(void **state)
{
    (void)state;
    char built[64];
    struct slice text = slice_make(built, put_member(built, "[[1,2]]", 7));
    struct error error;
    for (size_t piece = 1; piece <= text.len; piece++) {
        struct bytes out;
        bytes_init(&out, 100);
        assert_int_equal(decode(text, piece, &out, &error), ERR_OK);
        assert_true(slice_eq(bytes_slice(&out), SLICE("[[1,2]]")));
        bytes_done(&out);
    }
}

static void members_follow_each_other(void **state)
{
    (void)state;
    char built[256];
    size_t len = put_member(built, "[[1,", 4);
    len += put_member(built + len, "", 0);
    len += put_member(built + len, "2]]", 3);
    for (size_t piece = 1; piece <= len; piece++) {
        struct error error;
        struct bytes out;
        bytes_init(&out, 7);
        assert_int_equal(decode(slice_make(built, len), piece, &out, &error), ERR_OK);
        assert_true(slice_eq(bytes_slice(&out), SLICE("[[1,2]]")));
        bytes_done(&out);
    }
}

static void what_is_cut_is_refused_at_its_end(void **state)
{
    (void)state;
    char built[64];
    size_t len = put_member(built, "[[1,2]]", 7);
    for (size_t cut = 0; cut < len; cut++) {
        struct error error;
        struct bytes out;
        char place[64];
        bytes_init(&out, 100);
        assert_int_equal(decode(slice_make(built, cut), len, &out, &error), ERR_INVALID);
        snprintf(place, sizeof(place), "byte offset %zu", cut);
        assert_non_null(strstr(error.text, place));
        bytes_done(&out);
    }
}

static void what_is_no_gzip_is_refused(void **state)
{
    (void)state;
    char wrong_sum[64];
    size_t len = put_member(wrong_sum, "1", 1);
    wrong_sum[len - 8] ^= 1;
    char garbage[64];
    size_t garbage_len = put_member(garbage, "1", 1);
    memcpy(garbage + garbage_len, "garbage", 7);
    const struct slice cases[] = {
        SLICE("not gzip"),
        SLICE("\x78\x9c\x03\0"),
        slice_make(wrong_sum, len),
        slice_make(garbage, garbage_len + 7),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        struct bytes out;
        bytes_init(&out, 100);
        assert_int_equal(decode(cases[i], cases[i].len, &out, &error), ERR_INVALID);
        assert_non_null(strstr(error.text, "byte offset"));
        bytes_done(&out);
    }
}

/* Around the maximum, and around the steps in which room is made. */
static void the_decoded_size_is_held_to_the_maximum(void **state)
{
    (void)state;
    static const size_t maxima[] = {1, 100, 16 * 1024, 16 * 1024 + 1, 40000};
    char *text = calloc(1, 65536);
    char *built = malloc(65536 + 64);
    assert_true(text != NULL && built != NULL);
    for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
        for (size_t more = 0; more < 2; more++) {
            struct error error;
            struct bytes out;
            bytes_init(&out, maxima[i]);
            size_t len = put_member(built, text, maxima[i] + more);
            int status = decode(slice_make(built, len), 1000, &out, &error);
            assert_int_equal(status, more == 0 ? ERR_OK : ERR_TOO_LARGE);
            assert_int_equal(bytes_len(&out), maxima[i]);
            bytes_done(&out);
        }
    }
    free(text);
    free(built);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    char built[64];
    size_t len = put_member(built, "[[1,2]]", 7);
    int status = ERR_NO_MEMORY;
    uint64_t nth = 1;
    for (; status == ERR_NO_MEMORY; nth++) {
        struct error error;
        struct bytes out;
        bytes_init(&out, 100);
        mem_fail_nth(nth);
        status = decode(slice_make(built, len), len, &out, &error);
        mem_fail_nth(0);
        bytes_done(&out);
    }
    assert_int_equal(status, ERR_OK);
    assert_true(nth > 3);
}

/* Bytes that neither repeat nor are random: lines of numbers, as replies have them. */
static char *make_numbers(size_t len)
{
    char *text = malloc(len);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        text[i] = "0123456789.,"[(i * i + i / 7) % 12];
    }
    return text;
}

static int encode(struct gzip *gzip, struct slice input, size_t piece_bytes, struct bytes *out)
{
    int status = ERR_OK;
    while (status == ERR_OK && input.len > 0) {
        struct slice piece = slice_head(input, piece_bytes);
        input = slice_tail(input, piece.len);
        status = gzip_feed(gzip, piece, out);
    }
    return status == ERR_OK ? gzip_finish(gzip, out) : status;
}

static void what_is_encoded_decodes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 16 * 1024, 100000};
    static const size_t pieces[] = {1, 1000, 16 * 1024 + 1, 200000};
    char *text = make_numbers(100000);
    struct gzip *gzip = gzip_new();
    assert_non_null(gzip);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t j = 0; j < sizeof(pieces) / sizeof(pieces[0]); j++) {
            struct error error;
            struct bytes packed;
            struct bytes out;
            bytes_init(&packed, 200000);
            bytes_init(&out, sizes[i]);
            assert_int_equal(encode(gzip, slice_make(text, sizes[i]), pieces[j], &packed), ERR_OK);
            assert_int_equal(decode(bytes_slice(&packed), 100, &out, &error), ERR_OK);
            assert_true(slice_eq(bytes_slice(&out), slice_make(text, sizes[i])));
            bytes_done(&packed);
            bytes_done(&out);
        }
    }
    gzip_free(gzip);
    free(text);
}

/* Every maximum that is too small, and the first that is not; the object is good again each time. */
static void the_encoded_size_is_held_to_the_maximum(void **state)
{
    (void)state;
    char *text = make_numbers(300);
    struct gzip *gzip = gzip_new();
    assert_non_null(gzip);
    struct bytes whole;
    bytes_init(&whole, 1000);
    assert_int_equal(encode(gzip, slice_make(text, 300), 300, &whole), ERR_OK);
    for (size_t max = 0; max <= bytes_len(&whole); max++) {
        struct bytes out;
        bytes_init(&out, max);
        int status = encode(gzip, slice_make(text, 300), 300, &out);
        assert_int_equal(status, max < bytes_len(&whole) ? ERR_NO_MEMORY : ERR_OK);
        assert_true(bytes_len(&out) <= max);
        bytes_done(&out);
        gzip_reset(gzip);
    }
    bytes_done(&whole);
    gzip_free(gzip);
    free(text);
}

static int encode_anew(struct slice text)
{
    struct bytes out;
    bytes_init(&out, 1000);
    struct gzip *gzip = gzip_new();
    int status = gzip == NULL ? ERR_NO_MEMORY : encode(gzip, text, text.len, &out);
    gzip_free(gzip);
    bytes_done(&out);
    return status;
}

static void any_allocation_of_the_encoder_may_fail(void **state)
{
    (void)state;
    int status = ERR_NO_MEMORY;
    uint64_t nth = 1;
    for (; status == ERR_NO_MEMORY; nth++) {
        mem_fail_nth(nth);
        status = encode_anew(SLICE("[[1,2]]"));
        mem_fail_nth(0);
    }
    assert_int_equal(status, ERR_OK);
    assert_true(nth > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_decodes_alike),
        cmocka_unit_test(members_follow_each_other),
        cmocka_unit_test(what_is_cut_is_refused_at_its_end),
        cmocka_unit_test(what_is_no_gzip_is_refused),
        cmocka_unit_test(the_decoded_size_is_held_to_the_maximum),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(what_is_encoded_decodes),
        cmocka_unit_test(the_encoded_size_is_held_to_the_maximum),
        cmocka_unit_test(any_allocation_of_the_encoder_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
