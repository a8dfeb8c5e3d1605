/* Where rows of CSV end: the same for every cut of the text, and the same as the codec reads them. */
#include "cli/csv_scan.h"

#include <stdio.h>
#include <string.h>

#include "codec/csv_reader.h"
#include "unit_tests/testing.h"

struct scan_case {
    const char *text;
    const char *ends; /* offsets behind each row; those that end with the text are followed by $ */
    unsigned lines;   /* line ends in all */
    char delimiter;   /* 0: a comma */
    bool keeps_blank_lines;
};

static const struct scan_case cases[] = {
    {"", "", 0, 0, false},
    {"a", "1$", 0, 0, false},
    {"a\n", "2", 1, 0, false},
    {"a\nb", "2 3$", 1, 0, false},
    {"a\r\nb\r\n", "3 6", 2, 0, false},
    {"a\rb\rc", "2 4 5$", 2, 0, false},
    {"a\r", "2$", 1, 0, false}, /* a line feed could have followed */
    {"\n\na\n\n", "4", 4, 0, false},
    {" \t\na\n  ", "5", 2, 0, false},
    {"\n\na\n\n", "1 2 4 5", 4, 0, true},
    {"a\r\r\nb", "2 5$", 2, 0, false},
    {"a\r\r\nb", "2 4 5$", 2, 0, true},
    {"\"a\nb\"\nc", "6 7$", 2, 0, false},
    {"\"a\r\nb\rc\"\r\n", "10", 3, 0, false},
    {"\"a\"\"\n\"\n", "7", 2, 0, false},
    {"  \"a\n\",b\n", "9", 2, 0, false},
    {"x\"\n\"\n", "3 5$", 2, 0, false}, /* the first quote is a character, the second opens */
    {"a,\"\n\"\n,\n", "6 8", 3, 0, false},
    {"a;\"\n\"\n", "6", 2, ';', false},
    {"a,\"\n\"\n", "4 6$", 2, ';', false},
    {"\t\n", "2", 1, '\t', false}, /* two empty cells, not a blank line */
    {"a\t\"\n\"\n", "6", 2, '\t', false},
    {"\"\"\n", "3", 1, 0, false},
    {"\"open\n", "6$", 1, 0, false},
    {"\"a\"b\n\"\n", "5 7$", 2, 0, false}, /* wrong behind the quote; still a row */
};

static struct csv_scan begin(const struct scan_case *test)
{
    struct csv_scan scan;
    csv_scan_init(&scan, test->delimiter == 0 ? ',' : test->delimiter, !test->keeps_blank_lines);
    return scan;
}

/* Feeds pieces that end at the bits of `cuts` (and at the end); writes what ends where. */
static void scan_to_text(const struct scan_case *test, struct csv_scan *scan, uint64_t cuts,
                         char *text, size_t size)
{
    size_t len = strlen(test->text);
    size_t written = 0;
    size_t from = 0;
    text[0] = '\0';
    for (size_t to = 1; to <= len; to++) {
        if (to < len && (cuts >> to & 1) == 0) {
            continue;
        }
        while (from < to) {
            bool ended;
            from += csv_scan_next(scan, slice_make(test->text + from, to - from), &ended);
            assert_true(from <= to);
            if (ended) {
                written += (size_t)snprintf(text + written, size - written, "%s%zu",
                                            written > 0 ? " " : "", from);
            } else {
                assert_int_equal(from, to);
            }
        }
    }
    if (csv_scan_finish(scan)) {
        snprintf(text + written, size - written, "%s%zu$", written > 0 ? " " : "", len);
    }
}

static void ends_rows_for_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].text);
        assert_true(len < 16);
        for (uint64_t cuts = 0; cuts < (uint64_t)1 << len; cuts += 2) {
            char text[200];
            struct csv_scan scan = begin(&cases[i]);
            scan_to_text(&cases[i], &scan, cuts, text, sizeof(text));
            if (strcmp(text, cases[i].ends) != 0 || scan.lines != cases[i].lines) {
                fail_msg("case %zu, cuts %#llx: got \"%s\" and %u lines", i,
                         (unsigned long long)cuts, text, (unsigned)scan.lines);
            }
        }
    }
}

/* Rows by the codec's reader; its errors end the text. */
static unsigned count_rows(struct slice text, bool *ret_wrong)
{
    struct csv_reader reader;
    struct error error;
    unsigned rows = 0;
    *ret_wrong = false;
    csv_reader_init(&reader, text, ',', true);
    while (!*ret_wrong && csv_reader_begin_row(&reader)) {
        size_t cells = 0;
        *ret_wrong = csv_reader_end_row(&reader, &cells, &error) != ERR_OK;
        rows++;
    }
    return rows;
}

static unsigned count_ends(struct slice text)
{
    struct csv_scan scan;
    unsigned rows = 0;
    csv_scan_init(&scan, ',', true);
    while (text.len > 0) {
        bool ended;
        text = slice_tail(text, csv_scan_next(&scan, text, &ended));
        rows += ended;
    }
    return rows + csv_scan_finish(&scan);
}

/* Every text of up to seven of the bytes that matter. */
static void agrees_with_the_reader(void **state)
{
    (void)state;
    static const char bytes[] = {'a', ',', '"', '\n', '\r', ' '};
    unsigned checked = 0;
    for (size_t len = 0; len <= 7; len++) {
        size_t count = 1;
        for (size_t i = 0; i < len; i++) {
            count *= sizeof(bytes);
        }
        for (size_t number = 0; number < count; number++) {
            char text[8];
            bool wrong;
            for (size_t i = 0, rest = number; i < len; i++, rest /= sizeof(bytes)) {
                text[i] = bytes[rest % sizeof(bytes)];
            }
            unsigned rows = count_rows(slice_make(text, len), &wrong);
            if (!wrong && count_ends(slice_make(text, len)) != rows) {
                fail_msg("text %zu of length %zu: %u rows", number, len, rows);
            }
            checked += !wrong;
        }
    }
    assert_true(checked > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_rows_for_every_cut),
        cmocka_unit_test(agrees_with_the_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
