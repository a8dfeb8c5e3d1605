/*
 * The cases that the W3C publishes with the standard (its trace-context test suite), and what the
 * grammar says at its edges.
 */
#include "testing.h"

#include <stdio.h>

#include "obs/sampler.h"
#include "obs/trace_context.h"

#define TRACE "12345678901234567890123456789012"
#define SPAN "1234567890123456"
#define VALID "00-" TRACE "-" SPAN "-01"

/* ---- traceparent ---- */

static const struct parent_case {
    const char *text;
    bool is_valid, is_sampled;
} parents[] = {
    {VALID, true, true},
    {"00-" TRACE "-" SPAN "-00", true, false},
    {"00-" TRACE "-" SPAN "-02", true, false},
    {"00-" TRACE "-" SPAN "-ff", true, true},
    {"00-00000000000000000000000000000001-0000000000000001-00", true, false},
    {"00-f0000000000000000000000000000000-f000000000000000-01", true, true},
    /* Version 00 ends with its flags. */
    {VALID ".", false, false},
    {VALID "-", false, false},
    {VALID "-what-the-future-will-be-like", false, false},
    /* Later versions may go on behind a dash. */
    {"cc-" TRACE "-" SPAN "-01", true, true},
    {"cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like", true, true},
    {"cc-" TRACE "-" SPAN "-01-", true, true},
    {"cc-" TRACE "-" SPAN "-01.what-the-future-will-be-like", false, false},
    {"cc-" TRACE "-" SPAN "-0", false, false},
    {"fe-" TRACE "-" SPAN "-00", true, false},
    {"ff-" TRACE "-" SPAN "-01", false, false},
    {"ff-" TRACE "-" SPAN "-01-more", false, false},
    /* The version is two digits. */
    {".0-" TRACE "-" SPAN "-01", false, false},
    {"0.-" TRACE "-" SPAN "-01", false, false},
    {"000-" TRACE "-" SPAN "-01", false, false},
    {"0000-" TRACE "-" SPAN "-01", false, false},
    {"0-" TRACE "-" SPAN "-01", false, false},
    {"CC-" TRACE "-" SPAN "-01", false, false},
    /* The trace's id: 32 digits in lower case, not all zero. */
    {"00-00000000000000000000000000000000-" SPAN "-01", false, false},
    {"00-.2345678901234567890123456789012-" SPAN "-01", false, false},
    {"00-1234567890123456789012345678901.-" SPAN "-01", false, false},
    {"00-123456789012345678901234567890123-" SPAN "-01", false, false},
    {"00-1234567890123456789012345678901-" SPAN "-01", false, false},
    {"00-1234567890123456789012345678901A-" SPAN "-01", false, false},
    /* The parent's: 16. */
    {"00-" TRACE "-0000000000000000-01", false, false},
    {"00-" TRACE "-.234567890123456-01", false, false},
    {"00-" TRACE "-123456789012345.-01", false, false},
    {"00-" TRACE "-12345678901234567-01", false, false},
    {"00-" TRACE "-123456789012345-01", false, false},
    {"00-" TRACE "-123456789012345F-01", false, false},
    /* Flags: two digits. */
    {"00-" TRACE "-" SPAN "-.0", false, false},
    {"00-" TRACE "-" SPAN "-0.", false, false},
    {"00-" TRACE "-" SPAN "-001", false, false},
    {"00-" TRACE "-" SPAN "-1", false, false},
    {"00-" TRACE "-" SPAN "-0A", false, false},
    /* Dashes. */
    {"00_" TRACE "-" SPAN "-01", false, false},
    {"00-" TRACE "_" SPAN "-01", false, false},
    {"00-" TRACE "-" SPAN "_01", false, false},
    {"", false, false},
    {"00", false, false},
    {" " VALID, false, false}, /* what carries it has trimmed it */
};

static void test_traceparent(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        const struct parent_case *at = &parents[i];
        struct span_context context = {.is_valid = false};
        bool valid = trace_context_parse(slice_from_str(at->text), &context);
        if (valid != at->is_valid || context.is_valid != valid ||
            context.is_sampled != at->is_sampled) {
            fail_msg("%s: valid %d, sampled %d", at->text, valid, context.is_sampled);
        }
    }
}

static void test_ids_are_printed_as_they_came(void **state)
{
    (void)state;
    struct span_context context;
    char text[TRACE_ID_DIGITS];
    assert_true(trace_context_parse(
        SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), &context));
    trace_id_print(&context.trace_id, text);
    assert_memory_equal(text, "0af7651916cd43dd8448eb211c80319c", TRACE_ID_DIGITS);
    span_id_print(&context.span_id, text);
    assert_memory_equal(text, "b7ad6b7169203331", SPAN_ID_DIGITS);
    assert_true(trace_id_low(&context.trace_id) == UINT64_C(0x8448eb211c80319c));
}

/* ---- tracestate ---- */

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16
#define A128 A64 A64
#define A240 A128 A64 A16 A16 A16
#define A256 A128 A128

static const struct state_case {
    const char *fields[4]; /* in the order of the request */
    const char *written;
} states[] = {
    {{"foo=1"}, "foo=1"},
    {{"foo=1,bar=2"}, "foo=1,bar=2"},
    {{""}, ""},
    {{"foo=1", ""}, "foo=1"},
    {{"", "foo=1"}, "foo=1"},
    {{"foo=1,bar=2", "rojo=1,congo=2", "baz=3"}, "foo=1,bar=2,rojo=1,congo=2,baz=3"},
    /* A key twice: the list is not valid. */
    {{"foo=1,foo=1"}, ""},
    {{"foo=1,foo=2"}, ""},
    {{"foo=1", "foo=1"}, ""},
    {{"foo=1", "foo=2"}, ""},
    /* White space and empty members. */
    {{"foo=1 \t , \t bar=2, \t baz=3"}, "foo=1,bar=2,baz=3"},
    {{"foo=1\t \t,\t \tbar=2,\t \tbaz=3"}, "foo=1,bar=2,baz=3"},
    {{" foo=1"}, "foo=1"},
    {{"\tfoo=1"}, "foo=1"},
    {{"foo=1 "}, "foo=1"},
    {{"foo=1\t"}, "foo=1"},
    {{"\t foo=1 \t"}, "foo=1"},
    {{"foo=1,"}, "foo=1"},
    {{",foo=1, ,bar=2,,"}, "foo=1,bar=2"},
    /* All that is allowed in keys and values. */
    {{"abcdefghijklmnopqrstuvwxyz0123456789_-*/= !\"#$%&'()*+-./0123456789:;<>?@A[\\]^_`z{|}~"},
     "abcdefghijklmnopqrstuvwxyz0123456789_-*/= !\"#$%&'()*+-./0123456789:;<>?@A[\\]^_`z{|}~"},
    {{"abc0123456789_-*/@a-z0-9_-*/= v"}, "abc0123456789_-*/@a-z0-9_-*/= v"},
    {{"0tenant@system=1"}, "0tenant@system=1"},
    /* Keys that are none. */
    {{"foo =1"}, ""},
    {{"FOO=1"}, ""},
    {{"foo.bar=1"}, ""},
    {{"0foo=1"}, ""},
    {{"_foo=1"}, ""},
    {{"foo"}, ""},
    {{"=1"}, ""},
    {{"foo@=1,bar=2"}, ""},
    {{"@foo=1,bar=2"}, ""},
    {{"foo@@bar=1,bar=2"}, ""},
    {{"foo@bar@baz=1,bar=2"}, ""},
    {{"foo@1bar=1"}, ""},
    /* How long they may be. */
    {{A256 "=1"}, A256 "=1"},
    {{A256 "a=1"}, ""},
    {{A240 "a@"
           "vvvvvvvvvvvvvv=1"},
     A240 "a@vvvvvvvvvvvvvv=1"},
    {{A240 "aa@v=1"}, ""},
    {{"t@vvvvvvvvvvvvvvv=1"}, ""},
    {{"k=" A256}, "k=" A256},
    {{"k=" A256 "a"}, ""},
    /* Values that are none. */
    {{"foo=bar=baz"}, ""},
    {{"foo=,bar=3"}, ""},
    {{"foo=b\x7f"}, ""},
    {{"foo=b\xc3\xa4"}, ""},
    {{"foo=a\tb"}, ""},
    /* Too long: large members go first, then those at the end. */
    {{"a=1,b=" A256 ",c=" A240 ",d=2"}, "a=1,b=" A256 ",c=" A240 ",d=2"},
    {{"a=1,b=" A256 ",c=" A256 ",d=2"}, "a=1,d=2"},
    {{"a=" A64 A16 ",b=" A64 A16 ",c=" A64 A16 ",d=" A64 A16 ",e=" A64 A16 ",f=" A64 A16 ",g=" A64},
     "a=" A64 A16 ",b=" A64 A16 ",c=" A64 A16 ",d=" A64 A16 ",e=" A64 A16 ",f=" A64 A16},
};

static void check_state(const char *const *fields, size_t count, const char *written)
{
    struct trace_state list = {.count = 0};
    char text[TRACE_STATE_MAX_BYTES];
    for (size_t i = 0; i < count && fields[i] != NULL; i++) {
        trace_state_add(&list, slice_from_str(fields[i]));
    }
    struct slice got = slice_make(text, trace_state_write(&list, text));
    if (!slice_eq(got, slice_from_str(written))) {
        fail_msg("%s: %.*s", fields[0], SLICE_FMT(got));
    }
}

static void test_tracestate(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        check_state(states[i].fields, 4, states[i].written);
    }
}

static void test_32_members_are_the_most(void **state)
{
    (void)state;
    char text[512];
    int len = 0;
    for (int i = 0; i < 32; i++) {
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%sbar%02d=%02d", i == 0 ? "" : ",",
                        i, i);
    }
    const char *fields[] = {text, NULL};
    check_state(fields, 2, text);
    const char *more[] = {text, "one=more"};
    check_state(more, 2, "");
}

/* ---- ids and samplers ---- */

static void test_ids_differ(void **state)
{
    (void)state;
    struct random one;
    struct random other;
    random_seed(&one);
    random_seed(&other);
    struct trace_id first = trace_id_make(&one);
    struct trace_id second = trace_id_make(&one);
    struct trace_id third = trace_id_make(&other);
    assert_memory_not_equal(&first, &second, sizeof(first));
    assert_memory_not_equal(&first, &third, sizeof(first));
    struct span_id id = span_id_make(&one);
    assert_true(span_id_is_set(&id));
}

static struct trace_id id_ending_with(uint64_t low)
{
    struct trace_id id = {{0xff}};
    for (int i = 0; i < 8; i++) {
        id.bytes[15 - i] = (uint8_t)(low >> 8 * i);
    }
    return id;
}

/* Bounds as the SDKs compute them: round(ratio * 2^64), and an id below it is taken. */
static void test_ratio_looks_at_the_last_eight_bytes(void **state)
{
    (void)state;
    static const struct {
        double ratio;
        uint64_t last_in; /* UINT64_MAX: all */
        bool has_any;
    } cases[] = {
        {0, 0, false},
        {0.5, UINT64_C(0x7fffffffffffffff), true},
        {0.25, UINT64_C(0x3fffffffffffffff), true},
        {0.01, UINT64_C(184467440737095520) - 1, true},
        {5.421010862427522e-20, 0, true}, /* 2^-64 */
        {1, UINT64_MAX, true},
    };
    const struct span_context none = {.is_valid = false};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sampler sampler = sampler_make(SAMPLER_RATIO, true, cases[i].ratio);
        struct trace_id in = id_ending_with(cases[i].last_in);
        struct trace_id out = id_ending_with(cases[i].last_in + 1);
        assert_int_equal(sampler_decide(&sampler, &none, &in), cases[i].has_any);
        if (cases[i].last_in != UINT64_MAX) {
            assert_false(sampler_decide(&sampler, &none, &out));
        }
    }
}

static void test_parents_decide_where_they_may(void **state)
{
    (void)state;
    const struct span_context none = {.is_valid = false};
    const struct span_context on = {.is_valid = true, .is_sampled = true};
    const struct span_context off = {.is_valid = true, .is_sampled = false};
    static const struct {
        enum sampler_kind root;
        bool parent_based;
        bool of_none, of_on, of_off;
    } cases[] = {
        {SAMPLER_ALWAYS_ON, false, true, true, true},
        {SAMPLER_ALWAYS_OFF, false, false, false, false},
        {SAMPLER_ALWAYS_ON, true, true, true, false},
        {SAMPLER_ALWAYS_OFF, true, false, true, false},
        {SAMPLER_RATIO, true, true, true, false}, /* of an id that ends with zeros */
        {SAMPLER_RATIO, false, true, true, true},
    };
    struct trace_id id = id_ending_with(0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sampler sampler = sampler_make(cases[i].root, cases[i].parent_based, 0.1);
        assert_int_equal(sampler_decide(&sampler, &none, &id), cases[i].of_none);
        assert_int_equal(sampler_decide(&sampler, &on, &id), cases[i].of_on);
        assert_int_equal(sampler_decide(&sampler, &off, &id), cases[i].of_off);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent),
        cmocka_unit_test(test_ids_are_printed_as_they_came),
        cmocka_unit_test(test_tracestate),
        cmocka_unit_test(test_32_members_are_the_most),
        cmocka_unit_test(test_ids_differ),
        cmocka_unit_test(test_ratio_looks_at_the_last_eight_bytes),
        cmocka_unit_test(test_parents_decide_where_they_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
