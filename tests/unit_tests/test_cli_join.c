/* Answers in parts, joined: the bytes of the answer to the whole, wherever it is cut. */
#include "cli/join.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "unit_tests/codec_fixture.h"
#include "unit_tests/testing.h"

#define OUTPUTS "a int64 N 2; b float32 N; s string N; m maps"
#define ROWS 5

/* The model's answer to ROWS rows; tensors and items over static arrays. */
static void make_values(struct value values[4])
{
    static int64_t a[ROWS * 2] = {1, -2, 3, 4, 5, 6, 7, 8, 9, 10};
    static float b[ROWS] = {0.5f, 1e10f, -0.0f, 3.0f, 4.0f};
    static struct slice s[ROWS] = {{"x", 1}, {"", 0}, {"a,b", 3}, {"]\"", 2}, {"\n", 1}};
    static int64_t keys[2] = {0, 1};
    static float mapped[ROWS * 2] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    static struct value items[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        items[i] = (struct value){
            .kind = VALUE_MAP,
            .keys = {.dtype = DTYPE_I64, .rank = 1, .dims = {2}, .at = keys},
            .mapped = {.dtype = DTYPE_F32, .rank = 1, .dims = {2}, .at = &mapped[i * 2]},
        };
    }
    values[0] =
        (struct value){.kind = VALUE_TENSOR,
                       .tensor = {.dtype = DTYPE_I64, .rank = 2, .dims = {ROWS, 2}, .at = a}};
    values[1] = (struct value){.kind = VALUE_TENSOR,
                               .tensor = {.dtype = DTYPE_F32, .rank = 1, .dims = {ROWS}, .at = b}};
    values[2] =
        (struct value){.kind = VALUE_TENSOR,
                       .tensor = {.dtype = DTYPE_STRING, .rank = 1, .dims = {ROWS}, .at = s}};
    values[3] = (struct value){.kind = VALUE_SEQUENCE, .items = items, .item_count = ROWS};
}

static struct value rows_of(const struct value *whole, size_t first, size_t rows)
{
    struct value part = *whole;
    if (part.kind == VALUE_SEQUENCE) {
        part.items += first;
        part.item_count = rows;
    } else {
        part.tensor = tensor_row_view(&whole->tensor, (int64_t)first, (int64_t)rows);
    }
    return part;
}

struct join_case {
    const char *options;
    bool wrapped; /* RETURN_PREDICTIONS_ONLY=false */
    enum media media;
    bool to_file; /* else to what cannot be written over */
};

static const struct join_case cases[] = {
    {"output=a", false, MEDIA_JSON, false},
    {"output=a", true, MEDIA_JSON, false},
    {"output=a", false, MEDIA_CSV, false},
    {"output=a", true, MEDIA_CSV, false},
    {"output=a", false, MEDIA_NPY, false},
    {"output=a", false, MEDIA_NPY, true},
    {"output=b", false, MEDIA_NPY, true},
    {"output=b", false, MEDIA_JSON, true},
    {"output=s", false, MEDIA_CSV, false},
    {"output=s", true, MEDIA_JSON, false},
    {"output=m", false, MEDIA_JSON, false},
    {"output=m", false, MEDIA_CSV, false},
    {"outputs=one:a", false, MEDIA_CSV, false},
    {"outputs=one:b,two:m,three:a,four:s,again:b", false, MEDIA_JSON, false},
    {"outputs=one:b,two:m", true, MEDIA_NPY, true},
};

struct setting {
    struct codec_fixture fixture;
    struct codec_plan *plan;
    struct value wanted[8];
    size_t wanted_count;
    char path[64];
};

static void set_up(struct setting *setting, const struct join_case *test)
{
    struct value values[4];
    struct error error;
    make_values(values);
    fixture_init(&setting->fixture, "x float32 N F", OUTPUTS, test->options);
    setting->fixture.options.predictions_only = !test->wrapped;
    assert_int_equal(codec_plan_new(&setting->fixture.options, &setting->fixture.signature,
                                    &setting->plan, &error),
                     ERR_OK);
    const size_t *wanted = codec_plan_wanted(setting->plan, &setting->wanted_count);
    for (size_t i = 0; i < setting->wanted_count; i++) {
        setting->wanted[i] = values[wanted[i]];
    }
    snprintf(setting->path, sizeof(setting->path), "/tmp/onnxd-test-join-%d", (int)getpid());
}

static void tear_down(struct setting *setting)
{
    codec_plan_free(setting->plan);
    unlink(setting->path);
}

static int open_out(const struct setting *setting, bool to_file, struct out_file *out,
                    struct error *error)
{
    return to_file ? out_file_open(out, setting->path, error)
                   : out_file_open_spool(out, setting->path, error);
}

/* Parts end behind the rows whose bit is set in `cuts`, and behind the last. */
static int join_parts(struct setting *setting, enum media media, unsigned cuts,
                      struct out_file *out, struct error *error)
{
    struct join join;
    int status = join_init(&join, &setting->fixture.options, &setting->fixture.signature, media,
                           out, setting->path, error);
    if (status != ERR_OK) {
        return status;
    }
    for (size_t first = 0, end = 1; status == ERR_OK && end <= ROWS; end++) {
        struct value parts[8];
        if (end < ROWS && (cuts >> end & 1) == 0) {
            continue;
        }
        for (size_t i = 0; i < setting->wanted_count; i++) {
            parts[i] = rows_of(&setting->wanted[i], first, end - first);
        }
        status = join_put(&join, parts, (int64_t)(end - first), error);
        first = end;
    }
    if (status == ERR_OK) {
        status = join_finish(&join, error);
    }
    if (status == ERR_OK) {
        status = out_file_commit(out, error);
    }
    join_done(&join);
    return status;
}

static size_t read_back(const struct setting *setting, const struct out_file *out, bool to_file,
                        char *text, size_t size)
{
    int fd = to_file ? open(setting->path, O_RDONLY) : out->fd;
    ssize_t len = pread(fd, text, size, 0);
    assert_true(len >= 0);
    if (to_file) {
        close(fd);
    }
    return (size_t)len;
}

static void joins_to_the_whole_for_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct setting setting;
        struct bytes whole;
        struct error error;
        enum media media;
        set_up(&setting, &cases[i]);
        bytes_init(&whole, (size_t)1 << 20);
        assert_int_equal(
            codec_encode(setting.plan, cases[i].media, setting.wanted, &whole, &media, &error),
            ERR_OK);
        for (unsigned cuts = 0; cuts < 1u << ROWS; cuts += 2) {
            struct out_file out;
            static char text[4096];
            assert_int_equal(open_out(&setting, cases[i].to_file, &out, &error), ERR_OK);
            int status = join_parts(&setting, cases[i].media, cuts, &out, &error);
            if (status != ERR_OK) {
                fail_msg("case %zu, cuts %#x: %s", i, cuts, error.text);
            }
            size_t len = read_back(&setting, &out, cases[i].to_file, text, sizeof(text));
            out_file_drop(&out);
            if (!slice_eq(slice_make(text, len), bytes_slice(&whole))) {
                fail_msg("case %zu, cuts %#x\n  want %.*s\n  got  %.*s", i, cuts,
                         SLICE_FMT(bytes_slice(&whole)), (int)len, text);
            }
        }
        bytes_done(&whole);
        tear_down(&setting);
    }
}

/* Two parts whose values are given. */
static int join_two(const char *options, enum media media, const struct value *first,
                    const struct value *second, struct error *error)
{
    struct codec_fixture fixture;
    struct out_file out;
    struct join join;
    fixture_init(&fixture, "x float32 N F", OUTPUTS, options);
    assert_int_equal(out_file_open_spool(&out, NULL, error), ERR_OK);
    assert_int_equal(
        join_init(&join, &fixture.options, &fixture.signature, media, &out, NULL, error), ERR_OK);
    int status = join_put(&join, first, 2, error);
    if (status == ERR_OK && second != NULL) {
        status = join_put(&join, second, 2, error);
    }
    if (status == ERR_OK) {
        status = join_finish(&join, error);
    }
    join_done(&join);
    out_file_drop(&out);
    return status;
}

static void refuses_what_cannot_be_joined(void **state)
{
    (void)state;
    static float numbers[8];
    struct value two_rows = {
        .kind = VALUE_TENSOR,
        .tensor = {.dtype = DTYPE_F32, .rank = 2, .dims = {2, 2}, .at = numbers}};
    struct value wider = two_rows;
    wider.tensor.dims[1] = 3;
    struct value three_rows = two_rows;
    three_rows.tensor.dims[0] = 3;
    struct value scalar = two_rows;
    scalar.tensor.rank = 0;
    static const enum media all[] = {MEDIA_JSON, MEDIA_CSV, MEDIA_NPY};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct error error;
        assert_int_equal(join_two("output=b", all[i], &two_rows, &two_rows, &error), ERR_OK);
        /* As the only part it may be anything. */
        assert_int_equal(join_two("output=b", all[i], &three_rows, NULL, &error), ERR_OK);
        assert_int_equal(join_two("output=b", all[i], &scalar, NULL, &error), ERR_OK);
        assert_int_equal(join_two("output=b", all[i], &three_rows, &two_rows, &error), ERR_INVALID);
        assert_non_null(strstr(error.text, "\"b\" has not one row for each row"));
        assert_int_equal(join_two("output=b", all[i], &two_rows, &three_rows, &error), ERR_INVALID);
        assert_int_equal(join_two("output=b", all[i], &scalar, &scalar, &error), ERR_INVALID);
        assert_int_equal(join_two("output=b", all[i], &two_rows, &wider, &error), ERR_INVALID);
        assert_non_null(strstr(error.text, "\"b\" changes the shape of its rows"));
    }
}

static void survives_missing_memory(void **state)
{
    (void)state;
    struct setting setting;
    set_up(&setting, &cases[13]); /* the one with spools */
    int status = ERR_NO_MEMORY;
    unsigned failures = 0;
    for (uint64_t nth = 1; status != ERR_OK; nth++) {
        struct out_file out;
        struct error error;
        assert_int_equal(open_out(&setting, false, &out, &error), ERR_OK);
        mem_fail_nth(nth);
        status = join_parts(&setting, MEDIA_JSON, 2, &out, &error);
        mem_fail_nth(0);
        out_file_drop(&out);
        if (status != ERR_OK) {
            assert_int_equal(status, ERR_NO_MEMORY);
            failures++;
        }
    }
    assert_true(failures > 10);
    tear_down(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_to_the_whole_for_every_cut),
        cmocka_unit_test(refuses_what_cannot_be_joined),
        cmocka_unit_test(survives_missing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
