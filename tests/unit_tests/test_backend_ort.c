/* Opening models with the real runtime: what is refused and how, options, signatures. */
#include <dirent.h>
#include <string.h>

#include "base/mem.h"
#include "unit_tests/backend_testing.h"

static int open_path(const char *path, struct error *error)
{
    const struct backend_options options = runtime_options(path);
    struct backend_model *model = NULL;
    int status = backend_ort.open(&options, &model, error);
    if (status == ERR_OK) {
        backend_ort.close(model);
    } else {
        assert_null(model);
    }
    return status;
}

#define BAD(name) TEST_DATA_DIR "/bad_models/" name "/model.onnx"

/* The whole text behind the path, so that a new release's other wording is seen. */
static const struct {
    const char *path;
    const char *why;
} refused[] = {
    {TEST_DATA_DIR "/nowhere.onnx", ": No such file or directory"},
    {BAD("directory"), " is a directory, not a model file"},
    {"/dev/null", " is not a regular file"},
    {BAD("empty"), " is empty"},
    {BAD("truncated"), ": Protobuf parsing failed"},
    {BAD("random"), ": Protobuf parsing failed"},
    {BAD("text"), ": Protobuf parsing failed"},
    {BAD("other_message"), ": Protobuf parsing failed"},
    {BAD("future_opset"),
     ": Opset 999 is under development and support for this is limited. The operator schemas and "
     "or other functionality may change before next ONNX release and in this case ONNX Runtime "
     "will not guarantee backward compatibility. Current official support for domain ai.onnx is "
     "till opset "},
    {BAD("future_ir"), ": Unsupported model IR version: 999, max supported IR version: "},
    {BAD("unknown_operator"), ": This is an invalid model. In Node, "},
    {BAD("unknown_domain"), ": com.example:Frobnicate(-1) is not a registered function/op"},
    {BAD("type_mismatch"), ": Type Error: Type parameter (T) of Optype (Add) bound to different "},
    {BAD("dangling_input"), ": Invalid model. Node input 'nowhere' is not a graph input, "},
    {BAD("complex64"), ": MLDataType for: tensor(complex64) is not currently registered or "},
    {BAD("no_kernel"), ": Could not find an implementation for Identity(21) node with name ''"},
    {BAD("rank_9"), ": input 'x': has 9 dimensions, at most 8 can be served"},
    {BAD("external_data"), ": External data path validation failed for initializer: w. Error: "
                           "External data path does not exist: "},
};

static void refuses_bad_files_in_one_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct error error = {.code = ERR_OK};
        if (open_path(refused[i].path, &error) != ERR_CONFIG) {
            fail_msg("%s opened", refused[i].path);
        }
        assert_int_equal(error.code, ERR_CONFIG);
        size_t path_len = strlen(refused[i].path);
        assert_memory_equal(error.text, refused[i].path, path_len);
        if (strncmp(error.text + path_len, refused[i].why, strlen(refused[i].why)) != 0) {
            fail_msg("%s", error.text);
        }
        assert_null(strstr(error.text, "onnxruntime::"));
        assert_null(strstr(error.text, ".cc:"));
        assert_null(strchr(error.text, '\n'));
    }
}

/* Every file below bad_models has a row above. */
static void knows_every_bad_file(void **state)
{
    (void)state;
    DIR *directory = opendir(TEST_DATA_DIR "/bad_models");
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[512];
        bool found = entry->d_name[0] == '.';
        snprintf(path, sizeof(path), BAD("%s"), entry->d_name);
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
            found = found || strcmp(path, refused[i].path) == 0;
        }
        if (!found) {
            fail_msg("no row for %s", path);
        }
    }
    closedir(directory);
}

static void refuses_options_it_cannot_meet(void **state)
{
    (void)state;
    struct error error;
    struct backend_model *model = NULL;
    struct backend_options options = runtime_options(TEST_DATA_DIR "/models/add2/model.onnx");
    options.graph_opt_level = SLICE("maximal");
    assert_int_equal(backend_ort.open(&options, &model, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, "'maximal' is none of disable, basic, extended, all"));

    options = runtime_options(options.path);
    options.intra_op_threads = 0;
    assert_int_equal(backend_ort.open(&options, &model, &error), ERR_CONFIG);

    options = runtime_options(options.path);
    options.providers = SLICE("CPUExecutionProvider, MagicExecutionProvider");
    assert_int_equal(backend_ort.open(&options, &model, &error), ERR_CONFIG);
    assert_non_null(
        strstr(error.text, "no execution provider 'MagicExecutionProvider'; it offers "));
    assert_non_null(strstr(error.text, "CPUExecutionProvider"));

    options = runtime_options(options.path);
    options.library = "/another/libonnxruntime.so";
    assert_int_equal(backend_ort.open(&options, &model, &error), ERR_CONFIG);
    assert_non_null(strstr(error.text, "already loaded from " RUNTIME_LIBRARY));
    assert_null(model);
}

static void takes_every_level_and_provider_list(void **state)
{
    (void)state;
    static const char *const levels[] = {"disable", "basic", "EXTENDED", "all"};
    static const char *const providers[] = {"", ",", "CPUExecutionProvider",
                                            " CPUExecutionProvider ,",
                                            "AzureExecutionProvider,CPUExecutionProvider"};
    struct backend_options options = runtime_options(TEST_DATA_DIR "/models/add2/model.onnx");
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        for (size_t j = 0; j < sizeof(providers) / sizeof(providers[0]); j++) {
            struct backend_model *model = NULL;
            struct error error;
            options.graph_opt_level = slice_from_str(levels[i]);
            options.providers = slice_from_str(providers[j]);
            options.intra_op_threads = 1 + (unsigned)i % 2;
            if (backend_ort.open(&options, &model, &error) != ERR_OK) {
                fail_msg("%s", error.text);
            }
            backend_ort.close(model);
        }
    }
}

static void counts_threads(unsigned intra_op_threads, bool expect_more)
{
    struct backend_options options = runtime_options(TEST_DATA_DIR "/models/add2/model.onnx");
    options.intra_op_threads = intra_op_threads;
    struct backend_model *model = NULL;
    struct error error;
    unsigned threads = 0;
    assert_int_equal(backend_ort.open(&options, &model, &error), ERR_OK);
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        threads += entry->d_name[0] != '.';
    }
    closedir(tasks);
    assert_int_equal(threads > 1, expect_more);
    backend_ort.close(model);
}

static void makes_threads_only_when_told(void **state)
{
    (void)state;
    if (SANITIZED) {
        skip();
    }
    counts_threads(1, false);
    counts_threads(3, true);
}

static const struct {
    const char *model;
    const char *inputs; /* "name: type; ..." */
    const char *outputs;
} signatures[] = {
    {"add2", "a: float32[N, 1]; b: float32[N, 1]; ", "y: float32[N, 1]; "},
    {"fixed_batch", "x: float32[2, 3]; ", "y: float32[2, 1]; "},
    {"iris_logistic_regression", "x: float32[?, 4]; ",
     "output_label: int64[?]; output_probability: sequence(map(int64, float32)); "},
    {"labels", "x: float32[N, 3]; ", "label: string[N]; "},
    {"multi", "x: float32[N, 3]; ",
     "positive: bool[N, 3]; cube: float32[N, 1, 3]; total: float32[N]; "},
    {"described", "x: float32[batch, 2, time, ?]; ", "y: float32[batch, 2, time, ?]; "},
    {"identity_any_rank", "x: float32[...]; ", "y: float32[...]; "},
    {"scalar_output", "x: float32[N, 2]; ", "y: float32[]; "},
    {"identity_float8", "x: float8e4m3fn[N, 2]; ", "y: float8e4m3fn[N, 2]; "},
    {"mixed_columns", "age: float32[N, 1]; city: string[N, 1]; ", "y: float32[N, 2]; "},
    {"zip_map_string", "x: float32[N, 3]; ", "y: sequence(map(string, float32)); "},
    {"sequence_string", "x: string[N, 2]; ", "y: sequence(string[?, 2]); "},
    {"optional", "x: float32[N, 2]; ",
     "some: optional(float32[N, 2]); none: optional(float32[N, 2]); "},
    {"map_input", "x: map(string, float32); ", "y: float32[1, 2]; "},
};

static void check_ports(const struct port *ports, size_t count, const char *expected)
{
    char text[512] = "";
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s: %.*s; ",
                                SLICE_FMT(ports[i].name), SLICE_FMT(ports[i].type_text));
    }
    assert_string_equal(text, expected);
}

static void reads_signatures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
        struct backend_model *model = open_test_model(signatures[i].model);
        const struct signature *signature = backend_ort.signature(model);
        check_ports(signature->inputs, signature->input_count, signatures[i].inputs);
        check_ports(signature->outputs, signature->output_count, signatures[i].outputs);
        backend_ort.close(model);
    }
}

static void fills_ports(void **state)
{
    (void)state;
    struct backend_model *model = open_test_model("described");
    const struct port *x = &backend_ort.signature(model)->inputs[0];
    assert_int_equal(x->kind, PORT_TENSOR);
    assert_int_equal(x->dtype, DTYPE_F32);
    assert_true(x->rank_known && x->rank == 4);
    assert_true(x->dims[0] == -1 && x->dims[1] == 2 && x->dims[2] == -1 && x->dims[3] == -1);
    assert_string_equal(x->symbols[0].ptr, "batch");
    assert_int_equal(x->symbols[1].len, 0);
    assert_int_equal(x->symbols[3].len, 0);
    backend_ort.close(model);

    model = open_test_model("scalar_output");
    const struct port *scalar = &backend_ort.signature(model)->outputs[0];
    assert_true(scalar->rank_known && scalar->rank == 0);
    backend_ort.close(model);

    model = open_test_model("identity_any_rank");
    assert_false(backend_ort.signature(model)->inputs[0].rank_known);
    backend_ort.close(model);

    model = open_test_model("optional");
    const struct port *some = &backend_ort.signature(model)->outputs[0];
    assert_int_equal(some->kind, PORT_OPTIONAL);
    assert_int_equal(some->dtype, DTYPE_NONE);
    assert_false(some->rank_known);
    backend_ort.close(model);

    model = open_test_model("zip_map_int64");
    assert_int_equal(backend_ort.signature(model)->outputs[0].kind, PORT_SEQUENCE);
    assert_true(signature_is_batchable(backend_ort.signature(model)));
    backend_ort.close(model);
}

static void reads_metadata(void **state)
{
    (void)state;
    struct backend_model *model = open_test_model("described");
    const struct signature *signature = backend_ort.signature(model);
    assert_string_equal(signature->producer.ptr, "acme trainer");
    assert_string_equal(signature->producer_version.ptr, "1.2.3");
    assert_string_equal(signature->domain.ptr, "com.example");
    assert_string_equal(signature->graph_name.ptr, "described graph");
    assert_string_equal(signature->description.ptr, "A model that describes itself.");
    assert_int_equal(signature->model_version, 42);
    assert_string_equal(signature->opsets.ptr, "ai.onnx 17, ai.onnx.ml 3");
    assert_string_equal(signature->ir_version.ptr, "8");
    assert_int_equal(signature->metadata_count, 2);
    for (size_t i = 0; i < 2; i++) {
        bool is_author = strcmp(signature->metadata[i].key.ptr, "author") == 0;
        assert_string_equal(signature->metadata[i].key.ptr, is_author ? "author" : "labels");
        assert_string_equal(signature->metadata[i].value.ptr,
                            is_author ? "the tests" : "{0: 'no', 1: 'yes'}");
    }
    backend_ort.close(model);
}

/* Fails each allocation of ours in turn: an error every time, nothing lost. */
static void survives_failing_allocations(void **state)
{
    (void)state;
    const struct backend_options options =
        runtime_options(TEST_DATA_DIR "/models/described/model.onnx");
    struct backend_model *model = NULL;
    struct error error;
    int status = ERR_NO_MEMORY;
    for (uint64_t nth = 1; status != ERR_OK; nth++) {
        assert_true(nth < 100);
        mem_fail_nth(nth);
        status = backend_ort.open(&options, &model, &error);
        mem_fail_nth(0);
        if (status != ERR_OK) {
            assert_int_equal(status, ERR_NO_MEMORY);
            assert_null(model);
        }
    }
    backend_ort.close(model);
}

static void tells_its_version(void **state)
{
    (void)state;
    struct error error;
    const char *version = backend_ort.version(NULL, &error);
    assert_non_null(version);
    assert_true(version[0] >= '1' && version[0] <= '9' && strchr(version, '.') != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_files_in_one_line),
        cmocka_unit_test(knows_every_bad_file),
        cmocka_unit_test(refuses_options_it_cannot_meet),
        cmocka_unit_test(takes_every_level_and_provider_list),
        cmocka_unit_test(makes_threads_only_when_told),
        cmocka_unit_test(reads_signatures),
        cmocka_unit_test(fills_ports),
        cmocka_unit_test(reads_metadata),
        cmocka_unit_test(survives_failing_allocations),
        cmocka_unit_test(tells_its_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
