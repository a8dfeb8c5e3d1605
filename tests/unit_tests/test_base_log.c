/* Lines hold whatever comes, and nothing waits for who reads them. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log_line.h"
#include "base/utf8.h"
#include "unit_tests/testing.h"

#define WHEN UINT64_C(1700000000123456789) /* 2023-11-14T22:13:20.123 UTC */

/* ---- one line ---- */

static const char *text_of(struct log_line *line)
{
    static char text[LOG_LINE_MAX_BYTES + 1];
    log_line_end(line);
    assert_true(line->len <= LOG_LINE_MAX_BYTES);
    memcpy(text, line->bytes, line->len);
    text[line->len] = '\0';
    return text;
}

static void a_text_line_is_for_people(void **state)
{
    (void)state;
    struct log_line line;
    log_line_begin(&line, LOG_TEXT, LOG_WARNING, WHEN, SLICE("it \"is\" so"));
    log_line_put_text(&line, "path", SLICE("/a b\"c"));
    log_line_put_text(&line, "plain", SLICE("x-1"));
    log_line_put_text(&line, "empty", SLICE(""));
    log_line_put_number(&line, "status", 200);
    log_line_put_number(&line, "ms", 0.125);
    assert_string_equal(
        text_of(&line),
        "2023-11-14T22:13:20.123Z WARNING it \"is\" so path=\"/a b\\\"c\" plain=x-1 "
        "empty=\"\" status=200 ms=0.125\n");
}

static void a_json_line_is_an_object(void **state)
{
    (void)state;
    struct log_line line;
    log_line_begin(&line, LOG_JSON, LOG_ERROR, WHEN, SLICE("it \"is\"\\ so"));
    log_line_put_text(&line, "path", SLICE("/\xc3\xa9\n"));
    log_line_put_number(&line, "status", 200);
    assert_string_equal(
        text_of(&line),
        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"ERROR\",\"message\":\"it "
        "\\\"is\\\"\\\\ so\",\"path\":\"/\xc3\xa9\\u000a\",\"status\":200}\n");
}

static void what_terminals_obey_is_escaped(void **state)
{
    (void)state;
    struct log_line line;
    log_line_begin(&line, LOG_TEXT, LOG_INFO, WHEN,
                   SLICE("a\nb\x1b[31m\x7f\xc2\x9b\xc2\xa0\xff\xe2\x82"));
    assert_string_equal(text_of(&line),
                        "2023-11-14T22:13:20.123Z INFO "
                        "a\\u000ab\\u001b[31m\\u007f\\u009b\xc2\xa0\xef\xbf\xbd\xef\xbf\xbd\n");
}

/* A line of JSON: valid UTF-8, no control characters, quotes in pairs, escapes whole. */
static void assert_sound(const struct log_line *line, bool json)
{
    struct slice text = slice_make(line->bytes, line->len);
    assert_int_equal(utf8_valid_bytes(text), text.len);
    assert_int_equal(text.ptr[text.len - 1], '\n');
    bool quoted = false;
    for (size_t i = 0; i + 1 < text.len; i++) {
        assert_true((unsigned char)text.ptr[i] >= 0x20 && text.ptr[i] != 0x7f);
        if (json && quoted && text.ptr[i] == '\\') {
            assert_non_null(strchr("\"\\u", text.ptr[i + 1]));
            i++;
        } else if (text.ptr[i] == '"') {
            quoted = !quoted;
        }
    }
    assert_true(!json || (!quoted && text.ptr[0] == '{' && text.ptr[text.len - 2] == '}'));
}

static void any_bytes_make_a_sound_line(void **state)
{
    (void)state;
    char bytes[3 * LOG_LINE_MAX_BYTES];
    uint32_t random = 1;
    for (unsigned round = 0; round < 600; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            random = random * 1664525u + 1013904223u;
            bytes[i] = (char)(round < 256 ? round : random >> (round % 24));
        }
        enum log_format format = round % 2 == 0 ? LOG_JSON : LOG_TEXT;
        struct log_line line;
        log_line_begin(&line, format, LOG_INFO, WHEN,
                       slice_make(bytes, (size_t)random % sizeof(bytes)));
        for (size_t fields = 0; fields < 12; fields++) {
            log_line_put_text(&line, "request_id",
                              slice_make(bytes + fields, (fields * 331) % 1500));
            log_line_put_number(&line, "bytes", (double)random / 3);
        }
        log_line_end(&line);
        assert_sound(&line, format == LOG_JSON);
    }
}

static void every_length_makes_a_sound_line(void **state)
{
    (void)state;
    static const char *const units[] = {"x", "\"", "\x01", "\xff", "\xe2\x82\xac"};
    for (size_t unit = 0; unit < sizeof(units) / sizeof(units[0]); unit++) {
        char bytes[3 * LOG_LINE_MAX_BYTES];
        size_t len = 0;
        while (len + 3 < sizeof(bytes)) {
            memcpy(bytes + len, units[unit], strlen(units[unit]));
            len += strlen(units[unit]);
        }
        for (size_t cut = 0; cut < 4500; cut += 7) {
            struct log_line line;
            log_line_begin(&line, LOG_JSON, LOG_INFO, WHEN, slice_make(bytes, cut));
            for (size_t i = 0; i < 5; i++) {
                log_line_put_text(&line, "f", slice_make(bytes, cut));
            }
            log_line_put_number(&line, "n", 1e300);
            log_line_end(&line);
            assert_sound(&line, true);
        }
    }
}

/* ---- where lines go ---- */

/* Standard error is a pipe (or socket) that is read only by the test. */
struct far_end {
    int saved;
    int fds[2];
    char text[1 << 18];
};

static struct far_end far_end;

static void begin_reading(int writer)
{
    far_end.saved = dup(STDERR_FILENO);
    assert_true(far_end.saved >= 0);
    assert_true(dup2(writer, STDERR_FILENO) >= 0);
    assert_int_equal(fcntl(far_end.fds[0], F_SETFL, O_NONBLOCK), 0);
    log_init(LOG_INFO, LOG_TEXT);
}

static const char *read_all(void)
{
    size_t len = 0;
    ssize_t count;
    while ((count = read(far_end.fds[0], far_end.text + len, sizeof(far_end.text) - 1 - len)) > 0) {
        len += (size_t)count;
    }
    far_end.text[len] = '\0';
    return far_end.text;
}

static void end_reading(void)
{
    dup2(far_end.saved, STDERR_FILENO);
    close(far_end.saved);
    close(far_end.fds[0]);
    close(far_end.fds[1]);
    log_init(LOG_INFO, LOG_TEXT);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    while ((text = strstr(text, part)) != NULL) {
        count++;
        text++;
    }
    return count;
}

static void the_least_level_counts(void **state)
{
    (void)state;
    assert_int_equal(pipe(far_end.fds), 0);
    begin_reading(far_end.fds[1]);
    log_init(LOG_WARNING, LOG_TEXT);
    log_debug("one");
    log_info("two");
    log_warning("three");
    log_error("four");
    const char *text = read_all();
    end_reading();
    assert_int_equal(count_of(text, "\n"), 2);
    assert_non_null(strstr(text, "Z WARNING three\n"));
    assert_non_null(strstr(text, "Z ERROR four\n"));
}

static void a_line_names_its_request(void **state)
{
    (void)state;
    const struct log_context context = {SLICE("r-1"), SLICE("0af7"), SLICE("b7ad")};
    assert_int_equal(pipe(far_end.fds), 0);
    begin_reading(far_end.fds[1]);
    log_at(LOG_ERROR, &context, "it failed: %d", 5);
    const char *text = read_all();
    end_reading();
    assert_non_null(
        strstr(text, "Z ERROR it failed: 5 request_id=r-1 trace_id=0af7 span_id=b7ad\n"));
}

static void fill(const char *what, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++) {
        log_write(LOG_INFO, NULL, NULL, "%s %u %0900u", what, i, 0u);
    }
}

/* The call would hang here if a line were waited for. */
static void assert_never_waits(void)
{
    uint64_t before = log_lines_refused();
    fill("first", 2000);
    uint64_t refused = log_lines_refused() - before;
    assert_true(refused > 0 && refused < 2000);
    assert_int_equal(count_of(read_all(), "first "), 2000 - refused);

    log_info("room again");
    char said[96];
    snprintf(said, sizeof(said), "Z WARNING %u lines were left out: standard error took no more\n",
             (unsigned)refused);
    const char *text = read_all();
    assert_non_null(strstr(text, said));
    assert_non_null(strstr(text, "Z INFO room again\n"));
    assert_int_equal(log_lines_refused() - before, refused);
}

static void a_full_pipe_holds_nobody_up(void **state)
{
    (void)state;
    assert_int_equal(pipe(far_end.fds), 0);
    begin_reading(far_end.fds[1]);
    assert_never_waits();
    end_reading();
}

static void a_full_socket_holds_nobody_up(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, far_end.fds), 0);
    begin_reading(far_end.fds[1]);
    int most = 64 * 1024;
    assert_int_equal(setsockopt(far_end.fds[1], SOL_SOCKET, SO_SNDBUF, &most, sizeof(most)), 0);
    assert_never_waits();
    end_reading();
}

static void nobody_reads_any_more(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, far_end.fds), 0);
    begin_reading(far_end.fds[1]);
    shutdown(far_end.fds[1], SHUT_WR);
    uint64_t before = log_lines_refused();
    log_info("to nobody");
    assert_int_equal(log_lines_refused() - before, 1);
    end_reading();
}

/* Called again and again: one place. The second may turn meanwhile, and then it has its lines anew. */
static void a_place_is_limited(void **state)
{
    (void)state;
    enum { CALLS = 5000 };
    assert_int_equal(pipe(far_end.fds), 0);
    begin_reading(far_end.fds[1]);
    static struct log_site site;
    uint64_t before = log_lines_limited();
    for (unsigned i = 0; i < CALLS; i++) {
        log_write(LOG_INFO, &site, NULL, "again");
        log_write(LOG_DEBUG, &site, NULL, "not shown, and not counted");
    }
    uint64_t limited = log_lines_limited() - before;
    assert_true(limited > 0);
    assert_int_equal(count_of(read_all(), "Z INFO again\n"), CALLS - limited);

    unsigned left_out = atomic_load(&site.lines) - LOG_SITE_LINES_PER_S;
    atomic_store(&site.second, 0); /* a second in the past */
    log_write(LOG_INFO, &site, NULL, "again");
    char said[96];
    snprintf(said, sizeof(said), "Z INFO %u lines were left out like this: again\n", left_out);
    const char *text = read_all();
    end_reading();
    assert_non_null(strstr(text, said));
    assert_int_equal(count_of(text, "\n"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_is_for_people),
        cmocka_unit_test(a_json_line_is_an_object),
        cmocka_unit_test(what_terminals_obey_is_escaped),
        cmocka_unit_test(any_bytes_make_a_sound_line),
        cmocka_unit_test(every_length_makes_a_sound_line),
        cmocka_unit_test(the_least_level_counts),
        cmocka_unit_test(a_line_names_its_request),
        cmocka_unit_test(a_full_pipe_holds_nobody_up),
        cmocka_unit_test(a_full_socket_holds_nobody_up),
        cmocka_unit_test(nobody_reads_any_more),
        cmocka_unit_test(a_place_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
