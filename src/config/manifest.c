/*
 * The reader of manifest.json: one table of keys for each kind of object in it. What a manifest
 * contradicts within itself is found here; what it contradicts in the model is manifest_check.c's.
 * docs/manifest.schema.json says the same for editors.
 */
#include "config/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/document.h"
#include "config/manifest_port.h"
#include "config/settings_table.h"
#include "config/settings_value.h"
#include "config/strict.h"
#include "config/suggest.h"

#define ARENA_BLOCK_BYTES 4096
#define SHOWN_BYTES_MAX 64
#define ARENA_MAX_BYTES ((size_t)64 << 20) /* the document and the structs of the largest text */

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static int read_inputs(const struct strict_reader *reader, struct document_value *value,
                       const struct strict_place *place, void *target)
{
    struct manifest *manifest = target;
    return manifest_port_read_all(reader, value, place, &manifest->inputs, &manifest->input_count);
}

static int read_outputs(const struct strict_reader *reader, struct document_value *value,
                        const struct strict_place *place, void *target)
{
    struct manifest *manifest = target;
    return manifest_port_read_all(reader, value, place, &manifest->outputs,
                                  &manifest->output_count);
}

/* How a setting of this type is written in JSON. */
static enum document_kind kind_of(enum setting_type type)
{
    switch (type) {
    case SETTING_BOOL:
        return DOCUMENT_BOOL;
    case SETTING_PORT:
    case SETTING_COUNT:
    case SETTING_BYTES:
    case SETTING_SECONDS:
    case SETTING_RATIO:
        return DOCUMENT_NUMBER;
    case SETTING_MAP:
    case SETTING_DTYPE_MAP:
        return DOCUMENT_OBJECT;
    default:
        return DOCUMENT_STRING;
    }
}

/* A name as it is documented: the environment's leniency (any case, synonyms) is not for files. */
static int check_choice(const struct strict_reader *reader, const struct setting *setting,
                        struct slice name, const struct strict_place *place)
{
    char accepted[SETTING_TEXT_MAX];
    for (const struct setting_choice *choice = setting->choices; choice->name != NULL; choice++) {
        if (!choice->synonym && slice_eq(name, slice_from_str(choice->name))) {
            return ERR_OK;
        }
    }
    name = slice_head(name, SHOWN_BYTES_MAX);
    return strict_fail(reader, place, "\"%.*s\" is not accepted: give %s", SLICE_FMT(name),
                       setting_accepted(setting, accepted));
}

/* Every value of the map has to be a type's full name. */
static int check_dtypes(const struct strict_reader *reader, struct document_value *map,
                        const struct strict_place *place)
{
    struct document_walk walk = document_walk(map);
    struct document_value *value;
    struct strict_place at = {.parent = place};
    enum dtype unused;
    int status = ERR_OK;
    while (status == ERR_OK && document_next(&walk, &at.key, &value)) {
        status = manifest_port_read_dtype(reader, value, &at, &unused);
    }
    return status;
}

static int setting_text(const struct strict_reader *reader, const struct setting *setting,
                        struct document_value *value, const struct strict_place *place,
                        struct slice *ret_text)
{
    enum document_kind kind = document_kind(value);
    char accepted[SETTING_TEXT_MAX];
    enum dtype unused;
    int status = ERR_OK;
    if (kind != kind_of(setting->type)) {
        return strict_fail(reader, place, "is %s, must be %s: give %s", document_kind_name(kind),
                           document_kind_name(kind_of(setting->type)),
                           setting_accepted(setting, accepted));
    }
    if (setting->type == SETTING_ENUM) {
        status = check_choice(reader, setting, document_text(value), place);
    } else if (setting->type == SETTING_DTYPE) {
        status = manifest_port_read_dtype(reader, value, place, &unused);
    } else if (setting->type == SETTING_DTYPE_MAP) {
        status = check_dtypes(reader, value, place);
    }
    if (status != ERR_OK) {
        return status;
    }
    if (kind == DOCUMENT_STRING) {
        *ret_text = document_text(value);
        return ERR_OK;
    }
    return document_print(value, reader->arena, ret_text, reader->error);
}

/* What a setting's value can be stored in, to see whether it is accepted. */
static int check_setting(const struct strict_reader *reader, const struct setting *setting,
                         struct slice text, const struct strict_place *place)
{
    union {
        bool boolean;
        uint64_t number;
        double real;
        struct slice text;
        struct settings_map map;
    } unused;
    struct error why;
    int status = setting_parse(setting, text, reader->arena, &unused, &why);
    if (status == ERR_CONFIG) {
        return strict_fail(reader, place, "%s", why.text);
    }
    return status == ERR_OK ? ERR_OK : strict_no_memory(reader);
}

static int refuse_setting(const struct strict_reader *reader, const struct strict_place *place)
{
    if (setting_find(place->key) != NULL) {
        return strict_fail(reader, place, "a manifest may not set this");
    }
    struct suggestion nearest = {.typed = place->key};
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        if (settings_table[i].manifest) {
            suggestion_offer(&nearest, settings_table[i].name);
        }
    }
    if (nearest.name == NULL) {
        return strict_fail(reader, place, "unknown");
    }
    return strict_fail(reader, place, "unknown; did you mean \"%s\"?", nearest.name);
}

static int read_setting(const struct strict_reader *reader, struct document_value *value,
                        const struct strict_place *place, bool *seen,
                        struct settings_pair *ret_pair)
{
    const struct setting *setting = setting_find(place->key);
    struct slice text;
    if (setting == NULL || !setting->manifest) {
        return refuse_setting(reader, place);
    }
    if (seen[setting_index(setting)]) {
        return strict_fail(reader, place, "comes twice");
    }
    seen[setting_index(setting)] = true;
    int status = setting_text(reader, setting, value, place, &text);
    if (status == ERR_OK) {
        status = check_setting(reader, setting, text, place);
    }
    if (status == ERR_OK) {
        *ret_pair = (struct settings_pair){slice_from_str(setting->name), text};
    }
    return status;
}

static int read_settings(const struct strict_reader *reader, struct document_value *value,
                         const struct strict_place *place, void *target)
{
    struct manifest *manifest = target;
    bool seen[SETTINGS_COUNT] = {false};
    int status = strict_expect(reader, value, place, DOCUMENT_OBJECT);
    if (status != ERR_OK) {
        return status;
    }
    struct settings_pair *pairs =
        arena_zalloc(reader->arena, SETTINGS_COUNT, sizeof(*pairs)); /* no key comes twice */
    if (pairs == NULL) {
        return strict_no_memory(reader);
    }
    struct document_walk walk = document_walk(value);
    struct document_value *member;
    struct strict_place at = {.parent = place};
    size_t count = 0;
    for (; document_next(&walk, &at.key, &member); count++) {
        status = read_setting(reader, member, &at, seen, &pairs[count]);
        if (status != ERR_OK) {
            return status;
        }
    }
    manifest->settings = pairs;
    manifest->setting_count = count;
    return ERR_OK;
}

/* A sample as it stands in the text. */
struct sample_text {
    struct slice content_type;
    struct document_value *body;
};

static int read_content_type(const struct strict_reader *reader, struct document_value *value,
                             const struct strict_place *place, void *target)
{
    int status = strict_expect(reader, value, place, DOCUMENT_STRING);
    if (status != ERR_OK) {
        return status;
    }
    struct slice text = document_text(value);
    bool printable = true;
    for (size_t i = 0; i < text.len; i++) {
        printable = printable && text.ptr[i] >= ' ' && text.ptr[i] < 0x7f;
    }
    if (!printable || slice_find(text, '/') == text.len) {
        return strict_fail(reader, place, "is no media type, such as \"text/csv\"");
    }
    *(struct slice *)target = text;
    return ERR_OK;
}

static int read_body(const struct strict_reader *reader, struct document_value *value,
                     const struct strict_place *place, void *target)
{
    (void)reader;
    (void)place;
    *(struct document_value **)target = value;
    return ERR_OK;
}

static bool is_json_type(struct slice content_type)
{
    struct slice essence = slice_trim(slice_head(content_type, slice_find(content_type, ';')));
    return slice_ends_with_nocase(essence, SLICE("/json")) ||
           slice_ends_with_nocase(essence, SLICE("+json"));
}

static const struct strict_field sample_fields[] = {
    {"content_type", read_content_type, offsetof(struct sample_text, content_type), false},
    {"body", read_body, offsetof(struct sample_text, body), true},
};

static int read_sample(const struct strict_reader *reader, struct document_value *value,
                       const struct strict_place *place, void *target)
{
    struct manifest_sample *sample = target;
    struct sample_text text = {.content_type = SLICE("")};
    int status = strict_object(reader, value, place, sample_fields, COUNT_OF(sample_fields), &text);
    if (status != ERR_OK) {
        return status;
    }
    sample->given = true;
    sample->content_type = text.content_type;
    if (document_kind(text.body) == DOCUMENT_STRING) {
        sample->body = document_text(text.body);
        return text.content_type.len > 0
                   ? ERR_OK
                   : strict_fail(reader, place, "\"content_type\" is missing: the body is text");
    }
    if (text.content_type.len == 0) {
        sample->content_type = SLICE("application/json");
    } else if (!is_json_type(text.content_type)) {
        return strict_fail(reader, place, "a body that is no string needs a JSON content_type");
    }
    return document_print(text.body, reader->arena, &sample->body, reader->error);
}

/* "$schema" is for editors. */
static int read_schema(const struct strict_reader *reader, struct document_value *value,
                       const struct strict_place *place, void *target)
{
    (void)target;
    return strict_expect(reader, value, place, DOCUMENT_STRING);
}

static const struct strict_field manifest_fields[] = {
    {"$schema", read_schema, 0, false},
    {"name", strict_name, offsetof(struct manifest, name), false},
    {"version", strict_name, offsetof(struct manifest, version), false},
    {"description", strict_text, offsetof(struct manifest, description), false},
    {"inputs", read_inputs, 0, false},
    {"outputs", read_outputs, 0, false},
    {"settings", read_settings, 0, false},
    {"warmup", read_sample, offsetof(struct manifest, warmup), false},
    {"example", read_sample, offsetof(struct manifest, example), false},
};

static void init(struct manifest *manifest)
{
    *manifest = (struct manifest){
        .name = SLICE(""),
        .version = SLICE(""),
        .description = SLICE(""),
        .warmup = {.content_type = SLICE(""), .body = SLICE("")},
        .example = {.content_type = SLICE(""), .body = SLICE("")},
    };
    arena_init(&manifest->arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
}

static int parse(struct manifest *manifest, struct slice text, struct error *error)
{
    const struct strict_reader reader = {&manifest->arena, error};
    const struct strict_place root = {.parent = NULL};
    struct document_value *value;
    if (text.len > MANIFEST_MAX_BYTES) {
        return error_set(error, ERR_CONFIG, "larger than %zu bytes", MANIFEST_MAX_BYTES);
    }
    int status = document_parse(text, &manifest->arena, &value, error);
    if (status != ERR_OK) {
        return status;
    }
    return strict_object(&reader, value, &root, manifest_fields, COUNT_OF(manifest_fields),
                         manifest);
}

int manifest_parse(struct manifest *manifest, struct slice text, struct error *error)
{
    struct error unwanted;
    init(manifest);
    int status = parse(manifest, text, error != NULL ? error : &unwanted);
    if (status != ERR_OK) {
        manifest_done(manifest);
    }
    return status;
}

void manifest_done(struct manifest *manifest)
{
    arena_done(&manifest->arena);
    init(manifest);
}

const struct manifest_port *manifest_find_input(const struct manifest *manifest, struct slice name)
{
    return manifest_port_find(manifest->inputs, manifest->input_count, name);
}

const struct manifest_port *manifest_find_output(const struct manifest *manifest, struct slice name)
{
    return manifest_port_find(manifest->outputs, manifest->output_count, name);
}

/* Reads to the end or until `max` bytes are there. ERR_CONFIG with errno's text. */
static int read_all(int fd, char *text, size_t max, size_t *ret_len, struct error *error)
{
    size_t len = 0;
    while (len < max) {
        ssize_t got = read(fd, text + len, max - len);
        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            return error_set(error, ERR_CONFIG, "cannot be read: %m");
        }
        len += got > 0 ? (size_t)got : 0;
    }
    *ret_len = len;
    return ERR_OK;
}

static int load_open_file(struct manifest *manifest, int fd, struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return error_set(error, ERR_CONFIG, "is no regular file");
    }
    size_t max = MANIFEST_MAX_BYTES + 1; /* one more shows that it is too large */
    size_t len = 0;
    char *text = mem_alloc(max);
    if (text == NULL) {
        return error_set(error, ERR_NO_MEMORY, "out of memory");
    }
    int code = read_all(fd, text, max, &len, error);
    if (code == ERR_OK) {
        code = manifest_parse(manifest, slice_make(text, len), error);
    }
    mem_free(text);
    return code;
}

int manifest_load(struct manifest *manifest, const char *directory, bool *ret_found,
                  struct error *error)
{
    char path[PATH_MAX];
    struct error unwanted;
    error = error != NULL ? error : &unwanted;
    int len = snprintf(path, sizeof(path), "%s/%s", directory, MANIFEST_FILE_NAME);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return error_set(error, ERR_CONFIG, "%.64s...: the path is too long", directory);
    }
    /* Opening a pipe must not wait for its writer: it is refused below. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        init(manifest);
        *ret_found = false;
        return ERR_OK;
    }
    if (fd < 0) {
        return error_set(error, ERR_CONFIG, "%s: %m", path);
    }
    int code = load_open_file(manifest, fd, error);
    close(fd);
    if (code != ERR_OK) {
        return error_prefix(error, "%s", path);
    }
    *ret_found = true;
    return ERR_OK;
}
