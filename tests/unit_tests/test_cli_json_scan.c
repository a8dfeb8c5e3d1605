/* Where records of JSON end: the same for every cut of the text. */
#include "cli/json_scan.h"

#include <stdio.h>
#include <string.h>

#include "unit_tests/testing.h"

struct scan_case {
    const char *text;
    /* Offsets behind the comma of each record; W or R ends the scan: the whole, or a repeated key. */
    const char *events;
};

/* Flat arrays are one record, as for a model that takes [N, F]. */
static const struct scan_case cases[] = {
    {"", ""},
    {"  ", ""},
    {"[[1,2],[3,4],[5,6]]", "7 13"},
    {" [ [1,2] , [3,4] ] ", "10"},
    {"[[1]]", ""},
    {"[[1,2", ""},
    {"[[1,2],", "7"},
    {"[1,2,3]", "1W"},
    {"[]", "1W"},
    {"[\"a\",\"b\"]", "1W"},
    {"[[],[1]]", "2W"},
    {"7", "0W"},
    {"nul", "0W"},
    {"[{\"a\":1},{\"b\":[2,3]},{}]", "9 21"},
    {"[{\"a\":\"},\"},{\"b\":2}]", "12"},
    {"[{\"a\":\"\\\"},\"},{\"b\":2}]", "14"},
    {"[{\"a\":\"\\\\\"},{\"b\":2}]", "12"},
    {"[[[1],[2]],[[3],[4]]]", "11"},
    {"[[1]]],[[2]],", ""},
    {"[[1}],[2]", ""},
    {"[[1},[2]", "5"},
    {"{\"k\":[[1],[2]]}", "10"},
    {" { \"k\" : [ [1] , [2] ] } ", "16"},
    {"{\"a\":[[9],[8]],\"k\":[[1],[2]],\"b\":{\"k\":1}}", "24"},
    {"{\"a\":{\"k\":[[1],[2]]},\"k\":[[3],[4]]}", "30"},
    {"{\"a\":\"k\",\"k\":[[3],[4]]}", "18"},
    {"{\"kk\":[[1],[2]],\"\":[[1],[2]]}", "28W"},
    {"{\"a\":1}", "6W"},
    {"{}", "1W"},
    {"{\"k\":1,\"k\":[[1],[2]]}", "5W"},
    {"{\"k\":[1,2]}", "6W"},
    {"{\"k\":[{\"k\":1},{\"k\":2}]}", "14"},
    {"{\"\\u006b\":[[1],[2]]}", "8W"},
    {"{\"k\":[[1],[2]],\"k\":0}", "10 17R"},
    {"{\"k\":[[1],[2]],\"\\u006b\":0}", "10 22R"},
    {"{\"k\":[[1],[2]],\"x\":[\"k\"],\"y\":\"k\"}", "10"},
    {"{\"k\":[[1],[2]]},\"k\":0", "10"},
};

static bool is_record(const void *user, unsigned depth)
{
    (void)user;
    return depth == 1;
}

static void scan_to_text(const char *document, uint64_t cuts, char *text, size_t size)
{
    struct json_scan scan;
    size_t len = strlen(document);
    size_t written = 0;
    size_t from = 0;
    text[0] = '\0';
    json_scan_init(&scan, SLICE("k"), is_record, NULL);
    for (size_t to = 1; to <= len; to++) {
        if (to < len && (cuts >> (to % 64) & 1) == 0) {
            continue;
        }
        while (from < to) {
            enum json_scan_event event;
            from += json_scan_next(&scan, slice_make(document + from, to - from), &event);
            assert_true(from <= to);
            if (event == JSON_SCAN_MORE) {
                assert_int_equal(from, to);
                continue;
            }
            bool record = event == JSON_SCAN_RECORD;
            written += (size_t)snprintf(text + written, size - written, "%s%zu%s",
                                        written > 0 ? " " : "", record ? from : from - 1,
                                        record                     ? ""
                                        : event == JSON_SCAN_WHOLE ? "W"
                                                                   : "R");
            if (!record) {
                return;
            }
        }
    }
}

static void check(size_t i, uint64_t cuts)
{
    char text[200];
    scan_to_text(cases[i].text, cuts, text, sizeof(text));
    if (strcmp(text, cases[i].events) != 0) {
        fail_msg("case %zu, %s, cuts %#llx: got \"%s\", want \"%s\"", i, cases[i].text,
                 (unsigned long long)cuts, text, cases[i].events);
    }
}

static void ends_records_for_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(i, 0);
        check(i, UINT64_MAX);
        for (size_t one = 1; one < strlen(cases[i].text); one++) {
            for (size_t other = one; other < strlen(cases[i].text); other++) {
                check(i, (uint64_t)1 << one | (uint64_t)1 << other);
            }
        }
    }
}

static void takes_no_stack_for_depth(void **state)
{
    (void)state;
    struct json_scan scan;
    enum json_scan_event event = JSON_SCAN_MORE;
    json_scan_init(&scan, SLICE("k"), is_record, NULL);
    for (unsigned i = 0; i < 1000000; i++) {
        assert_int_equal(json_scan_next(&scan, SLICE("["), &event), 1);
        assert_int_equal(event, JSON_SCAN_MORE);
    }
    assert_int_equal(json_scan_next(&scan, SLICE("1,"), &event), 2);
    assert_int_equal(event, JSON_SCAN_MORE);
    assert_int_equal(scan.depth, 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_records_for_every_cut),
        cmocka_unit_test(takes_no_stack_for_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
