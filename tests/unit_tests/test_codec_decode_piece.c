/*
 * Bodies that are pieces of larger payloads: rows that are left out, places in the whole, and the two
 * questions that whoever cuts a payload asks.
 */
#include "unit_tests/codec_fixture.h"
#include "unit_tests/testing.h"

#define ARENA_MAX ((size_t)1 << 24)
#define SKIP                                                                                       \
    {                                                                                              \
        .skipped_rows = 1                                                                          \
    }
#define FAR                                                                                        \
    {                                                                                              \
        .rows = 1000, .lines = 2000, .bytes = INT64_C(1) << 40, .skipped_rows = 1                  \
    }
#define NEAR                                                                                       \
    {                                                                                              \
        .rows = -1, .lines = -1, .bytes = -2                                                       \
    }

struct piece_case {
    enum media media;
    const char *signature;
    struct slice body;
    struct codec_origin origin;
    const char *want; /* inputs as fixture_print writes them, or "! " and the error's text */
};

static struct codec_plan *make_plan(struct codec_fixture *fixture, const char *signature,
                                    const char *options)
{
    struct codec_plan *plan;
    struct error error;
    fixture_init(fixture, signature, "y float32 N 1", options);
    assert_int_equal(codec_plan_new(&fixture->options, &fixture->signature, &plan, &error), ERR_OK);
    return plan;
}

static void decode_to_text(const struct piece_case *test, char text[FIXTURE_TEXT])
{
    struct codec_fixture fixture;
    struct codec_inputs inputs;
    struct error error;
    struct arena arena;
    struct codec_plan *plan = make_plan(&fixture, test->signature, NULL);
    arena_init(&arena, 4096, ARENA_MAX);
    if (codec_decode_piece(plan, test->media, test->body, &test->origin, &arena, &inputs, &error) ==
        ERR_OK) {
        fixture_print(&fixture, &inputs, text);
        assert_int_equal(inputs.rows, inputs.tensors[0].rank == 0 ? 1 : inputs.tensors[0].dims[0]);
        codec_inputs_done(&inputs);
    } else {
        snprintf(text, FIXTURE_TEXT, "! %s", error.text);
    }
    codec_plan_free(plan);
    arena_done(&arena);
}

static void check_cases(const struct piece_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[FIXTURE_TEXT];
        decode_to_text(&cases[i], text);
        if (strcmp(text, cases[i].want) != 0) {
            fail_msg("case %zu\n  want %s\n  got  %s", i, cases[i].want, text);
        }
    }
}

#define CHECK_CASES(cases) check_cases(cases, sizeof(cases) / sizeof((cases)[0]))

static void leaves_rows_out(void **state)
{
    (void)state;
    static const struct piece_case cases[] = {
        {MEDIA_CSV, "x float32 N 2", SLICE("1,2\n3,4\n5,6\n"), SKIP, "x float32[2,2] 3 4 5 6"},
        {MEDIA_JSON, "x float32 N 2", SLICE("[[1,2],[3,4]]"), SKIP, "x float32[1,2] 3 4"},
        {MEDIA_JSONL, "x int8 N", SLICE("1\n2\n3\n"), SKIP, "x int8[2] 2 3"},
        {MEDIA_JSON, "s string N 1; b bool N 1",
         SLICE("[{\"s\":\"a\",\"b\":true},{\"s\":\"c\",\"b\":false}]"), SKIP,
         "s string[1,1] 'c'; b bool[1,1] 0"},
        /* The rest is what must suit the model: a fixed batch, a single value. */
        {MEDIA_CSV, "x float32 2 1", SLICE("1\n2\n3\n"), SKIP, "x float32[2,1] 2 3"},
        {MEDIA_CSV, "x float32 2 1", SLICE("1\n2\n"), SKIP,
         "! input \"x\" takes exactly 2 rows a request, got 1"},
        {MEDIA_JSON, "t float32", SLICE("[{\"t\":1},{\"t\":2}]"), SKIP, "t float32[] 2"},
    };
    CHECK_CASES(cases);
}

static void names_places_in_the_whole(void **state)
{
    (void)state;
    static const struct piece_case cases[] = {
        {MEDIA_CSV, "x float32 N 2", SLICE("1,2\n\n3,x\n"), FAR,
         "! line 2003, row 1001, column 1: \"x\" is not a number (input \"x\", float32)"},
        {MEDIA_CSV, "x float32 N 2", SLICE("1,2\n3\n"), FAR,
         "! line 2002, row 1001: 1 cell where the first line has 2"},
        {MEDIA_CSV, "x float32 N 2", SLICE("1,2\n\"3\n"), FAR,
         "! line 2002: a quote is not closed"},
        {MEDIA_CSV, "x float32 N 2", SLICE("1,2\n\xff"), FAR,
         "! invalid UTF-8 at byte 1099511627780"},
        {MEDIA_CSV, "x float32 N 2", SLICE("1,2\n3,\xff"), NEAR, "! invalid UTF-8 at byte 4"},
        {MEDIA_JSON, "x float32 N 2", SLICE("[[1,2],[3]]"), FAR,
         "! row 1001: 1 value where the first row has 2 (input \"x\")"},
        {MEDIA_JSON, "x float32 N 2", SLICE("[[1,2],[3,]]"), FAR,
         "! invalid JSON at byte 1099511627785: trailing comma is not allowed"},
        {MEDIA_JSON, "a float32 N 1; b float32 N 1", SLICE("[{\"a\":1,\"b\":2},{\"a\":3}]"), FAR,
         "! row 1001: the record has no value for input \"b\""},
        {MEDIA_JSONL, "x float32 N 2", SLICE("[1,2]\n\n[3,]\n"), FAR,
         "! line 2003, row 1001: invalid JSON at byte 1099511627785: trailing comma is not "
         "allowed"},
        {MEDIA_JSONL, "x float32 N 2", SLICE("[1,2]\n7\n"), NEAR,
         "! line 1, row 0: a number where the first row has an array of 2 (input \"x\")"},
    };
    CHECK_CASES(cases);
}

static void finds_headers(void **state)
{
    (void)state;
    static const struct {
        const char *signature;
        const char *options;
        struct slice body;
        int want; /* -1: the first row is wrong */
    } cases[] = {
        {"x float32 N 2", NULL, SLICE("a,b\n"), 1},
        {"x float32 N 2", NULL, SLICE("1,2\n"), 0},
        {"x float32 N 2", NULL, SLICE("1,2\na,b\n"), 0},
        {"x float32 N 2", NULL, SLICE("\xef\xbb\xbf\n\n1,b\n"), 1},
        {"x float32 N 2", "header=true", SLICE("1,2\n"), 1},
        {"x float32 N 2", "header=false", SLICE("a,b\n"), 0},
        {"s string N 2", NULL, SLICE("a,b\n"), 0},
        {"s string N 2", "names=a,b", SLICE("b,a\n"), 1},
        {"a float32 N 1; s string N 1", NULL, SLICE("s,a\n"), 1},
        {"x float32 N 2", NULL, SLICE("\"a\n"), -1},
        {"x float32 N 2", NULL, SLICE(""), -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct codec_fixture fixture;
        struct error error;
        struct arena arena;
        bool header;
        struct codec_plan *plan = make_plan(&fixture, cases[i].signature, cases[i].options);
        arena_init(&arena, 4096, ARENA_MAX);
        int status = codec_csv_has_header(plan, cases[i].body, &arena, &header, &error);
        int got = status == ERR_OK ? header : -1;
        if (got != cases[i].want) {
            fail_msg("case %zu: got %d", i, got);
        }
        codec_plan_free(plan);
        arena_done(&arena);
    }
}

static void tells_a_row_from_rows(void **state)
{
    (void)state;
    static const struct {
        const char *signature;
        const char *options;
        unsigned row_depth; /* 0: none */
    } cases[] = {
        {"x float32 N", NULL, 0}, {"x float32 N F", NULL, 1},      {"x float32 N F G", NULL, 2},
        {"x float32 *", NULL, 1}, {"x float32 N F", "map=k:x", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct codec_fixture fixture;
        struct codec_plan *plan = make_plan(&fixture, cases[i].signature, cases[i].options);
        for (unsigned depth = 1; depth < 5; depth++) {
            assert_int_equal(codec_array_is_row(plan, depth), depth == cases[i].row_depth);
        }
        codec_plan_free(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_rows_out),
        cmocka_unit_test(names_places_in_the_whole),
        cmocka_unit_test(finds_headers),
        cmocka_unit_test(tells_a_row_from_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
