/*
 * The bytes of a request, read back field by field; tests/integration_tests/test_tracing.py has the
 * official messages read them.
 */
#include "testing.h"

#include "base/mem.h"
#include "obs/otlp_encode.h"
#include "rpc/wire.h"
#include "span_fixture.h"

#define OFFSET_NS UINT64_C(1700000000000000000)

/* The content of the nth field of this number; {NULL, 0} where there is none. */
static struct slice field_of(struct slice message, uint32_t number, unsigned nth)
{
    struct wire_reader reader = {.message = message};
    while (wire_reader_has_field(&reader)) {
        struct wire_field field;
        struct error error;
        if (wire_read_field(&reader, &field, &error) != ERR_OK) {
            fail_msg("%s", error.text);
        }
        if (field.number == number && nth-- == 0) {
            return field.bytes;
        }
    }
    return (struct slice){NULL, 0};
}

/* The content of the attribute's value: of its only field. */
static struct slice attribute(struct slice message, uint32_t number, struct slice key)
{
    for (unsigned nth = 0;; nth++) {
        struct slice entry = field_of(message, number, nth);
        if (entry.ptr == NULL) {
            return entry;
        }
        if (slice_eq(field_of(entry, 1, 0), key)) {
            struct slice value = field_of(entry, 2, 0);
            struct slice text = field_of(value, 1, 0);
            struct slice integer = field_of(value, 3, 0);
            return text.ptr != NULL ? text : integer.ptr != NULL ? integer : field_of(value, 4, 0);
        }
    }
}

static void make_request(struct bytes *out, const struct span_record *record)
{
    struct otlp_origin origin;
    const struct otlp_attribute attributes[] = {
        {SLICE("service.name"), SLICE("iris"), 0},
        {SLICE("process.pid"), {NULL, 0}, 77},
    };
    struct random random;
    struct span spans[SPAN_ROLES];
    random_seed(&random);
    unsigned count = span_expand(record, &random, spans);
    assert_int_equal(otlp_origin_init(&origin, attributes, 2, SLICE("1.2")), ERR_OK);
    bytes_init(out, (size_t)1024 * 1024);
    assert_int_equal(otlp_begin(out, &origin), ERR_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(otlp_put_span(out, record, &spans[i], OFFSET_NS), ERR_OK);
    }
    otlp_end(out, &origin);
    otlp_origin_done(&origin);
}

static struct slice scope_spans_of(const struct bytes *request)
{
    return field_of(field_of(bytes_slice(request), 1, 0), 2, 0);
}

static void expect_text(struct slice got, const char *expected)
{
    if (got.ptr == NULL || !slice_eq(got, slice_from_str(expected))) {
        fail_msg("%.*s is not %s", SLICE_FMT(got), expected);
    }
}

static void expect_ns(struct slice fixed64, uint64_t expected)
{
    assert_int_equal(fixed64.len, 8);
    assert_memory_equal(fixed64.ptr, &expected, 8);
}

static void test_a_request_names_its_service(void **state)
{
    (void)state;
    struct bytes out;
    struct span_record record = {.text_used = 0};
    span_fill(&record, 0);
    make_request(&out, &record);
    struct slice resource = field_of(field_of(bytes_slice(&out), 1, 0), 1, 0);
    expect_text(attribute(resource, 1, SLICE("service.name")), "iris");
    expect_text(attribute(resource, 1, SLICE("process.pid")), "\x4d");
    struct slice scope = field_of(scope_spans_of(&out), 1, 0);
    expect_text(field_of(scope, 1, 0), "onnxd");
    expect_text(field_of(scope, 2, 0), "1.2");
    assert_null(field_of(bytes_slice(&out), 1, 1).ptr);
    bytes_done(&out);
}

static void test_all_that_a_span_says(void **state)
{
    (void)state;
    struct bytes out;
    struct span_record record = {.text_used = 0};
    span_fill(&record, 0);
    record.trace_state = span_put_text(&record, SLICE("a=1"), 512);
    make_request(&out, &record);
    struct slice spans = scope_spans_of(&out);
    struct slice server = field_of(spans, 2, 0);
    assert_memory_equal(field_of(server, 1, 0).ptr, record.trace_id.bytes, 16);
    assert_memory_equal(field_of(server, 2, 0).ptr, record.server_id.bytes, 8);
    expect_text(field_of(server, 3, 0), "a=1");
    assert_memory_equal(field_of(server, 4, 0).ptr, record.parent_id.bytes, 8);
    expect_text(field_of(server, 5, 0), "POST /invocations");
    expect_text(field_of(server, 6, 0), "\x02");
    expect_ns(field_of(server, 7, 0), OFFSET_NS + SPAN_START_NS);
    expect_ns(field_of(server, 8, 0), OFFSET_NS + SPAN_START_NS + 6);
    expect_text(attribute(server, 9, SLICE("http.request.method")), "POST");
    expect_text(attribute(server, 9, SLICE("http.response.status_code")), "\xc8\x01");
    assert_null(attribute(server, 9, SLICE("error.type")).ptr);
    assert_null(field_of(server, 15, 0).ptr);                          /* no status: unset */
    assert_memory_equal(field_of(server, 16, 0).ptr, "\x01\x03\0", 4); /* sampled, remote parent */

    struct slice predict = field_of(spans, 2, 4);
    expect_text(field_of(predict, 5, 0), "model.predict");
    expect_text(attribute(predict, 9, SLICE("run.requests")), "\x03");
    struct slice link = field_of(predict, 13, 0);
    assert_memory_equal(field_of(link, 2, 0).ptr, record.run_id.bytes, 8);
    struct slice run = field_of(spans, 2, 5);
    expect_text(field_of(run, 5, 0), "model.run");
    assert_true(slice_eq(field_of(run, 4, 0), field_of(predict, 2, 0)));
    bytes_done(&out);
}

static void test_a_failure_of_ours_has_its_reason(void **state)
{
    (void)state;
    struct bytes out;
    struct span_record record = {.text_used = 0};
    span_fill(&record, 0);
    record.status = 500;
    record.is_error = record.run_failed = true;
    record.error_type = SLICE("500");
    record.exception_type = SLICE("INTERNAL");
    record.exception_text = span_put_text(&record, SLICE("bad\xff luck"), 100);
    make_request(&out, &record);
    struct slice spans = scope_spans_of(&out);
    struct slice server = field_of(spans, 2, 0);
    expect_text(field_of(field_of(server, 15, 0), 3, 0), "\x02");
    expect_text(field_of(field_of(server, 15, 0), 2, 0), "bad\xef\xbf\xbd luck");
    expect_text(attribute(server, 9, SLICE("error.type")), "500");
    assert_null(field_of(server, 11, 0).ptr);
    struct slice event = field_of(field_of(spans, 2, 1), 11, 0);
    expect_text(field_of(event, 2, 0), "exception");
    expect_text(attribute(event, 3, SLICE("exception.type")), "INTERNAL");
    expect_text(attribute(event, 3, SLICE("exception.message")), "bad\xef\xbf\xbd luck");
    expect_text(field_of(field_of(field_of(spans, 2, 4), 15, 0), 3, 0), "\x02");
    assert_null(field_of(field_of(spans, 2, 2), 15, 0).ptr);
    bytes_done(&out);
}

static void test_names_are_few(void **state)
{
    (void)state;
    static const struct {
        enum span_protocol protocol;
        struct slice method, route, service, rpc;
        const char *name;
    } cases[] = {
        {SPAN_HTTP, {"GET", 3}, {"/ping", 5}, {"", 0}, {"", 0}, "GET /ping"},
        {SPAN_HTTP, {"GET", 3}, {"", 0}, {"", 0}, {"", 0}, "GET"},
        {SPAN_HTTP, {"BREW", 4}, {"", 0}, {"", 0}, {"", 0}, "HTTP"},
        {SPAN_GRPC, {"POST", 4}, {"", 0}, {"a.B", 3}, {"C", 1}, "a.B/C"},
        {SPAN_GRPC, {"POST", 4}, {"", 0}, {"", 0}, {"", 0}, "grpc"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes out;
        struct span_record record = {.protocol = cases[i].protocol,
                                     .route = cases[i].route,
                                     .rpc_service = cases[i].service,
                                     .rpc_method = cases[i].rpc};
        record.method = span_put_text(&record, cases[i].method, 32);
        make_request(&out, &record);
        expect_text(field_of(field_of(scope_spans_of(&out), 2, 0), 5, 0), cases[i].name);
        bytes_done(&out);
    }
}

/* A record full of text that is no UTF-8 is the largest there is. */
static void test_the_largest_record_fits(void **state)
{
    (void)state;
    struct bytes out;
    char text[SPAN_RECORD_TEXT_BYTES];
    memset(text, '\xff', sizeof(text));
    struct span_record record = {.text_used = 0};
    span_fill(&record, 0);
    record.is_error = true;
    record.trace_state = span_put_text(&record, slice_make(text, 300), 300);
    record.exception_text = span_put_text(&record, slice_make(text, sizeof(text)), sizeof(text));
    record.user_agent = record.exception_text;
    make_request(&out, &record);
    assert_true(bytes_len(&out) > 7 * 900);
    bytes_done(&out);
}

static void test_no_memory(void **state)
{
    (void)state;
    const struct otlp_attribute attribute_of = {SLICE("a"), SLICE("b"), 0};
    struct otlp_origin origin;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_int_equal(otlp_origin_init(&origin, &attribute_of, 1, SLICE("1")), ERR_NO_MEMORY);
    }
    mem_fail_nth(0);
}

static void test_responses(void **state)
{
    (void)state;
    static const struct {
        struct slice body;
        int status;
        uint64_t rejected;
        const char *message;
    } cases[] = {
        {{"", 0}, ERR_OK, 0, ""},
        {{"\x0a\x00", 2}, ERR_OK, 0, ""},
        {{"\x0a\x08\x08\xac\x02\x12\x03why", 10}, ERR_OK, 300, "why"},
        {{"\x0a\x05\x12\x03why", 7}, ERR_OK, 0, "why"},
        {{"\x12\x01x", 3}, ERR_OK, 0, ""}, /* a field of later versions */
        {{"\x0a\x05\x12", 3}, ERR_INVALID, 0, ""},
        {{"{}", 2}, ERR_INVALID, 0, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct otlp_verdict verdict = {0, SLICE("")};
        struct error error;
        assert_int_equal(otlp_read_response(cases[i].body, &verdict, &error), cases[i].status);
        assert_int_equal(verdict.rejected_spans, cases[i].rejected);
        expect_text(verdict.message, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_names_its_service),
        cmocka_unit_test(test_all_that_a_span_says),
        cmocka_unit_test(test_a_failure_of_ours_has_its_reason),
        cmocka_unit_test(test_names_are_few),
        cmocka_unit_test(test_the_largest_record_fits),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
