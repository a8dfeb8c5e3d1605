/* The served OpenAPI document: what is replaced, what stays, whatever a model is called. */
#include "serve/openapi.h"

#include "base/mem.h"
#include "serve/assets.h"
#include "unit_tests/testing.h"
#include "unit_tests/written_text.h"

#define DOCUMENT                                                                                   \
    SLICE("a: 1\n"                                                                                 \
          "      # --- loaded model: begin ---\n"                                                  \
          "      general: 2\n"                                                                     \
          "      # --- loaded model: end ---\n"                                                    \
          "z: 3\n")

static struct port input = {.name = SLICE("x"),
                            .kind = PORT_TENSOR,
                            .dtype = DTYPE_I8,
                            .rank_known = true,
                            .rank = 2,
                            .dims = {-1, 2},
                            .type_text = SLICE("int8[N, 2]")};
static struct port output = {
    .name = SLICE("y"), .kind = PORT_SEQUENCE, .type_text = SLICE("sequence(map(int64, float32))")};
static const struct signature signature = {
    .inputs = &input, .input_count = 1, .outputs = &output, .output_count = 1};

static struct openapi_model small_model(void)
{
    return (struct openapi_model){
        .name = SLICE("small"), .version = SLICE("7"), .signature = &signature, .ready = true};
}

static char text[OPENAPI_MAX_BYTES + 1];

/* Writes the document into `text`, NUL-terminated. */
static void write_text(const struct openapi_model *model)
{
    struct bytes out;
    bytes_init(&out, OPENAPI_MAX_BYTES);
    struct error error;
    assert_int_equal(openapi_write_from(DOCUMENT, model, &out, &error), ERR_OK);
    take_text(&out, text);
}

static void expect_text(const char *part)
{
    assert_holds(text, part);
}

static void replaces_the_block_alone(void **state)
{
    (void)state;
    struct openapi_model model = small_model();
    write_text(&model);
    assert_int_equal(strncmp(text, "a: 1\n      description: \"", 25), 0);
    assert_string_equal(text + strlen(text) - strlen("\nz: 3\n"), "\nz: 3\n");
    assert_null(strstr(text, "general"));
    assert_null(strstr(text, "loaded model:"));
}

static void describes_the_model(void **state)
{
    (void)state;
    struct openapi_model model = small_model();
    write_text(&model);
    expect_text("The loaded model is **small**, version **7**");
    expect_text("\\n* input **x**: int8\\\\[N\\\\, 2\\\\]\\n* output **y**: sequence");
    expect_text("          - {name: \"x\", kind: tensor, dtype: int8, shape: [-1, 2], "
                "type: \"int8[N, 2]\"}\n");
    expect_text("          - {name: \"y\", kind: sequence, type: ");
    expect_text("{type: array, minItems: 1, items: {type: array, minItems: 2, maxItems: 2, items: "
                "{type: integer, minimum: -128, maximum: 127}}}");
    expect_text("                value: [[1, 1]]\n");
    expect_text("                value: \"[1,1]\\n\"\n");
    expect_text("                value: \"1,1\\n\"\n");
}

static void names_features(void **state)
{
    (void)state;
    const struct slice names[] = {SLICE("age"), SLICE("in\"come")};
    struct openapi_model model = small_model();
    model.feature_names = names;
    model.feature_name_count = 2;
    write_text(&model);
    expect_text("Features, in order: age, in\\\\\\\"come");
    expect_text("        features: [\"age\", \"in\\\"come\"]\n");
    expect_text("                value: \"age,\\\"in\\\"\\\"come\\\"\\n1,1\\n\"\n");
}

static void prefers_the_manifests_example(void **state)
{
    (void)state;
    struct openapi_model model = small_model();
    model.example_content_type = SLICE("application/json; charset=utf-8");
    model.example_body = SLICE("{\"instances\": [[3,4]]}");
    write_text(&model);
    expect_text("                summary: The manifest's example\n"
                "                value: {\"instances\": [[3, 4]]}\n");
    assert_null(strstr(text, "value: [[1, 1]]"));

    model.example_content_type = SLICE("text/csv");
    model.example_body = SLICE("5,6\n");
    write_text(&model);
    expect_text("value: \"5,6\\n\"\n");
    expect_text("value: [[1, 1]]\n");
    const char *csv = strstr(text, "text/csv:");
    const char *json = strstr(text, "application/json:");
    assert_non_null(csv);
    assert_non_null(json);
    assert_true(csv < json); /* what the page offers first */
}

static void builds_an_example_where_the_manifests_is_no_json(void **state)
{
    (void)state;
    struct openapi_model model = small_model();
    model.example_content_type = SLICE("application/json");
    model.example_body = SLICE("[[1,2]]\ninjected: true");
    write_text(&model);
    assert_null(strstr(text, "injected"));
    expect_text("value: [[1, 1]]\n");
}

static void lets_no_name_out_of_its_quotes(void **state)
{
    (void)state;
    struct port hostile = input;
    hostile.name = SLICE("x\"\n      responses: {}\n# \xff");
    const struct signature with_hostile = {.inputs = &hostile, .input_count = 1};
    struct openapi_model model = small_model();
    model.name = hostile.name;
    model.version = hostile.name;
    model.signature = &with_hostile;
    write_text(&model);
    assert_null(strstr(text, "\n      responses"));
    expect_text("        name: \"x\\\"\\n      responses: {}\\n# \xef\xbf\xbd\"\n");
    expect_text("                    ? \"x\\\"\\n      responses: {}");
}

static void stays_general_without_a_model(void **state)
{
    (void)state;
    struct openapi_model model = {.ready = false};
    write_text(&model);
    assert_true(slice_eq(slice_from_str(text), DOCUMENT));
    model = small_model();
    model.ready = false;
    write_text(&model);
    assert_true(slice_eq(slice_from_str(text), DOCUMENT));
}

static void refuses_a_document_without_marks(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "", "a: 1\n", "# --- loaded model: begin ---\n",
        "# --- loaded model: end ---\n# --- loaded model: begin ---\n"};
    struct openapi_model model = small_model();
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        struct bytes out;
        bytes_init(&out, OPENAPI_MAX_BYTES);
        struct error error;
        assert_int_equal(openapi_write_from(slice_from_str(documents[i]), &model, &out, &error),
                         ERR_INTERNAL);
        assert_int_equal(bytes_len(&out), 0);
        bytes_done(&out);
    }
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    struct openapi_model model = small_model();
    for (uint64_t nth = 1;; nth++) {
        struct bytes out;
        bytes_init(&out, OPENAPI_MAX_BYTES);
        struct error error;
        mem_fail_nth(nth);
        int status = openapi_write(&model, &out, &error);
        mem_fail_nth(0);
        bytes_done(&out);
        if (status == ERR_OK) {
            assert_true(nth > 3);
            return;
        }
        assert_int_equal(status, ERR_NO_MEMORY);
    }
}

static void embeds_the_page_and_what_it_loads(void **state)
{
    (void)state;
    static const char *const paths[] = {"/docs/docs.js", "/docs/docs.css",
                                        "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css",
                                        "/docs/favicon.png"};
    const struct asset *page = asset_find(SLICE("/docs"));
    assert_non_null(page);
    assert_true(page->policy.len > 0);
    struct slice html = asset_bytes(page);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct asset *asset = asset_find(slice_from_str(paths[i]));
        assert_non_null(asset);
        struct slice bytes = asset_bytes(asset);
        assert_true(bytes.len > 0);
        /* RFC 1952 section 2.3.1: the magic number of a gzip member. */
        assert_int_equal(asset->gzip, memcmp(bytes.ptr, "\x1f\x8b", 2) == 0);
        assert_non_null(memmem(html.ptr, html.len, paths[i] + 1, strlen(paths[i]) - 1));
    }
    assert_null(asset_find(SLICE("/docs/")));
    assert_null(asset_find(SLICE("/docs/nope")));
    assert_null(asset_find(SLICE("/openapi.yaml")));
    assert_true(slice_starts_with(asset_openapi(), SLICE("# The HTTP interface of onnxd")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_the_block_alone),
        cmocka_unit_test(describes_the_model),
        cmocka_unit_test(names_features),
        cmocka_unit_test(prefers_the_manifests_example),
        cmocka_unit_test(builds_an_example_where_the_manifests_is_no_json),
        cmocka_unit_test(lets_no_name_out_of_its_quotes),
        cmocka_unit_test(stays_general_without_a_model),
        cmocka_unit_test(refuses_a_document_without_marks),
        cmocka_unit_test(survives_every_failed_allocation),
        cmocka_unit_test(embeds_the_page_and_what_it_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
