/* Manifests: what is read, every refusal with its place, every contradiction with a model. */
#include "config/manifest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "unit_tests/testing.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void assert_text(struct slice text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static const char *const full =
    "{\"$schema\": \"manifest.schema.json\", \"name\": \"iris\", \"version\": \"2\","
    " \"description\": \"Species\","
    " \"inputs\": [{\"name\": \"x\", \"dtype\": \"float32\", \"shape\": [-1, 2],"
    "   \"feature_names\": [\"length\", \"w\\u00efdth\"], \"units\": [\"cm\", \"\"],"
    "   \"description\": \"A flower\"}],"
    " \"outputs\": [{\"name\": \"label\", \"dtype\": \"int64\", \"shape\": [-1],"
    "   \"class_labels\": [\"a\", \"b\", \"b\"]}, {\"name\": \"score\", \"units\": \"%\"}],"
    " \"settings\": {\"MAX_BATCH_SIZE\": 64, \"BATCHING\": \"off\","
    "   \"RETURN_PREDICTIONS_ONLY\": false, \"TABULAR_NUM_FEATURES\": 2,"
    "   \"ONNX_OUTPUT_MAP_JSON\": {\"l\": \"label\"}},"
    " \"warmup\": {\"content_type\": \"text/csv\", \"body\": \"1,2\\n\"},"
    " \"example\": {\"body\": {\"instances\": [[1.50, 2]]}}}";

static void reads_everything(void **state)
{
    (void)state;
    struct manifest m;
    struct error error = {0};
    if (manifest_parse(&m, slice_from_str(full), &error) != ERR_OK) {
        fail_msg("%s", error.text);
    }
    assert_text(m.name, "iris");
    assert_text(m.version, "2");
    assert_text(m.description, "Species");
    assert_int_equal(m.input_count, 1);
    const struct manifest_port *x = manifest_find_input(&m, SLICE("x"));
    assert_ptr_equal(x, &m.inputs[0]);
    assert_int_equal(x->dtype, DTYPE_F32);
    assert_true(x->has_shape && x->rank == 2 && x->dims[0] == -1 && x->dims[1] == 2);
    assert_int_equal(x->feature_name_count, 2);
    assert_text(x->feature_names[1], "w\xc3\xaf"
                                     "dth");
    assert_true(x->units_each && x->unit_count == 2);
    assert_text(x->units[1], "");
    assert_text(x->description, "A flower");
    assert_int_equal(m.output_count, 2);
    assert_int_equal(m.outputs[0].class_label_count, 3);
    const struct manifest_port *score = manifest_find_output(&m, SLICE("score"));
    assert_true(score->dtype == DTYPE_NONE && !score->has_shape && !score->units_each);
    assert_text(score->units[0], "%");
    assert_null(manifest_find_output(&m, SLICE("x")));
    assert_int_equal(m.setting_count, 5);
    const char *const settings[][2] = {{"MAX_BATCH_SIZE", "64"},
                                       {"BATCHING", "off"},
                                       {"RETURN_PREDICTIONS_ONLY", "false"},
                                       {"TABULAR_NUM_FEATURES", "2"},
                                       {"ONNX_OUTPUT_MAP_JSON", "{\"l\":\"label\"}"}};
    for (size_t i = 0; i < m.setting_count; i++) {
        assert_text(m.settings[i].name, settings[i][0]);
        assert_text(m.settings[i].value, settings[i][1]);
    }
    assert_true(m.warmup.given && m.example.given);
    assert_text(m.warmup.content_type, "text/csv");
    assert_text(m.warmup.body, "1,2\n");
    assert_text(m.example.content_type, "application/json");
    assert_text(m.example.body, "{\"instances\":[[1.50,2]]}");
    manifest_done(&m);
    assert_int_equal(m.input_count, 0);
}

static void hands_its_settings_over(void **state)
{
    (void)state;
    struct manifest m;
    struct settings s;
    assert_int_equal(manifest_parse(&m, slice_from_str(full), NULL), ERR_OK);
    const struct settings_input input = {
        .groups = SETTINGS_ALL, .manifest = m.settings, .manifest_count = m.setting_count};
    assert_int_equal(settings_load(&s, &input, NULL), ERR_OK);
    manifest_done(&m); /* the settings have copies */
    assert_int_equal(s.max_batch_size, 64);
    assert_int_equal(s.batching, SETTING_BATCHING_OFF);
    assert_false(s.return_predictions_only);
    assert_text(s.onnx_output_map_json.items[0].port, "label");
    settings_done(&s);
}

static void an_empty_object_says_nothing(void **state)
{
    (void)state;
    struct manifest m;
    assert_int_equal(manifest_parse(&m, SLICE(" {}\n"), NULL), ERR_OK);
    assert_true(m.input_count == 0 && m.setting_count == 0 && !m.warmup.given && m.name.len == 0);
    manifest_done(&m);
    manifest_done(&m); /* twice is fine */
}

/* One element of $.inputs; one member of $.settings. */
#define INPUT(members) "{\"inputs\":[{\"name\":\"x\"," members "}]}"
#define SETTING(member) "{\"settings\":{" member "}}"

static const struct {
    const char *text, *error;
} refusals[] = {
    {"", "invalid JSON at line 1, column 1: "},
    {"[]", "$: is an array, must be an object"},
    {"null", "$: is null, must be an object"},
    {"{\"nmae\":\"x\"}", "$.nmae: unknown; did you mean \"name\"?"},
    {"{\"zebra\":1}", "$.zebra: unknown"},
    {"{\"a b\":1}", "$[\"a b\"]: unknown"},
    {"{\"\":1}", "$[\"\"]: unknown"},
    {"{\"name\":1}", "$.name: is a number, must be a string"},
    {"{\"name\":\"\"}", "$.name: is empty"},
    {"{\"version\":2}", "$.version: is a number, must be a string"},
    {"{\"name\":\"a\",\"name\":\"b\"}", "$.name: comes twice"},
    {"{\"$schema\":{}}", "$.$schema: is an object, must be a string"},
    {"{\"inputs\":{}}", "$.inputs: is an object, must be an array"},
    {"{\"inputs\":[1]}", "$.inputs[0]: is a number, must be an object"},
    {"{\"inputs\":[{}]}", "$.inputs[0]: \"name\" is missing"},
    {"{\"inputs\":[{\"name\":\"x\"},{\"name\":\"y\"},{\"name\":\"x\"}]}",
     "$.inputs: the name \"x\" comes twice"},
    {INPUT("\"shpae\":[1]"), "$.inputs[0].shpae: unknown; did you mean \"shape\"?"},
    {"{\"outputs\":[{\"name\":\"a\"},{\"name\":true}]}",
     "$.outputs[1].name: is a boolean, must be a string"},
    {INPUT("\"dtype\":4"), "$.inputs[0].dtype: is a number, must be a string"},
    {INPUT("\"dtype\":\"f32\""),
     "$.inputs[0].dtype: \"f32\" is no type; did you mean \"float32\"?"},
    {INPUT("\"dtype\":\"flot32\""),
     "$.inputs[0].dtype: \"flot32\" is no type; did you mean \"float32\"?"},
    {INPUT("\"dtype\":\"Float32\""),
     "$.inputs[0].dtype: \"Float32\" is no type; did you mean \"float32\"?"},
    {INPUT("\"dtype\":\"blob\""),
     "$.inputs[0].dtype: \"blob\" is no type: float32, int64, string, ... are"},
    {INPUT("\"shape\":4"), "$.inputs[0].shape: is a number, must be an array"},
    {INPUT("\"shape\":[4,\"N\"]"), "$.inputs[0].shape[1]: is a string, must be a number"},
    {INPUT("\"shape\":[0]"),
     "$.inputs[0].shape[0]: is 0, must be a whole number from 1 or -1 (free)"},
    {INPUT("\"shape\":[-2]"),
     "$.inputs[0].shape[0]: is -2, must be a whole number from 1 or -1 (free)"},
    {INPUT("\"shape\":[1.5]"),
     "$.inputs[0].shape[0]: is 1.5, must be a whole number from 1 or -1 (free)"},
    {INPUT("\"shape\":[9223372036854775808]"),
     "$.inputs[0].shape[0]: is 9223372036854775808, must be a whole number from 1 or -1 (free)"},
    {INPUT("\"shape\":[1,1,1,1,1,1,1,1,1]"),
     "$.inputs[0].shape: has 9 elements, at most 8 are allowed"},
    {INPUT("\"feature_names\":\"a\""), "$.inputs[0].feature_names: is a string, must be an array"},
    {INPUT("\"feature_names\":[\"a\",1]"),
     "$.inputs[0].feature_names[1]: is a number, must be a string"},
    {INPUT("\"feature_names\":[\"a\",\"\"]"), "$.inputs[0].feature_names[1]: is empty"},
    {INPUT("\"feature_names\":[\"b\",\"a\",\"b\"]"),
     "$.inputs[0].feature_names: \"b\" comes twice"},
    {INPUT("\"class_labels\":{}"), "$.inputs[0].class_labels: is an object, must be an array"},
    {INPUT("\"units\":1"),
     "$.inputs[0].units: is a number, must be a string or an array of strings"},
    {INPUT("\"units\":[null]"), "$.inputs[0].units[0]: is null, must be a string"},
    {INPUT("\"units\":[\"m\"],\"feature_names\":[\"a\",\"b\"]"),
     "$.inputs[0]: 2 feature_names and 1 units do not agree"},
    {INPUT("\"shape\":[-1,3],\"feature_names\":[\"a\",\"b\"]"),
     "$.inputs[0]: 2 feature_names do not agree with a shape of 3 features"},
    {INPUT("\"shape\":[-1,3],\"units\":[\"m\"]"),
     "$.inputs[0]: 1 units do not agree with a shape of 3 features"},
    {INPUT("\"description\":[]"), "$.inputs[0].description: is an array, must be a string"},
    {"{\"settings\":[]}", "$.settings: is an array, must be an object"},
    {SETTING("\"PORT\":80"), "$.settings.PORT: a manifest may not set this"},
    {SETTING("\"ONNX_RUNTIME_LIBRARY\":\"evil.so\""),
     "$.settings.ONNX_RUNTIME_LIBRARY: a manifest may not set this"},
    {SETTING("\"MAX_BATCHSIZE\":8"),
     "$.settings.MAX_BATCHSIZE: unknown; did you mean \"MAX_BATCH_SIZE\"?"},
    {SETTING("\"GUNICORN_THREADS\":8"), "$.settings.GUNICORN_THREADS: unknown"},
    {SETTING("\"MAX_BATCH_SIZE\":0"),
     "$.settings.MAX_BATCH_SIZE: \"0\" is not accepted: give a whole number from 1 to 1048576"},
    {SETTING("\"MAX_BATCH_SIZE\":8.0"),
     "$.settings.MAX_BATCH_SIZE: \"8.0\" is not accepted: give a whole number from 1 to 1048576"},
    {SETTING("\"MAX_BATCH_SIZE\":true"), "$.settings.MAX_BATCH_SIZE: is a boolean, must be a "
                                         "number: give a whole number from 1 to 1048576"},
    {SETTING("\"MAX_BATCH_SIZE\":null"),
     "$.settings.MAX_BATCH_SIZE: is null, must be a number: give a whole number from 1 to 1048576"},
    {SETTING("\"BATCHING\":false"),
     "$.settings.BATCHING: is a boolean, must be a string: give one of: auto, off"},
    {SETTING("\"JSON_OUTPUT_KEY\":5"), "$.settings.JSON_OUTPUT_KEY: is a number, must be a string: "
                                       "give a text in UTF-8 that is not empty"},
    {SETTING("\"MAX_BATCH_SIZE\":\"8\""), "$.settings.MAX_BATCH_SIZE: is a string, must be a "
                                          "number: give a whole number from 1 to 1048576"},
    {SETTING("\"ONNX_INPUT_NAME\":\"a\\u0000b\""),
     "$.settings.ONNX_INPUT_NAME: \"a\" is not accepted: give a text in UTF-8"},
    {SETTING("\"BATCHING\":\"OFF\""),
     "$.settings.BATCHING: \"OFF\" is not accepted: give one of: auto, off"},
    {SETTING("\"CSV_HAS_HEADER\":\"yes\""),
     "$.settings.CSV_HAS_HEADER: \"yes\" is not accepted: give one of: auto, true, false"},
    {SETTING("\"TABULAR_DTYPE\":\"f32\""),
     "$.settings.TABULAR_DTYPE: \"f32\" is no type; did you mean \"float32\"?"},
    {SETTING("\"ONNX_INPUT_DTYPE_MAP_JSON\":{\"a\":\"int64\",\"b\":\"i64\"}"),
     "$.settings.ONNX_INPUT_DTYPE_MAP_JSON.b: \"i64\" is no type; did you mean \"int64\"?"},
    {SETTING("\"ONNX_OUTPUT_MAP_JSON\":\"{}\""),
     "$.settings.ONNX_OUTPUT_MAP_JSON: is a string, must be an object: give a JSON object of "
     "names, {\"key\":\"name in the model\"}"},
    {SETTING("\"ONNX_OUTPUT_MAP_JSON\":{\"a\":1}"),
     "$.settings.ONNX_OUTPUT_MAP_JSON: \"{\"a\":1}\": key \"a\" has a value that is no string: "
     "give "
     "a JSON object of names, {\"key\":\"name in the model\"}"},
    {SETTING("\"BATCHING\":\"off\",\"BATCHING\":\"auto\""), "$.settings.BATCHING: comes twice"},
    {"{\"example\":[]}", "$.example: is an array, must be an object"},
    {"{\"example\":{}}", "$.example: \"body\" is missing"},
    {"{\"warmup\":{\"body\":\"1,2\"}}", "$.warmup: \"content_type\" is missing: the body is text"},
    {"{\"warmup\":{\"body\":[1],\"content_type\":\"text/csv\"}}",
     "$.warmup: a body that is no string needs a JSON content_type"},
    {"{\"warmup\":{\"body\":[1],\"content_type\":\"csv\"}}",
     "$.warmup.content_type: is no media type, such as \"text/csv\""},
    {"{\"warmup\":{\"body\":[1],\"content_type\":\"a/b\\r\\nX: y\"}}",
     "$.warmup.content_type: is no media type, such as \"text/csv\""},
    {"{\"warmup\":{\"body\":[1],\"content\":1}}", "$.warmup.content: unknown"},
    {"{\n  \"name\": \"\xc3\xa9\", x\n}", "invalid JSON at line 2, column 16: "},
    {"{\"name\":\"a\"}}", "invalid JSON at line 1, column 13: "},
    {"{\"name\":\"\xff\"}", "invalid JSON at line 1, column 10: "},
    {"{\"name\":'a'}", "invalid JSON at line 1, column 9: "},
};

static void refuses_with_the_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct manifest m;
        struct error error = {0};
        const char *expected = refusals[i].error;
        size_t len = strlen(expected);
        /* Behind a place that ends in ": " comes the JSON library's own text. */
        bool cut = len > 2 && strcmp(expected + len - 2, ": ") == 0;
        int status = manifest_parse(&m, slice_from_str(refusals[i].text), &error);
        if (status != ERR_CONFIG || strncmp(error.text, expected, cut ? len : sizeof(error.text))) {
            fail_msg("%s\ngave  %s\nnot   %s", refusals[i].text, error.text, expected);
        }
    }
}

/* Every text cut off at every byte is refused, never a crash; what is whole is not. */
static void refuses_every_beginning(void **state)
{
    (void)state;
    for (size_t len = 0; len < strlen(full); len++) {
        struct manifest m;
        char *exact = malloc(len == 0 ? 1 : len); /* so that a sanitizer sees a read past the end */
        assert_non_null(exact);
        memcpy(exact, full, len);
        assert_int_equal(manifest_parse(&m, slice_make(exact, len), NULL), ERR_CONFIG);
        free(exact);
    }
}

static void bounds_sizes(void **state)
{
    (void)state;
    struct manifest m;
    struct error error = {0};
    size_t size = MANIFEST_MAX_BYTES + 1;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, ' ', size);
    memcpy(text, "{}", 2);
    assert_int_equal(manifest_parse(&m, slice_make(text, size), &error), ERR_CONFIG);
    assert_string_equal(error.text, "larger than 1048576 bytes");
    assert_int_equal(manifest_parse(&m, slice_make(text, size - 1), &error), ERR_OK);
    manifest_done(&m);
    memset(text, '[', size); /* as deep as a text can be */
    assert_int_equal(manifest_parse(&m, slice_make(text, size - 1), &error), ERR_CONFIG);
    size_t half = (MANIFEST_MAX_BYTES - 32) / 2;
    int head = snprintf(text, size, "{\"example\":{\"body\":");
    memset(text + head, '[', half);
    memset(text + head + half, ']', half);
    memcpy(text + (size_t)head + 2 * half, "}}", 2);
    size_t len = (size_t)head + 2 * half + 2;
    assert_int_equal(manifest_parse(&m, slice_make(text, len), &error), ERR_OK);
    assert_int_equal(m.example.body.len, 2 * half);
    manifest_done(&m);
    free(text);
}

static void bounds_ports(void **state)
{
    (void)state;
    struct manifest m;
    struct error error = {0};
    size_t size = 64 * 1024;
    char *text = malloc(size);
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, size, "{\"inputs\":[");
    for (int i = 0; i < 1025; i++) {
        len +=
            (size_t)snprintf(text + len, size - len, "%s{\"name\":\"%d\"}", i == 0 ? "" : ",", i);
    }
    len += (size_t)snprintf(text + len, size - len, "]}");
    assert_int_equal(manifest_parse(&m, slice_make(text, len), &error), ERR_CONFIG);
    assert_string_equal(error.text, "$.inputs: has 1025 elements, at most 1024 are allowed");
    free(text);
}

/* A directory of its own below the build's; the name is the test's. */
static const char *make_directory(void)
{
    static char path[] = "manifest_test_XXXXXX";
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(path));
    return path;
}

static void write_file(const char *directory, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/manifest.json", directory);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void remove_directory(const char *directory)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/manifest.json", directory);
    (void)remove(path);
    assert_int_equal(rmdir(directory), 0);
}

static void loads_files(void **state)
{
    (void)state;
    struct manifest m;
    struct error error = {0};
    bool found = true;
    char path[256];
    const char *directory = make_directory();
    assert_int_equal(manifest_load(&m, directory, &found, &error), ERR_OK);
    assert_false(found);
    manifest_done(&m);
    assert_int_equal(manifest_load(&m, "no such directory", &found, &error), ERR_OK);
    assert_false(found);
    manifest_done(&m);

    write_file(directory, "{\"name\":\"a\"}");
    assert_int_equal(manifest_load(&m, directory, &found, &error), ERR_OK);
    assert_true(found);
    assert_text(m.name, "a");
    manifest_done(&m);

    write_file(directory, "{\"name\":\n1}");
    assert_int_equal(manifest_load(&m, directory, &found, &error), ERR_CONFIG);
    snprintf(path, sizeof(path), "%s/manifest.json: $.name: is a number, must be a string",
             directory);
    assert_string_equal(error.text, path);

    snprintf(path, sizeof(path), "%s/manifest.json", directory);
    assert_int_equal(truncate(path, (off_t)(MANIFEST_MAX_BYTES + 1)), 0);
    assert_int_equal(manifest_load(&m, directory, &found, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, ": larger than 1048576 bytes"));

    assert_int_equal(remove(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not be waited for */
    assert_int_equal(manifest_load(&m, directory, &found, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, ": is no regular file"));
    remove_directory(directory);
}

/* A model: x float32[N, 4], ids int64[N], image float32[1, 3, 8, 8]; label, scores, probabilities. */
static const struct slice model_features[] = {{"age", 3}, {"income", 6}};
static struct port test_inputs[] = {
    {.name = {"x", 1},
     .kind = PORT_TENSOR,
     .dtype = DTYPE_F32,
     .rank_known = true,
     .rank = 2,
     .dims = {-1, 4}},
    {.name = {"ids", 3},
     .kind = PORT_TENSOR,
     .dtype = DTYPE_I64,
     .rank_known = true,
     .rank = 1,
     .dims = {-1}},
    {.name = {"any", 3}, .kind = PORT_TENSOR, .dtype = DTYPE_F32, .rank_known = false},
    {.name = {"named", 5},
     .kind = PORT_TENSOR,
     .dtype = DTYPE_F64,
     .rank_known = true,
     .rank = 2,
     .dims = {-1, 2},
     .feature_names = model_features,
     .feature_name_count = 2},
};
static struct port test_outputs[] = {
    {.name = {"label", 5},
     .kind = PORT_TENSOR,
     .dtype = DTYPE_I64,
     .rank_known = true,
     .rank = 1,
     .dims = {-1}},
    {.name = {"scores", 6},
     .kind = PORT_TENSOR,
     .dtype = DTYPE_F32,
     .rank_known = true,
     .rank = 2,
     .dims = {-1, 3}},
    {.name = {"p", 1},
     .kind = PORT_TENSOR,
     .dtype = DTYPE_F64,
     .rank_known = true,
     .rank = 2,
     .dims = {-1, 1}},
    {.name = {"probabilities", 13},
     .kind = PORT_SEQUENCE,
     .type_text = {"sequence(map(int64, float32))", 29}},
};
static const struct signature test_signature = {
    .inputs = test_inputs,
    .input_count = COUNT_OF(test_inputs),
    .outputs = test_outputs,
    .output_count = COUNT_OF(test_outputs),
};

struct lines {
    char text[4096];
    size_t count;
};

static void collect(void *argument, const char *line)
{
    struct lines *lines = argument;
    size_t len = strlen(lines->text);
    snprintf(lines->text + len, sizeof(lines->text) - len, "%s\n", line);
    lines->count++;
}

#define OUTPUT(members) "{\"outputs\":[{\"name\":" members "}]}"

static const struct {
    const char *text, *lines;
} checks[] = {
    {"{}", ""},
    {INPUT("\"dtype\":\"float32\",\"shape\":[-1,4],\"feature_names\":[\"a\",\"b\",\"c\",\"d\"],"
           "\"units\":\"cm\""),
     ""},
    {INPUT("\"shape\":[8,4]"), ""}, /* narrower than the model */
    {INPUT("\"shape\":[-1,-1]"),
     "inputs[0].shape[1]: the manifest says free, the model says 4 (\"x\")\n"},
    {INPUT("\"shape\":[-1,5]"),
     "inputs[0].shape[1]: the manifest says 5, the model says 4 (\"x\")\n"},
    {INPUT("\"shape\":[]"),
     "inputs[0].shape: the manifest says [], the model says [free, 4] (\"x\")\n"},
    {INPUT("\"dtype\":\"float64\",\"shape\":[-1,2,2],\"feature_names\":[\"a\",\"b\"]"),
     "inputs[0].dtype: the manifest says float64, the model says float32 (\"x\")\n"
     "inputs[0].shape: the manifest says [free, 2, 2], the model says [free, 4] (\"x\")\n"
     "inputs[0].feature_names: the manifest has 2, the model has 4 features (\"x\")\n"},
    {INPUT("\"units\":[\"a\",\"b\",\"c\"]"),
     "inputs[0].units: the manifest has 3, the model has 4 features (\"x\")\n"},
    {"{\"inputs\":[{\"name\":\"any\",\"shape\":[1,2,3]},{\"name\":\"X\"},{\"name\":\"ids\","
     "\"dtype\":\"int32\",\"feature_names\":[\"a\",\"b\"]}]}",
     "inputs[1].name: the manifest says \"X\", the model's inputs are \"x\", \"ids\", \"any\", "
     "\"named\"\n"
     "inputs[2].dtype: the manifest says int32, the model says int64 (\"ids\")\n"
     "inputs[2].feature_names: the manifest has 2, the model has 1 features (\"ids\")\n"},
    {"{\"inputs\":[{\"name\":\"named\",\"feature_names\":[\"age\",\"income\"]}]}", ""},
    {"{\"inputs\":[{\"name\":\"named\",\"feature_names\":[\"income\",\"age\"]}]}",
     "inputs[0].feature_names[0]: the manifest says \"income\", the model says \"age\" "
     "(\"named\")\n"},
    {"{\"inputs\":[{\"name\":\"named\",\"feature_names\":[\"age\"]}]}",
     "inputs[0].feature_names: the manifest has 1, the model has 2 features (\"named\")\n"},
    {OUTPUT("\"label\",\"class_labels\":[\"a\",\"b\"]"), ""},
    {OUTPUT("\"scores\",\"class_labels\":[\"a\",\"b\",\"c\"]"), ""},
    {OUTPUT("\"scores\",\"class_labels\":[\"a\",\"b\"]"),
     "outputs[0].class_labels: the manifest has 2, the model has 3 columns (\"scores\")\n"},
    {OUTPUT("\"p\",\"class_labels\":[\"no\",\"yes\"]"), ""},
    {OUTPUT("\"p\",\"class_labels\":[\"a\",\"b\",\"c\"]"),
     "outputs[0].class_labels: the manifest has 3, the model has 1 columns (\"p\")\n"},
    {OUTPUT("\"probabilities\",\"class_labels\":[\"a\"]"), ""},
    {OUTPUT("\"probabilities\",\"dtype\":\"float32\",\"shape\":[-1,3]"),
     "outputs[0].dtype: the manifest says float32, the model says sequence(map(int64, float32)) "
     "(\"probabilities\")\n"
     "outputs[0].shape: the manifest says [free, 3], the model says sequence(map(int64, float32)) "
     "(\"probabilities\")\n"},
    {OUTPUT("\"x\""),
     "outputs[0].name: the manifest says \"x\", the model's outputs are \"label\", "
     "\"scores\", \"p\", \"probabilities\"\n"},
    {OUTPUT("\"a\\u0007\\n\""),
     "outputs[0].name: the manifest says \"a??\", the model's outputs are "
     "\"label\", \"scores\", \"p\", \"probabilities\"\n"},
    {SETTING("\"ONNX_INPUT_NAME\":\"x\",\"ONNX_OUTPUT_NAME\":\"\","
             "\"ONNX_INPUT_MAP_JSON\":{\"a\":\"x\",\"b\":\"ids\"}"),
     ""},
    {SETTING("\"ONNX_INPUT_NAME\":\"y\",\"ONNX_OUTPUT_NAME\":\"x\","
             "\"ONNX_INPUT_MAP_JSON\":{\"a\":\"x\",\"b\":\"z\"},"
             "\"ONNX_OUTPUT_MAP_JSON\":{\"k\":\"w\"}"),
     "settings.ONNX_INPUT_NAME: the manifest says \"y\", the model's inputs are \"x\", \"ids\", "
     "\"any\", \"named\"\n"
     "settings.ONNX_OUTPUT_NAME: the manifest says \"x\", the model's outputs are \"label\", "
     "\"scores\", \"p\", \"probabilities\"\n"
     "settings.ONNX_INPUT_MAP_JSON[\"b\"]: the manifest says \"z\", the model's inputs are \"x\", "
     "\"ids\", \"any\", \"named\"\n"
     "settings.ONNX_OUTPUT_MAP_JSON[\"k\"]: the manifest says \"w\", the model's outputs are "
     "\"label\", \"scores\", \"p\", \"probabilities\"\n"},
};

static void reports_every_contradiction(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(checks); i++) {
        struct manifest m;
        struct lines lines = {0};
        struct error error = {0};
        if (manifest_parse(&m, slice_from_str(checks[i].text), &error) != ERR_OK) {
            fail_msg("%s: %s", checks[i].text, error.text);
        }
        size_t count = manifest_check(&m, &test_signature, collect, &lines);
        assert_int_equal(count, lines.count);
        if (strcmp(lines.text, checks[i].lines) != 0) {
            fail_msg("%s\ngave\n%snot\n%s", checks[i].text, lines.text, checks[i].lines);
        }
        manifest_done(&m);
    }
}

static void cuts_long_lists_of_names(void **state)
{
    (void)state;
    struct port ports[64];
    struct manifest m;
    struct lines lines = {0};
    char name[200];
    memset(name, 'n', sizeof(name));
    for (size_t i = 0; i < COUNT_OF(ports); i++) {
        ports[i] = (struct port){.name = slice_make(name, sizeof(name)), .kind = PORT_TENSOR};
    }
    const struct signature many = {.inputs = ports, .input_count = COUNT_OF(ports)};
    assert_int_equal(manifest_parse(&m, SLICE("{\"inputs\":[{\"name\":\"x\"}]}"), NULL), ERR_OK);
    assert_int_equal(manifest_check(&m, &many, collect, &lines), 1);
    assert_non_null(strstr(lines.text, "nnn...\n"));
    assert_true(strlen(lines.text) < ERROR_TEXT_MAX);
    lines.text[0] = '\0';
    assert_int_equal(manifest_check(&m, &(struct signature){.input_count = 0}, collect, &lines), 1);
    assert_string_equal(lines.text,
                        "inputs[0].name: the manifest says \"x\", the model's inputs are none\n");
    manifest_done(&m);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    const char *directory = make_directory();
    write_file(directory, full);
    int status = ERR_NO_MEMORY;
    uint64_t nth = 0;
    while (status != ERR_OK) {
        struct manifest m;
        struct error error = {0};
        bool found;
        mem_fail_nth(++nth);
        status = manifest_load(&m, directory, &found, &error);
        mem_fail_nth(0);
        if (status == ERR_OK) {
            manifest_done(&m);
        } else {
            assert_int_equal(status, ERR_NO_MEMORY);
            assert_int_equal(error.code, ERR_NO_MEMORY);
        }
        assert_true(nth < 1000);
    }
    assert_true(nth > 3);
    remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_everything),
        cmocka_unit_test(hands_its_settings_over),
        cmocka_unit_test(an_empty_object_says_nothing),
        cmocka_unit_test(refuses_with_the_place),
        cmocka_unit_test(refuses_every_beginning),
        cmocka_unit_test(bounds_sizes),
        cmocka_unit_test(bounds_ports),
        cmocka_unit_test(loads_files),
        cmocka_unit_test(reports_every_contradiction),
        cmocka_unit_test(cuts_long_lists_of_names),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
