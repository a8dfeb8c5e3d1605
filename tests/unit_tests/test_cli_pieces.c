/*
 * Payloads cut into pieces: for every size of reads and pieces the rows are those of the whole, and
 * messages name places in the whole. What fuzz_cli_pieces finds by chance stands here by intent.
 */
#include "base/mem.h"
#include "unit_tests/pieces_fixture.h"
#include "unit_tests/testing.h"

#define ARENA_MAX ((size_t)1 << 26)
#define NO_LIMIT ((size_t)1 << 20)

struct piece_case {
    enum media media;
    const char *signature;
    const char *options;
    struct slice body;
    /* Inputs as fixture_print writes them, or "! " and the error's text; `*` ends a prefix. */
    const char *want;
};

#define SUM3 "x float32 N 3"
#define FREE "x float32 N F"
#define PEOPLE "age int64 N 1; city string N 1"
#define WANT_9 "x float32[3,3] 1 2 3 4 5 6 7 8 9"

/* Decodes in pieces; the text is as wanted in a case. */
static unsigned decode_to_text(const struct piece_case *test, const struct cutting *cutting,
                               char text[FIXTURE_TEXT])
{
    struct codec_fixture fixture;
    struct codec_plan *plan = NULL;
    struct codec_inputs inputs;
    struct error error = {.code = ERR_OK};
    struct arena arena;
    unsigned count = 0;
    fixture_init(&fixture, test->signature, "y float32 N 1", test->options);
    fixture.options.max_records = 0;
    arena_init(&arena, 4096, ARENA_MAX);
    assert_int_equal(codec_plan_new(&fixture.options, &fixture.signature, &plan, &error), ERR_OK);
    int status = decode_pieces(&fixture, plan, test->media, test->body, cutting, &arena, &inputs,
                               &count, &error);
    if (status == ERR_OK) {
        fixture_print(&fixture, &inputs, text);
        codec_inputs_done(&inputs);
    } else {
        assert_int_equal(status, error.code);
        snprintf(text, FIXTURE_TEXT, "%s %s", status == ERR_INVALID ? "!" : "!!", error.text);
    }
    codec_plan_free(plan);
    arena_done(&arena);
    return count;
}

static bool is_wanted(const char *text, const char *want)
{
    size_t len = strlen(want);
    bool prefix = len > 0 && want[len - 1] == '*';
    return prefix ? strncmp(text, want, len - 1) == 0 : strcmp(text, want) == 0;
}

/* Returns how many pieces there were. */
static unsigned check_case(const struct piece_case *test, const struct cutting *cutting)
{
    char text[FIXTURE_TEXT];
    unsigned count = decode_to_text(test, cutting, text);
    if (!is_wanted(text, test->want)) {
        fail_msg("%s, reads of %zu, %u rows: %.*s\n  want %s\n  got  %s", test->signature,
                 cutting->read_bytes, (unsigned)cutting->rows, SLICE_FMT(test->body), test->want,
                 text);
    }
    return count;
}

/*
 * All read sizes, by one, two and three rows a piece; and everything at once (a whole array is
 * measured at once, too: then the message is another).
 */
static void check_case_all_ways(const struct piece_case *test)
{
    struct cutting all = {.read_bytes = NO_LIMIT,
                          .rows = 100,
                          .target_bytes = NO_LIMIT,
                          .max_bytes = NO_LIMIT,
                          .whole = true};
    if (test->media != MEDIA_NPY) {
        check_case(test, &all);
    }
    for (size_t read_bytes = 1; read_bytes <= test->body.len + 1; read_bytes++) {
        for (uint64_t rows = 1; rows <= 3; rows++) {
            struct cutting cutting = {.read_bytes = read_bytes,
                                      .rows = rows,
                                      .target_bytes = NO_LIMIT,
                                      .max_bytes = NO_LIMIT};
            check_case(test, &cutting);
        }
        struct cutting by_bytes = {
            .read_bytes = read_bytes, .rows = 100, .target_bytes = 1, .max_bytes = NO_LIMIT};
        check_case(test, &by_bytes);
    }
}

#define CHECK_CASES(cases)                                                                         \
    do {                                                                                           \
        for (size_t i = 0; i < sizeof(cases) / sizeof((cases)[0]); i++) {                          \
            check_case_all_ways(&(cases)[i]);                                                      \
        }                                                                                          \
    } while (0)

static void reads_csv_as_a_whole(void **state)
{
    (void)state;
    static const struct piece_case cases[] = {
        {MEDIA_CSV, SUM3, NULL, SLICE("1,2,3\n4,5,6\n7,8,9\n"), WANT_9},
        {MEDIA_CSV, SUM3, NULL, SLICE("1,2,3\r\n4,5,6\r\n7,8,9"), WANT_9},
        {MEDIA_CSV, SUM3, NULL, SLICE("a,b,c\n1,2,3\n4,5,6\n7,8,9\n"), WANT_9},
        {MEDIA_CSV, SUM3, NULL, SLICE("\xef\xbb\xbf\n \na,b,c\r1,2,3\r\r4,5,6\r7,8,9\r\r"), WANT_9},
        {MEDIA_CSV, SUM3, "header=true", SLICE("1,1,1\n1,2,3\n4,5,6\n7,8,9\n"), WANT_9},
        {MEDIA_CSV, SUM3, "names=a,b,c", SLICE("c,a,b\n3,1,2\n6,4,5\n9,7,8\n"), WANT_9},
        {MEDIA_CSV, SUM3, "ids=0", SLICE("x1,1,2,3\nx2,4,5,6\nx3,7,8,9\n"),
         "x float32[2,3] 4 5 6 7 8 9"}, /* a word makes a header, here as in a request */
        {MEDIA_CSV, PEOPLE, NULL, SLICE("city,age\n\"a\nb\",1\n\"c,\"\"d\"\"\",2\n\" e \",3\n"),
         "age int64[3,1] 1 2 3; city string[3,1] 'a\nb' 'c,\"d\"' ' e '"},
        {MEDIA_CSV, FREE, NULL, SLICE("1\n2\n3\n"), "x float32[3,1] 1 2 3"},
    };
    CHECK_CASES(cases);
}

static void reads_json_as_a_whole(void **state)
{
    (void)state;
    static const struct piece_case cases[] = {
        {MEDIA_JSON, SUM3, NULL, SLICE("[[1,2,3],[4,5,6],[7,8,9]]"), WANT_9},
        {MEDIA_JSON, SUM3, NULL, SLICE("\xef\xbb\xbf [ [1, 2,3]\n, [4,5,6],[7,8,9] ]\n "), WANT_9},
        {MEDIA_JSON, SUM3, NULL,
         SLICE("{\"a\":[[1],\"]\"],\"instances\":[[1,2,3],[4,5,6],[7,8,9]],\"b\":{}}"), WANT_9},
        {MEDIA_JSON, SUM3, NULL,
         SLICE("[{\"features\":[1,2,3]},{\"features\":[4,5,6]},{\"features\":[7,8,9]}]"), WANT_9},
        {MEDIA_JSON, SUM3, NULL, SLICE("[1,2,3]"), "x float32[1,3] 1 2 3"},
        {MEDIA_JSON, SUM3, NULL, SLICE("{\"features\":[1,2,3]}"), "x float32[1,3] 1 2 3"},
        {MEDIA_JSON, "x float32 N 1 2", NULL, SLICE("[[1,2]]"), "x float32[1,1,2] 1 2"},
        {MEDIA_JSON, "x float32 N", NULL, SLICE("[1,2,3]"), "x float32[3] 1 2 3"},
        {MEDIA_JSON, "s string N", NULL, SLICE("[\"a,\",\"[\\\"\",\"b\\\\\"]"),
         "s string[3] 'a,' '[\"' 'b\\'"},
        {MEDIA_JSON, PEOPLE, NULL,
         SLICE(
             "[{\"age\":1,\"city\":\"a\"},{\"city\":\"b\",\"age\":2},{\"age\":3,\"city\":\"c\"}]"),
         "age int64[3,1] 1 2 3; city string[3,1] 'a' 'b' 'c'"},
        {MEDIA_JSON, PEOPLE, NULL, SLICE("{\"age\":[1,2,3],\"city\":[\"a\",\"b\",\"c\"]}"),
         "age int64[3,1] 1 2 3; city string[3,1] 'a' 'b' 'c'"},
        {MEDIA_JSON, "a float32 N 1; b int64 N 1", "map=fa:a,fb:b",
         SLICE("[{\"fa\":1,\"fb\":2},{\"fa\":[3],\"fb\":4},{\"fb\":6,\"fa\":5}]"),
         "a float32[3,1] 1 3 5; b int64[3,1] 2 4 6"},
        {MEDIA_JSON, SUM3, NULL, SLICE("{\"\\u0069nstances\":[[1,2,3],[4,5,6],[7,8,9]]}"), WANT_9},
        {MEDIA_JSON, SUM3, NULL, SLICE("{\"instances\":0,\"instances\":[[1,2,3]]}"),
         "x float32[1,3] 1 2 3"},
    };
    CHECK_CASES(cases);
}

static void reads_json_lines_as_a_whole(void **state)
{
    (void)state;
    static const struct piece_case cases[] = {
        {MEDIA_JSONL, SUM3, NULL, SLICE("[1,2,3]\n[4,5,6]\n[7,8,9]\n"), WANT_9},
        {MEDIA_JSONL, SUM3, NULL, SLICE("\xef\xbb\xbf\n[1,2,3]\r\n\r\n[4,5,6]\n \t\n[7,8,9]"),
         WANT_9},
        {MEDIA_JSONL, SUM3, NULL, SLICE("{\"features\":[1,2,3]}\n[4,5,6]\n[7,8,9]\n\n"), WANT_9},
        {MEDIA_JSONL, PEOPLE, NULL,
         SLICE("{\"age\":1,\"city\":\"a\"}\n{\"city\":\"b\",\"age\":2}\n"),
         "age int64[2,1] 1 2; city string[2,1] 'a' 'b'"},
    };
    CHECK_CASES(cases);
}

#define NPY_3X3(order, last)                                                                       \
    "\x93NUMPY\x01\x00\x39\x00{'descr': '|u1', 'fortran_order': " order ", 'shape': (3, 3)}"       \
    "\x01\x02\x03\x04\x05\x06\x07\x08" last

static void reads_npy_as_a_whole(void **state)
{
    (void)state;
    static const struct piece_case cases[] = {
        {MEDIA_NPY, SUM3, NULL, SLICE(NPY_3X3("00000", "")), "! invalid npy header: *"},
        {MEDIA_NPY, SUM3, NULL, SLICE(NPY_3X3("False", "\x09")), WANT_9},
        {MEDIA_NPY, SUM3, NULL, SLICE(NPY_3X3("True ", "\x09")),
         "x float32[3,3] 1 4 7 2 5 8 3 6 9"},
        {MEDIA_NPY, SUM3, NULL, SLICE(NPY_3X3("False", "")),
         "! row 2 (byte 75): the npy file ends where 3 rows are expected"},
        {MEDIA_NPY, SUM3, NULL, SLICE(NPY_3X3("False", "\x09\x0a")),
         "! byte 76: the npy file goes on behind its 3 rows"},
        {MEDIA_NPY, "x int8 N 3", NULL, SLICE(NPY_3X3("False", "\xff")),
         "! row 2, column 2: 255 *"},
        {MEDIA_NPY, SUM3, NULL, SLICE("hello"), "! the payload is not an npy file"},
        {MEDIA_NPY, SUM3, NULL, SLICE(""), "! the payload is not an npy file"},
    };
    CHECK_CASES(cases);
}

static void names_places_in_the_whole(void **state)
{
    (void)state;
    static const struct piece_case cases[] = {
        {MEDIA_CSV, SUM3, NULL, SLICE("1,2,3\n\n4,5,6\n7,x,9\n"),
         "! line 4, row 2, column 1: \"x\" is not a number*"},
        {MEDIA_CSV, SUM3, NULL, SLICE("a,b,c\n1,2,3\n\n4,5,6\n7,x,9\n"),
         "! line 5, row 2, column 1: \"x\" is not a number*"},
        {MEDIA_CSV, PEOPLE, NULL, SLICE("city,age\n\"a\r\nb\",1\n\"c\nd\",2\ne,x\n"),
         "! line 6, row 2, column 1: \"x\" is not a number*"},
        {MEDIA_CSV, FREE, NULL, SLICE("1,2\n3,4\n5,6\n7\n"),
         "! line 4, row 3: 1 cell where the first line has 2"},
        {MEDIA_CSV, FREE, NULL, SLICE("1,2\n3,4\n5,6\n7,8,9\n"),
         "! line 4, row 3: 3 cells where the first line has 2"},
        {MEDIA_CSV, FREE, NULL, SLICE("1,2\n3,4\n5,6\nx,7\n"),
         "! line 4, row 3, column 0: \"x\" is not a number*"},
        {MEDIA_CSV, SUM3, NULL, SLICE("1,2,3\n4,5,6\n7,8,\xff\n"), "! invalid UTF-8 at byte 16"},
        {MEDIA_CSV, SUM3, NULL, SLICE("1,2,3\n4,5,6\n\"7,8,9\n"),
         "! line 3: a quote is not closed"},
        {MEDIA_CSV, SUM3, NULL, SLICE("a,b,c\n"), "! the payload has a header but no rows"},
        {MEDIA_CSV, SUM3, NULL, SLICE(""), "! the payload has no rows"},
        {MEDIA_CSV, SUM3, NULL, SLICE("\n \n"), "! the payload has no rows"},
        {MEDIA_JSON, SUM3, NULL, SLICE("[[1,2,3],[4,5,6],[7,8]]"),
         "! row 2: 2 values where the first row has 3*"},
        {MEDIA_JSON, FREE, NULL, SLICE("[[1],[2],[3],4,[5]]"), "x float32[5,1] 1 2 3 4 5"},
        {MEDIA_JSON, FREE, NULL, SLICE("[[1,2],[3,4],5,6]"),
         "! row 2: a number where the first row has an array of 2*"},
        {MEDIA_JSON, FREE, NULL, SLICE("[[1,2],[3,4],{\"features\":[5,6]}]"),
         "! row 2: an object where the first row has an array of 2*"},
        {MEDIA_JSON, FREE, NULL, SLICE("[{\"features\":[1,2]},{\"features\":[3,4]},[5,6]]"),
         "! row 2: an array where an object with the key \"features\" is expected"},
        {MEDIA_JSON, SUM3, NULL, SLICE("[[1,2,3],[4,5,6],[7,8,9}]"), "! invalid JSON at byte 23*"},
        {MEDIA_JSON, SUM3, NULL, SLICE("[[1,2,3],[4,5,6],]"), "! invalid JSON at byte 16*"},
        {MEDIA_JSON, SUM3, NULL, SLICE("[[1,2,3],[4,5,6],[7,8,9]"), "! invalid JSON at byte 24*"},
        {MEDIA_JSON, SUM3, NULL, SLICE("[[1,2,3],[4,5,6]] []"), "! invalid JSON at byte 18*"},
        {MEDIA_JSON, SUM3, NULL, SLICE("{\"instances\":[[1,2,3],[4,5,6]],}"),
         "! invalid JSON at byte 30*"},
        {MEDIA_JSON, SUM3, NULL, SLICE("{\"a\":tru,\"instances\":[[1,2,3],[4,5,6]]}"),
         "! invalid JSON at byte 5*"},
        {MEDIA_JSON, SUM3, NULL, SLICE("[]"), "! the payload has no rows"},
        {MEDIA_JSON, SUM3, NULL, SLICE(""), "! invalid JSON at byte 0*"},
        {MEDIA_JSON, PEOPLE, NULL, SLICE("[{\"age\":1,\"city\":\"a\"},{\"x\":1}]"),
         "! row 1: the record has no value for input \"age\""},
        {MEDIA_JSONL, SUM3, NULL, SLICE("[1,2,3]\n\n[4,5,6]\n[7,8]\n"),
         "! line 4, row 2: 2 values where the first row has 3*"},
        {MEDIA_JSONL, SUM3, NULL, SLICE("[1,2,3]\n\n[4,5,6]\n[7,8\n"),
         "! line 4, row 2: invalid JSON at byte 21*"},
        {MEDIA_JSONL, SUM3, NULL, SLICE("[1,2,3]\n[4,5,6]\n[7,8,\"\xff\"]\n"),
         "! line 3, row 2: invalid UTF-8 at byte 22"},
        {MEDIA_JSONL, SUM3, NULL, SLICE("\n"), "! the payload has no rows"},
    };
    CHECK_CASES(cases);
}

static void repeats_no_key_behind_its_array(void **state)
{
    (void)state;
    struct piece_case test = {MEDIA_JSON, SUM3, NULL,
                              SLICE("{\"instances\":[[1,2,3],[4,5,6]],\"instances\":[[7,8,9]]}"),
                              "! byte 42: behind the array of \"instances\" that key comes again*"};
    struct cutting cutting = {
        .read_bytes = 8, .rows = 1, .target_bytes = NO_LIMIT, .max_bytes = NO_LIMIT};
    check_case(&test, &cutting);
    cutting.rows = 100; /* nothing was cut off yet: then the last counts, as in a request */
    test.want = "x float32[1,3] 7 8 9";
    assert_int_equal(check_case(&test, &cutting), 1);
}

static void cuts_by_rows_and_bytes(void **state)
{
    (void)state;
    static const struct {
        struct cutting cutting;
        unsigned want;
    } cuts[] = {
        {{.read_bytes = 5, .rows = 1, .target_bytes = NO_LIMIT, .max_bytes = NO_LIMIT}, 3},
        {{.read_bytes = 5, .rows = 2, .target_bytes = NO_LIMIT, .max_bytes = NO_LIMIT}, 2},
        {{.read_bytes = 5, .rows = 3, .target_bytes = NO_LIMIT, .max_bytes = NO_LIMIT}, 1},
        {{.read_bytes = 5, .rows = 9, .target_bytes = 1, .max_bytes = NO_LIMIT}, 1},
        {{.read_bytes = 5, .rows = 2, .target_bytes = 1, .max_bytes = NO_LIMIT, .exact = true}, 2},
        {{.read_bytes = 5, .rows = 1, .target_bytes = 1, .max_bytes = NO_LIMIT, .whole = true}, 1},
    };
    static const struct piece_case cases[] = {
        {MEDIA_CSV, SUM3, NULL, SLICE("a,b,c\n1,2,3\n4,5,6\n7,8,9\n\n"), WANT_9},
        {MEDIA_JSON, SUM3, NULL, SLICE("[[1,2,3],[4,5,6],[7,8,9]]"), WANT_9},
        {MEDIA_JSONL, SUM3, NULL, SLICE("[1,2,3]\n[4,5,6]\n[7,8,9]\n\n"), WANT_9},
        {MEDIA_NPY, SUM3, NULL, SLICE(NPY_3X3("False", "\x09")), WANT_9},
    };
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
            unsigned got = check_case(&cases[j], &cuts[i].cutting);
            /* A byte as the target is reached by each row; a start is repeated four times over. */
            bool by_bytes = cuts[i].cutting.target_bytes == 1 && !cuts[i].cutting.exact &&
                            !cuts[i].cutting.whole;
            unsigned want = by_bytes && cases[j].media == MEDIA_NPY ? 3 : cuts[i].want;
            if (got != want) {
                fail_msg("cut %zu, case %zu: %u pieces", i, j, got);
            }
        }
    }
}

/* Batches of fixed size: the model takes exactly two rows. */
static void fills_fixed_batches(void **state)
{
    (void)state;
    static const char signature[] = "x float32 2 3";
    struct cutting cutting = {
        .read_bytes = 7, .rows = 2, .target_bytes = 1, .max_bytes = NO_LIMIT, .exact = true};
    static const struct piece_case cases[] = {
        {MEDIA_CSV, signature, NULL, SLICE("a,b,c\n1,2,3\n4,5,6\n1,2,3\n7,8,9\n"),
         "x float32[4,3] 1 2 3 4 5 6 1 2 3 7 8 9"},
        {MEDIA_CSV, signature, NULL, SLICE("1,2,3\n4,5,6\n1,2,3\n7,8,9\n"),
         "x float32[4,3] 1 2 3 4 5 6 1 2 3 7 8 9"},
        {MEDIA_JSON, signature, NULL, SLICE("[[1,2,3],[4,5,6],[1,2,3],[7,8,9]]"),
         "x float32[4,3] 1 2 3 4 5 6 1 2 3 7 8 9"},
        {MEDIA_CSV, signature, NULL, SLICE("1,2,3\n4,5,6\n7,8,9\n"),
         "! input \"x\" takes exactly 2 rows a request, got 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(&cases[i], &cutting);
    }
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct cutting small = {.read_bytes = 5, .rows = 2, .target_bytes = 1, .max_bytes = 20};
    static const struct piece_case cases[] = {
        {MEDIA_CSV, FREE, NULL, SLICE("1\n2\n123456789012345678901234567890\n"),
         "! row 2 (byte 4): longer than 20 bytes"},
        {MEDIA_JSONL, FREE, NULL, SLICE("[1]\n[123456789012345678901234567890]\n"),
         "! row 1 (byte 4): longer than 20 bytes"},
        {MEDIA_JSON, FREE, NULL, SLICE("[[1],[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
         "! row 1 (byte 5): longer than 20 bytes"},
        {MEDIA_JSON, FREE, NULL, SLICE("[1,2,3,4,5,6,7,8,9,10,11,12]"),
         "! the input cannot be cut into rows and is larger than the 20 bytes that may be read at "
         "once"},
        {MEDIA_NPY, FREE, NULL, SLICE(NPY_3X3("False", "\x09")), "! *"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(&cases[i], &small);
    }
    struct cutting exact = small;
    exact.rows = 8;
    exact.exact = true;
    static const struct piece_case batch = {
        MEDIA_CSV, FREE, NULL, SLICE("10\n20\n30\n40\n50\n60\n70\n80\n"),
        "! row 6 (byte 18): 8 rows, of which this is one, are longer than 20 bytes"};
    check_case(&batch, &exact);
    struct cutting whole = small;
    whole.whole = true;
    static const struct piece_case all = {
        MEDIA_CSV, FREE, NULL, SLICE("10\n20\n30\n40\n50\n60\n70\n80\n"),
        "! the input cannot be cut into rows (the rows of this model may depend on each other, "
        "or BATCHING is off) and is larger than the 20 bytes that may be read at once"};
    check_case(&all, &whole);
}

/* What was cut off too early comes again, as a whole. */
static void takes_the_first_piece_back(void **state)
{
    (void)state;
    static const struct {
        enum media media;
        struct slice body;
    } cases[] = {
        {MEDIA_CSV, SLICE("a,b,c\n1,2,3\n4,5,6\n7,8,9\n")},
        {MEDIA_JSON, SLICE("{\"instances\":[[1,2,3],[4,5,6],[7,8,9]]}")},
        {MEDIA_JSONL, SLICE("[1,2,3]\n[4,5,6]\n[7,8,9]")},
        {MEDIA_NPY, SLICE(NPY_3X3("False", "\x09"))},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct codec_fixture fixture;
        struct codec_plan *plan;
        struct pieces pieces;
        struct piece piece;
        struct error error;
        bool found = false;
        fixture_init(&fixture, SUM3, "y float32 N 1", NULL);
        assert_int_equal(codec_plan_new(&fixture.options, &fixture.signature, &plan, &error),
                         ERR_OK);
        struct piece_rules rules = {.media = cases[i].media,
                                    .plan = plan,
                                    .options = &fixture.options,
                                    .rows = 1,
                                    .target_bytes = NO_LIMIT,
                                    .max_bytes = NO_LIMIT};
        struct memory_source memory = {cases[i].body, 6};
        pieces_init(&pieces, &rules, (struct source){memory_source_read, &memory});
        assert_int_equal(pieces_next(&pieces, &piece, &found, &error), ERR_OK);
        assert_true(found && piece.rows == 1);
        assert_false(pieces_are_whole(&pieces));
        pieces_take_back(&pieces);
        assert_true(pieces_are_whole(&pieces));
        assert_int_equal(pieces_next(&pieces, &piece, &found, &error), ERR_OK);
        assert_true(found);
        assert_int_equal(piece.origin.skipped_rows, 0);
        struct slice got = piece.body;
        struct slice want = cases[i].body;
        if (cases[i].media == MEDIA_NPY) { /* under a header of our own */
            got = slice_tail(got, got.len - 9);
            want = slice_tail(want, want.len - 9);
        }
        assert_true(slice_eq(got, want));
        assert_int_equal(pieces_next(&pieces, &piece, &found, &error), ERR_OK);
        assert_false(found);
        pieces_done(&pieces);
        codec_plan_free(plan);
    }
}

/* Every allocation fails in turn: one clean status, nothing leaks. */
static void survives_missing_memory(void **state)
{
    (void)state;
    static const struct piece_case cases[] = {
        {MEDIA_CSV, PEOPLE, NULL, SLICE("city,age\n\"a\"\"\",1\nb,2\n"), ""},
        {MEDIA_JSON, SUM3, NULL, SLICE("{\"instances\":[[1,2,3],[4,5,6],[7,8,9]]}"), ""},
        {MEDIA_NPY, SUM3, NULL, SLICE(NPY_3X3("False", "\x09")), ""},
    };
    struct cutting cutting = {
        .read_bytes = 9, .rows = 1, .target_bytes = NO_LIMIT, .max_bytes = NO_LIMIT};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct codec_fixture fixture;
        struct codec_plan *plan;
        struct error error;
        fixture_init(&fixture, cases[i].signature, "y float32 N 1", NULL);
        assert_int_equal(codec_plan_new(&fixture.options, &fixture.signature, &plan, &error),
                         ERR_OK);
        int status = ERR_NO_MEMORY;
        unsigned failures = 0;
        for (uint64_t nth = 1; status != ERR_OK; nth++) {
            struct codec_inputs inputs;
            struct arena arena;
            unsigned count;
            arena_init(&arena, 64, ARENA_MAX);
            mem_fail_nth(nth);
            status = decode_pieces(&fixture, plan, cases[i].media, cases[i].body, &cutting, &arena,
                                   &inputs, &count, &error);
            mem_fail_nth(0);
            if (status == ERR_OK) {
                codec_inputs_done(&inputs);
            } else {
                assert_int_equal(status, ERR_NO_MEMORY);
                failures++;
            }
            arena_done(&arena);
            buffer_recycler_done();
        }
        assert_true(failures > 5);
        codec_plan_free(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_csv_as_a_whole),
        cmocka_unit_test(reads_json_as_a_whole),
        cmocka_unit_test(reads_json_lines_as_a_whole),
        cmocka_unit_test(reads_npy_as_a_whole),
        cmocka_unit_test(names_places_in_the_whole),
        cmocka_unit_test(repeats_no_key_behind_its_array),
        cmocka_unit_test(cuts_by_rows_and_bytes),
        cmocka_unit_test(fills_fixed_batches),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(takes_the_first_piece_back),
        cmocka_unit_test(survives_missing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
