/*
 * Finds the model in its directory. Names come from settings and are looked up, never opened here.
 */
#include "backend/artifact.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SAVED_MODEL_FILE "saved_model.pb"
#define EXPLANATION_MAX 64

static const char *const kind_names[] = {
    [MODEL_ONNX] = "onnx",       [MODEL_SKLEARN] = "sklearn",
    [MODEL_PYTORCH] = "pytorch", [MODEL_TENSORFLOW] = "tensorflow",
    [MODEL_FAKE] = "fake",
};

static const struct {
    const char *extension;
    enum model_kind kind;
} extensions[] = {
    {".onnx", MODEL_ONNX},           {".joblib", MODEL_SKLEARN},   {".pkl", MODEL_SKLEARN},
    {".pt", MODEL_PYTORCH},          {".pth", MODEL_PYTORCH},      {".jit", MODEL_PYTORCH},
    {".torchscript", MODEL_PYTORCH}, {".keras", MODEL_TENSORFLOW}, {".h5", MODEL_TENSORFLOW},
    {".hdf5", MODEL_TENSORFLOW},     {".fake", MODEL_FAKE},
};

/* In the order in which a directory without settings is searched. */
static const struct {
    const char *name;
    enum model_kind kind;
} defaults[] = {
    {"model.onnx", MODEL_ONNX},        {"model.joblib", MODEL_SKLEARN},
    {"model.pkl", MODEL_SKLEARN},      {"model.pt", MODEL_PYTORCH},
    {"model.keras", MODEL_TENSORFLOW}, {"saved_model", MODEL_TENSORFLOW},
    {"model.fake", MODEL_FAKE},
};

const char *model_kind_name(enum model_kind kind)
{
    CHECK((size_t)kind < COUNT(kind_names));
    return kind_names[kind];
}

/* The text for a message: settings are of any length. */
static struct slice shown(struct slice text)
{
    return slice_head(text, 200);
}

static bool is_allowed(const struct artifact_query *query, enum model_kind kind)
{
    return kind != MODEL_FAKE || query->allow_fake;
}

static int parse_kind(const struct artifact_query *query, enum model_kind *ret_kind,
                      struct error *error)
{
    struct slice type = slice_trim(query->model_type);
    for (size_t i = 0; i < COUNT(kind_names); i++) {
        enum model_kind kind = (enum model_kind)i;
        if (slice_eq_nocase(type, slice_from_str(kind_names[i])) && is_allowed(query, kind)) {
            *ret_kind = kind;
            return ERR_OK;
        }
    }
    type = shown(type);
    return error_set(error, ERR_CONFIG,
                     "MODEL_TYPE '%.*s' is none of onnx, sklearn, pytorch, tensorflow",
                     SLICE_FMT(type));
}

/* What follows the last slash; refused where that is nothing or a step to another directory. */
static int base_name(struct slice name, struct slice *ret_base, struct error *error)
{
    const char *slash = name.len == 0 ? NULL : memrchr(name.ptr, '/', name.len);
    struct slice base = slash == NULL ? name : slice_tail(name, (size_t)(slash + 1 - name.ptr));
    if (base.len == 0 || slice_eq(base, SLICE(".")) || slice_eq(base, SLICE("..")) ||
        memchr(base.ptr, '\0', base.len) != NULL) {
        name = shown(name);
        return error_set(error, ERR_CONFIG, "MODEL_FILENAME '%.*s' does not end in a file's name",
                         SLICE_FMT(name));
    }
    *ret_base = base;
    return ERR_OK;
}

/* "directory/name" in the arena; ptr is NULL without memory. */
static struct slice join(struct slice directory, struct slice name, struct arena *arena)
{
    if (directory.len == 0) {
        directory = SLICE(".");
    }
    while (directory.len > 1 && directory.ptr[directory.len - 1] == '/') {
        directory.len--;
    }
    size_t len = directory.len + 1 + name.len;
    char *path = arena_alloc(arena, len + 1);
    if (path == NULL) {
        return (struct slice){NULL, 0};
    }
    memcpy(path, directory.ptr, directory.len);
    path[directory.len] = '/';
    memcpy(path + directory.len + 1, name.ptr, name.len);
    path[len] = '\0';
    return slice_make(path, len);
}

static bool exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool is_saved_model(struct slice path, struct arena *arena)
{
    struct slice inside = join(path, SLICE(SAVED_MODEL_FILE), arena);
    return inside.ptr != NULL && exists(inside.ptr);
}

/* By the extension, or by what a directory holds. */
static int kind_of_file(const struct artifact_query *query, struct slice name, struct slice path,
                        struct arena *arena, enum model_kind *ret_kind, struct error *error)
{
    if (is_directory(path.ptr)) {
        if (is_saved_model(path, arena)) {
            *ret_kind = MODEL_TENSORFLOW;
            return ERR_OK;
        }
        path = shown(path);
        return error_set(error, ERR_CONFIG, "%.*s is a directory without " SAVED_MODEL_FILE,
                         SLICE_FMT(path));
    }
    for (size_t i = 0; i < COUNT(extensions); i++) {
        if (slice_ends_with_nocase(name, slice_from_str(extensions[i].extension)) &&
            is_allowed(query, extensions[i].kind)) {
            *ret_kind = extensions[i].kind;
            return ERR_OK;
        }
    }
    name = shown(name);
    return error_set(error, ERR_CONFIG,
                     "the extension of MODEL_FILENAME '%.*s' tells no kind of model: set "
                     "MODEL_TYPE to onnx, sklearn, pytorch or tensorflow",
                     SLICE_FMT(name));
}

static int no_memory(struct error *error)
{
    return error_set(error, ERR_NO_MEMORY, "no memory for a path");
}

/* Why nothing in the directory can be looked at: " (Permission denied)"; "" where it can. */
static void explain_directory(const struct artifact_query *query, struct arena *arena,
                              char why[EXPLANATION_MAX])
{
    struct stat status;
    struct slice inside = join(query->directory, SLICE("."), arena);
    bool closed = inside.ptr != NULL && stat(inside.ptr, &status) != 0;
    why[0] = '\0';
    if (closed) {
        snprintf(why, EXPLANATION_MAX, " (%s)", strerrordesc_np(errno));
    }
}

static int find_named(const struct artifact_query *query, struct arena *arena,
                      struct artifact *artifact, struct error *error)
{
    struct slice name = SLICE("");
    int status = base_name(query->file_name, &name, error);
    if (status != ERR_OK) {
        return status;
    }
    artifact->path = join(query->directory, name, arena);
    if (artifact->path.ptr == NULL) {
        return no_memory(error);
    }
    if (!exists(artifact->path.ptr)) {
        struct slice path = shown(artifact->path);
        char why[EXPLANATION_MAX];
        explain_directory(query, arena, why);
        return error_set(error, ERR_NOT_FOUND, "no model: there is no %.*s%s", SLICE_FMT(path),
                         why);
    }
    if (query->model_type.len > 0) {
        return ERR_OK;
    }
    return kind_of_file(query, name, artifact->path, arena, &artifact->kind, error);
}

/* A default name counts where it is what its kind is made of: a file, or a saved model. */
static bool is_default(const struct slice *path, size_t index, struct arena *arena)
{
    if (strcmp(defaults[index].name, "saved_model") == 0) {
        return is_saved_model(*path, arena);
    }
    return exists(path->ptr);
}

/* Whether the search passes the default name: those of a given type are that type's alone. */
static bool is_candidate(const struct artifact_query *query, const enum model_kind *only,
                         size_t index)
{
    return is_allowed(query, defaults[index].kind) &&
           (only == NULL || defaults[index].kind == *only);
}

static int not_found(const struct artifact_query *query, const enum model_kind *only,
                     struct arena *arena, struct error *error)
{
    char why[EXPLANATION_MAX];
    explain_directory(query, arena, why);
    char looked_for[256] = "";
    size_t len = 0;
    for (size_t i = 0; i < COUNT(defaults); i++) {
        if (is_candidate(query, only, i) && len < sizeof(looked_for)) {
            int more =
                snprintf(looked_for + len, sizeof(looked_for) - len, "%s%s%s", len > 0 ? ", " : "",
                         defaults[i].name, strcmp(defaults[i].name, "saved_model") == 0 ? "/" : "");
            len += more > 0 ? (size_t)more : 0;
        }
    }
    struct slice directory = shown(query->directory);
    return error_set(error, ERR_NOT_FOUND, "no model in %.*s%s: looked for %s",
                     SLICE_FMT(directory), why, looked_for);
}

static int find_default(const struct artifact_query *query, const enum model_kind *only,
                        struct arena *arena, struct artifact *artifact, struct error *error)
{
    for (size_t i = 0; i < COUNT(defaults); i++) {
        if (!is_candidate(query, only, i)) {
            continue;
        }
        struct slice path = join(query->directory, slice_from_str(defaults[i].name), arena);
        if (path.ptr == NULL) {
            return no_memory(error);
        }
        if (is_default(&path, i, arena)) {
            *artifact = (struct artifact){.kind = defaults[i].kind, .path = path};
            return ERR_OK;
        }
    }
    return not_found(query, only, arena, error);
}

int artifact_find(const struct artifact_query *query, struct arena *arena,
                  struct artifact *ret_artifact, struct error *error)
{
    struct artifact artifact = {.kind = MODEL_ONNX};
    bool has_type = query->model_type.len > 0;
    int status = has_type ? parse_kind(query, &artifact.kind, error) : ERR_OK;
    if (status != ERR_OK) {
        return status;
    }
    enum model_kind only = artifact.kind;
    if (query->file_name.len > 0) {
        status = find_named(query, arena, &artifact, error);
    } else {
        status = find_default(query, has_type ? &only : NULL, arena, &artifact, error);
    }
    if (status == ERR_OK) {
        *ret_artifact = artifact;
    }
    return status;
}
