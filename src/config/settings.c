/*
 * Puts the settings together from their sources, weakest first, so that each stronger one writes
 * over the one before; where a value came from is kept beside it. Parsing one value is
 * settings_value.c's, cutting the command line settings_flags.c's.
 */
#include "config/settings.h"

#include <stdio.h>

#include "base/check.h"
#include "config/settings_flags.h"
#include "config/settings_map.h"
#include "config/settings_table.h"
#include "config/settings_value.h"

#define ARENA_BLOCK_BYTES 4096
#define ARENA_MAX_BYTES ((size_t)64 << 20)

struct loader {
    struct settings *settings;
    const struct settings_input *input;
    struct error *error;
};

/* Where a value comes from, for texts of errors. */
struct origin {
    enum setting_source source;
    const char *variable; /* static: the name it was given under */
};

static const char *describe_origin(const struct setting *setting, struct origin origin, char *text,
                                   size_t size)
{
    static const char *const words[] = {
        [SETTING_FROM_DEFAULT] = "default",         [SETTING_FROM_MANIFEST] = "manifest",
        [SETTING_FROM_ENVIRONMENT] = "environment", [SETTING_FROM_FLAG] = "flag",
        [SETTING_FROM_ARGUMENT] = "argument",
    };
    bool aliased = origin.variable != setting->name;
    snprintf(text, size, "%s%s%s", words[origin.source], aliased ? ": " : "",
             aliased ? origin.variable : "");
    return text;
}

static int set_value(const struct loader *loader, const struct setting *setting, struct slice text,
                     struct origin origin)
{
    struct settings *settings = loader->settings;
    void *member = (char *)settings + setting->offset;
    int status = setting_parse(setting, text, &settings->arena, member, loader->error);
    if (status != ERR_OK) {
        char described[2 * SETTING_NAME_MAX];
        return error_prefix(loader->error, "%s (%s)", setting->name,
                            describe_origin(setting, origin, described, sizeof(described)));
    }
    settings->sources[setting_index(setting)] = origin.source;
    return ERR_OK;
}

static int load_defaults(const struct loader *loader)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_table[i];
        if (setting->initial != NULL) {
            int status = set_value(loader, setting, slice_from_str(setting->initial),
                                   (struct origin){SETTING_FROM_DEFAULT, setting->name});
            if (status != ERR_OK) {
                return status;
            }
        }
    }
    return ERR_OK;
}

/* The strings' members that have no default still point to a NUL, as the header promises. */
static void empty_strings(struct settings *settings)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        enum setting_type type = settings_table[i].type;
        if (type == SETTING_TEXT || type == SETTING_HOST || type == SETTING_FILE ||
            type == SETTING_ROUTE || type == SETTING_COLUMNS || type == SETTING_PAIRS) {
            *(struct slice *)(void *)((char *)settings + settings_table[i].offset) = SLICE("");
        }
    }
}

static int load_pairs(const struct loader *loader, const struct settings_pair *pairs, size_t count,
                      enum setting_source source)
{
    for (size_t i = 0; i < count; i++) {
        const struct setting *setting = setting_find(pairs[i].name);
        if (setting == NULL || (source == SETTING_FROM_MANIFEST && !setting->manifest)) {
            return error_set(loader->error, ERR_CONFIG, "%.*s: %s", SLICE_FMT(pairs[i].name),
                             setting == NULL ? "no such setting" : "a manifest may not set this");
        }
        if ((setting->group & loader->input->groups) == 0) {
            continue;
        }
        int status =
            set_value(loader, setting, pairs[i].value, (struct origin){source, setting->name});
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

static int load_variable(const struct loader *loader, const struct setting *setting,
                         const char *variable)
{
    const char *text = loader->input->lookup(loader->input->environment, variable);
    if (text == NULL || text[0] == '\0') {
        return ERR_OK;
    }
    return set_value(loader, setting, slice_from_str(text),
                     (struct origin){SETTING_FROM_ENVIRONMENT, variable});
}

static int load_environment(const struct loader *loader)
{
    for (size_t i = 0; i < SETTINGS_COUNT && loader->input->lookup != NULL; i++) {
        const struct setting *setting = &settings_table[i];
        const char *variables[2] = {setting->alias, setting->name}; /* the last one set counts */
        if (setting->alias_is_over) {
            variables[0] = setting->name;
            variables[1] = setting->alias;
        }
        for (size_t j = 0; j < 2 && (setting->group & loader->input->groups) != 0; j++) {
            int status =
                variables[j] == NULL ? ERR_OK : load_variable(loader, setting, variables[j]);
            if (status != ERR_OK) {
                return status;
            }
        }
    }
    return ERR_OK;
}

static void give_option(const struct settings_argument *argument)
{
    if (argument->option->ret_value != NULL) {
        *argument->option->ret_value = argument->value;
    }
    if (argument->option->ret_given != NULL) {
        *argument->option->ret_given = true;
    }
}

static int take_argument(const struct loader *loader, const struct settings_argument *argument)
{
    struct settings *settings = loader->settings;
    switch (argument->kind) {
    case SETTINGS_ARGUMENT_SETTING:
        return set_value(loader, argument->setting, slice_from_str(argument->value),
                         (struct origin){SETTING_FROM_FLAG, argument->setting->name});
    case SETTINGS_ARGUMENT_OPTION:
        give_option(argument);
        return ERR_OK;
    case SETTINGS_ARGUMENT_POSITIONAL:
        settings->positionals[settings->positional_count++] = argument->value;
        return ERR_OK;
    case SETTINGS_ARGUMENT_END:
        break;
    }
    return ERR_OK;
}

static int load_flags(const struct loader *loader)
{
    CHECK(loader->input->argc >= 0);
    struct settings_flags flags = {.input = loader->input};
    struct settings_argument argument = {.kind = SETTINGS_ARGUMENT_POSITIONAL};
    loader->settings->positionals =
        arena_zalloc(&loader->settings->arena, (size_t)loader->input->argc, sizeof(const char *));
    if (loader->settings->positionals == NULL) {
        return error_set(loader->error, ERR_NO_MEMORY, "out of memory");
    }
    while (argument.kind != SETTINGS_ARGUMENT_END) {
        int status = settings_flags_next(&flags, &argument, loader->error);
        if (status == ERR_OK) {
            status = take_argument(loader, &argument);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

static int load_all(const struct loader *loader)
{
    const struct settings_input *input = loader->input;
    int status = load_defaults(loader);
    if (status == ERR_OK) {
        status = load_pairs(loader, input->manifest, input->manifest_count, SETTING_FROM_MANIFEST);
    }
    if (status == ERR_OK) {
        status = load_environment(loader);
    }
    if (status == ERR_OK) {
        status = load_flags(loader);
    }
    if (status == ERR_OK) {
        status = load_pairs(loader, input->overrides, input->override_count, SETTING_FROM_ARGUMENT);
    }
    return status;
}

int settings_load(struct settings *settings, const struct settings_input *input,
                  struct error *error)
{
    struct error unwanted;
    const struct loader loader = {settings, input, error != NULL ? error : &unwanted};
    *settings = (struct settings){0};
    arena_init(&settings->arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    empty_strings(settings);
    int status = load_all(&loader);
    if (status != ERR_OK) {
        settings_done(settings);
        return status;
    }
    settings_map_join(&settings->onnx_input_map_json, &settings->onnx_input_dtype_map_json);
    return ERR_OK;
}

void settings_done(struct settings *settings)
{
    arena_done(&settings->arena);
    *settings = (struct settings){0};
}

static const struct setting *must_find(const char *name)
{
    const struct setting *setting = setting_find(slice_from_str(name));
    CHECK(setting != NULL);
    return setting;
}

enum setting_source settings_source(const struct settings *settings, const char *name)
{
    return settings->sources[setting_index(must_find(name))];
}

const char *settings_enum_name(const struct settings *settings, const char *name)
{
    const struct setting *setting = must_find(name);
    int value;
    CHECK(setting->type == SETTING_ENUM);
    memcpy(&value, (const char *)settings + setting->offset, sizeof(value));
    for (const struct setting_choice *choice = setting->choices; choice->name != NULL; choice++) {
        if (choice->value == value && !choice->synonym) {
            return choice->name;
        }
    }
    return "";
}
