/* What the page at /ui is told, as JSON, whatever a model and its manifest hold. */
#include "serve/ui.h"

#include "base/mem.h"
#include "unit_tests/testing.h"
#include "unit_tests/written_text.h"

#define OUT_MAX (1 << 20)

static struct port input = {.name = SLICE("x"),
                            .kind = PORT_TENSOR,
                            .dtype = DTYPE_F32,
                            .rank_known = true,
                            .rank = 2,
                            .dims = {-1, 2},
                            .type_text = SLICE("float32[N, 2]")};
static struct port outputs[] = {
    {.name = SLICE("label"), .kind = PORT_TENSOR, .dtype = DTYPE_I64, .type_text = SLICE("int64")},
    {.name = SLICE("scores"), .kind = PORT_SEQUENCE, .type_text = SLICE("sequence(float32)")},
};
static const struct signature signature = {
    .inputs = &input, .input_count = 1, .outputs = outputs, .output_count = 2};
static const struct manifest no_manifest;
static const size_t wanted[] = {0};
static const struct settings all_off;

struct test {
    struct codec_options options;
    struct manifest manifest;
    struct ui_model model;
};

static struct test *begin(void)
{
    static struct test test;
    test = (struct test){.options = codec_options_default(), .manifest = no_manifest};
    test.model = (struct ui_model){.name = SLICE("small"),
                                   .kind = "onnx",
                                   .manifest = &test.manifest,
                                   .signature = &signature,
                                   .options = &test.options,
                                   .wanted = wanted,
                                   .wanted_count = 1,
                                   .answer = MEDIA_JSON,
                                   .execution = SETTING_EXECUTION_AUTO,
                                   .batchable = true,
                                   .max_rows = 256};
    return &test;
}

static char text[OUT_MAX + 1];

static void write_text(const struct settings *settings, bool ready, const struct ui_model *model)
{
    struct bytes out;
    bytes_init(&out, OUT_MAX);
    assert_int_equal(ui_write_model(settings, ready, model, &out, NULL), ERR_OK);
    take_text(&out, text);
}

static void expect_text(const char *part)
{
    assert_holds(text, part);
}

static void says_what_is_on_without_a_model(void **state)
{
    (void)state;
    write_text(&all_off, false, NULL);
    assert_string_equal(text, "{\"ready\":false,\"metrics\":null,\"docs\":null,\"model\":null}\n");
    const struct settings on = {
        .prometheus_enabled = true, .prometheus_path = SLICE("/m\"m"), .swagger_enabled = true};
    write_text(&on, true, NULL);
    assert_string_equal(
        text, "{\"ready\":true,\"metrics\":\"/m\\\"m\",\"docs\":\"/docs\",\"model\":null}\n");
}

static void describes_a_model_without_a_manifest(void **state)
{
    (void)state;
    write_text(&all_off, true, &begin()->model);
    assert_string_equal(
        text, "{\"ready\":true,\"metrics\":null,\"docs\":null,\"model\":{\"kind\":\"onnx\","
              "\"name\":\"small\",\"batching\":{\"shared\":true,\"max_rows\":256},"
              "\"execution\":{\"setting\":\"auto\",\"runs_on\":\"io_threads\"},"
              "\"inputs\":[{\"kind\":\"tensor\",\"name\":\"x\",\"type\":\"float32[N, 2]\","
              "\"dtype\":\"float32\",\"shape\":[-1,2]}],"
              "\"outputs\":[{\"kind\":\"tensor\",\"name\":\"label\",\"type\":\"int64\","
              "\"dtype\":\"int64\",\"answered\":true},"
              "{\"kind\":\"sequence\",\"name\":\"scores\",\"type\":\"sequence(float32)\"}],"
              "\"requests\":[{\"content_type\":\"application/json\",\"example\":\"[[1.0,1.0]]\","
              "\"source\":\"signature\"},"
              "{\"content_type\":\"application/jsonlines\",\"example\":\"[1.0,1.0]\\n\","
              "\"source\":\"signature\"},"
              "{\"content_type\":\"text/csv\",\"example\":\"1.0,1.0\\n\",\"source\":\"signature\"},"
              "{\"content_type\":\"application/x-npy\",\"example\":null}],"
              "\"answers\":{\"types\":[\"application/json\",\"text/csv\",\"application/x-npy\"],"
              "\"preferred\":\"application/json\"}}}\n");
}

static void says_where_and_how_it_runs(void **state)
{
    (void)state;
    struct test *test = begin();
    test->model.execution = SETTING_EXECUTION_POOLED;
    test->model.pooled = true;
    test->model.batchable = false;
    test->model.max_rows = 7;
    write_text(&all_off, true, &test->model);
    expect_text("\"batching\":{\"shared\":false,\"max_rows\":7}");
    expect_text("\"execution\":{\"setting\":\"pooled\",\"runs_on\":\"runners\"}");
    test->model.execution = SETTING_EXECUTION_INLINE;
    write_text(&all_off, true, &test->model);
    expect_text("\"setting\":\"inline\"");
}

static void prefers_what_the_manifest_says(void **state)
{
    (void)state;
    static const struct slice names[] = {SLICE("age"), SLICE("in\"come")};
    static const struct slice units[] = {SLICE("a"), SLICE("EUR")};
    static const struct slice labels[] = {SLICE("no"), SLICE("yes")};
    static const struct slice own_names[] = {SLICE("own")};
    const struct manifest_port said[] = {{.name = SLICE("x"),
                                          .feature_names = names,
                                          .feature_name_count = 2,
                                          .units = units,
                                          .unit_count = 2,
                                          .description = SLICE("A row\na person.")}};
    const struct manifest_port said_of_label[] = {
        {.name = SLICE("label"), .class_labels = labels, .class_label_count = 2}};
    struct port named = input;
    named.feature_names = own_names;
    named.feature_name_count = 1;
    const struct signature with_names = {
        .inputs = &named, .input_count = 1, .outputs = outputs, .output_count = 2};
    struct test *test = begin();
    test->model.signature = &with_names;
    write_text(&all_off, true, &test->model);
    expect_text("\"feature_names\":[\"own\"]");

    test->manifest.version = SLICE("7");
    test->manifest.description = SLICE("Who pays back.");
    test->manifest.inputs = said;
    test->manifest.input_count = 1;
    test->manifest.outputs = said_of_label;
    test->manifest.output_count = 1;
    write_text(&all_off, true, &test->model);
    expect_text("\"version\":\"7\",\"description\":\"Who pays back.\"");
    expect_text("\"description\":\"A row\\na person.\",\"units\":[\"a\",\"EUR\"],"
                "\"feature_names\":[\"age\",\"in\\\"come\"]}");
    expect_text("\"class_labels\":[\"no\",\"yes\"],\"answered\":true}");
    assert_null(strstr(text, "own"));
}

static void offers_the_manifests_example_first(void **state)
{
    (void)state;
    struct test *test = begin();
    test->manifest.example = (struct manifest_sample){
        .given = true, .content_type = SLICE("text/csv; header=absent"), .body = SLICE("5,6\n")};
    write_text(&all_off, true, &test->model);
    expect_text("\"requests\":[{\"content_type\":\"text/csv\",\"example\":\"5,6\\n\","
                "\"source\":\"manifest\"},{\"content_type\":\"application/json\"");
    assert_null(strstr(strstr(text, "\"source\":\"manifest\"") + 1, "text/csv\",\"example"));

    /* Bytes of npy are no text, and a type that nobody knows is no choice. */
    static const char *const others[] = {"application/x-npy", "image/png"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        test->manifest.example.content_type = slice_from_str(others[i]);
        write_text(&all_off, true, &test->model);
        assert_null(strstr(text, "\"source\":\"manifest\""));
        expect_text("\"requests\":[{\"content_type\":\"application/json\"");
    }
}

static void leaves_no_choice_with_an_output_map(void **state)
{
    (void)state;
    static const struct codec_mapping map = {.key = SLICE("l"), .port = SLICE("label")};
    struct test *test = begin();
    test->model.answer = MEDIA_CSV;
    write_text(&all_off, true, &test->model);
    expect_text("\"application/x-npy\"],\"preferred\":\"text/csv\"}");
    test->options.output_map = &map;
    test->options.output_map_count = 1;
    write_text(&all_off, true, &test->model);
    expect_text("\"types\":[\"application/json\"],\"preferred\":\"application/json\"}");
}

static void lets_no_name_out_of_its_quotes(void **state)
{
    (void)state;
    struct test *test = begin();
    struct port hostile = input;
    hostile.name = SLICE("x\"}],\\ \x01\xff </script>");
    const struct signature with_hostile = {.inputs = &hostile, .input_count = 1};
    test->model.signature = &with_hostile;
    test->model.name = hostile.name;
    test->manifest.description = hostile.name;
    write_text(&all_off, true, &test->model);
    expect_text("\"name\":\"x\\\"}],\\\\ \\u0001\xef\xbf\xbd </script>\"");
    expect_text("\"answers\"");
}

static void says_where_there_is_no_example(void **state)
{
    (void)state;
    struct test *test = begin();
    const struct port map = {.name = SLICE("m"), .kind = PORT_MAP, .type_text = SLICE("map")};
    struct port ports[] = {map};
    const struct signature with_map = {.inputs = ports, .input_count = 1};
    test->model.signature = &with_map;
    write_text(&all_off, true, &test->model);
    expect_text("{\"content_type\":\"application/json\",\"example\":null}");
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    struct test *test = begin();
    for (uint64_t nth = 1;; nth++) {
        struct bytes out;
        bytes_init(&out, OUT_MAX);
        struct error error;
        mem_fail_nth(nth);
        int status = ui_write_model(&all_off, true, &test->model, &out, &error);
        mem_fail_nth(0);
        bytes_done(&out);
        if (status == ERR_OK) {
            assert_true(nth > 3);
            return;
        }
        assert_int_equal(status, ERR_NO_MEMORY);
    }
}

static void keeps_to_the_room_it_has(void **state)
{
    (void)state;
    struct test *test = begin();
    write_text(&all_off, true, &test->model);
    for (size_t room = 0; room < strlen(text); room += 7) {
        struct bytes out;
        bytes_init(&out, room);
        assert_int_equal(ui_write_model(&all_off, true, &test->model, &out, NULL), ERR_NO_MEMORY);
        bytes_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_on_without_a_model),
        cmocka_unit_test(describes_a_model_without_a_manifest),
        cmocka_unit_test(says_where_and_how_it_runs),
        cmocka_unit_test(prefers_what_the_manifest_says),
        cmocka_unit_test(offers_the_manifests_example_first),
        cmocka_unit_test(leaves_no_choice_with_an_output_map),
        cmocka_unit_test(lets_no_name_out_of_its_quotes),
        cmocka_unit_test(says_where_there_is_no_example),
        cmocka_unit_test(survives_every_failed_allocation),
        cmocka_unit_test(keeps_to_the_room_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
