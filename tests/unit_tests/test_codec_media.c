/* Media types: what a Content-Type means, what an Accept asks for. */
#include "codec/codec.h"
#include "unit_tests/testing.h"

static void parses_content_types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum media media;
    } cases[] = {
        {"application/json", MEDIA_JSON},
        {"Application/JSON", MEDIA_JSON},
        {"application/json; charset=utf-8", MEDIA_JSON},
        {"application/json;charset=utf-8", MEDIA_JSON},
        {" application/json ; a=b", MEDIA_JSON},
        {"application/problem+json", MEDIA_JSON},
        {"application/vnd.api+JSON;v=1", MEDIA_JSON},
        {"application/+json", MEDIA_JSON},
        {"application/jsonlines", MEDIA_JSONL},
        {"application/x-jsonlines", MEDIA_JSONL},
        {"application/jsonl", MEDIA_JSONL},
        {"application/x-ndjson", MEDIA_JSONL},
        {"text/csv", MEDIA_CSV},
        {"TEXT/CSV; header=present", MEDIA_CSV},
        {"application/csv", MEDIA_CSV},
        {"application/x-npy", MEDIA_NPY},
        {"", MEDIA_NONE},
        {";", MEDIA_NONE},
        {"/", MEDIA_NONE},
        {"json", MEDIA_NONE},
        {"+json", MEDIA_NONE},
        {"text/json", MEDIA_NONE},
        {"application/jsonx", MEDIA_NONE},
        {"application/json/x", MEDIA_NONE},
        {"application /json", MEDIA_NONE},
        {"application/octet-stream", MEDIA_NONE},
        {"text/plain", MEDIA_NONE},
        {"application/x-json+xml", MEDIA_NONE},
        {"*/*", MEDIA_NONE},
        {"text/csv, application/json", MEDIA_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum media media = media_parse(slice_from_str(cases[i].text));
        if (media != cases[i].media) {
            fail_msg("'%s' came out as %d", cases[i].text, (int)media);
        }
    }
    assert_int_equal(media_parse((struct slice){NULL, 0}), MEDIA_NONE);
}

static void every_answer_parses_as_itself(void **state)
{
    (void)state;
    for (enum media media = MEDIA_JSON; media <= MEDIA_NPY; media++) {
        assert_int_equal(media_parse(media_content_type(media)), media);
    }
}

static void negotiates(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        enum media fallback;
        enum media media;
    } cases[] = {
        /* nothing said, or nothing that we have */
        {"", MEDIA_JSON, MEDIA_JSON},
        {"", MEDIA_CSV, MEDIA_CSV},
        {" ", MEDIA_CSV, MEDIA_CSV},
        {",,;,", MEDIA_CSV, MEDIA_CSV},
        {"*/*", MEDIA_JSON, MEDIA_JSON},
        {"*/*", MEDIA_CSV, MEDIA_CSV},
        {"*/*;q=0.1", MEDIA_NPY, MEDIA_NPY},
        {"*", MEDIA_CSV, MEDIA_CSV},
        {"image/png", MEDIA_CSV, MEDIA_CSV},
        {"image/*, text/html", MEDIA_JSON, MEDIA_JSON},
        {"*/*;q=0", MEDIA_JSON, MEDIA_JSON},
        {"application/jsonlines", MEDIA_JSON, MEDIA_JSON},
        {"nonsense", MEDIA_JSON, MEDIA_JSON},
        {"*/*", MEDIA_JSONL, MEDIA_JSONL},
        {"text/csv", MEDIA_JSONL, MEDIA_CSV},
        {"image/png", MEDIA_NONE, MEDIA_NONE},
        {"application/x-npy", MEDIA_NONE, MEDIA_NPY},
        /* one of ours */
        {"text/csv", MEDIA_JSON, MEDIA_CSV},
        {"TEXT/Csv", MEDIA_JSON, MEDIA_CSV},
        {"application/csv", MEDIA_JSON, MEDIA_CSV},
        {"application/json", MEDIA_CSV, MEDIA_JSON},
        {"application/problem+json", MEDIA_CSV, MEDIA_JSON},
        {"application/x-npy", MEDIA_JSON, MEDIA_NPY},
        {"text/csv; charset=utf-8", MEDIA_JSON, MEDIA_CSV},
        {"text/csv;q=0.001", MEDIA_JSON, MEDIA_CSV},
        /* several: the weight decides, then the order */
        {"text/csv, application/json", MEDIA_JSON, MEDIA_CSV},
        {"application/json, text/csv", MEDIA_CSV, MEDIA_JSON},
        {"application/json;q=0.5, text/csv;q=0.6", MEDIA_JSON, MEDIA_CSV},
        {"application/json;q=0.6, text/csv;q=0.5", MEDIA_CSV, MEDIA_JSON},
        {"text/csv;q=0.5, application/json;q=0.5", MEDIA_JSON, MEDIA_CSV},
        {"text/csv;q=0.9,application/x-npy,application/json;q=0.8", MEDIA_JSON, MEDIA_NPY},
        {"text/html,text/csv;q=0.2,image/png", MEDIA_JSON, MEDIA_CSV},
        {"text/csv;q=0.123, application/json;q=0.124", MEDIA_CSV, MEDIA_JSON},
        {"text/csv;q=0.2, text/csv;q=0.9, application/json;q=0.5", MEDIA_JSON, MEDIA_CSV},
        /* not wanted */
        {"text/csv;q=0", MEDIA_JSON, MEDIA_JSON},
        {"application/json;q=0, text/csv;q=0.1", MEDIA_JSON, MEDIA_CSV},
        {"application/json;q=0.000, */*;q=0.1", MEDIA_JSON, MEDIA_CSV},
        {"*/*, application/json;q=0", MEDIA_JSON, MEDIA_CSV},
        {"*/*, text/csv;q=0, application/json;q=0", MEDIA_JSON, MEDIA_NPY},
        /* ranges: the closest one counts, whatever its place */
        {"text/*", MEDIA_JSON, MEDIA_CSV},
        {"TEXT/*", MEDIA_JSON, MEDIA_CSV},
        {"application/*", MEDIA_CSV, MEDIA_JSON},
        {"application/*", MEDIA_NPY, MEDIA_NPY},
        {"text/*;q=0.4, application/*;q=0.5", MEDIA_CSV, MEDIA_JSON},
        {"text/*, text/csv;q=0.1, application/json;q=0.5", MEDIA_JSON, MEDIA_JSON},
        {"*/*, text/*;q=0.1", MEDIA_CSV, MEDIA_JSON},
        {"text/csv;q=0.5, */*", MEDIA_CSV, MEDIA_JSON},
        {"text/csv, */*;q=0.1", MEDIA_JSON, MEDIA_CSV},
        {"text/html, application/xhtml+xml, */*;q=0.8", MEDIA_CSV, MEDIA_CSV},
        {"*/csv", MEDIA_JSON, MEDIA_JSON},
        /* weights as they are sent: any case, spaces, in any place, few or many digits */
        {"text/csv ; Q=0.1 , application/json ; q = 0.2", MEDIA_CSV, MEDIA_JSON},
        {"text/csv;a=b;q=0.1, application/json;q=0.2;ext=1", MEDIA_CSV, MEDIA_JSON},
        {"text/csv;q=.5, application/json;q=.4", MEDIA_JSON, MEDIA_CSV},
        {"text/csv;q=1., application/json;q=0.9999", MEDIA_JSON, MEDIA_CSV},
        {"text/csv;q=1.000, application/json;q=0.12345678901234567890", MEDIA_JSON, MEDIA_CSV},
        /* weights that cannot be read: the range is as if it were not there */
        {"text/csv;q=high", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=.", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=1.001", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=2", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=-1", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=0.5.5", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=1e0", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=11", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=\"1\"", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;q=bad, text/csv;q=0.5, application/json;q=0.4", MEDIA_JSON, MEDIA_CSV},
        /* quoted strings hide separators */
        {"text/csv;a=\"x, application/json\"", MEDIA_JSON, MEDIA_CSV},
        {"text/csv;a=\"b;q=0\", application/json;q=0.5", MEDIA_JSON, MEDIA_CSV},
        {"text/csv;a=\"\\\",\", application/json;q=0.5", MEDIA_JSON, MEDIA_CSV},
        {"text/html;a=\"unclosed, text/csv", MEDIA_JSON, MEDIA_JSON},
        {"text/csv;a=\"\\", MEDIA_JSON, MEDIA_CSV},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum media media = media_negotiate(slice_from_str(cases[i].accept), cases[i].fallback);
        if (media != cases[i].media) {
            fail_msg("'%s' came out as %d", cases[i].accept, (int)media);
        }
    }
    assert_int_equal(media_negotiate((struct slice){NULL, 0}, MEDIA_CSV), MEDIA_CSV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_content_types),
        cmocka_unit_test(every_answer_parses_as_itself),
        cmocka_unit_test(negotiates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
