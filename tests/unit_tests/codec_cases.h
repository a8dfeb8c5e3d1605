/* Running tables of decoder tests: a signature, options, a body, and what comes of it as text. */
#ifndef CODEC_CASES_H
#define CODEC_CASES_H

#include "base/mem.h"
#include "unit_tests/codec_fixture.h"
#include "unit_tests/testing.h"

struct decode_case {
    const char *signature;
    const char *options; /* NULL: the defaults */
    struct slice body;
    const char *
        want; /* inputs as fixture_print writes them, or "! " and the error's text; `*` ends a prefix */
};

#define BODY(literal) SLICE(literal)
#define CASE_ARENA_MAX ((size_t)1 << 26)

static inline void decode_to_text(enum media media, const struct decode_case *test,
                                  char text[FIXTURE_TEXT])
{
    struct codec_fixture fixture;
    struct codec_plan *plan = NULL;
    struct codec_inputs inputs;
    struct error error = {.code = ERR_OK};
    struct arena arena;
    fixture_init(&fixture, test->signature, "y float32 N 1", test->options);
    arena_init(&arena, 4096, CASE_ARENA_MAX);
    int status = codec_plan_new(&fixture.options, &fixture.signature, &plan, &error);
    if (status == ERR_OK) {
        status = codec_decode(plan, media, test->body, &arena, &inputs, &error);
        if (status == ERR_OK) {
            fixture_print(&fixture, &inputs, text);
            codec_inputs_done(&inputs);
        }
    }
    if (status != ERR_OK) {
        assert_int_equal(status, error.code);
        snprintf(text, FIXTURE_TEXT, "%s %s", status == ERR_INVALID ? "!" : "!!", error.text);
    }
    codec_plan_free(plan);
    arena_done(&arena);
}

static inline bool is_wanted(const char *text, const char *want)
{
    size_t len = strlen(want);
    bool prefix = len > 0 && want[len - 1] == '*';
    return prefix ? strncmp(text, want, len - 1) == 0 : strcmp(text, want) == 0;
}

static inline void run_cases(enum media media, const struct decode_case *cases, size_t count)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        char text[FIXTURE_TEXT];
        decode_to_text(media, &cases[i], text);
        if (!is_wanted(text, cases[i].want)) {
            print_error("case %zu (%s | %s): %.*s\n  want %s\n  got  %s\n", i, cases[i].signature,
                        cases[i].options == NULL ? "" : cases[i].options,
                        (int)(cases[i].body.len < 200 ? cases[i].body.len : 200), cases[i].body.ptr,
                        cases[i].want, text);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

#define RUN_CASES(media, cases) run_cases(media, cases, sizeof(cases) / sizeof((cases)[0]))

/* Fails every allocation in turn: each run either succeeds or says ERR_NO_MEMORY, without a leak. */
static inline void torture(enum media media, const struct decode_case *test)
{
    struct codec_fixture fixture;
    fixture_init(&fixture, test->signature, "y float32 N 1", test->options);
    int status = ERR_NO_MEMORY;
    unsigned failures = 0;
    for (uint64_t nth = 1; status != ERR_OK; nth++) {
        struct codec_plan *plan = NULL;
        struct codec_inputs inputs;
        struct error error;
        struct arena arena;
        arena_init(&arena, 64, CASE_ARENA_MAX); /* small blocks: many allocations */
        mem_fail_nth(nth);
        status = codec_plan_new(&fixture.options, &fixture.signature, &plan, &error);
        if (status == ERR_OK) {
            status = codec_decode(plan, media, test->body, &arena, &inputs, &error);
        }
        mem_fail_nth(0);
        if (status == ERR_OK) {
            codec_inputs_done(&inputs);
        } else {
            assert_int_equal(status, ERR_NO_MEMORY);
            failures++;
        }
        codec_plan_free(plan);
        arena_done(&arena);
        buffer_recycler_done();
    }
    assert_true(failures > 3);
}

#endif
