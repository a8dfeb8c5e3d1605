/* Looking up request fields, and the names of statuses. */
#include "http/message.h"
#include "unit_tests/testing.h"

static void finds_the_first_field_without_case(void **state)
{
    (void)state;
    struct http_field fields[] = {
        {SLICE("Host"), SLICE("a")},
        {SLICE("ACCEPT"), SLICE("text/csv")},
        {SLICE("accept"), SLICE("application/json")},
        {SLICE("X-Empty"), SLICE("")},
    };
    struct http_request request = {.fields = fields, .field_count = 4};
    assert_true(slice_eq(http_request_field(&request, SLICE("Accept")), SLICE("text/csv")));
    struct slice empty = http_request_field(&request, SLICE("x-empty"));
    assert_non_null(empty.ptr);
    assert_int_equal(empty.len, 0);
    assert_null(http_request_field(&request, SLICE("Accept-")).ptr);
    assert_null(http_request_field(&request, SLICE("")).ptr);
    request.field_count = 0;
    request.fields = NULL;
    assert_null(http_request_field(&request, SLICE("Host")).ptr);
}

static void joins_fields(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 128, 1024);
    struct http_field fields[] = {
        {SLICE("Accept"), SLICE("text/html")},
        {SLICE("Host"), SLICE("a")},
        {SLICE("accept"), SLICE("")},
        {SLICE("ACCEPT"), SLICE("text/csv;q=0.5")},
        {SLICE("X"), SLICE("b")},
    };
    struct http_request request = {.fields = fields, .field_count = 5};
    assert_int_equal(http_request_join(&request, SLICE("X"), SLICE(", "), &arena), ERR_OK);
    assert_int_equal(http_request_join(&request, SLICE("Y"), SLICE(", "), &arena), ERR_OK);
    assert_int_equal(request.field_count, 5);
    assert_int_equal(http_request_join(&request, SLICE("Accept"), SLICE(", "), &arena), ERR_OK);
    assert_int_equal(request.field_count, 3);
    assert_true(slice_eq(fields[0].value, SLICE("text/html, text/csv;q=0.5")));
    assert_true(slice_eq(fields[1].name, SLICE("Host")));
    assert_true(slice_eq(fields[2].value, SLICE("b")));
    arena_done(&arena);
}

static void names_statuses(void **state)
{
    (void)state;
    const struct {
        int status;
        const char *reason;
    } cases[] = {
        {100, "Continue"},
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {511, "Network Authentication Required"},
        {512, ""},
        {299, ""},
        {99, ""},
        {0, ""},
        {-1, ""},
        {1 << 30, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(http_reason(cases[i].status), cases[i].reason);
    }
}

static void weighs_names(void **state)
{
    (void)state;
    const struct {
        const char *field;
        const char *name;
        unsigned weight;
    } cases[] = {
        {"gzip", "gzip", 1000},
        {"", "gzip", 0},
        {"br, GZIP", "gzip", 1000},
        {"gzip;q=0", "gzip", 0},
        {"gzip;q=0.000", "gzip", 0},
        {"gzip ; q=0.5", "gzip", 500},
        {"gzip;Q=0.125", "gzip", 125},
        {"gzip;q=1.000", "gzip", 1000},
        {"gzip;q=", "gzip", 0},
        {"gzip;q=much", "gzip", 0},
        {"*", "gzip", 0},
        {"x-gzip", "gzip", 0},
        {"gzip2", "gzip", 0},
        {"a/b;version=1.0.0;q=0.2,a/b;version=0.0.1;q=0.75,text/plain;q=0.5,*/*;q=0.1", "a/b", 750},
        {"a/b;version=1.0.0;q=0.2,text/plain;q=0.5,*/*;q=0.1", "text/plain", 500},
        {",;,=;q=,", "gzip", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned weight =
            http_weight(slice_from_str(cases[i].field), slice_from_str(cases[i].name));
        if (weight != cases[i].weight) {
            fail_msg("\"%s\" gives %s %u", cases[i].field, cases[i].name, weight);
        }
    }
    assert_int_equal(http_weight((struct slice){NULL, 0}, SLICE("gzip")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_first_field_without_case),
        cmocka_unit_test(joins_fields),
        cmocka_unit_test(names_statuses),
        cmocka_unit_test(weighs_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
