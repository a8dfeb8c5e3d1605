/* The line that people see, as a function of the numbers. */
#include "cli/progress.h"

#include <string.h>

#include "base/clock.h"
#include "unit_tests/testing.h"

#define S CLOCK_NS_PER_S

static void formats_the_line(void **state)
{
    (void)state;
    static const struct {
        struct progress_state state;
        unsigned columns;
        const char *want;
    } cases[] = {
        {{0, 100, 0, 0}, 60, "[>                                       ]   0 %  0 rows"},
        {{50, 100, 1000, 2 * S},
         80,
         "[==================>                 ]  50 %  1.00 k rows  500 rows/s  0:02 left"},
        {{25, 100, 1234567, 10 * S},
         60,
         "[===>          ]  25 %  1.23 M rows  123 k rows/s  0:30 left"},
        {{100, 100, 10, S}, 40, "100 %  10 rows  10 rows/s  0:00 left"}, /* no room for a bar */
        {{1, 10000, 10, S}, 20, "  0 %  10 rows  10 r"},
        {{1, 7200, 999, S}, 50, "[>     ]   0 %  999 rows  999 rows/s  1:59:59 left"},
        {{12345, 0, 100, S / 2}, 60, "12.3 kB  100 rows  200 rows/s"}, /* a pipe */
        {{200, 100, 5, S}, 40, "100 %  5 rows  5 rows/s  0:00 left"},  /* the file grew */
        {{1, 2, 3, S}, 5, " 50 %  3 rows  3 row"},                     /* no narrower than 20 */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[PROGRESS_LINE_MAX];
        size_t len = progress_format(&cases[i].state, cases[i].columns, line);
        assert_string_equal(line, cases[i].want);
        assert_int_equal(len, strlen(line));
        assert_true(len <= (cases[i].columns < 20 ? 20 : cases[i].columns));
    }
}

static void sums_up(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_MAX];
    struct progress_state state_one = {.rows = 1, .elapsed_ns = S};
    struct progress_state many = {.rows = 3980, .elapsed_ns = S / 2};
    size_t len = progress_summarize(&state_one, line);
    assert_string_equal(line, "1 row in 1.00 s (1 rows/s)");
    assert_int_equal(len, strlen(line));
    progress_summarize(&many, line);
    assert_string_equal(line, "3980 rows in 0.50 s (7.96 k rows/s)");
}

/* Not a terminal: nothing is written. */
static void is_silent_in_a_file(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    struct progress progress;
    progress_init(&progress, file, 100, S);
    progress_update(&progress, 10, 1, 2 * S);
    progress_finish(&progress, true, 3 * S);
    assert_int_equal(ftell(file), 0);
    fclose(file);
}

static long drawn(struct progress *progress, uint64_t now_ns)
{
    long before = ftell(progress->out);
    progress_update(progress, 10, 1, now_ns);
    return ftell(progress->out) - before;
}

static void redraws_ten_times_a_second(void **state)
{
    (void)state;
    struct progress progress = {
        .out = tmpfile(), .columns = 60, .started_ns = S, .state.total_bytes = 100};
    assert_non_null(progress.out);
    assert_true(drawn(&progress, S) > 0);
    assert_int_equal(drawn(&progress, S + S / 20), 0);
    assert_int_equal(drawn(&progress, S + S / 10 - 1), 0);
    assert_true(drawn(&progress, S + S / 10) > 0);
    assert_int_equal(drawn(&progress, S + S / 10 + 1), 0);

    char shown[1000];
    progress_finish(&progress, true, 2 * S);
    rewind(progress.out);
    size_t len = fread(shown, 1, sizeof(shown) - 1, progress.out);
    shown[len] = '\0';
    assert_non_null(strstr(shown, "\r\x1b[K1 row in 1.00 s (1 rows/s)\n"));
    fclose(progress.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_the_line),
        cmocka_unit_test(sums_up),
        cmocka_unit_test(is_silent_in_a_file),
        cmocka_unit_test(redraws_ten_times_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
