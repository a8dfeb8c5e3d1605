/* Which file of a directory is the model: every rule as a row. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/artifact.h"
#include "unit_tests/testing.h"

#define PATH_BYTES 256
#define FILES_MAX 4

struct row {
    const char *files[FILES_MAX]; /* a name with a slash at its end is a directory */
    const char *type;
    const char *name;
    bool allow_fake;
    int status;
    enum model_kind kind;
    const char *found; /* below the directory, or a piece of the error text */
};

static const struct row rows[] = {
    /* default names, in their order */
    {{"model.onnx", "model.pkl"}, "", "", false, ERR_OK, MODEL_ONNX, "model.onnx"},
    {{"model.pkl", "model.joblib"}, "", "", false, ERR_OK, MODEL_SKLEARN, "model.joblib"},
    {{"model.pkl", "model.pt"}, "", "", false, ERR_OK, MODEL_SKLEARN, "model.pkl"},
    {{"model.keras", "model.pt"}, "", "", false, ERR_OK, MODEL_PYTORCH, "model.pt"},
    {{"model.keras", "saved_model/", "saved_model/saved_model.pb"},
     "",
     "",
     false,
     ERR_OK,
     MODEL_TENSORFLOW,
     "model.keras"},
    {{"saved_model/", "saved_model/saved_model.pb"},
     "",
     "",
     false,
     ERR_OK,
     MODEL_TENSORFLOW,
     "saved_model"},
    {{"saved_model/"},
     "",
     "",
     false,
     ERR_NOT_FOUND,
     0,
     "looked for model.onnx, model.joblib, model.pkl, model.pt, model.keras, saved_model/"},
    {{"other.onnx"}, "", "", false, ERR_NOT_FOUND, 0, "looked for model.onnx"},
    {{NULL}, "", "", false, ERR_NOT_FOUND, 0, "no model in "},
    /* by the extension of MODEL_FILENAME */
    {{"a.onnx"}, "", "a.onnx", false, ERR_OK, MODEL_ONNX, "a.onnx"},
    {{"a.ONNX"}, "", "a.ONNX", false, ERR_OK, MODEL_ONNX, "a.ONNX"},
    {{"a.joblib"}, "", "a.joblib", false, ERR_OK, MODEL_SKLEARN, "a.joblib"},
    {{"a.pkl"}, "", "a.pkl", false, ERR_OK, MODEL_SKLEARN, "a.pkl"},
    {{"a.pt"}, "", "a.pt", false, ERR_OK, MODEL_PYTORCH, "a.pt"},
    {{"a.pth"}, "", "a.pth", false, ERR_OK, MODEL_PYTORCH, "a.pth"},
    {{"a.jit"}, "", "a.jit", false, ERR_OK, MODEL_PYTORCH, "a.jit"},
    {{"a.torchscript"}, "", "a.torchscript", false, ERR_OK, MODEL_PYTORCH, "a.torchscript"},
    {{"a.keras"}, "", "a.keras", false, ERR_OK, MODEL_TENSORFLOW, "a.keras"},
    {{"a.h5"}, "", "a.h5", false, ERR_OK, MODEL_TENSORFLOW, "a.h5"},
    {{"a.hdf5"}, "", "a.hdf5", false, ERR_OK, MODEL_TENSORFLOW, "a.hdf5"},
    {{"tf/", "tf/saved_model.pb"}, "", "tf", false, ERR_OK, MODEL_TENSORFLOW, "tf"},
    {{"tf/"}, "", "tf", false, ERR_CONFIG, 0, "is a directory without saved_model.pb"},
    {{"a.bin"}, "", "a.bin", false, ERR_CONFIG, 0, "set MODEL_TYPE to onnx, sklearn, pytorch or "},
    {{"model.onnx"}, "", "b.onnx", false, ERR_NOT_FOUND, 0, "b.onnx"},
    /* only the base name */
    {{"a.onnx"}, "", "/etc/../x/a.onnx", false, ERR_OK, MODEL_ONNX, "a.onnx"},
    {{"a.onnx"}, "", "../../a.onnx", false, ERR_OK, MODEL_ONNX, "a.onnx"},
    {{"a.onnx"}, "", "..", false, ERR_CONFIG, 0, "'..' does not end in a file's name"},
    {{"a.onnx"}, "", "a/.", false, ERR_CONFIG, 0, "does not end in a file's name"},
    {{"a.onnx"}, "", "a.onnx/", false, ERR_CONFIG, 0, "does not end in a file's name"},
    /* MODEL_TYPE */
    {{"model.onnx", "model.joblib"}, "sklearn", "", false, ERR_OK, MODEL_SKLEARN, "model.joblib"},
    {{"model.onnx", "model.pkl"}, "sklearn", "", false, ERR_OK, MODEL_SKLEARN, "model.pkl"},
    {{"model.pt"}, "PyTorch", "", false, ERR_OK, MODEL_PYTORCH, "model.pt"},
    {{"model.keras"}, " tensorflow ", "", false, ERR_OK, MODEL_TENSORFLOW, "model.keras"},
    {{"model.joblib"}, "onnx", "", false, ERR_NOT_FOUND, 0, "looked for model.onnx"},
    {{"weights.bin"}, "pytorch", "weights.bin", false, ERR_OK, MODEL_PYTORCH, "weights.bin"},
    {{"a.onnx"}, "sklearn", "a.onnx", false, ERR_OK, MODEL_SKLEARN, "a.onnx"},
    {{"model.onnx"},
     "tflite",
     "",
     false,
     ERR_CONFIG,
     0,
     "MODEL_TYPE 'tflite' is none of onnx, sklearn, pytorch, tensorflow"},
    /* the test double, only where it is asked for */
    {{"model.fake"}, "", "", true, ERR_OK, MODEL_FAKE, "model.fake"},
    {{"model.fake"}, "", "", false, ERR_NOT_FOUND, 0, "saved_model/"},
    {{"a.fake"}, "", "a.fake", true, ERR_OK, MODEL_FAKE, "a.fake"},
    {{"a.fake"}, "", "a.fake", false, ERR_CONFIG, 0, "tells no kind of model"},
    {{"model.fake"}, "fake", "", false, ERR_CONFIG, 0, "none of onnx, sklearn"},
};

static void put_path(char *path, const char *directory, const char *name)
{
    int len = snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    assert_true(len > 0 && len < PATH_BYTES);
}

static void make_files(const char *directory, const struct row *row)
{
    for (size_t i = 0; i < FILES_MAX && row->files[i] != NULL; i++) {
        char path[PATH_BYTES];
        put_path(path, directory, row->files[i]);
        if (path[strlen(path) - 1] == '/') {
            assert_int_equal(mkdir(path, 0700), 0);
            continue;
        }
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
}

static void remove_files(const char *directory, const struct row *row)
{
    for (size_t i = FILES_MAX; i-- > 0;) {
        char path[PATH_BYTES];
        if (row->files[i] != NULL) {
            put_path(path, directory, row->files[i]);
            assert_int_equal(remove(path), 0);
        }
    }
    assert_int_equal(rmdir(directory), 0);
}

static void check_row(const struct row *row)
{
    char directory[] = "/tmp/onnxd-artifact-XXXXXX";
    assert_non_null(mkdtemp(directory));
    make_files(directory, row);
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    const struct artifact_query query = {
        .directory = slice_from_str(directory),
        .model_type = slice_from_str(row->type),
        .file_name = slice_from_str(row->name),
        .allow_fake = row->allow_fake,
    };
    struct artifact artifact = {.path = SLICE("untouched")};
    struct error error = {.code = ERR_OK};
    int status = artifact_find(&query, &arena, &artifact, &error);
    remove_files(directory, row);
    if (status != row->status) {
        print_error("type '%s' name '%s': status %d %s\n", row->type, row->name, status,
                    error.text);
    }
    assert_int_equal(status, row->status);
    if (status == ERR_OK) {
        char path[PATH_BYTES];
        put_path(path, directory, row->found);
        assert_string_equal(artifact.path.ptr, path);
        assert_int_equal(artifact.kind, row->kind);
    } else {
        assert_int_equal(error.code, status);
        assert_non_null(strstr(error.text, row->found));
        assert_string_equal(artifact.path.ptr, "untouched");
    }
    arena_done(&arena);
}

static void follows_the_contract(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(&rows[i]);
    }
}

static void joins_directory_and_name_once(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    struct artifact artifact;
    struct error error;
    const struct artifact_query query = {
        .directory = SLICE(TEST_DATA_DIR "/models/add2///"),
        .model_type = SLICE(""),
        .file_name = SLICE(""),
    };
    assert_int_equal(artifact_find(&query, &arena, &artifact, &error), ERR_OK);
    assert_string_equal(artifact.path.ptr, TEST_DATA_DIR "/models/add2/model.onnx");
    assert_string_equal(model_kind_name(artifact.kind), "onnx");
    arena_done(&arena);
}

/* A mount that is missing or closed looks like an empty one otherwise. */
static void says_why_a_directory_shows_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *directory, *name, *text;
    } cases[] = {
        {TEST_DATA_DIR "/none", "",
         "no model in " TEST_DATA_DIR "/none (No such file or directory): looked for model.onnx,"},
        {TEST_DATA_DIR "/cases.json", "",
         "no model in " TEST_DATA_DIR "/cases.json (Not a directory): looked for model.onnx,"},
        {TEST_DATA_DIR "/none", "a.onnx",
         "no model: there is no " TEST_DATA_DIR "/none/a.onnx (No such file or directory)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena;
        arena_init(&arena, 1024, 65536);
        struct artifact artifact;
        struct error error;
        const struct artifact_query query = {
            .directory = slice_from_str(cases[i].directory),
            .model_type = SLICE(""),
            .file_name = slice_from_str(cases[i].name),
        };
        assert_int_equal(artifact_find(&query, &arena, &artifact, &error), ERR_NOT_FOUND);
        assert_non_null(strstr(error.text, cases[i].text));
        arena_done(&arena);
    }
}

static void reports_an_arena_that_is_full(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 16, 16);
    struct artifact artifact;
    struct error error;
    const struct artifact_query query = {
        .directory = SLICE(TEST_DATA_DIR "/models/add2"),
        .model_type = SLICE(""),
        .file_name = SLICE("model.onnx"),
    };
    assert_int_equal(artifact_find(&query, &arena, &artifact, &error), ERR_NO_MEMORY);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_contract),
        cmocka_unit_test(joins_directory_and_name_once),
        cmocka_unit_test(says_why_a_directory_shows_nothing),
        cmocka_unit_test(reports_an_arena_that_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
