/*
 * Any bytes as a manifest: refused with one line, or read; then what was read is compared with a
 * model and loaded as settings, which must accept what the reader accepted.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "config/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct port inputs[] = {
    {.name = {"x", 1},
     .kind = PORT_TENSOR,
     .dtype = DTYPE_F32,
     .rank_known = true,
     .rank = 2,
     .dims = {-1, 4}},
    {.name = {"any", 3}, .kind = PORT_TENSOR, .dtype = DTYPE_STRING, .rank_known = false},
};
static struct port outputs[] = {
    {.name = {"label", 5},
     .kind = PORT_TENSOR,
     .dtype = DTYPE_I64,
     .rank_known = true,
     .rank = 1,
     .dims = {-1}},
    {.name = {"p", 1}, .kind = PORT_SEQUENCE, .type_text = {"sequence(map(int64, float32))", 29}},
};
static const struct signature signature = {
    .inputs = inputs, .input_count = 2, .outputs = outputs, .output_count = 2};

static void check_line(const char *line)
{
    CHECK(line[0] != '\0' && strlen(line) < ERROR_TEXT_MAX);
    for (; *line != '\0'; line++) {
        CHECK((unsigned char)*line >= 0x20);
    }
}

static void count_line(void *argument, const char *line)
{
    check_line(line);
    ++*(size_t *)argument;
}

static void use(const struct manifest *manifest)
{
    struct settings settings;
    struct error error;
    size_t lines = 0;
    size_t count = manifest_check(manifest, &signature, count_line, &lines);
    CHECK(count == lines);
    for (size_t i = 0; i < manifest->input_count; i++) {
        CHECK(manifest_find_input(manifest, manifest->inputs[i].name) == &manifest->inputs[i]);
    }
    CHECK(!manifest->example.given || memchr(manifest->example.content_type.ptr, '/',
                                             manifest->example.content_type.len) != NULL);
    const struct settings_input input = {.groups = SETTINGS_ALL,
                                         .manifest = manifest->settings,
                                         .manifest_count = manifest->setting_count};
    int status = settings_load(&settings, &input, &error);
    CHECK(status == ERR_OK);
    settings_done(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest manifest;
    struct error error;
    int status = manifest_parse(&manifest, slice_make(data, size), &error);
    if (status != ERR_OK) {
        CHECK(status == ERR_CONFIG && error.code == ERR_CONFIG);
        check_line(error.text);
        return 0;
    }
    use(&manifest);
    manifest_done(&manifest);
    return 0;
}
