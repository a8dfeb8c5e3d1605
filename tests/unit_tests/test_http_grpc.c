/* gRPC's header fields as tables; its frames at every split, at their limits, without memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/grpc.h"
#include "unit_tests/testing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void a_path_is_service_and_method(void **state)
{
    (void)state;
    struct slice service;
    struct slice method;
    assert_true(grpc_split_path(SLICE("/a.b.C/Do"), &service, &method));
    assert_true(slice_eq(service, SLICE("a.b.C")) && slice_eq(method, SLICE("Do")));
    const struct slice others[] = {
        SLICE(""),    SLICE("/"),     SLICE("//"),     SLICE("/a"), SLICE("/a/"), SLICE("//b"),
        SLICE("a/b"), SLICE("/a/b/"), SLICE("/a/b/c"), SLICE("*"),  {NULL, 0},    SLICE("/a//b"),
    };
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_false(grpc_split_path(others[i], &service, &method));
    }
}

static void content_types_of_grpc_are_known(void **state)
{
    (void)state;
    const struct {
        struct slice value;
        bool is_grpc;
    } cases[] = {
        {SLICE("application/grpc"), true},
        {SLICE("application/grpc+proto"), true},
        {SLICE("Application/gRPC;charset=utf-8"), true},
        {SLICE("application/grpc+proto ; a=b; c=\"d;e\""), true},
        {SLICE(" application/grpc "), true},
        {SLICE("application/grpc+json"), false},
        {SLICE("application/grpc+"), false},
        {SLICE("application/grpc-web"), false},
        {SLICE("application/grpcx"), false},
        {SLICE("application/json"), false},
        {SLICE(""), false},
        {{NULL, 0}, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(grpc_is_content_type(cases[i].value), cases[i].is_grpc);
    }
}

static void timeouts_become_nanoseconds(void **state)
{
    (void)state;
    const struct {
        struct slice value;
        uint64_t ns;
    } cases[] = {
        {SLICE("1n"), 1},
        {SLICE("0n"), 0},
        {SLICE("00000012u"), 12000},
        {SLICE("250m"), UINT64_C(250000000)},
        {SLICE("7S"), UINT64_C(7000000000)},
        {SLICE("2M"), UINT64_C(120000000000)},
        {SLICE("99999999S"), UINT64_C(99999999000000000)},
        {SLICE("5124095H"), UINT64_C(18446742000000000000)},
        {SLICE("5124096H"), UINT64_MAX},
        {SLICE("99999999H"), UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error;
        uint64_t ns = 77;
        assert_int_equal(grpc_parse_timeout(cases[i].value, &ns, &error), ERR_OK);
        assert_true(ns == cases[i].ns);
    }
}

static void what_is_no_timeout_is_refused(void **state)
{
    (void)state;
    const struct slice cases[] = {
        SLICE(""),    SLICE("1"),    SLICE("S"),   SLICE("100000000n"), SLICE("-1S"),
        SLICE("+1S"), SLICE("1.5S"), SLICE("1s"),  SLICE("1h"),         SLICE("1 S"),
        SLICE(" 1S"), SLICE("1S "),  SLICE("1SS"), SLICE("0x1S"),       {NULL, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error;
        uint64_t ns = 77;
        assert_int_equal(grpc_parse_timeout(cases[i], &ns, &error), ERR_INVALID);
        assert_non_null(strstr(error.text, "grpc-timeout '"));
        assert_true(ns == 77);
    }
}

static void codings_are_read_and_chosen(void **state)
{
    (void)state;
    struct error error;
    enum grpc_coding coding;
    assert_int_equal(grpc_parse_coding((struct slice){NULL, 0}, &coding, &error), ERR_OK);
    assert_int_equal(coding, GRPC_IDENTITY);
    assert_int_equal(grpc_parse_coding(SLICE("gzip"), &coding, &error), ERR_OK);
    assert_int_equal(coding, GRPC_GZIP);
    assert_int_equal(grpc_parse_coding(SLICE("identity"), &coding, &error), ERR_OK);
    assert_int_equal(coding, GRPC_IDENTITY);
    assert_int_equal(grpc_parse_coding(SLICE("deflate"), &coding, &error), ERR_METHOD);
    assert_string_equal(error.text,
                        "grpc-encoding 'deflate' is not supported; identity and gzip are");
    assert_int_equal(error_grpc_status(error.code), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_parse_coding(SLICE(""), &coding, &error), ERR_METHOD);

    assert_int_equal(grpc_choose_coding((struct slice){NULL, 0}), GRPC_IDENTITY);
    assert_int_equal(grpc_choose_coding(SLICE("")), GRPC_IDENTITY);
    assert_int_equal(grpc_choose_coding(SLICE("identity, deflate")), GRPC_IDENTITY);
    assert_int_equal(grpc_choose_coding(SLICE("identity, deflate, gzip")), GRPC_GZIP);
    assert_int_equal(grpc_choose_coding(GRPC_ACCEPT_ENCODING), GRPC_GZIP);
    assert_true(slice_eq(grpc_coding_name(GRPC_GZIP), SLICE("gzip")));
    assert_true(slice_eq(grpc_coding_name(GRPC_IDENTITY), SLICE("identity")));
}

static void status_texts_are_percent_encoded(void **state)
{
    (void)state;
    const struct {
        struct slice text;
        const char *encoded;
    } cases[] = {
        {SLICE(""), ""},
        {{NULL, 0}, ""},
        {SLICE("row 3, column 2: 'x' is no number ~"), "row 3, column 2: 'x' is no number ~"},
        {SLICE("100%"), "100%25"},
        {SLICE("\xc3\xa9\n\x7f"), "%C3%A9%0A%7F"},
        {{"a\0b", 3}, "a%00b"},
    };
    struct arena arena;
    arena_init(&arena, 1024, 1024);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice encoded = grpc_encode_message(cases[i].text, &arena);
        assert_true(slice_eq(encoded, slice_from_str(cases[i].encoded)));
        assert_non_null(encoded.ptr);
    }
    char long_text[600];
    memset(long_text, '%', sizeof(long_text));
    assert_null(grpc_encode_message(slice_make(long_text, sizeof(long_text)), &arena).ptr);
    arena_done(&arena);
}

/* ---- frames ---- */

/* Two pieces, cut at `cut`: the status, and the message where that is ERR_OK. */
static int read_unary(struct slice body, size_t cut, enum grpc_coding coding, struct bytes *message,
                      struct error *error)
{
    struct grpc_reader reader;
    grpc_reader_init(&reader, coding, true);
    struct slice pieces[] = {slice_head(body, cut), slice_tail(body, cut)};
    int status = grpc_reader_feed(&reader, &pieces[0], message, error);
    if (status == ERR_OK) {
        status = grpc_reader_feed(&reader, &pieces[1], message, error);
    }
    if (status == ERR_OK) {
        assert_int_equal(pieces[0].len + pieces[1].len, 0);
        status = grpc_reader_finish(&reader, error);
    }
    grpc_reader_done(&reader);
    return status;
}

static void any_split_reads_alike(void **state)
{
    (void)state;
    const struct {
        struct slice body;
        enum grpc_coding coding;
        int status;
        const char *says; /* the message, or a part of the error's text */
    } cases[] = {
        {SLICE("\0\0\0\0\3abc"), GRPC_IDENTITY, ERR_OK, "abc"},
        {SLICE("\0\0\0\0\3abc"), GRPC_GZIP, ERR_OK, "abc"},
        {SLICE("\0\0\0\0\0"), GRPC_IDENTITY, ERR_OK, ""},
        {SLICE("\0\0\0\0\12"
               "0123456789"),
         GRPC_IDENTITY, ERR_OK, "0123456789"},
        {SLICE("\0\0\0\0\13"
               "0"),
         GRPC_IDENTITY, ERR_TOO_LARGE, "of 11 bytes is larger than 10"},
        {SLICE("\0\xff\xff\xff\xff"), GRPC_IDENTITY, ERR_TOO_LARGE, "of 4294967295 bytes"},
        {SLICE("\2\0\0\0\0"), GRPC_IDENTITY, ERR_INVALID, "byte 0x02"},
        {SLICE("\1\0\0\0\3abc"), GRPC_IDENTITY, ERR_PROTOCOL, "names no coding"},
        {SLICE("\1\0\0\0\3abc"), GRPC_GZIP, ERR_INVALID, "grpc-encoding gzip: the data at"},
        {SLICE("\1\0\0\0\0"), GRPC_GZIP, ERR_INVALID, "ends too early"},
        {SLICE("\0\0\0\0\3ab"), GRPC_IDENTITY, ERR_INVALID, "ends after 2 of 3 bytes"},
        {SLICE("\0\0\0\0\3"), GRPC_IDENTITY, ERR_INVALID, "ends after 0 of 3 bytes"},
        {SLICE("\0\0\0\0"), GRPC_IDENTITY, ERR_INVALID, "in the prefix"},
        {SLICE(""), GRPC_IDENTITY, ERR_METHOD, "no message"},
        {SLICE("\0\0\0\0\1a\0"), GRPC_IDENTITY, ERR_METHOD, "more than one message"},
        {SLICE("\0\0\0\0\0\0\0\0\0\0"), GRPC_IDENTITY, ERR_METHOD, "more than one message"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t cut = 0; cut <= cases[i].body.len; cut++) {
            struct error error;
            struct bytes message;
            bytes_init(&message, 10);
            int status = read_unary(cases[i].body, cut, cases[i].coding, &message, &error);
            assert_int_equal(status, cases[i].status);
            if (status == ERR_OK) {
                assert_true(slice_eq(bytes_slice(&message), slice_from_str(cases[i].says)));
            } else {
                assert_non_null(strstr(error.text, cases[i].says));
            }
            bytes_done(&message);
        }
    }
}

/* Frames `text` compressed. */
static void put_compressed(struct bytes *body, struct slice text)
{
    struct error error;
    size_t at = bytes_len(body);
    struct gzip *gzip = gzip_new();
    assert_non_null(gzip);
    assert_int_equal(grpc_message_begin(body), ERR_OK);
    assert_int_equal(gzip_feed(gzip, text, body), ERR_OK);
    assert_int_equal(gzip_finish(gzip, body), ERR_OK);
    assert_int_equal(grpc_message_end(body, at, true, &error), ERR_OK);
    gzip_free(gzip);
}

static void compressed_messages_are_decoded_up_to_the_limit(void **state)
{
    (void)state;
    char zeros[2000] = {0};
    struct bytes body;
    bytes_init(&body, 4000);
    put_compressed(&body, slice_make(zeros, sizeof(zeros)));
    assert_true(bytes_len(&body) < 100);
    for (size_t cut = 0; cut <= bytes_len(&body); cut++) {
        for (size_t less = 0; less < 2; less++) {
            struct error error;
            struct bytes message;
            bytes_init(&message, sizeof(zeros) - less);
            int status = read_unary(bytes_slice(&body), cut, GRPC_GZIP, &message, &error);
            assert_int_equal(status, less == 0 ? ERR_OK : ERR_TOO_LARGE);
            assert_int_equal(bytes_len(&message), sizeof(zeros) - less);
            bytes_done(&message);
        }
    }
    bytes_done(&body);
}

/* The messages of a stream, each followed by '|'. */
static void read_stream(struct slice body, size_t piece_bytes, struct bytes *all)
{
    struct error error;
    struct bytes message;
    struct grpc_reader reader;
    bytes_init(&message, 100);
    grpc_reader_init(&reader, GRPC_GZIP, false);
    while (body.len > 0) {
        struct slice piece = slice_head(body, piece_bytes);
        body = slice_tail(body, piece.len);
        while (piece.len > 0) {
            assert_int_equal(grpc_reader_feed(&reader, &piece, &message, &error), ERR_OK);
            if (reader.complete) {
                assert_int_equal(bytes_put(all, bytes_slice(&message)), ERR_OK);
                assert_int_equal(bytes_put_byte(all, '|'), ERR_OK);
                bytes_reset(&message, 100);
                grpc_reader_next(&reader);
            }
        }
    }
    assert_int_equal(grpc_reader_finish(&reader, &error), ERR_OK);
    grpc_reader_done(&reader);
    bytes_done(&message);
}

static void messages_of_a_stream_follow_each_other(void **state)
{
    (void)state;
    struct bytes body;
    bytes_init(&body, 4000);
    assert_int_equal(bytes_put(&body, SLICE("\0\0\0\0\3abc\0\0\0\0\0")), ERR_OK);
    put_compressed(&body, SLICE("[[1,2]]"));
    put_compressed(&body, SLICE(""));
    assert_int_equal(bytes_put(&body, SLICE("\0\0\0\0\1z")), ERR_OK);
    for (size_t piece = 1; piece <= bytes_len(&body); piece++) {
        struct bytes all;
        bytes_init(&all, 100);
        read_stream(bytes_slice(&body), piece, &all);
        assert_true(slice_eq(bytes_slice(&all), SLICE("abc||[[1,2]]||z|")));
        bytes_done(&all);
    }
    bytes_done(&body);
}

static void a_stream_may_be_empty(void **state)
{
    (void)state;
    struct error error;
    struct grpc_reader reader;
    grpc_reader_init(&reader, GRPC_IDENTITY, false);
    assert_int_equal(grpc_reader_finish(&reader, &error), ERR_OK);
    grpc_reader_done(&reader);
}

static void a_message_is_framed_where_it_was_written(void **state)
{
    (void)state;
    struct error error;
    struct bytes out;
    bytes_init(&out, 300);
    assert_int_equal(bytes_put(&out, SLICE("xx")), ERR_OK);
    bytes_consume(&out, 1);
    assert_int_equal(grpc_message_begin(&out), ERR_OK);
    assert_int_equal(bytes_put(&out, SLICE("abc")), ERR_OK);
    assert_int_equal(grpc_message_end(&out, 1, false, &error), ERR_OK);
    size_t at = bytes_len(&out);
    assert_int_equal(grpc_message_begin(&out), ERR_OK);
    assert_int_equal(grpc_message_end(&out, at, true, &error), ERR_OK);
    assert_true(slice_eq(bytes_slice(&out), SLICE("x\0\0\0\0\3abc\1\0\0\0\0")));
    bytes_reset(&out, 300);
    char long_text[258] = {0};
    assert_int_equal(grpc_message_begin(&out), ERR_OK);
    assert_int_equal(bytes_put(&out, slice_make(long_text, sizeof(long_text))), ERR_OK);
    assert_int_equal(grpc_message_end(&out, 0, false, &error), ERR_OK);
    assert_true(slice_eq(slice_head(bytes_slice(&out), 5), SLICE("\0\0\0\1\2")));
    bytes_done(&out);
    bytes_init(&out, 4);
    assert_int_equal(grpc_message_begin(&out), ERR_NO_MEMORY);
    bytes_done(&out);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct bytes body;
    bytes_init(&body, 1000);
    put_compressed(&body, SLICE("[[1,2]]"));
    const struct slice bodies[] = {bytes_slice(&body), SLICE("\0\0\0\0\3abc")};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        int status = ERR_NO_MEMORY;
        uint64_t nth = 1;
        for (; status == ERR_NO_MEMORY; nth++) {
            struct error error;
            struct bytes message;
            bytes_init(&message, 100);
            mem_fail_nth(nth);
            status = read_unary(bodies[i], 6, GRPC_GZIP, &message, &error);
            mem_fail_nth(0);
            bytes_done(&message);
        }
        assert_int_equal(status, ERR_OK);
        assert_true(nth > 2);
    }
    bytes_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_service_and_method),
        cmocka_unit_test(content_types_of_grpc_are_known),
        cmocka_unit_test(timeouts_become_nanoseconds),
        cmocka_unit_test(what_is_no_timeout_is_refused),
        cmocka_unit_test(codings_are_read_and_chosen),
        cmocka_unit_test(status_texts_are_percent_encoded),
        cmocka_unit_test(any_split_reads_alike),
        cmocka_unit_test(compressed_messages_are_decoded_up_to_the_limit),
        cmocka_unit_test(messages_of_a_stream_follow_each_other),
        cmocka_unit_test(a_stream_may_be_empty),
        cmocka_unit_test(a_message_is_framed_where_it_was_written),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
