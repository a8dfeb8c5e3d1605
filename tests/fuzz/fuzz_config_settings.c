/*
 * Any bytes as a command line (split at NULs) and as the value of a setting (the first byte names
 * it): accepted, or refused with one line.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "config/settings.h"
#include "config/settings_table.h"

#define ARGUMENTS_MAX 16
#define TEXT_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(const struct settings_input *input)
{
    struct settings settings;
    struct error error = {0};
    int status = settings_load(&settings, input, &error);
    if (status == ERR_OK) {
        CHECK(settings.max_batch_size > 0 && settings.json_output_key.len > 0);
        CHECK(settings.positional_count <= (size_t)input->argc);
        settings_done(&settings);
        return;
    }
    CHECK(status == ERR_CONFIG && error.text[0] != '\0');
    CHECK(memchr(error.text, '\0', sizeof(error.text)) != NULL);
}

static void load_value(const uint8_t *data, size_t size)
{
    const struct setting *setting = &settings_table[data[0] % SETTINGS_COUNT];
    const struct settings_pair pair = {slice_from_str(setting->name),
                                       slice_make(data + 1, size - 1)};
    load(&(struct settings_input){.groups = SETTINGS_ALL, .overrides = &pair, .override_count = 1});
}

static void load_arguments(const uint8_t *data, size_t size)
{
    static const struct settings_option option = {"input", "FILE", "what to read", NULL, NULL};
    char text[TEXT_BYTES_MAX + 1];
    char *argv[ARGUMENTS_MAX];
    size_t len = size < TEXT_BYTES_MAX ? size : TEXT_BYTES_MAX;
    memcpy(text, data, len);
    text[len] = '\0';
    struct settings_input input = {
        .groups = SETTINGS_ALL, .argv = argv, .options = &option, .option_count = 1};
    for (size_t at = 0; at < len && input.argc < ARGUMENTS_MAX; at += strlen(text + at) + 1) {
        argv[input.argc++] = text + at;
    }
    load(&input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        load_value(data, size);
        load_arguments(data, size);
    }
    return 0;
}
