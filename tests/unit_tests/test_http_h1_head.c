/* Response heads: their exact bytes, and that no field value can end its line. */
#include "http/h1_head.h"
#include "unit_tests/h1_splits.h"

#define DATE_LINE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void assert_head(const struct http_response *response, enum h1_connection connection,
                        struct slice expected)
{
    struct bytes out;
    bytes_init(&out, 4096);
    assert_int_equal(bytes_put(&out, SLICE("before ")), ERR_OK);
    assert_int_equal(h1_head_put(response, TRACE_DATE, connection, &out), ERR_OK);
    bytes_consume(&out, 7);
    if (!slice_eq(bytes_slice(&out), expected)) {
        fail_msg("%.*s\n--- instead of\n%.*s", SLICE_FMT(bytes_slice(&out)), SLICE_FMT(expected));
    }
    bytes_done(&out);
}

static void writes_heads(void **state)
{
    (void)state;
    const struct http_field fields[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("X-Trace-Id"), SLICE("")},
    };
    assert_head(&(struct http_response){200, fields, 2, 17}, H1_CONNECTION_DEFAULT,
                SLICE("HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Length: 17\r\n"
                      "Content-Type: application/json\r\nX-Trace-Id: \r\n\r\n"));
    assert_head(&(struct http_response){404, NULL, 0, 0}, H1_CONNECTION_CLOSE,
                SLICE("HTTP/1.1 404 Not Found\r\n" DATE_LINE
                      "Content-Length: 0\r\nConnection: close\r\n\r\n"));
    assert_head(&(struct http_response){599, NULL, 0, UINT64_MAX}, H1_CONNECTION_KEEP_ALIVE,
                SLICE("HTTP/1.1 599 \r\n" DATE_LINE "Content-Length: 18446744073709551615\r\n"
                      "Connection: keep-alive\r\n\r\n"));
}

/* RFC 9110 section 8.6. */
static void leaves_content_length_out_where_there_is_no_content(void **state)
{
    (void)state;
    assert_head(&(struct http_response){204, NULL, 0, 5}, H1_CONNECTION_DEFAULT,
                SLICE("HTTP/1.1 204 No Content\r\n" DATE_LINE "\r\n"));
    assert_head(&(struct http_response){304, NULL, 0, 5}, H1_CONNECTION_DEFAULT,
                SLICE("HTTP/1.1 304 Not Modified\r\n" DATE_LINE "\r\n"));
    assert_head(&(struct http_response){103, NULL, 0, 5}, H1_CONNECTION_DEFAULT,
                SLICE("HTTP/1.1 103 \r\n" DATE_LINE "\r\n"));
}

/* RFC 9110 section 5.5: a value with CR, LF or NUL is made harmless, tab and obs-text stay. */
static void lets_no_value_end_its_line(void **state)
{
    (void)state;
    const struct http_field fields[] = {
        {SLICE("A"), SLICE("x\r\nSet-Cookie: y\r\n\r\n<html>\0\177\t\xc3\xa4")},
    };
    assert_head(&(struct http_response){200, fields, 1, 0}, H1_CONNECTION_DEFAULT,
                SLICE("HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Length: 0\r\n"
                      "A: x  Set-Cookie: y    <html>  \t\xc3\xa4\r\n\r\n"));
    for (int byte = 0; byte < 256; byte++) {
        const char text = (char)byte;
        struct http_field field = {SLICE("A"), {&text, 1}};
        struct bytes out;
        bytes_init(&out, 4096);
        struct http_response response = {200, &field, 1, 0};
        assert_int_equal(h1_head_put(&response, TRACE_DATE, H1_CONNECTION_DEFAULT, &out), ERR_OK);
        unsigned char written = (unsigned char)out.ptr[out.tail - 5];
        bool is_control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
        assert_int_equal(written, is_control ? ' ' : byte);
        bytes_done(&out);
    }
}

/* Every size of the output's maximum below what is needed: an error, and nothing was written. */
static void writes_all_or_nothing(void **state)
{
    (void)state;
    const struct http_field field = {SLICE("Content-Type"), SLICE("text/csv")};
    const struct http_response response = {200, &field, 1, 5};
    size_t failures = 0;
    for (size_t max = 0; max < 512; max++) {
        struct bytes out;
        bytes_init(&out, max);
        int status = h1_head_put(&response, TRACE_DATE, H1_CONNECTION_CLOSE, &out);
        if (status == ERR_OK) {
            assert_true(bytes_len(&out) <= max);
        } else {
            assert_int_equal(status, ERR_NO_MEMORY);
            assert_int_equal(bytes_len(&out), 0);
            failures++;
        }
        bytes_done(&out);
    }
    assert_true(failures > 100 && failures < 300);
}

static void writes_continue(void **state)
{
    (void)state;
    struct bytes out;
    bytes_init(&out, 1024);
    assert_int_equal(h1_put_continue(&out), ERR_OK);
    assert_true(slice_eq(bytes_slice(&out), SLICE("HTTP/1.1 100 Continue\r\n\r\n")));
    bytes_done(&out);
    bytes_init(&out, 10);
    assert_int_equal(h1_put_continue(&out), ERR_NO_MEMORY);
    bytes_done(&out);
}

/* RFC 9112 section 9.3 and 9.6: what the answer says of the connection. */
static void speaks_of_the_connection_as_the_client_needs(void **state)
{
    (void)state;
    const struct {
        const char *request;
        bool close;
        const char *line;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, NULL},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, "Connection: close\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, "Connection: close\r\n"},
        {"GET / HTTP/1.0\r\n\r\n", false, "Connection: close\r\n"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, "Connection: keep-alive\r\n"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "Connection: close\r\n"},
        {"GET / HTTP/5.0\r\n\r\n", true, "Connection: close\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trace trace;
        assert_true(trace_init(&trace, TEST_ARENA_BLOCK, TEST_ARENA_MAX));
        h1_next(trace.h1, &trace.arena);
        struct error error;
        size_t consumed;
        (void)h1_feed(trace.h1, slice_from_str(cases[i].request), &consumed, &error);
        bytes_reset(&trace.text, SIZE_MAX);
        struct http_response response = {200, NULL, 0, 0};
        assert_int_equal(h1_put_head(trace.h1, &response, TRACE_DATE, cases[i].close, &trace.text),
                         ERR_OK);
        if (cases[i].line == NULL) {
            assert_false(trace_contains(&trace, "Connection"));
        } else {
            assert_contains(&trace, cases[i].line, cases[i].request);
        }
        trace_done(&trace);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_heads),
        cmocka_unit_test(leaves_content_length_out_where_there_is_no_content),
        cmocka_unit_test(lets_no_value_end_its_line),
        cmocka_unit_test(writes_all_or_nothing),
        cmocka_unit_test(writes_continue),
        cmocka_unit_test(speaks_of_the_connection_as_the_client_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
